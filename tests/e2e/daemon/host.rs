//! A host with an agent of its own: its root, its settings, its process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output};
use std::thread;
use std::time::{Duration, Instant};

use e2e::bin;
use e2e::command_service::{CommandService, Deployment, Ended, Keys, Status};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use tempfile::TempDir;

use crate::release::Release;

/// Who the host is for the service.
pub(crate) const ARN: &str = "arn:aws:iam::123456789012:user/web-1";
/// The group of the deployments.
pub(crate) const GROUP: &str = "7c1d9f0a-5b7e-4f58-9d0e-2f6a3c4b5d6e";

/// A host.
pub(crate) struct Host {
    /// The service that it takes orders from.
    pub(crate) service: CommandService,
    /// Who it is for the service.
    pub(crate) arn: String,
    /// Further lines of `codedeployagent.yml`.
    pub(crate) aws_settings: String,
    /// The control socket; empty: there is none.
    pub(crate) socket: String,
    /// Further tables of `agent.toml`.
    pub(crate) own_settings: String,
    /// The on-premises file.
    pub(crate) on_premises: String,
    /// Variables of the agent.
    pub(crate) environment: BTreeMap<&'static str, String>,
    /// The agent's program.
    pub(crate) program: PathBuf,
    /// Lines of `[codedeploy]` in `agent.toml`.
    pub(crate) codedeploy: String,
    folder: TempDir,
    agent: Option<Child>,
}

pub(crate) fn keys() -> Keys {
    Keys { id: "AKIAHOST".to_owned(), secret: "secret-of-the-host".to_owned(), token: None }
}

impl Host {
    /// A host with an IAM user, and a service that knows it.
    pub(crate) fn new() -> Host {
        Host::with(CommandService::start())
    }

