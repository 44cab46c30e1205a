use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use crate::kms::Kms;
use crate::sandbox::{Ran, Sandbox};

/// A project whose commit is built, and a pair of keys beside it.
struct Signing {
    sandbox: Sandbox,
    artifact: PathBuf,
}

impl Signing {
    fn new() -> Signing {
        Signing::of(Sandbox::shop())
    }

    fn of(sandbox: Sandbox) -> Signing {
        sandbox.run(&["build"]).ok();
        sandbox.run(&["keygen", "--no-password", "../one.key"]).ok();
        let artifact = sandbox.path(&format!("dist/shop-{}.zip", sandbox.head()));
        Signing { sandbox, artifact }
    }

    fn artifact(&self) -> &str {
        self.artifact.to_str().unwrap()
    }

    fn signature(&self) -> PathBuf {
        format!("{}.minisig", self.artifact()).into()
    }

    fn sign(&self) -> Ran {
        self.sandbox.run(&["sign", "--key", "../one.key", self.artifact()])
    }

    fn verify(&self) -> Ran {
        self.sandbox.run(&["verify", "--public-key", "../one.key.pub", self.artifact()])
    }

    fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut bytes = fs::read(path).unwrap();
        change(&mut bytes);
        fs::write(path, bytes).unwrap();
    }
}

