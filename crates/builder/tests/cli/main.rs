//! Drives the real `longshore` in real git repositories.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod build;
mod check;
mod commit;
mod documentation;
mod group;
mod init;
mod inspect;
mod output;
mod pinning;
mod push;
mod sandbox;
