//! Names and ids that come from outside. Parsed once, at the door: a value of one of these types is safe as one part of
//! a path and as one part of an object key.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Why a text is no name or id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} `{}` {why}", .text.escape_debug())]
pub struct InvalidId {
    /// What it should have been, for example "application name".
    pub what: &'static str,
    /// The text that was given.
    pub text: String,
    /// The rule it breaks.
    pub why: String,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match $check(text) {
                    Ok(()) => Ok($name(text.to_owned())),
                    Err(why) => Err(InvalidId { what: $what, text: text.to_owned(), why }),
                }
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidId;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }
    };
}

text_id! {
    /// The name of an application: CodeDeploy's rule, 1–100 of `A-Z a-z 0-9 . _ + = , @ -`, and not `.` or `..`.
    ApplicationName, "application name", check_name
}
text_id! {
    /// The name of a deployment group, such as `dev`, `stg`, `prod`. Same rule as [`ApplicationName`].
    GroupName, "deployment group", check_name
}
text_id! {
    /// The id of a deployment group, the folder below the agent's root. The service hands out UUIDs; our own is
    /// `<application>~<group>`, so that two applications on a host never share one.
    GroupId, "deployment group id", check_group_id
}
text_id! {
    /// The id of one deployment, for example `d-4QX7R2M1K`.
    DeploymentId, "deployment id", check_path_part
}
text_id! {
    /// A whole commit hash: 40 (SHA-1) or 64 (SHA-256) lower-case hex digits.
    CommitHash, "commit", check_commit
}

impl GroupId {
    /// The id of a group of our own making. `~` stands in no name, so two pairs never give one id.
    pub fn of(application: &ApplicationName, group: &GroupName) -> GroupId {
        GroupId(format!("{application}~{group}"))
    }
}

impl DeploymentId {
    /// A fresh id in the service's form, `d-` and nine of `A-Z 0-9`, from nine random bytes.
    pub fn from_random(bytes: [u8; 9]) -> DeploymentId {
        const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
        let letters: String = bytes.iter().map(|byte| char::from(ALPHABET[usize::from(*byte) % 36])).collect();
        DeploymentId(format!("d-{letters}"))
    }
}

impl CommitHash {
    /// The first twelve digits, for people. Never a key.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

fn check_name(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > 100 {
        return Err(format!("must have 1 to 100 characters, has {}", text.len()));
    }
    if let Some(bad) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || "._+=,@-".contains(*c))) {
        return Err(format!("has the character {bad:?}; allowed are letters, digits and `. _ + = , @ -`"));
    }
    check_dots(text)
}

fn check_path_part(text: &str) -> Result<(), String> {
    if text.is_empty() || text.len() > 255 {
        return Err(format!("must have 1 to 255 characters, has {}", text.len()));
    }
    if let Some(bad) = text.chars().find(|c| !c.is_ascii_graphic() || "/\\'\"`$".contains(*c)) {
        return Err(format!("has the character {bad:?}, which has no place in a folder name"));
    }
    check_dots(text)
}

/// A group's records have names of up to 30 characters more, and the agent's own folders stand beside the groups'.
fn check_group_id(text: &str) -> Result<(), String> {
    const OURS: [&str; 5] = ["cache", "deployment-instructions", "deployment-logs", "groups", "ongoing-deployment"];
    if text.len() > 205 {
        return Err(format!("must have 1 to 205 characters, has {}", text.len()));
    }
    if OURS.contains(&text) {
        return Err("is the name of a folder of the agent itself".to_owned());
    }
    check_path_part(text)
}

fn check_dots(text: &str) -> Result<(), String> {
    // Names of hidden files are the agent's own, for what is not yet there and for what is about to go.
    if text.starts_with('.') { Err("begins with a dot".to_owned()) } else { Ok(()) }
}

fn check_commit(text: &str) -> Result<(), String> {
    let hex = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if hex && (text.len() == 40 || text.len() == 64) {
        Ok(())
    } else {
        Err("is not a whole commit hash (40 or 64 lower-case hex digits)".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_leave_their_folder_are_refused() {
        for bad in ["", ".", "..", "a/b", "a b", "a\0b", "a\nb", "ä", &"x".repeat(101)] {
            assert!(bad.parse::<ApplicationName>().is_err(), "{bad:?}");
        }
        for good in ["shop", "my.app", "a+b=c,d@e-f_g", &"x".repeat(100)] {
            assert!(good.parse::<GroupName>().is_ok(), "{good:?}");
        }
        for bad in ["groups", "deployment-instructions", &"x".repeat(206)] {
            assert!(bad.parse::<GroupId>().is_err(), "{bad:?}");
        }
        for bad in ["../../evil", "..", "a/b", "a\\b", "$(x)", "a b"] {
            assert!(bad.parse::<DeploymentId>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_text_that_is_no_name_is_quoted_on_one_line() {
        let error = "a\nerror: b".parse::<GroupName>().unwrap_err().to_string();
        assert_eq!(
            error,
            "deployment group `a\\nerror: b` has the character '\\n'; allowed are letters, digits and `. _ + = , @ -`"
        );
    }

    #[test]
    fn a_commit_is_a_whole_lower_case_hash() {
        assert!("0123456789abcdef0123456789abcdef01234567".parse::<CommitHash>().is_ok());
        for bad in ["HEAD", "0123456", "0123456789ABCDEF0123456789abcdef01234567", "pr/12"] {
            assert!(bad.parse::<CommitHash>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn two_pairs_of_names_never_share_a_group_id() {
        let id = |a: &str, g: &str| GroupId::of(&a.parse().unwrap(), &g.parse().unwrap());
        assert_ne!(id("a-b", "c"), id("a", "b-c"));
        assert_eq!(id("shop", "dev").as_str(), "shop~dev");
    }
}
