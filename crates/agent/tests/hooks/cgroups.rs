//! What a hook's own cgroup adds: who belongs to it is known even when parents, sessions and the shim are gone.

use std::fs;
use std::process::{Command, Stdio};

use longshore_agent::hook::policy::Leftovers;
use longshore_agent::hook::watch::{follow, is_running};
use longshore_agent::hook::{HookOutcome, HookReport};

use crate::fixture::{self, Fixture, eventually, kill, plain, steady, texts, write_executable};

/// What a host offers: one hierarchy, as `mount` names it, or none.
const HIERARCHIES: [Option<&str>; 3] = [Some("cgroup2"), Some("cgroup -o freezer"), Some("cgroup -o pids")];

/// A shell line that has nothing but this hierarchy, at `$0/cgroup`, and nothing of it elsewhere.
fn host(hierarchy: Option<&str>) -> String {
    let mount = hierarchy.map(|kind| format!("mount -t {kind} none \"$0/cgroup\" && ")).unwrap_or_default();
    format!("umount -R -l /sys/fs/cgroup; {mount}")
}

/// A shim on such a host.
fn on(hierarchy: Option<&str>, mut fixture: Fixture) -> Fixture {
    fs::create_dir(fixture.path("cgroup")).unwrap();
    let (dir, agent) = (fixture.path(".").display().to_string(), env!("CARGO_BIN_EXE_longshore-agent"));
    let inner = host(hierarchy);
    let wrapper = format!("#!/bin/sh\nexec unshare --mount sh -c '{inner} exec {agent} \"$@\"' {dir} \"$@\"\n");
    write_executable(&fixture.path("agent"), wrapper);
    fixture.shim.exe = fixture.path("agent");
    fixture
}

/// Whether a hook's cgroup is there.
fn exists(hierarchy: Option<&str>, fixture: &Fixture, cgroup: &str) -> bool {
    let inner = format!("{} test -d \"$0/cgroup$1\"", host(hierarchy));
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &inner]).arg(fixture.path(".")).arg(cgroup).stderr(Stdio::null());
    command.status().unwrap().success()
}

/// The lines of a script that write down its own cgroup, as a path below the mount.
const OWN: &str = "#!/bin/sh\nown=$(sed -n 's/^[0-9]*:\\(\\|freezer\\|pids\\):\\(.*longshore-hook-.*\\)/\\2/p' /proc/self/cgroup)\n\
                   echo \"$own\" >own\n";

fn own(fixture: &Fixture) -> String {
    fs::read_to_string(fixture.path("own")).unwrap().trim().to_owned()
}

#[test]
fn a_hook_has_a_cgroup_of_its_own_which_is_gone_afterwards() {
    for hierarchy in HIERARCHIES {
        let fixture = on(hierarchy, Fixture::new());
        let report = fixture.run_text(format!("{OWN}[ -d \"cgroup$own\" ] && echo there\n"));
        let expected = HookReport { last_lines: texts(&["[stdout]there"]), ..plain(HookOutcome::Passed) };
        assert_eq!(steady(&report), expected, "{hierarchy:?}");
        assert!(own(&fixture).contains("/longshore-hook-"), "{hierarchy:?}: {}", own(&fixture));
        assert!(!exists(hierarchy, &fixture, &own(&fixture)), "{hierarchy:?}");
        assert_eq!(fs::read_to_string(fixture.hook_dir().join("shim.log")).unwrap(), "", "{hierarchy:?}");
    }
}

#[test]
fn without_any_cgroup_a_hook_runs_all_the_same_and_only_the_shims_own_log_says_why() {
    let fixture = on(None, Fixture::new());
    assert_eq!(steady(&fixture.run_text("#!/bin/sh\n")), plain(HookOutcome::Passed));
    let said = fs::read_to_string(fixture.hook_dir().join("shim.log")).unwrap();
    assert_eq!(said, "debug: `hook.sh` has no cgroup of its own: no cgroup hierarchy is mounted\n");
}

