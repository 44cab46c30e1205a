//! One file per command. They parse, plan and act; they hold no rules of the domain.

pub mod deploy;
pub mod history;
pub mod plan;
pub mod status;
