//! A compose document with its variables filled in, each part with the file and place it comes from. Parts of several files stand in
//! one tree.

use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile, Span};

/// A file and a place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Place {
    /// The file.
    pub(crate) source: Arc<SourceFile>,
    /// The bytes.
    pub(crate) span: Span,
}

/// A value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tree {
    /// Where it stands.
    pub(crate) place: Place,
    /// `!reset`, `!override` or another explicit tag.
    pub(crate) tag: Option<String>,
    /// The value.
    pub(crate) value: Value,
}

/// What a tree holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    /// Nothing.
    Null,
    /// A text, number or boolean.
    Text(Text),
    /// A list.
    List(Vec<Tree>),
    /// A mapping in the order written, keys unique.
    Map(Vec<Entry>),
}

/// A text as compose sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Text {
    /// The text, variables filled in.
    pub(crate) text: String,
    /// Whether a variable stands in it.
    pub(crate) varies: bool,
    /// The variables without which the text is not known.
    pub(crate) unknown: Vec<String>,
}

/// One entry of a mapping.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The key.
    pub(crate) key: String,
    /// Where the key stands.
    pub(crate) place: Place,
    /// The value.
    pub(crate) value: Tree,
}

impl Place {
    /// A warning here.
    pub(crate) fn warning(&self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::warning(code, &self.source, Some(self.span.clone()), message)
    }

    /// An error here.
    pub(crate) fn error(&self, code: &'static str, message: impl Into<String>) -> Problem {
        Problem::error(code, &self.source, Some(self.span.clone()), message)
    }
}

impl Tree {
    /// The value of a key; `None` when this is no mapping or has no such key, or nothing stands behind it.
    pub(crate) fn get(&self, key: &str) -> Option<&Tree> {
        self.entry(key).map(|entry| &entry.value).filter(|value| value.value != Value::Null)
    }

    /// What a path of keys leads to.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Tree> {
        path.iter().try_fold(self, |tree, key| tree.get(key))
    }

    /// The entry of a key.
    pub(crate) fn entry(&self, key: &str) -> Option<&Entry> {
        self.entries().iter().find(|entry| entry.key == key)
    }

    /// The entries of a mapping; empty for anything else.
    pub(crate) fn entries(&self) -> &[Entry] {
        match &self.value {
            Value::Map(entries) => entries,
            Value::Null | Value::Text(_) | Value::List(_) => &[],
        }
    }

    /// The items of a list; empty for anything else.
    pub(crate) fn items(&self) -> &[Tree] {
        match &self.value {
            Value::List(items) => items,
            Value::Null | Value::Text(_) | Value::Map(_) => &[],
        }
    }

    /// The text with what is said of it.
    pub(crate) fn as_text(&self) -> Option<&Text> {
        match &self.value {
            Value::Text(text) => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The text, if all of it is known.
    pub(crate) fn text(&self) -> Option<&str> {
        self.as_text().filter(|text| text.unknown.is_empty()).map(|text| text.text.as_str())
    }

    /// Whether it is a boolean that is true.
    pub(crate) fn is_true(&self) -> bool {
        self.text() == Some("true")
    }

    /// The same place with another value.
    pub(crate) fn with(&self, value: Value) -> Tree {
        Tree { place: self.place.clone(), tag: self.tag.clone(), value }
    }
}
