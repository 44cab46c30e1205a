//! Keys, certificates and signatures by the `openssl` program.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A folder of keys and certificates: `NAME.key` and `NAME.pem`.
pub(crate) struct Pki {
    dir: TempDir,
}

impl Pki {
    /// An authority `root`, and `middle`, which it signed.
    pub(crate) fn new() -> Pki {
        let pki = Pki { dir: TempDir::new().unwrap() };
        pki.key("root", "ec:P-256");
        pki.openssl(&[
            "req", "-x509", "-new", "-key", "root.key", "-out", "root.pem", "-days", "3650", "-subj", "/CN=Root",
        ]);
        pki.key("middle", "ec:P-256");
        pki.issue("middle", "root", "basicConstraints=critical,CA:TRUE\n");
        pki
    }

    /// A certificate with a key of its own, `rsa:BITS` or `ec:CURVE`, from an authority, with the lines of its extensions.
    pub(crate) fn leaf(&self, name: &str, key: &str, from: &str, extensions: &str) {
        self.key(name, key);
        self.issue(name, from, extensions);
    }

    fn key(&self, name: &str, kind: &str) {
        let (algorithm, size) = kind.split_once(':').unwrap();
        let option = match algorithm {
            "rsa" => format!("rsa_keygen_bits:{size}"),
            _ => format!("ec_paramgen_curve:{size}"),
        };
        self.openssl(&["genpkey", "-algorithm", algorithm, "-pkeyopt", &option, "-out", &format!("{name}.key")]);
    }

    fn issue(&self, name: &str, from: &str, extensions: &str) {
        let [request, key, out] = ["csr", "key", "pem"].map(|end| format!("{name}.{end}"));
        self.openssl(&["req", "-new", "-key", &key, "-out", &request, "-subj", &format!("/CN={name}")]);
        // Without an extension openssl makes a certificate of the first version.
        self.write("extensions", format!("subjectKeyIdentifier=hash\n{extensions}"));
        let [authority, its_key] = ["pem", "key"].map(|end| format!("{from}.{end}"));
        self.openssl(&[
            "x509",
            "-req",
            "-in",
            &request,
            "-out",
            &out,
            "-days",
            "365",
            "-extfile",
            "extensions",
            "-CA",
            &authority,
            "-CAkey",
            &its_key,
            "-CAcreateserial",
        ]);
    }

    /// `openssl cms -sign` over a content by the certificate `signer`, with `middle` beside it; `more`: what else is said.
    pub(crate) fn sign(&self, content: &str, signer: &str, more: &[&str]) -> Vec<u8> {
        self.write("content", content);
        let [certificate, key] = ["pem", "key"].map(|end| format!("{signer}.{end}"));
        let usual = [
            "cms",
            "-sign",
            "-binary",
            "-nodetach",
            "-in",
            "content",
            "-signer",
            &certificate,
            "-inkey",
            &key,
            "-certfile",
            "middle.pem",
            "-outform",
            "DER",
            "-out",
            "signed",
        ];
        self.openssl(&[&usual, more].concat());
        fs::read(self.path("signed")).unwrap()
    }

    /// Runs the program in the folder.
    pub(crate) fn openssl(&self, arguments: &[&str]) {
        let output = Command::new("openssl").args(arguments).current_dir(self.dir.path()).output().unwrap();
        assert!(output.status.success(), "openssl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// A file of the folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file of the folder.
    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        fs::write(self.path(name), content).unwrap();
    }

    /// Reads a file of the folder.
    pub(crate) fn read(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }
}
