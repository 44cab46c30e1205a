//! Envelopes that the `openssl` program signed, and what was made of them on the way.

use std::error::Error;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use longshore_agent::codedeploy::command::{Envelope, Specification};
use longshore_agent::codedeploy::envelope::{self, Demand, LIMIT};
use longshore_agent::codedeploy::specification;
use longshore_agent::deployment::order::Policy;
use longshore_agent::settings::SignatureCheck;

use crate::openssl::Pki;

const CONTENT: &str = r#"{"DeploymentId":"d-1","DeploymentGroupId":"g-1","DeploymentGroupName":"dev","ApplicationName":"shop","Revision":{"RevisionType":"S3","S3Revision":{"Bucket":"bundles","Key":"1.zip","BundleType":"zip"}}}"#;

fn pem(der: &[u8]) -> String {
    let text = BASE64_STANDARD.encode(der);
    let lines: Vec<&str> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN PKCS7-----\n{}\n-----END PKCS7-----\n", lines.join("\n"))
}

fn now() -> SystemTime {
    SystemTime::now()
}

/// What an envelope means under a demand: its content, or why it is refused.
fn open(der: &[u8], demand: &Demand) -> String {
    open_text(&pem(der), demand)
}

fn open_text(text: &str, demand: &Demand) -> String {
    result(envelope::open(text, demand, now()))
}

fn result(opened: Result<Vec<u8>, envelope::EnvelopeError>) -> String {
    match opened {
        Ok(content) => String::from_utf8(content).unwrap(),
        Err(error) => match error.source() {
            Some(source) => format!("{error}: {source:?}"),
            None => error.to_string(),
        },
    }
}

fn chain(pki: &Pki, authority: &str) -> Demand {
    Demand::of(&SignatureCheck::Chain(Some(pki.path(authority)))).unwrap()
}

/// The bytes with the last occurrence of a part replaced by another of its length.
fn replaced(der: &[u8], part: &[u8], by: &[u8]) -> Vec<u8> {
    assert_eq!(part.len(), by.len());
    let at = der.windows(part.len()).rposition(|window| window == part).expect("the part is there");
    let mut der = der.to_vec();
    der[at..at + by.len()].copy_from_slice(by);
    der
}

const WRONG: &str = "the specification's signature is wrong: it was changed, or signed with another key";
const CHANGED: &str = "the specification was changed after it was signed: its digest is not the one in the signature";

#[test]
fn every_way_to_sign_that_is_safe_is_verified_and_a_changed_content_is_refused_in_each() {
    let pki = Pki::new();
    pki.leaf("rsa", "rsa:2048", "middle", "");
    pki.leaf("p256", "ec:P-256", "middle", "extendedKeyUsage=emailProtection\n");
    pki.leaf("p384", "ec:P-384", "middle", "keyUsage=digitalSignature\nextendedKeyUsage=codeSigning\n");
    let pss = ["-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:digest"];
    let ways: [(&str, &[&str]); 15] = [
        ("rsa", &["-md", "sha256"]),
        ("rsa", &["-md", "sha384"]),
        ("rsa", &["-md", "sha512"]),
        ("rsa", &["-md", "sha256", "-noattr"]),
        ("rsa", &["-md", "sha256", "-keyid"]),
        ("rsa", &["-md", "sha256", "-stream"]),
        ("rsa", &["-md", "sha256", "-noattr", "-stream", "-keyid"]),
        ("rsa", &[&["-md", "sha256"][..], &pss].concat()),
        ("rsa", &[&["-md", "sha512", "-noattr"][..], &pss].concat()),
        ("p256", &["-md", "sha256"]),
        ("p256", &["-md", "sha512", "-noattr"]),
        ("p384", &["-md", "sha384", "-stream"]),
        ("p384", &["-md", "sha256", "-keyid"]),
        ("rsa", &["-md", "sha256", "-signer", "p384.pem", "-inkey", "p384.key"]),
        ("p256", &["-md", "sha256", "-econtent_type", "pkcs7-data"]),
    ];
    let trusted = chain(&pki, "root.pem");
    for (signer, way) in ways {
        let signed = pki.sign(CONTENT, signer, way);
        // Whoever signs a stream does not know the lengths, and writes none.
        assert_eq!(signed[1] == 0x80, way.contains(&"-stream"), "{way:?}");
        for demand in [&trusted, &Demand::Content, &Demand::Unchecked] {
            assert_eq!(open(&signed, demand), CONTENT, "{signer} {way:?} {demand:?}");
        }
        let changed = replaced(&signed, b"bundles", b"my-evil");
        let expected = if way.contains(&"-noattr") { WRONG } else { CHANGED };
        for demand in [&trusted, &Demand::Content] {
            assert_eq!(open(&changed, demand), expected, "{signer} {way:?} {demand:?}");
        }
    }
}

