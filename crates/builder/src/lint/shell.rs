//! Reads a shell script as far as lints need it: its commands, their words, and where they stand. Pure. Runs nothing, expands
//! nothing, and refuses nothing: what it does not understand it passes over. Texts for another shell (`bash -c '…'`) and the
//! bodies of here-documents are texts to it.

mod compound;
mod cursor;
mod list;
mod redirection;
mod simple;
mod words;

use longshore_core::problem::Span;

/// A script as it was read.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    /// Every simple command, those inside of `$(…)` included, in the order in which they end.
    pub(crate) commands: Vec<Command>,
    /// Every job that runs on in the background.
    pub(crate) jobs: Vec<Job>,
    /// Every `case`.
    pub(crate) cases: Vec<Case>,
    /// Every loop.
    pub(crate) loops: Vec<Loop>,
    /// Every body of a function.
    pub(crate) functions: Vec<Span>,
    /// Every `$name` and `${name…}`.
    pub(crate) parameters: Vec<Parameter>,
}

/// A simple command.
#[derive(Debug)]
pub(crate) struct Command {
    /// `NAME=value` before the first word.
    pub(crate) assignments: Vec<Word>,
    /// Its words. Empty when there are assignments or redirections alone.
    pub(crate) words: Vec<Word>,
    /// From its first character to its last.
    pub(crate) span: Span,
    /// Whether the script goes on when it fails, and nothing asks.
    pub(crate) swallowed: bool,
    /// The command whose output it reads, in a pipeline or as `< <(…)`, by its place in [`Shell::commands`].
    pub(crate) reads: Option<usize>,
    /// Whether its standard input is a file, a here-document or a here-string.
    pub(crate) input: bool,
    /// Whether it stands in a function.
    pub(crate) in_function: bool,
}

/// A word, quotes removed and nothing expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Word {
    /// The text.
    pub(crate) text: String,
    /// Where it stands.
    pub(crate) span: Span,
}

/// A job in the background.
#[derive(Debug)]
pub(crate) struct Job {
    /// The job, its `&` included.
    pub(crate) span: Span,
    /// Whether it writes to an output of the script.
    pub(crate) holds_output: bool,
}

/// A `case`.
#[derive(Debug)]
pub(crate) struct Case {
    /// What is looked at.
    pub(crate) subject: Word,
    /// Whether one of its patterns matches anything.
    pub(crate) has_default: bool,
}

/// A loop. Those of arithmetic, and those whose variables nothing shows, have none.
#[derive(Debug, Default)]
pub(crate) struct Loop {
    /// What has another value at each turn.
    pub(crate) variables: Vec<String>,
    /// The values of `for`, or the here-string that is read.
    pub(crate) words: Vec<Word>,
    /// The command whose output is read, by its place in [`Shell::commands`].
    pub(crate) reads: Option<usize>,
    /// From its first word to the last redirection.
    pub(crate) span: Span,
}

/// A parameter that is expanded.
#[derive(Debug)]
pub(crate) struct Parameter {
    /// Its name.
    pub(crate) name: String,
    /// Where it stands.
    pub(crate) span: Span,
    /// Whether something stands in for it when it is not set.
    pub(crate) has_default: bool,
    /// Whether it stands in a function.
    pub(crate) in_function: bool,
}

/// Reads a script.
pub(crate) fn read(text: &str) -> Shell {
    let mut reader = Reader {
        text,
        at: 0,
        end: text.len(),
        documents: Vec::new(),
        functions: 0,
        depth: 0,
        outputs: Outputs::default(),
        shell: Shell::default(),
    };
    reader.list(Close::End);
    reader.shell
}

/// How deep commands may stand in each other.
const DEPTH: usize = 100;

/// What ends a list of commands.
#[derive(Clone, Copy)]
enum Close {
    /// The end of the text.
    End,
    /// `)`.
    Paren,
    /// `;;` and its like, or `esac`.
    Item,
    /// One of these words.
    Words(&'static [&'static str]),
}

/// Which outputs go elsewhere.
#[derive(Clone, Copy, Default)]
struct Outputs {
    out: bool,
    error: bool,
}

/// What becomes of the status of something that was read: the commands that decide on it, and its outputs.
#[derive(Default)]
struct Flow {
    deciding: Vec<usize>,
    outputs: Outputs,
}

struct HereDocument {
    delimiter: String,
    tabs: bool,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    end: usize,
    documents: Vec<HereDocument>,
    functions: usize,
    depth: usize,
    /// What `exec >…` did.
    outputs: Outputs,
    shell: Shell,
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

#[cfg(test)]
mod tests;
