//! Two hosts that follow one group in a real S3 server, and a CI job that moves it: nothing else runs.
#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::proxy::{Cut, Proxy};
use e2e::{S3Server, bin, services};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

/// A repository and a bucket: what CI has.
struct Ci {
    folder: tempfile::TempDir,
    s3: S3Server,
    store: String,
}

/// A host, with a root of its own and the store at the end of a line that can be cut.
struct Host {
    name: &'static str,
    folder: PathBuf,
    agent: Option<Child>,
    line: Proxy,
}

const APPSPEC: &str = "version: 0.0\nos: linux\nhooks:\n  ApplicationStart:\n    - location: start.sh\n  ValidateService:\n    \
                       - location: check.sh\n";

/// A script that says of which version it is. The host's folder ends where the agent's root begins.
fn script(version: &str) -> String {
    format!("#!/bin/sh\nhost=${{0%%/root/*}}\necho \"$LIFECYCLE_EVENT of {version}\" >> \"$host/trace\"\n")
}

impl Ci {
    fn new(bucket: &str) -> Ci {
        let (folder, s3) = (tempfile::tempdir().unwrap(), services().s3());
        s3.create_bucket(bucket);
        let ci = Ci { folder, s3, store: format!("s3://{bucket}/releases") };
        fs::create_dir(ci.path()).unwrap();
        ci.git(&["init", "--quiet"], "");
        ci.write(".gitignore", "dist\n");
        ci.write("longshore.toml", "application = \"shop\"\n");
        ci.write("appspec.yml", APPSPEC);
        ci
    }

    /// The repository.
    fn path(&self) -> PathBuf {
        self.folder.path().join("shop")
    }

