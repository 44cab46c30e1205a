//! The rules of an appspec: which value is refused, which is read and will surprise, and what to write instead. Each rule
//! looks at one value and knows nothing about where it stands; [`super::parse`] walks the document and asks.
//!
//! The codes are stable: a code that is no longer used is not given out again.

mod acl;
mod context;
mod event;
mod file;
mod hook;
pub(super) mod names;
mod permission;
mod top;

pub(super) use acl::acl;
pub(super) use context::range;
pub(super) use event::{EventRule, event};
pub(super) use file::{destination, object, source};
pub(super) use hook::{location, run_as, sudo, timeout};
pub(super) use names::{did_you_mean, no_effect};
pub(super) use permission::{ObjectKind, kind, mode, owner, pattern};
pub(super) use top::{file_exists, os, version};

use crate::problem::Severity;

pub use crate::yaml::{DUPLICATE_KEY, SYNTAX, TOO_LARGE};

/// The file holds no appspec: it is empty, or not a mapping.
pub const NO_APPSPEC: &str = "LS104";
/// The appspec is for ECS or Lambda.
pub const OTHER_PLATFORM: &str = "LS105";
/// The file begins with a byte order mark, over which the AWS agent stumbles.
pub const BYTE_ORDER_MARK: &str = "LS106";
/// A second YAML document follows, which nobody reads.
pub const SECOND_DOCUMENT: &str = "LS107";
/// A list, a mapping or a text stands where another of them belongs.
pub const WRONG_KIND: &str = "LS108";
/// A single value stands where a list belongs; it is read as a list of one.
pub const LONE_VALUE: &str = "LS109";
/// A key that nothing reads.
pub const UNKNOWN_KEY: &str = "LS110";
/// A key that must be there is missing or has no value.
pub const MISSING_KEY: &str = "LS111";
/// A text without quotes, in which YAML 1.1 reads something else.
pub const NOT_TEXT: &str = "LS112";
/// There are more problems than are reported.
pub const MORE_PROBLEMS: &str = "LS113";

/// `version` is not 0.0.
pub const VERSION: &str = "LS120";
/// `os` is neither `linux` nor `windows`.
pub const OS: &str = "LS121";
/// `file_exists_behavior` is none of its three words.
pub const FILE_EXISTS: &str = "LS122";

/// A `source` that is no path inside the bundle.
pub const SOURCE: &str = "LS130";
/// A `destination` that cannot be a folder.
pub const DESTINATION: &str = "LS131";
/// A relative `destination`.
pub const RELATIVE_DESTINATION: &str = "LS132";
/// A `$NAME` that stays as it is, because nothing expands it.
pub const LITERAL_VARIABLE: &str = "LS133";
/// A `*` in a `source` or `object`, where it is an ordinary character.
pub const LITERAL_GLOB: &str = "LS134";
/// Two entries of `files` that install the same thing to the same place.
pub const REPEATED_FILES: &str = "LS135";

/// A `mode` that is not one to four octal digits.
pub const MODE: &str = "LS140";
/// A `mode` with a leading zero and no quotes, which the AWS agent reads as another number.
pub const OCTAL_MODE: &str = "LS141";
/// A `mode` with setuid or setgid.
pub const SPECIAL_MODE: &str = "LS142";
/// A `mode` of one or two digits, which gives the owner nothing.
pub const SHORT_MODE: &str = "LS143";
/// An `owner` or `group` that is no name.
pub const OWNER: &str = "LS144";
/// An `owner` or `group` given as a number, which the AWS agent does not take.
pub const NUMERIC_OWNER: &str = "LS145";
/// A `type` that is neither `file` nor `directory`.
pub const PERMISSION_TYPE: &str = "LS146";
/// An entry of `permissions` that changes nothing or matches nothing.
pub const IDLE_PERMISSION: &str = "LS147";
/// An entry of `acls` that cannot be read.
pub const ACL: &str = "LS148";
/// A `context` that cannot be read.
pub const CONTEXT: &str = "LS149";
/// The SELinux user under the key that the AWS agent does not read.
pub const CONTEXT_USER: &str = "LS150";
/// `permissions` in an appspec for Windows.
pub const WINDOWS_PERMISSIONS: &str = "LS151";

/// A hook whose name is nearly that of a lifecycle event.
pub const MISSPELT_EVENT: &str = "LS160";
/// Scripts on an event that runs none.
pub const SCRIPTLESS_EVENT: &str = "LS161";
/// An event of the user's own.
pub const CUSTOM_EVENT: &str = "LS162";
/// A hook whose name can be no event.
pub const IGNORED_EVENT: &str = "LS163";
/// A `location` that is no path inside the bundle.
pub const LOCATION: &str = "LS164";
/// A `location` that looks like a command line.
pub const LOCATION_ARGUMENTS: &str = "LS165";
/// A `timeout` that is not a number of seconds, or not for certain.
pub const TIMEOUT: &str = "LS166";
/// A `timeout` that is read, though not written as a plain number of seconds.
pub const ODD_TIMEOUT: &str = "LS167";
/// More time than CodeDeploy grants an event.
pub const LONG_TIMEOUT: &str = "LS168";
/// A `runas` that is no user.
pub const RUN_AS: &str = "LS169";
/// A `sudo` that is neither true nor false.
pub const SUDO: &str = "LS170";
/// A `sudo` written as text, in which the AWS agent reads true.
pub const TEXT_SUDO: &str = "LS171";

/// What a rule has to say about a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Remark {
    pub(super) severity: Severity,
    pub(super) code: &'static str,
    pub(super) message: String,
    pub(super) fix: Option<String>,
}

/// What a rule makes of a value. No value: it is refused, and one of the remarks is an error.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Verdict<T> {
    pub(super) value: Option<T>,
    pub(super) remarks: Vec<Remark>,
}

impl<T> Verdict<T> {
    fn accept(value: T) -> Verdict<T> {
        Verdict { value: Some(value), remarks: Vec::new() }
    }

    fn refuse(code: &'static str, message: impl Into<String>) -> Verdict<T> {
        let remark = Remark { severity: Severity::Error, code, message: message.into(), fix: None };
        Verdict { value: None, remarks: vec![remark] }
    }

    fn warn(mut self, code: &'static str, message: impl Into<String>) -> Verdict<T> {
        self.remarks.push(Remark { severity: Severity::Warning, code, message: message.into(), fix: None });
        self
    }

    /// The way out of what was remarked last.
    fn fix(mut self, fix: impl Into<String>) -> Verdict<T> {
        if let Some(remark) = self.remarks.last_mut() {
            remark.fix = Some(fix.into());
        }
        self
    }
}

#[cfg(test)]
mod tests;
