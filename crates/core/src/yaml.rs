//! YAML with places kept: the only file that names the YAML crate.
//!
//! Reads events, builds [`Node`]s. Aliases are expanded and merge keys resolved here, within a budget, so that nobody
//! above has to fear a bomb. What a scalar means is for the reader of its key to say; [`Scalar::psych`] says what the AWS
//! agent would read.

mod indent;
mod node;
mod psych;

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use serde_saphyr::granit_parser::{ErrorKind, Event, Options, Parser, ScalarStyle, ScanError, Span as ParserSpan, Tag};

use crate::problem::{Problem, SourceFile, Span};

pub use node::{Node, Scalar, Value};
pub use psych::{Psych, read_plain};

/// The file is not YAML.
pub const SYNTAX: &str = "LS101";
/// A mapping has the same key twice.
pub const DUPLICATE_KEY: &str = "LS102";
/// The file nests too deep, or grows too large when its aliases are expanded.
pub const TOO_LARGE: &str = "LS103";

/// How deep collections may nest, aliases expanded. Keeps every walk over a tree far from the end of the stack.
const MAX_DEPTH: usize = 128;
/// How many values a file may have, aliases expanded.
const MAX_NODES: usize = 250_000;
/// After so many keys that stand twice the rest is not listed.
const MOST_DUPLICATES: usize = 100;
/// How many bytes of text all aliases together may repeat.
const MAX_REPEATED: usize = 8 << 20;

/// What came out of a file.
#[derive(Debug)]
pub struct Reading {
    /// The first document. `None`: it holds no value, or cannot be read, which is then among the problems.
    pub node: Option<Node>,
    /// What is wrong: everything up to the first thing that is not YAML.
    pub problems: Vec<Problem>,
    /// Where a second document begins, which nobody reads.
    pub second_document: Option<Span>,
}

/// Parses the first document of a file. `None`: the file holds no value (empty, or comments only).
pub fn parse(source: &Arc<SourceFile>) -> Result<Option<Node>, Problem> {
    let reading = read(source);
    match reading.problems.into_iter().next() {
        Some(problem) => Err(problem),
        None => Ok(reading.node),
    }
}

/// Reads the first document of a file and goes on after a key that stands twice, so that all such keys are reported. The
/// later of two equal keys counts, as for the AWS agent.
pub fn read(source: &Arc<SourceFile>) -> Reading {
    let mut builder = Builder::new(source);
    if let Err(problem) = builder.run() {
        builder.problems.push(*problem);
        builder.root = None;
    }
    Reading { node: builder.root, problems: builder.problems, second_document: builder.second_document }
}

/// A collection that is still open.
struct Open {
    start: usize,
    anchor: usize,
    tag: Option<String>,
    kind: OpenKind,
}

enum OpenKind {
    List(Vec<Node>),
    Map { entries: Vec<(Node, Node)>, key: Option<Node> },
}

/// A node that an alias may repeat, and what repeating it costs.
struct Anchored {
    node: Node,
    cost: node::Cost,
}

struct Builder<'s> {
    source: &'s Arc<SourceFile>,
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    root: Option<Node>,
    problems: Vec<Problem>,
    second_document: Option<Span>,
    nodes: usize,
    repeated: usize,
}

type Step<T = ()> = Result<T, Box<Problem>>;