#[test]
fn what_old_and_new_programs_write_around_it_does_not_matter() {
    let pki = Pki::new();
    pki.leaf("leaf", "ec:P-256", "middle", "");
    let demand = chain(&pki, "root.pem");
    let signed = pki.sign(CONTENT, "leaf", &["-md", "sha256"]);
    // As Ruby's `OpenSSL::PKCS7` writes it.
    pki.openssl(&[
        "smime",
        "-sign",
        "-binary",
        "-nodetach",
        "-in",
        "content",
        "-signer",
        "leaf.pem",
        "-inkey",
        "leaf.key",
        "-certfile",
        "middle.pem",
        "-outform",
        "PEM",
        "-out",
        "ruby",
    ]);
    let text = pem(&signed);
    for text in [
        pki.read("ruby"),
        text.replace('\n', "\r\n"),
        text.replace("PKCS7", "CMS"),
        format!("\n\n  {text}\n\n"),
        BASE64_STANDARD.encode(&signed),
        BASE64_STANDARD.encode(&signed).trim_end_matches('=').to_owned(),
    ] {
        assert_eq!(open_text(&text, &demand), CONTENT, "{text}");
    }
}

#[test]
fn what_is_no_right_signature_is_refused_with_its_reason() {
    let pki = Pki::new();
    pki.leaf("leaf", "rsa:2048", "middle", "");
    pki.leaf("other", "rsa:2048", "middle", "");
    pki.leaf("weak", "rsa:1024", "middle", "");
    let signed = pki.sign(CONTENT, "leaf", &["-md", "sha256"]);
    let last = *signed.last().unwrap();
    let mut another_signature = signed.clone();
    *another_signature.last_mut().unwrap() = !last;
    let two = pki.sign(CONTENT, "leaf", &["-md", "sha256", "-signer", "other.pem", "-inkey", "other.key"]);
    let mut one_of_two = two.clone();
    *one_of_two.last_mut().unwrap() ^= 1;
    // The digest of another content in the attributes, but not under the signature.
    let digest = |text: &str| {
        pki.write("text", text);
        pki.openssl(&["dgst", "-sha256", "-binary", "-out", "digest", "text"]);
        std::fs::read(pki.path("digest")).unwrap()
    };
    let evil = CONTENT.replace("bundles", "my-evil");
    let both = replaced(&signed, b"bundles", b"my-evil");
    let both = replaced(&both, &digest(CONTENT), &digest(&evil));
    // The digest is of another kind of attribute: 1.2.840.113549.1.9.4 becomes …9.9, and 9.3 becomes …9.9.
    let attribute = |number: u8| {
        let name = |number| [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, number];
        replaced(&signed, &name(number), &name(9))
    };
    pki.write("content", CONTENT);
    pki.openssl(&["crl2pkcs7", "-nocrl", "-certfile", "leaf.pem", "-outform", "DER", "-out", "certificates"]);
    pki.openssl(&["cms", "-data_create", "-in", "content", "-outform", "DER", "-out", "data"]);
    let file = |name: &str| std::fs::read(pki.path(name)).unwrap();
    pki.openssl(&[
        "cms", "-sign", "-binary", "-in", "content", "-signer", "leaf.pem", "-inkey", "leaf.key", "-outform", "DER",
        "-out", "detached",
    ]);
    pki.write(
        "crowd.pem",
        pki.read("middle.pem")
            + &(0..17)
                .map(|number| {
                    let name = format!("crowd-{number}");
                    pki.leaf(&name, "ec:P-256", "root", "");
                    pki.read(&format!("{name}.pem"))
                })
                .collect::<String>(),
    );

    let sha1 = "the specification is signed with SHA-1, for which forgeries can be made";
    let no_certificate = "the signer's certificate is not in the envelope";
    let unsupported = "the specification is signed with an algorithm that is not supported, `2.16.840.1.101.3.4.2.4`";
    let attributes = "the signed attributes do not name the specification's type and digest, once each";
    let table = [
        ("another signature", another_signature, WRONG),
        ("one wrong signature of two", one_of_two, WRONG),
        ("content and digest changed", both, WRONG),
        ("no digest", attribute(4), attributes),
        ("no type", attribute(3), attributes),
        ("SHA-1", pki.sign(CONTENT, "leaf", &["-md", "sha1"]), sha1),
        ("SHA-1 without attributes", pki.sign(CONTENT, "leaf", &["-md", "sha1", "-noattr"]), sha1),
        ("SHA-224", pki.sign(CONTENT, "leaf", &["-md", "sha224"]), unsupported),
        ("a short key", pki.sign(CONTENT, "weak", &["-md", "sha256"]), "the signer's RSA key has less than 2048 bits"),
        ("no certificate", pki.sign(CONTENT, "leaf", &["-md", "sha256", "-nocerts"]), no_certificate),
        ("no signer", file("certificates"), "the specification carries no signature"),
        ("detached", file("detached"), "the signature comes without the specification that it is for"),
        (
            "empty",
            pki.sign("", "leaf", &["-md", "sha256"]),
            "the signature comes without the specification that it is for",
        ),
        ("no signed data", file("data"), "the signed specification is a CMS structure, but not one with signed data"),
        (
            "a crowd",
            pki.sign(CONTENT, "leaf", &["-md", "sha256", "-certfile", "crowd.pem"]),
            "the specification carries 19 signatures or certificates, and 16 are the most that is looked at",
        ),
    ];
    let trusted = chain(&pki, "root.pem");
    for (name, signed, expected) in table {
        for demand in [&trusted, &Demand::Content] {
            assert_eq!(open(&signed, demand), expected, "{name} {demand:?}");
        }
    }
    // As AWS's agent: what is inside, whoever signed it, as long as it is there.
    assert_eq!(open(&replaced(&signed, b"bundles", b"my-evil"), &Demand::Unchecked), evil);
    assert_eq!(
        open(&file("certificates"), &Demand::Unchecked),
        "the signature comes without the specification that it is for"
    );
}

