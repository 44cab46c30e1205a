//! The process's environment, read once. Everything else takes it as a value, so that CI rules are tables.

use std::collections::BTreeMap;

/// Environment variables that are UTF-8. A variable that is empty counts as not set: CI systems pass undefined
/// parameters on as empty text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
}

impl Environment {
    /// What this process was started with.
    pub(crate) fn of_process() -> Environment {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment { variables: std::env::vars_os().filter_map(utf8).collect() }
    }

    /// An environment with these variables alone.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { variables }
    }

    /// The same with one variable more, where a flag stands for it.
    pub(crate) fn with(mut self, name: &str, value: Option<&str>) -> Environment {
        self.variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
