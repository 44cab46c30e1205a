//! Images from the build of a commit to the host: built and pushed by compose, pinned to the digest that the registry gives,
//! and run by that digest although the tag leads elsewhere by then.
//!
//! Needs Docker and a registry: run through `dev/test`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use e2e::{bin, services, workspace_root};
use serde_json::{Value, json};

/// A repository whose one service prints a page and ends.
struct Project {
    folder: tempfile::TempDir,
    /// Application, compose project and image: no other test has it.
    name: String,
    registry: String,
}

impl Project {
    fn new(registry: &str) -> Project {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let folder = tempfile::tempdir().unwrap();
        let name = format!("pin-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::SeqCst));
        let project = Project { folder, name, registry: registry.to_owned() };
        fs::create_dir(project.path("scripts")).unwrap();
        for script in fs::read_dir(workspace_root().join("scripts")).unwrap() {
            let script = script.unwrap();
            fs::copy(script.path(), project.path("scripts").join(script.file_name())).unwrap();
        }
        fs::copy(workspace_root().join("appspec.example.yml"), project.path("appspec.yml")).unwrap();
        fs::copy("/bin/busybox", project.path("busybox")).unwrap();
        project.write("longshore.toml", &format!("application = \"{}\"\n", project.name));
        project.write(".gitignore", "dist\n");
        project.write("page", "old\n");
        // The first layer is this project's alone: another test may remove those that are shared.
        let dockerfile = format!(
            "FROM scratch\nENV PROJECT={}\nCOPY busybox /bin/busybox\nARG COMMIT_HASH\nENV COMMIT=$COMMIT_HASH\n\
             COPY page /page\nCMD [\"/bin/busybox\", \"cat\", \"/page\"]\n",
            project.name
        );
        project.write("Dockerfile", &dockerfile);
        project.write(
            "docker-compose.yml",
            &format!(
                "services:\n  web:\n    image: {}\n    build:\n      context: .\n      args: {{COMMIT_HASH: \
                 \"${{COMMIT_HASH:?}}\"}}\n  fixed:\n    image: {}:${{COMMIT_HASH}}\n    build: .\n    profiles: [never]\n",
                project.image("stable"),
                project.image("by-commit"),
            ),
        );
        git(&project, &["init", "--quiet"]);
        project
    }

    fn path(&self, path: &str) -> PathBuf {
        self.folder.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        fs::write(self.path(path), text).unwrap();
    }

    fn image(&self, tag: &str) -> String {
        format!("{}/{}:{tag}", self.registry, self.name)
    }

    fn commit(&self) -> String {
        git(self, &["add", "--all"]);
        git(self, &["commit", "--quiet", "--message", "change"]);
        git(self, &["rev-parse", "HEAD"])
    }

    /// The program in the source folder, with nothing of the surroundings that could play a part.
    fn longshore(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bin("longshore"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", self.folder.path());
        command.args(arguments).current_dir(self.folder.path());
        command
    }

    /// What a build says of itself.
    fn build(&self, arguments: &[&str]) -> Value {
        let built = succeed(self.longshore(&["build", "--output", "json"]).args(arguments));
        serde_json::from_slice(&built.stdout).unwrap()
    }

    /// Builds the image of a page and pushes it under a tag, as somebody else would.
    fn push(&self, page: &str, tag: &str) {
        self.write("page", page);
        let image = self.image(tag);
        succeed(
            Command::new("docker").args(["build", "--quiet", "--tag", &image, "."]).current_dir(self.folder.path()),
        );
        succeed(Command::new("docker").args(["push", "--quiet", &image]));
    }

    /// The digest that the registry itself gives for a tag.
    fn digest(&self, tag: &str) -> String {
        let url = format!("http://{}/v2/{}/manifests/{tag}", self.registry, self.name);
        let accept = "Accept: application/vnd.docker.distribution.manifest.v2+json";
        let head = succeed(Command::new("curl").args(["-fsSI", "-H", accept, &url]));
        let head = String::from_utf8(head.stdout).unwrap();
        let digest = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("docker-content-digest").then(|| value.trim().to_owned())
        });
        digest.unwrap_or_else(|| panic!("{head}"))
    }
}