/// The real minisign; tests that need it fail without it.
fn minisign(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new("minisign").args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = output.expect("minisign is installed: dev/services/install");
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

/// Ids and digests differ from run to run.
fn stable(ran: &Ran, sandbox: &Sandbox) -> String {
    let id = fs::read_to_string(sandbox.outside("one.key.pub")).unwrap();
    let id = id.lines().next().unwrap().rsplit(' ').next().unwrap().to_owned();
    let key = fs::read_to_string(sandbox.outside("one.key.pub")).unwrap().lines().nth(1).unwrap().to_owned();
    ran.shown().replace(&sandbox.head(), "[commit]").replace(&id, "[id]").replace(&key, "[key]")
}

#[test]
fn minisign_verifies_what_longshore_signed() {
    let signing = Signing::new();
    signing.sign().ok();
    let public = signing.sandbox.outside("one.key.pub");
    let arguments = ["-V", "-p", public.to_str().unwrap(), "-m", signing.artifact()];
    let (good, said) = minisign(Path::new("/"), &arguments);
    let digest = signing.sandbox.run(&["inspect", signing.artifact(), "--output", "json"]).ok().json();
    let digest = digest["archive_digest"].as_str().unwrap().to_owned();
    let comment = format!("Trusted comment: longshore shop {} sha256:{digest}\n", signing.sandbox.head());
    assert_eq!((good, said), (true, format!("Signature and comment signature verified\n{comment}")));
    signing.change(&signing.artifact, |bytes| bytes[40] ^= 1);
    assert!(!minisign(Path::new("/"), &arguments).0);
}

#[test]
fn longshore_verifies_what_minisign_signed() {
    let signing = Signing::new();
    let outside = signing.sandbox.outside("");
    assert!(minisign(&outside, &["-G", "-W", "-p", "theirs.pub", "-s", "theirs.key"]).0);
    assert!(minisign(&outside, &["-S", "-s", "theirs.key", "-m", signing.artifact(), "-t", "released by hand"]).0);
    let ran = signing.sandbox.run(&["verify", "--public-key", "../theirs.pub", signing.artifact(), "--output", "json"]);
    let signature = &ran.ok().json()["signature"];
    assert_eq!((&signature["verified"], &signature["trusted_comment"]), (&true.into(), &"released by hand".into()));
    // Nor does it matter whose program signs with whose key.
    signing.sandbox.run(&["sign", "--key", "../theirs.key", signing.artifact()]).ok();
    assert!(minisign(&outside, &["-V", "-p", "theirs.pub", "-m", signing.artifact()]).0);
    assert!(minisign(&outside, &["-S", "-s", "one.key", "-m", signing.artifact()]).0);
    signing.verify().ok();
    // The mode of minisign before 0.10 is refused, and the way out is named.
    assert!(minisign(&outside, &["-S", "-l", "-s", "one.key", "-m", signing.artifact()]).0);
    let legacy = signing.verify().exits(8);
    assert!(
        legacy.stderr.contains("in minisign's old mode") && legacy.stderr.contains("minisign -S -H -m"),
        "{}",
        legacy.stderr
    );
}

#[test]
fn what_was_signed_is_verified_and_shown() {
    let signing = Signing::new();
    insta::assert_snapshot!("signed", stable(&signing.sign().ok(), &signing.sandbox));
    insta::assert_snapshot!("verified", stable(&signing.verify().ok(), &signing.sandbox));
}

#[test]
fn what_was_changed_after_signing_is_refused() {
    let replaced = |from: &'static str, to: &'static str| {
        move |bytes: &mut Vec<u8>| *bytes = String::from_utf8(bytes.clone()).unwrap().replacen(from, to, 1).into_bytes()
    };
    type Change = Box<dyn FnOnce(&mut Vec<u8>)>;
    let archive: Change = Box::new(|bytes| bytes[40] ^= 1);
    let comment: Change = Box::new(replaced("longshore shop", "longshore shoq"));
    let garbage: Change = Box::new(|bytes| *bytes = b"<html>".to_vec());
    let huge: Change = Box::new(|bytes| bytes.resize(1 << 20, b'x'));
    for (case, of_archive, change, expected) in [
        ("archive", true, archive, "one of them was changed"),
        ("comment", false, comment, "one of them was changed"),
        ("garbage", false, garbage, "is no signature of minisign, or is damaged"),
        ("huge", false, huge, "larger than 8192 bytes"),
    ] {
        let signing = Signing::new();
        signing.sign().ok();
        let path = if of_archive { signing.artifact.clone() } else { signing.signature() };
        signing.change(&path, change);
        let refused = signing.verify().exits(8);
        assert!(refused.stderr.contains(expected), "{case}: {}", refused.stderr);
        // That it need not be signed does not make a wrong signature right.
        let arguments = ["verify", "--unsigned", "--public-key", "../one.key.pub", signing.artifact()];
        signing.sandbox.run(&arguments).exits(8);
    }
}

#[test]
fn what_is_not_signed_by_an_accepted_key_is_not_verified() {
    let signing = Signing::new();
    let missing = signing.verify().exits(7);
    assert!(missing.stderr.contains("is not signed: there is no `[dir]/shop/dist/"), "{}", missing.stderr);
    let unsigned = signing.sandbox.run(&["verify", "--unsigned", signing.artifact(), "--output", "json"]).ok();
    assert_eq!(unsigned.json()["signature"], serde_json::Value::Null);
    signing.sign().ok();
    let no_key = signing.sandbox.run(&["verify", signing.artifact()]).exits(2);
    assert!(no_key.stderr.contains("no public key to verify the signature with"), "{}", no_key.stderr);
    signing.sandbox.run(&["keygen", "--no-password", "../other.key"]).ok();
    let other = ["verify", "--public-key", "../other.key.pub", signing.artifact()];
    let refused = signing.sandbox.run(&other).exits(8);
    assert!(refused.stderr.contains("it was made with key "), "{}", refused.stderr);
    // One of several is enough.
    let both = [&other[..], &["--public-key", "../one.key.pub"]].concat();
    signing.sandbox.run(&both).ok();
    signing.sandbox.run(&["verify", "--public-key", "../one.key.pub", "s3://b/shop/x.zip"]).exits(2);
    signing.sandbox.run(&["verify", "--public-key", "../one.key.pub", "nothing.zip"]).exits(7);
}

#[test]
fn the_variable_of_public_keys_is_read_as_settings_are_and_makes_the_settings_file_unneeded() {
    let signing = Signing::new();
    signing.sign().ok();
    let key = fs::read_to_string(signing.sandbox.outside("one.key.pub")).unwrap();
    let key = key.lines().nth(1).unwrap();
    let Signing { mut sandbox, artifact } = signing;
    let artifact = artifact.to_str().unwrap().to_owned();
    sandbox.write("longshore.toml", "colour = 1\n");
    let refused = sandbox.run(&["verify", &artifact]).exits(3);
    assert!(refused.stderr.contains("unknown key"), "{}", refused.stderr);
    for (value, code) in [
        (key.to_owned(), 0),
        (format!("{key},"), 0),
        (format!(" {key} , "), 0),
        ("../one.key.pub".to_owned(), 0),
        ("none".to_owned(), 2),
        ("../two.key.pub".to_owned(), 7),
    ] {
        sandbox = sandbox.env("LONGSHORE_PUBLIC_KEY", &value);
        let ran = sandbox.run(&["verify", &artifact]);
        assert_eq!(ran.code, code, "{value}: {}", ran.stderr);
        if value == "none" {
            assert!(ran.stderr.contains("there is no public key to verify the signature with"), "{}", ran.stderr);
        }
    }
    // Paths in the variable start from the working folder, those of the file from its own.
    sandbox.write("longshore.toml", "application = \"shop\"\n[sign]\npublic_keys = [\"../one.key.pub\"]\n");
    sandbox = sandbox.env("LONGSHORE_PUBLIC_KEY", "");
    sandbox.run(&["verify", &artifact]).ok();
}

#[test]
fn a_signature_of_another_artifact_under_the_same_key_is_refused() {
    let signing = Signing::new();
    signing.sign().ok();
    let digest = signing.sandbox.run(&["inspect", signing.artifact(), "--output", "json"]).ok().json();
    let comment = format!("longshore shop {} sha256:{}", "0".repeat(40), digest["archive_digest"].as_str().unwrap());
    let outside = signing.sandbox.outside("");
    assert!(minisign(&outside, &["-S", "-s", "one.key", "-m", signing.artifact(), "-t", &comment]).0);
    let refused = signing.verify().exits(8);
    assert!(refused.stderr.contains(&format!("it was made for commit `{}`", "0".repeat(40))), "{}", refused.stderr);
}

#[test]
fn a_key_is_its_owners_alone_and_never_overwritten() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["keygen", "--no-password", "../one.key"]).ok();
    let (secret, public) = (sandbox.outside("one.key"), sandbox.outside("one.key.pub"));
    let mode = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o7777;
    assert_eq!((mode(&secret), mode(&public) & 0o600), (0o600, 0o600));
    let before = (fs::read(&secret).unwrap(), fs::read(&public).unwrap());
    let refused = sandbox.run(&["keygen", "--no-password", "../one.key"]).exits(4);
    assert!(refused.stderr.contains("`../one.key` exists, and a key is never overwritten"), "{}", refused.stderr);
    // Nor through a link, nor the public half alone; and no half is left behind.
    symlink(sandbox.outside("elsewhere"), sandbox.outside("link.key")).unwrap();
    sandbox.run(&["keygen", "--no-password", "../link.key"]).exits(4);
    fs::write(sandbox.outside("half.key.pub"), "mine").unwrap();
    sandbox.run(&["keygen", "--no-password", "../half.key"]).exits(4);
    assert_eq!((fs::read(&secret).unwrap(), fs::read(&public).unwrap()), before);
    assert!(!sandbox.outside("elsewhere").exists() && !sandbox.outside("half.key").exists());
    // Who reads it may sign.
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o644)).unwrap();
    sandbox.run(&["build"]).ok();
    let artifact = format!("dist/shop-{}.zip", sandbox.head());
    let signed = sandbox.run(&["sign", "--key", "../one.key", &artifact]).ok();
    assert!(signed.stderr.contains("can be read by others: chmod 600 ../one.key"), "{}", signed.stderr);
}

