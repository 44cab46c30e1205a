//! What a deployment group should run, as an object in a store: `groups/<application>/<group>.json`. Whoever publishes moves
//! it by compare-and-swap; agents follow it. Before it moves, what stood there is kept as
//! `history/<application>/<group>/<generation>.json`, byte for byte, so that each generation but the present one is found there.
//! Values only.

use serde::{Deserialize, Serialize};

use crate::digest::Sha256;
use crate::ids::{ApplicationName, CommitHash, DeploymentId, GroupName};
use crate::lifecycle::LifecycleEvent;

/// The version of the format.
pub const FORMAT: u32 = 1;

/// What a group should run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pointer {
    /// The version of the format. A reader refuses one that it does not know.
    pub format: u32,
    /// The application.
    pub application: ApplicationName,
    /// The group.
    pub group: GroupName,
    /// Counts every move of the pointer, from 1. An agent never follows one that is lower than what it has seen.
    pub generation: u64,
    /// The id of the deployment that every host of the group makes of it.
    pub deployment: DeploymentId,
    /// The artifact.
    pub revision: PointedRevision,
    /// Its commit.
    pub commit: CommitHash,
    /// Whether it was built from a work tree that differs from the commit.
    #[serde(default)]
    pub dirty: bool,
    /// The commit's time, seconds since 1970: which of two is newer.
    pub commit_time: i64,
    /// Whether it was moved to an older commit on purpose (`--allow-older`).
    #[serde(default)]
    pub older: bool,
    /// When it was moved, RFC 3339.
    pub at: String,
    /// Who moved it, `user@host` or what the CI system says of its job.
    pub by: String,
    /// Events whose scripts hosts leave out. An agent that does not know the field ignores it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the old release; without it those of the installed one. An agent that does not know the field ignores
    /// it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_from: Option<StopFrom>,
    /// The deployment that is to be stopped. The pointer's own: hosts that have not begun it do not, and the others begin no
    /// further event of it. An earlier one: hosts that are at it begin no further event of it before they turn to the
    /// pointer's own. An agent that does not know the field ignores it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop: Option<DeploymentId>,
}

/// Whose scripts run for the events that take the old release out of service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StopFrom {
    /// Those of the revision that is installed.
    Installed,
    /// Those of the revision that the pointer names.
    New,
}

/// The artifact that a pointer names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PointedRevision {
    /// Its key, relative to the prefix of the store that holds the pointer.
    pub key: String,
    /// Its ETag, without quotes.
    pub etag: String,
    /// Its version, where the bucket keeps versions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// Bytes.
    pub size: u64,
    /// The content digest of the bundle, which agents demand.
    pub content_digest: Sha256,
}

/// Why an object is no pointer.
#[derive(Debug, thiserror::Error)]
pub enum PointerError {
    /// It is no JSON, or lacks a field.
    #[error("`{key}` cannot be read as a pointer")]
    Parse {
        /// The object.
        key: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A later program wrote it.
    #[error("`{key}` has format {found}; this program knows format {FORMAT}")]
    Format {
        /// The object.
        key: String,
        /// The format it names.
        found: u64,
    },
    /// It was copied from another place.
    #[error("`{key}` is the pointer of group `{group}` of `{application}`")]
    Other {
        /// The object.
        key: String,
        /// The application it names.
        application: ApplicationName,
        /// The group it names.
        group: GroupName,
    },
    /// A text or number in it means something else where it is used: the store may be written by others.
    #[error("`{key}` cannot be followed: its `{field}` is none")]
    Field {
        /// The object.
        key: String,
        /// The field.
        field: &'static str,
    },
}

/// The last generation: every one has its place in the history.
const LAST: u64 = 9_999_999_999;

/// The highest generation that is believed of a host. Hosts may not move a pointer, and one that lies must not lead it to
/// [`LAST`], from where it could not move any more.
pub const LAST_OF_HOSTS: u64 = LAST / 2;

/// The part of an object that every version of its format has.
#[derive(Deserialize)]
pub(crate) struct Versioned {
    format: u64,
}

impl Versioned {
    /// The version of the format.
    pub(crate) fn format(contents: &[u8]) -> Result<u64, serde_json::Error> {
        serde_json::from_slice(contents).map(|versioned: Versioned| versioned.format)
    }
}

impl Pointer {
    /// Whether its own deployment is to be stopped.
    pub fn is_stopped(&self) -> bool {
        self.stop.as_ref() == Some(&self.deployment)
    }

