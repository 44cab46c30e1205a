//! Settings → a table for people.

use std::io::Write as _;

use longshore_core::problem::{Problem, render, visible};
use serde_json::Value;

use crate::settings::{Origin, Shown};

/// One row for each value.
pub fn table(settings: &[Shown]) -> String {
    let mut rows = vec![["SETTING", "VALUE", "FROM"].map(str::to_owned)];
    rows.extend(settings.iter().map(|shown| [shown.key.clone(), value(&shown.value), origin(&shown.origin)]));
    super::table(&rows)
}

/// What will surprise, on standard error.
pub fn problems(problems: &[Problem]) {
    if !problems.is_empty() {
        // A closed standard error is the reader's loss.
        let _ = writeln!(std::io::stderr(), "{}", render(problems, super::look()).trim_end());
    }
}

fn value(value: &Value) -> String {
    match value {
        Value::Null => "none".to_owned(),
        Value::String(text) => visible(text).to_string(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Where a value comes from.
fn origin(origin: &Origin) -> String {
    match origin {
        Origin::Default => "default".to_owned(),
        Origin::File { file, line } => format!("{}:{line}", visible(file)),
        Origin::Variable { name } => format!("${name}"),
        Origin::Option { name } => name.clone(),
    }
}