#[test]
fn an_encrypted_key_opens_with_its_password_alone() {
    let sandbox = Sandbox::shop().env("LONGSHORE_SIGN_PASSWORD", "correct horse");
    sandbox.run(&["keygen", "../one.key"]).ok();
    let text = fs::read_to_string(sandbox.outside("one.key")).unwrap();
    assert!(text.starts_with("untrusted comment: minisign encrypted secret key\nRWRTY"), "{text}");
    let signed = sandbox.run(&["build", "--sign", "--key", "../one.key"]).ok();
    assert!(signed.stderr.contains("      Signed with key "), "{}", signed.stderr);
    let sandbox = sandbox.env("LONGSHORE_SIGN_PASSWORD", "battery staple");
    let wrong = sandbox.run(&["build", "--sign", "--key", "../one.key"]).exits(2);
    assert!(wrong.stderr.contains("the password does not open the secret key in `../one.key`"), "{}", wrong.stderr);
    assert!(!wrong.stderr.contains("staple") && !wrong.stderr.contains("Packed"), "{}", wrong.stderr);
    // Nobody to ask: CI must not wait for ever.
    let sandbox = sandbox.env("LONGSHORE_SIGN_PASSWORD", "");
    let refused = sandbox.run(&["build", "--sign", "--key", "../one.key"]).exits(2);
    assert!(refused.stderr.contains("put the password into `LONGSHORE_SIGN_PASSWORD`"), "{}", refused.stderr);
    sandbox.run(&["keygen", "../two.key"]).exits(2);
}

#[test]
fn the_key_is_found_by_flag_then_environment_then_settings() {
    let signing = Signing::new();
    let text = fs::read_to_string(signing.sandbox.outside("one.key")).unwrap();
    let none = signing.sandbox.run(&["build", "--sign"]).exits(2);
    assert!(none.stderr.contains("there is no key to sign with"), "{}", none.stderr);
    // The whole text, and its second line alone.
    for text in [text.as_str(), text.lines().nth(1).unwrap()] {
        let sandbox = Sandbox::shop().env("LONGSHORE_SIGN_KEY", text);
        fs::copy(signing.sandbox.outside("one.key.pub"), sandbox.outside("one.key.pub")).unwrap();
        let ran = sandbox.run(&["build", "--sign", "--provenance"]).ok();
        let shown = format!(
            "{}{}{}",
            ran.stdout,
            ran.stderr,
            fs::read_to_string(sandbox.path(&format!("dist/shop-{}.zip.intoto.json", sandbox.head()))).unwrap()
        );
        assert!(!shown.contains(text.lines().last().unwrap()), "{shown}");
        let artifact = format!("dist/shop-{}.zip", sandbox.head());
        sandbox.run(&["verify", "--public-key", "../one.key.pub", &artifact]).ok();
        let sandbox = sandbox.env("LONGSHORE_SIGN_KMS_KEY", "alias/x");
        let two = sandbox.run(&["build", "--sign"]).exits(2);
        assert!(
            two.stderr.contains("`LONGSHORE_SIGN_KEY` and `LONGSHORE_SIGN_KMS_KEY` both name a key"),
            "{}",
            two.stderr
        );
    }
    // One that is named by `--set` goes before both variables, and one that is taken back leaves the other.
    for variable in ["LONGSHORE_SIGN_KEY", "LONGSHORE_SIGN_KMS_KEY"] {
        let sandbox = Sandbox::shop().env(variable, "unused");
        fs::copy(signing.sandbox.outside("one.key"), sandbox.outside("one.key")).unwrap();
        sandbox.run(&["build", "--sign", "--set", "sign.key=../one.key"]).ok();
    }
    let sandbox = Sandbox::shop().env("LONGSHORE_SIGN_KEY", &text).env("LONGSHORE_SIGN_KMS_KEY", "unused");
    sandbox.run(&["build", "--sign", "--set", "sign.kms_key="]).ok();
    let sandbox = Sandbox::shop().env("LONGSHORE_SIGN_KEY", "not a key");
    let wrong = sandbox.run(&["build", "--sign"]).exits(2);
    assert!(
        wrong.stderr.contains("`LONGSHORE_SIGN_KEY` holds no secret key") && !wrong.stderr.contains("not a key"),
        "{}",
        wrong.stderr
    );
}

