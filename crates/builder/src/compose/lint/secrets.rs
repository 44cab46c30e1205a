//! Pure: secrets that would travel with the bundle: in `environment`, and in env files that are packed. No value is ever shown.

use longshore_core::bundle::BundlePath;
use longshore_core::problem::Problem;

use super::super::env_file;
use super::super::interpolate::Known;
use super::super::model::Service;
use super::super::references::{Leads, leads};
use super::super::tree::Tree;
use super::super::{Brought, Read};
use super::at;
use crate::lint::value::secret;

const FIX: &str = "take it from the host: `${NAME:?}`, or an `env_file` by its full path there; and change the secret, it is in the history";

/// Secrets in `environment`.
pub(super) fn lint(service: &Service) -> Vec<Problem> {
    let mut problems = Vec::new();
    let environment = service.tree.get("environment").map(Tree::entries).unwrap_or_default();
    for entry in environment {
        let Some(text) = entry.value.as_text() else { continue };
        // What comes from a variable is not in the file.
        if text.varies {
            continue;
        }
        if let Some(what) = secret(&entry.key, &text.text) {
            let message = format!(
                "the value of `{}` looks like {what}, and everyone who can read the artifact could read it",
                entry.key
            );
            let problem =
                entry.place.warning("LS326", message).at_path(at(service, &format!("environment.{}", entry.key)));
            problems.push(problem.with_fix(FIX));
        }
    }
    problems
}

/// Secrets in the `env_file`s that are packed.
pub(super) fn lint_env_files(service: &Service, brought: &Brought, read: &Read<'_>) -> Vec<Problem> {
    let mut problems = Vec::new();
    for item in service.tree.get("env_file").map(Tree::items).unwrap_or_default() {
        let Some(path) = item.text().or_else(|| item.get("path")?.text()) else { continue };
        let folder = item.place.source.name.parse().ok().and_then(|file: BundlePath| file.parent());
        let Leads::Below(file) = leads(folder.as_ref(), path) else { continue };
        // What is refused as a whole, or allowed by name, is said there.
        let open = brought.packed.contains(&file) && !brought.secrets.contains(&file);
        let Some(source) = open.then(|| read(&file)).flatten() else { continue };
        let (entries, _) = env_file::read(&source, &|_| Known::Unset);
        let secret = |(name, entry): (&String, &env_file::Entry)| {
            let what = if entry.varies { None } else { secret(name, &entry.value) }?;
            Some((name.clone(), what))
        };
        if let Some((name, what)) = entries.iter().find_map(secret) {
            let message = format!(
                "`{file}` is packed, and its `{name}` looks like {what}: everyone who can read the artifact could read it"
            );
            problems.push(item.place.warning("LS331", message).at_path(at(service, "env_file")).with_fix(
                "keep the file out with `.longshoreignore` and name it by its full path on the host: `env_file: /etc/…`",
            ));
        }
    }
    problems
}
