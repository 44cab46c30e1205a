//! Something wrong in a file that a person wrote: what, where, why, and the way out.
//!
//! Problems are collected, never thrown one at a time. An [`Severity::Error`] means that the file cannot be deployed; a
//! [`Severity::Warning`] means that it can be, and will surprise.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use serde::Serialize;

mod json;
mod render;

pub use render::{Look, render, visible, visible_lines};

/// A file as it was read, kept for showing its lines.
#[derive(Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// The name by which the user knows the file, for example `deploy/appspec.yml`.
    pub name: String,
    /// The whole text.
    pub text: String,
}

impl SourceFile {
    /// A file that was read.
    pub fn new(name: impl Into<String>, text: impl Into<String>) -> Arc<SourceFile> {
        Arc::new(SourceFile { name: name.into(), text: text.into() })
    }

    /// Line and column, both from 1, of a byte offset. A column counts characters; a byte order mark is none.
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let mut offset = offset.min(self.text.len());
        while !self.text.is_char_boundary(offset) {
            offset -= 1;
        }
        let before = &self.text[..offset];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[line_start..].trim_start_matches(BYTE_ORDER_MARK).chars().count() + 1;
        (before.matches('\n').count() + 1, column)
    }
}

/// What some editors put before the first character of a file.
pub(crate) const BYTE_ORDER_MARK: char = '\u{feff}';

/// A range of bytes in a [`SourceFile`].
pub type Span = Range<usize>;

/// How bad a problem is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Cannot be deployed.
    Error,
    /// Can be deployed, and will surprise.
    Warning,
}

/// One thing wrong in one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// A stable code, `LS` and three digits: 1xx appspec, 2xx hook scripts, 3xx compose files, 4xx what goes into the bundle, 5xx
    /// the agent's configuration, AWS's and ours.
    pub code: &'static str,
    /// The file.
    pub source: Arc<SourceFile>,
    /// The place in the file; `None` when the whole file is meant.
    pub span: Option<Span>,
    /// Where in the document, for example `hooks.AfterInstall[0].timeout`; empty when the whole file is meant.
    pub path: String,
    /// What is wrong, one sentence without a full stop.
    pub message: String,
    /// What to write or type instead.
    pub fix: Option<String>,
    /// Other places that belong to it, for example the first of two equal keys.
    pub related: Vec<(Span, String)>,
}

impl Problem {
    /// An error at a place.
    pub fn error(
        code: &'static str,
        source: &Arc<SourceFile>,
        span: Option<Span>,
        message: impl Into<String>,
    ) -> Problem {
        Problem::new(Severity::Error, code, source, span, message.into())
    }

    /// A warning at a place.
    pub fn warning(
        code: &'static str,
        source: &Arc<SourceFile>,
        span: Option<Span>,
        message: impl Into<String>,
    ) -> Problem {
        Problem::new(Severity::Warning, code, source, span, message.into())
    }

    fn new(
        severity: Severity,
        code: &'static str,
        source: &Arc<SourceFile>,
        span: Option<Span>,
        message: String,
    ) -> Problem {
        Problem {
            severity,
            code,
            source: Arc::clone(source),
            span,
            path: String::new(),
            message,
            fix: None,
            related: Vec::new(),
        }
    }

    /// The same problem with its place in the document.
    pub fn at_path(mut self, path: impl Into<String>) -> Problem {
        self.path = path.into();
        self
    }

    /// The same problem with a way out.
    pub fn with_fix(mut self, fix: impl Into<String>) -> Problem {
        self.fix = Some(fix.into());
        self
    }

    /// The same problem with another place that belongs to it.
    pub fn with_related(mut self, span: Span, label: impl Into<String>) -> Problem {
        self.related.push((span, label.into()));
        self
    }

    /// Whether it stops a deployment.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// On one line, as compilers do: `file:line:column: path: message`.
impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source.name)?;
        if let Some(span) = &self.span {
            let (line, column) = self.source.line_column(span.start);
            write!(f, ":{line}:{column}")?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// Whether any of them stops a deployment.
pub fn has_errors(problems: &[Problem]) -> bool {
    problems.iter().any(Problem::is_error)
}

/// The known word that a mistyped one was probably meant to be.
pub fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    known
        .map(|candidate| (strsim::normalized_damerau_levenshtein(word, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= 0.6)
        .max_by(|(one, _), (other, _)| one.total_cmp(other))
        .map(|(_, candidate)| candidate)
}
