//! Problems as text for people, in the look of rustc. Nothing that a file or a file name holds reaches the terminal as a
//! control character.

use std::borrow::Cow;
use std::fmt::Write as _;
use std::ops::Range;

use annotate_snippets::renderer::DEFAULT_TERM_WIDTH;
use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};

use super::{BYTE_ORDER_MARK, Problem, Severity, SourceFile, Span};

/// Whether the text is for a terminal that shows colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// No escape sequences.
    Plain,
    /// ANSI colours.
    Coloured,
}

/// A line longer than this is not shown, only named: its cost would grow with every problem in it.
const LONGEST_LINE: usize = 4096;

/// All problems, a blank line between two, a line break after the last. Empty when there is none.
pub fn render(problems: &[Problem], look: Look) -> String {
    let renderer = match look {
        Look::Plain => Renderer::plain(),
        Look::Coloured => Renderer::styled(),
    }
    .term_width(DEFAULT_TERM_WIDTH);
    let mut text = String::new();
    for (number, problem) in problems.iter().enumerate() {
        if number > 0 {
            text.push('\n');
        }
        text.push_str(&one(problem, &renderer));
        text.push('\n');
    }
    text
}

fn one(problem: &Problem, renderer: &Renderer) -> String {
    let level = match problem.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let mut title = String::new();
    if !problem.path.is_empty() {
        title.push_str(&visible(&problem.path));
        title.push_str(": ");
    }
    title.push_str(&visible(&problem.message));

    let name = visible(&problem.source.name);
    let group = level.primary_title(title).id(problem.code);
    let group = match &problem.span {
        None => group.element(Origin::path(name)),
        Some(span) => match Window::around(problem, span) {
            Some(window) => group.element(window.snippet(problem, span, &name)),
            None => located(group.element(origin(&problem.source, span, &name)), problem),
        },
    };
    let group = match &problem.fix {
        Some(fix) => group.element(Level::HELP.message(visible(fix))),
        None => group,
    };
    renderer.render(&[group])
}

fn origin<'a>(source: &SourceFile, span: &Span, name: &str) -> Origin<'a> {
    let (line, column) = source.line_column(span.start);
    Origin::path(name.to_owned()).line(line).char_column(column)
}

/// The related places as notes, where there is no snippet to mark them in.
fn located<'a>(group: Group<'a>, problem: &Problem) -> Group<'a> {
    problem.related.iter().fold(group, |group, (span, label)| {
        let (line, column) = problem.source.line_column(span.start);
        group.element(Level::NOTE.message(format!("line {line}, column {column}: {}", visible(label))))
    })
}

/// The lines of the file that a problem and what is related to it stand in.
struct Window<'s> {
    /// Where they begin in the file.
    offset: usize,
    text: &'s str,
}

impl<'s> Window<'s> {
    /// `None` when a line is too long to be shown.
    fn around(problem: &'s Problem, span: &Span) -> Option<Window<'s>> {
        let text = problem.source.text.as_str();
        let spans = || std::iter::once(span).chain(problem.related.iter().map(|(span, _)| span));
        let lines: Vec<Range<usize>> = spans().map(|span| line_of(text, span.start)).collect();
        if lines.iter().any(|line| line.len() > LONGEST_LINE) {
            return None;
        }
        let offset = lines.iter().map(|line| line.start).min()?;
        let end = lines.iter().map(|line| line.end).max()?;
        Some(Window { offset, text: &text[offset..end] })
    }

    fn snippet<'a>(
        &self,
        problem: &'a Problem,
        span: &Span,
        name: &str,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let (line, _) = problem.source.line_column(self.offset);
        let related = problem
            .related
            .iter()
            .map(|(span, label)| AnnotationKind::Context.span(self.place(span)).label(visible(label).into_owned()));
        Snippet::source(shown(self.text))
            .line_start(line)
            .path(name.to_owned())
            .annotation(AnnotationKind::Primary.span(self.place(span)))
            .annotations(related)
    }

    /// A span within the window, cut at the end of its first line.
    fn place(&self, span: &Span) -> Range<usize> {
        let boundary = |mut at: usize| {
            at = at.min(self.text.len());
            while !self.text.is_char_boundary(at) {
                at -= 1;
            }
            at
        };
        let start = boundary(span.start.saturating_sub(self.offset));
        let end = boundary(span.end.saturating_sub(self.offset)).max(start);
        let first_line = self.text[start..end].split('\n').next().unwrap_or_default();
        start..start + first_line.trim_end().len()
    }
}

/// The line around an offset, without its line break and without a byte order mark.
fn line_of(text: &str, at: usize) -> Range<usize> {
    let mut at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    let start = text[..at].rfind('\n').map_or(0, |newline| newline + 1);
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    let mark = if text[start..end].starts_with(BYTE_ORDER_MARK) { BYTE_ORDER_MARK.len_utf8() } else { 0 };
    let end = start + text[start..end].trim_end_matches('\r').len();
    (start + mark).min(end)..end
}

/// Source text as it can be shown. Every replacement has as many bytes as what it replaces, so that places stay right;
/// the renderer itself shows the control characters of ASCII as symbols.
fn shown(text: &str) -> String {
    text.chars()
        .map(|c| match c {
            '\u{80}'..='\u{9f}' => '¿',
            c if is_invisible(c) && c.len_utf8() == 3 => char::REPLACEMENT_CHARACTER,
            c => c,
        })
        .collect()
}

/// Text with what it quotes from others: a control character, line breaks included, is written out.
pub fn visible(text: &str) -> Cow<'_, str> {
    if !text.chars().any(|c| c.is_control() || is_invisible(c)) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_invisible(c) => {
                let _ = write!(out, "\\u{{{:x}}}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    Cow::Owned(out)
}

/// The same for text of several lines: line breaks stay.
pub fn visible_lines(text: &str) -> String {
    text.split('\n').map(visible).collect::<Vec<_>>().join("\n")
}

/// Characters that show nothing and move what stands beside them.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{2069}' | '\u{feff}')
}

#[cfg(test)]
mod tests;
