//! One file per command: parse, plan, act. Commands hold no rules.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod config;
pub(crate) mod deploy;
pub(crate) mod deployments;
pub(crate) mod generate;
pub(crate) mod group;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod keygen;
pub(crate) mod point;
pub(crate) mod prune;
pub(crate) mod push;
pub(crate) mod rollback;
pub(crate) mod sign;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod verify;
