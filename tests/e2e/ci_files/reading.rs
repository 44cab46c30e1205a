//! Reads a CI file strictly: what the system would refuse, or overlook, fails the test.

use std::fs;
use std::path::Path;

use longshore_core::problem::SourceFile;
use longshore_core::yaml::{self, Node};

pub(crate) fn document(path: &Path) -> Node {
    let source = SourceFile::new(path.display().to_string(), fs::read_to_string(path).unwrap());
    yaml::parse(&source).unwrap().unwrap()
}

/// The entries of a mapping whose keys are all among the known ones.
#[track_caller]
pub(crate) fn map<'a>(node: &'a Node, at: &str, known: &str) -> Vec<(&'a str, &'a Node)> {
    let entries = open_map(node, at);
    for (key, _) in &entries {
        assert!(known.split(' ').any(|known| known == *key), "{at}: `{key}` is no key here; known: {known}");
    }
    entries
}

/// The entries of a mapping whose keys are names.
#[track_caller]
pub(crate) fn open_map<'a>(node: &'a Node, at: &str) -> Vec<(&'a str, &'a Node)> {
    let entries = node.as_map().unwrap_or_else(|| panic!("{at} is a {}, not a mapping", node.kind()));
    entries.iter().map(|(key, value)| (key.text().unwrap(), value)).collect()
}

/// The value under a key.
#[track_caller]
pub(crate) fn member<'a>(node: &'a Node, key: &str, at: &str) -> &'a Node {
    node.get(key).unwrap_or_else(|| panic!("{at} has no `{key}`"))
}

#[track_caller]
pub(crate) fn text(node: &Node, at: &str) -> String {
    node.text().unwrap_or_else(|| panic!("{at} is a {}, not a text", node.kind())).to_owned()
}

/// Texts of a list. A command with `: ` in it is a mapping for YAML, which no CI system takes.
#[track_caller]
pub(crate) fn texts(node: &Node, at: &str) -> Vec<String> {
    let items = node.as_list().unwrap_or_else(|| panic!("{at} is a {}, not a list", node.kind()));
    items.iter().map(|item| text(item, at)).collect()
}

/// Names of variables and their values.
#[track_caller]
pub(crate) fn variables(node: &Node, at: &str) -> Vec<(String, String)> {
    let is_name = |name: &str| name.chars().all(|sign| sign.is_ascii_alphanumeric() || sign == '_');
    let all = open_map(node, at).into_iter().map(|(name, value)| {
        assert!(is_name(name), "{at}: `{name}`");
        (name.to_owned(), text(value, name))
    });
    all.collect()
}
