//! What the environment says, above the file. Each key has its variable; a variable about a group is about whichever group a
//! command is about.

use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile, nearest};

use super::effective::{KMS_KEY, SECRET_KEY};
use super::given::{self, BAD_VARIABLE, Given, Raw, Word, Wrong};
use super::key::{KEYS, Key, Shape, Slot};
use super::{Origin, Settings};
use crate::environment::Environment;

/// The flag for every key.
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
            let (name, value) = text.split_once('=').unwrap_or((text, ""));
            let mut known = set_by(name).filter(|_| name.len() < text.len()).peekable();
            if known.peek().is_none() {
                problems.push(not_settable(&source, name));
            }
            for key in known {
                let wrong = match value {
                    "" => self.take_back(key, &source),
                    _ => self.lay(key, &source, name.len() + 1, Origin::Set),
                };
                // As above.
                let new: Vec<Problem> = wrong.into_iter().filter(|problem| !problems.contains(problem)).collect();
                problems.extend(new);
            }
        }
        self.drop_unused_key(environment);
        problems
    }

    /// A key of KMS goes with its encryption: where another one holds, or the one that was said is taken back, it goes too. One that
    /// `--set` itself names stays, and is refused as one without its encryption.
    fn drop_unused_key(&mut self, environment: &Environment) {
        let taken_back = || environment.set().iter().any(|text| text == "upload.encryption=");
        let unused = self.upload.encryption.as_deref().map_or_else(taken_back, |encryption| !is_of_kms(encryption));
        if unused && self.origins.get("upload.kms_key") != Some(&Origin::Set) {
            self.upload.kms_key = None;
            self.forget("upload.kms_key");
        }
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
                    // An artifact is signed with one key, and what is laid goes before what is there.
                    match key.name {
                        "sign.kms_key" => {
                            self.sign.key = None;
                            self.forget("sign.key");
                        }
                        "sign.key" => {
                            self.sign.kms_key = None;
                            self.forget("sign.kms_key");
                        }
                        _ => {}
                    }
                    self.note(key.name.to_owned(), origin, written);
                }
            }
        }
        given.problems
    }

    /// Takes back what file and environment say of a key, in all groups: its default holds.
    fn take_back(&mut self, key: &Key, source: &Arc<SourceFile>) -> Vec<Problem> {
        let path = String::new();
        let mut given = Given { raw: Raw::Nothing, source, path, code: BAD_VARIABLE, problems: Vec::new() };
        self.forget(key.name);
        match key.slot {
            Slot::Top(take) => take(self, &mut given),
            Slot::Group(take) => {
                take(&mut self.every_group, &mut given);
                for (name, group) in &mut self.groups {
                    take(group, &mut given);
                    let key = key.name.replacen('*', name.as_str(), 1);
                    self.origins.remove(&key);
                    self.written.remove(&key);
                }
            }
            Slot::Half => {}
        }
        given.problems
    }

    fn forget(&mut self, key: &str) {
        self.origins.remove(key);
        self.written.remove(key);
    }
}

/// The keys that `--set` means by a name: `store` is one of the top and one of groups.
fn set_by(name: &str) -> impl Iterator<Item = &'static Key> {
    KEYS.iter().filter(move |key| key.set_name() == name && !matches!(key.slot, Slot::Half))
}

/// The environment with settings of the command line, `KEY=VALUE`; what they say hides what variables say of the same.
pub(crate) fn set_on(environment: Environment, set: &[String]) -> Environment {
    let said = set.iter().filter_map(|text| text.split_once('='));
    let hidden = said.flat_map(|(name, value)| {
        // Whoever signs with a key that is named here signs with no other; whoever takes one back says nothing of the other.
        let of_keys: &[&str] = match (name, value) {
            ("sign.key", "") => &[SECRET_KEY],
            ("sign.kms_key", "") => &[KMS_KEY],
            ("sign.key" | "sign.kms_key", _) => &[SECRET_KEY, KMS_KEY],
            (_, _) => &[],
        };
        set_by(name).filter_map(|key| key.variable).chain(of_keys.iter().copied())
    });
    hidden.fold(environment, Environment::without).with_set(set)
}

/// Whether an encryption uses a key of KMS; S3's own key serves the other.
pub(crate) fn is_of_kms(encryption: &str) -> bool {
    encryption != "AES256"
}

/// What is no setting, or has no value.
fn not_settable(source: &Arc<SourceFile>, name: &str) -> Problem {
    let problem = |message: &str| Problem::error(BAD_VARIABLE, source, Some(0..name.len()), message);
    let names = KEYS.iter().filter(|key| !matches!(key.slot, Slot::Half)).map(Key::set_name);
    if names.clone().any(|known| known == name) {
        return problem("has no value").with_fix(format!("write `{name}=…`; `{name}=` takes back what is said of it"));
    }
    match nearest(name, names) {
        Some(near) => problem("is no setting").with_fix(format!("did you mean `{near}=…`?")),
        None => problem("is no setting").with_fix("`longshore config` shows those that there are"),
    }
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
        Shape::Count(least, most) => {
            Raw::Count(given::within(text.parse().ok(), text, least, most).map_err(Wrong::new)?)
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