    /// Reads the pointer of a group.
    pub fn parse(contents: &[u8], application: &ApplicationName, group: &GroupName) -> Result<Pointer, PointerError> {
        let key = || key(application, group);
        let unreadable = |source| PointerError::Parse { key: key(), source };
        let found = Versioned::format(contents).map_err(unreadable)?;
        if found != u64::from(FORMAT) {
            return Err(PointerError::Format { key: key(), found });
        }
        let pointer: Pointer = serde_json::from_slice(contents).map_err(unreadable)?;
        if (&pointer.application, &pointer.group) != (application, group) {
            let Pointer { application, group, .. } = pointer;
            return Err(PointerError::Other { key: key(), application, group });
        }
        match pointer.wrong_field() {
            Some(field) => Err(PointerError::Field { key: key(), field }),
            None => Ok(pointer),
        }
    }

    /// The first field that would lead out of the store, or that is no part of a URL.
    fn wrong_field(&self) -> Option<&'static str> {
        let PointedRevision { key, etag, version, .. } = &self.revision;
        let is_word = |text: &str| !text.is_empty() && !text.contains(|c: char| c.is_control() || "?&\"".contains(c));
        let is_key = is_word(key) && key.split('/').all(|part| !matches!(part, "" | "." | ".."));
        let fields = [
            ("generation", (1..=LAST).contains(&self.generation)),
            ("revision.key", is_key),
            ("revision.etag", is_word(etag)),
            ("revision.version", version.as_deref().is_none_or(is_word)),
        ];
        fields.into_iter().find_map(|(field, is_right)| (!is_right).then_some(field))
    }

    /// The object.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = serde_json::to_vec_pretty(self).expect("text keys and a Vec as the sink cannot fail");
        json.push(b'\n');
        json
    }
}

/// Where the pointers of all groups stand, ending in `/`.
pub const ROOT: &str = "groups/";

/// The key of a group's pointer.
pub fn key(application: &ApplicationName, group: &GroupName) -> String {
    format!("{ROOT}{application}/{group}.json")
}

/// The folder of what a group's pointer was before, ending in `/`.
pub fn history(application: &ApplicationName, group: &GroupName) -> String {
    format!("history/{application}/{group}/")
}

/// The key of what a group's pointer was in a generation. Sorted by key is sorted by generation.
pub fn history_key(application: &ApplicationName, group: &GroupName, generation: u64) -> String {
    format!("{}{generation:010}.json", history(application, group))
}

/// The generation after one that may be anybody's claim.
pub fn generation_after(generation: u64) -> u64 {
    generation.saturating_add(1).min(LAST)
}

/// The generation that a key of the history is about.
pub fn history_generation(key: &str) -> Option<u64> {
    let generation = key.rsplit('/').next()?.strip_suffix(".json")?.parse().ok()?;
    (generation <= LAST).then_some(generation)
}

#[cfg(test)]
mod tests {
    use super::*;

