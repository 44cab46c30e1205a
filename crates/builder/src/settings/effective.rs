//! Pure: what holds for every key, and who says so.

use longshore_core::ids::GroupName;
use serde_json::{Value, json};

use super::key::{KEYS, Key, Shape, Slot, Usual};
use super::{Origin, SETTINGS_FILE, Settings};

/// The variable that holds the text of a secret key, instead of a file of `sign.key`.
pub(super) const SECRET_KEY: &str = "LONGSHORE_SIGN_KEY";
/// The variable of `sign.kms_key`.
pub(super) const KMS_KEY: &str = "LONGSHORE_SIGN_KMS_KEY";

/// One key and what holds for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Held {
    /// The key, with the name of the group.
    pub(crate) key: String,
    /// The value; null when there is none.
    pub(crate) value: Value,
    /// Who says so.
    pub(crate) says: Says,
    /// The variable that could.
    pub(crate) variable: Option<&'static str>,
    /// The flag that could.
    pub(crate) flag: Option<&'static str>,
}

/// Who says what holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Says {
    /// An option of the command line.
    Flag(&'static str),
    /// A variable.
    Variable(String),
    /// A line of the file.
    Line(usize),
    /// Nobody; in words what that means, or nothing.
    Nobody(&'static str),
    /// Something beside the settings: git, the name of a folder.
    Found(String),
}

impl Held {
    /// The value for people; a list with commas.
    pub(crate) fn text(&self) -> String {
        match (&self.value, &self.says) {
            (Value::Null, Says::Nobody("") | Says::Found(_)) => "-".to_owned(),
            (Value::Null, Says::Nobody(words)) => format!("({words})"),
            (value, _) => plain(value),
        }
    }

    /// Who says so, for people.
    pub(crate) fn origin(&self) -> String {
        match &self.says {
            Says::Flag(flag) => (*flag).to_owned(),
            Says::Variable(name) => format!("${name}"),
            Says::Line(line) => format!("{SETTINGS_FILE}:{line}"),
            Says::Nobody(_) => "default".to_owned(),
            Says::Found(where_) => where_.clone(),
        }
    }

    /// For programs.
    pub(crate) fn json(&self) -> Value {
        let origin = match &self.says {
            Says::Flag(flag) => json!({"kind": "flag", "flag": flag}),
            Says::Variable(name) => json!({"kind": "variable", "variable": name}),
            Says::Line(line) => json!({"kind": "file", "file": SETTINGS_FILE, "line": line}),
            Says::Nobody("") => json!({"kind": "default"}),
            Says::Nobody(words) => json!({"kind": "default", "means": words}),
            Says::Found(where_) => json!({"kind": "found", "in": where_}),
        };
        json!({"key": self.key, "value": self.value, "from": origin, "variable": self.variable, "flag": self.flag})
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "(none)".to_owned(),
        Value::Object(pairs) if pairs.is_empty() => "(none)".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(pairs) => {
            pairs.iter().map(|(name, value)| format!("{name}={}", plain(value))).collect::<Vec<_>>().join(", ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => value.to_string(),
    }
}

impl Settings {
    /// What holds at the top. `has_secret`: whether a secret key stands in the environment.
    pub(crate) fn held(&self, has_secret: bool) -> Vec<Held> {
        let keys = KEYS.iter().filter(|key| matches!(key.slot, Slot::Top(_)));
        let held = keys.map(|key| match key.name {
            "sign.key" if has_secret => Held {
                key: key.name.to_owned(),
                value: "(secret, not shown)".into(),
                says: Says::Variable(SECRET_KEY.to_owned()),
                variable: Some(SECRET_KEY),
                flag: key.flag,
            },
            name => self.of_key(key, name.to_owned(), &[name.to_owned()]),
        });
        held.collect()
    }

    /// What holds for a group.
    pub(crate) fn held_for(&self, group: &GroupName) -> Vec<Held> {
        let keys = KEYS.iter().filter(|key| matches!(key.slot, Slot::Group(_)));
        let held = keys.map(|key| {
            let own = key.name.replacen('*', group.as_str(), 1);
            let at_top = key.name.trim_start_matches("groups.*.").to_owned();
            self.of_key(key, own.clone(), &[key.name.to_owned(), own, at_top])
        });
        held.collect()
    }

    /// The first of these names that somebody said something of, else what is usual.
    fn of_key(&self, key: &Key, shown: String, names: &[String]) -> Held {
        let said = names.iter().find_map(|name| Some((self.origins.get(name)?, self.written.get(name)?)));
        let (value, says) = match (said, key.default) {
            (Some((Origin::Line(line), value)), _) => (value.clone(), Says::Line(*line)),
            (Some((Origin::Variable(name), value)), _) => (value.clone(), Says::Variable(name.clone())),
            (Some((Origin::Set, value)), _) => (value.clone(), Says::Flag("--set")),
            (None, Usual::Nothing) => (Value::Null, Says::Nobody("")),
            (None, Usual::Words(words)) => (Value::Null, Says::Nobody(words)),
            (None, Usual::Value(text)) => {
                let value = match key.shape {
                    Shape::Flag | Shape::Count(..) => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
                    Shape::Text | Shape::List | Shape::Pairs => text.into(),
                };
                (value, Says::Nobody(""))
            }
        };
        Held { key: shown, value, says, variable: key.variable, flag: key.flag }
    }
}
