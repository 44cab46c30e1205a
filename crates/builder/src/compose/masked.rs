//! Pure: copies of compose and env files in which no value of a variable can be read, for problems, whose lines are shown. Every
//! character stays at its place.

use std::sync::Arc;

use longshore_core::problem::{SourceFile, Span};
use longshore_core::yaml::Node;

use super::env_file::is_name;

/// A compose file without the values in `environment`. What stands there as `$NAME` stays: it is a name.
pub(super) fn compose(source: &Arc<SourceFile>, root: &Node) -> Arc<SourceFile> {
    let mut values = Vec::new();
    environments(&source.text, root, "", &mut values);
    let names: Vec<Span> = values.iter().flat_map(|value| names(&source.text, value)).collect();
    hidden(source, &values, &names)
}

/// An env file without values. A line that is no `NAME=value` may be the rest of one.
pub(super) fn env_file(source: &Arc<SourceFile>) -> Arc<SourceFile> {
    let mut start = 0;
    let values = source.text.split_inclusive('\n').map(|line| {
        let at = start;
        start += line.len();
        let name = |end: usize| {
            let name = line[..end].trim();
            name.strip_prefix("export ").unwrap_or(name).trim_start()
        };
        let shown = line.find(['=', ':']).filter(|equals| is_name(name(*equals))).map_or(0, |equals| equals + 1);
        at + shown..start
    });
    hidden(source, &values.collect::<Vec<_>>(), &[])
}

/// Where values stand in every `environment` below a node that is the value of `key`.
fn environments(text: &str, node: &Node, key: &str, values: &mut Vec<Span>) {
    for (name, value) in node.entries() {
        match name.text() {
            // A service may have that name.
            Some("environment") if key != "services" => {
                values.extend(value.entries().iter().map(|(_, value)| value.span.clone()));
                values.extend(value.as_list().unwrap_or_default().iter().filter_map(|item| {
                    let equals = text.get(item.span.clone())?.find('=')?;
                    Some(item.span.start + equals + 1..item.span.end)
                }));
            }
            name => environments(text, value, name.unwrap_or_default(), values),
        }
    }
    for item in node.as_list().unwrap_or_default() {
        environments(text, item, "", values);
    }
}

/// `$NAME`, and `${NAME` where it is closed, in a value.
fn names(text: &str, value: &Span) -> Vec<Span> {
    let mut names = Vec::new();
    let mut at = value.start;
    while let Some(rest) = text.get(at..value.end)
        && let Some(dollar) = rest.find('$')
    {
        let after = &rest[dollar + 1..];
        let inside = after.strip_prefix('{');
        let name = inside.unwrap_or(after);
        let length = name.bytes().take_while(|byte| byte.is_ascii_alphanumeric() || *byte == b'_').count();
        let is_closed = inside.is_none() || name[length..].starts_with([':', '-', '?', '+', '}']) && name.contains('}');
        let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let start = at + dollar;
        at = start + 1 + usize::from(inside.is_some() || after.starts_with('$'));
        if begins && is_closed {
            at += length;
            // What the variable is closed with stays too.
            at += usize::from(name[length..].starts_with('}') && inside.is_some());
            names.push(start..at);
        }
    }
    names
}

/// `*` for every character of the values but those of `shown`.
fn hidden(source: &Arc<SourceFile>, values: &[Span], shown: &[Span]) -> Arc<SourceFile> {
    let mut hides = vec![false; source.text.len()];
    for (spans, hide) in [(values, true), (shown, false)] {
        for span in spans {
            hides.get_mut(span.clone()).into_iter().for_each(|part| part.fill(hide));
        }
    }
    if !hides.contains(&true) {
        return Arc::clone(source);
    }
    let text: String = source
        .text
        .char_indices()
        .map(|(at, c)| if hides[at] && !matches!(c, '\n' | '\r') { "*".repeat(c.len_utf8()) } else { c.to_string() })
        .collect();
    SourceFile::new(source.name.as_str(), text)
}
