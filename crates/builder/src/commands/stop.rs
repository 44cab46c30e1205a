//! `longshore stop`.

use longshore_core::failure::Failure;

use crate::cli::{SourceArgs, StopArgs};
use crate::codedeploy;
use crate::display::Screen;
use crate::environment::Environment;
use crate::settings::With;
use crate::stored;
use crate::target::Target;

/// Runs the command with whoever deploys to the group.
pub(crate) fn run(args: &StopArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let target = Target::of(&args.target, args.application.as_ref(), &SourceArgs::here(), environment)?;
    match target.with {
        With::Codedeploy => codedeploy::stop(args, &target, environment, screen),
        With::Store => stored::stop(args, &target, environment, screen),
    }
}
