//! One file per command. They parse, plan and act; they hold no rules of the domain.

pub mod deploy;
pub mod doctor;
pub mod explain;
pub mod history;
pub mod logs;
pub mod plan;
pub mod resume;
pub mod rollback;
pub mod status;
