//! Builds and pushes the images of the groups, by compose (`build --push-images`). Compose decides how; which services, in which
//! order and with which files is decided here.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;
use std::{fs, io};

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::{CommitHash, GroupName};
use tempfile::TempDir;

use crate::compose::builds::GroupBuilds;
use crate::event::Event;
use crate::program::{Lines, Program, ProgramError, Stopping};

/// The variable with which compose files name the commit.
const COMMIT_VARIABLE: &str = "COMMIT_HASH";
/// How long compose may take to say whether it is there.
const HELLO: Duration = Duration::from_secs(30);

/// One image on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Step<'a> {
    builds: &'a GroupBuilds,
    service: &'a str,
    image: &'a str,
}

/// Why images are not pushed.
#[derive(Debug, thiserror::Error)]
enum PushImagesError {
    /// There is no compose.
    #[error("neither `docker compose` nor `docker-compose` is installed")]
    NoCompose,
    /// Compose could not be run to its end.
    #[error("cannot {verb} the image of service `{service}` of group `{group}`")]
    Run { verb: &'static str, service: String, group: GroupName, source: ProgramError },
    /// Compose failed.
    #[error("cannot {verb} the image of service `{service}` of group `{group}`: `{command}` ended with {status}")]
    Failed { verb: &'static str, service: String, group: GroupName, command: String, status: ExitStatus },
    /// The env files cannot be joined.
    #[error("cannot read the env files of group `{group}`")]
    EnvFiles { group: GroupName, source: io::Error },
    /// The name cannot be written down for compose.
    #[error("cannot tell compose the names of the images of group `{group}`")]
    Name { group: GroupName, source: io::Error },
    /// No group has anything to build.
    #[error("no service of any group has both `build` and `image`, so there is no image to push")]
    Nothing,
    /// The images would be named by a commit that they are not made of.
    #[error("the images of a work tree that differs from its commit are not pushed: their tags name the commit")]
    Dirty,
}

/// The refusal of a work tree that differs from its commit.
pub(crate) fn dirty() -> Failure {
    Failure::new(Exit::Failed, PushImagesError::Dirty).hint("commit the changes, or leave `--push-images` out")
}

/// Builds and pushes every image once, with `COMMIT_HASH` set. No other thread of this program may run meanwhile.
pub(crate) fn push(
    groups: &[GroupBuilds],
    commit: &CommitHash,
    source: &Path,
    tell: &dyn Fn(&Event),
) -> Result<(), Failure> {
    let steps = steps(groups);
    if steps.is_empty() {
        let failure = Failure::new(Exit::NotFound, PushImagesError::Nothing);
        return Err(
            failure.hint("give the service an `image` with a tag of `${COMMIT_HASH}`, or leave `--push-images` out")
        );
    }
    let compose = Compose::find()?;
    for verb in ["build", "push"] {
        for step in &steps {
            let (service, image) = (step.service.to_owned(), step.image.to_owned());
            tell(&match verb {
                "build" => Event::BuildingImage { service, image },
                _ => Event::PushingImage { service, image },
            });
            compose.run(verb, step, commit, source, tell)?;
        }
    }
    Ok(())
}

/// Each image once: the groups of an application mostly run the same ones.
fn steps(groups: &[GroupBuilds]) -> Vec<Step<'_>> {
    let mut seen = BTreeSet::new();
    let all = groups.iter().flat_map(|builds| {
        builds.services.iter().map(move |(service, image)| Step { builds, service, image: image.as_str() })
    });
    all.filter(|step| seen.insert(step.image)).collect()
}

/// The compose that is installed.
struct Compose {
    words: &'static [&'static str],
}

impl Compose {
    /// The plugin, else `docker-compose`, as the sample hooks choose.
    fn find() -> Result<Compose, Failure> {
        for words in [["docker", "compose"].as_slice(), &["docker-compose"]] {
            let mut command = Command::new(words[0]);
            command.args(&words[1..]).arg("version");
            let program = Program { command, input: Vec::new(), limit: Some(HELLO), stopping: Stopping::Ours };
            match program.run(&mut |_, _| {}) {
                Ok(status) if status.success() => return Ok(Compose { words }),
                Err(error @ ProgramError::Interrupted { .. }) => return Err(Failure::new(Exit::Failed, error)),
                Ok(_) | Err(_) => {}
            }
        }
        let failure = Failure::new(Exit::NotFound, PushImagesError::NoCompose);
        Err(failure
            .hint("install docker-compose-plugin (Docker), docker-compose-v2 (Ubuntu) or docker-compose (Debian)"))
    }

    fn run(
        &self,
        verb: &'static str,
        step: &Step<'_>,
        commit: &CommitHash,
        source: &Path,
        tell: &dyn Fn(&Event),
    ) -> Result<(), Failure> {
        let (service, group) = (step.service.to_owned(), step.builds.group.clone());
        let env_file = EnvFile::of(step.builds, source).map_err(|error| {
            Failure::new(Exit::Failed, PushImagesError::EnvFiles { group: group.clone(), source: error })
        })?;
        let named = Named::of(step).map_err(|error| {
            Failure::new(Exit::Failed, PushImagesError::Name { group: group.clone(), source: error })
        })?;
        let env_path = env_file.as_ref().map(EnvFile::path);
        let words = |named| words(self.words, step, env_path, named, verb);
        let (told, words) = (words(None), words(Some(named.path.as_path())));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).current_dir(source).env(COMMIT_VARIABLE, commit.as_str());
        // Lines, as anywhere else that is no terminal.
        command.env("BUILDKIT_PROGRESS", "plain");
        let program = Program { command, input: Vec::new(), limit: None, stopping: Stopping::Ours };
        let mut lines = [Lines::default(), Lines::default()];
        let say = |line: String| tell(&Event::ServiceSaid { service: step.service.to_owned(), line });
        let ended = program.run(&mut |stream, piece| lines[stream as usize].more(piece).into_iter().for_each(say));
        lines.iter_mut().filter_map(Lines::rest).for_each(say);
        let status = ended.map_err(|source| {
            Failure::new(
                Exit::Failed,
                PushImagesError::Run { verb, service: service.clone(), group: group.clone(), source },
            )
        })?;
        if status.success() {
            return Ok(());
        }
        let command = told.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ");
        let failed = Failure::new(Exit::Failed, PushImagesError::Failed { verb, service, group, command, status });
        Err(match verb {
            "push" => failed.hint(format!(
                "what it said stands above; if the registry refused, log in first: {}",
                crate::images::login_command_of(step.image)
            )),
            _ => failed.hint(format!(
                "what it said stands above; `docker version` says whether Docker runs; try it alone with {COMMIT_VARIABLE}={commit}"
            )),
        })
    }
}

