//! What later steps of a CI job learn: `$GITHUB_OUTPUT`, and a dotenv file for GitLab, for CodeBuild's exported variables, and for
//! any shell.
//!
//! A command hands in what came about, name and value, once: names in small letters with `_`, as GitHub shows them
//! (`content_digest`); in a dotenv file the same is `LONGSHORE_OUT_CONTENT_DIGEST`, which is
//! no setting of the next command. [`conclude`] is the usual end of a command; one
//! that ends with a failure of its own calls [`write()`] before.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::figures::quoted;
use serde_json::Value;

use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;

/// The variable that names the dotenv file; `--dotenv` goes before it.
pub(crate) const DOTENV_VARIABLE: &str = "LONGSHORE_DOTENV";
/// GitHub's variable that names the file for outputs.
const GITHUB_VARIABLE: &str = "GITHUB_OUTPUT";
/// The marker of GitLab, which takes nothing but plain lines.
const GITLAB_MARKER: &str = "GITLAB_CI";

/// Why outputs were not written.
#[derive(Debug, thiserror::Error)]
enum OutputsError {
    /// The file cannot be written.
    #[error("cannot write the outputs to `{path}`, which {named_by} names")]
    Write { path: PathBuf, named_by: &'static str, source: io::Error },
    /// A line of a dotenv file holds one value.
    #[error("`{name}` has a line break, which a dotenv file cannot hold: {value:?}")]
    LineBreak { name: String, value: String },
}

/// Writes the outputs and shows the result, also when they cannot be written: what was done is not lost with them.
pub(crate) fn conclude(
    outputs: &[(&str, String)],
    text: &str,
    json: Value,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    match write(environment, outputs) {
        Ok(()) => screen.result(text, &json),
        Err(failure) => screen.partial(text, json).and(Err(failure)),
    }
}

/// Writes the outputs of what must not be done again because of them: that they are missing is no more than a warning.
pub(crate) fn attempt(environment: &Environment, outputs: &[(&str, String)], screen: &Screen) {
    if let Err(unwritten) = write(environment, outputs) {
        screen.tell(&Event::Warned(chain(&*unwritten.error)));
    }
}

/// Writes outputs, name and value, to whichever files the environment names; where it names none it does nothing.
pub(crate) fn write(environment: &Environment, outputs: &[(&str, String)]) -> Result<(), Failure> {
    if let Some(path) = environment.get(GITHUB_VARIABLE) {
        let append = |path: &Path| {
            OpenOptions::new().append(true).create(true).open(path)?.write_all(github(outputs).as_bytes())
        };
        append(Path::new(path)).map_err(|source| failed(path, "GITHUB_OUTPUT", source))?;
    }
    if let Some(path) = environment.get(DOTENV_VARIABLE) {
        let failed = |source| failed(path, "`--dotenv` or LONGSHORE_DOTENV", source);
        let earlier = match fs::read_to_string(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            read => read.map_err(failed)?,
        };
        let form = if environment.get(GITLAB_MARKER).is_some() { Form::Plain } else { Form::Shell };
        let text = dotenv(&earlier, outputs, form).map_err(|error| Failure::new(Exit::Failed, error))?;
        fs::write(path, text).map_err(failed)?;
    }
    Ok(())
}

fn failed(path: &str, named_by: &'static str, source: io::Error) -> Failure {
    Failure::new(Exit::Failed, OutputsError::Write { path: path.into(), named_by, source })
        .hint("everything else was done; run the same command again when the file can be written")
}

/// How values of a dotenv file are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// As they are, to the end of the line: GitLab takes quotes for a part of the value.
    Plain,
    /// As a shell takes them: `. ./file`.
    Shell,
}

/// Lines for `$GITHUB_OUTPUT`.
fn github(outputs: &[(&str, String)]) -> String {
    let mut text = String::new();
    for (name, value) in outputs {
        if value.contains(['\n', '\r']) {
            // No line of the value may end it.
            let mut end = "LONGSHORE_END".to_owned();
            while value.lines().any(|line| line == end) {
                end.push('_');
            }
            text.push_str(&format!("{name}<<{end}\n{value}\n{end}\n"));
        } else {
            text.push_str(&format!("{name}={value}\n"));
        }
    }
    text
}

/// The new text of a dotenv file: what stood there, but for earlier values of the same names, and the outputs.
fn dotenv(earlier: &str, outputs: &[(&str, String)], form: Form) -> Result<String, OutputsError> {
    let outputs: Vec<(String, &String)> =
        outputs.iter().map(|(name, value)| (format!("LONGSHORE_OUT_{}", name.to_ascii_uppercase()), value)).collect();
    let is_ours =
        |line: &str| line.split_once('=').is_some_and(|(name, _)| outputs.iter().any(|(ours, _)| ours == name));
    let mut text: String = earlier.lines().filter(|line| !is_ours(line)).map(|line| format!("{line}\n")).collect();
    for (name, value) in &outputs {
        if value.contains(['\n', '\r', '\0']) {
            return Err(OutputsError::LineBreak { name: name.clone(), value: (*value).clone() });
        }
        let value = match form {
            Form::Plain => (*value).clone(),
            Form::Shell => quoted(value),
        };
        text.push_str(&format!("{name}={value}\n"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outputs() -> Vec<(&'static str, String)> {
        vec![("artifact", "/build/my shop's/dist/a.zip".into()), ("commit", "0123".into()), ("etag", "ab-2".into())]
    }

    #[test]
    fn a_value_of_many_lines_cannot_end_itself_or_name_another_output() {
        let value = "a=1\nLONGSHORE_END\nLONGSHORE_END_\nx<<y";
        assert_eq!(
            github(&[("deployment", "d-1".into()), ("log", value.into())]),
            format!("deployment=d-1\nlog<<LONGSHORE_END__\n{value}\nLONGSHORE_END__\n")
        );
    }

    #[test]
    fn a_dotenv_file_is_for_a_shell_or_for_gitlab() {
        for (form, artifact) in
            [(Form::Shell, r"'/build/my shop'\''s/dist/a.zip'"), (Form::Plain, "/build/my shop's/dist/a.zip")]
        {
            let expected =
                format!("LONGSHORE_OUT_ARTIFACT={artifact}\nLONGSHORE_OUT_COMMIT=0123\nLONGSHORE_OUT_ETAG=ab-2\n");
            assert_eq!(dotenv("", &outputs(), form).unwrap(), expected, "{form:?}");
        }
    }

    #[test]
    fn what_others_wrote_stays_and_an_earlier_value_goes() {
        let earlier = "OTHER=1\nLONGSHORE_OUT_COMMIT=old\nLONGSHORE_OUT_URL=s3://a/b";
        let text = dotenv(earlier, &[("commit", "new".into())], Form::Plain).unwrap();
        assert_eq!(text, "OTHER=1\nLONGSHORE_OUT_URL=s3://a/b\nLONGSHORE_OUT_COMMIT=new\n");
    }

    #[test]
    fn a_line_break_is_refused_before_it_becomes_another_variable() {
        let error = dotenv("", &[("artifact", "a\nPATH=/tmp".into())], Form::Shell).unwrap_err();
        let text = "`LONGSHORE_OUT_ARTIFACT` has a line break, which a dotenv file cannot hold: \"a\\nPATH=/tmp\"";
        assert_eq!(error.to_string(), text);
    }
}
