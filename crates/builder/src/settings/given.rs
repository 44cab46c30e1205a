//! A value as somebody wrote it, in the file or in a variable: what it may be, and what is wrong with it. Pure.

use std::sync::Arc;

use longshore_core::appspec::FileExists;
use longshore_core::bundle::BundlePath;
use longshore_core::ids::InvalidId;
use longshore_core::problem::{Problem, SourceFile, Span};
use longshore_core::store::StoreUrl;

use super::{Allowed, Included};
use crate::rules::Rules;

/// A value that its key cannot have.
pub(super) const BAD_VALUE: &str = "LS423";
/// Values that do not go together.
pub(super) const TOGETHER: &str = "LS424";
/// A variable with a value that its key cannot have.
pub(crate) const BAD_VARIABLE: &str = "LS430";

/// A text and its place.
#[derive(Debug, Clone)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) span: Span,
}

/// A value of the right shape.
#[derive(Debug, Clone)]
pub(super) enum Raw {
    Text(Word),
    List(Vec<Word>),
    /// Name and value.
    Pairs(Vec<(Word, Word)>),
    Flag(bool),
    Count(u32),
    /// What was said is taken back.
    Nothing,
}

impl Raw {
    /// The value for programs.
    pub(super) fn to_json(&self) -> serde_json::Value {
        let texts = |words: &[Word]| words.iter().map(|word| word.text.clone().into()).collect();
        match self {
            Raw::Text(word) => word.text.clone().into(),
            Raw::List(words) => serde_json::Value::Array(texts(words)),
            Raw::Pairs(pairs) => serde_json::Value::Object(
                pairs.iter().map(|(name, value)| (name.text.clone(), value.text.clone().into())).collect(),
            ),
            Raw::Flag(flag) => (*flag).into(),
            Raw::Count(count) => (*count).into(),
            Raw::Nothing => serde_json::Value::Null,
        }
    }
}

/// A value, where it stands, and the problems that come up with it.
#[derive(Debug)]
pub(super) struct Given<'a> {
    pub(super) raw: Raw,
    /// The file, or the variable.
    pub(super) source: &'a Arc<SourceFile>,
    /// The key as people see it, for example `groups.prod.with`.
    pub(super) path: String,
    /// The code of a wrong value.
    pub(super) code: &'static str,
    pub(super) problems: Vec<Problem>,
}

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Wrong {
    message: String,
    fix: Option<String>,
}

impl Wrong {
    pub(super) fn new(message: impl Into<String>) -> Wrong {
        Wrong { message: message.into(), fix: None }
    }

    pub(super) fn fix(self, fix: &str) -> Wrong {
        Wrong { fix: Some(fix.to_owned()), ..self }
    }
}

