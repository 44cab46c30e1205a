//! The words and commands that fit this deployment. Pure.

use std::path::{Path, PathBuf};

use longshore_core::figures::quoted;
use longshore_core::ids::GroupId;

use crate::deployment::order::Order;
use crate::layout::DEFAULT_ROOT;

/// What a rule's placeholders stand for.
#[derive(Debug, Clone)]
pub struct Remedy {
    words: Vec<(&'static str, Option<String>)>,
}

/// What is known of the failed step beside the order.
#[derive(Debug, Clone, Default)]
pub struct Step {
    /// The event.
    pub event: Option<String>,
    /// The script as the appspec writes it.
    pub script: Option<String>,
    /// The folder of the revision that the script belongs to.
    pub archive: Option<PathBuf>,
    /// Whom the script runs as.
    pub user: Option<String>,
    /// Its limit, seconds.
    pub timeout_s: Option<u64>,
    /// What the scripts printed.
    pub log: Option<PathBuf>,
}

impl Remedy {
    /// The words for a deployment.
    pub fn new(order: &Order, root: &Path, step: Step) -> Remedy {
        let path = |path: PathBuf| quoted(&path.display().to_string());
        let file = step.archive.zip(step.script.as_ref()).map(|(archive, script)| archive.join(script));
        Remedy {
            words: vec![
                ("deploy", Some(deploy(order, root))),
                ("plan", Some(deploy(order, root).replacen(" deploy ", " plan ", 1))),
                ("resume", Some(on_group("resume", order, root))),
                ("rollback", Some(on_group("rollback", order, root))),
                ("all", Some(typed(vec!["status".to_owned()], root))),
                ("doctor", Some(on_group("doctor", order, root))),
                ("logs", Some(on_deployment("logs", order.deployment.as_str(), root))),
                ("event", step.event),
                ("script", step.script),
                ("file", file.map(path)),
                ("login", step.user.clone()),
                ("user", Some(step.user.map_or("the user of the agent".to_owned(), |user| format!("`{user}`")))),
                ("timeout", step.timeout_s.map(|seconds| seconds.to_string())),
                ("log", step.log.map(path)),
                ("root", Some(path(root.to_owned()))),
                ("revision", Some(order.revision.to_string())),
            ],
        }
    }

    /// The text with its placeholders filled; `None` when one of them is unknown here.
    pub fn fill(&self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for (name, word) in &self.words {
            let placeholder = format!("{{{name}}}");
            if text.contains(&placeholder) {
                text = text.replace(&placeholder, word.as_ref()?);
            }
        }
        Some(text)
    }
}

/// A command about one group.
pub fn on_group(command: &str, order: &Order, root: &Path) -> String {
    let mut words = vec![command.to_owned(), "--group".to_owned(), order.group.name.to_string()];
    words.extend(["--application".to_owned(), order.application.to_string()]);
    typed(words, root)
}

/// A command about one deployment.
pub fn on_deployment(command: &str, deployment: &str, root: &Path) -> String {
    typed(vec![command.to_owned(), deployment.to_owned()], root)
}

/// The same deployment again.
pub fn deploy(order: &Order, root: &Path) -> String {
    deploy_other(order, &order.revision.to_string(), root)
}

/// Another revision, deployed as this one was.
pub fn deploy_other(order: &Order, revision: &str, root: &Path) -> String {
    let mut words = vec!["deploy".to_owned(), revision.to_owned()];
    words.extend(["--group".to_owned(), order.group.name.to_string()]);
    words.extend(["--application".to_owned(), order.application.to_string()]);
    if order.group.id != GroupId::of(&order.application, &order.group.name) {
        words.extend(["--group-id".to_owned(), order.group.id.to_string()]);
    }
    typed(words, root)
}

fn typed(mut words: Vec<String>, root: &Path) -> String {
    if root != Path::new(DEFAULT_ROOT) {
        words.extend(["--root".to_owned(), root.display().to_string()]);
    }
    let words: Vec<String> = words.iter().map(|word| quoted(word)).collect();
    format!("longshore-agent {}", words.join(" "))
}
