//! Commands that hold others: conditions, loops, cases, groups, functions.

use super::redirection::Redirection;
use super::{Case, Close, Command, DEPTH, Flow, Loop, Reader, Word};

impl Reader<'_> {
    pub(super) fn command(&mut self, reads: Option<usize>) -> Flow {
        self.blanks();
        let (start, jobs) = (self.at, self.shell.jobs.len());
        let mut turns = None;
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
                let first = self.shell.commands.len();
                self.list(Close::Words(&["do"]));
                turns = Some(Loop { variables: self.read_since(first), reads, ..Loop::default() });
                self.take_word("do");
                self.repeated()
            }
            word @ ("for" | "select") => {
                self.at += word.len();
                self.blanks();
                if self.starts(&["(("]) {
                    self.arithmetic();
                }
                let mut words = Vec::new();
                while self.peek().is_some_and(|c| c != '\n' && c != ';') {
                    match self.word() {
                        Some(word) => words.push(word),
                        None => self.skip(),
                    }
                    self.blanks();
                }
                let mut words = words.into_iter();
                let variables = words.next().map(|word| word.text).into_iter().collect();
                turns = Some(Loop { variables, words: words.skip(1).collect(), ..Loop::default() });
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
            let first = self.shell.commands.len();
            let Some(redirection) = self.redirection(&mut outputs) else { break };
            if let Some(turns) = &mut turns {
                match redirection {
                    // The last command of `< <(…)`.
                    Redirection::Input => turns.reads = (first..self.shell.commands.len()).last(),
                    Redirection::Text(word) => turns.words.push(word),
                    Redirection::Output => {}
                }
            }
        }
        self.shell.loops.extend(turns.map(|turns| Loop { span: start..self.at, ..turns }));
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

    /// The variables that the commands since then read into.
    fn read_since(&self, first: usize) -> Vec<String> {
        let mut words = self.shell.commands[first..].iter().map(|command| command.words.as_slice());
        let read = words.find(|words| words.first().is_some_and(|word| word.text == "read")).unwrap_or_default();
        read.iter().skip(1).filter(|word| !word.text.starts_with('-')).map(|word| word.text.clone()).collect()
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
    pub(super) fn function(&mut self) -> Flow {
        self.lines();
        self.functions += 1;
        let start = self.at;
        if self.depth < DEPTH {
            self.depth += 1;
            self.command(None);
            self.depth -= 1;
        }
        self.functions -= 1;
        self.shell.functions.push(start..self.at);
        Flow::default()
    }

    /// `((…))`, with what is in it.
    pub(super) fn arithmetic(&mut self) {
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
    pub(super) fn test(&mut self, start: usize) -> Flow {
        self.at += 2;
        let mut words = vec![Word { text: "[[".to_owned(), span: start..start + 2 }];
        while self.at < self.end {
            self.lines();
            if self.take("]]") {
                break;
            }
            match self.word() {
                Some(word) => words.push(word),
                None => self.skip(),
            }
        }
        self.push(Command {
            assignments: Vec::new(),
            words,
            span: start..self.at,
            swallowed: false,
            reads: None,
            input: false,
            in_function: self.functions > 0,
        })
    }
}
