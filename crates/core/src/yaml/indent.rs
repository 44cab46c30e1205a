//! Why a line does not fit in: the two or three ways in which people get indentation wrong. Looks at lines, not at YAML.

use crate::problem::Span;

/// What is wrong with a line, in words for the person who wrote it.
pub(super) struct Misfit {
    pub(super) span: Span,
    pub(super) message: String,
    pub(super) fix: String,
    pub(super) related: Option<(Span, String)>,
}

/// A line that says `key: value` or `key:`.
struct Line<'t> {
    /// Where the line begins.
    start: usize,
    /// How many spaces stand before the key; a `- ` counts as two.
    column: usize,
    /// Whether the key opens an item of a list.
    item: bool,
    key: &'t str,
    value: &'t str,
}

impl Line<'_> {
    fn key_span(&self) -> Span {
        let start = self.start + self.column;
        start..start + self.key.len()
    }
}

/// The tab in the indentation of the line at `at`, or of the next, before which some parsers give up.
pub(super) fn tab(text: &str, at: usize) -> Option<Span> {
    let next = text.get(at..).and_then(|rest| rest.find('\n')).map(|newline| at + newline + 1);
    tab_of_line(text, line_start(text, at)).or_else(|| tab_of_line(text, next?))
}

fn tab_of_line(text: &str, start: usize) -> Option<Span> {
    let indentation = text[start..].bytes().take_while(|b| *b == b' ' || *b == b'\t').count();
    let tab = text[start..start + indentation].find('\t')? + start;
    Some(tab..tab + 1)
}

/// Explains the line at `at`, where the parser gave up.
pub(super) fn explain(text: &str, at: usize) -> Option<Misfit> {
    let lines = lines(text);
    let here = lines.iter().rposition(|line| line.start <= at)?;
    let at_line = line_start(text, at);
    if lines[here].start != at_line {
        return None;
    }
    let line = &lines[here];
    let above = &lines[..here];
    two_values(line)
        .or_else(|| deeper_than_its_sibling(line, above.last()))
        .or_else(|| not_like_its_siblings(line, above))
}

/// `key: some: text`.
fn two_values(line: &Line<'_>) -> Option<Misfit> {
    let first = line.value.chars().next()?;
    if "\"'[{&*|>!".contains(first) || !line.value.contains(": ") {
        return None;
    }
    let start = line.start + line.column + line.key.len();
    Some(Misfit {
        span: start..start + 1 + line.value.len() + 1,
        message: format!("the value of `{}` has a `: ` in it, which begins another value", line.key),
        fix: format!("put it in quotes: `{}: \"{}\"`", line.key, line.value.replace('"', "\\\"")),
        related: None,
    })
}

/// A key that is indented deeper than the `key: value` right above it.
fn deeper_than_its_sibling(line: &Line<'_>, above: Option<&Line<'_>>) -> Option<Misfit> {
    let above = above?;
    if above.value.is_empty() || line.item || line.column <= above.column {
        return None;
    }
    Some(Misfit {
        span: line.key_span(),
        message: format!(
            "`{}` is indented by {} spaces, deeper than `{}`, which has a value already",
            line.key, line.column, above.key
        ),
        fix: format!("indent `{}` by {} spaces, as `{}`", line.key, above.column, above.key),
        related: Some((above.key_span(), format!("stands at {} spaces", above.column))),
    })
}

/// A key whose siblings, below the same parent, are indented otherwise.
fn not_like_its_siblings(line: &Line<'_>, above: &[Line<'_>]) -> Option<Misfit> {
    let parent = above.iter().rposition(|other| other.column < line.column && !other.item);
    let sibling = above.get(parent.map_or(0, |parent| parent + 1))?;
    if sibling.column == line.column {
        return None;
    }
    let below = parent.map_or(String::new(), |parent| format!(" below `{}`", above[parent].key));
    Some(Misfit {
        span: line.key_span(),
        message: format!(
            "`{}` is indented by {} spaces, but `{}`{below} by {}",
            line.key, line.column, sibling.key, sibling.column
        ),
        fix: format!("give all keys{below} the same indentation"),
        related: Some((sibling.key_span(), format!("stands at {} spaces", sibling.column))),
    })
}

fn line_start(text: &str, at: usize) -> usize {
    text.get(..at).and_then(|before| before.rfind('\n')).map_or(0, |newline| newline + 1)
}

/// The lines that have a key.
fn lines(text: &str) -> Vec<Line<'_>> {
    let mut start = 0;
    let mut lines = Vec::new();
    for raw in text.split_inclusive('\n') {
        lines.extend(line(raw.trim_end(), start));
        start += raw.len();
    }
    lines
}

fn line(text: &str, start: usize) -> Option<Line<'_>> {
    let spaces = text.len() - text.trim_start_matches(' ').len();
    let content = &text[spaces..];
    let (item, dash) = match content.strip_prefix("- ") {
        Some(rest) => (true, 2 + rest.len() - rest.trim_start_matches(' ').len()),
        None => (false, 0),
    };
    let content = &content[dash..];
    if content.starts_with('#') {
        return None;
    }
    let (key, value) = match content.split_once(": ") {
        Some((key, value)) => (key, value.split(" #").next().unwrap_or(value).trim()),
        None => (content.strip_suffix(':')?, ""),
    };
    let value = if value.starts_with('#') { "" } else { value };
    let named = !key.is_empty() && key.chars().all(|c| c.is_alphanumeric() || "_-. /".contains(c));
    named.then_some(Line { start, column: spaces + dash, item, key, value })
}