#[test]
fn a_key_of_kms_signs_and_minisign_verifies_it() {
    let kms = Kms::start("ECC_NIST_EDWARDS25519");
    let sandbox = kms.environment(Sandbox::shop());
    sandbox.run(&["keygen", "--kms-key", "alias/longshore", "../kms"]).ok();
    let public = sandbox.outside("kms.pub");
    let shown = sandbox.run(&["keygen", "--kms-key", "alias/longshore", "--output", "json"]).ok().json();
    assert!(fs::read_to_string(&public).unwrap().contains(shown["public_key"].as_str().unwrap()));
    sandbox.run(&["build", "--sign", "--kms-key", "alias/longshore"]).ok();
    let artifact = sandbox.path(&format!("dist/shop-{}.zip", sandbox.head()));
    let artifact = artifact.to_str().unwrap();
    let (good, said) = minisign(Path::new("/"), &["-V", "-p", public.to_str().unwrap(), "-m", artifact]);
    assert!(good, "{said}");
    sandbox.run(&["verify", "--public-key", "../kms.pub", artifact]).ok();
    // An ARN brings its region.
    sandbox.run(&["sign", "--kms-key", "arn:aws:kms:eu-north-1:123456789012:key/longshore", artifact]).ok();
    let asked = kms.asked();
    assert!(asked.iter().any(|line| line == "eu-north-1 Sign ED25519_SHA_512 RAW"), "{asked:?}");
    assert!(asked.iter().any(|line| line == "eu-west-1 Sign ED25519_SHA_512 RAW"), "{asked:?}");
}

#[test]
fn a_kms_that_does_not_sign_leaves_everything_as_it_was_and_names_the_next_command() {
    let edwards = "ECC_NIST_EDWARDS25519";
    let create = "aws kms create-key --region eu-west-1 --key-spec ECC_NIST_EDWARDS25519 --key-usage SIGN_VERIFY";
    let describe = |key: &str| format!("aws kms describe-key --region eu-west-1 --key-id alias/{key}");
    let enable = format!(
        "aws kms enable-key --region eu-west-1 --key-id \"$({} --query KeyMetadata.KeyId --output text)\"",
        describe("disabled")
    );
    for (kind, key, code, said, next) in [
        (
            "RSA_2048",
            "longshore",
            2,
            "is of the kind RSA_2048, and signatures are made with ECC_NIST_EDWARDS25519",
            create,
        ),
        (edwards, "agreement", 2, "is for KEY_AGREEMENT, and signatures are made with keys for SIGN_VERIFY", create),
        (edwards, "symmetric", 2, "UnsupportedOperationException: The key is symmetric.", create),
        (edwards, "mac", 2, "KMS in eu-west-1 cannot sign with `alias/mac`", create),
        (
            edwards,
            "other",
            7,
            "NotFoundException: Alias alias/other is not found",
            "aws kms list-aliases --region eu-west-1",
        ),
        (edwards, "forbidden", 10, "KMS in eu-west-1 cannot give the public key of `alias/forbidden`", "`kms:Sign`"),
        (
            edwards,
            "read-only",
            10,
            "KMS in eu-west-1 cannot sign with `alias/read-only`",
            "aws sts get-caller-identity",
        ),
        (edwards, "disabled", 10, "DisabledException: The key is disabled.", &enable),
        (edwards, "deleted", 10, "KMSInvalidStateException: The key is pending deletion.", &describe("deleted")),
        (edwards, "expired", 10, "ExpiredTokenException", "log in again or renew the keys"),
        (edwards, "throttled", 10, "ThrottlingException: Rate exceeded", "run the same command again"),
    ] {
        let kms = Kms::start(kind);
        let sandbox = kms.environment(Sandbox::shop());
        let key = format!("alias/{key}");
        let refused = sandbox.run(&["build", "--sign", "--provenance", "--kms-key", &key]).exits(code);
        let shown = &refused.stderr;
        assert!(shown.contains(said) && shown.contains(next) && !shown.contains("Packed"), "{key}: {shown}");
        assert!(!sandbox.path("dist").exists(), "{key}");
    }
}

#[test]
fn a_kms_that_fails_after_packing_leaves_the_earlier_artifact_as_it_was() {
    let kms = Kms::start("ECC_NIST_EDWARDS25519");
    let sandbox = kms.environment(Sandbox::shop());
    let build = |more: &[&str]| sandbox.run(&[&["build", "--sign", "--provenance", "--kms-key"], more].concat());
    let late = build(&["alias/late"]).exits(10);
    assert!(late.stderr.contains("Packed") && late.stderr.contains("run the same command again"), "{}", late.stderr);
    assert_eq!(fs::read_dir(sandbox.path("dist")).unwrap().count(), 0);
    build(&["alias/longshore"]).ok();
    let files = || {
        let entries = fs::read_dir(sandbox.path("dist")).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect::<BTreeMap<_, _>>()
    };
    let before = files();
    assert_eq!(before.len(), 3);
    let sandbox = sandbox.env("SOURCE_DATE_EPOCH", "1700000000");
    sandbox.run(&["build", "--sign", "--kms-key", "alias/late"]).exits(10);
    let entries = fs::read_dir(sandbox.path("dist")).unwrap().map(|entry| entry.unwrap().path());
    let after: BTreeMap<_, _> = entries.map(|path| (path.clone(), fs::read(path).unwrap())).collect();
    assert!(after == before, "{:?}", after.keys());
}

