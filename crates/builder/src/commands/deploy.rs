//! `longshore deploy`.

use longshore_core::failure::Failure;

use crate::cli::DeployArgs;
use crate::codedeploy;
use crate::display::Screen;
use crate::environment::Environment;
use crate::settings::With;
use crate::stored;

/// Runs the command with whoever deploys to the group.
pub(crate) fn run(args: &DeployArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    match With::Codedeploy {
        With::Codedeploy => codedeploy::deploy(args, environment, screen),
        With::Store => stored::deploy(args, environment, screen),
    }
}
