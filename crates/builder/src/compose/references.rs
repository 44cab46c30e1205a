//! Pure: one compose file as such: whether it is one, which files it needs beside it, and which of them the bundle lacks.

use std::collections::BTreeSet;
use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, Span};
use longshore_core::yaml::{self, Node};

use super::{keys, masked};
use crate::listing::Listing;
use crate::plan::BuildPlan;

/// A compose file as it was read.
#[derive(Debug)]
pub(crate) struct ComposeFile {
    /// The file.
    pub(crate) source: Arc<SourceFile>,
    /// Every file it refers to.
    pub(crate) references: Vec<Reference>,
    /// Services that name an image here.
    pub(crate) with_image: BTreeSet<String>,
}

/// One file or folder that a compose file refers to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    /// What for.
    pub(crate) role: Role,
    /// The path as written.
    pub(crate) path: String,
    /// Where it stands.
    pub(crate) span: Span,
    /// The place in the document, for example `services.web.env_file[0]`.
    pub(crate) place: String,
}

/// What a compose file wants a file for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Role {
    /// `env_file`.
    EnvFile,
    /// `build` of a service: the context.
    Context {
        /// The service.
        service: String,
    },
    /// The Dockerfile of a `build`, joined to its context.
    Dockerfile {
        /// The service.
        service: String,
    },
    /// `configs.….file`.
    Config,
    /// `secrets.….file`.
    Secret,
    /// The host's side of a bind mount.
    Mount,
    /// `extends.file`.
    Extends,
    /// `include`.
    Include,
}

/// Where a path of a compose file leads.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// Somewhere on the host, or only Docker can tell: absolute, `~`, a variable, a URL.
    Host,
    /// The source folder itself.
    Top,
    /// Below it.
    Below(BundlePath),
    /// Above it.
    Above,
}

/// Reads a compose file. A file that is no YAML mapping is a problem and has no references.
pub(crate) fn read(source: &Arc<SourceFile>) -> (ComposeFile, Vec<Problem>) {
    let mut reader = Reader { references: Vec::new(), with_image: BTreeSet::new() };
    let reading = yaml::read(source);
    let no_yaml = !reading.problems.is_empty() && reading.node.is_none();
    let mut problems: Vec<Problem> = reading.problems.into_iter().map(of_compose).collect();
    match reading.node {
        Some(root) if root.as_map().is_some() => {
            let shown = masked::compose(source, &root);
            for problem in &mut problems {
                problem.source = Arc::clone(&shown);
            }
            problems.extend(keys::unknown(&shown, &root));
            reader.top(&root);
        }
        Some(root) => {
            let message = "a compose file is a mapping with `services`";
            problems.push(Problem::error("LS301", source, Some(root.span.clone()), message));
        }
        None if no_yaml => {}
        None => problems.push(Problem::warning("LS301", source, None, "is empty")),
    }
    let file = ComposeFile { source: Arc::clone(source), references: reader.references, with_image: reader.with_image };
    (file, problems)
}

/// What compose does about a key that stands twice.
fn of_compose(problem: Problem) -> Problem {
    if problem.code != yaml::DUPLICATE_KEY {
        return problem;
    }
    if problem.message.contains("`<<`") {
        return problem.with_fix("write one `<<: [*first, *second]`; compose since 2.17 refuses two");
    }
    problem.with_fix("keep one of the two; compose refuses the file")
}

/// The paths below the source folder that compose files refer to.
pub(crate) fn paths(files: &[ComposeFile]) -> BTreeSet<BundlePath> {
    files.iter().flat_map(|file| file.references.iter().filter_map(|reference| below(file, reference))).collect()
}

/// The file or folder below the source folder that is meant.
pub(super) fn below(file: &ComposeFile, reference: &Reference) -> Option<BundlePath> {
    match leads(file.folder().as_ref(), &reference.path) {
        Leads::Below(path) => Some(path),
        Leads::Host | Leads::Top | Leads::Above => None,
    }
}