#[test]
fn the_region_of_a_kms_key_is_that_of_its_arn_then_of_the_settings_then_of_the_environment() {
    let arn = "arn:aws:kms:eu-north-1:123456789012:key/longshore";
    for (case, file, variables, key, expected) in [
        (
            "arn",
            "region = \"us-west-2\"\n",
            &[("LONGSHORE_REGION", "us-east-2"), ("AWS_REGION", "eu-west-1")][..],
            arn,
            "eu-north-1",
        ),
        (
            "variable",
            "region = \"us-west-2\"\n",
            &[("LONGSHORE_REGION", "us-east-2"), ("AWS_REGION", "eu-west-1")],
            "alias/longshore",
            "us-east-2",
        ),
        ("file", "region = \"us-west-2\"\n", &[("AWS_REGION", "eu-west-1")], "alias/longshore", "us-west-2"),
        ("aws", "", &[("AWS_REGION", "eu-west-1")], "alias/longshore", "eu-west-1"),
    ] {
        let kms = Kms::start("ECC_NIST_EDWARDS25519");
        let sandbox = Sandbox::empty();
        sandbox.write_shop();
        sandbox.write("longshore.toml", &format!("application = \"shop\"\n{file}"));
        sandbox.commit();
        let sandbox = kms.environment_without_region(sandbox);
        let sandbox = variables.iter().fold(sandbox, |sandbox, (name, value)| sandbox.env(name, value));
        sandbox.run(&["build", "--sign", "--kms-key", key]).ok();
        sandbox.run(&["keygen", "--kms-key", key]).ok();
        let asked = kms.asked();
        assert!(asked.iter().all(|line| line.starts_with(expected)), "{case}: {asked:?}");
        assert_eq!(asked.last().unwrap(), &format!("{expected} GetPublicKey"), "{case}");
    }
    let kms = Kms::start("ECC_NIST_EDWARDS25519");
    let sandbox = kms.environment_without_region(Sandbox::shop());
    let unknown = sandbox.run(&["build", "--sign", "--kms-key", "alias/longshore"]).exits(2);
    assert!(unknown.stderr.contains("the region of the KMS key `alias/longshore` is not known"), "{}", unknown.stderr);
    assert!(unknown.stderr.contains("hint: set `region` in longshore.toml"), "{}", unknown.stderr);
}

#[test]
fn a_signature_that_is_wrong_when_it_is_made_is_not_written() {
    let kms = Kms::start("ECC_NIST_EDWARDS25519");
    let sandbox = kms.environment(Sandbox::shop());
    let refused = sandbox.run(&["build", "--sign", "--kms-key", "alias/liar"]).exits(1);
    assert!(
        refused.stderr.contains("the signature that was made is not right, and was not written"),
        "{}",
        refused.stderr
    );
    assert_eq!(fs::read_dir(sandbox.path("dist")).unwrap().count(), 0);
}

#[test]
fn signature_and_provenance_are_published_beside_the_artifact_and_stay() {
    let signing = Signing::new();
    let (sandbox, head) = (&signing.sandbox, signing.sandbox.head());
    sandbox.run(&["build", "--sign", "--key", "../one.key", "--provenance"]).ok();
    let to = format!("file://{}", sandbox.outside("store").display());
    let push = ["push", "--to", to.as_str(), "--group", "dev", "--output", "json"];
    let pushed = sandbox.run(&push).ok();
    assert!(
        pushed.stderr.contains(&format!("Published `file://[dir]/store/shop/{head}.zip.minisig`")),
        "{}",
        pushed.stderr
    );
    assert_eq!(pushed.json()["signature"], format!("file://[dir]/store/shop/{head}.zip.minisig"));
    let stored = |suffix: &str| fs::read(sandbox.outside(&format!("store/shop/{head}.zip{suffix}"))).unwrap();
    let beside = |suffix: &str| fs::read(format!("{}{suffix}", signing.artifact())).unwrap();
    for suffix in ["", ".minisig", ".intoto.json"] {
        assert!(stored(suffix) == beside(suffix), "{suffix}");
    }
    // What a host would see.
    let artifact = sandbox.outside(&format!("store/shop/{head}.zip"));
    let verified = sandbox.run(&["verify", "--public-key", "../one.key.pub", artifact.to_str().unwrap()]).ok();
    assert!(verified.stdout.contains("provenance  agrees with the artifact"), "{}", verified.stdout);
    // Signed once more by the same key: what is there says the same, and stays.
    let first = stored(".minisig");
    signing.sign().ok();
    sandbox.run(&push).ok();
    assert!(stored(".minisig") == first);
    let again = sandbox.run(&["push", "--to", to.as_str()]).ok();
    for suffix in [".minisig", ".intoto.json"] {
        let line = format!("Found `file://[dir]/store/shop/{head}.zip{suffix}`: already published");
        assert!(again.stderr.contains(&line), "{}", again.stderr);
    }
    assert!(!again.stderr.contains("Published"), "{}", again.stderr);
    // By another key: refused, before the group moves.
    sandbox.run(&["keygen", "--no-password", "../other.key"]).ok();
    sandbox.run(&["sign", "--key", "../other.key", signing.artifact()]).ok();
    let refused = sandbox.run(&push).exits(4);
    assert!(refused.stdout.contains("holds another signature, made with key "), "{}", refused.stdout);
    assert!(stored(".minisig") == first);
}

