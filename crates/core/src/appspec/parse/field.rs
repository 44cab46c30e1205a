//! A value with its place in the document, and the list of what was found wrong.

use std::sync::Arc;

use crate::appspec::check::{LONE_VALUE, MISSING_KEY, MORE_PROBLEMS, NOT_TEXT, Remark, Verdict, WRONG_KIND};
use crate::problem::{Problem, Severity, SourceFile, Span};
use crate::yaml::{Node, Psych, Scalar, Value};

/// A value, and where it stands.
#[derive(Debug, Clone)]
pub(super) struct Field<'n> {
    /// Where in the document, for example `hooks.AfterInstall[0].timeout`.
    pub(super) path: String,
    /// The key, where there is one.
    pub(super) key: Option<&'n Node>,
    pub(super) node: &'n Node,
}

impl<'n> Field<'n> {
    pub(super) fn root(node: &'n Node) -> Field<'n> {
        Field { path: String::new(), key: None, node }
    }

    /// The place to point at: the value, or its key where nothing is written.
    pub(super) fn span(&self) -> Span {
        match self.key {
            Some(key) if self.node.span.is_empty() => key.span.clone(),
            _ => self.node.span.clone(),
        }
    }

    /// The value of a key, null included.
    pub(super) fn child(&self, key: &str) -> Option<Field<'n>> {
        self.node.entry(key).map(|(key, node)| self.entry(key, node))
    }

    /// The value of a key, when there is one that is not null.
    pub(super) fn given(&self, key: &str) -> Option<Field<'n>> {
        self.child(key).filter(|field| !field.node.is_null())
    }

    pub(super) fn children(&self) -> Vec<Field<'n>> {
        self.node.entries().iter().map(|(key, node)| self.entry(key, node)).collect()
    }

    /// The key as written; `?` when it is a collection.
    pub(super) fn name(&self) -> &'n str {
        self.key.and_then(Node::text).unwrap_or("?")
    }

    fn entry(&self, key: &'n Node, node: &'n Node) -> Field<'n> {
        let name = key.text().unwrap_or("?");
        let path = if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) };
        Field { path, key: Some(key), node }
    }

    fn items(&self, items: &'n [Node]) -> Vec<Field<'n>> {
        items
            .iter()
            .enumerate()
            .map(|(index, node)| Field { path: format!("{}[{index}]", self.path), key: None, node })
            .collect()
    }
}

/// More problems than this are not reported: nobody reads them, and a hostile file has no end of them.
const MOST: usize = 500;

/// What was found wrong so far.
pub(super) struct Findings<'s> {
    source: &'s Arc<SourceFile>,
    problems: Vec<Problem>,
    left_out: usize,
    errors_left_out: bool,
}

impl<'s> Findings<'s> {
    pub(super) fn new(source: &'s Arc<SourceFile>, problems: Vec<Problem>) -> Findings<'s> {
        Findings { source, problems, left_out: 0, errors_left_out: false }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.problems.is_empty()
    }

    /// Everything, in the order of the file.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        self.problems.sort_by_key(|problem| problem.span.as_ref().map(|span| span.start));
        if self.left_out > 0 {
            let message = format!("{} more problems are not shown", self.left_out);
            self.problems.push(if self.errors_left_out {
                Problem::error(MORE_PROBLEMS, self.source, None, message)
            } else {
                Problem::warning(MORE_PROBLEMS, self.source, None, message)
            });
        }
        self.problems
    }

    pub(super) fn error(&mut self, code: &'static str, field: &Field<'_>, message: impl Into<String>, fix: &str) {
        let message = message.into();
        let remark = Remark { severity: Severity::Error, code, message, fix: some(fix) };
        self.remark(field.span(), &field.path, remark);
    }

    pub(super) fn warning(&mut self, code: &'static str, field: &Field<'_>, message: impl Into<String>, fix: &str) {
        let message = message.into();
        let remark = Remark { severity: Severity::Warning, code, message, fix: some(fix) };
        self.remark(field.span(), &field.path, remark);
    }

    /// Takes down what a rule remarked about a value, and hands on what it made of it.
    pub(super) fn judge<T>(&mut self, field: &Field<'_>, verdict: Verdict<T>) -> Option<T> {
        for remark in verdict.remarks {
            self.remark(field.span(), &field.path, remark);
        }
        verdict.value
    }

