//! `longshore rollback`.

use longshore_core::failure::Failure;

use crate::cli::RollbackArgs;
use crate::codedeploy;
use crate::display::Screen;
use crate::environment::Environment;
use crate::settings::With;
use crate::stored;

/// Runs the command with whoever deploys to the group.
pub(crate) fn run(args: &RollbackArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    match With::Codedeploy {
        With::Codedeploy => codedeploy::rollback(args, environment, screen),
        With::Store => stored::rollback(args, environment, screen),
    }
}
