//! Deployments by the pointer of a store: the same verbs as with CodeDeploy.

use longshore_core::failure::{Exit, Failure};

use crate::cli::{DeployArgs, DeploymentsArgs, RollbackArgs, StopArgs};
use crate::display::Screen;
use crate::environment::Environment;

/// `longshore deploy`.
pub(crate) fn deploy(_args: &DeployArgs, _environment: &Environment, _screen: &Screen) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not written yet"))
}

/// `longshore deployments`.
pub(crate) fn deployments(
    _args: &DeploymentsArgs,
    _environment: &Environment,
    _screen: &Screen,
) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not written yet"))
}

/// `longshore rollback`.
pub(crate) fn rollback(_args: &RollbackArgs, _environment: &Environment, _screen: &Screen) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not written yet"))
}

/// `longshore stop`.
pub(crate) fn stop(_args: &StopArgs, _environment: &Environment, _screen: &Screen) -> Result<(), Failure> {
    Err(Failure::new(Exit::Failed, "not written yet"))
}
