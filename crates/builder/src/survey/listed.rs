//! Who says which files go in, and where the appspec stands: the source folder, or the list of a buildspec.

use std::path::Path;
use std::sync::Arc;

use longshore_core::appspec;
use longshore_core::bundle::BundlePath;
use longshore_core::failure::{Exit, Failure};
use longshore_core::problem::{Problem, SourceFile};

use super::{SurveyError, find_appspec, read_listing, read_text, refusal, shadowed};
use crate::buildspec::{self, Artifacts, Selected};
use crate::cli::{FileListArgs, SourceArgs};
use crate::listing::Listing;
use crate::settings::Settings;

/// What is known before the appspec is read.
pub(super) struct Sources {
    pub(super) appspec_path: BundlePath,
    pub(super) appspec_source: Arc<SourceFile>,
    /// Without it, the appspec says what goes in.
    pub(super) listed: Option<Listed>,
}

/// What a buildspec takes.
pub(super) struct Listed {
    pub(super) listing: Listing,
    pub(super) files: Selected,
    pub(super) artifacts: Artifacts,
}

impl Sources {
    pub(super) fn of_appspec(
        args: &SourceArgs,
        source: &Path,
        problems: &mut Vec<Problem>,
    ) -> Result<Sources, Failure> {
        let (appspec_path, appspec_source) = find_appspec(source, args.appspec.as_deref())?;
        problems.extend(shadowed(source, &appspec_path));
        Ok(Sources { appspec_path, appspec_source, listed: None })
    }

    pub(super) fn of_buildspec(
        args: &SourceArgs,
        source: &Path,
        out: &Path,
        settings: &Settings,
        Buildspec { text, secondary }: &Buildspec,
        problems: &mut Vec<Problem>,
    ) -> Result<Sources, Failure> {
        let (artifacts, wrong) = buildspec::parse(text, secondary.as_deref());
        problems.extend(wrong);
        let refused = |problems: &mut Vec<Problem>| {
            let problems = std::mem::take(problems);
            Err(refusal(&problems, &text.name).with_problems(problems))
        };
        let Some(artifacts) = artifacts else { return refused(problems) };
        let listing = read_listing(source, out, settings, &|_| true)?;
        problems.extend(listing.problems.iter().cloned());
        let (files, wrong) = artifacts.select(&listing);
        problems.extend(wrong);
        let (appspec_path, appspec_source) = match &args.appspec {
            Some(asked) => find_appspec(source, Some(asked))?,
            None => {
                let listed = appspec::NAMES.iter().find_map(|name| files.get(&name.parse::<BundlePath>().ok()?));
                let Some(from) = listed.map(|planned| planned.from.clone()) else {
                    problems.push(no_appspec(&artifacts, &files));
                    return refused(problems);
                };
                find_appspec(source, Some(from.as_str()))?
            }
        };
        Ok(Sources { appspec_path, appspec_source, listed: Some(Listed { listing, files, artifacts }) })
    }
}

/// CodeDeploy looks for the appspec at the top of a bundle and nowhere else.
fn no_appspec(artifacts: &Artifacts, files: &Selected) -> Problem {
    let [name, _] = appspec::NAMES;
    let message = format!("`{name}` is not among the files, and hosts look for it at the top of the bundle");
    let problem = Problem::error(buildspec::NO_APPSPEC, &artifacts.source, Some(artifacts.span.clone()), message);
    let deeper = files.keys().find(|path| appspec::NAMES.contains(&path.file_name()));
    problem.with_fix(match deeper {
        Some(deeper) => format!("it would stand there as `{deeper}`; `base-directory` takes folders away"),
        None => format!("add `{name}` to the list, or name one with `--appspec`"),
    })
}

/// A buildspec that lists the files.
pub(super) struct Buildspec {
    pub(super) text: Arc<SourceFile>,
    /// The secondary artifact that is meant.
    secondary: Option<String>,
}

/// The buildspec that lists the files, if one does.
pub(super) fn buildspec(source: &Path, args: &FileListArgs, settings: &Settings) -> Result<Option<Buildspec>, Failure> {
    let path = match &args.from_buildspec {
        Some(asked) => {
            let path = BundlePath::normalized(asked).ok().filter(|_| !asked.starts_with('/'));
            Some(path.ok_or_else(|| Failure::new(Exit::Usage, SurveyError::BuildspecPath))?)
        }
        None => settings.buildspec.clone(),
    };
    let Some(path) = path else {
        return match args.secondary_artifact {
            None => Ok(None),
            Some(_) => Err(Failure::new(Exit::Usage, SurveyError::NoList).hint("add `--from-buildspec`")),
        };
    };
    let Some(text) = read_text(source, path.as_str())? else {
        let missing = SurveyError::NoBuildspec { path: path.to_string(), folder: source.to_owned() };
        return Err(Failure::new(Exit::NotFound, missing)
            .hint("paths start at the source folder; `--from-buildspec FILE` names another one"));
    };
    Ok(Some(Buildspec { text, secondary: args.secondary_artifact.clone() }))
}
