//! `longshore deployments`.

use longshore_core::failure::Failure;

use crate::cli::DeploymentsArgs;
use crate::codedeploy;
use crate::display::Screen;
use crate::environment::Environment;
use crate::settings::With;
use crate::stored;
use crate::target::{self, Target};

/// Runs the command with whoever deploys to the group.
pub(crate) fn run(args: &DeploymentsArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let target = Target::of(&args.target, args.application.as_ref(), &target::here(), environment)?;
    match target.with {
        With::Codedeploy => codedeploy::deployments(args, &target, environment, screen),
        With::Store => stored::deployments(args, &target, environment, screen),
    }
}
