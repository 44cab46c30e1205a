//! `longshore deployments`.

use longshore_core::failure::Failure;

use crate::cli::{DeploymentsArgs, SourceArgs};
use crate::codedeploy;
use crate::display::Screen;
use crate::environment::Environment;
use crate::settings::With;
use crate::stored;
use crate::target::Target;

/// Runs the command with whoever deploys to the group.
pub(crate) fn run(args: &DeploymentsArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let target = Target::of(&args.target, args.application.as_ref(), &SourceArgs::here(), environment)?;
    match target.with {
        With::Codedeploy => codedeploy::deployments(args, &target, environment, screen),
        With::Store => stored::deployments(args, &target, environment, screen),
    }
}
