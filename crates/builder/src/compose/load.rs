//! Compose files → one document: variables, `include`, `extends`, several files. Every file is asked for at most once for a document.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile};
use longshore_core::yaml::{self, Node};

use super::interpolate::{Known, Why, fill};
use super::references::{self, Leads};
use super::tree::{Entry, Place, Text, Tree, Value};
use super::{ComposeGroup, Read, env_file, masked, merge};

/// Stands in for the commit where none is named yet.
pub(crate) const NO_COMMIT: &str = "0000000000000000000000000000000000000000";

/// What every host or hook sets, so that nobody has to.
const ON_HOST: [&str; 14] = [
    "APPLICATION_NAME",
    "BUNDLE_BUCKET",
    "BUNDLE_COMMIT",
    "BUNDLE_ETAG",
    "BUNDLE_KEY",
    "BUNDLE_VERSION",
    "COMPOSE_PROJECT_NAME",
    "DEPLOYMENT_GROUP_ID",
    "DEPLOYMENT_ID",
    "HOME",
    "HOSTNAME",
    "LIFECYCLE_EVENT",
    "PATH",
    "PWD",
];

/// How many services may extend each other in a row. Keeps the walk far from the end of the stack.
const DEEPEST: usize = 100;

/// How many files and services are merged for one group. Files that include the next one twice would never end.
const MOST_MERGED: usize = 10_000;

/// A variable that a file uses and that has no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Missing {
    /// Its name.
    pub(crate) name: String,
    /// Why.
    pub(crate) why: Why,
    /// Where it is used.
    pub(crate) place: Place,
    /// The place in the document.
    pub(crate) path: String,
}

/// Reads documents for one group.
pub(crate) struct Loader<'a> {
    group: &'a ComposeGroup,
    commit: &'a str,
    read: &'a Read<'a>,
    variables: BTreeMap<String, String>,
    documents: BTreeMap<BundlePath, Option<Arc<Tree>>>,
    merged: usize,
    /// The files that documents were read from.
    pub(crate) sources: BTreeMap<BundlePath, Arc<SourceFile>>,
    /// What is wrong.
    pub(crate) problems: Vec<Problem>,
    /// Variables without a value, every use of them.
    pub(crate) missing: Vec<Missing>,
}

/// A file that is read.
struct File {
    source: Arc<SourceFile>,
    /// The same without the values of variables: problems show their lines.
    shown: Arc<SourceFile>,
}

/// Where `extends` has come by: file and service.
type Trail = Vec<(BundlePath, String)>;

