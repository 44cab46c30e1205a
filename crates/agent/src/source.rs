//! Where the daemon's orders come from, and where their outcomes go.

pub mod codedeploy;
pub mod store;
