//! `longshore-agent`: fetches a bundle and walks its lifecycle events on one host.

pub mod hook;
pub mod install;