impl<'a> Loader<'a> {
    /// Reads the group's env files.
    pub(crate) fn new(group: &'a ComposeGroup, commit: &'a str, read: &'a Read<'a>) -> Loader<'a> {
        let mut loader = Loader {
            group,
            commit,
            read,
            variables: BTreeMap::new(),
            documents: BTreeMap::new(),
            merged: 0,
            sources: BTreeMap::new(),
            problems: Vec::new(),
            missing: Vec::new(),
        };
        for path in &group.env_files {
            let more = loader.env_file(path);
            loader.variables.extend(more);
        }
        loader
    }

    /// The value of a variable in the group's env files.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// All files of the group on top of each other; `None`: there is nothing to read.
    pub(crate) fn whole(&mut self) -> Option<Tree> {
        let group = self.group;
        self.files(&group.files, &mut Vec::new()).map(|tree| merge::without_resets(&tree))
    }

    fn files(&mut self, paths: &[BundlePath], including: &mut Vec<BundlePath>) -> Option<Tree> {
        let mut whole: Option<Tree> = None;
        for path in paths {
            let Some(tree) = self.file(path, including) else { continue };
            whole = Some(match whole {
                None => tree,
                Some(base) => merge::documents(base, tree),
            });
        }
        whole
    }

    /// A file with what it includes and what its services extend.
    fn file(&mut self, path: &BundlePath, including: &mut Vec<BundlePath>) -> Option<Tree> {
        let own = self.document(path)?;
        if self.is_too_much(&own.place, "include") {
            return None;
        }
        let services = own.get("services").map(Tree::entries).unwrap_or_default().to_vec();
        let resolved: Vec<Entry> = services
            .into_iter()
            .map(|entry| Entry { value: self.service(path, &entry, &mut Vec::new()), ..entry })
            .collect();
        let entries =
            own.entries().iter().filter(|entry| entry.key != "include").map(|entry| match entry.key.as_str() {
                "services" if !resolved.is_empty() => {
                    Entry { value: entry.value.with(Value::Map(resolved.clone())), ..entry.clone() }
                }
                _ => entry.clone(),
            });
        let tree = own.with(Value::Map(entries.collect()));
        including.push(path.clone());
        let included = self.included(path, &own, including);
        including.pop();
        match included {
            None => Some(tree),
            Some(base) => {
                self.conflicts(&base, &tree);
                Some(merge::documents(base, tree))
            }
        }
    }

    /// A service with what it extends.
    fn service(&mut self, path: &BundlePath, entry: &Entry, trail: &mut Trail) -> Tree {
        let own = merge::normal(&entry.value);
        let Some(extends) = own.get("extends").cloned() else { return own };
        let without = |tree: &Tree| {
            let entries = tree.entries().iter().filter(|entry| entry.key != "extends").cloned();
            tree.with(Value::Map(entries.collect()))
        };
        let here = (path.clone(), entry.key.clone());
        let at = format!("services.{}.extends", entry.key);
        if self.is_too_much(&extends.place, &at) {
            return without(&own);
        }
        let refused = if trail.contains(&here) {
            Some("the services extend each other in a circle, which compose refuses".to_owned())
        } else {
            (trail.len() >= DEEPEST).then(|| format!("more than {DEEPEST} services extend each other in a row"))
        };
        if let Some(message) = refused {
            let problem = extends.place.error("LS311", message).at_path(at);
            self.problems.push(problem.with_fix("let one of them stand alone"));
            return without(&own);
        }
        let named = extends.get("service");
        let Some((named, name)) = named.and_then(|named| Some((named, named.text()?))) else { return without(&own) };
        let file = match extends
            .get("file")
            .map(|file| (file, references::leads(path.parent().as_ref(), file.text().unwrap_or("$"))))
        {
            None => Some(path.clone()),
            Some((_, Leads::Below(file))) => Some(file),
            // LS306 says so.
            Some((_, Leads::Host | Leads::Top | Leads::Above)) => None,
        };
        let Some((file, document)) = file.and_then(|file| Some((file.clone(), self.document(&file)?))) else {
            return without(&own);
        };
        let base = document.get("services").and_then(|services| services.entry(name)).cloned();
        let Some(base) = base else {
            let message =
                format!("`{}` has no service `{name}`, so compose refuses the file", document.place.source.name);
            let problem = named.place.error("LS311", message).at_path(at);
            self.problems.push(problem.with_fix("correct the name, or add the service"));
            return without(&own);
        };
        trail.push(here);
        let base = self.service(&file, &base, trail);
        trail.pop();
        without(&merge::service(base, own))
    }

    /// Counts what is merged. Says once that it is too much.
    fn is_too_much(&mut self, place: &Place, path: &str) -> bool {
        self.merged += 1;
        if self.merged == MOST_MERGED {
            let message = format!("more than {MOST_MERGED} files and services include and extend each other");
            let problem = place.error("LS311", message).at_path(path.to_owned());
            self.problems.push(problem.with_fix("include and extend less"));
        }
        self.merged >= MOST_MERGED
    }

    /// What a file includes.
    fn included(&mut self, path: &BundlePath, tree: &Tree, including: &mut Vec<BundlePath>) -> Option<Tree> {
        let mut whole: Option<Tree> = None;
        for item in tree.get("include").map(Tree::items).unwrap_or_default() {
            let named = item.get("path").unwrap_or(item);
            let named = if named.items().is_empty() { std::slice::from_ref(named) } else { named.items() };
            let folder = path.parent();
            let below = |tree: &Tree| match references::leads(folder.as_ref(), tree.text()?) {
                Leads::Below(path) => Some(path),
                Leads::Host | Leads::Top | Leads::Above => None,
            };
            let files: Vec<BundlePath> = named.iter().filter_map(below).collect();
            if files.iter().any(|file| including.contains(file)) {
                let problem =
                    item.place.error("LS311", "the files include each other in a circle, which compose refuses");
                self.problems.push(problem.at_path("include").with_fix("remove one of the two"));
                continue;
            }
            let outer = self.variables.clone();
            for file in self.env_files_of_include(item, &files, &below) {
                let more = self.env_file(&file);
                for (name, value) in more {
                    self.variables.entry(name).or_insert(value);
                }
            }
            let included = self.files(&files, including);
            self.variables = outer;
            whole = match (whole, included) {
                (Some(base), Some(more)) => Some(merge::documents(base, more)),
                (whole, more) => whole.or(more),
            };
        }
        whole
    }

    /// Those that are named, else `.env` beside the first file.
    fn env_files_of_include(
        &self,
        item: &Tree,
        files: &[BundlePath],
        below: &dyn Fn(&Tree) -> Option<BundlePath>,
    ) -> Vec<BundlePath> {
        match item.get("env_file") {
            Some(named) if named.items().is_empty() => below(named).into_iter().collect(),
            Some(named) => named.items().iter().filter_map(below).collect(),
            None => {
                let beside = files.first().and_then(BundlePath::parent);
                let path = beside.and_then(|folder| format!("{folder}/.env").parse().ok());
                path.filter(|path| (self.read)(path).is_some()).into_iter().collect()
            }
        }
    }

    /// Compose takes no service from an included file that stands in the including one too.
    fn conflicts(&mut self, included: &Tree, own: &Tree) {
        let services =
            |tree: &Tree| tree.get("services").map(|services| services.entries().to_vec()).unwrap_or_default();
        let theirs = services(included);
        for entry in services(own) {
            let Some(other) = theirs.iter().find(|other| other.key == entry.key) else { continue };
            let file = &other.place.source.name;
            let message = format!("an included file, `{file}`, has a service of this name too, which compose refuses");
            let problem = entry.place.error("LS311", message).at_path(format!("services.{}", entry.key));
            self.problems.push(problem.with_fix("rename one, or use `extends`"));
        }
    }

    /// The document of a file, variables filled in.
    fn document(&mut self, path: &BundlePath) -> Option<Arc<Tree>> {
        if let Some(known) = self.documents.get(path) {
            return known.clone();
        }
        let tree = (self.read)(path).and_then(|source| {
            self.sources.insert(path.clone(), Arc::clone(&source));
            // What is no YAML is reported with the file as such.
            let node = yaml::read(&source).node?;
            let file = File { shown: masked::compose(&source, &node), source };
            let entries = node.as_map()?.iter().filter_map(|(key, value)| {
                let name = key.text()?;
                // The parts that are used are filled in where an alias stands for them.
                let value = if name.starts_with("x-") {
                    Tree { place: place(&file, value), tag: None, value: Value::Null }
                } else {
                    self.tree(&file, value, name)
                };
                Some(Entry { key: name.to_owned(), place: place(&file, key), value })
            });
            let entries = entries.collect();
            let value = Value::Map(entries);
            Some(Arc::new(Tree { place: place(&file, &node), tag: node.tag.clone(), value }))
        });
        self.documents.insert(path.clone(), tree.clone());
        tree
    }

    fn tree(&mut self, file: &File, node: &Node, path: &str) -> Tree {
        let (tag, value) = match &node.value {
            yaml::Value::Scalar(scalar) => {
                let value = if node.is_null() { Value::Null } else { Value::Text(self.text(file, node, path)) };
                (scalar.tag.clone(), value)
            }
            yaml::Value::List(items) => {
                let items = items.iter().enumerate();
                let items = items.map(|(index, item)| self.tree(file, item, &format!("{path}[{index}]"))).collect();
                (node.tag.clone(), Value::List(items))
            }
            yaml::Value::Map(entries) => {
                let entries = entries.iter().filter_map(|(key, value)| {
                    let name = key.text()?.to_owned();
                    let value = self.tree(file, value, &format!("{path}.{name}"));
                    Some(Entry { key: name, place: place(file, key), value })
                });
                (node.tag.clone(), Value::Map(entries.collect()))
            }
        };
        Tree { place: place(file, node), tag, value }
    }

    fn text(&mut self, file: &File, node: &Node, path: &str) -> Text {
        let written = node.text().unwrap_or_default();
        let filled = fill(written, &|name| self.known(name));
        let within = |part: &str| {
            // An alias, or an escape before it: then the whole value is the place.
            let raw = file.source.text.get(node.span.clone()).unwrap_or_default();
            let span = raw.find(part).map(|at| node.span.start + at..node.span.start + at + part.len());
            Place { source: Arc::clone(&file.shown), span: span.unwrap_or(node.span.clone()) }
        };
        let is_value = path.contains(".environment.") || path.contains(".environment[");
        for range in filled.malformed {
            let part = match &written[range] {
                // The rest may be a part of a password.
                part if is_value => &part[..if part.starts_with("${") { 2 } else { 1 }],
                part => part,
            };
            let problem = if part.starts_with("${") {
                let message = format!("`{part}` begins like a variable and is none, so compose refuses the file");
                let fix =
                    "a default is written `${NAME:-default}`; a dollar that is meant as one is written twice: `$$`";
                within(part).error("LS307", message).with_fix(fix)
            } else {
                let message = format!(
                    "`{part}` begins like a variable and is none: docker-compose 1.x refuses the file, compose 2 takes it as it is"
                );
                within(part).warning("LS307", message).with_fix("write a dollar that is meant as one twice: `$$`")
            };
            self.problems.push(problem.at_path(path));
        }
        let unknown: Vec<String> = filled.unknown.iter().map(|unknown| unknown.name.clone()).collect();
        for unknown in filled.unknown {
            let braced = format!("${{{}", unknown.name);
            let part = if written.contains(&braced) { braced } else { format!("${}", unknown.name) };
            let place = within(&part);
            let missing = Missing { name: unknown.name, why: unknown.why, place, path: path.to_owned() };
            self.missing.push(missing);
        }
        Text { text: filled.text, varies: filled.varies, unknown }
    }

    fn known(&self, name: &str) -> Known {
        match name {
            "COMMIT_HASH" | "LONGSHORE_COMMIT" => Known::Value(self.commit.to_owned()),
            "DEPLOYMENT_GROUP_NAME" => Known::Value(self.group.name.to_string()),
            _ => match self.variables.get(name) {
                Some(value) => Known::Value(value.clone()),
                None if ON_HOST.contains(&name) => Known::OnHost,
                None => Known::Unset,
            },
        }
    }

    fn env_file(&mut self, path: &BundlePath) -> BTreeMap<String, String> {
        let Some(source) = (self.read)(path) else { return BTreeMap::new() };
        let (entries, problems) = env_file::read(&source, &|name| self.known(name));
        self.problems.extend(problems);
        entries.into_iter().map(|(name, entry)| (name, entry.value)).collect()
    }
}

fn place(file: &File, node: &Node) -> Place {
    Place { source: Arc::clone(&file.shown), span: node.span.clone() }
}
