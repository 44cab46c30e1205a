//! Problems as JSON for programs.

use serde_json::{Value, json};

use super::Problem;

impl Problem {
    /// The problem as one JSON object: `severity`, `code`, `file`, `line`, `column`, `end_line`, `end_column`, `path`,
    /// `message`, `fix`, `related`. Lines and columns count from 1, the end is exclusive, and all four are null when
    /// the whole file is meant; so is `fix` when there is none. `related` holds objects with a place and a `label`.
    pub fn to_json(&self) -> Value {
        let start = self.span.as_ref().map(|span| self.source.line_column(span.start));
        let end = self.span.as_ref().map(|span| self.source.line_column(span.end));
        let related: Vec<Value> = self
            .related
            .iter()
            .map(|(span, label)| {
                let (line, column) = self.source.line_column(span.start);
                let (end_line, end_column) = self.source.line_column(span.end);
                json!({
                    "line": line, "column": column, "end_line": end_line, "end_column": end_column, "label": label,
                })
            })
            .collect();
        json!({
            "severity": self.severity,
            "code": self.code,
            "file": self.source.name,
            "line": start.map(|(line, _)| line),
            "column": start.map(|(_, column)| column),
            "end_line": end.map(|(line, _)| line),
            "end_column": end.map(|(_, column)| column),
            "path": self.path,
            "message": self.message,
            "fix": self.fix,
            "related": related,
        })
    }
}
