//! Hosts that can be broken and made anew in milliseconds: each is a file system in memory that only one thread of this
//! process sees, at a path that is the same for all of them.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use nix::sched::{CloneFlags, unshare};

use e2e::bin;
use e2e::tracer::{Call, Trace, Tracer};

/// The path of all hosts of one test, and copies of their contents.
pub(crate) struct Stage {
    folder: tempfile::TempDir,
    copies: tempfile::TempDir,
}

/// A host, for the thread that made it.
pub(crate) struct Host<'a> {
    stage: &'a Stage,
}

/// How a run of the agent ended.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) told: String,
}

impl Stage {
    pub(crate) fn new() -> Stage {
        let stage = Stage { folder: tempfile::tempdir().unwrap(), copies: tempfile::tempdir().unwrap() };
        // Scripts that run as another user have to reach it.
        fs::set_permissions(stage.folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        stage
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Does something on an empty host.
    pub(crate) fn on_host<T: Send>(&self, work: impl FnOnce(&Host<'_>) -> T + Send) -> T {
        let done = thread::scope(|scope| {
            scope
                .spawn(|| {
                    let host = Host::new(self);
                    work(&host)
                })
                .join()
        });
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// Does each job on a host of its own, which is empty. All jobs are done; the panics of those that fail are told
    /// together, each with the number of its job.
    ///
    /// The variable `LONGSHORE_CRASH_POINT` leaves only the jobs whose numbers it lists.
    pub(crate) fn each<T: Sync>(&self, jobs: &[T], name: impl Fn(&T) -> String, work: impl Fn(&Host<'_>, &T) + Sync) {
        let only: Option<Vec<usize>> = std::env::var("LONGSHORE_CRASH_POINT")
            .ok()
            .map(|list| list.split(',').map(|number| number.parse().unwrap()).collect());
        let next = AtomicUsize::new(0);
        let failures = Mutex::new(Vec::new());
        let threads = thread::available_parallelism().map_or(2, usize::from);
        thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    let host = Host::new(self);
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        let Some(job) = jobs.get(number) else { return };
                        if only.as_ref().is_some_and(|only| !only.contains(&number)) {
                            continue;
                        }
                        host.clear();
                        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| work(&host, job))) {
                            let text = panic.downcast_ref::<String>().cloned();
                            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                            failures.lock().unwrap().push((number, text.unwrap_or_default()));
                        }
                    }
                });
            }
        });
        let mut failures = failures.into_inner().unwrap();
        failures.sort();
        let list: Vec<String> =
            failures.iter().map(|(number, text)| format!("── {number}: {}\n{text}\n", name(&jobs[*number]))).collect();
        let numbers: Vec<String> = failures.iter().map(|(number, _)| number.to_string()).collect();
        assert!(
            failures.is_empty(),
            "{} of {} points fail; again with LONGSHORE_CRASH_POINT={}\n{}",
            failures.len(),
            jobs.len(),
            numbers.join(","),
            list[..list.len().min(12)].concat()
        );
    }
}

