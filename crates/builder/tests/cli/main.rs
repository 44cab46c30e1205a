//! Drives the real `longshore` in real git repositories.

mod build;
mod check;
mod commit;
mod init;
mod inspect;
mod push;
mod sandbox;
