//! Signed specifications, made by the `openssl` program.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Somebody who signs, and the authority that stands for them.
#[derive(Debug)]
pub(super) struct Signer {
    folder: TempDir,
}

impl Signer {
    /// A new authority and a signer of its.
    pub(super) fn new() -> Signer {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2"];
        let authority = [
            "-keyout",
            "ca.key",
            "-out",
            "ca.pem",
            "-subj",
            "/O=Longshore tests/CN=authority",
            "-addext",
            "basicConstraints=critical,CA:TRUE",
            "-addext",
            "keyUsage=critical,keyCertSign,cRLSign",
        ];
        let signer = [
            "-keyout",
            "signer.key",
            "-out",
            "signer.pem",
            "-subj",
            "/O=Longshore tests/CN=deployment signer",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-addext",
            "basicConstraints=critical,CA:FALSE",
            "-addext",
            "keyUsage=critical,digitalSignature",
        ];
        for arguments in [&authority[..], &signer[..]] {
            openssl(folder.path(), &[&request[..], arguments].concat(), b"");
        }
        Signer { folder }
    }

    /// The file of the authority's certificate.
    pub(super) fn authority(&self) -> PathBuf {
        self.folder.path().join("ca.pem")
    }

    /// The envelope of a specification.
    pub(super) fn seal(&self, specification: &Value) -> Value {
        let text = specification.to_string();
        let arguments = [
            "smime",
            "-sign",
            "-nodetach",
            "-binary",
            "-signer",
            "signer.pem",
            "-inkey",
            "signer.key",
            "-outform",
            "PEM",
        ];
        let signed = openssl(self.folder.path(), &arguments, text.as_bytes());
        envelope(&String::from_utf8(signed).expect("PEM is text"))
    }

    /// The envelope of a specification in which the id of the deployment was changed after it was signed.
    pub(super) fn tampered(&self, specification: &Value) -> Value {
        let sealed = self.seal(specification);
        let der = openssl(
            self.folder.path(),
            &["pkcs7", "-outform", "DER"],
            sealed["Payload"].as_str().expect("a payload is text").as_bytes(),
        );
        let id = specification["DeploymentId"].as_str().expect("a deployment has an id").as_bytes();
        let mut changed = der;
        let at = changed.windows(id.len()).position(|bytes| bytes == id).expect("the content stands in the envelope");
        let last = &mut changed[at + id.len() - 1];
        *last = if *last == b'X' { b'Y' } else { b'X' };
        let pem = openssl(self.folder.path(), &["pkcs7", "-inform", "DER", "-outform", "PEM"], &changed);
        envelope(&String::from_utf8(pem).expect("PEM is text"))
    }
}

fn envelope(payload: &str) -> Value {
    json!({"Format": "PKCS7/JSON", "Payload": payload})
}

/// What `openssl` says to this. Panics when it fails.
fn openssl(folder: &Path, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    // Its configuration is not that of the host.
    let configuration = folder.join("openssl.cnf");
    fs::write(&configuration, "[req]\ndistinguished_name = name\nx509_extensions = extensions\n[name]\n[extensions]\n")
        .expect("a temporary file can be written");
    let mut command = Command::new("openssl");
    command.args(arguments).current_dir(folder).env("OPENSSL_CONF", configuration);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("openssl is installed by dev/services/install");
    child.stdin.take().expect("it is piped").write_all(input).expect("openssl reads its input");
    let output = child.wait_with_output().expect("openssl ends");
    assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    output.stdout
}
