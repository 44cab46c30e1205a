//! The text of `longshore.toml` → settings, every problem at once.

use std::sync::Arc;

use longshore_core::ids::GroupName;
use longshore_core::problem::{Problem, SourceFile, Span, nearest};
use longshore_core::store::StoreUrl;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use super::given::{self, BAD_VALUE, Given, Raw, TOGETHER, Word};
use super::key::{KEYS, Key, Shape, Slot, key};
use super::{Origin, Settings};

type Value<'i> = Spanned<DeValue<'i>>;

impl Settings {
    /// Reads the file and reports every problem at once; a value with a problem is left out.
    pub(crate) fn parse(source: &Arc<SourceFile>) -> (Settings, Vec<Problem>) {
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        let mut reader = Reader { source, settings: Settings::none(), problems: Vec::new() };
        for error in errors {
            reader.problems.push(Problem::error("LS420", source, error.span(), error.message().to_owned()));
        }
        reader.table(document.get_ref(), &Level { pattern: "", path: "", group: None });
        reader.together();
        // The table hands its keys out by name; people read from top to bottom.
        reader.problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        (reader.settings, reader.problems)
    }
}

/// A table that is being read.
#[derive(Debug, Clone, Copy)]
struct Level<'a> {
    /// What stands before its keys in [`KEYS`], with a dot at its end.
    pattern: &'a str,
    /// What stands before its keys for people.
    path: &'a str,
    /// The group that it is about.
    group: Option<&'a GroupName>,
}

