//! Redirections, and which outputs they send elsewhere.

use super::{HereDocument, Outputs, Reader, Word};

/// Where a redirection leads.
pub(super) enum Redirection {
    /// From a file, a here-document or a command.
    Input,
    /// From a here-string.
    Text(Word),
    /// To a file.
    Output,
}

impl Reader<'_> {
    /// A redirection, if one stands here.
    pub(super) fn redirection(&mut self, outputs: &mut Outputs) -> Option<Redirection> {
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
        if self.take("<<<") {
            self.blanks();
            return Some(self.word().map_or(Redirection::Input, Redirection::Text));
        }
        if self.take("<&") || self.take("<>") {
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
