//! Pure: recipe and listing → the files of the bundle. Says what the appspec needs and the tree or a rule withholds.

use std::collections::{BTreeMap, BTreeSet};

use longshore_core::appspec::Source;
use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, Span, nearest};

use crate::listing::{Kind, Listing};
use crate::recipe::Recipe;
use crate::rules::{Rule, Verdict};

/// What will be packed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct BuildPlan {
    /// Path in the bundle → what stands there.
    pub(crate) files: BTreeMap<BundlePath, Planned>,
    /// Each script that the appspec names and that will be packed, by the name in the appspec → where its bytes are.
    pub(crate) scripts: BTreeMap<BundlePath, BundlePath>,
}

/// One file or link of the bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Planned {
    /// Where it stands below the source folder.
    pub(crate) from: BundlePath,
    /// What it is.
    pub(crate) kind: PlannedKind,
}

/// What a bundle can hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum PlannedKind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Whether any execute bit is set.
        executable: bool,
    },
    /// A symbolic link and its target text.
    Link(String),
}

impl BuildPlan {
    /// Whether a file is in the bundle, or a folder with anything in it.
    pub(crate) fn holds(&self, path: &BundlePath) -> bool {
        self.files.contains_key(path)
            || self
                .files
                .range(path.clone()..)
                .take_while(|(other, _)| other.as_str().starts_with(path.as_str()))
                .any(|(other, _)| other.below(path).is_some())
    }

    /// Bytes of all files together.
    pub(crate) fn bytes(&self) -> u64 {
        self.files
            .values()
            .map(|planned| match &planned.kind {
                PlannedKind::File { size, .. } => *size,
                PlannedKind::Link(target) => target.len() as u64,
            })
            .sum()
    }
}

/// Whether a file at the top of the source folder is a compose file.
pub(crate) fn is_compose_file(path: &BundlePath) -> bool {
    let name = path.as_str();
    let stem = name.strip_suffix(".yml").or_else(|| name.strip_suffix(".yaml"));
    stem.is_some_and(|stem| {
        let rest = stem.strip_prefix("docker-compose").or_else(|| stem.strip_prefix("compose"));
        rest.is_some_and(|rest| !rest.contains('/') && (rest.is_empty() || rest.starts_with(['.', '-', '_'])))
    })
}

/// Plans a bundle.
pub(crate) fn plan(recipe: &Recipe, listing: &Listing) -> (BuildPlan, Vec<Problem>) {
    let mut planner = Planner { recipe, listing, plan: BuildPlan::default(), problems: Vec::new() };
    planner.appspec();
    planner.scripts();
    planner.sources();
    planner.compose_files();
    planner.included();
    planner.out_folder();
    planner.links();
    (planner.plan, planner.problems)
}

/// Where a path of the appspec leads.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    /// To an entry, by way of these links.
    At { path: BundlePath, links: BTreeSet<BundlePath> },
    /// Nowhere.
    Missing,
    /// Into what a rule keeps out.
    Excluded { path: BundlePath, rule: Rule },
    /// Through a link out of the source folder.
    Outside { link: BundlePath, target: String },
}

struct Planner<'a> {
    recipe: &'a Recipe,
    listing: &'a Listing,
    plan: BuildPlan,
    problems: Vec<Problem>,
}

