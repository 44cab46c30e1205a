//! What the daemon costs: memory and processor time while it polls and while it deploys, over a long run.
//!
//! ```text
//! soak AGENT [--polls N] [--deployments N]
//! ```
//!
//! Prints a table. With LONGSHORE_TEST_S3 (see `dev/services/run`) the bundles come from there, else from the host's disk.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::command_service::{CommandService, Deployment, Keys, Operation, Pace, Revision, Status};

const HOST: &str = "arn:aws:iam::123456789012:user/soak";

fn main() {
    let mut arguments = std::env::args().skip(1);
    let agent = PathBuf::from(arguments.next().expect("the agent's program is named"));
    let (mut polls, mut deployments) = (10_000, 200);
    while let Some(option) = arguments.next() {
        let number = arguments.next().and_then(|number| number.parse().ok()).expect("a number follows");
        match option.as_str() {
            "--polls" => polls = number,
            "--deployments" => deployments = number,
            other => panic!("unknown option {other}"),
        }
    }
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let service = CommandService::with_pace(Pace { poll: Duration::from_millis(1), again: Duration::from_secs(30) });
    let keys = Keys { id: "AKIASOAK".to_owned(), secret: "secret".to_owned(), token: None };
    service.register(HOST, &keys);
    let revision = revision(dir.path());
    let mut daemon = Daemon::start(&agent, dir.path(), &service.url, &keys);
    service.wait_for_calls(Operation::Poll, 50);

    println!("| after | resident, MiB | threads | open files | processor, s |");
    println!("|---|---|---|---|---|");
    daemon.row("50 polls");
    for step in 1..=5 {
        let until = polls * step / 5;
        // The agent asks ten times a second at most; a wait is not longer than a minute.
        for count in (polls * (step - 1) / 5..=until).step_by(100) {
            service.wait_for_calls(Operation::Poll, count);
        }
        daemon.row(&format!("{} polls", polls * step / 5));
    }
    for step in 1..=5 {
        for number in deployments * (step - 1) / 5..deployments * step / 5 {
            let id = format!("d-SOAK{number:05}");
            service.deploy(HOST, &Deployment::of(&id, revision.clone()));
            let ended = service.wait_for_end(HOST, &id);
            assert_eq!(ended.status, Status::Succeeded, "{:#?}", ended.commands);
        }
        daemon.row(&format!("{} deployments", deployments * step / 5));
    }
    service.down();
    thread::sleep(Duration::from_secs(30));
    daemon.row("30 s without the service");
}

/// A bundle with a file and a script for each event.
fn revision(dir: &Path) -> Revision {
    let source = dir.join("source");
    fs::create_dir_all(&source).expect("a folder can be made");
    let mut appspec = "version: 0.0\nos: linux\nfiles:\n  - source: index.html\n    destination: ".to_owned();
    appspec.push_str(&format!("{}\nhooks:\n", dir.join("www").display()));
    for event in ["ApplicationStop", "BeforeInstall", "AfterInstall", "ApplicationStart", "ValidateService"] {
        appspec.push_str(&format!("  {event}:\n    - location: hook.sh\n      timeout: 60\n"));
    }
    for (name, text) in
        [("appspec.yml", appspec.as_str()), ("index.html", "hello\n"), ("hook.sh", "#!/bin/sh\necho x\n")]
    {
        fs::write(source.join(name), text).expect("a file can be written");
    }
    let bundle = dir.join("bundle.zip");
    let packed = Command::new("zip").args(["-q", "-r"]).arg(&bundle).arg(".").current_dir(&source).status();
    assert!(packed.is_ok_and(|status| status.success()), "zip packs");
    match std::env::var("LONGSHORE_TEST_S3") {
        Err(_) => Revision::LocalFile { location: bundle.display().to_string(), bundle_type: "zip" },
        Ok(endpoint) => {
            let url = format!("{endpoint}/soak");
            for (to, body) in [(url.clone(), None), (format!("{url}/bundle.zip"), Some(&bundle))] {
                let mut curl = Command::new("curl");
                curl.args(["-fsS", "-X", "PUT", "--aws-sigv4", "aws:amz:us-east-1:s3", "--user", "test:test"]);
                if let Some(file) = body {
                    curl.arg("--upload-file").arg(file);
                }
                assert!(
                    curl.arg(to).stdout(Stdio::null()).status().is_ok_and(|status| status.success()),
                    "S3 takes it"
                );
            }
            let (bucket, key) = ("soak".to_owned(), "bundle.zip".to_owned());
            Revision::S3 { bucket, key, bundle_type: "zip", version: None, etag: None }
        }
    }
}

/// The agent under test.
struct Daemon {
    child: Child,
    begun: Instant,
}

impl Daemon {
    fn start(agent: &Path, dir: &Path, service: &str, keys: &Keys) -> Daemon {
        let identity = dir.join("onpremises.yml");
        let text = format!(
            "region: us-east-1\niam_user_arn: {HOST}\naws_access_key_id: {}\naws_secret_access_key: {}\n",
            keys.id, keys.secret
        );
        fs::write(&identity, text).expect("a file can be written");
        let mut config = format!(
            "root_dir: {}\non_premises_config_file: {}\ndeploy_control_endpoint: {service}\nwait_between_runs: 0\n",
            dir.join("root").display(),
            identity.display()
        );
        if let Ok(endpoint) = std::env::var("LONGSHORE_TEST_S3") {
            config.push_str(&format!("s3_endpoint_override: {endpoint}\n"));
        }
        let file = dir.join("codedeployagent.yml");
        fs::File::create(&file).and_then(|mut file| file.write_all(config.as_bytes())).expect("a file can be written");
        let mut command = Command::new(agent);
        command.args(["run", "--config"]).arg(file).stderr(Stdio::null()).env("AWS_EC2_METADATA_DISABLED", "true");
        Daemon { child: command.spawn().expect("the agent starts"), begun: Instant::now() }
    }

    fn row(&mut self, after: &str) {
        let pid = self.child.id();
        let read = |name: &str| fs::read_to_string(format!("/proc/{pid}/{name}")).expect("the agent runs");
        let status = read("status");
        let of = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("the kernel says it");
            line.trim_start_matches(':').split_whitespace().next().expect("a value").parse::<f64>().expect("a number")
        };
        let stat = read("stat");
        let times: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse().expect("a number"))
            .collect();
        let files = fs::read_dir(format!("/proc/{pid}/fd")).expect("the agent runs").count();
        println!(
            "| {after} ({:.0} s) | {:.1} | {} | {files} | {:.2} |",
            self.begun.elapsed().as_secs_f64(),
            of("VmRSS") / 1024.0,
            of("Threads"),
            times.iter().sum::<f64>() / 100.0,
        );
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