#[test]
fn what_is_left_from_an_earlier_build_is_not_published() {
    let signing = Signing::of(Sandbox::shop());
    let sandbox = &signing.sandbox;
    sandbox.run(&["build", "--sign", "--key", "../one.key", "--provenance"]).ok();
    let to = format!("file://{}", sandbox.outside("store").display());
    let push = ["push", "--to", to.as_str()];
    // The same commit, other bytes: another time stamp.
    sandbox.shell("mkdir ../old && cp dist/*.minisig dist/*.intoto.json ../old").ok();
    let epoch = sandbox.shell("SOURCE_DATE_EPOCH=1700000000 $LONGSHORE build").ok();
    assert!(epoch.stderr.contains("which had other bytes"), "{}", epoch.stderr);
    assert!(epoch.stderr.contains(".minisig`, which was of the archive that was replaced"), "{}", epoch.stderr);
    sandbox.shell("cp ../old/* dist").ok();
    let refused = sandbox.run(&push).exits(8);
    assert!(refused.stderr.contains("is no signature of `[dir]/shop/dist/"), "{}", refused.stderr);
    assert!(refused.stderr.contains("sign again: longshore sign"), "{}", refused.stderr);
    signing.sign().ok();
    let refused = sandbox.run(&push).exits(8);
    assert!(refused.stderr.contains("is no provenance of `[dir]/shop/dist/"), "{}", refused.stderr);
    assert!(!sandbox.outside("store").exists());
    sandbox.shell("SOURCE_DATE_EPOCH=1700000000 $LONGSHORE build --provenance").ok();
    sandbox.run(&push).ok();
}

#[test]
fn a_signature_of_bytes_that_are_not_those_published_is_refused() {
    let signing = Signing::new();
    let sandbox = &signing.sandbox;
    let to = format!("file://{}", sandbox.outside("store").display());
    sandbox.run(&["push", "--to", &to]).ok();
    sandbox.shell("SOURCE_DATE_EPOCH=1700000000 $LONGSHORE build").ok();
    signing.sign().ok();
    let refused = sandbox.run(&["push", "--to", &to]).exits(4);
    assert!(refused.stderr.contains("has the same content in other bytes"), "{}", refused.stderr);
    assert!(!sandbox.outside(&format!("store/shop/{}.zip.minisig", sandbox.head())).exists());
}

#[test]
fn what_was_published_and_signed_in_other_bytes_is_found_again_by_the_same_key_alone() {
    let signing = Signing::new();
    let (sandbox, head) = (&signing.sandbox, signing.sandbox.head());
    sandbox.run(&["keygen", "--no-password", "../other.key"]).ok();
    let to = format!("file://{}", sandbox.outside("store").display());
    let push = |epoch: u32, more: &str| {
        let push = format!("$LONGSHORE push --build --to {to} --output json --sign {more}");
        sandbox.shell(&format!("SOURCE_DATE_EPOCH={epoch} {push}"))
    };
    let stored = || {
        ["", ".minisig", ".intoto.json"]
            .map(|suffix| fs::read(sandbox.outside(&format!("store/shop/{head}.zip{suffix}"))).ok())
    };
    let first = push(1_600_000_000, "--key ../one.key --provenance").ok().json();
    let before = stored();
    assert!(before.iter().all(Option::is_some));
    for more in ["--key ../one.key --provenance", "--key ../one.key"] {
        let again = push(1_700_000_000, more).ok().json();
        assert_eq!(again["already_published"], true);
        assert_eq!(again["archive_digest"], first["archive_digest"]);
        assert_ne!(again["build"]["archive_digest"], first["archive_digest"]);
    }
    for (what, spoil) in [
        ("another key", None),
        ("a signature that is not right", Some((".minisig", forged(before[1].as_ref().unwrap())))),
        ("provenance of something else", Some((".intoto.json", b"{}".to_vec()))),
    ] {
        let key = if spoil.is_some() { "../one.key" } else { "../other.key" };
        if let Some((suffix, bytes)) = &spoil {
            fs::write(sandbox.outside(&format!("store/shop/{head}.zip{suffix}")), bytes).unwrap();
        }
        let there = stored();
        let refused = push(1_700_000_000, &format!("--key {key} --provenance")).exits(4);
        assert!(refused.stdout.contains("has the same content in other bytes"), "{what}: {}", refused.stdout);
        assert!(stored() == there, "{what}");
        for (suffix, bytes) in [(".minisig", &before[1]), (".intoto.json", &before[2])] {
            fs::write(sandbox.outside(&format!("store/shop/{head}.zip{suffix}")), bytes.as_ref().unwrap()).unwrap();
        }
    }
}

