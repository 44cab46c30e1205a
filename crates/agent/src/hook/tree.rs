//! The processes of a hook: who belongs to it, by parents, session and cgroup. Signals what it is told to signal.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::Path;

use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;

use super::cgroup::Cgroup;
use super::entry::{Entry, all};
use super::{Process, Stream};

/// How many characters of a command line are kept.
const COMMAND_CHARS: usize = 200;

/// Everything that a hook consists of.
#[derive(Debug, Clone, Copy)]
pub(super) struct Kin<'a> {
    /// The process whose descendants belong to it.
    pub(super) root: Option<i32>,
    /// Whoever is in this session belongs to it, whoever its parent is.
    pub(super) session: Option<i32>,
    /// Whoever is in this cgroup belongs to it.
    pub(super) cgroup: Option<&'a Cgroup>,
}

impl Kin<'_> {
    /// All of it. Zombies included: a process whose first thread has ended looks like one, and its other threads run.
    pub(super) fn entries(&self) -> Vec<Entry> {
        let members: HashSet<i32> = self.cgroup.map(Cgroup::members).unwrap_or_default().into_iter().collect();
        // Whoever asks is none of it, wherever somebody may have put us.
        let own = std::process::id().cast_signed();
        let all = all().into_iter().filter(|entry| entry.pid != own).collect();
        belonging(all, self.root, self.session, &members)
    }

    /// What lives of it.
    pub(super) fn living(&self) -> Vec<Entry> {
        self.entries().into_iter().filter(|entry| !entry.is_zombie).collect()
    }

    /// Signals the process group of the session's first process, and everything outside of it.
    ///
    /// The group first, and only then a look at who is where: what leaves the group in between has got the signal, and
    /// what left it before is seen outside. So nobody is missed, and a script that tidies up on TERM does so once.
    pub(super) fn signal(&self, signal: Signal) {
        // A group that has ended may have given its number to somebody else.
        let group = self.session.filter(|session| self.entries().iter().any(|entry| entry.group == *session));
        if let Some(group) = group {
            let _ = killpg(Pid::from_raw(group), signal);
        }
        // One that has ended in the meantime is nobody's loss.
        for entry in self.entries().iter().filter(|entry| Some(entry.group) != group) {
            let _ = kill(Pid::from_raw(entry.pid), signal);
        }
    }

    /// Kills all of it; what is forked meanwhile outside of the cgroup is seen by the next call.
    pub(super) fn kill(&self) {
        if let Some(cgroup) = self.cgroup {
            cgroup.kill();
        }
        self.signal(Signal::SIGKILL);
    }
}

fn belonging(all: Vec<Entry>, root: Option<i32>, session: Option<i32>, members: &HashSet<i32>) -> Vec<Entry> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for entry in &all {
        children.entry(entry.parent).or_default().push(entry.pid);
    }
    let mut found: HashSet<i32> = HashSet::new();
    let mut open: Vec<i32> = root.into_iter().collect();
    while let Some(parent) = open.pop() {
        let new = children.get(&parent).into_iter().flatten().filter(|pid| found.insert(**pid));
        open.extend(new);
    }
    let is_of_it = |e: &Entry| found.contains(&e.pid) || Some(e.session) == session || members.contains(&e.pid);
    all.into_iter().filter(is_of_it).collect()
}

/// These processes as a report names them, without those that have ended. `pipes`: the inodes of the script's outputs.
pub(super) fn describe(entries: &[Entry], pipes: &[(Stream, u64)]) -> Vec<Process> {
    let living = entries.iter().filter(|entry| !entry.is_zombie);
    living.map(|e| Process { pid: e.pid, command: command(e.pid), holds: held(e.pid, pipes) }).collect()
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

/// Which of these pipes a process holds.
fn held(pid: i32, pipes: &[(Stream, u64)]) -> Vec<Stream> {
    let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    let targets: HashSet<_> =
        descriptors.filter_map(|descriptor| fs::read_link(descriptor.ok()?.path()).ok()).collect();
    let is_held = |inode: u64| targets.contains(Path::new(&format!("pipe:[{inode}]")));
    pipes.iter().filter(|(_, inode)| is_held(*inode)).map(|(stream, _)| *stream).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hook::entry::entry;

    fn process(pid: i32, parent: i32, session: i32) -> Entry {
        Entry { pid, parent, group: session, session, is_zombie: false, ticks: 0 }
    }

    #[test]
    fn a_hook_is_found_by_any_number_of_parents_by_session_and_by_cgroup() {
        let all = vec![
            process(1, 0, 1),
            process(10, 1, 10),
            process(11, 10, 11),
            process(12, 11, 11),
            process(13, 12, 13),
            process(20, 1, 20),
            process(21, 20, 11),
        ];
        let of = |root, session, members: &[i32]| -> Vec<i32> {
            let members = members.iter().copied().collect();
            belonging(all.clone(), root, session, &members).iter().map(|e| e.pid).collect()
        };
        assert_eq!(of(Some(10), Some(11), &[]), [11, 12, 13, 21]);
        assert_eq!(of(None, Some(11), &[13]), [11, 12, 13, 21]);
        assert_eq!(of(Some(12), None, &[20]), [13, 20]);
        assert_eq!(of(None, None, &[]), [0; 0]);
    }

    #[test]
    fn this_process_is_found() {
        let me = entry(std::process::id() as i32).unwrap();
        assert!(belonging(all(), Some(me.parent), None, &HashSet::new()).contains(&me));
        assert!(command(me.pid).contains("longshore"), "{}", command(me.pid));
    }
}