impl Drop for Project {
    fn drop(&mut self) {
        // Nothing may be left on the machine, however the test ended.
        let script = format!(
            "docker ps -aq --filter label=com.docker.compose.project={0}-prod | xargs -r docker rm -f
             docker network ls -q --filter label=com.docker.compose.project={0}-prod | xargs -r docker network rm
             docker images -q '{1}/{0}' | sort -u | xargs -r docker rmi -f",
            self.name, self.registry
        );
        let _ = Command::new("sh").args(["-c", &script]).output();
    }
}

#[test]
fn what_was_built_runs_although_its_tag_leads_elsewhere_by_then() {
    services().docker();
    let project = Project::new(&services().registry());
    let commit = project.commit();
    let built = project.build(&["--push-images", "--pin-images", "--lock-images"]);
    let old = project.digest("stable");
    let image = json!({"group": "prod", "service": "web", "image": project.image("stable"), "digest": old});
    assert_eq!(built["images"], json!([image]));

    // The artifact says so, and holds the lock file.
    let artifact = built["artifact"].as_str().unwrap();
    let inspected = succeed(project.longshore(&["inspect", "--output", "json"]).arg(artifact));
    let inspected: Value = serde_json::from_slice(&inspected.stdout).unwrap();
    assert_eq!(inspected["manifest"]["images"], json!([image]));
    let shown = succeed(project.longshore(&["inspect"]).arg(artifact));
    let line = format!("\nimages\n  prod: web {} = {old}\n\nfiles\n", project.image("stable"));
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains(&line), "{shown}");
    let host = tempfile::tempdir().unwrap();
    succeed(Command::new("unzip").args(["-q", artifact, "-d"]).arg(host.path()));
    let lock = fs::read_to_string(host.path().join("docker-compose.prod.lock.yml")).unwrap();
    let pinned = format!("{}/{}@{old}", project.registry, project.name);
    assert!(lock.ends_with(&format!("\nservices:\n  \"web\":\n    image: \"{pinned}\"\n")), "{lock}");

    // The same images give the same bytes.
    let again = project.build(&["--pin-images", "--lock-images"]);
    assert_eq!(
        (&again["archive_digest"], &again["content_digest"]),
        (&built["archive_digest"], &built["content_digest"])
    );

    // The tag moves, and the host has nothing yet.
    project.push("new\n", "stable");
    assert_ne!(project.digest("stable"), old);
    let images = format!("docker images -q '{}/{}' | sort -u | xargs docker rmi -f", project.registry, project.name);
    succeed(Command::new("sh").args(["-c", &images]));
    let page_of = |folder: &Path| {
        for hook in ["after_install", "application_start"] {
            let mut hook = Command::new(folder.join(format!("scripts/{hook}.sh")));
            hook.env("APPLICATION_NAME", &project.name).env("DEPLOYMENT_GROUP_NAME", "prod");
            succeed(hook.env("LONGSHORE_COMMIT", &commit));
        }
        let filter = format!("label=com.docker.compose.project={}-prod", project.name);
        let script =
            format!("docker ps -aq --filter '{filter}' | xargs -n 1 sh -c 'docker wait $0 >&2; docker logs $0'");
        String::from_utf8(succeed(Command::new("sh").args(["-c", &script])).stdout).unwrap()
    };
    assert_eq!(page_of(host.path()), "old\n");
    fs::remove_file(host.path().join("docker-compose.prod.lock.yml")).unwrap();
    assert_eq!(page_of(host.path()), "new\n", "without the lock file the tag counts");

    // Another build of the commit finds other images, and so has other content.
    project.write("page", "old\n");
    let later = project.build(&["--pin-images", "--lock-images"]);
    assert_eq!(later["images"][0]["digest"], json!(project.digest("stable")));
    assert_ne!(later["content_digest"], built["content_digest"]);
}

