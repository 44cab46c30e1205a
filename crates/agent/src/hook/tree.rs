//! Processes, as `/proc` shows them: who descends from whom. Signals what it is told to signal.

use std::collections::{HashMap, HashSet};
use std::fs;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::Process;

/// How many characters of a command line are kept.
const COMMAND_CHARS: usize = 200;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: i32,
    parent: i32,
    group: i32,
    session: i32,
    /// Ended, and not yet reaped by its parent.
    is_zombie: bool,
    /// When it started, in the kernel's ticks since the host booted.
    pub(super) ticks: u64,
}

/// All processes of the host that we may see.
fn all() -> Vec<Entry> {
    let Ok(folders) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = folders.filter_map(|folder| folder.ok()?.file_name().to_str()?.parse().ok());
    pids.filter_map(entry).collect()
}

/// One process, if it exists.
pub(super) fn entry(pid: i32) -> Option<Entry> {
    parse_stat(pid, &fs::read(format!("/proc/{pid}/stat")).ok()?)
}

fn parse_stat(pid: i32, stat: &[u8]) -> Option<Entry> {
    // The second field is the program's name in parentheses, and may itself hold parentheses, spaces and line ends.
    let after_name = stat.iter().rposition(|byte| *byte == b')')? + 1;
    let fields: Vec<&str> = std::str::from_utf8(stat.get(after_name..)?).ok()?.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field)?.parse().ok();
    Some(Entry {
        pid,
        parent: number(1)?,
        group: number(2)?,
        session: number(3)?,
        is_zombie: matches!(*fields.first()?, "Z" | "X"),
        ticks: fields.get(19)?.parse().ok()?,
    })
}

/// Everything that descends from `root`, and everything in the session `session`, whoever its parent is. Zombies
/// included: a process whose first thread has ended looks like one, and its other threads run.
pub(super) fn descendants(root: i32, session: i32) -> Vec<Entry> {
    descendants_among(all(), root, session)
}

fn descendants_among(all: Vec<Entry>, root: i32, session: i32) -> Vec<Entry> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in &all {
        children.entry(entry.parent).or_default().push(entry.pid);
    }
    let mut found: HashSet<i32> = HashSet::new();
    let mut open = vec![root];
    while let Some(parent) = open.pop() {
        let new = children.get(&parent).into_iter().flatten().filter(|pid| found.insert(**pid));
        open.extend(new);
    }
    all.into_iter().filter(|e| e.pid != root && (found.contains(&e.pid) || e.session == session)).collect()
}

/// What lives of a session whose shim is dead. `ticks` tells the session's first process from a later one of its number.
pub(super) fn session(session: i32, ticks: u64) -> Vec<Entry> {
    match entry(session) {
        Some(leader) if leader.ticks != ticks => Vec::new(),
        Some(_) | None => all().into_iter().filter(|e| e.session == session && !e.is_zombie).collect(),
    }
}

/// Signals the process group `session` and everything that [`descendants`] finds outside of it.
///
/// The group first, and only then a look at who is where: what leaves the group in between has got the signal, and what
/// left it before is seen outside. So nobody is missed, and a script that tidies up on TERM does so once.
pub(super) fn signal(root: i32, session: i32, signal: Signal) {
    // A group that has ended may have given its number to somebody else.
    if descendants(root, session).iter().any(|entry| entry.group == session) {
        let _ = killpg(Pid::from_raw(session), signal);
    }
    // One that has ended in the meantime is nobody's loss.
    for entry in descendants(root, session).iter().filter(|entry| entry.group != session) {
        let _ = kill(Pid::from_raw(entry.pid), signal);
    }
}

/// These processes as a report names them, without those that have ended. `pipes`: the inodes of the script's output.
pub(super) fn describe(entries: &[Entry], pipes: &[u64]) -> Vec<Process> {
    let living = entries.iter().filter(|entry| !entry.is_zombie);
    living.map(|e| Process { pid: e.pid, command: command(e.pid), holds_output: holds_any(e.pid, pipes) }).collect()
}

/// The command line; in brackets the program's name when a process has none, as `ps` does.
fn command(pid: i32) -> String {
    let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
    let text = words.join(" ");
    let text = text.trim();
    if text.is_empty() {
        let name = fs::read(format!("/proc/{pid}/comm")).unwrap_or_default();
        return format!("[{}]", String::from_utf8_lossy(&name).trim());
    }
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(COMMAND_CHARS).collect()
}

fn holds_any(pid: i32, pipes: &[u64]) -> bool {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{pid}/fd")) else { return false };
    let names: Vec<String> = pipes.iter().map(|inode| format!("pipe:[{inode}]")).collect();
    let mut targets = descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok());
    targets.any(|target| names.iter().any(|name| target.as_os_str() == name.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(pid: i32, parent: i32, session: i32) -> Entry {
        Entry { pid, parent, group: session, session, is_zombie: false, ticks: 0 }
    }

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read_past() {
        let stat = b"42 (a) S 1 (b)) Z 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 0";
        assert_eq!(
            parse_stat(42, stat),
            Some(Entry { pid: 42, parent: 7, group: 8, session: 9, is_zombie: true, ticks: 12345 })
        );
        assert_eq!(parse_stat(42, b"42 (a"), None);
    }

    #[test]
    fn descendants_are_found_through_any_number_of_parents_and_by_their_session() {
        let all = vec![
            process(1, 0, 1),
            process(10, 1, 10),
            process(11, 10, 11),
            process(12, 11, 11),
            process(13, 12, 13),
            process(20, 1, 20),
            process(21, 20, 11),
        ];
        let found: Vec<i32> = descendants_among(all, 10, 11).iter().map(|e| e.pid).collect();
        assert_eq!(found, [11, 12, 13, 21]);
    }

    #[test]
    fn this_process_is_found() {
        let me = entry(std::process::id() as i32).unwrap();
        assert!(descendants(me.parent, 0).contains(&me));
        assert!(command(me.pid).contains("longshore"), "{}", command(me.pid));
    }
}