#[test]
fn a_timeout_ends_everything_whatever_the_host_offers() {
    for hierarchy in HIERARCHIES.into_iter().chain([None]) {
        let fixture = on(hierarchy, Fixture::timed(1000, 100));
        fixture.script("spawn.sh", "#!/bin/sh\ntrap '' TERM\necho $$ >>pids\nsleep 0.02\nsetsid \"$0\" &\n");
        let report = fixture.run_text(format!(
            "{OWN}for i in 1 2 3; do setsid archive/spawn.sh & done\n( setsid sh -c 'trap \"\" TERM; echo $$ >>pids; while :; do sleep 1; done' & )\nsleep 1000\n"
        ));
        assert_eq!(report.outcome, HookOutcome::TimedOut { forced: true }, "{hierarchy:?}");
        let pids = fs::read_to_string(fixture.path("pids")).unwrap();
        let alive: Vec<&str> = pids.lines().filter(|pid| fixture::is_running(pid.parse().unwrap())).collect();
        assert_eq!((alive.as_slice(), report.left_running.as_slice()), (&[][..], &[][..]), "{hierarchy:?}");
        assert!(hierarchy.is_none() || !exists(hierarchy, &fixture, &own(&fixture)), "{hierarchy:?}");
    }
}

#[test]
fn what_no_longer_descends_from_a_hook_is_found_and_ended_through_its_cgroup() {
    for hierarchy in HIERARCHIES {
        // Stands in for a process that something else has adopted.
        let mut stranger = Command::new("sleep").arg("1000").spawn().unwrap();
        let pid = stranger.id();
        let join = format!("{OWN}echo {pid} >\"cgroup$own/cgroup.procs\"\n");
        let fixture = on(hierarchy, Fixture::new());
        let report = fixture.run_text(&join);
        assert_eq!(report.outcome, HookOutcome::Passed, "{hierarchy:?}");
        let left: Vec<_> = report.left_running.iter().map(|p| (p.pid, p.command.as_str())).collect();
        assert_eq!(left, [(pid.cast_signed(), "sleep 1000")], "{hierarchy:?}");
        assert!(stranger.try_wait().unwrap().is_none(), "{hierarchy:?}");

        let fixture = on(hierarchy, Fixture::timed(500, 60_000));
        let report = fixture.run_text(format!("{join}sleep 1000\n"));
        assert_eq!(report.outcome, HookOutcome::TimedOut { forced: false }, "{hierarchy:?}");
        assert!(!stranger.wait().unwrap().success(), "{hierarchy:?}");
    }
}

/// Set in the process that plays the agent in the next test: where it finds its cgroups.
const MOUNTED: &str = "LONGSHORE_TEST_CGROUPS";

#[test]
fn what_outlives_script_and_shim_in_a_session_of_its_own_is_ended_by_the_next_agent() {
    if let Some(mounted) = std::env::var_os(MOUNTED) {
        let mut fixture = Fixture::timed(3_600_000, 200);
        fixture.env.insert("MOUNTED".into(), mounted);
        // In a cgroup below the hook's own, which the hook made itself.
        let report = fixture.run_text(format!(
            "{OWN}below=$MOUNTED$own/below\nmkdir \"$below\"\n\
             setsid sh -c 'trap \"\" TERM; echo $$ >\"$0/cgroup.procs\"; echo $$ >daemon; while :; do sleep 0.1; done' \
             \"$below\" >/dev/null 2>&1 &\n\
             while ! [ -s daemon ]; do sleep 0.01; done\n\
             kill -KILL $PPID\n"
        ));
        let daemon = fixture.pid("daemon");
        assert_eq!((report.outcome, report.left_running), (HookOutcome::Interrupted, vec![]));
        let named = report.notes.iter().filter(|note| note.ends_with(&format!("(process {daemon})"))).count();
        assert_eq!(named, 1, "{:?}", report.notes);
        assert!(!fixture::is_running(daemon));
        return;
    }
    for hierarchy in HIERARCHIES {
        let fixture = Fixture::new();
        fs::create_dir(fixture.path("cgroup")).unwrap();
        let inner = format!("{} exec \"$1\" \"$2\" --exact", host(hierarchy));
        let mut agent = Command::new("unshare");
        agent.args(["--mount", "sh", "-c", &inner]).arg(fixture.path(".")).arg(std::env::current_exe().unwrap());
        agent.arg("cgroups::what_outlives_script_and_shim_in_a_session_of_its_own_is_ended_by_the_next_agent");
        let done = agent.env(MOUNTED, fixture.path("cgroup")).output().unwrap();
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "{hierarchy:?}: {said}");
    }
}

