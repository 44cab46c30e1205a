//! YAML → [`AppSpec`], with YAML 1.1 scalars read as the AWS agent reads them.

use std::sync::Arc;

use super::AppSpec;
use crate::problem::{Problem, SourceFile};

/// What came out of a file.
#[derive(Debug)]
pub struct Parsed {
    /// The appspec; `None` exactly when one of the problems is an error.
    pub appspec: Option<AppSpec>,
    /// Everything that is wrong, in the order of the file.
    pub problems: Vec<Problem>,
}

/// Reads an appspec and reports every problem at once.
pub fn parse(source: &Arc<SourceFile>) -> Parsed {
    let _ = source;
    Parsed { appspec: None, problems: Vec::new() }
}
