//! One file per command: parse, plan, act. Commands hold no rules.

pub(crate) mod build;
pub(crate) mod check;
pub(crate) mod generate;
pub(crate) mod group;
pub(crate) mod init;
pub(crate) mod inspect;
pub(crate) mod point;
pub(crate) mod push;
pub(crate) mod status;
