//! A host that follows group `dev` of `shop` in a folder, and the pointer that somebody moves.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use longshore_agent::daemon::notice::{Listener, Notice};
use longshore_agent::daemon::shared::Shared;
use longshore_agent::deployment::agent::Agent;
use longshore_agent::deployment::order::Policy;
use longshore_agent::event::Event;
use longshore_agent::hook::watch::Shim;
use longshore_agent::layout::Layout;
use longshore_agent::network::Network;
use longshore_agent::settings::{Control, Follow, Settings};
use longshore_agent::source;
use longshore_core::bundle::{Bundle, Limits};
use longshore_core::digest::Sha256;
use longshore_core::fsx;
use longshore_core::report::{Envelope, Reporter};
use longshore_core::store::StoreUrl;
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::sandbox::{Sandbox, wait_until};

/// The commit of every bundle.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// The host.
pub(crate) struct Host {
    pub(crate) sandbox: Sandbox,
}

/// A bundle in the store.
pub(crate) struct Stored {
    pub(crate) key: String,
    pub(crate) etag: String,
    pub(crate) content_digest: String,
}

/// A running agent.
pub(crate) struct Running {
    pub(crate) shared: Shared,
    pub(crate) notices: Arc<Notices>,
    end: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

/// What the agent said of itself.
#[derive(Default)]
pub(crate) struct Notices(Mutex<Vec<Notice>>);

impl Listener for Notices {
    fn tell(&self, notice: &Notice) {
        self.0.lock().unwrap().push(notice.clone());
    }
}

impl Notices {
    pub(crate) fn all(&self) -> Vec<Notice> {
        self.0.lock().unwrap().clone()
    }
}

struct NoReader;

impl Reporter<Event> for NoReader {
    fn report(&self, _: &Envelope<'_, Event>) {}
}

impl Host {
    pub(crate) fn new() -> Host {
        let host = Host { sandbox: Sandbox::new() };
        fs::create_dir(host.store()).unwrap();
        host
    }

    pub(crate) fn store(&self) -> PathBuf {
        self.sandbox.path().join("store")
    }

    /// Packs a folder and stores it.
    pub(crate) fn publish(&self, revision: &Path) -> Stored {
        let name = revision.file_name().unwrap().to_str().unwrap();
        let key = format!("shop/{name}.tar");
        let place = self.store().join(&key);
        fs::create_dir_all(place.parent().unwrap()).unwrap();
        let packed = Command::new("tar").arg("-cf").arg(&place).arg("-C").arg(revision).arg(".").status().unwrap();
        assert!(packed.success());
        let bundle = Bundle::open(&place, &Limits::default()).unwrap();
        let etag = Sha256::of(&fs::read(&place).unwrap()).to_string();
        Stored { key, etag, content_digest: bundle.content_digest.to_string() }
    }

    /// A release that traces its events and installs one file.
    pub(crate) fn release(&self, name: &str) -> Stored {
        self.publish(&self.sandbox.traced(name, &[("index.html", name)]))
    }

    /// A release with one script, in ValidateService.
    pub(crate) fn scripted(&self, name: &str, script: &str) -> Stored {
        let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  \
                       ValidateService:\n    - location: check.sh\n      timeout: 30\n";
        let files = [("appspec.yml", appspec), ("check.sh", script), ("site/index.html", name)];
        self.publish(&self.sandbox.revision(name, &files))
    }

    /// A release whose AfterInstall has two scripts, of which the first waits, and that has an ApplicationStart.
    pub(crate) fn waiting(&self, name: &str, waits: &str) -> Stored {
        let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  \
                       AfterInstall:\n    - location: wait.sh\n      timeout: 30\n    - location: second.sh\n  \
                       ApplicationStart:\n    - location: start.sh\n";
        let says = |word: &str| format!("#!/bin/sh\necho {word} >> {{trace}}\n");
        let (second, start) = (says("second"), says("start"));
        let files = [
            ("appspec.yml", appspec),
            ("wait.sh", waits),
            ("second.sh", &second),
            ("start.sh", &start),
            ("site/index.html", name),
        ];
        self.publish(&self.sandbox.revision(name, &files))
    }

    /// Moves the pointer.
    pub(crate) fn point(&self, generation: u64, deployment: &str, to: &Stored) {
        self.point_and_stop(generation, deployment, to, None);
    }