#[test]
fn what_is_no_envelope_is_refused_whatever_is_demanded() {
    let pki = Pki::new();
    pki.leaf("leaf", "ec:P-256", "middle", "");
    let signed = pki.sign(CONTENT, "leaf", &["-md", "sha256"]);
    let structure = "the signed specification is no CMS structure";
    let huge = "A".repeat(LIMIT + 1);
    let mut trailing = signed.clone();
    trailing.extend_from_slice(b"\x05\0");
    let table = [
        (String::new(), structure),
        (pem(b""), structure),
        (CONTENT.to_owned(), "the signed specification is no base64 text"),
        (pem(CONTENT.as_bytes()), structure),
        (pem(&signed[..signed.len() - 1]), structure),
        (pem(&trailing), structure),
        (pem(&[&[0x30, 0x80][..]; 20_000].concat()), structure),
        (pem(&[0x30, 0x84, 0xff, 0xff, 0xff, 0xff]), structure),
    ];
    for demand in [Demand::Content, Demand::Unchecked, chain(&pki, "root.pem")] {
        for (text, expected) in &table {
            let error = envelope::open(text, &demand, now()).unwrap_err();
            assert_eq!(error.to_string(), *expected, "{text:.100} {demand:?}");
        }
        let expected = "the signed specification has 1048577 bytes, and 1048576 are the most that is read";
        assert_eq!(open_text(&huge, &demand), expected);
    }
}