impl Planner<'_> {
    fn appspec(&mut self) {
        let from = self.recipe.appspec_path.clone();
        match follow(self.listing, &from) {
            Found::At { path, .. } => {
                if let Some(Kind::File { size, executable }) = self.listing.entries.get(&path) {
                    let kind = PlannedKind::File { size: *size, executable: *executable };
                    self.plan.files.insert(self.recipe.appspec_in_bundle(), Planned { from: path, kind });
                }
            }
            Found::Excluded { path, rule } => self.excluded(None, "", &path, &rule),
            Found::Outside { link, target } => {
                let message = format!("`{link}` is a link to `{target}`, outside of the bundle");
                let problem = Problem::error("LS210", &self.recipe.appspec_source, None, message);
                self.problems.push(problem.with_fix("replace the link by what it points to"));
            }
            // The appspec was read, so it exists, in a folder that nothing else needs and nobody entered.
            Found::Missing => {
                let kind = PlannedKind::File { size: self.recipe.appspec_source.text.len() as u64, executable: false };
                self.plan.files.insert(self.recipe.appspec_in_bundle(), Planned { from, kind });
            }
        }
    }

    fn scripts(&mut self) {
        let recipe = self.recipe;
        for named in recipe.scripts() {
            let (script, span) = (&named.hook.script, &named.hook.span);
            let Some(path) = self.needed(script, span, &named.place) else { continue };
            if self.listing.entries.get(&path) == Some(&Kind::Folder) {
                let message = format!("`{script}` is a folder, not a script");
                self.problems.push(self.error("LS202", span, &named.place, message));
                continue;
            }
            self.add(&path);
            // Hooks call their neighbours. A script at the top has the whole project for a neighbour, which nobody means.
            for folder in [script.parent(), path.parent()].into_iter().flatten() {
                self.add_below(&folder);
            }
            self.plan.scripts.insert(script.clone(), path);
        }
    }

    fn sources(&mut self) {
        let recipe = self.recipe;
        for (index, mapping) in recipe.appspec.files.iter().enumerate() {
            match &mapping.source {
                Source::Whole => {
                    let all: Vec<BundlePath> = self.listing.entries.keys().cloned().collect();
                    for path in all {
                        self.add(&path);
                    }
                }
                Source::Path(source) => {
                    if let Some(path) = self.needed(source, &mapping.span, &format!("files[{index}].source")) {
                        self.add(&path);
                        self.add_below(&path);
                    }
                }
            }
        }
    }

    fn compose_files(&mut self) {
        let by_name = self.listing.entries.keys().filter(|path| is_compose_file(path));
        let of_groups = self.recipe.settings.groups.values().flat_map(|group| &group.compose);
        let files: Vec<BundlePath> = by_name.chain(of_groups).cloned().collect();
        for path in files {
            self.add(&path);
        }
    }

    fn included(&mut self) {
        for included in &self.recipe.settings.include {
            let named: Vec<BundlePath> = self
                .listing
                .entries
                .iter()
                .filter(|(path, kind)| {
                    matches!(included.rules.about_or_parents(path.as_str(), **kind == Kind::Folder), Verdict::Named(_))
                })
                .map(|(path, _)| path.clone())
                .collect();
            if named.is_empty() && !included.rules.is_empty() && !included.pattern.starts_with('!') {
                let message = format!("`{}` names nothing that may be packed", included.pattern);
                let problem = Problem::warning("LS406", &included.source, Some(included.span.clone()), message);
                self.problems.push(problem.at_path("build.include"));
            }
            for path in named {
                self.add(&path);
            }
        }
    }

    fn out_folder(&mut self) {
        let Some(out) = &self.listing.out_with_other_files else { return };
        if !self.recipe.wants_all() {
            return;
        }
        let source = SourceFile::new(out.as_str(), "");
        let message = format!("`{out}` is the folder for artifacts, so the other files in it are not packed");
        let fix = "if they must ship, put artifacts elsewhere: `build.out` in longshore.toml, or `--out`";
        self.problems.push(Problem::warning("LS407", &source, None, message).with_fix(fix));
    }

    /// Links keep their text, so what they point to must be in the bundle too, at the same distance.
    fn links(&mut self) {
        for (path, planned) in &self.plan.files {
            let PlannedKind::Link(target) = &planned.kind else { continue };
            let source = SourceFile::new(path.as_str(), "");
            let problem = match join(path, target) {
                None => Problem::warning(
                    "LS402",
                    &source,
                    None,
                    format!("`{path}` is a link to `{target}`, outside of the bundle"),
                )
                .with_fix("replace the link by the file, or keep it out with `.longshoreignore`"),
                Some(at) if self.plan.holds(&at) || self.listing.entries.get(&at) == Some(&Kind::Folder) => continue,
                Some(_) => Problem::warning(
                    "LS403",
                    &source,
                    None,
                    format!("`{path}` is a link to `{target}`, which is not in the bundle"),
                )
                .with_fix("add the target to `build.include` in longshore.toml"),
            };
            self.problems.push(problem);
        }
    }

    /// Where something that the appspec needs stands; a problem where it cannot be packed.
    fn needed(&mut self, path: &BundlePath, span: &Span, place: &str) -> Option<BundlePath> {
        match follow(self.listing, path) {
            Found::At { path, links } => {
                for link in links {
                    self.add(&link);
                }
                Some(path)
            }
            Found::Missing => {
                let code = if place.starts_with("files") { "LS209" } else { "LS201" };
                let problem = self.error(code, span, place, format!("`{path}` does not exist"));
                self.problems.push(problem.with_fix(self.missing_fix(path, place)));
                None
            }
            Found::Excluded { path: excluded, rule } => {
                self.excluded(Some(span), place, &excluded, &rule);
                None
            }
            Found::Outside { link, target } => {
                let message = format!("`{path}` goes through the link `{link}` to `{target}`, outside of the bundle");
                let problem = self.error("LS210", span, place, message);
                self.problems.push(problem.with_fix("replace the link by what it points to"));
                None
            }
        }
    }

    fn missing_fix(&self, path: &BundlePath, place: &str) -> String {
        if path.as_str().contains(' ') && place.starts_with("hooks") {
            return "a hook names one file: no interpreter before it, no arguments after it".to_owned();
        }
        let files = || self.listing.entries.keys();
        let same_name = files().find(|file| file.file_name() == path.file_name()).map(BundlePath::as_str);
        match same_name.or_else(|| nearest(path.as_str(), files().map(BundlePath::as_str))) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "create it; paths start at the folder of the appspec".to_owned(),
        }
    }

    fn excluded(&mut self, span: Option<&Span>, place: &str, path: &BundlePath, rule: &Rule) {
        let message = format!("`{path}` is needed, but {rule}");
        let problem = Problem::error("LS211", &self.recipe.appspec_source, span.cloned(), message);
        self.problems.push(problem.at_path(place).with_fix(rule.way_out()));
    }

    fn error(&self, code: &'static str, span: &Span, place: &str, message: String) -> Problem {
        Problem::error(code, &self.recipe.appspec_source, Some(span.clone()), message).at_path(place)
    }

    fn add_below(&mut self, folder: &BundlePath) {
        let below: Vec<BundlePath> = self.listing.below(folder).map(|(path, _)| path.clone()).collect();
        for path in below {
            self.add(&path);
        }
    }

    fn add(&mut self, path: &BundlePath) {
        let kind = match self.listing.entries.get(path) {
            Some(Kind::File { size, executable }) => PlannedKind::File { size: *size, executable: *executable },
            Some(Kind::Link(target)) => PlannedKind::Link(target.clone()),
            Some(Kind::Special(what)) => return self.special(path, what),
            // A folder is what its files make it.
            Some(Kind::Folder) | None => return,
        };
        // The appspec that was chosen wins over a file of that name.
        self.plan.files.entry(path.clone()).or_insert(Planned { from: path.clone(), kind });
    }

    fn special(&mut self, path: &BundlePath, what: &str) {
        if self.problems.iter().any(|known| known.code == "LS404" && known.source.name == path.as_str()) {
            return;
        }
        let source = SourceFile::new(path.as_str(), "");
        let problem = Problem::error("LS404", &source, None, format!("`{path}` is {what}, which cannot be packed"));
        self.problems.push(problem.with_fix("keep it out with `.longshoreignore`"));
    }
}

