//! Whose signature a revision must have: archives that `minisign` signed, and what becomes of a host that gets others.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "each test program uses its part of the harness")]
mod sandbox;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use longshore_core::bundle::pack::{PackFile, PackOptions, pack};
use sandbox::{Ran, Sandbox};

/// A host, two keys, and what a CI job makes for it.
struct Signing {
    host: Sandbox,
}

fn minisign(folder: &Path, arguments: &[&str]) {
    let minisign = Command::new("minisign").args(arguments).current_dir(folder).stdin(Stdio::null()).output();
    let output = minisign.expect("minisign is installed: dev/services/install");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

impl Signing {
    fn new() -> Signing {
        let host = Sandbox::new();
        for name in ["ours", "foreign"] {
            minisign(host.path(), &["-G", "-W", "-p", &format!("{name}.pub"), "-s", &format!("{name}.key")]);
        }
        Signing { host }
    }

    /// An archive of a revision whose site says which version it is.
    fn archive(&self, version: &str) -> PathBuf {
        let folder = self.host.traced(version, &[("index.html", version)]);
        let file = |path: &str| PackFile { path: path.parse().unwrap(), from: folder.join(path) };
        let files = ["appspec.yml", "site/index.html", "trace.sh"].map(file).to_vec();
        let options = PackOptions {
            application: "shop".parse().unwrap(),
            commit: "a".repeat(40).parse().unwrap(),
            dirty: false,
            time: 0,
            images: Vec::new(),
            threads: 1,
        };
        let path = self.host.path().join(format!("{version}.zip"));
        pack(files, &options, &path, &|_| ()).unwrap();
        path
    }

    fn signed(&self, version: &str, key: &str, comment: &str) -> PathBuf {
        let archive = self.archive(version);
        let secret = format!("{key}.key");
        minisign(self.host.path(), &["-S", "-s", &secret, "-m", archive.to_str().unwrap(), "-t", comment]);
        archive
    }

    fn signature(archive: &Path) -> PathBuf {
        format!("{}.minisig", archive.display()).into()
    }

    fn with(&self, command: &str, revision: &str, more: &[&str]) -> Ran {
        let arguments = [&[command, revision, "--group", "dev", "--public-key", "ours.pub"], more].concat();
        self.host.run(&arguments)
    }

    /// Deploys, and takes nothing that is not signed.
    fn deploy(&self, revision: &Path) -> Ran {
        self.with("deploy", revision.to_str().unwrap(), &["--require-signature"])
    }

    fn serves(&self) -> String {
        fs::read_to_string(self.host.www().join("index.html")).unwrap()
    }
}

fn changed(path: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(path).unwrap();
    assert!(text.contains(from), "{text}");
    fs::write(path, text.replacen(from, to, 1)).unwrap();
}

#[test]
fn what_no_accepted_key_signed_is_refused_and_the_old_release_stays() {
    let it = Signing::new();
    let good = it.deploy(&it.signed("one", "ours", "the first")).succeeds();
    assert!(good.told.contains("Verified the signature: key ") && good.told.contains("`the first`"), "{}", good.told);
    let trace = it.host.trace();
    let tampered = it.signed("tampered", "ours", "x");
    let mut bytes = fs::read(&tampered).unwrap();
    bytes[40] ^= 1;
    fs::write(&tampered, bytes).unwrap();
    let comment = it.signed("comment", "ours", "deploy to dev");
    changed(&Signing::signature(&comment), "deploy to dev", "deploy to prod");
    let damaged = it.signed("damaged", "ours", "x");
    fs::write(Signing::signature(&damaged), "<html>").unwrap();
    let huge = it.signed("huge", "ours", "x");
    fs::write(Signing::signature(&huge), vec![b'x'; 1 << 20]).unwrap();
    let other = format!("longshore shop {} sha256:{}", "b".repeat(40), "0".repeat(64));
    let moved = it.signed("moved", "ours", "x");
    fs::rename(Signing::signature(&it.signed("one-again", "ours", "x")), Signing::signature(&moved)).unwrap();
    for (case, revision, expected) in [
        ("unsigned", it.archive("unsigned"), "it is not signed: there is no `"),
        ("foreign", it.signed("foreign", "foreign", "x"), "it was made with key "),
        ("tampered", tampered, "one of them was changed"),
        ("comment", comment, "one of them was changed"),
        ("damaged", damaged, "is no signature of minisign, or is damaged"),
        ("huge", huge, "is larger than 8192 bytes"),
        ("another archive's", moved, "one of them was changed"),
        ("another commit", it.signed("two", "ours", &other), "it was made for commit `bbbb"),
        ("folder", it.host.traced("folder", &[]), "a folder has no signature"),
    ] {
        for command in ["deploy", "plan"] {
            let more = ["--require-signature", "--application", "shop"];
            let refused = it.with(command, revision.to_str().unwrap(), &more);
            assert_eq!(refused.code, Some(8), "{case}, {command}: {}", refused.told);
            assert!(refused.told.contains(expected), "{case}, {command}: {}", refused.told);
        }
        assert_eq!((it.serves().as_str(), it.host.trace()), ("one", trace.clone()), "{case}");
    }
    it.deploy(&it.signed("three", "ours", "x")).succeeds();
    assert_eq!(it.serves(), "three");
}

#[test]
fn an_archive_is_not_opened_to_learn_its_application_before_it_is_verified() {
    let it = Signing::new();
    let archive = it.host.path().join("hostile.zip");
    fs::write(&archive, b"PK\x03\x04 no archive at all").unwrap();
    let refused = it.deploy(&archive);
    assert_eq!(refused.code, Some(8));
    assert!(refused.told.contains("was refused before it was opened"), "{}", refused.told);
}

#[test]
fn without_a_requirement_a_wrong_signature_is_refused_and_none_is_a_note() {
    let it = Signing::new();
    let unsigned = it.archive("unsigned");
    let ran = it.with("deploy", unsigned.to_str().unwrap(), &[]).succeeds();
    assert!(ran.told.contains("is not signed; this group does not ask for it"), "{}", ran.told);
    let foreign = it.signed("foreign", "foreign", "x");
    assert_eq!(it.with("deploy", foreign.to_str().unwrap(), &[]).code, Some(8));
    assert_eq!(it.serves(), "unsigned");
    // Nobody asked: nobody looks.
    it.host.deploy(&foreign, &[]).succeeds();
    let nobody = it.host.deploy(&unsigned, &["--require-signature"]);
    assert_eq!(nobody.code, Some(2), "{}", nobody.told);
}

#[test]
fn in_a_store_the_signature_stands_beside_the_object() {
    let it = Signing::new();
    let archive = it.signed("one", "ours", "x");
    let url = format!("file://{}", archive.display());
    let deploy = |url: &str| it.with("deploy", url, &["--require-signature", "--application", "shop"]);
    let events =
        it.with("deploy", &url, &["--require-signature", "--application", "shop", "--output", "json"]).succeeds();
    let verified: serde_json::Value = events
        .out
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .find(|event| event["type"] == "signature_verified")
        .unwrap();
    let public = fs::read_to_string(it.host.path().join("ours.pub")).unwrap();
    let id = public.lines().next().unwrap().rsplit(' ').next().unwrap();
    assert_eq!((&verified["key_id"], &verified["trusted_comment"]), (&id.into(), &"x".into()));
    fs::remove_file(Signing::signature(&archive)).unwrap();
    let refused = deploy(&url);
    assert_eq!(refused.code, Some(8));
    assert!(refused.told.contains("it is not signed: there is no `file://"), "{}", refused.told);
}

#[test]
fn a_release_comes_back_although_its_signature_is_gone() {
    let it = Signing::new();
    it.deploy(&it.signed("one", "ours", "x")).succeeds();
    let good = it.signed("two", "ours", "x");
    it.deploy(&good).succeeds();
    it.host.run(&["rollback", "--group", "dev"]).succeeds();
    assert_eq!(it.serves(), "one");
}
