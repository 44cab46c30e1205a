//! Drives the real `longshore` in real git repositories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod build;
mod buildspec;
mod check;
mod commit;
mod config;
mod group;
mod init;
mod inspect;
mod kms;
mod lints;
mod output;
mod outputs;
mod pinning;
mod prune;
mod push;
mod sandbox;
mod shellcheck;
mod signing;
mod silence;
mod stored;
