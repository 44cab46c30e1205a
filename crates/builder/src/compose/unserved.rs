//! Pure: groups of `longshore.toml` without a compose file, beside compose files (LS316). What their hosts run would be neither
//! checked nor pinned, and nobody would notice.

use std::collections::BTreeMap;
use std::ops::Range;

use longshore_core::bundle::BundlePath;
use longshore_core::ids::GroupName;
use longshore_core::problem::{Problem, SourceFile};

use super::{Brought, ComposeGroup, Read, group_of_file, runs_none};
use crate::plan::is_compose_file;
use crate::settings::{SETTINGS_FILE, Settings};

/// Looks for groups that are not among `served`.
pub(super) fn lint(settings: &Settings, served: &[ComposeGroup], brought: &Brought, read: &Read<'_>) -> Vec<Problem> {
    // At the top they are those of groups; in folders nobody looks for them.
    let is_foreign = |path: &BundlePath| path.as_str().split('/').any(|part| matches!(part, "node_modules" | "vendor"));
    let files: Vec<(BundlePath, &BundlePath)> = brought
        .packed
        .iter()
        .filter(|path| !is_foreign(path))
        .filter_map(|path| Some((path.file_name().parse().ok()?, path)))
        .filter(|(name, _)| is_compose_file(name))
        .collect();
    if files.is_empty() {
        return Vec::new();
    }
    let of_groups = files.iter().filter_map(|(name, path)| Some((group_of_file(name)?, *path)));
    let mut by_name: BTreeMap<GroupName, &BundlePath> = BTreeMap::new();
    for (group, path) in of_groups {
        let named = by_name.entry(group).or_insert(path);
        if path.parent().is_none() {
            *named = path;
        }
    }
    let text = SETTINGS_FILE.parse().ok().and_then(|path| read(&path));
    let source = text.unwrap_or_else(|| SourceFile::new(SETTINGS_FILE, ""));
    let unserved = settings
        .groups
        .keys()
        .filter(|name| served.iter().all(|group| group.name != **name) && !runs_none(settings, name));
    let problem = |name: &GroupName| {
        let message = match by_name.get(name) {
            Some(file) if file.parent().is_some() => format!("`{file}` lies in a folder, where none is looked for"),
            Some(file) => format!("`{file}` only changes services of another file"),
            None => format!("no compose file is called after `{name}`"),
        };
        let message = format!("{message}, so what the hosts of the group run is neither checked nor pinned");
        Problem::warning("LS316", &source, heading(&source.text, name), message)
            .at_path(format!("groups.{name}"))
            .with_fix("name its files, all of them in their order: `compose = [\"docker-compose.yml\", …]`")
    };
    unserved.map(problem).collect()
}

/// Where the table of a group begins, if it has a heading of its own.
fn heading(text: &str, name: &GroupName) -> Option<Range<usize>> {
    let headings = [format!("[groups.{name}]"), format!("[groups.\"{name}\"]")];
    let mut start = 0;
    text.split_inclusive('\n').find_map(|line| {
        let at = start;
        start += line.len();
        let heading = headings.iter().find(|heading| line.starts_with(heading.as_str()))?;
        Some(at..at + heading.len())
    })
}