    /// The same for a rule about a key.
    pub(super) fn judge_key<T>(&mut self, field: &Field<'_>, verdict: Verdict<T>) -> Option<T> {
        for remark in verdict.remarks {
            let span = field.key.map_or_else(|| field.span(), |key| key.span.clone());
            self.remark(span, &field.path, remark);
        }
        verdict.value
    }

    pub(super) fn push(&mut self, problem: Problem) {
        if self.problems.len() < MOST {
            self.problems.push(problem);
        } else {
            self.left_out += 1;
            self.errors_left_out |= problem.is_error();
        }
    }

    fn remark(&mut self, span: Span, path: &str, remark: Remark) {
        let Remark { severity, code, message, fix } = remark;
        let problem = match severity {
            Severity::Error => Problem::error(code, self.source, Some(span), message),
            Severity::Warning => Problem::warning(code, self.source, Some(span), message),
        };
        self.push(Problem { fix, ..problem.at_path(path) });
    }

    /// A key that must have a value.
    pub(super) fn required<'n>(&mut self, parent: &Field<'n>, key: &str, fix: &str) -> Option<Field<'n>> {
        if let Some(field) = parent.given(key) {
            return Some(field);
        }
        match parent.child(key) {
            Some(empty) => self.error(MISSING_KEY, &empty, "has no value", fix),
            None => {
                let path = if parent.path.is_empty() { key.to_owned() } else { format!("{}.{key}", parent.path) };
                let missing = Field { path, ..parent.clone() };
                self.error(MISSING_KEY, &missing, "is missing", fix);
            }
        }
        None
    }

    /// The value as a mapping; anything else is an error with `fix`.
    pub(super) fn mapping(&mut self, field: &Field<'_>, fix: &str) -> bool {
        if field.node.as_map().is_some() {
            return true;
        }
        self.error(WRONG_KIND, field, format!("must be a mapping, found {}", field.node.kind()), fix);
        false
    }

    /// The items of a list; anything else is an error with `fix`.
    pub(super) fn list<'n>(&mut self, field: &Field<'n>, fix: &str) -> Vec<Field<'n>> {
        match field.node.as_list() {
            Some(items) => field.items(items),
            None => {
                self.error(WRONG_KIND, field, format!("must be a list, found {}", field.node.kind()), fix);
                Vec::new()
            }
        }
    }

    /// The items of a list of scalars; a single scalar is read as a list of one.
    pub(super) fn lenient_list<'n>(&mut self, field: &Field<'n>) -> Vec<Field<'n>> {
        match &field.node.value {
            Value::List(items) => field.items(items),
            Value::Scalar(scalar) => {
                let message = "is read as a list of one; the AWS agent demands a list and fails";
                self.warning(LONE_VALUE, field, message, &format!("write `[{:?}]`", scalar.text));
                vec![field.clone()]
            }
            Value::Map(_) => {
                self.error(WRONG_KIND, field, "must be a list, found a mapping", "write one `- item` in a line");
                Vec::new()
            }
        }
    }

    /// The value as a scalar; a collection is an error.
    pub(super) fn scalar<'n>(&mut self, field: &Field<'n>) -> Option<&'n Scalar> {
        let scalar = field.node.as_scalar();
        if scalar.is_none() {
            self.error(WRONG_KIND, field, format!("must be a single value, found {}", field.node.kind()), "");
        }
        scalar
    }

    /// The value as text, as written. Remarks where YAML 1.1, and with it the AWS agent, reads another text.
    pub(super) fn text<'n>(&mut self, field: &Field<'n>) -> Option<&'n str> {
        let scalar = self.scalar(field)?;
        let text = scalar.text.as_str();
        let read = match scalar.psych() {
            Psych::Null | Psych::Text => return Some(text),
            Psych::Bool(value) => value.to_string(),
            Psych::Int(value) => value.to_string(),
            Psych::Float(value) => format!("{value:?}"),
            Psych::Symbol => text.trim_start_matches(':').to_owned(),
        };
        if read != text {
            let message = format!("is read as the text `{text}`; without quotes the AWS agent reads `{read}`");
            self.warning(NOT_TEXT, field, message, &format!("write {text:?}"));
        }
        Some(text)
    }
}

fn some(fix: &str) -> Option<String> {
    if fix.is_empty() { None } else { Some(fix.to_owned()) }
}
