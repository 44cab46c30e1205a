//! Pure: what can never work on a host, and what will surprise there. Hook scripts (LS2xx) and the bundle's files (LS4xx).

pub(crate) mod event;
pub(crate) mod files;
pub(crate) mod hook;
mod invocation;
pub(crate) mod script;
pub(crate) mod secret;
pub(crate) mod shell;
pub(crate) mod token;
pub(crate) mod value;

#[cfg(test)]
mod tests;
