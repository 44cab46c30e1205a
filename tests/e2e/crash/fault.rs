//! Calls fail: the disk is full, broken, read-only, or shut to us.

use std::fs;
use std::path::Path;

use e2e::tracer::{Call, Change, Deed, Fault, Follow, Trace, Tracer};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::statvfs::statvfs;

use crate::check;
use crate::host::{Host, Ran, Stage};
use crate::release::{Expected, INSTALLED, NEW, OLD, Standing};

/// Scripts before and after Install, of either release.
const EVENTS: [&str; 3] = ["ApplicationStop", "BeforeInstall", "ApplicationStart"];

fn run(host: &Host<'_>, fault: Option<Fault>) -> (Trace, Ran) {
    host.load(INSTALLED);
    let tracer = Tracer { scope: host.path(), follow: Follow::Program, fault };
    host.trace_run(&tracer, &mut host.deploy("new.tar", NEW))
}

/// Every `step`th of the calls for which the error is plausible.
fn jobs(stage: &Stage, deed: fn(Errno) -> Deed, errno: Errno, step: usize) -> Vec<(Fault, String)> {
    let (trace, gone) = stage.on_host(|host| (run(host, None).0, host.www().join("gone")));
    // A folder of the old release that cannot be removed, or emptied, is remembered until it can.
    let removes_old = |change: &Change| matches!(change, Change::RemoveFolder(path) | Change::Unlink(path) if path.starts_with(&gone));
    let plausible = |call: &Call| call.change.can_fail_with(errno) && !removes_old(&call.change);
    // After the commit a read-only disk keeps all that was replaced, which is told.
    let committed =
        |call: &Call| matches!(&call.change, Change::Rename(_, to) if to.ends_with("shop~dev-install.json"));
    let last = match errno {
        Errno::EROFS => trace.calls.iter().position(committed).unwrap(),
        _ => trace.calls.len(),
    };
    let plausible = trace.calls[..last].iter().enumerate().filter(|(_, call)| plausible(call));
    let job =
        |(at, call): (usize, &Call)| (Fault { at, deed: deed(errno) }, format!("{errno} at {at}: {}", call.change));
    plausible.map(job).step_by(step).collect()
}

/// How long calls failed.
#[derive(Clone, Copy)]
enum ForHowLong {
    Once,
    AllTheTime,
}

/// What must hold after a deployment in which a call failed.
fn settled(host: &Host<'_>, expected: &Expected, ran: &Ran, for_how_long: ForHowLong) {
    let told = format!("{}\n{}", ran.out, ran.told);
    assert!(!told.contains("panicked"), "{told}");
    let is_closed = |lines: &[serde_json::Value]| lines.iter().any(|line| line["entry"] == "closed");
    let lines = check::journal(host, NEW);
    match ran.code {
        Some(0) => assert!(is_closed(&lines), "{told}"),
        Some(_) => assert!(ran.told.contains("error: "), "{told}"),
        None => panic!("the agent died: {told}"),
    }
    if matches!(for_how_long, ForHowLong::AllTheTime) || !is_closed(&lines) {
        // What could not be undone, removed or written down is, as soon as the disk is well.
        Ran::of(&mut host.resume());
    }
    clear_by_hand(&ran.told);
    let ended = check::ended(host);
    // The record then names folders that are gone, too.
    let is_recorded = !ran.told.contains("cannot write the records in");
    let (mut standing, mut new) = (Standing::of(host), expected.new.clone());
    if ran.code == Some(0) && !is_recorded {
        (standing, new) = (standing.without_cleanup(), new.without_cleanup());
    }
    let is_new = standing == new;
    if ran.code == Some(0) {
        assert!(is_new, "{told}");
        assert_eq!(ended.outcome.as_deref(), Some("succeeded"));
    } else if !is_new {
        check::has_old_release_again(host, expected);
    }
    match ended.outcome.as_deref() {
        Some("succeeded") => assert!(is_new, "{told}"),
        Some("refused") | None => assert_eq!(standing.installed, OLD, "{told}"),
        Some(_) => {}
    }
    check::ran_once(host, NEW, &EVENTS, ended.outcome.as_deref() == Some("succeeded"));
    check::is_tidy(host);
}

