//! What the user says should go in: `longshore.toml` and the appspec. Parses; does not look at the tree.

use std::sync::Arc;

use longshore_core::appspec::{self, AppSpec, Hook, Source};
use longshore_core::bundle::BundlePath;
use longshore_core::ids::ApplicationName;
pub(crate) use longshore_core::problem::nearest;
use longshore_core::problem::{Problem, SourceFile, Span};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::rules::Rules;

/// The name of the settings file.
pub(crate) const SETTINGS_FILE: &str = "longshore.toml";

/// What goes in.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// `longshore.toml`, or what holds without one.
    pub(crate) settings: Settings,
    /// Where the appspec stands below the source folder.
    pub(crate) appspec_path: BundlePath,
    /// The appspec's text.
    pub(crate) appspec_source: Arc<SourceFile>,
    /// The appspec.
    pub(crate) appspec: AppSpec,
}

/// A valid `longshore.toml`.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `application`.
    pub(crate) application: Option<ApplicationName>,
    /// `build.out`, below the source folder.
    pub(crate) out: Option<BundlePath>,
    /// `build.include`, each pattern with its place.
    pub(crate) include: Vec<Included>,
    /// `build.exclude`.
    pub(crate) exclude: Rules,
}

/// One item of `build.include`.
#[derive(Debug)]
pub(crate) struct Included {
    /// The pattern as written.
    pub(crate) pattern: String,
    /// Where it stands.
    pub(crate) span: Span,
    /// The pattern alone.
    pub(crate) rules: Rules,
    /// The file it stands in.
    pub(crate) source: Arc<SourceFile>,
}

/// A script and every place in the appspec that names it.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    /// The first entry.
    pub(crate) hook: &'a Hook,
    /// The first entry's place in the document, for example `hooks.AfterInstall[0].location`.
    pub(crate) place: String,
}

impl Settings {
    /// What holds without a file.
    pub(crate) fn none() -> Settings {
        Settings { application: None, out: None, include: Vec::new(), exclude: Rules::none() }
    }

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

impl Recipe {
    /// Each script that the appspec names, once, in the appspec's order.
    pub(crate) fn scripts(&self) -> Vec<Named<'_>> {
        let mut named: Vec<Named<'_>> = Vec::new();
        for (event, hooks) in &self.appspec.hooks {
            for (index, hook) in hooks.iter().enumerate() {
                if !named.iter().any(|known| known.hook.script == hook.script) {
                    named.push(Named { hook, place: format!("hooks.{event}[{index}].location") });
                }
            }
        }
        named
    }

    /// Whether the appspec wants the whole source folder.
    pub(crate) fn wants_all(&self) -> bool {
        self.appspec.files.iter().any(|mapping| mapping.source == Source::Whole)
    }

    /// Where the appspec stands in the bundle: under a name that agents look for.
    pub(crate) fn appspec_in_bundle(&self) -> BundlePath {
        if appspec::NAMES.contains(&self.appspec_path.as_str()) {
            return self.appspec_path.clone();
        }
        appspec::NAMES[0].parse().expect("the name of the appspec is a valid path")
    }

    /// Whether anything in a folder may be wanted. Without this, every build would walk through `node_modules`.
    pub(crate) fn enters(&self, folder: &BundlePath) -> bool {
        if self.wants_all() || !self.settings.include.is_empty() {
            return true;
        }
        let near =
            |wanted: &BundlePath| wanted == folder || folder.below(wanted).is_some() || wanted.below(folder).is_some();
        let scripts = self.scripts().into_iter().any(|named| match named.hook.script.parent() {
            Some(parent) => near(&parent),
            None => false,
        });
        scripts
            || self.appspec.files.iter().any(|mapping| match &mapping.source {
                Source::Whole => true,
                Source::Path(path) => near(path),
            })
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

#[cfg(test)]
mod tests;