    /// Moves the pointer, and has a deployment stopped.
    pub(crate) fn point_and_stop(&self, generation: u64, deployment: &str, to: &Stored, stop: Option<&str>) {
        let pointer = json!({
            "format": 1, "application": "shop", "group": "dev", "generation": generation, "deployment": deployment,
            "revision": {"key": to.key, "etag": to.etag, "size": 1, "content_digest": to.content_digest},
            "commit": COMMIT, "commit_time": 0, "at": "2026-01-02T03:04:05Z", "by": "ci",
            "stop": stop,
        });
        self.put_pointer(pointer.to_string().as_bytes());
    }

    /// Writes anything where the pointer stands.
    pub(crate) fn put_pointer(&self, contents: &[u8]) {
        let path = self.pointer();
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fsx::write_atomic(&path, contents).unwrap();
    }

    pub(crate) fn pointer(&self) -> PathBuf {
        self.store().join("groups/shop/dev.json")
    }

    /// What was seen of the pointer.
    pub(crate) fn mark(&self) -> PathBuf {
        self.sandbox.root().join("groups/shop~dev/pointer.json")
    }

    /// What stands on disk of the release.
    pub(crate) fn site(&self) -> String {
        fs::read_to_string(self.sandbox.www().join("index.html")).unwrap_or_default()
    }

    /// What the host says, with a fixed time and version.
    pub(crate) fn status(&self) -> Value {
        let Ok(json) = fs::read(self.store().join("status/shop/dev/web-1.json")) else { return Value::Null };
        let mut status: Value = serde_json::from_slice(&json).unwrap();
        assert!(status["at"].as_str().unwrap().ends_with('Z') && status["agent"] == env!("CARGO_PKG_VERSION"));
        (status["at"], status["agent"]) = (json!("{now}"), json!("{version}"));
        status
    }

    /// Waits until the host says this of its deployment.
    #[track_caller]
    pub(crate) fn says(&self, state: &str, deployment: &str) {
        wait_until(|| {
            let status = self.status();
            status["state"] == state && status["deployment"] == deployment
        });
    }

    pub(crate) fn start(&self) -> Running {
        self.start_paused(false)
    }

    pub(crate) fn start_paused(&self, paused: bool) -> Running {
        let layout = Layout::new(self.sandbox.root());
        let follow = Follow {
            store: StoreUrl::Dir(self.store()),
            application: "shop".parse().unwrap(),
            group: "dev".parse().unwrap(),
            poll: Duration::from_millis(40),
            fast_poll: Duration::from_millis(20),
            heartbeat: Duration::from_secs(60),
            host: "web-1".to_owned(),
            policy: Policy::default(),
        };
        let settings = Settings {
            layout: layout.clone(),
            program_name: "codedeploy-agent".to_owned(),
            log_dir: None,
            verbose: false,
            network: Network::default(),
            codedeploy: None,
            follow: vec![follow.clone()],
            control: Control { socket: None, group: None },
            policy: Policy::default(),
        };
        let environment = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("TZ", "UTC")];
        let agent = Agent {
            environment: environment
                .map(|(name, value)| (name.into(), value.into()))
                .into_iter()
                .collect::<BTreeMap<_, _>>(),
            cwd: self.sandbox.path().to_owned(),
            shim: Shim { exe: env!("CARGO_BIN_EXE_longshore-agent").into() },
            ..Agent::quiet(layout, Arc::new(NoReader)).unwrap()
        };
        let (end, ending) = watch::channel(false);
        let notices = Arc::<Notices>::default();
        let shared = Shared::new(settings, agent, Arc::clone(&notices) as Arc<dyn Listener>, ending, paused);
        let followed = source::store::follow(shared.clone(), follow);
        let thread = thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async { tokio::spawn(followed).await.unwrap() });
        });
        Running { shared, notices, end, thread: Some(thread) }
    }
}

impl Running {
    /// Ends the agent; what it deploys is handed over.
    pub(crate) fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.shared.agent.handover.store(true, Ordering::Relaxed);
        self.end.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
            self.shared.desk.close();
        }
    }

    /// Why the agent does not follow the pointer, as `control status` has it.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.shared.sources().into_values().next()?.trouble
    }

    /// Waits until the store was asked several times more.
    #[track_caller]
    pub(crate) fn looks_again(&self) {
        for _ in 0..3 {
            let answered = || self.shared.sources().into_values().next().and_then(|state| state.answered);
            let before = answered();
            wait_until(|| answered() != before);
        }
    }

    /// Waits for a warning with these words.
    #[track_caller]
    pub(crate) fn warns(&self, part: &str) {
        let has = |notice: &Notice| matches!(notice, Notice::Warned { message } if message.contains(part));
        wait_until(|| self.notices.all().iter().any(has));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !thread::panicking() {
            self.end();
        }
    }
}
