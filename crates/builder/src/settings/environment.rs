//! What the environment says, above the file. Each key has its variable; a variable about a group is about whichever group a
//! command is about.

use longshore_core::problem::{Problem, SourceFile};

use super::given::{BAD_VARIABLE, Given, Raw, Word, Wrong};
use super::key::{KEYS, Shape, Slot};
use super::{Origin, Settings};
use crate::environment::Environment;

/// The empty list; an empty variable counts as not set.
const NONE: &str = "none";

impl Settings {
    /// Lays the environment over the settings and reports everything that is wrong with it, at its place in the variable. A
    /// value with a problem is left out.
    pub(crate) fn overlay(&mut self, environment: &Environment) -> Vec<Problem> {
        let mut problems = Vec::new();
        for key in &KEYS {
            let Some((variable, text)) = key.variable.and_then(|name| Some((name, environment.get(name)?))) else {
                continue;
            };
            let source = SourceFile::new(format!("${variable}"), text);
            let path = String::new();
            let raw = Raw::Text(Word { text: text.to_owned(), span: 0..text.len() });
            let mut given = Given { raw, source: &source, path, code: BAD_VARIABLE, problems: Vec::new() };
            if let Err(wrong) = read(key.shape, text).map(|raw| given.raw = raw) {
                given.bad(0..text.len(), String::new(), wrong);
            } else {
                let written = given.raw.to_json();
                match key.slot {
                    Slot::Top(take) => take(self, &mut given),
                    Slot::Group(take) => take(&mut self.every_group, &mut given),
                    Slot::Half => {}
                }
                if given.problems.is_empty() {
                    // An artifact is signed with one key, and the variable goes before the file.
                    if key.name == "sign.kms_key" {
                        self.sign.key = None;
                        self.origins.remove("sign.key");
                    }
                    self.note(key.name.to_owned(), Origin::Variable(variable.to_owned()), written);
                }
            }
            // `store` and `region` are keys of the top and of groups.
            problems
                .extend(given.problems.into_iter().filter(|problem| !problems.contains(problem)).collect::<Vec<_>>());
        }
        problems
    }
}

/// The text of a variable in the shape of its key.
fn read(shape: Shape, text: &str) -> Result<Raw, Wrong> {
    Ok(match shape {
        Shape::Text => Raw::Text(Word { text: text.to_owned(), span: 0..text.len() }),
        Shape::List if text.trim() == NONE => Raw::List(Vec::new()),
        Shape::List => Raw::List(items(text)),
        Shape::Pairs if text.trim() == NONE => Raw::Pairs(Vec::new()),
        Shape::Pairs => {
            let pair = |item: Word| {
                let equals = item.text.find('=')?;
                let value = item.span.start + equals + 1;
                Some((
                    Word { text: item.text[..equals].to_owned(), span: item.span.start..value - 1 },
                    Word { text: item.text[equals + 1..].to_owned(), span: value..item.span.end },
                ))
            };
            let pairs: Option<Vec<_>> = items(text).into_iter().map(pair).collect();
            Raw::Pairs(pairs.ok_or_else(|| Wrong::new("must be `name=value`, several with commas between them"))?)
        }
        Shape::Flag => Raw::Flag(match text {
            "true" | "1" => true,
            "false" | "0" => false,
            _ => return Err(Wrong::new(format!("must be `true` or `false`, found `{text}`"))),
        }),
        Shape::Count => {
            let count = text.parse().ok().filter(|count| *count >= 1);
            Raw::Count(count.ok_or_else(|| Wrong::new(format!("must be a whole number, at least 1, found `{text}`")))?)
        }
    })
}

/// What stands between commas, without blanks around it.
fn items(text: &str) -> Vec<Word> {
    let mut start = 0;
    let mut words = Vec::new();
    for part in text.split(',') {
        let trimmed = part.trim();
        let at = start + (part.len() - part.trim_start().len());
        if !trimmed.is_empty() {
            words.push(Word { text: trimmed.to_owned(), span: at..at + trimmed.len() });
        }
        start += part.len() + 1;
    }
    words
}
