//! The process's environment, read once. Everything else takes it as a value, so that CI rules are tables.

use std::collections::BTreeMap;

/// Environment variables that are UTF-8. A variable that is empty counts as not set: CI systems pass undefined
/// parameters on as empty text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// What `--set` says, which goes before them.
    set: Vec<String>,
}

impl Environment {
    /// What this process was started with.
    pub(crate) fn of_process() -> Environment {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment { variables: std::env::vars_os().filter_map(utf8).collect(), set: Vec::new() }
    }

    /// An environment with these variables alone.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { variables, set: Vec::new() }
    }

    /// The same with one variable more, where a flag stands for it.
    pub(crate) fn with(mut self, name: &str, value: Option<&str>) -> Environment {
        self.variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// The same with settings of the command line, `KEY=VALUE`.
    pub(crate) fn with_set(self, set: &[String]) -> Environment {
        Environment { set: set.to_vec(), ..self }
    }

    /// The settings of the command line.
    pub(crate) fn set(&self) -> &[String] {
        &self.set
    }

    /// The value of a variable that is set and not empty.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}
