//! Simple commands: assignments, words and redirections, up to what ends them.

use super::redirection::Redirection;
use super::{Command, Flow, Reader, name_length};

impl Reader<'_> {
    pub(super) fn push(&mut self, command: Command) -> Flow {
        self.shell.commands.push(command);
        Flow { deciding: vec![self.shell.commands.len() - 1], outputs: self.outputs }
    }

    pub(super) fn simple(&mut self, mut reads: Option<usize>) -> Flow {
        let start = self.at;
        if self.plain_word() == "[[" {
            return self.test(start);
        }
        let (mut assignments, mut words) = (Vec::new(), Vec::new());
        let (mut outputs, mut input, mut last) = (self.outputs, false, start);
        loop {
            self.blanks();
            let first = self.shell.commands.len();
            if let Some(redirection) = self.redirection(&mut outputs) {
                if matches!(redirection, Redirection::Input) {
                    reads = (first..self.shell.commands.len()).last().or(reads);
                }
                input |= matches!(redirection, Redirection::Input | Redirection::Text(_));
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
}

fn is_assignment(text: &str) -> bool {
    let length = name_length(text);
    length > 0
        && (text[length..].starts_with('=') || text[length..].starts_with("+=") || text[length..].starts_with('['))
}
