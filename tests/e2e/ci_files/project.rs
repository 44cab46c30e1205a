//! A repository as `longshore init` begins it, with the values that everybody has to fill in, and a machine of CI for it.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use e2e::codedeploy_service::CodeDeployService;
use e2e::{S3Server, bin, services, target};
use longshore_core::digest::Sha256;
use tempfile::TempDir;

use crate::System;

/// Debian has compose as a program of its own alone; machines of CI have it as a part of `docker`.
const COMPOSE: &str = "#!/bin/sh
if [ \"$1\" = docker-cli-plugin-metadata ]; then
    echo '{\"SchemaVersion\": \"0.1.0\", \"Vendor\": \"Debian\", \"Version\": \"1.29\", \"ShortDescription\": \"Compose\"}'
    exit
fi
shift
exec docker-compose \"$@\"
";

pub(crate) struct Project {
    folder: TempDir,
    file: &'static str,
    s3: S3Server,
    pub(crate) registry: String,
    pub(crate) service: CodeDeployService,
    pub(crate) bucket: String,
    pub(crate) commit: String,
}

/// How a job ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    /// The step or command that ran last.
    pub(crate) at: String,
    /// All that was printed.
    pub(crate) told: String,
    /// What later steps learned.
    pub(crate) later: String,
}

impl Project {
    /// A repository for a CI system; `name` says which test's.
    pub(crate) fn new(system: &System, name: &str) -> Project {
        services().docker();
        let (folder, s3) = (tempfile::tempdir().unwrap(), services().s3());
        let bucket = format!("ci-{}-{name}", system.name);
        s3.create_bucket(&bucket);
        let (service, registry) = (CodeDeployService::start(), services().registry());
        let mut project = Project { folder, file: system.file, s3, registry, service, bucket, commit: String::new() };
        project.prepare_machine();

        let origin = project.path("shop");
        fs::create_dir(&origin).unwrap();
        run(Command::new(bin("longshore")).args(["init", "--ci", system.name]).current_dir(&origin).env_clear());
        fs::copy("/bin/busybox", origin.join("busybox")).unwrap();
        // The first layer is this project's alone: another test may remove those that are shared.
        let dockerfile = format!("FROM scratch\nENV PROJECT={}\nCOPY busybox /bin/busybox\n", project.bucket);
        fs::write(origin.join("Dockerfile"), dockerfile).unwrap();
        let file = origin.join(system.file);
        fs::write(&file, fs::read_to_string(&file).unwrap() + system.later).unwrap();
        project.fill_in();
        project.git(&["init", "--quiet", "--initial-branch=main"]);
        project.commit();
        project
    }

    /// What everybody changes: registry, bucket, region, the digest of the tool. And where programs of the machine stand.
    fn fill_in(&self) {
        let tool = format!("#!/bin/sh\nexec {} \"$@\"\n", bin("longshore").display());
        fs::write(self.path("tool"), &tool).unwrap();
        self.s3.put(&self.bucket, "tools/longshore-0.1.0-x86_64-linux", &self.path("tool"));
        let file = self.path("shop").join(self.file);
        let filled = fs::read_to_string(&file).unwrap();
        let filled = filled.replace("123456789012.dkr.ecr.eu-west-1.amazonaws.com", &self.registry);
        let filled = filled.replace("shop-releases", &self.bucket).replace("eu-west-1", e2e::REGION);
        let filled = filled.replace(&"0".repeat(64), &Sha256::of(tool.as_bytes()).to_string());
        let filled = filled.replace("/usr/local/bin", self.path("bin").to_str().unwrap());
        fs::write(&file, filled).unwrap();
        for name in ["docker-compose.yml", "docker-compose.stg.yml", "docker-compose.dev.yml"] {
            let path = self.path("shop").join(name);
            fs::write(&path, fs::read_to_string(&path).unwrap().replace("127.0.0.1:5000", &self.registry)).unwrap();
        }
    }

    fn prepare_machine(&self) {
        fs::create_dir(self.path("bin")).unwrap();
        fs::create_dir_all(self.path("docker/cli-plugins")).unwrap();
        fs::write(self.path("docker/cli-plugins/docker-compose"), COMPOSE).unwrap();
        let program = fs::Permissions::from_mode(0o755);
        fs::set_permissions(self.path("docker/cli-plugins/docker-compose"), program).unwrap();
    }

    /// Changes a file of the repository, and commits that.
    pub(crate) fn change(&mut self, name: &str, old: &str, new: &str) {
        let path = self.path("shop").join(name);
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{text}");
        fs::write(path, text.replace(old, new)).unwrap();
        self.commit();
    }

    fn commit(&mut self) {
        self.git(&["add", "--all"]);
        self.git(&["-c", "user.name=Test", "-c", "user.email=test@example.com", "commit", "--quiet", "-m", "Change"]);
        self.commit = self.git(&["rev-parse", "HEAD"]);
    }

