//! What the environment says, above the file. Each key has its variable; a variable about a group is about whichever group a
//! command is about.

use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile};

use super::given::{BAD_VARIABLE, Given, Raw, Word, Wrong};
use super::key::{KEYS, Key, Shape, Slot};
use super::{Origin, Settings};
use crate::environment::Environment;

/// The flag for what has no flag of its own.
pub(super) const SET: &str = "--set";

/// The empty list; an empty variable counts as not set.
const NONE: &str = "none";

impl Settings {
    /// Lays the environment over the settings, and `--set` over both, and reports everything that is wrong with them, at its place
    /// in the variable. A value with a problem is left out.
    pub(crate) fn overlay(&mut self, environment: &Environment) -> Vec<Problem> {
        let mut problems: Vec<Problem> = Vec::new();
        for key in &KEYS {
            let Some((variable, text)) = key.variable.and_then(|name| Some((name, environment.get(name)?))) else {
                continue;
            };
            let source = SourceFile::new(format!("${variable}"), text);
            let wrong = self.lay(key, &source, 0, Origin::Variable(variable.to_owned()));
            // `store` and `region` are keys of the top and of groups.
            let new: Vec<Problem> = wrong.into_iter().filter(|problem| !problems.contains(problem)).collect();
            problems.extend(new);
        }
        for text in environment.set() {
            let source = SourceFile::new(SET, text);
            let name = text.split('=').next().unwrap_or_default();
            let found = KEYS.iter().find(|key| key.set_name() == Some(name)).filter(|_| name.len() < text.len());
            match found {
                Some(key) => problems.extend(self.lay(key, &source, name.len() + 1, Origin::Set)),
                None => problems.push(not_settable(&source, name)),
            }
        }
        problems
    }

    /// Lays one value over what is there; it stands at the end of `source`, from `start`.
    fn lay(&mut self, key: &Key, source: &Arc<SourceFile>, start: usize, origin: Origin) -> Vec<Problem> {
        let word = Word { text: source.text[start..].to_owned(), span: start..source.text.len() };
        let raw = Raw::Text(word.clone());
        let mut given = Given { raw, source, path: String::new(), code: BAD_VARIABLE, problems: Vec::new() };
        match read(key.shape, &word) {
            Err(wrong) => given.bad(word.span, String::new(), wrong),
            Ok(raw) => {
                given.raw = raw;
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
                    self.note(key.name.to_owned(), origin, written);
                }
            }
        }
        given.problems
    }
}

/// A setting that has a flag of its own, or that is none.
fn not_settable(source: &Arc<SourceFile>, name: &str) -> Problem {
    let span = 0..name.len();
    if let Some(key) = KEYS.iter().find(|key| key.name.trim_start_matches("groups.*.") == name)
        && let Some(flag) = key.flag.filter(|_| key.set_name().is_none())
    {
        let problem = Problem::error(BAD_VARIABLE, source, Some(span), format!("`{name}` has a flag of its own"));
        return problem.with_fix(format!("write `{flag}`"));
    }
    let known: Vec<String> = KEYS.iter().filter_map(|key| Some(format!("`{}=…`", key.set_name()?))).collect();
    Problem::error(BAD_VARIABLE, source, Some(span), "is no setting and a value")
        .with_fix(format!("write one of {}", known.join(", ")))
}

/// The text of a variable in the shape of its key.
fn read(shape: Shape, word: &Word) -> Result<Raw, Wrong> {
    let text = word.text.as_str();
    Ok(match shape {
        Shape::Text => Raw::Text(word.clone()),
        Shape::List if text.trim() == NONE => Raw::List(Vec::new()),
        Shape::List => Raw::List(items(word)),
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
            let pairs: Option<Vec<_>> = items(word).into_iter().map(pair).collect();
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
fn items(word: &Word) -> Vec<Word> {
    let mut start = word.span.start;
    let mut words = Vec::new();
    for part in word.text.split(',') {
        let trimmed = part.trim();
        let at = start + (part.len() - part.trim_start().len());
        if !trimmed.is_empty() {
            words.push(Word { text: trimmed.to_owned(), span: at..at + trimmed.len() });
        }
        start += part.len() + 1;
    }
    words
}
