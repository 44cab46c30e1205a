//! Paths and variables in JSON without losing a byte: a string when it is UTF-8, else a list of bytes.
//!
//! Each module is for `#[serde(with = "…")]` on one shape of field.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Text {
    Utf8(String),
    Bytes(Vec<u8>),
}

impl From<&OsStr> for Text {
    fn from(text: &OsStr) -> Text {
        match text.to_str() {
            Some(text) => Text::Utf8(text.to_owned()),
            None => Text::Bytes(text.as_bytes().to_vec()),
        }
    }
}

impl From<&Path> for Text {
    fn from(path: &Path) -> Text {
        path.as_os_str().into()
    }
}

impl From<Text> for OsString {
    fn from(text: Text) -> OsString {
        match text {
            Text::Utf8(text) => text.into(),
            Text::Bytes(bytes) => OsString::from_vec(bytes),
        }
    }
}

impl From<Text> for PathBuf {
    fn from(text: Text) -> PathBuf {
        OsString::from(text).into()
    }
}

/// A `PathBuf`.
pub(crate) mod path {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(path: &Path, serializer: S) -> Result<S::Ok, S::Error> {
        Text::from(path).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PathBuf, D::Error> {
        Text::deserialize(deserializer).map(PathBuf::from)
    }
}

/// An `Option<PathBuf>`; `null` where there is none.
pub(crate) mod optional_path {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
        path.as_deref().map(Text::from).serialize(serializer)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<PathBuf>, D::Error> {
        Ok(Option::<Text>::deserialize(deserializer)?.map(PathBuf::from))
    }
}

/// A `Vec<PathBuf>`.
pub(crate) mod paths {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(paths: &[PathBuf], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(paths.iter().map(|path| Text::from(&**path)))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<PathBuf>, D::Error> {
        Ok(Vec::<Text>::deserialize(deserializer)?.into_iter().map(PathBuf::from).collect())
    }
}

/// A `Vec<(PathBuf, T)>`: a list of pairs.
pub(crate) mod by_path {
    use super::*;

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        pairs: &[(PathBuf, T)],
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(pairs.iter().map(|(path, value)| (Text::from(&**path), value)))
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Vec<(PathBuf, T)>, D::Error> {
        let pairs = Vec::<(Text, T)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(path, value)| (path.into(), value)).collect())
    }
}

/// A list of pairs, because the name of a member of a JSON object must be a string.
pub(crate) mod variables {
    use std::collections::BTreeMap;

    use super::*;

    pub(crate) fn serialize<S: Serializer>(
        env: &BTreeMap<OsString, OsString>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(env.iter().map(|(name, value)| (Text::from(&**name), Text::from(&**value))))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<OsString, OsString>, D::Error> {
        let pairs = Vec::<(Text, Text)>::deserialize(deserializer)?;
        Ok(pairs.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Fields {
        #[serde(with = "path")]
        path: PathBuf,
        #[serde(with = "optional_path")]
        optional: Option<PathBuf>,
        #[serde(with = "paths")]
        paths: Vec<PathBuf>,
        #[serde(with = "by_path")]
        by_path: Vec<(PathBuf, u32)>,
    }

    #[test]
    fn a_path_is_a_string_or_a_list_of_bytes_and_reads_back_as_it_was() {
        let plain = || PathBuf::from("/é");
        let bytes = || PathBuf::from(OsStr::from_bytes(b"/\xe9"));
        for (fields, json) in [
            (
                Fields { path: plain(), optional: Some(plain()), paths: vec![plain()], by_path: vec![(plain(), 7)] },
                r#"{"path":"/é","optional":"/é","paths":["/é"],"by_path":[["/é",7]]}"#,
            ),
            (
                Fields { path: bytes(), optional: Some(bytes()), paths: vec![bytes()], by_path: vec![(bytes(), 7)] },
                r#"{"path":[47,233],"optional":[47,233],"paths":[[47,233]],"by_path":[[[47,233],7]]}"#,
            ),
            (
                Fields { path: plain(), optional: None, paths: vec![plain(), bytes()], by_path: vec![] },
                r#"{"path":"/é","optional":null,"paths":["/é",[47,233]],"by_path":[]}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&fields).unwrap(), json);
            assert_eq!(serde_json::from_str::<Fields>(json).unwrap(), fields);
        }
    }
}
