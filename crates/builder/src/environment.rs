//! The process's environment, read once. Everything else takes it as a value, so that CI rules are tables.

use std::collections::BTreeMap;

/// Environment variables that are UTF-8. A variable that is empty counts as not set: CI systems pass undefined
/// parameters on as empty text.
#[derive(Debug, Clone, Default)]
pub(crate) struct Environment {
    variables: BTreeMap<String, String>,
    /// The options that stand for some of them.
    options: BTreeMap<&'static str, &'static str>,
    /// What `--set` says, which goes before them.
    set: Vec<String>,
}

impl Environment {
    /// What this process was started with.
    pub(crate) fn of_process() -> Environment {
        let utf8 = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Environment { variables: std::env::vars_os().filter_map(utf8).collect(), ..Environment::default() }
    }

    /// An environment with these variables alone.
    #[cfg(test)]
    pub(crate) fn of(variables: &[(&str, &str)]) -> Environment {
        let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Environment { variables, ..Environment::default() }
    }

    /// The same with one variable more, where an option of the command line stands for it.
    pub(crate) fn with(mut self, name: &'static str, option: &'static str, value: Option<&str>) -> Environment {
        self.options.extend(value.map(|_| (name, option)));
        self.variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        self
    }

    /// The option that stands for a variable.
    pub(crate) fn option(&self, name: &str) -> Option<&'static str> {
        self.options.get(name).copied()
    }

    /// The same without a variable.
    pub(crate) fn without(mut self, name: &str) -> Environment {
        self.variables.remove(name);
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
