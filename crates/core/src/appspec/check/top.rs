//! `version`, `os` and `file_exists_behavior`.

use super::{FILE_EXISTS, OS, VERSION, Verdict, did_you_mean};
use crate::appspec::{FileExists, Os};
use crate::yaml::{Psych, Scalar};

/// `version`: a number equal to 0.0, as the AWS agent 1.8.1 wants it.
pub(crate) fn version(scalar: &Scalar) -> Verdict<()> {
    let zero = match scalar.psych() {
        Psych::Int(number) => number == 0,
        Psych::Float(number) => number == 0.0,
        Psych::Null | Psych::Bool(_) | Psych::Symbol | Psych::Text => false,
    };
    if zero {
        return Verdict::accept(());
    }
    let text = &scalar.text;
    let refuse = |message: String| Verdict::refuse(VERSION, message).fix("write `version: 0.0`");
    if !scalar.plain && text.trim().parse() == Ok(0.0) {
        refuse(format!("must be the number 0.0, found the text {text:?}: the quotes make it a text"))
    } else if text.strip_suffix('.').is_some_and(|rest| rest.trim().parse() == Ok(0.0)) {
        refuse(format!("must be the number 0.0, found `{text}`: the dot at its end is too much"))
    } else {
        refuse(format!("must be 0.0, the version of the file format, found `{text}`"))
    }
}

/// `os`: exactly `linux` or `windows`.
pub(crate) fn os(scalar: &Scalar) -> Verdict<Os> {
    match scalar.text.as_str() {
        "linux" => Verdict::accept(Os::Linux),
        "windows" => Verdict::accept(Os::Windows),
        text => {
            let meant = did_you_mean(text, ["linux", "windows"])
                .unwrap_or(if text.to_ascii_lowercase().starts_with("win") { "windows" } else { "linux" });
            Verdict::refuse(OS, format!("must be `linux` or `windows`, found `{text}`"))
                .fix(format!("write `os: {meant}`"))
        }
    }
}

/// `file_exists_behavior`: one of three words in capitals.
pub(crate) fn file_exists(scalar: &Scalar) -> Verdict<FileExists> {
    match scalar.text.as_str() {
        "DISALLOW" => Verdict::accept(FileExists::Disallow),
        "OVERWRITE" => Verdict::accept(FileExists::Overwrite),
        "RETAIN" => Verdict::accept(FileExists::Retain),
        text => {
            let refused =
                Verdict::refuse(FILE_EXISTS, format!("must be `DISALLOW`, `OVERWRITE` or `RETAIN`, found `{text}`"));
            match did_you_mean(text, ["DISALLOW", "OVERWRITE", "RETAIN"]) {
                Some(meant) => refused.fix(format!("write `{meant}`")),
                None => refused,
            }
        }
    }
}
