//! What usually is the matter: how it shows, what it is, what to change and what to type. A table, in which everything that
//! a person reads about a cause stands beside what it is recognised by.
//!
//! From the special to the general: a line speaks for the first rule that knows it. Each rule has a section of its name in
//! `docs/guide/troubleshoot.md`.

mod agent;
mod container;
mod host;
mod network;
mod program;
pub mod rule;
#[cfg(test)]
mod tests;

use rule::Rule;

/// All rules, the most special first.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    [agent::RULES, container::RULES, network::RULES, program::RULES, host::RULES].into_iter().flatten()
}