#[test]
fn a_chain_leads_to_a_named_authority_and_holds_now() {
    let pki = Pki::new();
    pki.leaf("leaf", "ec:P-256", "middle", "");
    let signed = pem(&pki.sign(CONTENT, "leaf", &["-md", "sha256"]));
    let stranger = Pki::new();
    stranger.write("both.pem", stranger.read("root.pem") + &pki.read("root.pem"));
    let year = Duration::from_secs(366 * 86400);
    let at = |time, demand: &Demand| {
        envelope::open(&signed, demand, time).map(|_| ()).map_err(|error| (error.to_string(), error.hint().unwrap()))
    };
    let not_now = || {
        Err((
            "the signer's certificate is not valid at this time".to_owned(),
            "look at the clock of this host; a signer whose certificate has expired passes `spec_signature = \"content\"`",
        ))
    };
    let untrusted = |place: String| {
        Err((
            format!("the signer's certificate does not lead to an authority in {place}"),
            "name a PEM file with the signer's authority in `spec_signer_ca_file`, or ask for a right signature alone with \
         `spec_signature = \"content\"`",
        ))
    };
    let ours = chain(&pki, "root.pem");
    assert_eq!(at(now(), &ours), Ok(()));
    assert_eq!(at(now(), &chain(&pki, "middle.pem")), Ok(()));
    assert_eq!(at(now(), &chain(&stranger, "both.pem")), Ok(()));
    assert_eq!(at(now() + year, &ours), not_now());
    assert_eq!(at(now() - year, &ours), not_now());
    assert_eq!(
        at(now(), &chain(&stranger, "root.pem")),
        untrusted(format!("`{}`", stranger.path("root.pem").display()))
    );
    let host = Demand::of(&SignatureCheck::Chain(None)).unwrap();
    assert_eq!(at(now(), &host), untrusted("the host's trust store".to_owned()));
    // Whose it is and when it holds is not asked.
    assert_eq!(at(now() + 20 * year, &Demand::Content), Ok(()));

    // A certificate of the same name and number as the signer's, with another key.
    stranger.leaf("leaf", "ec:P-256", "middle", "");
    let by_stranger = pem(&stranger.sign(CONTENT, "leaf", &["-md", "sha256"]));
    assert_eq!(
        envelope::open(&by_stranger, &ours, now()).unwrap_err().to_string(),
        format!("the signer's certificate does not lead to an authority in `{}`", pki.path("root.pem").display())
    );
}

#[test]
fn a_file_of_authorities_that_is_of_no_use_is_named() {
    let pki = Pki::new();
    pki.write("empty.pem", "");
    pki.write("broken.pem", "-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n");
    pki.write("strange.pem", "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n");
    let path = |name: &str| pki.path(name).display().to_string();
    let table = [
        ("missing.pem", format!("cannot read the authorities in `{}` (`spec_signer_ca_file`)", path("missing.pem"))),
        ("empty.pem", format!("there are no certificates in `{}`", path("empty.pem"))),
        ("root.key", format!("there are no certificates in `{}`", path("root.key"))),
        ("broken.pem", format!("`{}` (`spec_signer_ca_file`) is no PEM file", path("broken.pem"))),
        ("strange.pem", format!("a certificate in `{}` (`spec_signer_ca_file`) cannot be used", path("strange.pem"))),
    ];
    for (name, expected) in table {
        let error = Demand::of(&SignatureCheck::Chain(Some(pki.path(name)))).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn a_signed_specification_becomes_an_order_and_a_changed_one_none() {
    let pki = Pki::new();
    pki.leaf("leaf", "ec:P-256", "middle", "");
    let signed = pki.sign(CONTENT, "leaf", &["-md", "sha256"]);
    let read = |der: &[u8], check: &SignatureCheck| {
        let envelope = Envelope { format: "PKCS7/JSON".to_owned(), payload: pem(der) };
        let specification = Specification { system: Some("CodeDeploy".to_owned()), envelope: Some(envelope) };
        match specification::read(&specification, check, &Policy::default(), now()) {
            Ok(specified) => specified.order.revision.to_string(),
            Err(error) => format!("{error}: {}", error.source().unwrap()),
        }
    };
    let changed = replaced(&signed, b"bundles", b"my-evil");
    for check in [SignatureCheck::Chain(Some(pki.path("root.pem"))), SignatureCheck::Content] {
        assert_eq!(read(&signed, &check), "s3://bundles/1.zip");
        assert_eq!(read(&changed, &check), format!("the specification's signature is refused: {CHANGED}"));
    }
    assert_eq!(read(&changed, &SignatureCheck::Unchecked), "s3://my-evil/1.zip");
}
