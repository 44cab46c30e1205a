//! The command service of CodeDeploy, as the AWS agent 1.8.1 speaks with it: what is said, how it is signed, and what an order
//! looks like on the wire. What is done about it stands in [`crate::source::codedeploy`].

pub mod access;
pub mod backoff;
pub mod client;
pub mod command;
pub mod endpoint;
pub mod envelope;
mod service_error;
mod signature;
pub mod specification;
