//! Pure: a section and a listing → which file goes where.

use std::collections::BTreeMap;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile};

use super::{Artifacts, BAD_ITEM, COLLISION, Item, Links, NAMES_NOTHING};
use crate::listing::{Kind, Listing};
use crate::plan::{Found, Planned, PlannedKind, follow};

/// Path in the bundle → what stands there.
pub(crate) type Selected = BTreeMap<BundlePath, Planned>;

/// How deep links to folders may lead into each other.
const MOST_LINKS: usize = 8;

/// What stands at a path once links are followed.
struct Seen {
    path: BundlePath,
    what: Result<Planned, String>,
}

impl Artifacts {
    /// Which files of a listing CodeBuild would take, and under which names.
    pub(crate) fn select(&self, listing: &Listing) -> (Selected, Vec<Problem>) {
        let mut problems = Vec::new();
        let seen = self.seen(listing);
        let bases = self.bases(listing, &mut problems);
        let mut selected = Selected::new();
        let mut used = vec![false; self.files.len()];
        for base in &bases {
            for Seen { path, what } in &seen {
                let below = match base {
                    Some(base) => path.below(base),
                    None => Some(path.as_str()),
                };
                let Some(below) = below else { continue };
                let mut named = false;
                for (index, item) in self.files.iter().enumerate() {
                    if item.glob.is_match(below) {
                        (named, used[index]) = (true, true);
                    }
                }
                if !named || self.exclude.iter().any(|item| item.glob.is_match(below)) {
                    continue;
                }
                match what {
                    Ok(planned) => self.add(&mut selected, below, planned, &mut problems),
                    Err(why) => {
                        let source = SourceFile::new(path.as_str(), "");
                        let problem = Problem::error(BAD_ITEM, &source, None, why.clone());
                        problems.push(problem.with_fix("replace the link by the file, or name it in `exclude-paths`"));
                    }
                }
            }
        }
        if !bases.is_empty() {
            let unused = self.files.iter().zip(used).enumerate().filter(|(_, (_, used))| !used);
            problems.extend(unused.map(|(index, (item, _))| self.unused(index, item, &bases, listing)));
        }
        (selected, problems)
    }

    /// Every file, through links if they are followed.
    fn seen(&self, listing: &Listing) -> Vec<Seen> {
        let mut seen = Vec::new();
        for (path, kind) in &listing.entries {
            self.see(path.clone(), path, kind, listing, MOST_LINKS, &mut seen);
        }
        seen
    }

    fn see(
        &self,
        path: BundlePath,
        from: &BundlePath,
        kind: &Kind,
        listing: &Listing,
        left: usize,
        seen: &mut Vec<Seen>,
    ) {
        let planned = |kind| Ok(Planned { from: from.clone(), kind });
        let what = match kind {
            Kind::Folder => return,
            Kind::File { size, executable } => planned(PlannedKind::File { size: *size, executable: *executable }),
            Kind::Special(what) => Err(format!("`{path}` is {what}, which cannot be packed")),
            Kind::Link(target) if self.links == Links::Kept => planned(PlannedKind::Link(target.clone())),
            Kind::Link(target) => match follow(listing, from) {
                Found::At { path: at, .. } => match listing.entries.get(&at) {
                    Some(Kind::Folder) if left > 0 => {
                        for (inner, kind) in listing.below(&at) {
                            let rest = inner.below(&at).unwrap_or_default();
                            if let Ok(path) = format!("{path}/{rest}").parse() {
                                self.see(path, inner, kind, listing, left - 1, seen);
                            }
                        }
                        return;
                    }
                    Some(kind @ (Kind::File { .. } | Kind::Special(_))) => {
                        return self.see(path, &at, kind, listing, left, seen);
                    }
                    Some(Kind::Folder | Kind::Link(_)) | None => {
                        Err(format!("`{path}` is a link that leads into itself"))
                    }
                },
                Found::Missing => Err(format!("`{path}` is a link to `{target}`, which does not exist")),
                Found::Excluded { path: at, rule } => Err(format!("`{path}` is a link to `{at}`, and {rule}")),
                Found::Outside { target, .. } => {
                    Err(format!("`{path}` is a link to `{target}`, outside of the source folder"))
                }
            },
        };
        seen.push(Seen { path, what });
    }

    /// The folders that `base-directory` names; without it the source folder. Nothing when it names none.
    fn bases(&self, listing: &Listing, problems: &mut Vec<Problem>) -> Vec<Option<BundlePath>> {
        let Some(base) = &self.base else { return vec![None] };
        let folders = listing.entries.iter().filter(|(_, kind)| **kind == Kind::Folder).map(|(path, _)| path);
        let named: Vec<_> = folders.filter(|path| base.glob.is_match(path.as_str())).cloned().map(Some).collect();
        if named.is_empty() {
            let literal = base.text.parse::<BundlePath>().ok();
            let rule = literal.and_then(|path| listing.rule_about(&path).cloned());
            let (message, fix) = match &rule {
                Some(rule) => (format!("`{}` is needed, but {rule}", base.text), rule.way_out()),
                None => (format!("there is no folder `{}`", base.text), "build it first, or name another one"),
            };
            let problem = Problem::error(BAD_ITEM, &self.source, Some(base.span.clone()), message);
            problems.push(problem.at_path(format!("{}.base-directory", self.place)).with_fix(fix));
        }
        named
    }

    fn add(&self, selected: &mut Selected, below: &str, planned: &Planned, problems: &mut Vec<Problem>) {
        let name = match &self.discard_paths {
            Some(_) => below.rsplit('/').next().unwrap_or(below),
            None => below,
        };
        let Ok(path) = name.parse::<BundlePath>() else { return };
        let Some(first) = selected.get(&path).filter(|first| first.from != planned.from) else {
            selected.insert(path, planned.clone());
            return;
        };
        let (span, key) = match (&self.discard_paths, &self.base) {
            (Some(span), _) => (span, "discard-paths"),
            (None, Some(base)) => (&base.span, "base-directory"),
            (None, None) => (&self.span, "files"),
        };
        let message = format!("`{}` and `{}` would both become `{path}`", first.from, planned.from);
        let problem = Problem::error(COLLISION, &self.source, Some(span.clone()), message);
        let problem = problem.at_path(format!("{}.{key}", self.place));
        problems.push(
            problem.with_fix("CodeBuild would keep one of them; keep the other out with `exclude-paths`, or rename it"),
        );
    }

    fn unused(&self, index: usize, item: &Item, bases: &[Option<BundlePath>], listing: &Listing) -> Problem {
        let below = |base: &Option<BundlePath>| match base {
            Some(base) => format!("{base}/{}", item.text).parse::<BundlePath>().ok(),
            None => item.text.parse().ok(),
        };
        let is_folder = bases.iter().filter_map(below).any(|path| listing.entries.get(&path) == Some(&Kind::Folder));
        let rule = bases.iter().filter_map(below).find_map(|path| listing.rule_about(&path).cloned());
        let (message, fix) = match (is_folder, &rule) {
            (true, _) => (
                format!("`{}` is a folder, of which CodeBuild takes nothing", item.text),
                format!("write `{}/**/*` for everything in it", item.text),
            ),
            (false, Some(rule)) => (format!("`{}` is not packed: {rule}", item.text), rule.way_out().to_owned()),
            (false, None) => {
                (format!("`{}` names no file", item.text), "build it first, or remove the line".to_owned())
            }
        };
        let problem = Problem::warning(NAMES_NOTHING, &self.source, Some(item.span.clone()), message);
        problem.at_path(format!("{}.files[{index}]", self.place)).with_fix(fix)
    }
}
