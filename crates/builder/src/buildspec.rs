//! The `artifacts` section of a CodeBuild buildspec, as a list of files. Pure: text → what CodeBuild would take, with every problem
//! at its place. No shell runs, so what CodeBuild's shell fills in is refused, or noted where it makes no difference.

mod select;

use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};
use longshore_core::problem::{Problem, SourceFile, Span, nearest};
use longshore_core::yaml::{self, Node, Psych};

pub(crate) use select::Selected;

/// The section is not there, or not as CodeBuild wants it.
const UNUSABLE: &str = "LS431";
/// An item names no file.
const NAMES_NOTHING: &str = "LS432";
/// Two files would have one name.
const COLLISION: &str = "LS433";
/// An item that cannot be followed.
const BAD_ITEM: &str = "LS434";
/// The appspec is not among the files.
pub(crate) const NO_APPSPEC: &str = "LS435";
/// A key that CodeBuild does not know.
const UNKNOWN_KEY: &str = "LS436";

/// One `artifacts` section.
#[derive(Debug)]
pub(crate) struct Artifacts {
    /// The buildspec.
    pub(crate) source: Arc<SourceFile>,
    /// Where the list of files stands.
    pub(crate) span: Span,
    /// What CodeBuild does with the section and we do not, one sentence each.
    pub(crate) notes: Vec<String>,
    /// What stands before the keys, for people.
    place: String,
    base: Option<Item>,
    files: Vec<Item>,
    exclude: Vec<Item>,
    discard_paths: Option<Span>,
    links: Links,
}

/// One pattern.
#[derive(Debug)]
struct Item {
    text: String,
    span: Span,
    glob: GlobMatcher,
}

/// What becomes of links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Links {
    /// They are replaced by what they lead to.
    Followed,
    /// `enable-symlinks: yes`.
    Kept,
}

/// Reads the primary section, or a secondary one.
pub(crate) fn parse(source: &Arc<SourceFile>, secondary: Option<&str>) -> (Option<Artifacts>, Vec<Problem>) {
    let reading = yaml::read(source);
    let mut reader = Reader { source, problems: reading.problems };
    let artifacts = reading.node.and_then(|root| reader.root(&root, secondary));
    if artifacts.is_none() && reader.problems.is_empty() {
        reader.bad(UNUSABLE, 0..0, "", "the file is empty").fix("name another file with `--from-buildspec FILE`");
    }
    (artifacts, reader.problems)
}

struct Reader<'a> {
    source: &'a Arc<SourceFile>,
    problems: Vec<Problem>,
}

/// The problem that was just added.
struct Added<'a>(Option<&'a mut Problem>);

impl Added<'_> {
    fn fix(self, fix: impl Into<String>) {
        if let Some(problem) = self.0 {
            problem.fix = Some(fix.into());
        }
    }
}