impl<'s> Builder<'s> {
    fn new(source: &'s Arc<SourceFile>) -> Builder<'s> {
        Builder {
            source,
            open: Vec::new(),
            anchors: HashMap::new(),
            root: None,
            problems: Vec::new(),
            second_document: None,
            nodes: 0,
            repeated: 0,
        }
    }

    fn run(&mut self) -> Step {
        let mut options = Options::default();
        options.set_emit_comments(false);
        options.flow_nesting_limit = MAX_DEPTH;
        options.block_nesting_limit = MAX_DEPTH;
        let text = self.source.text.as_str();
        self.refuse_control_characters()?;
        let mut parser = Parser::new_from_str_with_options(text, options);
        while let Some(event) = parser.next_event() {
            let (event, place) = event.map_err(|error| Box::new(self.syntax(&error)))?;
            if matches!(event, Event::DocumentEnd) {
                // What follows is not read, so what is wrong there does not matter, to the AWS agent either.
                if let Some(Ok((Event::DocumentStart(..), place))) = parser.next_event() {
                    self.second_document = Some(span_of(&place, text));
                }
                return Ok(());
            }
            self.take(event, span_of(&place, text))?;
        }
        Ok(())
    }

    /// YAML allows none; and a NUL would end the file in the eyes of the parser.
    fn refuse_control_characters(&self) -> Step {
        let bad = |c: char| c.is_control() && !matches!(c, '\t' | '\n' | '\r' | '\u{85}');
        match self.source.text.char_indices().find(|(_, c)| bad(*c)) {
            None => Ok(()),
            Some((at, character)) => {
                let message = format!("the control character U+{:04X} stands here", u32::from(character));
                let span = at..at + character.len_utf8();
                Err(Box::new(
                    Problem::error(SYNTAX, self.source, Some(span), message)
                        .with_fix("remove it; the file may have been saved in another encoding than UTF-8"),
                ))
            }
        }
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Step {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let plain = matches!(style, ScalarStyle::Plain);
                // The parser says `~` where nothing is written.
                let text = if plain && span.is_empty() { String::new() } else { text.into_owned() };
                let scalar = Scalar { text, plain, tag: tag.map(|tag| tag_text(&tag)) };
                self.count(&span)?;
                self.finish(Node { span, value: Value::Scalar(scalar), tag: None }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => self.start(span, anchor, tag, OpenKind::List(Vec::new())),
            Event::MappingStart(_, anchor, tag) => {
                self.start(span, anchor, tag, OpenKind::Map { entries: Vec::new(), key: None })
            }
            Event::SequenceEnd | Event::MappingEnd => self.end(&span),
            Event::Alias(anchor) => self.alias(anchor, span),
            _ => Ok(()),
        }
    }

    fn start(&mut self, span: Span, anchor: usize, tag: Option<Cow<'_, Tag>>, kind: OpenKind) -> Step {
        self.count(&span)?;
        if self.open.len() >= MAX_DEPTH {
            return Err(Box::new(self.too_deep(span)));
        }
        let tag = tag.map(|tag| tag_text(&tag));
        self.open.push(Open { start: span.start, anchor, tag, kind });
        Ok(())
    }

    fn end(&mut self, span: &Span) -> Step {
        let Some(Open { start, anchor, tag, kind }) = self.open.pop() else { return Ok(()) };
        let (value, last) = match kind {
            OpenKind::List(items) => {
                let last = items.last().map(|item| item.span.end);
                (Value::List(items), last)
            }
            OpenKind::Map { entries, .. } => {
                let last = entries.last().map(|(key, value)| value.span.end.max(key.span.end));
                (Value::Map(self.resolve(entries)?), last)
            }
        };
        // The end of a block collection is found where the next thing begins; what belongs to it ends with its last
        // child. A bracket is part of the value.
        let end = if span.is_empty() { last.unwrap_or(start) } else { span.end };
        self.finish(Node { span: start..end.max(start), value, tag }, anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> Step {
        let Some(target) = self.anchors.get(&anchor) else {
            let message = "this alias stands inside the value that it repeats";
            return Err(Box::new(Problem::error(SYNTAX, self.source, Some(span), message)));
        };
        let (value, tag) = (target.node.value.clone(), target.node.tag.clone());
        let (node, cost) = (Node { span: span.clone(), value, tag }, target.cost);
        if self.open.len() + cost.depth > MAX_DEPTH {
            return Err(Box::new(self.too_deep(span)));
        }
        self.repeat(cost, &span)?;
        self.finish(node, 0)
    }

    /// Counts a copy of a node before it is made the second time.
    fn repeat(&mut self, cost: node::Cost, span: &Span) -> Step {
        self.nodes += cost.nodes;
        self.repeated += cost.bytes;
        if self.nodes > MAX_NODES || self.repeated > MAX_REPEATED {
            let message = "the aliases up to here make the file too large to read";
            return Err(Box::new(
                Problem::error(TOO_LARGE, self.source, Some(span.clone()), message)
                    .with_fix("write the repeated parts out, or repeat less"),
            ));
        }
        Ok(())
    }

    fn count(&mut self, span: &Span) -> Step {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            let message = format!("the file has more than {MAX_NODES} values");
            return Err(Box::new(Problem::error(TOO_LARGE, self.source, Some(span.clone()), message)));
        }
        Ok(())
    }

    fn too_deep(&self, span: Span) -> Problem {
        let message = format!("collections nest deeper than {MAX_DEPTH} levels");
        Problem::error(TOO_LARGE, self.source, Some(span), message)
    }

    /// Hands a whole node to the collection it stands in.
    fn finish(&mut self, node: Node, anchor: usize) -> Step {
        if anchor != 0 {
            let cost = node.cost();
            self.repeat(cost, &node.span)?;
            self.anchors.insert(anchor, Anchored { node: node.clone(), cost });
        }
        match self.open.last_mut() {
            None => self.root = Some(node),
            Some(Open { kind: OpenKind::List(items), .. }) => items.push(node),
            Some(Open { kind: OpenKind::Map { entries, key }, .. }) => match key.take() {
                None => *key = Some(node),
                Some(key) => entries.push((key, node)),
            },
        }
        Ok(())
    }

    /// Makes keys unique and resolves `<<`: a key that is written wins over a merged one, and of several merged mappings
    /// the first that has it.
    fn resolve(&mut self, entries: Vec<(Node, Node)>) -> Step<Vec<(Node, Node)>> {
        let mut first: HashMap<String, usize> = HashMap::with_capacity(entries.len());
        let mut unique: Vec<(Node, Node)> = Vec::with_capacity(entries.len());
        let mut merges = false;
        for (key, value) in entries {
            merges |= is_merge(&key);
            match first.get(&key.identity()) {
                None => {
                    first.insert(key.identity(), unique.len());
                    unique.push((key, value));
                }
                Some(&position) => {
                    if self.problems.len() < MOST_DUPLICATES {
                        self.problems.push(self.duplicate(&unique[position].0, &key));
                    }
                    unique[position].1 = value;
                }
            }
        }
        if !merges {
            return Ok(unique);
        }
        let mut seen: HashSet<String> = first.into_keys().collect();
        let mut resolved = Vec::with_capacity(unique.len());
        for (key, value) in unique {
            if !is_merge(&key) {
                resolved.push((key, value));
                continue;
            }
            for (key, value) in self.merged(value)? {
                if seen.insert(key.identity()) {
                    resolved.push((key, value));
                }
            }
        }
        Ok(resolved)
    }

    /// The entries that the value of a `<<` brings in, in the order in which they win.
    fn merged(&self, value: Node) -> Step<Vec<(Node, Node)>> {
        let wrong = |node: &Node| {
            let message = format!("`<<` brings in the keys of a mapping, found {}", node.kind());
            Box::new(
                Problem::error(SYNTAX, self.source, Some(node.span.clone()), message)
                    .with_fix("write `<<: *name`, or `<<: [*first, *second]`"),
            )
        };
        match value.value {
            Value::Map(entries) => Ok(entries),
            Value::List(items) => {
                let mut all = Vec::new();
                for item in items {
                    match item.value {
                        Value::Map(entries) => all.extend(entries),
                        Value::List(_) | Value::Scalar(_) => return Err(wrong(&item)),
                    }
                }
                Ok(all)
            }
            Value::Scalar(_) if value.is_null() => Ok(Vec::new()),
            Value::Scalar(_) => Err(wrong(&value)),
        }
    }

    fn duplicate(&self, first: &Node, again: &Node) -> Problem {
        let name = again.text().unwrap_or("?");
        let problem = Problem::error(
            DUPLICATE_KEY,
            self.source,
            Some(again.span.clone()),
            format!("the key `{name}` stands twice in this mapping"),
        )
        .with_related(first.span.clone(), "first here");
        if is_merge(again) {
            problem.with_fix("write one `<<: [*first, *second]`")
        } else {
            problem.with_fix("keep one of the two; the AWS agent reads the last and drops the first without a word")
        }
    }

    /// What the parser stumbled over, in words about what the person wrote where that can be told.
    fn syntax(&self, error: &ScanError) -> Problem {
        let text = self.source.text.as_str();
        let at = error.marker().byte_offset().unwrap_or_else(|| offset_of(error, text)).min(text.len());
        let problem = |span: Span, message: String| Problem::error(SYNTAX, self.source, Some(span), message);
        if let ErrorKind::RecursionLimitExceeded = error.kind() {
            return self.too_deep(at..at);
        }
        if let Some(span) = indent::tab(text, at) {
            return problem(span, "the line is indented with a tab, and YAML indents with spaces only".to_owned())
                .with_fix("replace the tab by spaces");
        }
        let (message, fix) = match error.kind() {
            ErrorKind::UnknownAnchor => (
                "no anchor of this name stands before this alias".to_owned(),
                "put the value in quotes if it is a text that begins with `*`",
            ),
            ErrorKind::UnclosedQuotedScalar | ErrorKind::InvalidQuotedScalarIndent => {
                ("a quote that opens above is not closed before here".to_owned(), "close the quote")
            }
            ErrorKind::UnexpectedCharacter { character } => {
                (format!("a value without quotes cannot begin with `{character}`"), "put the value in quotes")
            }
            ErrorKind::InvalidColonPlacement
            | ErrorKind::UnclosedFlowCollection { .. }
            | ErrorKind::ExpectedFlowMappingSeparator
            | ErrorKind::ExpectedFlowSequenceSeparator => (
                "a `[` or `{` that opens above is not closed before here".to_owned(),
                "close it, and put a comma between its items",
            ),
            kind => {
                return match indent::explain(text, at) {
                    None => problem(at..at, format!("this is not YAML: {kind}")),
                    Some(found) => {
                        let explained = problem(found.span, found.message).with_fix(found.fix);
                        match found.related {
                            Some((span, label)) => explained.with_related(span, label),
                            None => explained,
                        }
                    }
                };
            }
        };
        problem(at..at, message).with_fix(fix)
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.value, Value::Scalar(scalar) if scalar.plain && scalar.text == "<<" && scalar.tag.is_none())
}

/// A tag as a person writes it, `!!str` for the long form of YAML's own.
fn tag_text(tag: &Tag) -> String {
    match tag.core_suffix() {
        Some(suffix) => format!("!!{suffix}"),
        None => tag.original(),
    }
}

fn span_of(place: &ParserSpan, text: &str) -> Span {
    let range = place.byte_range().unwrap_or(0..0);
    let start = range.start.min(text.len());
    start..range.end.clamp(start, text.len())
}

/// The byte offset of an error that knows only its line and column.
fn offset_of(error: &ScanError, text: &str) -> usize {
    text.char_indices().nth(error.marker().index()).map_or(text.len(), |(offset, _)| offset)
}

#[cfg(test)]
mod tests;
