//! Pure: what the user does not want to hear: `lint.allow`, `--allow` and comments in files. Warnings fall silent, errors do
//! not, unless they are opinions. A silence that does nothing is told (LS418), one that can do nothing too (LS419).

use std::ops::Range;
use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile, Span};
use serde_json::Value;

use crate::rules::{Rules, Verdict};

/// A wish not to hear of something.
#[derive(Debug, Clone)]
pub(crate) struct Silence {
    code: String,
    scope: Scope,
    said: Said,
    source: Arc<SourceFile>,
    span: Option<Span>,
}

/// What a wish is about.
#[derive(Debug, Clone)]
enum Scope {
    /// Every file.
    All,
    /// The files that a pattern names.
    Files(Rules),
    /// These lines of its own file, counted from 1.
    Lines(Range<usize>),
}

/// Where a wish was said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// `lint.allow` of the settings.
    Settings,
    /// `--allow`.
    Flag,
    /// A comment in the file.
    Comment,
}

impl Said {
    /// How people know it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Said::Settings => "lint.allow",
            Said::Flag => "--allow",
            Said::Comment => "comment",
        }
    }
}

/// A problem that is not reported.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Silenced {
    /// The problem.
    pub(crate) problem: Problem,
    /// Where it is allowed.
    pub(crate) by: Said,
}

impl Silenced {
    /// As an object: that of the problem, and `allowed_by`.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = self.problem.to_json();
        json["allowed_by"] = self.by.name().into();
        json
    }
}

/// What is left to report.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// What is reported.
    pub(crate) problems: Vec<Problem>,
    /// What is not.
    pub(crate) silenced: Vec<Silenced>,
}

/// `LS` and three digits, or `SC` and four.
pub(crate) fn is_code(text: &str) -> bool {
    let digits = |rest: &str, count| rest.len() == count && rest.bytes().all(|byte| byte.is_ascii_digit());
    text.strip_prefix("LS").is_some_and(|rest| digits(rest, 3))
        || text.strip_prefix("SC").is_some_and(|rest| digits(rest, 4))
}

impl Silence {
    /// A wish of the settings or of the command line; `file`: the pattern of the files that are meant.
    pub(crate) fn of(
        code: &str,
        file: Option<&str>,
        said: Said,
        source: &Arc<SourceFile>,
        span: Option<Span>,
    ) -> (Silence, Vec<Problem>) {
        let span = span.filter(|span| source.text.get(span.clone()).is_some());
        let (scope, problems) = match file {
            None => (Scope::All, Vec::new()),
            Some(file) => {
                let (rules, problems) = Rules::of(source, [(file.to_owned(), span.clone().unwrap_or(0..0))]);
                (Scope::Files(rules), problems)
            }
        };
        (Silence { code: code.to_owned(), scope, said, source: Arc::clone(source), span }, problems)
    }

    /// Every `# longshore: allow CODE…` of a file: for its own line, and where it stands alone for the next one.
    pub(crate) fn of_comments(source: &Arc<SourceFile>) -> Vec<Silence> {
        let mut silences: Vec<Silence> = Vec::new();
        // A comment alone is about the next line that is none.
        let mut waiting = 0;
        let mut offset = 0;
        for (index, line) in source.text.split_inclusive('\n').enumerate() {
            let (number, start) = (index + 1, offset);
            offset += line.len();
            let alone = line.trim_start().starts_with(['#']) || line.trim_start().starts_with("//");
            if !alone {
                for silence in &mut silences[waiting..] {
                    silence.scope = match &silence.scope {
                        Scope::Lines(lines) => Scope::Lines(lines.start..number + 1),
                        Scope::All | Scope::Files(_) => Scope::All,
                    };
                }
                waiting = silences.len();
            }
            // Nothing can stand above the `#!` line.
            let first = if number == 2 && source.text.starts_with("#!") && alone { 1 } else { number };
            for (code, span) in codes(line) {
                silences.push(Silence {
                    code: code.to_owned(),
                    scope: Scope::Lines(first..number + 1),
                    said: Said::Comment,
                    source: Arc::clone(source),
                    span: Some(start + span.start..start + span.end),
                });
            }
            if !alone {
                waiting = silences.len();
            }
        }
        silences
    }

