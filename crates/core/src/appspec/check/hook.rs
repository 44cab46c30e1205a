//! `location`, `timeout`, `runas` and `sudo`.

use std::time::Duration;

use super::file::slashes;
use super::{
    LITERAL_VARIABLE, LOCATION, LOCATION_ARGUMENTS, LONG_TIMEOUT, MISSING_KEY, ODD_TIMEOUT, RUN_AS, SUDO, TEXT_SUDO,
    TIMEOUT, Verdict,
};
use crate::appspec::{DEFAULT_TIMEOUT, Os};
use crate::bundle::BundlePath;
use crate::yaml::{Psych, Scalar, read_plain};

/// `location`: one file of the bundle, no command line. A file name may have spaces.
pub(crate) fn location(text: &str, os: Os) -> Verdict<BundlePath> {
    if text.is_empty() {
        return Verdict::refuse(MISSING_KEY, "is empty").fix("name a script of the bundle");
    }
    let path = match BundlePath::normalized(&slashes(text, os)) {
        Ok(path) => path,
        Err(invalid) => {
            return Verdict::refuse(LOCATION, format!("`{text}` {}", invalid.why))
                .fix("name a script of the bundle; a leading `/` stands for the top of the bundle");
        }
    };
    let accepted = Verdict::accept(path);
    if text.contains(char::is_whitespace) {
        return accepted
            .warn(LOCATION_ARGUMENTS, format!("`{text}` is taken as one file name: a hook has no arguments"))
            .fix("name the script alone; if it needs arguments, let it call another script with them");
    }
    if text.contains('$') {
        return accepted
            .warn(LITERAL_VARIABLE, format!("nothing expands variables here: `{text}` is taken as it stands"))
            .fix("name the script; what differs between groups, let the script ask `$DEPLOYMENT_GROUP_NAME`");
    }
    accepted
}

/// `timeout`: whole seconds, at least 1. Written so that only one number can be meant: where YAML 1.1 reads another
/// than a person does, it is refused.
pub(crate) fn timeout(scalar: &Scalar) -> Verdict<Duration> {
    let text = scalar.text.trim();
    let refuse = |message: String| Verdict::refuse(TIMEOUT, message);
    let psych = scalar.psych();
    match psych {
        Psych::Null => return Verdict::accept(DEFAULT_TIMEOUT),
        Psych::Bool(false) => {
            return Verdict::accept(DEFAULT_TIMEOUT)
                .warn(
                    ODD_TIMEOUT,
                    format!("`{text}` is no way to run without a limit: it means the default, 3600 seconds"),
                )
                .fix("remove the line, or write the seconds");
        }
        Psych::Bool(true) => return refuse(format!("must be a number of seconds, found `{text}`")),
        Psych::Int(_) | Psych::Float(_) | Psych::Symbol | Psych::Text => {}
    }
    let decimal = whole(text);
    match (psych, decimal) {
        (Psych::Int(read), Some(written)) if read != written => refuse(format!(
            "`{text}` is {read} seconds for YAML, because of its leading zero, and {written} for people"
        ))
        .fix(format!("write {written} if that is meant")),
        (_, Some(written)) => {
            let accepted = seconds(written);
            if scalar.plain && text.trim_start_matches('+') != written.to_string() && written >= 1 {
                accepted.warn(ODD_TIMEOUT, format!("`{text}` is read as {written}")).fix(format!("write {written}"))
            } else {
                accepted
            }
        }
        (Psych::Int(read), None) if text.contains(':') => {
            refuse(format!("`{text}` is {read} seconds for YAML, which reads it in base 60")).fix(clock_fix(text))
        }
        (Psych::Int(read), None) if text.starts_with('-') => {
            refuse(format!("must be at least 1, found {read}")).fix("write the seconds, or remove the line for 3600")
        }
        (Psych::Int(read), None) => {
            let accepted = seconds(read);
            if accepted.value.is_none() {
                return accepted;
            }
            accepted.warn(ODD_TIMEOUT, format!("`{text}` is read as {read}")).fix(format!("write {read}"))
        }
        (Psych::Float(read), None) if read.is_finite() && read.abs() < 1e15 => {
            let cut = read.trunc() as i128;
            let accepted = seconds(cut);
            if cut < 1 {
                return accepted;
            }
            accepted
                .warn(ODD_TIMEOUT, format!("`{text}` is read as {cut}: seconds have no fraction here"))
                .fix(format!("write {cut}"))
        }
        _ => with_unit(text),
    }
}

/// Digits with an optional `+` in front; for `_` between them, too.
fn whole(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('+').unwrap_or(text);
    let plain =
        digits.bytes().all(|b| b.is_ascii_digit() || b == b'_') && digits.starts_with(|c: char| c.is_ascii_digit());
    if !plain { None } else { digits.replace('_', "").parse().ok() }
}

