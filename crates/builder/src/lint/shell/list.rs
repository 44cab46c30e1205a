//! Lists of commands: what follows what, in pipelines, with `&&` and `||`, and in the background.

use super::{Close, DEPTH, Flow, Job, Reader};

impl Reader<'_> {
    /// Commands up to what closes them, which is left.
    pub(super) fn list(&mut self, close: Close) -> Flow {
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
}
