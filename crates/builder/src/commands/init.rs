//! `longshore init`.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use clap::ValueEnum as _;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::ApplicationName;
use serde_json::json;

use crate::cli::InitArgs;
use crate::display::Screen;
use crate::event::Event;
use crate::starter::{Ci, GIT_IGNORE, SET, Starter, StarterKind};
use crate::text_file;

/// Why the starter set could not be written.
#[derive(Debug, thiserror::Error)]
enum InitError {
    /// A folder cannot be made.
    #[error("cannot make folder `{path}`")]
    Folder { path: PathBuf, source: io::Error },
    /// A file cannot be written.
    #[error("cannot write `{path}`")]
    Write { path: PathBuf, source: io::Error },
}

/// What became of a starter file.
enum Fate {
    Written,
    /// This file stands there already.
    Kept(&'static str),
}

/// Writes the starter set.
pub(crate) fn run(args: &InitArgs, screen: &Screen) -> Result<(), Failure> {
    let folder_failed = |source| Failure::new(Exit::Failed, InitError::Folder { path: args.dir.clone(), source });
    fs::create_dir_all(&args.dir).map_err(folder_failed)?;
    let dir = args.dir.canonicalize().map_err(folder_failed)?;
    let application = application(&dir);
    let (mut written, mut kept) = (Vec::new(), Vec::new());
    let systems = systems(&args.ci, &dir);
    for starter in SET.iter().chain(systems.iter().map(|ci| ci.starter())) {
        match write(&dir, starter, &application)? {
            Fate::Written => {
                screen.tell(&Event::Wrote(starter.path.to_owned()));
                written.push(starter.path);
            }
            Fate::Kept(path) => {
                screen.tell(&Event::Kept(path.to_owned()));
                kept.push(path);
                if path == GIT_IGNORE && !ignores_artifacts(&dir) {
                    let message = "git would take the artifacts: add a line `/dist/` to .gitignore".to_owned();
                    screen.tell(&Event::Warned(message));
                }
                if let Some(ci) = systems.iter().find(|ci| ci.starter().path == starter.path) {
                    let message = format!(
                        "`{path}` does not mention longshore; `longshore init --ci {}` in an empty folder writes a sample to copy from",
                        ci.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
                    );
                    if !names_longshore(&dir.join(path)) {
                        screen.tell(&Event::Warned(message));
                    }
                }
                if path != starter.path && path.contains("compose") {
                    let message = format!(
                        "the sample hooks look for `{}`; rename `{path}`, or name it in scripts/project.sh",
                        starter.path
                    );
                    screen.tell(&Event::Warned(message));
                }
            }
        }
    }
    let files: Vec<&str> = systems.iter().map(|ci| ci.starter().path).filter(|path| written.contains(path)).collect();
    let tops = if files.is_empty() { String::new() } else { format!(" and the top of {}", files.join(" and ")) };
    // The sample compose file builds from it, and what it says is the application's business.
    let has_dockerfile = dir.join("Dockerfile").exists() || !written.contains(&"docker-compose.yml");
    let dockerfile = if has_dockerfile { "" } else { "  write a Dockerfile, which docker-compose.yml builds from\n" };
    let text = format!(
        "\nNext:\n{dockerfile}  edit docker-compose*.yml{tops}\n  git add . && git commit\n  longshore check\n  longshore \
         build\n"
    );
    screen.result(&text, &json!({"application": application, "written": written, "kept": kept}))
}

/// The CI systems that are asked for, else CodeBuild and those that the repository shows signs of.
fn systems(asked: &[Ci], dir: &Path) -> Vec<Ci> {
    let shown = |ci: Ci| ci.signs().iter().any(|sign| dir.join(sign).symlink_metadata().is_ok());
    let wanted = |ci: &Ci| match asked {
        [] => *ci == Ci::Codebuild || shown(*ci),
        asked => asked.contains(ci),
    };
    Ci::value_variants().iter().copied().filter(wanted).collect()
}

fn names_longshore(path: &Path) -> bool {
    text_file::read(path).is_ok_and(|text| String::from_utf8_lossy(&text).contains("longshore"))
}

/// Whether the `.gitignore` that stands there leaves the artifacts out, as far as a line of it says so. What cannot be read is
/// git's to complain about.
fn ignores_artifacts(dir: &Path) -> bool {
    let text = text_file::read(&dir.join(GIT_IGNORE)).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    text.lines()
        .any(|line| matches!(line.trim_end(), "dist" | "dist/" | "/dist" | "/dist/" | "*.zip" | "dist/*" | "/dist/*"))
}

/// The folder's name where it can be one.
fn application(dir: &Path) -> ApplicationName {
    let name = dir.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let allowed: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "._+=,@-".contains(c) { c } else { '-' }).collect();
    allowed.parse().unwrap_or_else(|_| "app".parse().expect("three letters are a valid name"))
}

fn write(dir: &Path, starter: &Starter, application: &ApplicationName) -> Result<Fate, Failure> {
    for name in [starter.path].iter().chain(starter.instead) {
        if dir.join(name).symlink_metadata().is_ok() {
            return Ok(Fate::Kept(name));
        }
    }
    let path = dir.join(starter.path);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)
            .map_err(|source| Failure::new(Exit::Failed, InitError::Folder { path: parent.to_owned(), source }))?;
    }
    let mode = match starter.kind {
        StarterKind::Text => 0o666,
        StarterKind::Program => 0o777,
    };
    // `create_new` also refuses a link that somebody puts there at this moment; the umask cuts the mode.
    let written = OpenOptions::new().write(true).create_new(true).mode(mode).open(&path);
    written
        .and_then(|mut file| {
            let whole = file.write_all(starter.text_for(application).as_bytes());
            if whole.is_err() {
                // Half a file would be kept by the next run. The error that matters is the first one.
                let _ = fs::remove_file(&path);
            }
            whole
        })
        .map_err(|source| Failure::new(Exit::Failed, InitError::Write { path, source }))?;
    Ok(Fate::Written)
}