    pub(crate) fn with(service: CommandService) -> Host {
        let Keys { id, secret, .. } = keys();
        service.register(ARN, &keys());
        let codedeploy = format!("spec_signer_ca_file = \"{}\"\n", service.signer_authority().display());
        Host {
            service,
            arn: ARN.to_owned(),
            aws_settings: String::new(),
            socket: String::new(),
            own_settings: String::new(),
            on_premises: format!(
                "iam_user_arn: {ARN}\nregion: us-east-1\naws_access_key_id: {id}\naws_secret_access_key: {secret}\n"
            ),
            // Nobody answers there: this host is no instance.
            environment: BTreeMap::from([("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1".to_owned())]),
            program: bin("longshore-agent"),
            codedeploy,
            folder: tempfile::tempdir().unwrap(),
            agent: None,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The agent's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// The folder of a deployment of the usual group.
    pub(crate) fn deployment(&self, id: &str) -> PathBuf {
        self.root().join(GROUP).join(id)
    }

    /// Starts the agent.
    pub(crate) fn start(&mut self) {
        assert!(self.agent.is_none(), "an agent runs already");
        let told = File::options().create(true).append(true).open(self.path().join("told")).unwrap();
        let mut command = self.command();
        command.stdout(told.try_clone().unwrap()).stderr(told);
        self.agent = Some(command.spawn().unwrap());
    }

    /// Starts one more agent, which must end by itself.
    pub(crate) fn run_once(&self) -> Output {
        self.command().output().unwrap()
    }

    /// Says something to the agent by its socket.
    pub(crate) fn control(&self, word: &str) {
        let mut command = Command::new(&self.program);
        command.args(["control", "--socket", &self.socket, word]);
        eventually(word, || command.output().unwrap().status.success().then_some(()));
    }

    /// Writes the settings; what starts an agent with them.
    fn command(&self) -> Command {
        let path = self.path().to_owned();
        let write = |name: &str, text: String| fs::write(path.join(name), text).unwrap();
        write("onpremises.yml", self.on_premises.clone());
        write(
            "codedeployagent.yml",
            format!(
                "---\n:program_name: codedeploy-agent\n:root_dir: {root}\n:wait_between_runs: 1\n\
                 :deploy_control_endpoint: {url}\n:on_premises_config_file: {host}/onpremises.yml\n{more}",
                root = self.root().display(),
                url = self.service.url,
                host = path.display(),
                more = self.aws_settings,
            ),
        );
        write(
            "agent.toml",
            format!(
                "[codedeploy]\nenabled = true\nconfig_file = \"{host}/codedeployagent.yml\"\nwait_between_runs = 0.1\n\
                 wait_after_throttle_error = 0.1\n{codedeploy}\n[control]\nsocket = \"{socket}\"\n{more}",
                host = path.display(),
                codedeploy = self.codedeploy,
                socket = self.socket,
                more = self.own_settings,
            ),
        );
        let mut command = Command::new(&self.program);
        command.arg("run").arg("--config").arg(path.join("agent.toml")).current_dir(&path).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin").env("TZ", "UTC");
        command.envs(&self.environment);
        command
    }

    /// SIGKILL. Scripts live on.
    pub(crate) fn kill(&mut self) {
        let mut agent = self.agent.take().unwrap();
        agent.kill().unwrap();
        agent.wait().unwrap();
    }

    /// SIGTERM: how the agent ended, and how long that took.
    pub(crate) fn stop(&mut self) -> (ExitStatus, Duration) {
        let mut agent = self.agent.take().unwrap();
        let begun = Instant::now();
        kill(Pid::from_raw(agent.id().try_into().unwrap()), Signal::SIGTERM).unwrap();
        let status = eventually("the agent ends", || agent.try_wait().unwrap());
        (status, begun.elapsed())
    }

    /// A deployment of a release in a folder of the host, begun.
    pub(crate) fn begin(&self, id: &str, release: &Release) -> Deployment {
        let deployment = Deployment::of(id, release.folder(self.path()));
        self.service.deploy(&self.arn, &deployment);
        deployment
    }

    /// How a deployment ended.
    pub(crate) fn ended(&self, id: &str) -> Ended {
        self.service.wait_for_end(&self.arn, id)
    }

    /// A deployment of a release that succeeds; afterwards nothing is written down that it did.
    pub(crate) fn deployed(&self, id: &str, release: &Release) {
        self.begin(id, release);
        let ended = self.ended(id);
        assert_eq!(ended.status, Status::Succeeded, "{:#?}\n{}", told(&ended), self.told());
        fs::remove_file(self.path().join("trace")).unwrap();
    }

    /// What scripts wrote down, by line.
    pub(crate) fn trace(&self) -> Vec<String> {
        let text = fs::read_to_string(self.path().join("trace")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// The name of the installed release.
    pub(crate) fn version(&self) -> Option<String> {
        let text = fs::read_to_string(self.path().join("www/version")).ok()?;
        Some(text.trim_end().to_owned())
    }

    /// What the agent said.
    pub(crate) fn told(&self) -> String {
        fs::read_to_string(self.path().join("told")).unwrap_or_default()
    }

    /// The script of this event will wait.
    pub(crate) fn close_gate(&self, event: &str) {
        mkfifo(&self.path().join(format!("gate-{event}")), Mode::S_IRWXU).unwrap();
    }

    /// Waits until the script of this event of a release runs.
    pub(crate) fn wait_for_script(&self, release: &str, event: &str) {
        let line = format!("{release} {event}");
        eventually(&line, || self.trace().contains(&line).then_some(()));
    }

    /// Lets the script of this event end.
    pub(crate) fn open_gate(&self, event: &str) {
        let gate = self.path().join(format!("gate-{event}"));
        File::options().write(true).open(&gate).unwrap().write_all(b"go\n").unwrap();
        fs::remove_file(gate).unwrap();
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        if let Some(mut agent) = self.agent.take() {
            let _ = agent.kill();
            let _ = agent.wait();
        }
        if thread::panicking() {
            eprintln!("── the agent said:\n{}", self.told());
        }
        // Whatever of this host still runs names its folder.
        let folder = self.path().display().to_string();
        for process in fs::read_dir("/proc").unwrap().map_while(Result::ok) {
            let Some(number) = process.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&folder) {
                let _ = kill(Pid::from_raw(number), Signal::SIGKILL);
            }
        }
    }
}

/// What the host told the service of each command of a deployment: one line each. What it told more than once stands once;
/// that it changed its mind fails the test.
#[track_caller]
pub(crate) fn told(ended: &Ended) -> Vec<String> {
    let line = |command: &e2e::command_service::Command| {
        let noop = command.acknowledgements.contains(&true);
        assert!(command.acknowledgements.iter().all(|said| *said == noop), "{command:#?}");
        let Some(first) = command.completions.first() else {
            return format!("{} {}", command.event, if noop { "nothing to do" } else { "-" });
        };
        for completion in &command.completions {
            let same = completion.status == first.status && completion.diagnostics == first.diagnostics;
            assert!(same, "told two things of one command: {command:#?}");
        }
        let counted = command.completions.iter().filter(|completion| completion.counts).count();
        assert_eq!(counted, usize::from(!noop), "{command:#?}");
        let diagnostics = first.diagnostics.as_ref();
        assert_eq!(diagnostics.map(|d| d.format.as_str()), Some("JSON"), "{command:#?}");
        let payload = diagnostics.map_or("", |diagnostics| &diagnostics.payload);
        let short = if payload == SUCCEEDED { "" } else { payload };
        format!("{} {}{}{short}", command.event, first.status.name(), if short.is_empty() { "" } else { " " })
    };
    ended.commands.iter().map(line).collect()
}

const SUCCEEDED: &str = r#"{"error_code":0,"script_name":"","message":"Succeeded: ","log":""}"#;

/// Waits for something, and gives up after a minute.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}
