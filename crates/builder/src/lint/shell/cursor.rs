//! Where a reader stands, and what lies between words: blanks, comments, ends of lines, here-documents.

use super::{Close, HereDocument, Reader};

impl Reader<'_> {
    pub(super) fn rest(&self) -> &str {
        self.text.get(self.at..self.end).unwrap_or_default()
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn skip(&mut self) {
        self.at += self.peek().map_or(0, char::len_utf8);
    }

    pub(super) fn take(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    pub(super) fn starts(&self, starts: &[&str]) -> bool {
        starts.iter().any(|start| self.rest().starts_with(start))
    }

    /// Spaces, continued lines, and a comment, up to the end of the line.
    pub(super) fn blanks(&mut self) {
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
    pub(super) fn lines(&mut self) {
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
    pub(super) fn plain_word(&self) -> &str {
        let rest = self.rest();
        let end = rest.find(|c: char| c.is_whitespace() || ";&|<>()".contains(c)).unwrap_or(rest.len());
        &rest[..end]
    }

    pub(super) fn take_word(&mut self, word: &str) -> bool {
        let found = self.plain_word() == word;
        if found {
            self.at += word.len();
        }
        found
    }

    pub(super) fn is_closed(&self, close: Close) -> bool {
        match close {
            Close::End => false,
            Close::Paren => self.starts(&[")"]),
            Close::Item => self.starts(&[";;", ";&"]) || self.plain_word() == "esac",
            Close::Words(words) => words.contains(&self.plain_word()),
        }
    }
}