#[test]
fn what_a_push_that_did_not_end_has_left_is_removed_by_one_command() {
    let signing = Signing::new();
    let (sandbox, head) = (&signing.sandbox, signing.sandbox.head());
    let to = format!("file://{}", sandbox.outside("store").display());
    let push = |epoch: u32| {
        let push = format!("$LONGSHORE push --build --to {to} --sign --key ../one.key --provenance");
        sandbox.shell(&format!("SOURCE_DATE_EPOCH={epoch} {push}"))
    };
    push(1_600_000_000).ok();
    fs::remove_file(sandbox.outside(&format!("store/shop/{head}.zip"))).unwrap();
    let refused = push(1_700_000_000).exits(4);
    assert!(
        refused.stderr.contains(&format!(
            "`file://[dir]/store/shop/{head}.zip.minisig` holds the signature of another archive, and no artifact stands there"
        )),
        "{}",
        refused.stderr
    );
    let (_, removal) = refused.stderr.split_once("remove it and push again: ").unwrap();
    let place = format!("[dir]/store/shop/{head}.zip");
    assert_eq!(removal.trim(), format!("rm {place}.minisig && rm {place}.intoto.json"));
    sandbox.shell(&removal.trim().replace("[dir]", sandbox.outside("").to_str().unwrap())).ok();
    push(1_700_000_000).ok();
}

#[test]
fn a_signature_of_a_key_that_is_not_accepted_is_not_published() {
    for (case, is_forged) in [("right", false), ("forged", true)] {
        let signing = Signing::new();
        signing.sign().ok();
        if is_forged {
            signing.change(&signing.signature(), |bytes| *bytes = forged(bytes));
        }
        signing.sandbox.run(&["keygen", "--no-password", "../other.key"]).ok();
        let to = format!("file://{}", signing.sandbox.outside("store").display());
        let sandbox = signing.sandbox.env("LONGSHORE_PUBLIC_KEY", "../other.key.pub");
        let refused = sandbox.run(&["push", "--to", &to]).exits(8);
        assert!(refused.stderr.contains("and the accepted ones are "), "{case}: {}", refused.stderr);
        assert!(refused.stderr.contains("if that key may sign, name its public key too"), "{case}: {}", refused.stderr);
        assert!(!sandbox.outside("store").exists(), "{case}");
        // Who signs in the same run knows what it does.
        sandbox.run(&["push", "--to", &to, "--build", "--sign", "--key", "../one.key"]).ok();
    }
}

/// A signature that says all that it should, and that its key did not make.
fn forged(signature: &[u8]) -> Vec<u8> {
    let text = String::from_utf8(signature.to_vec()).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let mut bytes = BASE64_STANDARD.decode(&lines[1]).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    lines[1] = BASE64_STANDARD.encode(bytes);
    (lines.join("\n") + "\n").into_bytes()
}

#[test]
fn a_forged_signature_is_not_published_where_its_public_key_is_known() {
    let variable = |signing: Signing, value: &str| {
        let sandbox = signing.sandbox.env("LONGSHORE_PUBLIC_KEY", value);
        Signing { sandbox, ..signing }
    };
    for case in ["variable", "one of several", "settings", "beside the key", "unknown"] {
        let signing = Signing::new();
        signing.sign().ok();
        signing.change(&signing.signature(), |bytes| *bytes = forged(bytes));
        let settings =
            |text: &str| signing.sandbox.write("longshore.toml", &format!("application = \"shop\"\n[sign]\n{text}\n"));
        let public = fs::read_to_string(signing.sandbox.outside("one.key.pub")).unwrap();
        match case {
            "settings" => settings("public_keys = [\"../one.key.pub\"]"),
            "beside the key" => settings("key = \"../one.key\""),
            _ => {}
        }
        let signing = match case {
            "variable" => variable(signing, &public),
            "one of several" => variable(signing, &format!("../other.key.pub, {}", public.lines().nth(1).unwrap())),
            _ => signing,
        };
        signing.sandbox.run(&["keygen", "--no-password", "../other.key"]).ok();
        let to = format!("file://{}", signing.sandbox.outside("store").display());
        let pushed = signing.sandbox.run(&["push", "--to", &to, signing.artifact()]);
        match case {
            "unknown" => {
                let told = pushed.ok();
                assert!(
                    told.stderr.contains("is of this artifact is not known without the public key"),
                    "{}",
                    told.stderr
                );
            }
            _ => {
                let refused = pushed.exits(8);
                assert!(
                    refused.stderr.contains("but is not that key's signature of this archive"),
                    "{case}: {}",
                    refused.stderr
                );
                assert!(refused.stderr.contains("sign again: longshore sign"), "{case}: {}", refused.stderr);
                assert!(!signing.sandbox.outside("store").exists(), "{case}");
            }
        }
    }
}

