//! Compose files: what each group of hosts will run, and what is wrong with it. Pure; files come from whoever asks. Not a validator
//! of compose files: what Docker alone decides is left to Docker.

pub(crate) mod builds;
pub(crate) mod env_file;
pub(crate) mod images;
pub(crate) mod interpolate;
mod keys;
mod lint;
mod load;
mod masked;
mod merge;
mod model;
mod ports;
pub(crate) mod references;
mod tree;
mod unserved;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::ids::GroupName;
use longshore_core::problem::{Problem, SourceFile};

use crate::plan::is_compose_file;
use crate::settings::{Origin, SETTINGS_FILE, Settings};

use model::Model;

/// Everything that was read of compose files: the groups, and the texts that theirs are made of.
#[derive(Debug, Default)]
pub(crate) struct Compose {
    /// The groups, by name.
    pub(crate) groups: Vec<ComposeGroup>,
    /// Every file that was asked for; `None`: it does not exist.
    files: BTreeMap<BundlePath, Option<Arc<SourceFile>>>,
    /// Those of them that are compose files.
    documents: BTreeMap<BundlePath, Arc<SourceFile>>,
}

/// What the hosts of a group run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ComposeGroup {
    /// Its name.
    pub(crate) name: GroupName,
    /// The compose files, later ones on top.
    pub(crate) files: Vec<BundlePath>,
    /// What its hosts have as `.env`, later ones on top.
    pub(crate) env_files: Vec<BundlePath>,
    /// The active profiles.
    pub(crate) profiles: Vec<String>,
    /// How many copies of a service run on one host at most.
    pub(crate) copies: u32,
    /// Who says which files these are.
    named_by: NamedBy,
}

/// Who says which compose files belong to a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum NamedBy {
    /// `longshore.toml`, or the environment.
    Settings,
    /// The name of the file.
    FileName,
}

/// Reads a file of the source folder; `None`: it does not exist.
pub(crate) type Read<'a> = dyn Fn(&BundlePath) -> Option<Arc<SourceFile>> + 'a;

/// What the bundle and its appspec bring to a host.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    /// The files of the bundle.
    pub(crate) packed: BTreeSet<BundlePath>,
    /// Those of them that are a secret or hold one, allowed or not.
    pub(crate) secrets: BTreeSet<BundlePath>,
    /// Where the appspec installs files, absolute.
    pub(crate) installed: Vec<String>,
}

impl Compose {
    /// Reads the compose files of every group and reports what is wrong with them. `packed`: the files of the bundle.
    pub(crate) fn read(settings: &Settings, brought: &Brought, read: &Read<'_>) -> (Compose, Vec<Problem>) {
        let files = RefCell::new(BTreeMap::new());
        let read = |path: &BundlePath| -> Option<Arc<SourceFile>> {
            let known: Option<Option<Arc<SourceFile>>> = files.borrow().get(path).cloned();
            known.unwrap_or_else(|| {
                let found = read(path);
                files.borrow_mut().insert(path.clone(), found.clone());
                found
            })
        };
        let mut problems = Vec::new();
        let mut groups = Vec::new();
        let mut documents = BTreeMap::new();
        for group in groups_of(settings, brought) {
            problems.extend(missing(&group, settings, brought, &read));
            let model = Model::of(&group, load::NO_COMMIT, &read);
            // A file that only changes services of another one is for no group by itself.
            if group.named_by == NamedBy::FileName && model.is_overlay() {
                continue;
            }
            problems.extend(model.problems.iter().cloned());
            problems.extend(lint::group(&group, &model, brought, &read));
            documents.extend(model.documents);
            groups.push(group);
        }
        problems.extend(unserved::lint(settings, &groups, brought, &read));
        (Compose { groups, files: files.into_inner(), documents }, once(problems))
    }

    /// What was read of a file.
    fn file(&self, path: &BundlePath) -> Option<Arc<SourceFile>> {
        self.files.get(path).cloned().flatten()
    }

    /// Every compose file of a group, those that are included and extended too.
    pub(crate) fn documents(&self) -> &BTreeMap<BundlePath, Arc<SourceFile>> {
        &self.documents
    }
}

/// Groups that share files share their problems.
fn once(problems: Vec<Problem>) -> Vec<Problem> {
    let mut kept: Vec<Problem> = Vec::with_capacity(problems.len());
    for problem in problems {
        if !kept.contains(&problem) {
            kept.push(problem);
        }
    }
    kept
}

