//! Words: quotes, expansions, and the commands in them.

use super::{Close, DEPTH, Parameter, Reader, Word, name_length};

impl Reader<'_> {
    pub(super) fn word_or_skip(&mut self) {
        if self.word().is_none() {
            self.skip();
        }
    }

    /// The word that stands here.
    pub(super) fn word(&mut self) -> Option<Word> {
        let start = self.at;
        let mut text = String::new();
        loop {
            if self.starts(&["<(", ">("]) {
                self.at += 2;
                self.list(Close::Paren);
                self.take(")");
                continue;
            }
            match self.peek() {
                None => break,
                Some('(') if text.ends_with('=') && self.depth < DEPTH => {
                    self.depth += 1;
                    let from = self.at;
                    self.skip();
                    self.lines();
                    while self.at < self.end && !self.take(")") {
                        self.word_or_skip();
                        self.lines();
                    }
                    text.push_str(&self.text[from..self.at]);
                    self.depth -= 1;
                }
                Some(c) if c.is_whitespace() || ";&|<>()".contains(c) => break,
                Some('\'') => {
                    self.skip();
                    let length = self.rest().find('\'').unwrap_or(self.rest().len());
                    text.push_str(&self.text[self.at..self.at + length]);
                    self.at += length;
                    self.take("'");
                }
                Some('"') => {
                    self.skip();
                    self.double_quoted(&mut text);
                }
                Some('\\') => {
                    self.skip();
                    if self.take("\n") || self.take("\r\n") {
                        continue;
                    }
                    text.extend(self.peek());
                    self.skip();
                }
                Some('$') if self.starts(&["$'"]) => {
                    self.at += 2;
                    while let Some(c) = self.peek() {
                        self.skip();
                        match c {
                            '\'' => break,
                            '\\' => {
                                text.extend(self.peek());
                                self.skip();
                            }
                            c => text.push(c),
                        }
                    }
                }
                Some('$' | '`') => self.expansion(&mut text),
                Some(c) => {
                    text.push(c);
                    self.skip();
                }
            }
        }
        (self.at > start).then_some(Word { text, span: start..self.at })
    }

    fn double_quoted(&mut self, text: &mut String) {
        while let Some(c) = self.peek() {
            match c {
                '"' => return self.skip(),
                '\\' => {
                    self.skip();
                    match self.peek() {
                        Some('\n') | None => {}
                        Some(c) if "$`\"\\".contains(c) => text.push(c),
                        Some(c) => text.extend(['\\', c]),
                    }
                    self.skip();
                }
                '$' | '`' => self.expansion(text),
                c => {
                    text.push(c);
                    self.skip();
                }
            }
        }
    }

    /// What begins with `$` or a backtick; goes into the word as it is written.
    fn expansion(&mut self, text: &mut String) {
        let start = self.at;
        if self.starts(&["$(("]) {
            self.at += 1;
            self.arithmetic();
        } else if self.take("$(") {
            self.list(Close::Paren);
            self.take(")");
        } else if self.take("${") {
            self.braces(start);
        } else if self.take("`") {
            self.backticks();
        } else {
            self.skip();
            let length = match self.peek() {
                Some(c) if c.is_ascii_digit() || "@*#?$!-".contains(c) => 1,
                Some(_) | None => name_length(self.rest()),
            };
            if length > 0 {
                let name = self.rest()[..length].to_owned();
                self.at += length;
                self.parameter(name, start, false);
            }
        }
        text.push_str(&self.text[start..self.at]);
    }

    fn parameter(&mut self, name: String, start: usize, has_default: bool) {
        let in_function = self.functions > 0;
        self.shell.parameters.push(Parameter { name, span: start..self.at, has_default, in_function });
    }

    /// After `${`.
    fn braces(&mut self, start: usize) {
        let length = match self.peek() {
            Some(c) if "@*?$!-".contains(c) => 1,
            Some('#') => 1 + name_length(&self.rest()[1..]),
            Some(c) if c.is_ascii_digit() => self.rest().bytes().take_while(u8::is_ascii_digit).count(),
            Some(_) | None => name_length(self.rest()),
        };
        let name = self.rest()[..length].to_owned();
        self.at += length;
        let has_default = self.starts(&["-", ":-", "=", ":=", "+", ":+", "?", ":?"]);
        let mut ignored = String::new();
        while let Some(c) = self.peek() {
            match c {
                '}' => {
                    self.skip();
                    break;
                }
                '\\' => {
                    self.skip();
                    self.skip();
                }
                '\'' => {
                    self.skip();
                    self.at += self.rest().find(['\'', '}']).unwrap_or(0);
                    self.take("'");
                }
                '"' => {
                    self.skip();
                    self.double_quoted(&mut ignored);
                }
                '$' | '`' if self.depth < DEPTH => {
                    self.depth += 1;
                    self.expansion(&mut ignored);
                    self.depth -= 1;
                }
                _ => self.skip(),
            }
        }
        self.parameter(name, start, has_default);
    }

    /// After a backtick: up to the next one.
    fn backticks(&mut self) {
        let (mut length, mut escaped) = (0, false);
        for c in self.rest().chars() {
            if c == '`' && !escaped {
                break;
            }
            escaped = c == '\\' && !escaped;
            length += c.len_utf8();
        }
        let (close, end) = (self.at + length, self.end);
        self.end = close;
        self.list(Close::End);
        self.end = end;
        self.at = close;
        self.take("`");
    }
}