    fn write(&self, name: &str, text: &str) {
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

    /// Commits a version whose check does this, and builds its bundle.
    fn build(&self, version: &str, check: &str) -> String {
        self.build_at(version, check, "")
    }

    fn build_at(&self, version: &str, check: &str, time: &str) -> String {
        self.build_of(version, "", check, time)
    }

    fn build_of(&self, version: &str, start: &str, check: &str, time: &str) -> String {
        self.write("start.sh", &(script(version) + start));
        self.write("check.sh", &(script(version) + check));
        self.git(&["add", "--all"], "");
        self.git(&["commit", "--quiet", "--message", version], time);
        let output = self.longshore(&["build"]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        self.git(&["rev-parse", "HEAD"], "")
    }

    fn longshore(&self, arguments: &[&str]) -> Command {
        let mut longshore = program("longshore");
        longshore
            .args(arguments)
            .current_dir(self.path())
            .envs(self.s3.environment())
            .env("LONGSHORE_STORE", &self.store);
        longshore
    }

    fn push(&self, more: &[&str]) -> Command {
        let mut push = self.longshore(&["push", "--group", "dev"]);
        push.args(more);
        push
    }

    /// Waits until every host says this of itself.
    #[track_caller]
    fn all_say(&self, hosts: &[Host], state: &str, generation: u64) {
        wait_until(|| {
            hosts.iter().all(|host| {
                let said = self.said(host.name);
                said["state"] == state && said["generation"] == generation
            })
        });
    }

    /// What a host wrote.
    fn said(&self, host: &str) -> Value {
        let url = format!("{}/{}/status/shop/dev/{host}.json", self.s3.url, self.store.strip_prefix("s3://").unwrap());
        let (key, signature) =
            (format!("{}:{}", e2e::ACCESS_KEY, e2e::SECRET_KEY), format!("aws:amz:{}:s3", e2e::REGION));
        let arguments = ["--fail", "--silent", "--user", &key, "--aws-sigv4", &signature, &url];
        let output = Command::new("curl").args(arguments).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or(Value::Null)
    }
}

impl Host {
    fn new(ci: &Ci, name: &'static str) -> Host {
        Host::with(ci, name, "")
    }

    /// With further tables of `agent.toml`.
    fn with(ci: &Ci, name: &'static str, more: &str) -> Host {
        let folder = ci.folder.path().join(name);
        fs::create_dir(&folder).unwrap();
        let line = Proxy::start(&ci.s3.url, Cut { connections: 0, after: 0 });
        let root = folder.join("root");
        let text = format!(
            "root = \"{}\"\n\n[control]\nsocket = \"\"\n\n[[follow]]\nstore = \"{}\"\napplication = \"shop\"\n\
             group = \"dev\"\nhost = \"{name}\"\npoll_s = 1\nfast_poll_s = 0.2\nheartbeat_s = 5\n\n{more}",
            root.display(),
            ci.store
        );
        fs::write(folder.join("agent.toml"), text).unwrap();
        let mut host = Host { name, folder, agent: None, line };
        host.start(ci);
        host
    }

    fn start(&mut self, ci: &Ci) {
        let log = File::options().create(true).append(true).open(self.folder.join("log")).unwrap();
        let mut agent = program("longshore-agent");
        agent.arg("run").arg("--config").arg(self.folder.join("agent.toml")).current_dir(&self.folder);
        agent.envs(ci.s3.environment()).env("AWS_ENDPOINT_URL_S3", &self.line.url);
        self.agent = Some(agent.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap());
    }

    /// Ends the agent by a signal, and waits for it.
    fn end(&mut self, signal: Signal) -> Option<i32> {
        let mut agent = self.agent.take().unwrap();
        kill(Pid::from_raw(agent.id().try_into().unwrap()), signal).unwrap();
        agent.wait().unwrap().code()
    }

    fn trace(&self) -> String {
        fs::read_to_string(self.folder.join("trace")).unwrap_or_default()
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.join("log")).unwrap()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(agent) = &mut self.agent {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        if thread::panicking() {
            eprintln!("--- {}\n{}", self.name, self.log());
        }
    }
}

fn program(name: &str) -> Command {
    let mut command = Command::new(bin(name));
    // Nothing of the surroundings but what a shell needs.
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("HOME", "/nonexistent").env("TZ", "UTC");
    command
}

fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[track_caller]
fn exits(output: &Output, code: i32) -> String {
    let text = text(output);
    assert_eq!(output.status.code(), Some(code), "{text}");
    text
}

/// Waits for a condition, with a deadline.
#[track_caller]
fn wait_until(mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "it did not happen in time");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn two_hosts_follow_a_group_through_a_good_release_a_bad_one_and_a_store_that_goes_away() {
    let ci = Ci::new("follow-fleet");
    let mut hosts = [Host::new(&ci, "web-1"), Host::new(&ci, "web-2")];
    ci.all_say(&hosts, "idle", 0);

    ci.build("one", "");
    let told = exits(&ci.push(&["--wait"]).output().unwrap(), 0);
    for host in &hosts {
        assert!(told.contains(host.name), "{told}");
        assert_eq!(host.trace(), "ApplicationStart of one\nValidateService of one\n", "{}", host.log());
    }

    // It fails on one of them, and the wait says why.
    ci.build("two", "case $host in *web-2) echo no answer from :8080 >&2; exit 3 ;; esac\n");
    let told = exits(&ci.push(&["--wait"]).output().unwrap(), 13);
    for part in ["web-2", "ValidateService", "check.sh", "exited with 3", "no answer from :8080"] {
        assert!(told.contains(part), "{part:?} is missing in:\n{told}");
    }
    let states = |hosts: &[Host]| hosts.iter().map(|host| ci.said(host.name)["state"].clone()).collect::<Vec<_>>();
    assert_eq!(states(&hosts), ["succeeded", "failed"]);
    let failed = hosts[1].trace();

    // The store is gone for both; the pointer moves meanwhile.
    hosts.iter().for_each(|host| host.line.set_down(true));
    wait_until(|| hosts.iter().all(|host| host.log().contains("cannot reach")));
    ci.build("three", "");
    exits(&ci.push(&[]).output().unwrap(), 0);
    assert_eq!(hosts[1].trace(), failed, "what runs goes on running");
    hosts.iter().for_each(|host| host.line.set_down(false));
    ci.all_say(&hosts, "succeeded", 3);
    for host in &hosts {
        assert!(host.trace().ends_with("ApplicationStart of three\nValidateService of three\n"));
    }
    assert_eq!(hosts[1].trace().matches("ValidateService of two").count(), 1, "a failed generation is tried once");

    for host in &mut hosts {
        assert_eq!(host.end(Signal::SIGTERM), Some(0), "{}", host.log());
    }
    assert_eq!(states(&hosts), ["stopped", "stopped"]);
}

#[test]
fn of_two_pushes_that_race_the_newer_commit_is_what_the_hosts_run() {
    let ci = Ci::new("follow-race");
    let host = [Host::new(&ci, "web-1")];
    ci.all_say(&host, "idle", 0);
    let days = [("older", "2026-01-01 00:00:00 +0000"), ("newer", "2026-01-02 00:00:00 +0000")];
    let commits = days.map(|(version, day)| ci.build_at(version, "", day));
    let push = |commit: &String| ci.push(&[&format!("dist/shop-{commit}.zip")]);
    let start = |commit| push(commit).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let pushes = commits.each_ref().map(start);
    let ended: Vec<Output> = pushes.into_iter().map(|push| push.wait_with_output().unwrap()).collect();
    exits(&ended[1], 0);
    assert!(matches!(ended[0].status.code(), Some(0 | 4)), "{}", text(&ended[0]));
    let is_done = || {
        let said = ci.said("web-1");
        said["state"] == "succeeded" && said["commit"] == commits[1].as_str()
    };
    wait_until(is_done);
    assert!(host[0].trace().ends_with("ValidateService of newer\n"), "{}", host[0].trace());

    // Whoever comes too late is told so, and nothing moves.
    let generation = ci.said("web-1")["generation"].clone();
    let told = exits(&push(&commits[0]).output().unwrap(), 4);
    assert!(told.contains("newer commit"), "{told}");
    assert!(is_done() && ci.said("web-1")["generation"] == generation);
}

#[test]
fn an_agent_that_is_killed_or_replaced_during_a_deployment_goes_on_with_it_while_the_push_waits() {
    for signal in [Signal::SIGKILL, Signal::SIGTERM] {
        let ci = Ci::new(&format!("follow-{}", signal.as_str().to_lowercase()));
        let mut host = [Host::new(&ci, "web-1")];
        ci.all_say(&host, "idle", 0);
        ci.build("one", "echo waiting >> \"$host/trace\"\nuntil [ -e \"$host/go\" ]; do sleep 0.1; done\n");
        let push = ci.push(&["--wait"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        wait_until(|| host[0].trace().ends_with("waiting\n"));
        ci.all_say(&host, "deploying", 1);
        let code = host[0].end(signal);
        assert_eq!(code, if signal == Signal::SIGTERM { Some(0) } else { None }, "{}", host[0].log());
        host[0].start(&ci);
        fs::write(host[0].folder.join("go"), "").unwrap();
        exits(&push.wait_with_output().unwrap(), 0);
        assert_eq!(
            host[0].trace(),
            "ApplicationStart of one\nValidateService of one\nwaiting\n",
            "each script ran once"
        );
    }
}

#[test]
fn a_deployment_that_is_stopped_in_the_middle_of_a_script_ends_its_event_and_the_group_goes_back() {
    let ci = Ci::new("follow-stop");
    let host = [Host::new(&ci, "web-1")];
    ci.all_say(&host, "idle", 0);
    let run = |verb: &str, more: &[&str]| {
        let mut longshore = ci.longshore(&[verb, "--with", "store", "--group", "dev", "--output", "json"]);
        longshore.args(more).stdout(Stdio::piped()).stderr(Stdio::piped());
        longshore
    };
    let json = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
    ci.build("one", "");
    exits(&run("deploy", &["--wait"]).output().unwrap(), 0);

    ci.build_of("two", "echo waiting >> \"$host/trace\"\nuntil [ -e \"$host/go\" ]; do sleep 0.1; done\n", "", "");
    let deploying = run("deploy", &["--wait"]).spawn().unwrap();
    wait_until(|| host[0].trace().ends_with("ApplicationStart of two\nwaiting\n"));
    exits(&run("stop", &[]).output().unwrap(), 0);
    ci.all_say(&host, "deploying", 3);
    fs::write(host[0].folder.join("go"), "").unwrap();
    let ended = deploying.wait_with_output().unwrap();
    exits(&ended, 14);
    assert_eq!(json(&ended)["groups"][0]["waited"]["ended"], "stopped");
    let said = ci.said("web-1");
    assert_eq!(
        (&said["state"], &said["stopped"], &said["event"]),
        (&"failed".into(), &true.into(), &"ApplicationStart".into())
    );
    assert!(host[0].trace().ends_with("ApplicationStart of two\nwaiting\n"), "no further event: {}", host[0].trace());
    exits(&run("stop", &[]).output().unwrap(), 0);

    exits(&run("rollback", &["--wait"]).output().unwrap(), 0);
    let trace = host[0].trace();
    assert!(trace.ends_with("waiting\nApplicationStart of one\nValidateService of one\n"), "{trace}");

    ci.build("three", "exit 3\n");
    exits(&run("deploy", &["--wait"]).output().unwrap(), 13);
    let listed = json(&run("deployments", &[]).output().unwrap());
    let ended: Vec<&str> =
        listed["deployments"].as_array().unwrap().iter().map(|it| it["ended"].as_str().unwrap()).collect();
    assert_eq!(ended, ["rolled_back", "succeeded", "stopped", "succeeded"]);
}

#[test]
fn a_group_that_asks_for_signatures_runs_nothing_that_no_accepted_key_signed() {
    let ci = Ci::new("follow-signed");
    for key in ["ci.key", "foreign.key"] {
        exits(&ci.longshore(&["keygen", "--no-password", &format!("../{key}")]).output().unwrap(), 0);
    }
    let sign = |commit: &str, key: &str| {
        let artifact = format!("dist/shop-{commit}.zip");
        exits(&ci.longshore(&["sign", "--key", &format!("../{key}"), &artifact]).output().unwrap(), 0);
    };
    let key = ci.folder.path().join("ci.key.pub");
    let host =
        Host::with(&ci, "web-1", &format!("[signatures]\npublic_keys = [\"{}\"]\nrequire = true\n", key.display()));
    sign(&ci.build("one", ""), "ci.key");
    exits(&ci.push(&["--wait"]).output().unwrap(), 0);
    assert!(host.log().contains("Verified the signature: key "), "{}", host.log());
    let served = "ApplicationStart of one\nValidateService of one\n";
    assert_eq!(host.trace(), served);

    let foreign = ci.build("foreign", "");
    sign(&foreign, "foreign.key");
    let told = exits(&ci.push(&["--wait"]).output().unwrap(), 11);
    assert!(told.contains("was refused before it was opened") && told.contains("it was made with key "), "{told}");
    let two = ci.build("two", "");
    let told = exits(&ci.push(&["--wait"]).output().unwrap(), 11);
    assert!(told.contains("it is not signed: there is no `s3://follow-signed/releases/shop/"), "{told}");
    assert_eq!(host.trace(), served, "what runs goes on running");

    // Signed after it was published.
    sign(&two, "ci.key");
    exits(&ci.push(&["--wait"]).output().unwrap(), 0);
    assert_eq!(host.trace(), format!("{served}ApplicationStart of two\nValidateService of two\n"));
}