/// Deletes what the agent could not delete, as it says.
fn clear_by_hand(told: &str) {
    for line in told.lines().filter(|line| line.contains("can be deleted by hand")) {
        let path = Path::new(line.split('`').nth(1).unwrap());
        // A restart may have been faster.
        if path.is_dir() && !path.is_symlink() {
            fs::remove_dir_all(path).unwrap();
        } else if path.is_symlink() || path.exists() {
            fs::remove_file(path).unwrap();
        }
    }
}

fn sweep(deed: fn(Errno) -> Deed, for_how_long: ForHowLong, errnos: &[(Errno, usize)]) {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, true);
    let jobs: Vec<_> = errnos.iter().flat_map(|(errno, step)| jobs(&stage, deed, *errno, *step)).collect();
    stage.each(
        &jobs,
        |job| job.1.clone(),
        |host, (fault, _)| {
            let (_, ran) = run(host, Some(*fault));
            settled(host, &expected, &ran, for_how_long);
            check::goes_on(host);
        },
    );
}

#[test]
fn when_any_one_call_fails_either_release_stands_whole_and_the_next_deployment_succeeds() {
    sweep(
        Deed::Fail,
        ForHowLong::Once,
        &[(Errno::ENOSPC, 1), (Errno::EIO, 5), (Errno::EROFS, 11), (Errno::EACCES, 11)],
    );
}

#[test]
fn when_the_disk_is_full_from_any_call_on_either_release_stands_whole_once_there_is_room() {
    sweep(Deed::FailFromHere, ForHowLong::AllTheTime, &[(Errno::ENOSPC, 2), (Errno::EROFS, 9), (Errno::EIO, 9)]);
}

/// Leaves so much room on a file system of its own.
fn leave(at: &Path, blocks: u64) {
    let space = statvfs(at).unwrap();
    let size = (space.blocks() - space.blocks_free() + blocks) * space.fragment_size();
    remount(at, &format!("size={size}"));
}

fn remount(at: &Path, option: &str) {
    mount(None::<&str>, at, None::<&str>, MsFlags::MS_REMOUNT, Some(option)).unwrap();
}

/// Puts the old release on a host whose `folder` is a file system of its own.
fn load_with_own_disk(host: &Host<'_>, folder: &Path) {
    fs::create_dir(folder).unwrap();
    host.mount_memory(folder, "size=64m");
    host.load(INSTALLED);
}

fn full_disk(folder: &str) {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, true);
    let rooms: Vec<u64> = (0..48).collect();
    stage.each(
        &rooms,
        |room| format!("{room} blocks left"),
        |host, room| {
            let folder = host.path().join(folder);
            load_with_own_disk(host, &folder);
            leave(&folder, *room);
            let ran = Ran::of(&mut host.deploy("new.tar", NEW));
            remount(&folder, "size=64m");
            settled(host, &expected, &ran, ForHowLong::AllTheTime);
            check::goes_on(host);
        },
    );
}

#[test]
fn a_destination_that_is_full_keeps_the_old_release() {
    full_disk("www");
}

#[test]
fn an_agent_whose_own_disk_is_full_leaves_either_release_whole() {
    full_disk("root");
}

#[test]
fn a_read_only_destination_keeps_the_old_release_and_its_service() {
    let stage = Stage::new();
    // Without BeforeInstall, whose scripts might make it writable.
    let expected = Expected::of(&stage, &["ApplicationStop", "ApplicationStart"], true);
    stage.on_host(|host| {
        load_with_own_disk(host, &host.www());
        remount(&host.www(), "ro");
        let ran = Ran::of(&mut host.deploy("new.tar", NEW)).exits(6);
        remount(&host.www(), "rw");
        assert!(ran.told.contains("read-only"), "{}", ran.told);
        assert_eq!(fs::read_to_string(host.trace()).unwrap_or_default(), "", "no script ran");
        assert!(Standing::of(host) == expected.old);
        settled(host, &expected, &ran, ForHowLong::AllTheTime);
        check::goes_on(host);
    });
}
