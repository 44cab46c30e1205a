//! A job of CI: a repository with one commit, its artifact, a bucket and CodeDeploy.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use e2e::codedeploy_service::CodeDeployService;
use e2e::{S3Server, bin, services};
use serde_json::Value;
use tempfile::TempDir;

const APPSPEC: &str = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: start.sh\n";

pub(crate) struct Job {
    folder: TempDir,
    pub(crate) service: CodeDeployService,
    pub(crate) s3: S3Server,
    pub(crate) bucket: String,
    /// The commit that is checked out.
    pub(crate) commit: String,
}

/// How a program ended. What differs from run to run is replaced.
pub(crate) struct Ran {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Job {
    /// A job whose commit is built and published in a bucket of its own.
    pub(crate) fn published(bucket: &str) -> Job {
        let job = Job::built(bucket);
        job.run(&["push"]).exits(0);
        job
    }

    /// A job whose commit is built.
    pub(crate) fn built(bucket: &str) -> Job {
        let (folder, s3) = (tempfile::tempdir().unwrap(), services().s3());
        s3.create_bucket(bucket);
        let service = CodeDeployService::start();
        let mut job = Job { folder, service, s3, bucket: bucket.to_owned(), commit: String::new() };
        fs::create_dir(job.path()).unwrap();
        job.git(&["init", "--quiet"], "");
        job.write(".gitignore", "dist\n");
        job.write("longshore.toml", "application = \"shop\"\n");
        job.write("appspec.yml", APPSPEC);
        job.build("first", "2026-01-02T03:04:06Z");
        job
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        fs::write(self.path().join(name), text).unwrap();
        fs::set_permissions(self.path().join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn git(&self, arguments: &[&str], time: &str) -> String {
        let mut git = Command::new("git");
        git.env("GIT_COMMITTER_DATE", time);
        git.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]).args(arguments);
        let output = git.current_dir(self.path()).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    }

    /// Commits a version and builds it.
    pub(crate) fn build(&mut self, version: &str, time: &str) {
        self.write("start.sh", &format!("#!/bin/sh\nset -e\necho {version}\n"));
        self.git(&["add", "--all"], "");
        self.git(&["commit", "--quiet", "--message", version], time);
        self.commit = self.git(&["rev-parse", "HEAD"], "");
        self.run(&["build"]).exits(0);
    }

    /// The built artifact.
    pub(crate) fn artifact(&self) -> PathBuf {
        self.path().join(format!("dist/shop-{}.zip", self.commit))
    }

    /// The key of the artifact.
    pub(crate) fn key(&self) -> String {
        format!("releases/shop/{}.zip", self.commit)
    }

    /// Whether the artifact is published.
    pub(crate) fn s3_has_artifact(&self) -> bool {
        self.s3_has(&self.key())
    }

    /// Whether there is an object; `?versionId=…` may follow its key.
    pub(crate) fn s3_has(&self, key: &str) -> bool {
        self.s3_request(&["--head"], key).is_some()
    }

    /// The version of an object.
    pub(crate) fn s3_version(&self, key: &str) -> Option<String> {
        let head = self.s3_request(&["--head"], key)?;
        let mut headers = head.lines().filter_map(|line| line.split_once(':'));
        headers
            .find(|(name, _)| name.eq_ignore_ascii_case("x-amz-version-id"))
            .map(|(_, value)| value.trim().to_owned())
    }

    pub(crate) fn s3_remove(&self, key: &str) {
        assert!(self.s3_request(&["--request", "DELETE"], key).is_some());
    }

    /// What the S3 server answers; `None`: it refuses.
    pub(crate) fn s3_request(&self, arguments: &[&str], key: &str) -> Option<String> {
        let keys = format!("{}:{}", e2e::ACCESS_KEY, e2e::SECRET_KEY);
        let signature = format!("aws:amz:{}:s3", e2e::REGION);
        let mut curl = Command::new("curl");
        curl.args(["--fail", "--silent", "--user", &keys, "--aws-sigv4", &signature]).args(arguments);
        let output = curl.arg(format!("{}/{}/{key}", self.s3.url, self.bucket)).output().unwrap();
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// `longshore` with everything it needs and nothing else.
    pub(crate) fn longshore(&self, arguments: &[&str]) -> Command {
        let mut longshore = Command::new(bin("longshore"));
        longshore.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder.path());
        longshore.envs(self.s3.environment()).envs([self.service.environment()]);
        longshore.env("LONGSHORE_STORE", format!("s3://{}/releases", self.bucket));
        longshore.envs([("GITLAB_CI", "true"), ("GITLAB_USER_LOGIN", "ann"), ("CI_JOB_ID", "7")]);
        longshore.env("CI_COMMIT_SHA", &self.commit);
        longshore.args(arguments).current_dir(self.path()).stdin(Stdio::null());
        longshore.stdout(Stdio::piped()).stderr(Stdio::piped());
        longshore
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Ran {
        self.ran(self.longshore(arguments).output().unwrap())
    }

    /// `longshore deploy --group prod …`.
    pub(crate) fn deploy(&self, arguments: &[&str]) -> Ran {
        self.run(&[&["deploy", "--group", "prod"], arguments].concat())
    }

    /// The same, under way.
    pub(crate) fn deploying(&self, arguments: &[&str]) -> Child {
        self.longshore(&[&["deploy", "--group", "prod", "--wait"], arguments].concat()).spawn().unwrap()
    }

    pub(crate) fn ended(&self, child: Child) -> Ran {
        self.ran(child.wait_with_output().unwrap())
    }

    fn ran(&self, output: Output) -> Ran {
        let stable = |bytes: Vec<u8>| {
            let mut text = String::from_utf8(bytes).unwrap().replace(self.folder.path().to_str().unwrap(), "[dir]");
            if !self.commit.is_empty() {
                text = text.replace(&self.commit, "[commit]").replace(&self.commit[..12], "[short]");
            }
            without_etag(&text)
        };
        Ran {
            code: output.status.code().expect("ended by itself"),
            stdout: stable(output.stdout),
            stderr: stable(output.stderr),
        }
    }
}

/// `etag=0123…` → `etag=[etag]`.
fn without_etag(text: &str) -> String {
    let mut parts = text.split("etag=");
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| {
        let rest = part.trim_start_matches(|sign: char| sign.is_ascii_hexdigit());
        format!("{text}etag=[etag]{rest}")
    })
}

impl Ran {
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, code, "{}{}", self.stdout, self.stderr);
        self
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// What it told from the line with these words on.
    #[track_caller]
    pub(crate) fn from(&self, words: &str) -> &str {
        let start = self.stderr.find(words).unwrap_or_else(|| panic!("no `{words}` in {}", self.stderr));
        let start = self.stderr[..start].rfind('\n').map_or(0, |end| end + 1);
        &self.stderr[start..]
    }
}