/// What compose files refer to and the bundle lacks. `on_disk`: which of [`paths`] exist in the source folder.
pub(crate) fn lint(
    files: &[ComposeFile],
    plan: &BuildPlan,
    listing: &Listing,
    on_disk: &BTreeSet<BundlePath>,
) -> Vec<Problem> {
    // A service may be built in one file and have its image in another, which are read on top of each other.
    let with_image: BTreeSet<&str> = files.iter().flat_map(|file| &file.with_image).map(String::as_str).collect();
    let mut problems = Vec::new();
    for file in files {
        for reference in &file.references {
            if let Role::Context { service } | Role::Dockerfile { service } = &reference.role
                && with_image.contains(service.as_str())
            {
                continue;
            }
            problems.extend(lint_one(file, reference, plan, listing, on_disk));
        }
    }
    problems
}

fn lint_one(
    file: &ComposeFile,
    reference: &Reference,
    plan: &BuildPlan,
    listing: &Listing,
    on_disk: &BTreeSet<BundlePath>,
) -> Option<Problem> {
    let (code, what, consequence) = reference.role.words();
    let written = &reference.path;
    let warn = |message: String, fix: String| {
        let problem = Problem::warning(code, &file.source, Some(reference.span.clone()), message);
        Some(problem.at_path(&reference.place).with_fix(fix))
    };
    match leads(file.folder().as_ref(), written) {
        Leads::Host | Leads::Top => None,
        Leads::Above => warn(
            format!("{what} `{written}` lies outside of the bundle; {consequence}"),
            "move it below the source folder, or write where it is on the host as an absolute path".to_owned(),
        ),
        Leads::Below(path) if plan.holds(&path) => None,
        Leads::Below(path) => match listing.rule_about(&path) {
            Some(rule) => warn(
                format!("{what} `{written}` is not in the bundle, because {rule}; {consequence}"),
                format!("{}; or put it beside the compose file on the host", rule.way_out()),
            ),
            None if on_disk.contains(&path) => warn(
                format!("{what} `{written}` is not in the bundle, because nothing names it; {consequence}"),
                format!("add `include = [\"/{path}\"]` to `[build]` in longshore.toml"),
            ),
            None => warn(
                format!("{what} `{written}` does not exist here; {consequence}"),
                "create it, or put it beside the compose file on the host".to_owned(),
            ),
        },
    }
}

impl Role {
    /// Code, noun, and what Docker does without the file.
    fn words(&self) -> (&'static str, &'static str, &'static str) {
        match self {
            Role::EnvFile => ("LS302", "env file", "`docker compose up` fails without it"),
            Role::Context { .. } => ("LS303", "build context", "the service has no image, so the host cannot start it"),
            Role::Dockerfile { .. } => ("LS303", "Dockerfile", "the service has no image, so the host cannot start it"),
            Role::Config => ("LS304", "config file", "`docker compose up` fails without it"),
            Role::Secret => ("LS304", "secret file", "`docker compose up` fails without it"),
            Role::Mount => (
                "LS305",
                "mount source",
                "Docker puts an empty folder in its place, and that goes away with the revision",
            ),
            Role::Extends => ("LS306", "extended file", "`docker compose` fails without it"),
            Role::Include => ("LS306", "included file", "`docker compose` fails without it"),
        }
    }
}

/// Where a path leads that stands in a compose file in `folder`.
pub(super) fn leads(folder: Option<&BundlePath>, path: &str) -> Leads {
    if path.is_empty() || path.starts_with(['/', '~']) || path.contains('$') || path.contains("://") {
        return Leads::Host;
    }
    // `git@host:repository` and `host.com/repository.git` as a build context.
    if path.starts_with("git@") || path.starts_with("github.com/") || path.contains(".git#") {
        return Leads::Host;
    }
    let mut parts: Vec<&str> = folder.into_iter().flat_map(BundlePath::parts).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return Leads::Above;
                }
            }
            name => parts.push(name),
        }
    }
    if parts.is_empty() {
        return Leads::Top;
    }
    // What cannot stand in a bundle cannot be missed in it.
    parts.join("/").parse().map_or(Leads::Host, Leads::Below)
}

impl ComposeFile {
    /// The folder it stands in, where its paths begin.
    fn folder(&self) -> Option<BundlePath> {
        self.source.name.parse::<BundlePath>().ok()?.parent()
    }
}

struct Reader {
    references: Vec<Reference>,
    with_image: BTreeSet<String>,
}