impl Given<'_> {
    pub(super) fn source(&self) -> Arc<SourceFile> {
        Arc::clone(self.source)
    }

    pub(super) fn text<T>(&mut self, read: impl Fn(&Word) -> Result<T, Wrong>) -> Option<T> {
        let Raw::Text(word) = self.raw.clone() else { return None };
        self.read(&word, self.path.clone(), &read)
    }

    /// All items; `None` when one of them is wrong.
    pub(super) fn list<T>(&mut self, read: impl Fn(&Word) -> Result<T, Wrong>) -> Option<Vec<T>> {
        let Raw::List(words) = self.raw.clone() else { return None };
        let read_one = |(index, word): (usize, &Word)| self.read(word, format!("{}[{index}]", self.path), &read);
        let items: Vec<Option<T>> = words.iter().enumerate().map(read_one).collect();
        items.into_iter().collect()
    }

    /// A list that a service limits.
    pub(super) fn few<T>(&mut self, read: impl Fn(&Word) -> Result<T, Wrong>, most: usize) -> Option<Vec<T>> {
        if let Raw::List(words) = &self.raw
            && let Some(first_too_many) = words.get(most).map(|word| word.span.clone())
        {
            self.bad(first_too_many, self.path.clone(), Wrong::new(format!("may have {most} items at most")));
            return None;
        }
        self.list(read)
    }

    pub(super) fn pairs(
        &mut self,
        read: impl Fn(&Word, &Word) -> Result<(String, String), (Span, Wrong)>,
        most: usize,
    ) -> Option<Vec<(String, String)>> {
        let Raw::Pairs(pairs) = self.raw.clone() else { return None };
        if let Some((name, _)) = pairs.get(most) {
            self.bad(name.span.clone(), self.path.clone(), Wrong::new(format!("may have {most} items at most")));
            return None;
        }
        let mut items = Vec::new();
        for (name, value) in &pairs {
            match read(name, value) {
                Ok(pair) => items.push(pair),
                Err((span, wrong)) => self.bad(span, format!("{}.{}", self.path, name.text), wrong),
            }
        }
        (items.len() == pairs.len()).then_some(items)
    }

    pub(super) fn flag(&self) -> Option<bool> {
        match self.raw {
            Raw::Flag(flag) => Some(flag),
            Raw::Text(_) | Raw::List(_) | Raw::Pairs(_) | Raw::Count(_) | Raw::Nothing => None,
        }
    }

    pub(super) fn count(&self) -> Option<u32> {
        match self.raw {
            Raw::Count(count) => Some(count),
            Raw::Text(_) | Raw::List(_) | Raw::Pairs(_) | Raw::Flag(_) | Raw::Nothing => None,
        }
    }

    /// Patterns, all together.
    pub(super) fn rules(&mut self) -> Rules {
        let Raw::List(words) = &self.raw else { return Rules::none() };
        let (rules, problems) = Rules::of(self.source, words.iter().map(|word| (word.text.clone(), word.span.clone())));
        self.problems.extend(problems);
        rules
    }

    /// Patterns, each on its own.
    pub(super) fn included(&mut self) -> Vec<Included> {
        let Raw::List(words) = self.raw.clone() else { return Vec::new() };
        let mut all = Vec::new();
        for Word { text: pattern, span } in words {
            let (rules, problems) = Rules::of(self.source, [(pattern.clone(), span.clone())]);
            self.problems.extend(problems);
            all.push(Included { pattern, span, rules, source: self.source() });
        }
        all
    }

    fn read<T>(&mut self, word: &Word, path: String, read: &impl Fn(&Word) -> Result<T, Wrong>) -> Option<T> {
        match read(word) {
            Ok(value) => Some(value),
            Err(wrong) => {
                self.bad(word.span.clone(), path, wrong);
                None
            }
        }
    }

    pub(super) fn bad(&mut self, span: Span, path: String, wrong: Wrong) {
        let problem = Problem::error(self.code, self.source, Some(span), wrong.message).at_path(path);
        self.problems.push(match wrong.fix {
            Some(fix) => problem.with_fix(fix),
            None => problem,
        });
    }
}

/// A name that breaks its rule.
pub(super) fn name(invalid: &InvalidId) -> Wrong {
    Wrong::new(format!("the name {}", invalid.why))
}

pub(super) fn filled(word: &Word) -> Result<String, Wrong> {
    if word.text.is_empty() { Err(Wrong::new("is empty")) } else { Ok(word.text.clone()) }
}

/// A whole number in its bounds; `found`: as written. Otherwise what is wrong with it.
pub(super) fn within(count: Option<u32>, found: &str, least: u32, most: u32) -> Result<u32, String> {
    count.filter(|count| (least..=most).contains(count)).ok_or_else(|| match most {
        u32::MAX => format!("must be a whole number, at least {least}, found `{found}`"),
        most => format!("must be a whole number from {least} to {most}, found `{found}`"),
    })
}

/// A text of limited length.
pub(super) fn short(word: &Word, most: usize) -> Result<String, Wrong> {
    let count = word.text.chars().count();
    if count <= most {
        filled(word)
    } else {
        Err(Wrong::new(format!("may have {most} characters at most, has {count}")))
    }
}

/// A path below the source folder. `what`: a file or a folder.
pub(super) fn below(word: &Word, what: &str) -> Result<BundlePath, Wrong> {
    let path = BundlePath::normalized(&word.text).ok().filter(|_| !word.text.starts_with('/'));
    path.ok_or_else(|| Wrong::new(format!("must name a {what} below the source folder")))
}

pub(super) fn store(word: &Word) -> Result<StoreUrl, Wrong> {
    word.text.parse().map_err(|invalid: longshore_core::store::InvalidUrl| {
        Wrong::new(invalid.to_string()).fix("write `s3://bucket/prefix` or `file:///folder`")
    })
}

pub(super) fn region(word: &Word) -> Result<String, Wrong> {
    let fits =
        !word.text.is_empty() && word.text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if fits { Ok(word.text.clone()) } else { Err(Wrong::new("must be the name of a region, for example `eu-west-1`")) }
}

/// One word of a few.
pub(super) fn word<T: clap::ValueEnum>(word: &Word) -> Result<T, Wrong> {
    T::from_str(&word.text, false).map_err(|_| {
        let known: Vec<String> = T::value_variants()
            .iter()
            .filter_map(|value| Some(format!("`{}`", value.to_possible_value()?.get_name())))
            .collect();
        one_of(&known, &word.text)
    })
}

