//! Pure: env files as `docker compose` reads them.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile, Span};

use super::interpolate::{Known, fill};
use super::masked;

/// One variable of an env file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// The value, quotes removed and variables filled in.
    pub(crate) value: String,
    /// Where the name stands.
    pub(crate) span: Span,
    /// Whether the value holds variables.
    pub(crate) varies: bool,
}

/// Reads an env file; the last of two equal names counts. `outer`: what is known beside it. A name without `=` takes its value from the
/// host and is left out. What is wrong is reported with the line; the other lines are read all the same.
pub(crate) fn read(source: &Arc<SourceFile>, outer: &dyn Fn(&str) -> Known) -> (BTreeMap<String, Entry>, Vec<Problem>) {
    let mut reader = Reader { source, rest: 0, entries: BTreeMap::new(), problems: Vec::new(), outer, masked: None };
    if source.text.starts_with('\u{feff}') {
        reader.rest = '\u{feff}'.len_utf8();
    }
    while reader.rest < source.text.len() {
        reader.statement();
    }
    (reader.entries, reader.problems)
}

struct Reader<'a> {
    source: &'a Arc<SourceFile>,
    /// What is not read yet begins here, always at the start of a line.
    rest: usize,
    entries: BTreeMap<String, Entry>,
    problems: Vec<Problem>,
    outer: &'a dyn Fn(&str) -> Known,
    /// The file without its values, once there is a problem.
    masked: Option<Arc<SourceFile>>,
}

impl<'a> Reader<'a> {
    fn statement(&mut self) {
        let text: &'a str = &self.source.text;
        let start = self.rest;
        let end = text[start..].find('\n').map_or(text.len(), |newline| start + newline);
        self.rest = (end + 1).min(text.len());
        let line = text[start..end].trim_end();
        let mut at = start + line.len() - line.trim_start().len();
        let line = line.trim_start();
        if line.is_empty() || line.starts_with('#') {
            return;
        }
        let exported = line.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t']));
        let line = exported.map_or(line, str::trim_start);
        at += text[at..end].trim_end().len() - line.len();
        let Some(equals) = line.find(['=', ':']) else {
            if !is_name(line) {
                self.wrong(at..at + line.len(), "no `NAME=value`");
            }
            return;
        };
        let name = line[..equals].trim_end();
        let span = at..at + name.len();
        if !is_name(name) {
            return self.wrong(span, "this is no name of a variable");
        }
        let after = &line[equals + 1..];
        let value = after.trim_start();
        let value_at = at + equals + 1 + after.len() - value.len();
        let (text, expands) = match value.chars().next() {
            Some(quote @ ('"' | '\'')) => match self.quoted(value_at, quote) {
                Some(inside) if quote == '"' => (unescaped(inside), true),
                Some(inside) => (inside.replace("\\'", "'"), false),
                None => return self.wrong(value_at..value_at + 1, "this quote is not closed"),
            },
            _ => (value.find(" #").map_or(value, |comment| &value[..comment]).trim_end().to_owned(), true),
        };
        // What is set outside counts before the lines above.
        let filled = fill(&text, &|name| match ((self.outer)(name), self.entries.get(name)) {
            (Known::Unset, Some(entry)) => Known::Value(entry.value.clone()),
            (known, _) => known,
        });
        let (value, varies) = if expands { (filled.text, filled.varies) } else { (text, false) };
        self.entries.insert(name.to_owned(), Entry { value, span, varies });
    }

    /// What stands between the quote here and the one that closes it, perhaps some lines down; reading goes on behind its line.
    fn quoted(&mut self, at: usize, quote: char) -> Option<&'a str> {
        let text: &'a str = &self.source.text;
        let inside = &text[at + 1..];
        let mut escaped = false;
        for (offset, c) in inside.char_indices() {
            if c == quote && !escaped {
                let close = at + 1 + offset;
                self.rest = text[close..].find('\n').map_or(text.len(), |newline| close + newline + 1);
                return Some(&inside[..offset]);
            }
            escaped = c == '\\' && !escaped;
        }
        None
    }

    fn wrong(&mut self, span: Span, what: &str) {
        let message = format!("{what}, so compose refuses the env file");
        let shown = self.masked.get_or_insert_with(|| masked::env_file(self.source));
        self.problems.push(
            Problem::error("LS309", shown, Some(span), message)
                .with_fix("one `NAME=value` for each line, a value of several words in quotes"),
        );
    }
}

/// Whether a variable can be called so.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "_.-[]".contains(c))
}

/// The escapes of double quotes. `\$` stays a dollar that begins no variable; what is no escape stays as it is.
fn unescaped(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('a') => plain.push('\u{7}'),
            Some('b') => plain.push('\u{8}'),
            Some('f') => plain.push('\u{c}'),
            Some('n') => plain.push('\n'),
            Some('r') => plain.push('\r'),
            Some('t') => plain.push('\t'),
            Some('v') => plain.push('\u{b}'),
            Some('$') => plain.push_str("$$"),
            Some(other @ ('"' | '\\')) => plain.push(other),
            Some(other) => plain.extend(['\\', other]),
            None => plain.push('\\'),
        }
    }
    plain
}

#[cfg(test)]
mod tests;