impl Reader<'_> {
    fn root(&mut self, root: &Node, secondary: Option<&str>) -> Option<Artifacts> {
        let Some((key, section)) = root.entry("artifacts") else {
            let fix = "name another file with `--from-buildspec FILE`, or let the appspec say what goes in";
            self.bad(UNUSABLE, 0..0, "artifacts", "is missing").fix(fix);
            return None;
        };
        let others = section.get("secondary-artifacts").map_or(&[][..], Node::entries);
        let names = || {
            let names: Vec<String> =
                others.iter().filter_map(|(name, _)| Some(format!("`{}`", name.text()?))).collect();
            if names.is_empty() { "there is none".to_owned() } else { format!("there are {}", names.join(", ")) }
        };
        match secondary {
            None if section.get("files").is_none() && !others.is_empty() => {
                self.bad(UNUSABLE, key.span.clone(), "artifacts", "has no `files`, only secondary artifacts")
                    .fix(format!("say which with `--secondary-artifact NAME`; {}", names()));
                None
            }
            None => self.section(section, &key.span, "artifacts"),
            Some(wanted) => {
                let found = others.iter().find(|(name, _)| name.text() == Some(wanted));
                let Some((name, section)) = found else {
                    self.bad(
                        UNUSABLE,
                        key.span.clone(),
                        "artifacts.secondary-artifacts",
                        &format!("has no `{wanted}`"),
                    )
                    .fix(names());
                    return None;
                };
                self.section(section, &name.span, &format!("artifacts.secondary-artifacts.{wanted}"))
            }
        }
    }

    fn section(&mut self, section: &Node, at: &Span, place: &str) -> Option<Artifacts> {
        const KNOWN: [&str; 8] = [
            "files",
            "name",
            "discard-paths",
            "base-directory",
            "exclude-paths",
            "enable-symlinks",
            "s3-prefix",
            "secondary-artifacts",
        ];
        if section.as_map().is_none() {
            let message = format!("must be a mapping, found {}", section.kind());
            self.bad(UNUSABLE, section.span.clone(), place, &message).fix("write `files:` and a list below it");
            return None;
        }
        let mut notes = Vec::new();
        for (key, value) in section.entries() {
            let (name, text) = (key.text().unwrap_or_default(), value.text().unwrap_or_default());
            match name {
                "name" => notes.push(format!(
                    "`{place}.name` (`{text}`) is filled in by CodeBuild's shell and not used here: the artifact is named by application and commit"
                )),
                "s3-prefix" => notes.push(format!(
                    "`{place}.s3-prefix` (`{text}`) is not used here: the key of the artifact is `<application>/<commit>.zip` in the store"
                )),
                known if KNOWN.contains(&known) => {}
                unknown => {
                    let problem = Problem::warning(UNKNOWN_KEY, self.source, Some(key.span.clone()), "unknown key");
                    let problem = problem.at_path(format!("{place}.{unknown}"));
                    self.problems.push(match nearest(unknown, KNOWN.into_iter()) {
                        Some(near) => problem.with_fix(format!("did you mean `{near}`?")),
                        None => problem,
                    });
                }
            }
        }
        let before = self.problems.len();
        let base = section.get("base-directory").and_then(|node| self.item(node, &format!("{place}.base-directory")));
        let files = match section.entry("files") {
            Some((_, list)) => self.items(list, &format!("{place}.files")),
            None => {
                self.bad(UNUSABLE, at.clone(), place, "has no `files`").fix("write `files: ['**/*']` for everything");
                Vec::new()
            }
        };
        let exclude = section.get("exclude-paths").map(|list| self.items(list, &format!("{place}.exclude-paths")));
        let discard = self.flag(section, "discard-paths", place);
        let links = self.flag(section, "enable-symlinks", place);
        if self.problems[before..].iter().any(Problem::is_error) {
            return None;
        }
        Some(Artifacts {
            source: Arc::clone(self.source),
            span: section.entry("files").map_or(at.clone(), |(key, _)| key.span.clone()),
            notes,
            place: place.to_owned(),
            base,
            files,
            exclude: exclude.unwrap_or_default(),
            discard_paths: discard,
            links: if links.is_some() { Links::Kept } else { Links::Followed },
        })
    }

    fn items(&mut self, list: &Node, place: &str) -> Vec<Item> {
        match list.as_list() {
            Some([]) | None => {
                let message = format!(
                    "must be a list of paths, found {}",
                    if list.as_list().is_some() { "none" } else { list.kind() }
                );
                self.bad(UNUSABLE, list.span.clone(), place, &message)
                    .fix("write each path on a line of its own, after `- `");
                Vec::new()
            }
            Some(items) => {
                let read = |(index, item)| self.item(item, &format!("{place}[{index}]"));
                items.iter().enumerate().filter_map(read).collect()
            }
        }
    }

    fn item(&mut self, node: &Node, place: &str) -> Option<Item> {
        let Some(written) = node.text().filter(|text| !text.is_empty()) else {
            let message = format!("must be a path, found {}", node.kind());
            // `*.jar` without quotes is an alias to YAML, which says so itself.
            self.bad(UNUSABLE, node.span.clone(), place, &message)
                .fix("a pattern that begins with `*` stands in quotes: `'**/*'`");
            return None;
        };
        let text = written.trim_start_matches("./").trim_end_matches('/').to_owned();
        let text = if text.is_empty() || text == "." { "**/*".to_owned() } else { text };
        let wrong = if text.contains('$') {
            Some(("has a variable, which CodeBuild's shell fills in and nobody does here", "write the path itself"))
        } else if text.starts_with('/') || text.starts_with('~') {
            Some(("leads out of the source folder", "paths start at the source folder, or at `base-directory`"))
        } else if text.split('/').any(|part| part == "..") {
            Some(("leads out of its folder with `..`", "paths start at the source folder, or at `base-directory`"))
        } else {
            None
        };
        if let Some((why, fix)) = wrong {
            self.bad(BAD_ITEM, node.span.clone(), place, &format!("`{written}` {why}")).fix(fix);
            return None;
        }
        match GlobBuilder::new(&text).literal_separator(true).build() {
            Ok(glob) => Some(Item { glob: glob.compile_matcher(), text, span: node.span.clone() }),
            Err(error) => {
                let message = format!("`{written}` is not a pattern: {}", error.kind());
                self.bad(BAD_ITEM, node.span.clone(), place, &message);
                None
            }
        }
    }

    /// Where a `yes` stands. CodeBuild's YAML is that of 1.1, and it takes the words in quotes too.
    fn flag(&mut self, section: &Node, name: &str, place: &str) -> Option<Span> {
        let node = section.get(name)?;
        let word = node.text().map(str::to_ascii_lowercase).unwrap_or_default();
        let said = match node.psych() {
            Some(Psych::Bool(said)) => Some(said),
            Some(Psych::Text) if matches!(word.as_str(), "yes" | "true" | "on") => Some(true),
            Some(Psych::Text) if matches!(word.as_str(), "no" | "false" | "off") => Some(false),
            Some(Psych::Null) => Some(false),
            _ => None,
        };
        if said.is_none() {
            let message = format!("must be `yes` or `no`, found `{}`", node.text().unwrap_or(node.kind()));
            self.bad(UNUSABLE, node.span.clone(), &format!("{place}.{name}"), &message);
        }
        said.filter(|said| *said).map(|_| node.span.clone())
    }

    fn bad(&mut self, code: &'static str, span: Span, place: &str, message: &str) -> Added<'_> {
        self.problems.push(Problem::error(code, self.source, Some(span), message).at_path(place));
        Added(self.problems.last_mut())
    }
}

#[cfg(test)]
mod tests;