fn one_of(known: &[String], found: &str) -> Wrong {
    let (last, others) = known.split_last().map_or((String::new(), &[][..]), |(last, others)| (last.clone(), others));
    Wrong::new(format!("must be {} or {last}, found `{found}`", others.join(", ")))
}

fn exactly(word: &Word, known: &[&str]) -> Result<String, Wrong> {
    if known.contains(&word.text.as_str()) {
        return Ok(word.text.clone());
    }
    Err(one_of(&known.iter().map(|known| format!("`{known}`")).collect::<Vec<_>>(), &word.text))
}

pub(super) fn file_exists(word: &Word) -> Result<FileExists, Wrong> {
    match word.text.to_ascii_uppercase().as_str() {
        "DISALLOW" => Ok(FileExists::Disallow),
        "OVERWRITE" => Ok(FileExists::Overwrite),
        "RETAIN" => Ok(FileExists::Retain),
        _ => exactly(word, &["DISALLOW", "OVERWRITE", "RETAIN"]).map(|_| FileExists::Disallow),
    }
}

pub(super) fn encryption(word: &Word) -> Result<String, Wrong> {
    exactly(word, &["AES256", "aws:kms", "aws:kms:dsse"])
}

/// Servers other than AWS's have classes of their own.
pub(super) fn storage_class(word: &Word) -> Result<String, Wrong> {
    match word.text.as_str() {
        "GLACIER" | "DEEP_ARCHIVE" => {
            Err(Wrong::new("is an archive: a host would wait for hours until it can read an artifact")
                .fix("for rarely read artifacts take `STANDARD_IA` or `GLACIER_IR`"))
        }
        text if !text.is_empty() && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_') => {
            Ok(text.to_owned())
        }
        _ => Err(Wrong::new("must be the name of a storage class, for example `STANDARD_IA`")),
    }
}

type Pair = Result<(String, String), (Span, Wrong)>;

/// S3's limits of a tag.
pub(super) fn tag(name: &Word, value: &Word) -> Pair {
    let fits = |text: &str| text.chars().all(|c| c.is_alphanumeric() || " +-=._:/@".contains(c));
    if name.text.is_empty() || name.text.chars().count() > 128 || !fits(&name.text) || name.text.starts_with("aws:") {
        let message =
            "a tag's name has 1 to 128 letters, digits, blanks and `+ - = . _ : / @`, and does not begin with `aws:`";
        return Err((name.span.clone(), Wrong::new(message)));
    }
    if value.text.chars().count() > 256 || !fits(&value.text) {
        let message = "a tag's value has at most 256 letters, digits, blanks and `+ - = . _ : / @`";
        return Err((value.span.clone(), Wrong::new(message)));
    }
    Ok((name.text.clone(), value.text.clone()))
}

/// What fits into a header.
pub(super) fn metadata(name: &Word, value: &Word) -> Pair {
    if name.text.is_empty() || !name.text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') {
        return Err((name.span.clone(), Wrong::new("the name of metadata has letters, digits, `-` and `_`")));
    }
    if !value.text.bytes().all(|b| b == b' ' || b.is_ascii_graphic()) {
        return Err((value.span.clone(), Wrong::new("the value of metadata has only printable ASCII characters")));
    }
    Ok((name.text.clone(), value.text.clone()))
}

/// `LS320`, a code of shellcheck, or one with a file: `LS320:docker-compose.dev.yml`.
pub(super) fn allowed(word: &Word, source: &Arc<SourceFile>) -> Result<Allowed, Wrong> {
    let (code, file) = match word.text.split_once(':') {
        Some((code, file)) => (code, Some(file)),
        None => (word.text.as_str(), None),
    };
    let digits = |prefix: &str, count: usize| {
        code.strip_prefix(prefix).is_some_and(|rest| rest.len() == count && rest.bytes().all(|b| b.is_ascii_digit()))
    };
    let is_code = digits("LS", 3) || digits("SC", 4);
    if !is_code || file == Some("") {
        return Err(Wrong::new(format!("`{}` names no problem", word.text))
            .fix("write a code, `\"LS320\"`, or a code and a file, `\"LS320:docker-compose.dev.yml\"`"));
    }
    Ok(Allowed {
        code: code.to_owned(),
        file: file.map(str::to_owned),
        span: word.span.clone(),
        source: Arc::clone(source),
    })
}