#[test]
fn a_forged_signature_in_the_store_is_told_of_with_the_command_that_removes_it() {
    let signing = Signing::new();
    signing.sign().ok();
    let sandbox = signing.sandbox;
    let to = format!("file://{}", sandbox.outside("store").display());
    let push = ["push", "--to", to.as_str()];
    sandbox.run(&push).ok();
    let stored = sandbox.outside(&format!("store/shop/{}.zip.minisig", sandbox.head()));
    let right = fs::read(&stored).unwrap();
    fs::write(&stored, forged(&right)).unwrap();
    // Nobody can tell without the public key, which is said; who signs has it.
    let told = sandbox.run(&push).ok();
    assert!(told.stderr.contains("without the public key, nor of one that is published already"), "{}", told.stderr);
    let signs = [&push[..], &["--build", "--sign", "--key", "../one.key"]].concat();
    let refused = sandbox.run(&signs).exits(4);
    assert!(refused.stderr.contains("holds a signature that is not right (it names key "), "{}", refused.stderr);
    let sandbox = sandbox.env("LONGSHORE_PUBLIC_KEY", "../one.key.pub");
    let refused = sandbox.run(&push).exits(4);
    assert!(refused.stderr.contains("holds a signature that is not right (it names key "), "{}", refused.stderr);
    let (_, removal) = refused.stderr.split_once("remove it and push again: ").unwrap();
    sandbox.shell(&removal.trim().replace("[dir]", sandbox.outside("").to_str().unwrap())).ok();
    sandbox.run(&push).ok();
    assert!(fs::read(&stored).unwrap() == fs::read(format!("{}.minisig", signing.artifact.display())).unwrap());
    // Another signature of the same key that is right may stay.
    let outside = sandbox.outside("");
    let archive = stored.with_extension("");
    assert!(minisign(&outside, &["-S", "-s", "one.key", "-m", archive.to_str().unwrap(), "-t", "by hand"]).0);
    let by_hand = fs::read(&stored).unwrap();
    sandbox.run(&push).ok();
    assert!(fs::read(&stored).unwrap() == by_hand);
}

#[test]
fn an_artifact_without_a_signature_is_warned_of_where_there_is_a_key() {
    let signing = Signing::new();
    let sandbox = &signing.sandbox;
    let push = |store: &str| {
        let to = format!("file://{}", sandbox.outside(store).display());
        sandbox.run(&["push", "--to", &to, signing.artifact()]).ok().stderr
    };
    assert!(!push("none").contains("has no signature"));
    sandbox.write("longshore.toml", "application = \"shop\"\n[sign]\nkey = \"../one.key\"\n");
    let warning = format!(
        "warning: `file://[dir]/store/shop/{head}.zip` has no signature, although `sign.key` names a key: longshore sign \
         [dir]/shop/dist/shop-{head}.zip, and push again\n",
        head = sandbox.head()
    );
    for _ in ["new", "already there"] {
        let shown = push("store");
        assert!(shown.contains(&warning), "{shown}");
    }
    // What it says is what helps.
    sandbox.run(&["sign", signing.artifact()]).ok();
    assert!(!push("store").contains("has no signature"));
    fs::remove_file(signing.signature()).unwrap();
    assert!(!push("store").contains("has no signature"), "it was signed earlier");
    let sandbox = Sandbox::shop().env("LONGSHORE_SIGN_KMS_KEY", "alias/longshore");
    let to = format!("file://{}", sandbox.outside("store").display());
    let shown = sandbox.run(&["push", "--build", "--to", &to]).ok().stderr;
    assert!(shown.contains("has no signature, although `LONGSHORE_SIGN_KMS_KEY` names a key"), "{shown}");
}

#[test]
fn large_provenance_is_found_again_and_larger_one_is_refused() {
    let signing = Signing::new();
    signing.sandbox.run(&["build", "--provenance"]).ok();
    let path = PathBuf::from(format!("{}.intoto.json", signing.artifact()));
    let grow = |to: usize| {
        let mut statement: serde_json::Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        let images = statement["predicate"]["buildDefinition"]["resolvedDependencies"].as_array_mut().unwrap();
        let one = serde_json::json!({"uri": "docker://shop:1", "digest": {"sha256": "0".repeat(64)}});
        images.resize(to, one);
        fs::write(&path, serde_json::to_vec(&statement).unwrap()).unwrap();
        fs::metadata(&path).unwrap().len()
    };
    let to = format!("file://{}", signing.sandbox.outside("store").display());
    let push = || signing.sandbox.run(&["push", "--to", &to]);
    assert!(grow(30_000) > 3 << 20);
    push().ok();
    // Of another run, as large: the first one stays.
    grow(30_001);
    assert!(push().ok().stderr.contains(".intoto.json`: already published"));
    assert!(grow(60_000) > 4 << 20);
    assert!(push().exits(8).stderr.contains("it is larger than 4194304 bytes"));
}

#[test]
fn provenance_that_contradicts_the_artifact_is_refused() {
    let signing = Signing::new();
    let build = ["build", "--provenance", "--sign", "--key", "../one.key"];
    signing.sandbox.run(&build).ok();
    let path = PathBuf::from(format!("{}.intoto.json", signing.artifact()));
    let statement = fs::read(&path).unwrap();
    signing.sandbox.run(&build).ok();
    assert!(fs::read(&path).unwrap() == statement, "the same build says the same");
    let text = String::from_utf8(statement).unwrap();
    fs::write(&path, text.replace(&signing.sandbox.head(), &"0".repeat(40))).unwrap();
    let refused = signing.verify().exits(8);
    assert!(refused.stderr.contains("it names another commit than the artifact has"), "{}", refused.stderr);
}
