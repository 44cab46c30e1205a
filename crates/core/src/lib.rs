//! The words and formats that Longshore's programs share.
//!
//! | module | holds |
//! |---|---|
//! | [`lifecycle`] | the lifecycle events, their order, whose scripts they run |
//! | [`ids`] | names and ids that come from outside, parsed so that they are safe as path parts |
//! | [`digest`] | SHA-256 as a type, and a reader that hashes what passes through it |
//! | [`yaml`] | YAML with places kept: the only file that names the YAML crate |
//! | [`problem`] | something wrong in a file that a person wrote, and how it is shown |
//! | [`appspec`] | the parsed appspec |
//! | [`bundle`] | the artifact: manifest, packing, opening |
//! | [`growing`] | a file that is read while it is written |
//! | [`store`] | where artifacts live: S3 or a folder |
//! | [`proxy`], [`authorities`] | which proxy a connection takes, and whom it trusts beside the host's authorities |
//! | [`signature`] | who signed an archive: the files of minisign |
//! | [`report`] | how events reach a person, a program or a file |
//! | [`figures`] | counts, sizes, times and shell words, written the same way everywhere |
//! | [`failure`] | exit codes, and how an error is printed |
//! | [`chance`] | randomness for pauses and names |
//! | [`fsx`] | the few file operations that must survive a crash |
//!
//! Nothing here knows the builder or the agent.

pub mod appspec;
pub mod artifact;
pub mod authorities;
pub mod bundle;
pub mod chance;
pub mod digest;
pub mod failure;
pub mod figures;
pub mod fsx;
pub mod growing;
pub mod host_status;
pub mod ids;
pub mod lifecycle;
pub mod pointer;
pub mod problem;
pub mod proxy;
pub mod report;
pub mod signature;
pub mod store;
pub mod yaml;