impl Reader {
    fn top(&mut self, root: &Node) {
        for (name, service) in entries(root.get("services")) {
            self.service(name, service);
        }
        for (section, role) in [("configs", Role::Config), ("secrets", Role::Secret)] {
            for (name, config) in entries(root.get(section)) {
                self.refer(role.clone(), config.get("file"), format!("{section}.{name}.file"));
            }
        }
        for (index, item) in items(root.get("include")).enumerate() {
            self.refer(Role::Include, Some(item), format!("include[{index}]"));
            for (key, role) in [("path", Role::Include), ("env_file", Role::EnvFile)] {
                self.refer_all(&role, item.get(key), &format!("include[{index}].{key}"));
            }
        }
    }

    fn service(&mut self, name: &str, service: &Node) {
        let at = format!("services.{name}");
        if service.get("image").is_some() {
            self.with_image.insert(name.to_owned());
        }
        self.env_files(service.get("env_file"), &at);
        self.build(name, service.get("build"), &at);
        if let Some(extends) = service.get("extends") {
            self.refer(Role::Extends, extends.get("file"), format!("{at}.extends.file"));
        }
        for (index, volume) in items(service.get("volumes")).enumerate() {
            self.volume(volume, format!("{at}.volumes[{index}]"));
        }
    }

    fn env_files(&mut self, node: Option<&Node>, at: &str) {
        let Some(node) = node else { return };
        self.refer(Role::EnvFile, Some(node), format!("{at}.env_file"));
        for (index, item) in items(Some(node)).enumerate() {
            let place = format!("{at}.env_file[{index}]");
            let optional = item.get("required").and_then(Node::text).is_some_and(|required| required == "false");
            if !optional {
                self.refer(Role::EnvFile, Some(item), place.clone());
                self.refer(Role::EnvFile, item.get("path"), format!("{place}.path"));
            }
        }
    }

    fn build(&mut self, service: &str, node: Option<&Node>, at: &str) {
        let Some(node) = node else { return };
        let service = service.to_owned();
        let short = node.text();
        let context_node = if short.is_some() { Some(node) } else { node.get("context") };
        let place_of_context = if short.is_some() { format!("{at}.build") } else { format!("{at}.build.context") };
        self.refer(Role::Context { service: service.clone() }, context_node, place_of_context);
        if node.get("dockerfile_inline").is_some() {
            return;
        }
        let context = context_node.and_then(Node::text).unwrap_or(".");
        if leads(None, context) == Leads::Host {
            return;
        }
        let dockerfile = node.get("dockerfile");
        let name = dockerfile.and_then(Node::text).unwrap_or("Dockerfile");
        let path = if name.starts_with('/') { name.to_owned() } else { format!("{context}/{name}") };
        let span = dockerfile.unwrap_or(node).span.clone();
        // One missing context is one problem, not two.
        if !matches!(leads(None, context), Leads::Below(_)) || dockerfile.is_some() {
            let place = format!("{at}.build.dockerfile");
            self.references.push(Reference { role: Role::Dockerfile { service }, path, span, place });
        }
    }

    /// `./x:/y[:ro]`, or a mapping with `type: bind`. Anything else is a volume of Docker's.
    fn volume(&mut self, node: &Node, place: String) {
        if let Some(short) = node.text() {
            let host = short.split(':').next().unwrap_or_default();
            if short.contains(':') && host.starts_with('.') {
                let (path, span) = (host.to_owned(), node.span.clone());
                self.references.push(Reference { role: Role::Mount, path, span, place });
            }
        } else if node.get("type").and_then(Node::text) == Some("bind") {
            self.refer(Role::Mount, node.get("source"), format!("{place}.source"));
        }
    }

    fn refer_all(&mut self, role: &Role, node: Option<&Node>, place: &str) {
        self.refer(role.clone(), node, place.to_owned());
        for (index, item) in items(node).enumerate() {
            self.refer(role.clone(), Some(item), format!("{place}[{index}]"));
        }
    }

    /// A reference, if the node is a text.
    fn refer(&mut self, role: Role, node: Option<&Node>, place: String) {
        if let Some((node, path)) = node.and_then(|node| Some((node, node.text()?))) {
            self.references.push(Reference { role, path: path.to_owned(), span: node.span.clone(), place });
        }
    }
}

fn entries(node: Option<&Node>) -> impl Iterator<Item = (&str, &Node)> {
    node.map(Node::entries).unwrap_or_default().iter().filter_map(|(key, value)| Some((key.text()?, value)))
}

fn items(node: Option<&Node>) -> impl Iterator<Item = &Node> {
    node.and_then(Node::as_list).unwrap_or_default().iter()
}

#[cfg(test)]
mod tests;
