//! `mode`, `owner`, `group`, `type` and patterns.

use super::{
    IDLE_PERMISSION, MODE, NUMERIC_OWNER, OCTAL_MODE, OWNER, PERMISSION_TYPE, SHORT_MODE, SPECIAL_MODE, Verdict,
    did_you_mean,
};
use crate::appspec::Pattern;
use crate::yaml::{Psych, Scalar};

/// Which kind of object an entry of `type` means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ObjectKind {
    /// `file`.
    File,
    /// `directory`.
    Directory,
}

/// `mode`: one to four octal digits, taken as they are written.
pub(crate) fn mode(scalar: &Scalar) -> Verdict<u32> {
    let text = scalar.text.as_str();
    let refuse = |why: &str| Verdict::refuse(MODE, format!("must be one to four octal digits, found `{text}`{why}"));
    if let Some(digits) = text.strip_prefix("0o") {
        return refuse("").fix(format!("write \"0{digits}\""));
    }
    if text.is_empty() || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        let symbolic = text.contains(['r', 'w', 'x', '+', '=']);
        return refuse("").fix(if symbolic {
            "write the mode as digits: 4 is read, 2 write, 1 execute, for example \"0644\""
        } else {
            "write it with quotes and the digits 0 to 7, for example \"0644\""
        });
    }
    if text.len() > 4 {
        let short = text.trim_start_matches('0');
        let refused = refuse("");
        return if short.len() <= 4 { refused.fix(format!("write \"{short:0>4}\"")) } else { refused };
    }
    let Ok(value) = u32::from_str_radix(text, 8) else { return refuse("") };
    let mut verdict = Verdict::accept(value);
    if let Psych::Int(read) = scalar.psych()
        && read.to_string() != text
    {
        let other = read.to_string();
        let aws = if other.len() <= 4 && other.bytes().all(|b| b < b'8') {
            format!("the AWS agent sets the mode {other}")
        } else {
            format!("the AWS agent reads {other} and refuses it")
        };
        verdict = verdict
            .warn(OCTAL_MODE, format!("is read as {text}, but without quotes {aws}"))
            .fix(format!("write \"{text}\""));
    }
    if text.len() < 3 {
        verdict = verdict
            .warn(SHORT_MODE, format!("`{text}` means {text:0>3}, which gives the owner nothing"))
            .fix("write all digits, for example \"0700\"");
    }
    if value & 0o6000 != 0 {
        let bits = match value & 0o6000 {
            0o4000 => "setuid",
            0o2000 => "setgid",
            _ => "setuid and setgid",
        };
        verdict = verdict.warn(
            SPECIAL_MODE,
            format!("sets {bits}: who runs the file gets its owner's rights; the AWS agent loses the bit when it also sets an owner"),
        );
    }
    verdict
}

/// `owner` and `group`: a name, or a number, which the AWS agent does not take. Empty is absent.
pub(crate) fn owner(scalar: &Scalar) -> Verdict<Option<String>> {
    let text = scalar.text.trim();
    match scalar.psych() {
        Psych::Null => return Verdict::accept(None),
        Psych::Bool(_) => {
            return Verdict::refuse(OWNER, format!("must be a name, found `{text}`"))
                .fix("name the user or group, or remove the line");
        }
        Psych::Int(_) | Psych::Float(_) | Psych::Symbol | Psych::Text => {}
    }
    if text.is_empty() {
        return Verdict::accept(None);
    }
    if text.contains(['\0', ':', '/']) {
        return Verdict::refuse(OWNER, format!("`{text}` cannot be the name of a user or group"))
            .fix("write owner and group under their own keys");
    }
    let accepted = Verdict::accept(Some(text.to_owned()));
    if text.bytes().all(|b| b.is_ascii_digit()) {
        accepted
            .warn(NUMERIC_OWNER, format!("`{text}` is read as a number; the AWS agent takes names only"))
            .fix("write the name")
    } else {
        accepted
    }
}

/// One entry of `type`.
pub(crate) fn kind(text: &str) -> Verdict<ObjectKind> {
    match text {
        "file" => Verdict::accept(ObjectKind::File),
        "directory" => Verdict::accept(ObjectKind::Directory),
        other => {
            let folder = matches!(other.to_ascii_lowercase().as_str(), "dir" | "dirs" | "directories" | "folder");
            let meant = if folder { Some("directory") } else { did_you_mean(other, ["file", "directory"]) };
            let refused = Verdict::refuse(PERMISSION_TYPE, format!("must be `file` or `directory`, found `{other}`"));
            match meant {
                Some(meant) => refused.fix(format!("write `{meant}`")),
                None => refused,
            }
        }
    }
}

/// A `pattern` or an item of `except`: `**`, or a name in which only `*` is special.
pub(crate) fn pattern(text: &str) -> Verdict<Pattern> {
    let accepted = Verdict::accept(Pattern(text.to_owned()));
    if text == "**" {
        return accepted;
    }
    if text.is_empty() {
        return accepted
            .warn(IDLE_PERMISSION, "is empty, and no name is")
            .fix("write \"**\" for everything below the object");
    }
    if text.contains('/') {
        return accepted
            .warn(
                IDLE_PERMISSION,
                format!("`{text}` matches nothing: a pattern is compared with one name, which has no `/`"),
            )
            .fix("name the deeper folder as the object of an entry of its own");
    }
    if text.contains("**") {
        return accepted
            .warn(
                IDLE_PERMISSION,
                format!(
                    "`{text}` means no more than `{}`: only `**` alone reaches deeper folders",
                    text.replace("**", "*")
                ),
            )
            .fix("write \"**\" alone, or name the deeper folder as the object of an entry of its own");
    }
    if text.contains(['?', '[', '{']) {
        return accepted
            .warn(IDLE_PERMISSION, format!("in `{text}` only `*` is special; every other character stands for itself"))
            .fix("use `*`");
    }
    accepted
}
