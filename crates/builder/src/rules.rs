//! Patterns in the syntax of `.gitignore`, each with the place it was written at, so that a refusal can name it.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder, Glob};
use longshore_core::problem::{Problem, SourceFile, Span};

/// Why something is kept out of a bundle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Rule {
    /// A pattern that the user wrote.
    Written {
        /// For example `.longshoreignore:3`.
        place: String,
        /// The pattern as written.
        pattern: String,
    },
    /// `.git`, a folder or a file.
    Git,
    /// `.longshore`, where a bundle keeps its manifest.
    Manifest,
    /// The folder for artifacts.
    OutFolder,
    /// An artifact, by its name.
    Artifact,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Rule::Written { place, pattern } => write!(f, "the rule `{pattern}` ({place}) keeps it out"),
            Rule::Git => f.write_str("`.git` is never packed"),
            Rule::Manifest => f.write_str("`.longshore` is where a bundle keeps its manifest"),
            Rule::OutFolder => f.write_str("the folder for artifacts is never packed"),
            Rule::Artifact => f.write_str("an artifact is never packed"),
        }
    }
}

impl Rule {
    /// How to get the file into the bundle all the same.
    pub(crate) fn way_out(&self) -> &'static str {
        match self {
            Rule::Written { .. } => "remove the rule, or take the file back with a rule that begins with `!`",
            Rule::Git | Rule::Manifest | Rule::Artifact => "give it another name",
            Rule::OutFolder => "put artifacts elsewhere: `build.out` in longshore.toml, or `--out`",
        }
    }
}

/// What patterns say about one path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// A pattern names it.
    Named(Rule),
    /// A pattern that begins with `!` takes it back.
    TakenBack,
    /// No pattern is about it.
    Unnamed,
}

/// An ordered set of patterns that all start at one folder. The last one that matches counts.
#[derive(Debug, Clone)]
pub(crate) struct Rules {
    patterns: Gitignore,
}

impl Rules {
    /// No patterns.
    pub(crate) fn none() -> Rules {
        Rules { patterns: Gitignore::empty() }
    }

    /// The lines of an ignore file.
    pub(crate) fn of_file(source: &Arc<SourceFile>) -> (Rules, Vec<Problem>) {
        let mut offset = 0;
        let lines = source.text.split_inclusive('\n').map(|line| {
            let start = offset;
            offset += line.len();
            let text = line.trim_end_matches(['\n', '\r']);
            let bare = text.trim_start_matches('\u{feff}');
            (bare.to_owned(), start + (text.len() - bare.len())..start + text.len())
        });
        Rules::of(source, lines)
    }

    /// Patterns of a file, each with its place.
    pub(crate) fn of(
        source: &Arc<SourceFile>,
        patterns: impl IntoIterator<Item = (String, Span)>,
    ) -> (Rules, Vec<Problem>) {
        let mut builder = GitignoreBuilder::new("");
        let mut problems = Vec::new();
        for (pattern, span) in patterns {
            let (line, _) = source.line_column(span.start);
            let place = PathBuf::from(format!("{}:{line}", source.name));
            if let Err(error) = builder.add_line(Some(place), &pattern) {
                problems.push(bad_pattern(source, span, &pattern, &error));
            }
        }
        match builder.build() {
            Ok(patterns) => (Rules { patterns }, problems),
            Err(error) => {
                problems.push(bad_pattern(source, 0..0, "", &error));
                (Rules::none(), problems)
            }
        }
    }

    /// Whether there is no pattern at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.patterns.is_empty()
    }

    /// What the patterns say about one path below their folder, its parents aside.
    pub(crate) fn about(&self, path: &str, is_folder: bool) -> Verdict {
        verdict(&self.patterns.matched(Path::new(path), is_folder))
    }

    /// What the patterns say about one path or, where they say nothing, about the nearest folder it stands in.
    pub(crate) fn about_or_parents(&self, path: &str, is_folder: bool) -> Verdict {
        verdict(&self.patterns.matched_path_or_any_parents(Path::new(path), is_folder))
    }
}

fn verdict(found: &Match<&Glob>) -> Verdict {
    match found {
        Match::None => Verdict::Unnamed,
        Match::Whitelist(_) => Verdict::TakenBack,
        Match::Ignore(glob) => {
            let place = glob.from().map(|place| place.to_string_lossy().into_owned()).unwrap_or_default();
            Verdict::Named(Rule::Written { place, pattern: glob.original().to_owned() })
        }
    }
}

fn bad_pattern(source: &Arc<SourceFile>, span: Span, pattern: &str, error: &ignore::Error) -> Problem {
    // The message of the crate repeats place and pattern before the reason.
    let text = error.to_string();
    let reason = text.rsplit(": ").next().unwrap_or(&text);
    Problem::error("LS411", source, Some(span), format!("`{pattern}` is not a pattern: {reason}"))
        .with_fix("write it as in a `.gitignore`; a backslash takes the meaning from `[`, `*` and `?`")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        let (rules, problems) = Rules::of_file(&SourceFile::new(".longshoreignore", text));
        assert_eq!(problems, []);
        rules
    }

    #[test]
    fn patterns_mean_what_they_mean_to_git_and_name_their_line() {
        let named = |line: u32, pattern: &str| {
            Verdict::Named(Rule::Written { place: format!(".longshoreignore:{line}"), pattern: pattern.into() })
        };
        let rules = rules("# comment\n*.log\n!keep.log\n/build/\ndocs/**/*.md\r\n\n");
        for (path, is_folder, expected) in [
            ("a.log", false, named(2, "*.log")),
            ("deep/a.log", false, named(2, "*.log")),
            ("keep.log", false, Verdict::TakenBack),
            ("build", true, named(4, "/build/")),
            ("build", false, Verdict::Unnamed),
            ("sub/build", true, Verdict::Unnamed),
            ("docs/a/b.md", false, named(5, "docs/**/*.md")),
            ("# comment", false, Verdict::Unnamed),
        ] {
            assert_eq!(rules.about(path, is_folder), expected, "{path}");
        }
        assert_eq!(rules.about_or_parents("build/x/y", false), named(4, "/build/"));
    }

    #[test]
    fn a_byte_order_mark_is_no_part_of_the_first_pattern() {
        assert_ne!(rules("\u{feff}a.txt\n").about("a.txt", false), Verdict::Unnamed);
    }
}
