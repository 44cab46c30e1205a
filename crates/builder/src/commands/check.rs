//! `longshore check`.

use longshore_core::failure::Failure;
use longshore_core::problem::Problem;
use serde_json::json;

use crate::cli::CheckArgs;
use crate::display::Screen;
use crate::event::Event;
use crate::survey::{Strictness, Survey};

/// Checks a source folder.
pub(crate) fn run(args: &CheckArgs, screen: &Screen) -> Result<(), Failure> {
    let survey = Survey::of(&args.source)?.accept(Strictness::of_flag(args.strict))?;
    screen.problems(&survey.problems);
    screen.tell(&checked(&survey));
    let problems: Vec<_> = survey.problems.iter().map(Problem::to_json).collect();
    let files: Vec<_> = survey.plan.files.keys().collect();
    screen.result(
        "",
        &json!({
            "appspec": survey.recipe.appspec_path,
            "bytes": survey.plan.bytes(),
            "files": files,
            "problems": problems,
        }),
    )
}

/// What a survey found, as an event.
pub(crate) fn checked(survey: &Survey) -> Event {
    let (errors, warnings) = survey.counts();
    Event::Checked {
        appspec: survey.recipe.appspec_path.to_string(),
        files: survey.plan.files.len(),
        bytes: survey.plan.bytes(),
        errors,
        warnings,
    }
}
