//! Reads a shell script as far as lints need it: its commands, their words, and where they stand. Pure. Runs nothing, expands
//! nothing, and refuses nothing: what it does not understand it passes over. Texts for another shell (`bash -c '…'`) and the
//! bodies of here-documents are texts to it.

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
    /// The command whose output it reads, by its place in [`Shell::commands`].
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

impl Reader<'_> {
    fn rest(&self) -> &str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    fn skip(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn starts(&self, starts: &[&str]) -> bool {
        starts.iter().any(|start| self.rest().starts_with(start))
    }

    /// Spaces, continued lines, and a comment, up to the end of the line.
    fn blanks(&mut self) {
        loop {
            match self.peek() {
                Some(' ' | '\t' | '\r') => self.skip(),
                Some('\\') if self.starts(&["\\\n"]) => self.at += 2,
                Some('\\') if self.starts(&["\\\r\n"]) => self.at += 3,
                Some('#') => self.at += self.rest().find('\n').unwrap_or(self.rest().len()),
                Some(_) | None => return,
            }
        }
    }

    /// Blanks and ends of lines, with the here-documents that begin there.
    fn lines(&mut self) {
        loop {
            self.blanks();
            if !self.take("\n") {
                return;
            }
            for document in std::mem::take(&mut self.documents) {
                self.skip_document(&document);
            }
        }
    }

    fn skip_document(&mut self, document: &HereDocument) {
        while self.at < self.end {
            let line = self.rest().split_inclusive('\n').next().unwrap_or_default();
            let text = line.trim_end_matches(['\n', '\r']);
            let text = if document.tabs { text.trim_start_matches('\t') } else { text };
            let ends = text == document.delimiter;
            self.at += line.len();
            if ends {
                return;
            }
        }
    }

    /// The word at this place, if it has no quotes and no expansions.
    fn plain_word(&self) -> &str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || ";&|<>()".contains(c)).unwrap_or(rest.len());
        &rest[..end]
    }

    fn take_word(&mut self, word: &str) -> bool {
        let found = self.plain_word() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    fn is_closed(&self, close: Close) -> bool {
        match close {
            Close::End => false,
            Close::Paren => self.starts(&[")"]),
            Close::Item => self.starts(&[";;", ";&"]) || self.plain_word() == "esac",
            Close::Words(words) => words.contains(&self.plain_word()),
        }
    }

    /// Commands up to what closes them, which is left.
    fn list(&mut self, close: Close) -> Flow {
        let mut flow = Flow::default();
        if self.depth >= DEPTH {
            self.at = self.end;
            return flow;
        }
        self.depth += 1;
        loop {
            self.lines();
            if self.at >= self.end || self.is_closed(close) {
                break;
            }
            let start = self.at;
            if self.peek() == Some(';') && !self.starts(&[";;", ";&"]) {
                self.skip();
                continue;
            }
            let next = self.and_or();
            for command in flow.deciding {
                self.shell.commands[command].swallowed = true;
            }
            flow = next;
            self.blanks();
            if self.peek() == Some('&') && !self.starts(&["&&"]) {
                self.skip();
                let outputs = flow.outputs;
                self.shell.jobs.push(Job { span: start..self.at, holds_output: !(outputs.out && outputs.error) });
                flow = Flow::default();
            }
            if self.at == start {
                // Not a shell script as we know it: one character on.
                self.skip();
            }
        }
        self.depth -= 1;
        flow
    }

    fn and_or(&mut self) -> Flow {
        let mut flow = self.pipeline();
        loop {
            self.blanks();
            if !self.take("&&") && !self.take("||") {
                return flow;
            }
            self.lines();
            flow = self.pipeline();
        }
    }

    fn pipeline(&mut self) -> Flow {
        self.blanks();
        let mut negated = false;
        loop {
            if self.take_word("!") {
                negated = !negated;
            } else if !self.take_word("time") {
                break;
            }
            self.blanks();
        }
        let mut flow = self.command(None);
        loop {
            self.blanks();
            if self.starts(&["||"]) || !(self.take("|&") || self.take("|")) {
                break;
            }
            self.lines();
            let reads = flow.deciding.last().copied();
            flow = self.command(reads);
        }
        if negated {
            // That it fails is what is asked for.
            flow.deciding.clear();
        }
        flow
    }

    fn command(&mut self, reads: Option<usize>) -> Flow {
        self.blanks();
        let jobs = self.shell.jobs.len();
        let mut flow = match self.plain_word() {
            "{" => {
                self.at += 1;
                self.closed_by("}")
            }
            "if" => {
                self.at += 2;
                self.conditional()
            }
            word @ ("while" | "until") => {
                self.at += word.len();
                self.list(Close::Words(&["do"]));
                self.take_word("do");
                self.repeated()
            }
            word @ ("for" | "select") => {
                self.at += word.len();
                self.blanks();
                if self.starts(&["(("]) {
                    self.arithmetic();
                }
                while self.peek().is_some_and(|c| c != '\n' && c != ';') {
                    self.word_or_skip();
                    self.blanks();
                }
                self.take(";");
                self.lines();
                self.take_word("do");
                self.repeated()
            }
            "case" => {
                self.at += 4;
                self.case()
            }
            "function" => {
                self.at += 8;
                self.blanks();
                self.word_or_skip();
                self.blanks();
                if self.take("(") {
                    self.blanks();
                    self.take(")");
                }
                return self.function();
            }
            _ if self.starts(&["(("]) => {
                self.arithmetic();
                Flow::default()
            }
            _ if self.starts(&["("]) => {
                self.at += 1;
                let flow = self.list(Close::Paren);
                self.take(")");
                flow
            }
            _ => return self.simple(reads),
        };
        // What follows a compound command can only be redirections.
        let mut outputs = self.outputs;
        loop {
            self.blanks();
            if self.redirection(&mut outputs).is_none() {
                break;
            }
        }
        if outputs.out && outputs.error {
            for job in &mut self.shell.jobs[jobs..] {
                job.holds_output = false;
            }
        }
        flow.outputs = outputs;
        flow
    }

    fn closed_by(&mut self, word: &'static str) -> Flow {
        let words: &'static [&'static str] = match word {
            "}" => &["}"],
            "done" => &["done"],
            _ => &["fi"],
        };
        let flow = self.list(Close::Words(words));
        self.take_word(word);
        flow
    }

    fn conditional(&mut self) -> Flow {
        let mut flow = Flow::default();
        loop {
            self.list(Close::Words(&["then"]));
            self.take_word("then");
            flow.deciding.extend(self.list(Close::Words(&["elif", "else", "fi"])).deciding);
            if self.take_word("elif") {
                continue;
            }
            if self.take_word("else") {
                flow.deciding.extend(self.list(Close::Words(&["fi"])).deciding);
            }
            self.take_word("fi");
            return flow;
        }
    }

    /// The body of a loop: all turns but the last are forgotten.
    fn repeated(&mut self) -> Flow {
        for command in self.closed_by("done").deciding {
            self.shell.commands[command].swallowed = true;
        }
        Flow::default()
    }

    fn case(&mut self) -> Flow {
        let mut flow = Flow::default();
        self.blanks();
        let Some(subject) = self.word() else { return flow };
        self.lines();
        self.take_word("in");
        let mut has_default = false;
        loop {
            self.lines();
            if self.at >= self.end || self.take_word("esac") {
                break;
            }
            self.take("(");
            while self.at < self.end && self.peek() != Some(')') {
                let start = self.at;
                self.lines();
                if let Some(pattern) = self.word() {
                    has_default |= pattern.text == "*";
                }
                self.lines();
                self.take("|");
                if self.at == start {
                    self.skip();
                }
            }
            self.take(")");
            flow.deciding.extend(self.list(Close::Item).deciding);
            let _ = self.take(";;&") || self.take(";;") || self.take(";&");
        }
        self.shell.cases.push(Case { subject, has_default });
        flow
    }

    /// What follows the name of a function. What fails in it decides on what it returns.
    fn function(&mut self) -> Flow {
        self.lines();
        self.functions += 1;
        if self.depth < DEPTH {
            self.depth += 1;
            self.command(None);
            self.depth -= 1;
        }
        self.functions -= 1;
        Flow::default()
    }

    /// `((…))`, with what is in it.
    fn arithmetic(&mut self) {
        let mut open = 0usize;
        while let Some(c) = self.peek() {
            self.skip();
            match c {
                '(' => open += 1,
                ')' if open <= 1 => return,
                ')' => open -= 1,
                _ => {}
            }
        }
    }

    /// `[[ … ]]`, in which `&&`, `<` and `(` are words.
    fn test(&mut self, start: usize) -> Flow {
        self.at += 2;
        while self.at < self.end {
            self.lines();
            if self.take("]]") {
                break;
            }
            self.word_or_skip();
        }
        let word = Word { text: "[[".to_owned(), span: start..start + 2 };
        self.push(Command {
            assignments: Vec::new(),
            words: vec![word],
            span: start..self.at,
            swallowed: false,
            reads: None,
            input: false,
            in_function: self.functions > 0,
        })
    }

    fn push(&mut self, command: Command) -> Flow {
        self.shell.commands.push(command);
        Flow { deciding: vec![self.shell.commands.len() - 1], outputs: self.outputs }
    }

    fn simple(&mut self, reads: Option<usize>) -> Flow {
        let start = self.at;
        if self.plain_word() == "[[" {
            return self.test(start);
        }
        let (mut assignments, mut words) = (Vec::new(), Vec::new());
        let (mut outputs, mut input, mut last) = (self.outputs, false, start);
        loop {
            self.blanks();
            if let Some(redirection) = self.redirection(&mut outputs) {
                input |= redirection == Redirection::Input;
                last = self.at;
                continue;
            }
            match self.peek() {
                None | Some('\n' | ';' | ')' | '|' | '&') => break,
                Some('(') => {
                    self.skip();
                    self.blanks();
                    if words.len() == 1 && assignments.is_empty() && self.take(")") {
                        return self.function();
                    }
                    break;
                }
                Some(_) => {}
            }
            let Some(word) = self.word() else { break };
            last = self.at;
            if words.is_empty() && is_assignment(&word.text) { assignments.push(word) } else { words.push(word) }
        }
        if words.is_empty() && assignments.is_empty() {
            return Flow { deciding: Vec::new(), outputs };
        }
        if words.len() == 1 && words[0].text == "exec" && self.functions == 0 {
            self.outputs = outputs;
        }
        let in_function = self.functions > 0;
        let flow =
            self.push(Command { assignments, words, span: start..last, swallowed: false, reads, input, in_function });
        Flow { outputs, ..flow }
    }

    /// A redirection, if one stands here.
    fn redirection(&mut self, outputs: &mut Outputs) -> Option<Redirection> {
        let start = self.at;
        let digits = self.rest().bytes().take_while(u8::is_ascii_digit).count();
        let number = self.rest()[..digits].to_owned();
        self.at += digits;
        if digits == 0 && (self.take("&>>") || self.take("&>")) {
            self.target();
            *outputs = Outputs { out: true, error: true };
            return Some(Redirection::Output);
        }
        if self.starts(&["<(", ">("]) {
            self.at = start;
            return None;
        }
        if self.take("<<<") || self.take("<&") || self.take("<>") {
            self.target();
            return Some(Redirection::Input);
        }
        if self.take("<<") {
            let tabs = self.take("-");
            if let Some(delimiter) = self.target() {
                self.documents.push(HereDocument { delimiter, tabs });
            }
            return Some(Redirection::Input);
        }
        if self.take("<") {
            self.target();
            return Some(Redirection::Input);
        }
        if self.take(">&") {
            let target = self.target().unwrap_or_default();
            let elsewhere = match target.as_str() {
                "1" => outputs.out,
                "2" => outputs.error,
                _ => true,
            };
            match number.as_str() {
                "2" => outputs.error = elsewhere,
                "" if !matches!(target.as_str(), "1" | "2" | "-") => *outputs = Outputs { out: true, error: true },
                "" | "1" => outputs.out = elsewhere,
                _ => {}
            }
            return Some(Redirection::Output);
        }
        if self.take(">>") || self.take(">|") || self.take(">") {
            let target = self.target().unwrap_or_default();
            let elsewhere = match target.as_str() {
                "/dev/stdout" => outputs.out,
                "/dev/stderr" => outputs.error,
                _ => true,
            };
            match number.as_str() {
                "" | "1" => outputs.out = elsewhere,
                "2" => outputs.error = elsewhere,
                _ => {}
            }
            return Some(Redirection::Output);
        }
        self.at = start;
        None
    }

    fn target(&mut self) -> Option<String> {
        self.blanks();
        self.word().map(|word| word.text)
    }
}

#[derive(PartialEq)]
enum Redirection {
    Input,
    Output,
}

fn name_length(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 0;
    }
    text.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count()
}

fn is_assignment(text: &str) -> bool {
    let length = name_length(text);
    length > 0
        && (text[length..].starts_with('=') || text[length..].starts_with("+=") || text[length..].starts_with('['))
}

#[cfg(test)]
mod tests;