fn seconds(number: i128) -> Verdict<Duration> {
    if number < 1 {
        return Verdict::refuse(TIMEOUT, format!("must be at least 1, found {number}"))
            .fix("write the seconds, or remove the line for 3600");
    }
    let accepted = match u32::try_from(number) {
        Ok(number) => Verdict::accept(Duration::from_secs(u64::from(number))),
        Err(_) => return Verdict::refuse(TIMEOUT, format!("{number} seconds are longer than a century")),
    };
    if number > 3600 {
        accepted
            .warn(LONG_TIMEOUT, format!("CodeDeploy ends a lifecycle event after 3600 seconds, found {number}"))
            .fix(
                "split the work over several events, or let it go on in the background and check it in ValidateService",
            )
    } else {
        accepted
    }
}

/// `300s` is read, as the AWS agent does; other units are refused, because the agent would take minutes for seconds.
fn with_unit(text: &str) -> Verdict<Duration> {
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, unit) = (text[..digits].parse::<i128>().ok(), text[digits..].trim().to_ascii_lowercase());
    let refuse = |message: String| Verdict::refuse(TIMEOUT, message);
    let factor = match unit.as_str() {
        "s" | "sec" | "secs" | "second" | "seconds" => 1,
        "m" | "min" | "mins" | "minute" | "minutes" => 60,
        "h" | "hr" | "hour" | "hours" => 3600,
        _ => 0,
    };
    match (number, factor) {
        (Some(number), 1) => {
            let accepted = seconds(number);
            if accepted.value.is_none() {
                return accepted;
            }
            accepted
                .warn(ODD_TIMEOUT, format!("`{text}` is read as {number}: a timeout has no unit, it is in seconds"))
                .fix(format!("write {number}"))
        }
        (Some(number), 60 | 3600) => refuse(format!(
            "`{text}` has a unit, and the AWS agent takes it for {number} seconds"
        ))
        .fix(match number.checked_mul(factor) {
            Some(seconds) => format!("write {seconds}"),
            None => "write the seconds".to_owned(),
        }),
        _ => refuse(format!("must be a number of seconds, found `{text}`")).fix("write the seconds, for example 300"),
    }
}

/// What `m:ss` and `h:mm:ss` mean on a clock.
fn clock_fix(text: &str) -> String {
    let parts: Option<Vec<u64>> = text.split(':').map(|part| part.parse().ok()).collect();
    match parts.as_deref() {
        Some([minutes, seconds]) => match minutes.checked_mul(60) {
            Some(sum) => format!("write {} if minutes and seconds are meant", sum.saturating_add(*seconds)),
            None => "write the seconds".to_owned(),
        },
        Some([hours, minutes, seconds]) => match (hours.checked_mul(3600), minutes.checked_mul(60)) {
            (Some(hours), Some(minutes)) => {
                format!("write {}", hours.saturating_add(minutes).saturating_add(*seconds))
            }
            _ => "write the seconds".to_owned(),
        },
        _ => "write the seconds".to_owned(),
    }
}

/// `runas`: a user by name or number. Empty is absent.
pub(crate) fn run_as(scalar: &Scalar) -> Verdict<Option<String>> {
    let text = scalar.text.trim();
    match scalar.psych() {
        Psych::Null => Verdict::accept(None),
        Psych::Bool(value) => Verdict::refuse(
            RUN_AS,
            format!("must be a user, found `{text}`, in which the AWS agent sees a user named `{value}`"),
        )
        .fix("name the user, or remove the line to run as the user of the agent"),
        Psych::Int(_) | Psych::Float(_) | Psych::Symbol | Psych::Text if text.is_empty() => Verdict::accept(None),
        Psych::Int(_) | Psych::Float(_) | Psych::Symbol | Psych::Text if text.contains('\0') => {
            Verdict::refuse(RUN_AS, "has a NUL character")
        }
        Psych::Int(_) | Psych::Float(_) | Psych::Symbol | Psych::Text => Verdict::accept(Some(text.to_owned())),
    }
}

/// `sudo`: a boolean. A text that says a boolean is read as what it says, which is not what the AWS agent does.
pub(crate) fn sudo(scalar: &Scalar) -> Verdict<bool> {
    match scalar.psych() {
        Psych::Null => Verdict::accept(false),
        Psych::Bool(value) => Verdict::accept(value),
        Psych::Int(_) | Psych::Float(_) | Psych::Symbol | Psych::Text => {
            let text = scalar.text.trim();
            let says = match (read_plain(text), text) {
                (Psych::Bool(value), _) => Some(value),
                (_, "" | "n" | "N") => Some(false),
                (_, "y" | "Y") => Some(true),
                _ => None,
            };
            match says {
                Some(true) => Verdict::accept(true),
                Some(false) => Verdict::accept(false)
                    .warn(
                        TEXT_SUDO,
                        format!("the text {text:?} is read as false; the AWS agent takes any text for true"),
                    )
                    .fix("write `sudo: false`, or remove the line"),
                None => Verdict::refuse(SUDO, format!("must be `true` or `false`, found `{text}`"))
                    .fix("to run as another user, write `runas`"),
            }
        }
    }
}