    fn git(&self, arguments: &[&str]) -> String {
        run(Command::new("git").args(arguments).current_dir(self.path("shop")))
    }

    /// A path in this test's folder, outside of the repository.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    /// The file of the CI system.
    pub(crate) fn file(&self) -> PathBuf {
        self.path("shop").join(self.file)
    }

    /// A fresh checkout, as shallow and without a branch as CI systems make it.
    pub(crate) fn check_out(&self, name: &str) -> PathBuf {
        let (origin, folder) = (format!("file://{}", self.path("shop").display()), self.path(name));
        run(Command::new("git").args(["clone", "--quiet", "--depth", "1", &origin]).arg(&folder));
        run(Command::new("git").args(["checkout", "--quiet", "--detach", &self.commit]).current_dir(&folder));
        folder
    }

    /// A program on the machine of the job, which has no credentials yet. What it prints is added to the file `log`.
    pub(crate) fn machine(&self, program: &str) -> Command {
        let aws = target().join("services/aws/bin");
        assert!(aws.join("aws").is_file(), "the AWS CLI is not installed; run dev/services/install");
        let path = std::env::var("PATH").unwrap();
        let mut command = Command::new(program);
        command.env_clear().env("PATH", format!("{}:{}:{path}", self.path("bin").display(), aws.display()));
        command.env("HOME", self.folder.path()).env("DOCKER_CONFIG", self.path("docker"));
        command.env("AWS_ENDPOINT_URL_S3", &self.s3.url).env("AWS_ENDPOINT_URL_ECR", services().moto());
        command.envs([self.service.environment()]).env("LATER", self.path("later"));
        command.envs([("AWS_EC2_METADATA_DISABLED", "true"), ("AWS_CONFIG_FILE", "/dev/null")]);
        let log = File::options().create(true).append(true).open(self.path("log")).unwrap();
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        command
    }

    /// The key that the job works with.
    pub(crate) fn credentials() -> [(&'static str, &'static str); 2] {
        [("AWS_ACCESS_KEY_ID", e2e::ACCESS_KEY), ("AWS_SECRET_ACCESS_KEY", e2e::SECRET_KEY)]
    }

    /// The end of a job whose last step or command was this.
    pub(crate) fn ended(&self, code: i32, at: &str) -> Ended {
        let read = |name| fs::read_to_string(self.path(name)).unwrap_or_default();
        Ended { code, at: at.to_owned(), told: read("log"), later: read("later") }
    }

    /// The command that ran last, of those that were shown as `$ COMMAND`.
    pub(crate) fn last_command(&self) -> String {
        let log = fs::read_to_string(self.path("log")).unwrap();
        log.lines().rev().find_map(|line| line.strip_prefix("$ ")).unwrap_or_default().to_owned()
    }

    pub(crate) fn key(&self) -> String {
        format!("bundles/shop/{}.zip", self.commit)
    }

    /// The ETag of the published artifact.
    pub(crate) fn etag(&self) -> Option<String> {
        let keys = format!("{}:{}", e2e::ACCESS_KEY, e2e::SECRET_KEY);
        let signature = format!("aws:amz:{}:s3", e2e::REGION);
        let mut head = Command::new("curl");
        head.args(["--silent", "--head", "--user", &keys, "--aws-sigv4", &signature]);
        let head = run(head.arg(format!("{}/{}/{}", self.s3.url, self.bucket, self.key())));
        let (status, headers) = head.split_once('\n').unwrap();
        assert!(status.contains(" 200") || status.contains(" 404"), "{head}");
        headers.lines().filter(|_| status.contains(" 200")).find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("etag").then(|| value.trim().trim_matches('"').to_owned())
        })
    }

    /// Whether the registry has the image of the commit.
    pub(crate) fn has_pushed_image(&self) -> bool {
        let url = format!("http://{}/v2/shop/manifests/{}", self.registry, self.commit);
        let code =
            run(Command::new("curl").args(["--silent", "--output", "/dev/null", "--write-out", "%{http_code}", &url]));
        assert!(["200", "404"].contains(&code.as_str()), "{code}");
        code == "200"
    }

    /// Whether docker has credentials for the registry.
    pub(crate) fn is_logged_in(&self) -> bool {
        let config = fs::read_to_string(self.path("docker/config.json")).unwrap_or_default();
        let config: serde_json::Value = serde_json::from_str(&config).unwrap_or_default();
        config["auths"][&self.registry]["auth"].is_string()
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Nothing may be left on the machine, however the test ended.
        let image = format!("{}/shop:{}", self.registry, self.commit);
        let _ = Command::new("docker").args(["rmi", "--force", &image]).output();
    }
}

#[track_caller]
fn run(command: &mut Command) -> String {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim_end().to_owned()
}