#[test]
fn the_commit_names_what_is_pushed_and_the_digest_is_the_same_with_and_without_a_daemon() {
    services().docker();
    let project = Project::new(&services().registry());
    project.write(
        "docker-compose.yml",
        &format!(
            "services:\n  web: &web\n    image: {}\n    build: .\n  worker: *web\n",
            project.image("${COMMIT_HASH:?}")
        ),
    );
    let commit = project.commit();
    let output = succeed(&mut project.longshore(&["build", "--push-images"]));
    let said = String::from_utf8(output.stderr).unwrap();
    let line = |verb: &str| format!("{verb:>12} `{}` of service `web`\n", project.image(&commit));
    assert_eq!(said.matches(" of service ").count(), 2, "two services run one image: {said}");
    assert!(said.contains(&line("Building")) && said.contains(&line("Pushing")), "{said}");
    assert!(said.contains("\n         web | "), "what compose says is passed on: {said}");

    let digest = project.digest(&commit);
    for host in ["unix:///var/run/docker.sock", "unix:///nowhere"] {
        let built = succeed(project.longshore(&["build", "--pin-images", "--output", "json"]).env("DOCKER_HOST", host));
        let built: Value = serde_json::from_slice(&built.stdout).unwrap();
        let digests: Vec<&Value> = built["images"].as_array().unwrap().iter().map(|image| &image["digest"]).collect();
        assert_eq!(digests, [&json!(digest), &json!(digest)], "{host}");
    }
}

#[test]
fn an_image_that_was_built_here_and_never_pushed_is_told_apart_from_one_that_nobody_has() {
    services().docker();
    let project = Project::new(&services().registry());
    project.write(
        "docker-compose.yml",
        &format!(
            "services:\n  here:\n    image: {}\n  gone:\n    image: {}\n",
            project.image("here"),
            project.image("gone")
        ),
    );
    project.commit();
    let image = project.image("here");
    succeed(Command::new("docker").args(["build", "--quiet", "--tag", &image, "."]).current_dir(project.folder.path()));
    let output = project.longshore(&["build", "--pin-images", "--output", "json"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3));
    let failure: Value = serde_json::from_slice(&output.stdout).unwrap();
    let told: Vec<(&str, &str)> = failure["problems"]
        .as_array()
        .unwrap()
        .iter()
        .map(|problem| (problem["code"].as_str().unwrap(), problem["fix"].as_str().unwrap()))
        .collect();
    let login = format!("if it is private: `docker login {}`", project.registry);
    assert_eq!(
        told,
        [
            ("LS351", format!("push it first (`longshore build --push-images`); {login}").as_str()),
            ("LS356", "this machine has built it and never pushed it: `longshore build --push-images --pin-images`"),
        ]
    );
    assert_eq!(failure["error"]["message"], "2 images cannot be pinned");
}

/// A registry that knows one user.
struct Guarded {
    process: Child,
    folder: tempfile::TempDir,
    host: String,
}

impl Guarded {
    const PASSWORD: &str = "h:ush/??>>";

