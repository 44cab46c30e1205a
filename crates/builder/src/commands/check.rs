//! `longshore check`.

use longshore_core::failure::Failure;
use longshore_core::figures::plural;
use longshore_core::problem::Problem;
use serde_json::{Value, json};

use crate::cli::{CheckArgs, IdentityArgs};
use crate::compose::images::{ServiceImage, images};
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::identity::Identity;
use crate::shellcheck::Shellcheck;
use crate::silence::Silenced;
use crate::survey::{Lenience, Strictness, Survey};

/// Checks a source folder.
pub(crate) fn run(args: &CheckArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let lenience =
        Lenience { allow: &args.lints.allow, secrets: &args.allow_secret, no_shellcheck: args.lints.no_shellcheck };
    let survey =
        Survey::of(&args.source, &args.list, lenience, environment)?.accept(Strictness::of_flag(args.strict))?;
    screen.problems(&survey.problems);
    tell(&survey, screen);
    let (identity, mut warnings) = of_commit(&survey, environment);
    warnings.extend(without_shellcheck(&survey));
    for warning in &warnings {
        screen.tell(&Event::Warned(warning.clone()));
    }
    let problems: Vec<_> = survey.problems.iter().map(Problem::to_json).collect();
    let files: Vec<_> = survey.plan.files.keys().collect();
    screen.result(
        "",
        &json!({
            "appspec": survey.recipe.appspec_path,
            "bytes": survey.plan.bytes(),
            "files": files,
            "images": identity.map_or_else(Vec::new, |identity| images_to_json(&survey, &identity)),
            "notes": survey.notes,
            "problems": problems,
            "silenced": survey.silenced.iter().map(Silenced::to_json).collect::<Vec<_>>(),
            "shellcheck": survey.shellcheck.to_string(),
            "warnings": warnings,
        }),
    )
}

/// Why `build` would refuse to name the artifact. No problem of any file, and work in progress is checked too: so it fails
/// nothing, not even with `--strict`.
fn of_commit(survey: &Survey, environment: &Environment) -> (Option<Identity>, Vec<String>) {
    let settings = survey.recipe.settings.application.as_ref();
    let none = IdentityArgs { application: None, commit: None };
    let identity = match Identity::of(&none, environment, &survey.source, settings) {
        Ok(identity) => identity,
        Err(failure) => {
            return (None, vec![format!("`build` would not know whose artifact it is: {}", failure.error)]);
        }
    };
    let mut warnings = identity.chosen.warnings.clone();
    match identity.changes(&survey.source, &survey.matter()) {
        Ok(changes) if changes.is_empty() => {}
        Ok(changes) => {
            let count = plural(changes.len(), "file");
            warnings.push(format!("the work tree differs from the commit by {count}: `build` would refuse it"));
        }
        Err(failure) => warnings.push(failure.error.to_string()),
    }
    (Some(identity), warnings)
}

/// What each group would run.
fn images_to_json(survey: &Survey, identity: &Identity) -> Vec<Value> {
    let (images, _) = images(&survey.compose, &identity.chosen.commit);
    let json = |image: &ServiceImage| json!({"group": image.group, "service": image.service, "image": image.image});
    images.iter().map(json).collect()
}

/// That shellcheck is there and gave no answer.
pub(crate) fn without_shellcheck(survey: &Survey) -> Option<String> {
    match &survey.shellcheck {
        Shellcheck::Failed(why) => Some(format!("shellcheck is of no help: {why}")),
        Shellcheck::Ran | Shellcheck::NoScripts | Shellcheck::Off | Shellcheck::NotInstalled => None,
    }
}

/// Tells what a survey found.
pub(crate) fn tell(survey: &Survey, screen: &Screen) {
    for note in &survey.notes {
        screen.tell(&Event::Noted(note.clone()));
    }
    screen.tell(&checked(survey));
}

fn checked(survey: &Survey) -> Event {
    let (errors, warnings) = survey.counts();
    Event::Checked {
        appspec: survey.recipe.appspec_path.to_string(),
        files: survey.plan.files.len(),
        bytes: survey.plan.bytes(),
        errors,
        warnings,
    }
}