/// The command line for one step.
fn words(compose: &[&str], step: &Step<'_>, env_file: Option<&Path>, named: Option<&Path>, verb: &str) -> Vec<String> {
    let mut words: Vec<String> = compose.iter().map(|word| (*word).to_owned()).collect();
    let mut option = |name: &str, value: String| words.extend([name.to_owned(), value]);
    for file in &step.builds.files {
        option("--file", file.to_string());
    }
    if let Some(path) = named {
        option("--file", path.display().to_string());
    }
    if let Some(path) = env_file {
        option("--env-file", path.display().to_string());
    }
    for profile in &step.builds.profiles {
        option("--profile", profile.clone());
    }
    words.extend([verb.to_owned(), step.service.to_owned()]);
    words
}

/// A compose file on top of the others that gives the image the name that was announced and may be pinned. Compose sees the whole
/// environment of this program, and a variable of CI would give it another.
struct Named {
    _folder: TempDir,
    path: PathBuf,
}

impl Named {
    fn of(step: &Step<'_>) -> io::Result<Named> {
        let folder = tempfile::Builder::new().prefix("longshore-image-").tempdir()?;
        let path = folder.path().join("image.json");
        let image = step.image.replace('$', "$$");
        fs::write(&path, serde_json::json!({"services": {step.service: {"image": image}}}).to_string())?;
        Ok(Named { _folder: folder, path })
    }
}

/// The one env file that every compose can be given.
enum EnvFile {
    /// The group's own.
    Own(PathBuf),
    /// Several, joined, in a folder of their own.
    Joined { _folder: TempDir, path: PathBuf },
}

impl EnvFile {
    fn of(builds: &GroupBuilds, source: &Path) -> io::Result<Option<EnvFile>> {
        match builds.env_files.as_slice() {
            [] => Ok(None),
            [own] => Ok(Some(EnvFile::Own(own.under(source)))),
            several => {
                // docker-compose 1.x takes one. What is said later holds, in one file as in several.
                let mut joined = Vec::new();
                for file in several {
                    joined.extend(fs::read(file.under(source))?);
                    joined.push(b'\n');
                }
                let folder = tempfile::Builder::new().prefix("longshore-env-").tempdir()?;
                let path = folder.path().join(".env");
                fs::write(&path, joined)?;
                Ok(Some(EnvFile::Joined { _folder: folder, path }))
            }
        }
    }

    fn path(&self) -> &Path {
        match self {
            EnvFile::Own(path) | EnvFile::Joined { path, .. } => path,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn builds(group: &str, services: &[(&str, &str)]) -> GroupBuilds {
        GroupBuilds {
            group: group.parse().unwrap(),
            files: vec!["docker-compose.yml".parse().unwrap(), format!("{group}.yml").parse().unwrap()],
            env_files: Vec::new(),
            profiles: vec!["web".to_owned()],
            services: services.iter().map(|(service, image)| ((*service).into(), (*image).into())).collect(),
        }
    }

    #[test]
    fn an_image_that_several_groups_run_is_built_once_with_the_files_of_the_first() {
        let groups = [
            builds("dev", &[("web", "shop:1"), ("job", "job:1")]),
            builds("prod", &[("web", "shop:1"), ("db", "db:1")]),
        ];
        let lines: Vec<String> = steps(&groups)
            .iter()
            .map(|step| words(&["docker", "compose"], step, Some(Path::new("/x/.env")), None, "build").join(" "))
            .collect();
        assert_eq!(
            lines,
            [
                "docker compose --file docker-compose.yml --file dev.yml --env-file /x/.env --profile web build web",
                "docker compose --file docker-compose.yml --file dev.yml --env-file /x/.env --profile web build job",
                "docker compose --file docker-compose.yml --file prod.yml --env-file /x/.env --profile web build db",
            ]
        );
    }

    #[test]
    fn several_env_files_become_one_in_which_the_later_holds() {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in [("a.env", "A=1\nB=1"), ("b.env", "B=2\n")] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let mut builds = builds("dev", &[]);
        assert!(EnvFile::of(&builds, folder.path()).unwrap().is_none());
        builds.env_files = vec!["a.env".parse().unwrap()];
        assert_eq!(EnvFile::of(&builds, folder.path()).unwrap().unwrap().path(), folder.path().join("a.env"));
        builds.env_files.push("b.env".parse().unwrap());
        let joined = EnvFile::of(&builds, folder.path()).unwrap().unwrap();
        assert_eq!(fs::read_to_string(joined.path()).unwrap(), "A=1\nB=1\nB=2\n\n");
    }
}
