//! The text of `longshore.toml` → settings, every problem at once.

use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile, Span, nearest};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::{Included, Settings};
use crate::rules::Rules;

impl Settings {
    /// Reads the file and reports every problem at once; a value with a problem is left out.
    pub(crate) fn parse(source: &Arc<SourceFile>) -> (Settings, Vec<Problem>) {
        let (document, errors) = DeTable::parse_recoverable(&source.text);
        let mut reader = Reader { source, settings: Settings::none(), problems: Vec::new() };
        for error in errors {
            reader.problems.push(Problem::error("LS420", source, error.span(), error.message().to_owned()));
        }
        reader.top(document.get_ref());
        // The table hands its keys out by name; people read from top to bottom.
        reader.problems.sort_by_key(|problem| problem.span.as_ref().map_or(0, |span| span.start));
        (reader.settings, reader.problems)
    }
}

struct Reader<'a> {
    source: &'a Arc<SourceFile>,
    settings: Settings,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn top(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "application" => self.application(value),
                "build" => match value.get_ref().as_table() {
                    Some(build) => self.build(build),
                    None => self.wrong_type(value, "build", "a table: `[build]`"),
                },
                _ => self.unknown(key, "", &["application", "build"]),
            }
        }
    }

    fn application(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(text) = value.get_ref().as_str() else {
            return self.wrong_type(value, "application", "a text: `application = \"shop\"`");
        };
        match text.parse() {
            Ok(name) => self.settings.application = Some(name),
            Err(invalid) => {
                let problem =
                    Problem::error("LS423", self.source, Some(value.span()), format!("the name {}", invalid.why));
                self.problems.push(problem.at_path("application"));
            }
        }
    }

    fn build(&mut self, table: &DeTable<'_>) {
        for (key, value) in table {
            match key.get_ref().as_ref() {
                "include" => self.include(value),
                "exclude" => {
                    let patterns = self.patterns(value, "build.exclude");
                    let (rules, problems) = Rules::of(self.source, patterns);
                    self.settings.exclude = rules;
                    self.problems.extend(problems);
                }
                "out" => self.out(value),
                _ => self.unknown(key, "build.", &["include", "exclude", "out"]),
            }
        }
    }

    fn include(&mut self, value: &Spanned<DeValue<'_>>) {
        for (pattern, span) in self.patterns(value, "build.include") {
            let (rules, problems) = Rules::of(self.source, [(pattern.clone(), span.clone())]);
            self.problems.extend(problems);
            self.settings.include.push(Included { pattern, span, rules, source: Arc::clone(self.source) });
        }
    }

    fn out(&mut self, value: &Spanned<DeValue<'_>>) {
        let Some(text) = value.get_ref().as_str() else {
            return self.wrong_type(value, "build.out", "a text: `out = \"dist\"`");
        };
        match BundlePath::normalized(text) {
            Ok(path) if !text.starts_with('/') => self.settings.out = Some(path),
            Ok(_) | Err(_) => {
                let message = "must name a folder below the source folder";
                let problem = Problem::error("LS423", self.source, Some(value.span()), message);
                self.problems.push(problem.at_path("build.out").with_fix("for a folder elsewhere use `--out`"));
            }
        }
    }

    fn patterns(&mut self, value: &Spanned<DeValue<'_>>, path: &str) -> Vec<(String, Span)> {
        let Some(items) = value.get_ref().as_array() else {
            self.wrong_type(value, path, "a list: `[\"config/\", \"*.conf\"]`");
            return Vec::new();
        };
        let mut patterns = Vec::new();
        for (index, item) in items.iter().enumerate() {
            match item.get_ref().as_str() {
                Some(text) => patterns.push((text.to_owned(), item.span())),
                None => self.wrong_type(item, &format!("{path}[{index}]"), "a text"),
            }
        }
        patterns
    }

    fn wrong_type(&mut self, value: &Spanned<DeValue<'_>>, path: &str, expected: &str) {
        let message = format!("must be {expected}, found {}", value.get_ref().type_str());
        self.problems.push(Problem::error("LS422", self.source, Some(value.span()), message).at_path(path));
    }

    fn unknown(&mut self, key: &Spanned<toml::de::DeString<'_>>, table: &str, known: &[&str]) {
        let name = key.get_ref().as_ref();
        let listed: Vec<String> = known.iter().map(|known| format!("`{known}`")).collect();
        let fix = match nearest(name, known.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("known here: {}", listed.join(", ")),
        };
        let problem = Problem::error("LS421", self.source, Some(key.span()), "unknown key");
        self.problems.push(problem.at_path(format!("{table}{name}")).with_fix(fix));
    }
}