struct Reader<'a> {
    source: &'a Arc<SourceFile>,
    settings: Settings,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn table(&mut self, table: &DeTable<'_>, level: &Level<'_>) {
        let mut halves = Halves::default();
        for (name, value) in table {
            let text = name.get_ref().as_ref();
            let (pattern, path) = (format!("{}{text}", level.pattern), format!("{}{text}", level.path));
            if let Some(key) = key(&pattern) {
                let Some(raw) = self.raw(key.shape, value, &path) else { continue };
                match (&raw, key.slot) {
                    (Raw::Text(word), Slot::Half) if text == "bucket" => halves.bucket = Some(word.clone()),
                    (Raw::Text(word), Slot::Half) => halves.prefix = Some(word.clone()),
                    (_, _) => self.take(key, raw, &value.span(), path, level.group),
                }
            } else if pattern == "groups" {
                self.groups(value);
            } else if KEYS.iter().any(|key| key.name.strip_prefix(&*pattern).is_some_and(|rest| rest.starts_with('.')))
            {
                let (pattern, path) = (format!("{pattern}."), format!("{path}."));
                let level = Level { pattern: &pattern, path: &path, ..*level };
                match value.get_ref().as_table() {
                    Some(table) => self.table(table, &level),
                    None => self.wrong_type(
                        value,
                        path.trim_end_matches('.'),
                        &format!("a table: `[{}]`", path.trim_end_matches('.')),
                    ),
                }
            } else {
                self.unknown(name, level);
            }
        }
        let has_store = table.iter().find(|(name, _)| name.get_ref() == "store").map(|(name, _)| name.span());
        self.join(&halves, has_store, level);
    }

    fn groups(&mut self, value: &Value<'_>) {
        let Some(groups) = value.get_ref().as_table() else {
            return self.wrong_type(value, "groups", "a table of groups: `[groups.prod]`");
        };
        for (name, value) in groups {
            let path = format!("groups.{}", name.get_ref());
            let group = match name.get_ref().parse::<GroupName>() {
                Ok(group) => group,
                Err(invalid) => {
                    let message = format!("the name {}", invalid.why);
                    self.problems
                        .push(Problem::error(BAD_VALUE, self.source, Some(name.span()), message).at_path(path));
                    continue;
                }
            };
            match value.get_ref().as_table() {
                Some(table) => {
                    // A group with nothing in it is a group.
                    self.settings.groups.entry(group.clone()).or_default();
                    let path = format!("{path}.");
                    self.table(table, &Level { pattern: "groups.*.", path: &path, group: Some(&group) });
                }
                None => self.wrong_type(value, &path, &format!("a table: `[{path}]`")),
            }
        }
    }

    /// Puts a value into its place, and where it stood beside it.
    fn take(&mut self, key: &Key, raw: Raw, span: &Span, path: String, group: Option<&GroupName>) {
        let written = raw.to_json();
        let mut given = Given { raw, source: self.source, path, code: BAD_VALUE, problems: Vec::new() };
        match (key.slot, group) {
            (Slot::Top(take), _) => take(&mut self.settings, &mut given),
            (Slot::Group(take), Some(group)) => {
                take(self.settings.groups.entry(group.clone()).or_default(), &mut given);
            }
            (Slot::Group(_), None) | (Slot::Half, _) => {}
        }
        let Given { path, problems, .. } = given;
        if problems.is_empty() {
            let (line, _) = self.source.line_column(span.start);
            self.settings.note(path, Origin::Line(line), written);
        }
        self.problems.extend(problems);
    }

    /// `bucket` and `prefix` are another way to write `store`.
    fn join(&mut self, halves: &Halves, has_store: Option<Span>, level: &Level<'_>) {
        let path = |name: &str| format!("{}{name}", level.path);
        let Some(bucket) = &halves.bucket else {
            if let Some(prefix) = &halves.prefix {
                let problem =
                    Problem::error(TOGETHER, self.source, Some(prefix.span.clone()), "stands without a `bucket`");
                self.problems.push(
                    problem
                        .at_path(path("prefix"))
                        .with_fix("name the bucket, or write `store = \"s3://bucket/prefix\"`"),
                );
            }
            return;
        };
        if let Some(store) = has_store {
            let problem = Problem::error(
                TOGETHER,
                self.source,
                Some(bucket.span.clone()),
                "stands beside `store`, which says the same",
            );
            let problem = problem.at_path(path("bucket")).with_related(store, "here");
            self.problems.push(problem.with_fix("keep one of the two"));
            return;
        }
        let prefix = halves.prefix.as_ref().map_or("", |prefix| prefix.text.as_str());
        let url = format!("s3://{}/{prefix}", bucket.text);
        let parsed = if bucket.text.contains('/') {
            Err("is the name of a bucket alone; what follows it is its `prefix`".to_owned())
        } else {
            url.parse::<StoreUrl>().map_err(|invalid| invalid.to_string())
        };
        match parsed {
            Ok(store) => {
                let (line, _) = self.source.line_column(bucket.span.start);
                self.settings.note(path("store"), Origin::Line(line), store.to_string().into());
                match level.group {
                    Some(group) => self.settings.groups.entry(group.clone()).or_default().store = Some(store),
                    None => self.settings.store = Some(store),
                }
            }
            Err(why) => {
                let problem = Problem::error(BAD_VALUE, self.source, Some(bucket.span.clone()), why);
                self.problems.push(problem.at_path(path("bucket")));
            }
        }
    }

    /// Values that cannot stand together.
    fn together(&mut self) {
        let Settings { sign, upload, .. } = &self.settings;
        let both_keys = sign.key.is_some() && sign.kms_key.is_some();
        let useless_key = upload.kms_key.is_some() && upload.encryption.as_deref() == Some("AES256");
        let mut refuse = |refused: bool, name: &str, message: &str| {
            let Some(Origin::Line(line)) = self.settings.origins.get(name).filter(|_| refused) else { return };
            let start = self.source.text.split_inclusive('\n').take(line - 1).map(str::len).sum();
            let length = self.source.text[start..].lines().next().unwrap_or_default().len();
            let span = start..start + length;
            self.problems.push(Problem::error(TOGETHER, self.source, Some(span), message).at_path(name));
        };
        refuse(both_keys, "sign.kms_key", "stands beside `sign.key`; an artifact is signed with one key");
        refuse(useless_key, "upload.kms_key", "has no effect with `encryption = \"AES256\"`, whose key is S3's own");
    }

    /// A value of the shape that its key has.
    fn raw(&mut self, shape: Shape, value: &Value<'_>, path: &str) -> Option<Raw> {
        let word =
            |value: &Value<'_>| value.get_ref().as_str().map(|text| Word { text: text.to_owned(), span: value.span() });
        let raw = match shape {
            Shape::Text => word(value).map(Raw::Text),
            Shape::Flag => value.get_ref().as_bool().map(Raw::Flag),
            Shape::Count(least, most) => return self.count(value, path, (least, most)),
            Shape::List => match value.get_ref().as_array() {
                None => None,
                Some(items) => {
                    let mut words = Vec::new();
                    for (index, item) in items.iter().enumerate() {
                        match word(item) {
                            Some(word) => words.push(word),
                            None => self.wrong_type(item, &format!("{path}[{index}]"), "a text"),
                        }
                    }
                    Some(Raw::List(words))
                }
            },
            Shape::Pairs => match value.get_ref().as_table() {
                None => None,
                Some(table) => {
                    let mut pairs = Vec::new();
                    for (name, value) in table {
                        let name = Word { text: name.get_ref().to_string(), span: name.span() };
                        match word(value) {
                            Some(value) => pairs.push((name, value)),
                            None => self.wrong_type(value, &format!("{path}.{}", name.text), "a text"),
                        }
                    }
                    Some(Raw::Pairs(pairs))
                }
            },
        };
        if raw.is_none() {
            self.wrong_type(value, path, shape.example());
        }
        raw
    }

    fn count(&mut self, value: &Value<'_>, path: &str, (least, most): (u32, u32)) -> Option<Raw> {
        let Some(number) = value.get_ref().as_integer() else {
            self.wrong_type(value, path, Shape::Count(least, most).example());
            return None;
        };
        let count = u32::from_str_radix(number.as_str(), number.radix()).ok();
        let within = given::within(count, number.as_str(), least, most);
        within
            .map(Raw::Count)
            .map_err(|message| {
                self.problems.push(Problem::error(BAD_VALUE, self.source, Some(value.span()), message).at_path(path));
            })
            .ok()
    }

    fn wrong_type(&mut self, value: &Value<'_>, path: &str, expected: &str) {
        let message = format!("must be {expected}, found {}", value.get_ref().type_str());
        self.problems.push(Problem::error("LS422", self.source, Some(value.span()), message).at_path(path));
    }

    fn unknown(&mut self, name: &Spanned<DeString<'_>>, level: &Level<'_>) {
        let text = name.get_ref().as_ref();
        let mut known: Vec<&str> = Vec::new();
        for key in &KEYS {
            let here = key.name.strip_prefix(level.pattern).map(|rest| rest.split('.').next().unwrap_or(rest));
            known.extend(here.filter(|here| !known.contains(here)));
        }
        let elsewhere = || KEYS.iter().find(|key| key.name.rsplit('.').next() == Some(text)).map(|key| key.name);
        let fix = match nearest(text, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => match elsewhere() {
                Some(elsewhere) => format!("there is a `{elsewhere}`"),
                None => {
                    let known: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
                    format!("known here: {}", known.join(", "))
                }
            },
        };
        let problem = Problem::error("LS421", self.source, Some(name.span()), "unknown key");
        self.problems.push(problem.at_path(format!("{}{text}", level.path)).with_fix(fix));
    }
}

/// The two halves of a store's URL.
#[derive(Debug, Default)]
struct Halves {
    bucket: Option<Word>,
    prefix: Option<Word>,
}
