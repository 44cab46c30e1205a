//! Whose artifact it is: joins flags, environment, settings and git into an application and a commit.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use longshore_core::bundle::BundlePath;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{ApplicationName, CommitHash, InvalidId};

use crate::cli::IdentityArgs;
use crate::commit::{self, Chosen};
use crate::environment::Environment;
use crate::git::{Change, GitError, Tracking, WorkTree};

/// The variable that names the application.
const APPLICATION_VARIABLE: &str = "LONGSHORE_APPLICATION";

/// How many changed files an error lists.
const SHOWN_CHANGES: usize = 20;

/// The application and the commit.
#[derive(Debug)]
pub(crate) struct Identity {
    /// The application.
    pub(crate) application: ApplicationName,
    /// The commit, and where it was read.
    pub(crate) chosen: Chosen,
    /// The work tree and the commit that it is at, if there is one that git can read.
    work_tree: Option<(WorkTree, CommitHash)>,
}

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
enum IdentityError {
    /// The folder's name is the last resort, and it is no name.
    #[error("the folder's name cannot be the application's name")]
    FolderName(#[source] InvalidId),
    /// The variable holds no name.
    #[error("`{APPLICATION_VARIABLE}` holds no application name")]
    Variable(#[source] InvalidId),
    /// The folder is the root of the file system.
    #[error("`{0}` has no name to take for the application")]
    NoName(PathBuf),
    /// The parents of the source folder cannot be looked at.
    #[error("cannot look for a git work tree around `{path}`")]
    Look { path: PathBuf, source: io::Error },
    /// The work tree differs from its commit.
    #[error("the work tree differs from its commit:{0}")]
    Dirty(String),
}

impl Identity {
    /// Chooses application and commit. `settings`: what `longshore.toml` says.
    pub(crate) fn of(
        args: &IdentityArgs,
        environment: &Environment,
        source: &Path,
        settings: Option<&ApplicationName>,
    ) -> Result<Identity, Failure> {
        let around = WorkTree::around(source).map_err(|error| {
            Failure::new(Exit::Failed, IdentityError::Look { path: source.to_owned(), source: error })
        })?;
        let application = application(args, environment, settings, around.as_ref().map_or(source, |tree| &tree.top))?;
        let (work_tree, cannot) = match around {
            None => (None, None),
            Some(tree) => match tree.head() {
                Ok(head) => (Some((tree, head)), None),
                Err(error) => (None, Some(error)),
            },
        };
        let head = work_tree.as_ref().map(|(_, head)| head);
        let chosen = match (commit::choose(args.commit.as_deref(), environment, head), cannot) {
            (Ok(mut chosen), Some(error)) => {
                chosen.warnings.push(format!("not checked whether the work tree differs from the commit: {error}"));
                chosen
            }
            (Err(commit::CommitError::Unknown { .. }), Some(error)) => return Err(git_failure(error)),
            (chosen, _) => chosen?,
        };
        Ok(Identity { application, chosen, work_tree })
    }

    /// The application alone, for commands that are about no commit of this folder.
    pub(crate) fn application_of(
        environment: &Environment,
        source: &Path,
        settings: Option<&ApplicationName>,
    ) -> Result<ApplicationName, Failure> {
        let args = IdentityArgs { application: None, commit: None };
        // Without git the folder's own name has to do.
        let top = WorkTree::around(source).ok().flatten().map(|tree| tree.top);
        application(&args, environment, settings, top.as_deref().unwrap_or(source))
    }

    /// The application that a variable names, if one does.
    pub(crate) fn application_of_variable(environment: &Environment) -> Result<Option<ApplicationName>, Failure> {
        let named = environment.get(APPLICATION_VARIABLE).map(str::parse).transpose();
        named.map_err(|invalid| Failure::new(Exit::Usage, IdentityError::Variable(invalid)))
    }

    /// The time stamp of the bundle.
    pub(crate) fn time(&self, environment: &Environment) -> Result<i64, Failure> {
        let of_commit = match &self.work_tree {
            Some((tree, _)) => tree.time_of(&self.chosen.commit).map_err(git_failure)?,
            None => None,
        };
        Ok(commit::time(environment, of_commit)?)
    }

    /// The remote `origin` of the work tree; it may hold a password.
    pub(crate) fn origin(&self) -> Option<String> {
        self.work_tree.as_ref().and_then(|(tree, _)| tree.origin())
    }

    /// Whether the work tree is still at the commit that it was at.
    pub(crate) fn is_at_head(&self) -> Result<bool, Failure> {
        match &self.work_tree {
            Some((tree, head)) => Ok(tree.head().map_err(git_failure)? == *head),
            None => Ok(true),
        }
    }

    /// The files by which the work tree differs from its commit. Of files that git does not know, only those that are
    /// packed, or decide what is, make a difference.
    pub(crate) fn changes(&self, source: &Path, matter: &BTreeSet<BundlePath>) -> Result<Vec<String>, Failure> {
        let Some((tree, _)) = &self.work_tree else { return Ok(Vec::new()) };
        let prefix = source.strip_prefix(&tree.top).unwrap_or(Path::new(""));
        let changes = tree.changes().map_err(git_failure)?;
        Ok(changes.into_iter().filter(|change| makes_dirty(change, prefix, matter)).map(|change| change.path).collect())
    }
}

/// The refusal of a work tree that differs from its commit.
pub(crate) fn dirty(changes: &[String]) -> Failure {
    let mut list: String = changes.iter().take(SHOWN_CHANGES).map(|path| format!("\n    {path}")).collect();
    if changes.len() > SHOWN_CHANGES {
        list.push_str(&format!("\n    and {} more", changes.len() - SHOWN_CHANGES));
    }
    Failure::new(Exit::Failed, IdentityError::Dirty(list))
        .hint("commit the changes, or `git stash --include-untracked`")
        .hint("`--allow-dirty` packs them as `<application>-<commit>-dirty-<digest>.zip`, which never takes the commit's place")
}

fn makes_dirty(change: &Change, prefix: &Path, matter: &BTreeSet<BundlePath>) -> bool {
    match change.tracking {
        Tracking::Tracked => true,
        Tracking::Untracked => {
            let Ok(below) = Path::new(&change.path).strip_prefix(prefix) else { return false };
            // A repository within this one is listed as a folder, with a slash at its end.
            below
                .to_str()
                .and_then(|below| BundlePath::normalized(below).ok())
                .is_some_and(|path| matter.contains(&path) || matter.iter().any(|other| other.below(&path).is_some()))
        }
    }
}

fn application(
    args: &IdentityArgs,
    environment: &Environment,
    settings: Option<&ApplicationName>,
    folder: &Path,
) -> Result<ApplicationName, Failure> {
    if let Some(name) = &args.application {
        return Ok(name.clone());
    }
    if let Some(text) = environment.get(APPLICATION_VARIABLE) {
        return text.parse().map_err(|invalid| Failure::new(Exit::Usage, IdentityError::Variable(invalid)));
    }
    if let Some(name) = settings {
        return Ok(name.clone());
    }
    let hint = "name it with `--application`, or write `application = \"…\"` into longshore.toml";
    let Some(name) = folder.file_name() else {
        return Err(Failure::new(Exit::Usage, IdentityError::NoName(folder.to_owned())).hint(hint));
    };
    let named = name.to_string_lossy().parse();
    named.map_err(|invalid| Failure::new(Exit::Usage, IdentityError::FolderName(invalid)).hint(hint))
}

fn git_failure(error: GitError) -> Failure {
    let (exit, hint) = match &error {
        GitError::Run(_) => (Exit::Failed, "install git, or name the commit with `--commit`"),
        GitError::NoCommit(_) => {
            (Exit::NotFound, "an artifact is named by its commit: `git add . && git commit -m 'First version'`")
        }
        GitError::Failed { .. } | GitError::Answer { .. } => (Exit::Failed, "name the commit with `--commit`"),
    };
    Failure::new(exit, error).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_does_not_know_matters_only_when_it_is_packed() {
        let matter: BTreeSet<BundlePath> = ["app/x", "vendor/lib/y"].iter().map(|path| path.parse().unwrap()).collect();
        let dirty = |path: &str, tracking, prefix: &str| {
            makes_dirty(&Change { path: path.into(), tracking }, Path::new(prefix), &matter)
        };
        for (path, tracking, prefix, expected) in [
            ("README.md", Tracking::Tracked, "", true),
            ("other/README.md", Tracking::Tracked, "service", true),
            ("app/x", Tracking::Untracked, "", true),
            ("app/z", Tracking::Untracked, "", false),
            ("vendor/lib/", Tracking::Untracked, "", true),
            ("service/app/x", Tracking::Untracked, "service", true),
            ("app/x", Tracking::Untracked, "service", false),
        ] {
            assert_eq!(dirty(path, tracking, prefix), expected, "{path} {tracking:?} below {prefix:?}");
        }
    }
}
