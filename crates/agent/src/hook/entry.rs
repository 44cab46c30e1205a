//! Processes, as `/proc` shows them.

use std::fs;

/// One process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) pid: i32,
    pub(super) parent: i32,
    pub(super) group: i32,
    pub(super) session: i32,
    /// Ended, and not yet reaped by its parent.
    pub(super) is_zombie: bool,
    /// When it started, in the kernel's ticks since the host booted.
    pub(super) ticks: u64,
}

/// All processes of the host that we may see.
pub(super) fn all() -> Vec<Entry> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_and_spaces_is_read_past() {
        let stat = b"42 (a) S 1 (b)) Z 7 8 9 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 0";
        assert_eq!(
            parse_stat(42, stat),
            Some(Entry { pid: 42, parent: 7, group: 8, session: 9, is_zombie: true, ticks: 12345 })
        );
        assert_eq!(parse_stat(42, b"42 (a"), None);
    }
}
