//! A YAML value and where it stands, and the ways to look into it.

use super::psych::{Psych, read_plain};
use crate::problem::Span;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The bytes of the value; those of the alias where an alias stands for it. Empty where nothing is written.
    pub span: Span,
    /// The value.
    pub value: Value,
    /// The explicit tag of a list or mapping, such as `!override`; a scalar has its own.
    pub tag: Option<String>,
}

/// What a node holds. Scalars keep their text; what `yes` or `0644` means is for the reader of that key to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A text, number, boolean or null.
    Scalar(Scalar),
    /// A sequence.
    List(Vec<Node>),
    /// A mapping in the order written, merge keys resolved, keys unique.
    Map(Vec<(Node, Node)>),
}

/// A scalar as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scalar {
    /// The text, escapes resolved.
    pub text: String,
    /// Whether it stood without quotes, so that YAML 1.1 may read a boolean, number or null into it.
    pub plain: bool,
    /// An explicit tag such as `!!str` or `!reset`.
    pub tag: Option<String>,
}

/// What a copy of a node costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cost {
    /// Values, this one included.
    pub(super) nodes: usize,
    /// Bytes of text.
    pub(super) bytes: usize,
    /// Levels of collections; 0 for a scalar.
    pub(super) depth: usize,
}

impl Scalar {
    /// What YAML 1.1 makes of it, as the AWS agent's parser reads it. A quoted scalar is text.
    pub fn psych(&self) -> Psych {
        match self.tag.as_deref() {
            None if self.plain => read_plain(&self.text),
            Some("!!int" | "!!float" | "!!bool" | "!!null") => read_plain(&self.text),
            None | Some(_) => Psych::Text,
        }
    }
}

impl Node {
    /// The value of a key; `None` when this is no mapping or has no such key.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// A key and its value; `None` when this is no mapping or has no such key.
    pub fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        self.entries().iter().find(|(name, _)| name.text() == Some(key))
    }

    /// The entries of a mapping; empty for anything else.
    pub fn entries(&self) -> &[(Node, Node)] {
        self.as_map().unwrap_or(&[])
    }

    /// The entries, when this is a mapping.
    pub fn as_map(&self) -> Option<&[(Node, Node)]> {
        match &self.value {
            Value::Map(entries) => Some(entries),
            Value::List(_) | Value::Scalar(_) => None,
        }
    }

    /// The items, when this is a list.
    pub fn as_list(&self) -> Option<&[Node]> {
        match &self.value {
            Value::List(items) => Some(items),
            Value::Map(_) | Value::Scalar(_) => None,
        }
    }

    /// The scalar, when this is one.
    pub fn as_scalar(&self) -> Option<&Scalar> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar),
            Value::List(_) | Value::Map(_) => None,
        }
    }

    /// The text of a scalar as written, whatever YAML 1.1 reads into it; `None` for a collection.
    pub fn text(&self) -> Option<&str> {
        self.as_scalar().map(|scalar| scalar.text.as_str())
    }

    /// What YAML 1.1 makes of a scalar; `None` for a collection.
    pub fn psych(&self) -> Option<Psych> {
        self.as_scalar().map(Scalar::psych)
    }

    /// Whether it is null: nothing, `~` or `null`.
    pub fn is_null(&self) -> bool {
        self.psych() == Some(Psych::Null)
    }

    /// What it is, in a word for people: `a list`, `a mapping`, `nothing`, `a number`, `a boolean` or `a text`.
    pub fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.psych() {
                Psych::Null => "nothing",
                Psych::Bool(_) => "a boolean",
                Psych::Int(_) | Psych::Float(_) => "a number",
                Psych::Symbol | Psych::Text => "a text",
            },
        }
    }

    /// A text that is equal for two keys exactly when they are the same key.
    pub(super) fn identity(&self) -> String {
        match &self.value {
            Value::Scalar(scalar) => scalar.text.clone(),
            Value::List(items) => {
                let items: Vec<String> = items.iter().map(Node::identity).collect();
                format!("\0[{}]", items.join("\0,"))
            }
            Value::Map(entries) => {
                let entries: Vec<String> =
                    entries.iter().map(|(key, value)| format!("{}\0:{}", key.identity(), value.identity())).collect();
                format!("\0{{{}}}", entries.join("\0,"))
            }
        }
    }

    pub(super) fn cost(&self) -> Cost {
        match &self.value {
            Value::Scalar(scalar) => Cost { nodes: 1, bytes: scalar.text.len(), depth: 0 },
            Value::List(items) => Cost::around(items.iter()),
            Value::Map(entries) => Cost::around(entries.iter().flat_map(|(key, value)| [key, value])),
        }
    }
}

impl Cost {
    fn around<'n>(children: impl Iterator<Item = &'n Node>) -> Cost {
        children.map(Node::cost).fold(Cost { nodes: 1, bytes: 0, depth: 1 }, |sum, child| Cost {
            nodes: sum.nodes + child.nodes,
            bytes: sum.bytes + child.bytes,
            depth: sum.depth.max(child.depth + 1),
        })
    }
}
