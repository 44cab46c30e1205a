//! The harness of the end-to-end tests: where the services, the programs and the files of the project are.
//!
//! `dev/services/run` starts the services and says in the environment where they are. A test that finds none fails and
//! names the command to run; no test is skipped in silence.

pub mod codedeploy_service;
pub mod command_service;
pub mod container;
pub mod disk;
pub mod gate;
pub mod imds;
pub mod proxy;
pub mod recorder;
pub mod terminal;
pub mod tracer;

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// The S3 server of this run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct S3Server {
    /// Its URL, without a slash at the end.
    pub url: String,
}

impl S3Server {
    /// Makes a bucket. Panics when the server does not.
    pub fn create_bucket(&self, name: &str) {
        let output = self.asked(Command::new("curl").args(["--request", "PUT"]).arg(format!("{}/{name}", self.url)));
        assert!(output.status.success(), "cannot make bucket {name}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// From now on a bucket keeps versions. Panics when the server does not.
    pub fn keep_versions(&self, bucket: &str) {
        let body = "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\"><Status>Enabled</Status>\
                    </VersioningConfiguration>";
        let mut curl = Command::new("curl");
        curl.args(["--request", "PUT", "--header", "content-type: application/xml", "--data", body]);
        let output = self.asked(curl.arg(format!("{}/{bucket}?versioning=", self.url)));
        assert!(output.status.success(), "{bucket} keeps none: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What the server answers to a request of curl, which is signed here.
    fn asked(&self, curl: &mut Command) -> Output {
        let (keys, signature) = (format!("{ACCESS_KEY}:{SECRET_KEY}"), format!("aws:amz:{REGION}:s3"));
        curl.args(["--fail", "--silent", "--show-error", "--user", &keys, "--aws-sigv4", &signature]);
        curl.output().expect("curl is installed by dev/services/install")
    }

    /// Stores a file, and returns its ETag without the quotes. Panics when the server does not.
    pub fn put(&self, bucket: &str, key: &str, file: &Path) -> String {
        let mut curl = Command::new("curl");
        curl.args(["--dump-header", "-", "--header", "x-amz-content-sha256: UNSIGNED-PAYLOAD", "--upload-file"]);
        let output = self.asked(curl.arg(file).arg(format!("{}/{bucket}/{key}", self.url)));
        let answer = String::from_utf8_lossy(&output.stdout);
        let etag = answer.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("etag").then(|| value.trim().trim_matches('"').to_owned())
        });
        etag.unwrap_or_else(|| panic!("cannot store {key}: {answer} {}", String::from_utf8_lossy(&output.stderr)))
    }

    /// What a program needs in its environment to use this server and nothing else of AWS.
    pub fn environment(&self) -> [(&'static str, String); 5] {
        [
            ("AWS_ENDPOINT_URL_S3", self.url.clone()),
            ("AWS_ACCESS_KEY_ID", ACCESS_KEY.to_owned()),
            ("AWS_SECRET_ACCESS_KEY", SECRET_KEY.to_owned()),
            ("AWS_REGION", REGION.to_owned()),
            ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ]
    }
}

/// The id of the key that the S3 server takes.
pub const ACCESS_KEY: &str = "test";
/// Its secret.
pub const SECRET_KEY: &str = "test";
/// The region of the S3 server.
pub const REGION: &str = "us-east-1";

/// The services that `dev/services/run` started. Each accessor panics with the command to run when its service is missing.
#[derive(Debug)]
pub struct Services(());

/// The services of this run.
pub fn services() -> Services {
    Services(())
}

impl Services {
    /// The S3 server.
    pub fn s3(&self) -> S3Server {
        S3Server { url: from_environment("LONGSHORE_TEST_S3", "an S3 server").trim_end_matches('/').to_owned() }
    }

    /// The URL of moto, which knows a part of CodeDeploy.
    pub fn moto(&self) -> String {
        from_environment("LONGSHORE_TEST_MOTO", "moto")
    }

    /// `host:port` of an image registry that Docker reaches without TLS.
    pub fn registry(&self) -> String {
        from_environment("LONGSHORE_TEST_REGISTRY", "an image registry")
    }

    /// Makes sure that a Docker daemon answers.
    pub fn docker(&self) {
        let answer = Command::new("docker").arg("version").stdin(Stdio::null()).output();
        let answers = answer.as_ref().is_ok_and(|output| output.status.success());
        assert!(answers, "no Docker daemon answers; run dev/test, or dev/services/run COMMAND…: {answer:?}");
    }
}

fn from_environment(name: &str, what: &str) -> String {
    match env::var(name) {
        Ok(value) if !value.is_empty() => value,
        _ => panic!("{name} is not set: this test needs {what}; run dev/test, or dev/services/run COMMAND…"),
    }
}

/// The folder of the project.
pub fn workspace_root() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().expect("the package lies in the folder of the project").to_owned()
}

/// Where the programs are built: the folder above `debug`.
pub fn target() -> PathBuf {
    let test = env::current_exe().expect("the running test has a path");
    let folder = test.ancestors().find(|folder| folder.join("deps").is_dir()).and_then(Path::parent);
    folder.expect("a test is built below the target folder").to_owned()
}

/// The program with this name that was built last, beside the folder of the running test (`target/debug`). Panics when
/// there is none.
pub fn bin(name: &str) -> PathBuf {
    let test = env::current_exe().expect("the running test has a path");
    let folder = test.ancestors().find(|folder| folder.join("deps").is_dir());
    let program = folder.map(|folder| folder.join(name)).filter(|program| program.is_file());
    program.unwrap_or_else(|| panic!("{name} is not built; run dev/test, or cargo build --workspace --bins"))
}