/// Follows a path through the links of a listing.
fn follow(listing: &Listing, path: &BundlePath) -> Found {
    let mut links = BTreeSet::new();
    let mut path = path.clone();
    // As many as Linux follows.
    'links: for _ in 0..40 {
        let mut at = String::new();
        let parts: Vec<&str> = path.parts().collect();
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                at.push('/');
            }
            at.push_str(part);
            let Ok(here) = at.parse::<BundlePath>() else { return Found::Missing };
            if let Some(rule) = listing.excluded.get(&here) {
                return Found::Excluded { path: here, rule: rule.clone() };
            }
            match listing.entries.get(&here) {
                Some(Kind::Link(target)) => {
                    let Some(mut led) = join(&here, target) else {
                        return Found::Outside { link: here, target: target.clone() };
                    };
                    if let Some(rest) = path.below(&here) {
                        match BundlePath::normalized(&format!("{led}/{rest}")) {
                            Ok(joined) => led = joined,
                            Err(_) => return Found::Missing,
                        }
                    }
                    links.insert(here);
                    path = led;
                    continue 'links;
                }
                Some(Kind::File { .. } | Kind::Folder | Kind::Special(_)) => {}
                None => return Found::Missing,
            }
        }
        return Found::At { path, links };
    }
    Found::Missing
}

/// Where a link's text leads; `None`: out of the source folder, or to its top.
fn join(link: &BundlePath, target: &str) -> Option<BundlePath> {
    if target.starts_with('/') {
        return None;
    }
    let parent = link.parent();
    let mut parts: Vec<&str> = parent.iter().flat_map(BundlePath::parts).collect();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    parts.join("/").parse().ok()
}

#[cfg(test)]
mod tests;