/// The groups of `longshore.toml`. A group that names no compose file has the one that is named after it; without groups there each
/// compose file is a group of its own.
fn groups_of(settings: &Settings, brought: &Brought) -> Vec<ComposeGroup> {
    let by_name: BTreeMap<GroupName, &BundlePath> =
        brought.packed.iter().filter_map(|path| Some((group_of_file(path)?, path))).collect();
    let of_file = |(name, file): (GroupName, &BundlePath)| ComposeGroup {
        name,
        files: vec![file.clone()],
        env_files: packed_env(std::slice::from_ref(file), brought),
        profiles: Vec::new(),
        copies: 1,
        named_by: NamedBy::FileName,
    };
    if settings.groups.is_empty() {
        return by_name.into_iter().map(of_file).collect();
    }
    let of_settings = |name: &GroupName| {
        if runs_none(settings, name) {
            return None;
        }
        let group = settings.group(name);
        let named_by = if group.compose.is_empty() { NamedBy::FileName } else { NamedBy::Settings };
        let files = match named_by {
            NamedBy::Settings => group.compose,
            NamedBy::FileName => vec![(*by_name.get(name)?).clone()],
        };
        let copies = group.copies.unwrap_or(1);
        let env_files = if group.env_files.is_empty() { packed_env(&files, brought) } else { group.env_files };
        let profiles = group.profiles;
        Some(ComposeGroup { name: name.clone(), files, env_files, profiles, copies, named_by })
    };
    settings.groups.keys().filter_map(of_settings).collect()
}

/// Whether `compose = []` says that the hosts of a group run no containers.
fn runs_none(settings: &Settings, name: &GroupName) -> bool {
    settings.group(name).compose.is_empty() && settings.origins.contains_key(&format!("groups.{name}.compose"))
}

/// Compose reads `.env` beside the first file by itself; the hosts have the one that is packed.
fn packed_env(files: &[BundlePath], brought: &Brought) -> Vec<BundlePath> {
    let folder = files.first().and_then(BundlePath::parent);
    let path = folder.map_or(".env".to_owned(), |folder| format!("{folder}/.env")).parse().ok();
    path.filter(|path| brought.packed.contains(path)).into_iter().collect()
}

/// The group whose compose file has this name: `docker-compose.dev.yml` is that of `dev`, `docker-compose.yml` that of `prod`. What
/// compose puts on top of others is of no group.
fn group_of_file(path: &BundlePath) -> Option<GroupName> {
    if !is_compose_file(path) {
        return None;
    }
    let stem = path.as_str().strip_suffix(".yml").or_else(|| path.as_str().strip_suffix(".yaml"))?;
    let rest = stem.strip_prefix("docker-compose").or_else(|| stem.strip_prefix("compose"))?;
    match rest.strip_prefix('.') {
        _ if rest.is_empty() => "prod".parse().ok(),
        Some(name) if name != "override" && name != "lock" && !name.ends_with(".lock") => name.parse().ok(),
        Some(_) | None => None,
    }
}

/// Files that a group names and its hosts would not have.
fn missing(group: &ComposeGroup, settings: &Settings, brought: &Brought, read: &Read<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    let named =
        group.files.iter().map(|file| (file, "compose")).chain(group.env_files.iter().map(|file| (file, "env_files")));
    for (file, key) in named {
        let (message, fix) = match (read(file), key) {
            (None, "compose") => (
                format!("`{file}` does not exist; `docker compose` fails without it"),
                "create it, or correct the name; paths start at the source folder",
            ),
            (None, _) => (
                format!("`{file}` does not exist, so the variables in it have no value"),
                "create it, or correct the name; paths start at the source folder",
            ),
            (Some(_), "compose") if !brought.packed.contains(file) => (
                format!("`{file}` is not in the bundle, and `docker compose` fails without it"),
                "remove the rule of `.longshoreignore` or `build.exclude` that keeps it out",
            ),
            (Some(_), _) => continue,
        };
        let path = format!("groups.{}.{key}", group.name);
        let text = SETTINGS_FILE.parse().ok().and_then(|path| read(&path));
        let source = text.unwrap_or_else(|| SourceFile::new(SETTINGS_FILE, ""));
        let span = match settings.origins.get(&path) {
            Some(Origin::Line(line)) => line_span(&source.text, *line),
            Some(Origin::Variable(_) | Origin::Set) | None => None,
        };
        problems.push(Problem::error("LS312", &source, span, message).at_path(path).with_fix(fix));
    }
    problems
}

fn line_span(text: &str, line: usize) -> Option<std::ops::Range<usize>> {
    let start = text.split_inclusive('\n').take(line.checked_sub(1)?).map(str::len).sum::<usize>();
    let end = text.get(start..)?.find('\n').map_or(text.len(), |end| start + end);
    (start < end).then_some(start..end)
}

#[cfg(test)]
mod tests;