    fn is_about(&self, problem: &Problem) -> bool {
        self.code == problem.code
            && match &self.scope {
                Scope::All => true,
                Scope::Files(rules) => {
                    matches!(rules.about_or_parents(&problem.source.name, false), Verdict::Named(_))
                }
                Scope::Lines(lines) => {
                    let line = problem.span.as_ref().map(|span| problem.source.line_column(span.start).0);
                    self.source.name == problem.source.name && line.is_some_and(|line| lines.contains(&line))
                }
            }
    }
}

/// The codes that a comment of a line allows, each with its place in the line.
fn codes(line: &str) -> Vec<(&str, Span)> {
    const MARK: &str = "longshore: allow ";
    let Some(mark) = line.find(MARK) else { return Vec::new() };
    let before = line[..mark].trim_end();
    if !before.ends_with('#') && !before.ends_with("//") {
        return Vec::new();
    }
    let mut at = mark + MARK.len();
    let mut codes = Vec::new();
    for word in line[at..].split_inclusive([' ', ',', '\t']) {
        let code = word.trim_end_matches([' ', ',', '\t', '\n', '\r']);
        if !code.is_empty() && !is_code(code) {
            // What follows is the reason.
            break;
        }
        if !code.is_empty() {
            codes.push((code, at..at + code.len()));
        }
        at += word.len();
    }
    codes
}

/// What stands among the opinions about compose files and is none: compose refuses the file, or what it describes cannot start.
const NO_OPINIONS: [u16; 5] = [322, 323, 324, 334, 335];

/// Opinions about compose files are the only errors with which a deployment can work.
fn may_fall_silent(problem: &Problem) -> bool {
    let opinion = problem.code.strip_prefix("LS").and_then(|number| number.parse().ok());
    !problem.is_error()
        || opinion.is_some_and(|number: u16| (320..350).contains(&number) && !NO_OPINIONS.contains(&number))
}

/// Sorts problems by what is wished. `looked`: whether a code was looked for at all; what was not cannot be missing.
pub(crate) fn judge(problems: Vec<Problem>, silences: &[Silence], looked: &dyn Fn(&str) -> bool) -> Judged {
    let mut judged = Judged::default();
    let mut used = vec![false; silences.len()];
    let mut vain = vec![false; silences.len()];
    for problem in problems {
        let about: Vec<usize> = (0..silences.len()).filter(|index| silences[*index].is_about(&problem)).collect();
        let silent = may_fall_silent(&problem);
        for index in &about {
            used[*index] = true;
            vain[*index] |= !silent;
        }
        match about.first() {
            Some(first) if silent => judged.silenced.push(Silenced { problem, by: silences[*first].said }),
            Some(_) | None => judged.problems.push(problem),
        }
    }
    for (index, silence) in silences.iter().enumerate() {
        if vain[index] {
            judged.problems.push(impossible(silence));
        } else if !used[index] && silence.said != Said::Flag && looked(&silence.code) {
            judged.problems.push(idle(silence));
        }
    }
    judged
}

fn impossible(silence: &Silence) -> Problem {
    let code = &silence.code;
    let problem =
        Problem::warning("LS419", &silence.source, silence.span.clone(), format!("`{code}` is an error and stays one"));
    problem.with_fix(match code.as_str() {
        "LS401" | "LS413" | "LS414" => {
            "secrets are allowed by file: `--allow-secret FILE`, or `build.allow_secrets` in longshore.toml"
        }
        _ => "mend what it says, and take the silence away",
    })
}

fn idle(silence: &Silence) -> Problem {
    let message = format!("there is no `{}` here that could be allowed", silence.code);
    Problem::warning("LS418", &silence.source, silence.span.clone(), message).with_fix("take it away")
}

#[cfg(test)]
mod tests;