    const POINTER: &str = r#"{
  "format": 1,
  "application": "shop",
  "group": "dev",
  "generation": 7,
  "deployment": "d-ABCDEFGHI",
  "revision": {
    "key": "shop/0123456789abcdef0123456789abcdef01234567.zip",
    "etag": "abc",
    "size": 12,
    "content_digest": "0000000000000000000000000000000000000000000000000000000000000000"
  },
  "commit": "0123456789abcdef0123456789abcdef01234567",
  "dirty": false,
  "commit_time": 1767323046,
  "older": false,
  "at": "2026-01-02T03:04:06Z",
  "by": "somebody@example"
}
"#;

    fn parse(text: &str) -> Result<Pointer, PointerError> {
        Pointer::parse(text.as_bytes(), &"shop".parse().unwrap(), &"dev".parse().unwrap())
    }

    #[test]
    fn a_pointer_survives_its_written_form() {
        let pointer = parse(POINTER).unwrap();
        assert_eq!((pointer.generation, pointer.commit_time), (7, 1_767_323_046));
        assert_eq!(String::from_utf8(pointer.to_json()).unwrap(), POINTER);
        let more = r#""somebody@example",
  "skip": [
    "ApplicationStop"
  ],
  "stop_from": "new",
  "stop": "d-ABCDEFGHI""#;
        let text = POINTER.replace("\"somebody@example\"", more);
        let pointer = parse(&text).unwrap();
        assert_eq!(
            (&pointer.skip[..], pointer.stop_from),
            (&[LifecycleEvent::ApplicationStop][..], Some(StopFrom::New))
        );
        assert!(pointer.is_stopped());
        assert_eq!(String::from_utf8(pointer.to_json()).unwrap(), text);
    }

    #[test]
    fn what_is_no_pointer_of_the_group_is_named() {
        for (text, error) in [
            (
                POINTER.replace("\"format\": 1", "\"format\": 2"),
                "`groups/shop/dev.json` has format 2; this program knows format 1",
            ),
            ("{}".to_owned(), "`groups/shop/dev.json` cannot be read as a pointer"),
            (POINTER.replace("generation", "x"), "`groups/shop/dev.json` cannot be read as a pointer"),
            (POINTER.replace("\"dev\"", "\"stg\""), "`groups/shop/dev.json` is the pointer of group `stg` of `shop`"),
        ] {
            assert_eq!(parse(&text).unwrap_err().to_string(), error, "{text}");
        }
    }

    #[test]
    fn a_pointer_leads_to_an_object_of_its_own_store_and_nowhere_else() {
        let key = "shop/0123456789abcdef0123456789abcdef01234567.zip";
        for (text, by, field) in [
            (key, "/etc/shadow", "revision.key"),
            (key, "../other/bundle.zip", "revision.key"),
            (key, "shop/./a.zip", "revision.key"),
            (key, "shop//a.zip", "revision.key"),
            (key, "shop/a.zip?versionId=1", "revision.key"),
            (key, "shop/a.zip\\u001b[2J", "revision.key"),
            ("\"abc\"", "\"\"", "revision.etag"),
            ("\"abc\"", "\"abc&versionId=1\"", "revision.etag"),
            ("\"size\": 12", "\"size\": 12, \"version\": \"\"", "revision.version"),
            ("\"generation\": 7", "\"generation\": 0", "generation"),
            ("\"generation\": 7", "\"generation\": 18446744073709551615", "generation"),
        ] {
            assert!(POINTER.contains(text), "{text}");
            let error = parse(&POINTER.replace(text, by)).unwrap_err().to_string();
            assert_eq!(error, format!("`groups/shop/dev.json` cannot be followed: its `{field}` is none"), "{by}");
        }
        parse(&POINTER.replace("\"generation\": 7", "\"generation\": 9999999999")).unwrap();
    }

    #[test]
    fn a_generation_has_its_place_in_the_history() {
        let key = history_key(&"shop".parse().unwrap(), &"dev".parse().unwrap(), 7);
        assert_eq!(key, "history/shop/dev/0000000007.json");
        assert_eq!(history_generation(&key), Some(7));
        for other in ["note.txt", "18446744073709551615.json"] {
            assert_eq!(history_generation(&format!("history/shop/dev/{other}")), None, "{other}");
        }
    }
}