    fn start() -> Guarded {
        let folder = tempfile::tempdir().unwrap();
        let host = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let script = format!(
            "import crypt; print('ann:' + crypt.crypt({:?}, crypt.mksalt(crypt.METHOD_BLOWFISH, rounds=16)))",
            Guarded::PASSWORD
        );
        let users = succeed(Command::new("/usr/bin/python3").args(["-W", "ignore", "-c", &script]));
        fs::write(folder.path().join("users"), users.stdout).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{ level: error }}\nstorage: {{ filesystem: {{ rootdirectory: {0}/data }} }}\nhttp: {{ addr: \
             \"{host}\" }}\nauth: {{ htpasswd: {{ realm: test, path: {0}/users }} }}\n",
            folder.path().display()
        );
        fs::write(folder.path().join("registry.yml"), config).unwrap();
        let log = fs::File::create(folder.path().join("log")).unwrap();
        let mut registry = Command::new("docker-registry");
        registry.arg("serve").arg(folder.path().join("registry.yml")).stdin(Stdio::null());
        let process = registry.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let guarded = Guarded { process, folder, host };
        let deadline = Instant::now() + Duration::from_secs(30);
        while !guarded.answers() {
            assert!(Instant::now() < deadline, "{}", fs::read_to_string(guarded.folder.path().join("log")).unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
        guarded
    }

    fn answers(&self) -> bool {
        let Ok(mut stream) = TcpStream::connect(&self.host) else { return false };
        let mut answer = String::new();
        let asked = stream.write_all(b"GET /v2/ HTTP/1.0\r\n\r\n").and_then(|()| stream.read_to_string(&mut answer));
        asked.is_ok() && answer.contains("401")
    }

    /// A folder as `docker login` leaves it.
    fn logged_in(&self, password: &str) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let script =
            format!("import base64; print(base64.b64encode({:?}.encode()).decode())", format!("ann:{password}"));
        let auth = succeed(Command::new("/usr/bin/python3").args(["-c", &script])).stdout;
        let auth = String::from_utf8(auth).unwrap();
        let config = json!({"auths": {&self.host: {"auth": auth.trim()}}}).to_string();
        fs::write(folder.path().join("config.json"), config).unwrap();
        folder
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn a_registry_that_wants_a_password_gets_that_of_docker_login_and_nobody_else_does() {
    services().docker();
    let guarded = Guarded::start();
    let project = Project::new(&guarded.host);
    project.commit();
    let right = guarded.logged_in(Guarded::PASSWORD);
    let run = |config: Option<&Path>, host: &str, arguments: &[&str]| {
        let mut command = project.longshore(&["build", "--output", "json"]);
        command.args(arguments).env("DOCKER_HOST", host);
        if let Some(config) = config {
            command.env("DOCKER_CONFIG", config);
        }
        command.output().unwrap()
    };
    let (socket, nowhere) = ("unix:///var/run/docker.sock", "unix:///nowhere");

    let refused = run(None, socket, &["--push-images"]);
    let told = String::from_utf8(refused.stdout).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{told}");
    let hint = format!("if the registry refused, log in first: `docker login {}`", guarded.host);
    assert!(told.contains("cannot push the image of service `web` of group `prod`") && told.contains(&hint), "{told}");

    let pushed = run(Some(right.path()), socket, &["--push-images"]);
    assert_eq!(pushed.status.code(), Some(0), "{}", String::from_utf8_lossy(&pushed.stderr));
    let wrong = guarded.logged_in("gu3ss");
    let mut digests = Vec::new();
    for host in [socket, nowhere] {
        let pinned = run(Some(right.path()), host, &["--pin-images"]);
        assert_eq!(pinned.status.code(), Some(0), "{}", String::from_utf8_lossy(&pinned.stdout));
        let built: Value = serde_json::from_slice(&pinned.stdout).unwrap();
        digests.push(built["images"][0]["digest"].clone());

        for (config, words) in [
            (None, "it was asked without credentials: Docker's configuration has none for it".to_owned()),
            (
                Some(wrong.path()),
                format!("it was asked with the credentials from `auths` of `{}/config.json`", wrong.path().display()),
            ),
        ] {
            let refused = run(config, host, &["--pin-images"]);
            assert_eq!(refused.status.code(), Some(10));
            let failure: Value = serde_json::from_slice(&refused.stdout).unwrap();
            let [problem] = failure["problems"].as_array().unwrap().as_slice() else { panic!("{failure:#}") };
            assert_eq!(problem["code"], "LS352");
            let message = problem["message"].as_str().unwrap();
            let expected = format!("`{}` refuses `{}:stable` (401 Unauthorized); {words}", guarded.host, project.name);
            assert!(message.starts_with(&expected), "{message}");
            assert_eq!(problem["fix"], format!("`docker login {}`", guarded.host));
            let all = [refused.stdout, refused.stderr].concat();
            assert!(!String::from_utf8(all).unwrap().contains("gu3ss"), "a password is never shown");
        }
    }
    assert_eq!(digests[0], digests[1]);
    assert!(digests[0].as_str().unwrap().starts_with("sha256:"));
}

fn git(project: &Project, arguments: &[&str]) -> String {
    let mut git = Command::new("git");
    git.args(["-c", "user.name=Test", "-c", "user.email=test@example.com"]).args(arguments);
    let output = succeed(git.current_dir(project.folder.path()));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[track_caller]
fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    let (out, told) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{command:?}: {}\n{out}\n{told}", output.status);
    output
}