#[test]
fn a_cgroup_stays_as_long_as_something_runs_in_it_and_goes_with_the_next_hook() {
    for hierarchy in HIERARCHIES {
        let fixture = on(hierarchy, Fixture::new());
        fixture.run_text(format!("{OWN}sleep 1000 >/dev/null 2>&1 &\necho $! >pid\n"));
        let (cgroup, pid) = (own(&fixture), fixture.pid("pid"));
        let next = |number: u32| {
            fixture.script("next.sh", "#!/bin/sh\n");
            let dir = fixture.path(&format!("hooks/{number}"));
            fixture.shim.run(&fixture.command("next.sh"), &dir, &mut |_, _| {}).unwrap();
        };
        next(2);
        assert!(fixture::is_running(pid) && exists(hierarchy, &fixture, &cgroup), "{hierarchy:?}");
        kill(pid, "KILL");
        eventually("it has ended", || (!fixture::is_running(pid)).then_some(()));
        next(3);
        assert!(!exists(hierarchy, &fixture, &cgroup), "{hierarchy:?}");
    }
}

#[test]
fn a_reader_that_stays_removes_the_cgroup_when_the_output_ends() {
    let fixture = on(HIERARCHIES[0], Fixture::new());
    fixture.run_text(format!("{OWN}sleep 1000 &\necho $! >pid\n"));
    assert!(exists(HIERARCHIES[0], &fixture, &own(&fixture)));
    kill(fixture.pid("pid"), "KILL");
    eventually("the cgroup is gone", || (!exists(HIERARCHIES[0], &fixture, &own(&fixture))).then_some(()));
}

#[test]
fn leftovers_are_killed_through_the_cgroup_too() {
    for hierarchy in HIERARCHIES {
        let mut fixture = Fixture::leaving(Leftovers::Kill);
        fixture.policy.grace = std::time::Duration::from_millis(200);
        let fixture = on(hierarchy, fixture);
        let report = fixture.run_text(format!(
            "{OWN}( setsid sh -c 'trap \"\" TERM; echo $$ >pid; while :; do sleep 0.1; done' & )\nwhile ! [ -s pid ]; do sleep 0.01; done\n"
        ));
        assert_eq!((report.outcome, report.left_running), (HookOutcome::Passed, vec![]), "{hierarchy:?}");
        assert!(!fixture::is_running(fixture.pid("pid")), "{hierarchy:?}");
        assert!(!exists(hierarchy, &fixture, &own(&fixture)), "{hierarchy:?}");
    }
}

#[test]
fn an_interrupted_hook_of_an_earlier_boot_ends_nothing_of_this_one() {
    let fixture = Fixture::new();
    let mut bystander = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = bystander.id();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let ticks: u64 = stat.split(' ').nth(21).unwrap().parse().unwrap();
    fs::create_dir_all(fixture.hook_dir()).unwrap();
    fs::write(fixture.hook_dir().join("shim.lock"), "").unwrap();
    let running = format!(
        "{{\"shim\":1,\"pid\":{pid},\"ticks\":{ticks},\"started\":\"2026-11-21T10:00:00Z\",\"boot\":\"another\",\
         \"cgroup\":null,\"grace\":{{\"secs\":0,\"nanos\":0}},\"output\":null}}"
    );
    fs::write(fixture.hook_dir().join("running.json"), running).unwrap();
    assert!(!is_running(&fixture.hook_dir()).unwrap());
    let report = follow(&fixture.hook_dir(), &mut |_, _| {}).unwrap();
    assert_eq!(report.pid, Some(pid.cast_signed()));
    assert_eq!(steady(&report), plain(HookOutcome::Interrupted));
    assert!(bystander.try_wait().unwrap().is_none());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}
