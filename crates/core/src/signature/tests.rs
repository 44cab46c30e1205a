//! Keys and signatures in `vectors` were made by minisign 0.11.

use std::fs;

use super::*;

const ONE: &str = include_str!("vectors/one.pub");
const OTHER: &str = include_str!("vectors/other.pub");
const PREHASHED: &str = include_str!("vectors/prehashed.minisig");
const ARCHIVE: &[u8] = include_bytes!("vectors/archive");

fn key(text: &str) -> PublicKey {
    text.parse().unwrap()
}

fn verify(signature: &str, archive: &[u8], keys: &[PublicKey]) -> Result<Signed, String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("archive");
    fs::write(&path, archive).unwrap();
    let signature = Signature::parse(signature.as_bytes()).map_err(|error| error.to_string())?;
    signature.verify(&path, keys).map_err(|error| error.to_string())
}

#[test]
fn a_signature_of_minisign_is_verified_by_the_key_that_made_it() {
    let comment = "longshore shop 0123456789abcdef0123456789abcdef01234567 \
                   sha256:1560527df3ca42e27f9c349e75eea83f20c56db2345bcf8c996c7690c5d2d92c";
    let signed = Signed { key_id: "781188AD86BA5F2B".into(), trusted_comment: comment.into() };
    assert_eq!(verify(PREHASHED, ARCHIVE, &[key(OTHER), key(ONE)]), Ok(signed));
    let claim = Claim::of_comment(comment).unwrap().unwrap();
    assert_eq!((claim.to_string().as_str(), claim.archive_digest), (comment, Sha256::of(ARCHIVE)));
}

#[test]
fn what_was_changed_is_not_signed() {
    let changed = |from: &str, to: &str| PREHASHED.replacen(from, to, 1);
    let wrong = "it names key 781188AD86BA5F2B, but is not that key's signature of this archive and comment: one of them \
                 was changed";
    let no_signature = "it is no signature of minisign, or is damaged";
    let mut archive = ARCHIVE.to_vec();
    archive[3] ^= 1;
    for (case, signature, archive, expected) in [
        ("archive", PREHASHED.to_owned(), archive.as_slice(), wrong),
        ("archive cut", PREHASHED.to_owned(), &ARCHIVE[1..], wrong),
        ("comment", changed("shop", "shoq"), ARCHIVE, wrong),
        ("comment longer", changed("2d92c\n", "2d92c \n"), ARCHIVE, wrong),
        ("signature", changed("eAZv", "eAZw"), ARCHIVE, wrong),
        ("global signature", changed("EPJU", "EPJV"), ARCHIVE, wrong),
        ("cut", PREHASHED[..PREHASHED.len() - 9].to_owned(), ARCHIVE, no_signature),
        ("first lines alone", PREHASHED.lines().take(2).collect::<Vec<_>>().join("\n"), ARCHIVE, no_signature),
        ("empty", String::new(), ARCHIVE, no_signature),
        ("a page", "<html>\n".repeat(9), ARCHIVE, no_signature),
        ("another algorithm", changed("RUQ", "RVQ"), ARCHIVE, no_signature),
        (
            "too much",
            format!("{PREHASHED}{}", "x".repeat(SIGNATURE_LIMIT)),
            ARCHIVE,
            &SignatureError::TooLarge.to_string(),
        ),
        (
            "another key",
            include_str!("vectors/other.minisig").to_owned(),
            ARCHIVE,
            "it was made with key E196CC21C866A103, and the accepted ones are 781188AD86BA5F2B",
        ),
        (
            "old mode",
            include_str!("vectors/legacy.minisig").to_owned(),
            ARCHIVE,
            "it was made in minisign's old mode, for which the whole archive would have to be in memory",
        ),
    ] {
        assert_eq!(verify(&signature, archive, &[key(ONE)]), Err(expected.to_owned()), "{case}");
    }
}

#[test]
fn a_key_that_took_the_id_of_another_does_not_stand_for_it() {
    let bytes: [u8; 32] = BASE64_STANDARD.decode(key(OTHER).to_string()).unwrap()[10..].try_into().unwrap();
    let impostor = PublicKey::of_bytes(key(ONE).id().0, &bytes);
    assert!(verify(PREHASHED, ARCHIVE, std::slice::from_ref(&impostor)).unwrap_err().starts_with("it names key"));
    // Nor does it keep the real one from being found.
    assert!(verify(PREHASHED, ARCHIVE, &[impostor, key(ONE)]).is_ok());
}

#[test]
fn a_public_key_is_its_line_or_its_whole_file() {
    let line = "RWQrX7qGrYgReFpneOScTazVzH7rft3BGfJ1c9JHkfd6jyODdD//eZFM";
    for text in [line, ONE, &format!("  {line}\r\n\n")] {
        assert_eq!((key(text).to_string().as_str(), key(text).id().to_string().as_str()), (line, "781188AD86BA5F2B"));
    }
    assert_eq!(key(line).to_file(), ONE);
    for text in
        ["", "RW", &line[1..], &format!("{line}A"), &format!("{line}\n{line}"), PREHASHED, &line.replace("RWQ", "RVQ")]
    {
        assert_eq!(text.parse::<PublicKey>(), Err(InvalidKey), "{text}");
    }
}

#[test]
fn a_comment_that_begins_like_ours_is_ours_or_wrong() {
    let digest = Sha256::of(ARCHIVE);
    let commit = "0123456789abcdef0123456789abcdef01234567";
    for comment in ["", "timestamp:1\tfile:x", "longshorex", "Longshore shop"] {
        assert!(Claim::of_comment(comment).unwrap().is_none(), "{comment}");
    }
    for comment in [
        "longshore ".to_owned(),
        format!("longshore shop {commit}"),
        format!("longshore shop {commit} sha512:{digest}"),
        format!("longshore ../shop {commit} sha256:{digest}"),
        format!("longshore shop {commit} sha256:{digest} again"),
    ] {
        assert!(Claim::of_comment(&comment).is_err(), "{comment}");
    }
}