impl Host<'_> {
    fn new(stage: &Stage) -> Host<'_> {
        // Mounts of this thread are seen by it and what it starts, and are gone with them.
        unshare(CloneFlags::CLONE_NEWNS).expect("the tests run as root");
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
        let host = Host { stage };
        host.mount_memory(stage.path(), "");
        host
    }

    /// Mounts a file system in memory; `limit` is an option of tmpfs, as `size=64k`.
    pub(crate) fn mount_memory(&self, at: &Path, limit: &str) {
        let options = if limit.is_empty() { "mode=755".to_owned() } else { format!("mode=755,{limit}") };
        mount(Some("crash"), at, Some("tmpfs"), MsFlags::empty(), Some(options.as_str())).unwrap();
    }

    pub(crate) fn unmount(&self, at: &Path) {
        umount2(at, MntFlags::MNT_DETACH).unwrap();
    }

    /// An empty host again.
    pub(crate) fn clear(&self) {
        self.unmount(self.path());
        self.mount_memory(self.path(), "");
    }

    pub(crate) fn path(&self) -> &Path {
        self.stage.path()
    }

    /// Keeps a copy of all that is on the host.
    pub(crate) fn save(&self, name: &str) {
        let copy = self.stage.copies.path().join(name);
        fs::create_dir(&copy).unwrap();
        copy_all(self.path(), &copy);
    }

    /// Puts a copy on an empty host.
    pub(crate) fn load(&self, name: &str) {
        copy_all(&self.stage.copies.path().join(name), self.path());
    }

    /// The agent's root.
    pub(crate) fn root(&self) -> PathBuf {
        self.path().join("root")
    }

    /// Where the revisions install to.
    pub(crate) fn www(&self) -> PathBuf {
        self.path().join("www")
    }

    /// Where scripts write that they ran.
    pub(crate) fn trace(&self) -> PathBuf {
        self.path().join("trace")
    }

    /// Where the scripts of an event wait for a line, when a pipe stands there.
    pub(crate) fn gate(&self, event: &str) -> PathBuf {
        self.path().join(format!("gate-{event}"))
    }

    /// Does something as if the host had been started anew.
    pub(crate) fn after_reboot<T>(&self, work: impl FnOnce() -> T) -> T {
        let real = Path::new("/proc/sys/kernel/random/boot_id");
        let other = self.stage.log("boot_id");
        fs::write(&other, "00000000-0000-4000-8000-000000000000\n").unwrap();
        mount(Some(&other), real, None::<&str>, MsFlags::MS_BIND, None::<&str>).unwrap();
        let done = catch_unwind(AssertUnwindSafe(work));
        self.unmount(real);
        done.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    /// The agent that finishes what another one left.
    pub(crate) fn resume(&self) -> Command {
        self.agent(&["resume", "--group", "dev"])
    }

    /// The folder of a deployment of group `dev`.
    pub(crate) fn deployment(&self, id: &str) -> PathBuf {
        self.root().join("shop~dev").join(id)
    }

    /// The agent, with this host's root and nothing of the surroundings.
    pub(crate) fn agent(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(bin("longshore-agent"));
        command.args(arguments).current_dir(self.path()).env_clear();
        command.env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        command.env("LONGSHORE_ROOT", self.root()).env("TZ", "UTC");
        command
    }

    /// The agent that deploys a revision of this host to group `dev`.
    pub(crate) fn deploy(&self, revision: &str, id: &str) -> Command {
        let revision = self.path().join("revisions").join(revision);
        let mut command = self.agent(&["deploy"]);
        command.arg(revision).args(["--group", "dev", "--application", "shop", "--deployment-id", id]);
        command
    }

    /// Runs the agent under a tracer.
    pub(crate) fn trace_run(&self, tracer: &Tracer<'_>, command: &mut Command) -> (Trace, Ran) {
        self.trace_and_see(tracer, command, &mut |_| ())
    }

    /// The same; `seen` is told of each call that succeeded.
    pub(crate) fn trace_and_see(
        &self,
        tracer: &Tracer<'_>,
        command: &mut Command,
        seen: &mut dyn FnMut(&Call),
    ) -> (Trace, Ran) {
        let (out, told) = (self.stage.log("out"), self.stage.log("told"));
        command.stdout(File::create(&out).unwrap()).stderr(File::create(&told).unwrap());
        let trace = tracer.run(command, seen);
        let text = |path: &Path| String::from_utf8_lossy(&fs::read(path).unwrap()).into_owned();
        let ran = Ran { code: trace.code, out: text(&out), told: text(&told) };
        (trace, ran)
    }
}

impl Stage {
    /// A file for what a traced program prints, outside of the host.
    fn log(&self, name: &str) -> PathBuf {
        self.copies.path().join(format!("{:?}.{name}", thread::current().id()))
    }
}

impl Ran {
    pub(crate) fn of(command: &mut Command) -> Ran {
        let output = command.output().unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ran { code: output.status.code(), out: text(&output.stdout), told: text(&output.stderr) }
    }

    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Ran {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.told);
        self
    }

    #[track_caller]
    pub(crate) fn succeeds(self) -> Ran {
        self.exits(0)
    }
}

/// Waits for something, and gives up after half a minute.
#[track_caller]
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn copy_all(from: &Path, to: &Path) {
    let copied = Command::new("cp").arg("--archive").arg(from.join(".")).arg(to).output().unwrap();
    assert!(copied.status.success(), "{}", String::from_utf8_lossy(&copied.stderr));
}
