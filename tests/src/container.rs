//! A clean Debian host of its own, with systemd: what is installed there is gone when the test ends.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// How long such a host may take for something.
const LIMIT: Duration = Duration::from_secs(120);

/// A host that runs.
#[derive(Debug)]
pub struct Container {
    nspawn: Child,
    init: i32,
    console: PathBuf,
    _folder: tempfile::TempDir,
}

impl Container {
    /// Starts one. `shared` is what it sees at `/shared`, to be read only. It has no network. Panics when it does not start.
    pub fn boot(shared: &Path) -> Container {
        let debian = crate::target().join("services/debian");
        assert!(debian.is_dir(), "there is no clean Debian host at {}; run dev/services/install", debian.display());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let console = folder.path().join("console");
        let output = fs::File::create(&console).expect("a file for the console");
        // What is written goes to memory, above the files that all tests share.
        let nspawn = Command::new("systemd-nspawn")
            .args(["--quiet", "--register=no", "--keep-unit", "--private-network", "--volatile=overlay", "--boot"])
            .arg(format!("--machine=longshore-{}", std::process::id()))
            .arg(format!("--directory={}", debian.display()))
            .arg(format!("--bind-ro={}:/shared", shared.display()))
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a file can be shared"))
            .stderr(output)
            .spawn()
            .expect("systemd-nspawn is installed by dev/services/install");
        let mut container = Container { nspawn, init: 0, console, _folder: folder };
        container.init = container.until("the host starts", |container| container.find_init());
        container.until("systemd answers", |container| {
            let state = container.output("systemctl is-system-running");
            // Some units of a host have nothing to do in a container.
            matches!(String::from_utf8_lossy(&state.stdout).trim(), "running" | "degraded").then_some(())
        });
        container
    }

    /// Runs a shell script on the host and gives back what it printed. Panics when it fails.
    pub fn run(&self, script: &str) -> String {
        let output = self.output(script);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        assert!(
            output.status.success(),
            "{script}\n{:?}\n--- stdout\n{}--- stderr\n{}",
            output.status,
            text(&output.stdout),
            text(&output.stderr)
        );
        text(&output.stdout)
    }

    /// Runs a shell script on the host, whatever becomes of it.
    pub fn output(&self, script: &str) -> Output {
        Command::new("nsenter")
            .args(["--all", "--root", "--wdns=/", &format!("--target={}", self.init), "/bin/bash", "-euc", script])
            .env_clear()
            .envs([("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root")])
            .env("LC_ALL", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .expect("nsenter is part of every Debian")
    }

    /// Waits until something holds.
    pub fn until<T>(&mut self, what: &str, mut holds: impl FnMut(&mut Container) -> Option<T>) -> T {
        let deadline = Instant::now() + LIMIT;
        loop {
            if let Some(held) = holds(self) {
                return held;
            }
            let ended = self.nspawn.try_wait().expect("the host can be asked");
            let console = || fs::read_to_string(&self.console).unwrap_or_default();
            assert!(ended.is_none(), "{what}: the host ended with {ended:?}\n{}", console());
            assert!(Instant::now() < deadline, "{what}: not in {LIMIT:?}\n{}", console());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The first process of the host: the child of nspawn that systemd has become.
    fn find_init(&self) -> Option<i32> {
        let parent = format!("PPid:\t{}", self.nspawn.id());
        fs::read_dir("/proc").ok()?.flatten().find_map(|entry| {
            let pid = entry.file_name().to_str()?.parse().ok()?;
            let status = fs::read_to_string(entry.path().join("status")).ok()?;
            let is_first = status.lines().any(|line| line.starts_with("NSpid:") && line.ends_with("\t1"));
            (is_first && status.lines().any(|line| line == parent) && status.starts_with("Name:\tsystemd\n"))
                .then_some(pid)
        })
    }
}

impl Drop for Container {
    /// With its first process the whole host is gone.
    fn drop(&mut self) {
        if self.init > 0 {
            let _ = kill(Pid::from_raw(self.init), Signal::SIGKILL);
        } else {
            let _ = self.nspawn.kill();
        }
        let _ = self.nspawn.wait();
    }
}
