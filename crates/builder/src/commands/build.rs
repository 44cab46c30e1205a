//! `longshore build`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use longshore_core::bundle::ManifestImage;
use longshore_core::bundle::pack::{PackError, PackFile, PackOptions, Packed, pack};
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::{plural, size};
use longshore_core::ids::GroupName;
use longshore_core::problem::Problem;
use serde_json::json;
use tempfile::TempDir;

use crate::cli::BuildArgs;
use crate::commands::{check, group};
use crate::compose;
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::identity::{self, Identity};
use crate::images::Resolver;
use crate::listing::UNFINISHED;
use crate::pinning::{self, Generated};
use crate::publish::revision_name;
use crate::pushing;
use crate::survey::{Strictness, Survey};

/// Why nothing was built.
#[derive(Debug, thiserror::Error)]
enum BuildError {
    /// The folder for artifacts cannot be written.
    #[error("cannot write into the folder for artifacts `{path}`")]
    Out { path: PathBuf, source: io::Error },
    /// An artifact that was built before cannot be read.
    #[error("cannot read `{path}`")]
    Earlier { path: PathBuf, source: io::Error },
    /// Packing failed.
    #[error("cannot pack the bundle")]
    Pack(#[source] PackError),
    /// What was packed may not be what was compared with the commit.
    #[error("the work tree changed while it was packed")]
    Moved,
    /// Packing gave warnings, and none are wanted.
    #[error("the bundle has {}", plural(*.0, "warning"))]
    Warnings(usize),
}

/// What was built.
struct Built {
    path: PathBuf,
    packed: Packed,
    warnings: Vec<String>,
}

/// Builds an artifact.
pub(crate) fn run(args: &BuildArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let survey = Survey::of(&args.source)?.accept(Strictness::of_flag(args.strict))?;
    screen.problems(&survey.problems);
    screen.tell(&check::checked(&survey));
    let settings = survey.recipe.settings.application.as_ref();
    let identity = Identity::of(&args.identity, environment, &survey.source, settings)?;
    let changes = changes(args, &identity, &survey)?;
    announce(&identity, &changes, screen);
    let (images, generated) = images(args, &survey, &identity, &changes, environment, screen)?;
    let options = PackOptions { images, ..options(&identity, environment, !changes.is_empty())? };
    let still = || still(&identity, &survey, &changes);
    let built = build(&survey, &generated, &options, Strictness::of_flag(args.strict), &still, screen)?;
    let built = Built { warnings: [identity.chosen.warnings.clone(), built.warnings].concat(), ..built };
    show(&built, &changes, &survey.problems, screen)
}

/// The files by which the work tree differs from its commit; a refusal unless they are allowed.
fn changes(args: &BuildArgs, identity: &Identity, survey: &Survey) -> Result<Vec<String>, Failure> {
    let changes = identity.changes(&survey.source, &survey.matter())?;
    if changes.is_empty() || args.allow_dirty { Ok(changes) } else { Err(identity::dirty(&changes)) }
}

/// Refuses what changed after it was compared with the commit: an editor, another checkout.
fn still(identity: &Identity, survey: &Survey, changes: &[String]) -> Result<(), Failure> {
    if identity.is_at_head()? && identity.changes(&survey.source, &survey.matter())? == changes {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, BuildError::Moved).hint("run the same command again"))
}

fn announce(identity: &Identity, changes: &[String], screen: &Screen) {
    let chosen = &identity.chosen;
    screen.tell(&Event::Named { commit: chosen.commit.clone(), origin: chosen.origin.clone() });
    for warning in &chosen.warnings {
        screen.tell(&Event::Warned(warning.clone()));
    }
    if !changes.is_empty() {
        let count = plural(changes.len(), "file");
        screen.tell(&Event::Warned(format!("the work tree differs from the commit by {count}")));
    }
}

/// Builds and pushes the images, and pins them, as far as wanted: what the manifest lists, and the lock files.
fn images(
    args: &BuildArgs,
    survey: &Survey,
    identity: &Identity,
    changes: &[String],
    environment: &Environment,
    screen: &Screen,
) -> Result<(Vec<ManifestImage>, Vec<Generated>), Failure> {
    let (commit, contents) = (&identity.chosen.commit, &args.contents);
    if contents.push_images {
        if !changes.is_empty() {
            return Err(pushing::dirty());
        }
        let builds = compose::builds::builds(&survey.compose, commit);
        pushing::push(&builds, commit, &survey.source, &|event| screen.tell(event))?;
    }
    if !contents.pin_images {
        return Ok((Vec::new(), Vec::new()));
    }
    let (images, problems) = compose::images::images(&survey.compose, commit);
    pinning::known(problems)?;
    let images = group::runtime()?.block_on(async {
        let resolver = Resolver::open(environment).await?;
        pinning::pin(&images, &resolver, &|event| screen.tell(event)).await
    })?;
    let locks = if contents.lock_images { pinning::locks(&images, &survey.source)? } else { Vec::new() };
    Ok((images, locks))
}

fn options(identity: &Identity, environment: &Environment, dirty: bool) -> Result<PackOptions, Failure> {
    Ok(PackOptions {
        application: identity.application.clone(),
        commit: identity.chosen.commit.clone(),
        dirty,
        time: identity.time(environment)?,
        images: Vec::new(),
        // One thread is always there; the number changes the speed alone.
        threads: std::thread::available_parallelism().map_or(1, usize::from),
    })
}

/// Packs beside the final name, because the name of a dirty build is known only afterwards. `still`: whether what was packed
/// is still what was looked at.
fn build(
    survey: &Survey,
    generated: &[Generated],
    options: &PackOptions,
    strictness: Strictness,
    still: &dyn Fn() -> Result<(), Failure>,
    screen: &Screen,
) -> Result<Built, Failure> {
    let out_failed = |source| Failure::new(Exit::Failed, BuildError::Out { path: survey.out.clone(), source });
    fs::create_dir_all(&survey.out).map_err(out_failed)?;
    let unfinished = Unfinished::new(&survey.out).map_err(out_failed)?;
    let temporary = unfinished.folder.path().join("bundle.zip");

    let plan = &survey.plan;
    let files = plan.files.iter();
    let files = files.map(|(path, planned)| PackFile { path: path.clone(), from: planned.from.under(&survey.source) });
    let mut files: Vec<PackFile> = files.collect();
    for (index, file) in generated.iter().enumerate() {
        let from = unfinished.folder.path().join(format!("generated-{index}"));
        fs::write(&from, &file.text).map_err(out_failed)?;
        files.push(PackFile { path: file.path.clone(), from });
    }
    screen.tell(&Event::Packing { bytes: plan.bytes() });
    let started = Instant::now();
    let packed = pack(files, options, &temporary, &|more| screen.tell(&Event::PackedMore(more)))
        .map_err(|error| Failure::new(Exit::Failed, BuildError::Pack(error)))?;
    screen.tell(&Event::Packed {
        files: packed.manifest.files.len(),
        bytes: packed.manifest.files.iter().map(|file| file.size).sum(),
        size: packed.size,
        took: started.elapsed(),
    });

    for warning in &packed.warnings {
        screen.tell(&Event::Warned(warning.clone()));
    }
    if strictness == Strictness::Strict && !packed.warnings.is_empty() {
        return Err(Failure::new(Exit::Invalid, BuildError::Warnings(packed.warnings.len()))
            .hint("`--strict` makes warnings fail; without it they do not"));
    }

    still()?;
    let path = survey.out.join(artifact_name(&packed));
    if let Some(earlier) = earlier(&path)? {
        screen.tell(&Event::Replaced { path: path.clone(), same: earlier == packed.archive_digest });
    }
    fs::rename(&temporary, &path).map_err(out_failed)?;
    Ok(Built { path, warnings: packed.warnings.clone(), packed })
}

/// A folder of this build alone, gone when it is dropped.
struct Unfinished {
    folder: TempDir,
    /// Held locked, by which the next build knows that this one runs.
    _held: fs::File,
}

impl Unfinished {
    /// Makes one, and removes those of builds that were killed: Ctrl-C leaves half a bundle behind.
    fn new(out: &Path) -> io::Result<Unfinished> {
        // No other build looks around until ours is locked. Where there are no locks nothing is removed.
        let around = fs::File::open(out).ok().filter(|folder| folder.lock().is_ok());
        if around.is_some() {
            // What is left behind is only litter.
            let _ = Unfinished::sweep(out);
        }
        let folder = tempfile::Builder::new().prefix(UNFINISHED).tempdir_in(out)?;
        let held = fs::File::open(folder.path())?;
        let _ = held.lock();
        Ok(Unfinished { folder, _held: held })
    }

    fn sweep(out: &Path) -> io::Result<()> {
        for entry in fs::read_dir(out)? {
            let entry = entry?;
            if !entry.file_name().to_string_lossy().starts_with(UNFINISHED) || !entry.file_type()?.is_dir() {
                continue;
            }
            let Ok(folder) = fs::File::open(entry.path()) else { continue };
            if folder.try_lock().is_ok() {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }
}

fn artifact_name(packed: &Packed) -> String {
    let manifest = &packed.manifest;
    let name = revision_name(manifest.commit.as_str(), manifest.dirty, &manifest.content_digest);
    format!("{}-{name}.zip", manifest.application)
}

fn earlier(path: &Path) -> Result<Option<Sha256>, Failure> {
    let failed = |source| Failure::new(Exit::Failed, BuildError::Earlier { path: path.to_owned(), source });
    match fs::File::open(path) {
        Ok(file) => Sha256::of_reader(file).map(|(digest, _)| Some(digest)).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(failed(error)),
    }
}

fn show(built: &Built, changes: &[String], problems: &[Problem], screen: &Screen) -> Result<(), Failure> {
    let Built { path, packed, warnings } = built;
    let manifest = &packed.manifest;
    let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
    // Below the current folder a short path is the one to type next.
    let shown = std::env::current_dir().ok().and_then(|dir| path.strip_prefix(dir).ok()).unwrap_or(path);
    let text = format!(
        "   artifact  {}\napplication  {}\n     commit  {}{}\n      files  {} ({})\n       size  {}\n    content  \
         sha256:{}\n    archive  sha256:{}\n{}",
        shown.display(),
        manifest.application,
        manifest.commit,
        if manifest.dirty { " (dirty)" } else { "" },
        manifest.files.len(),
        size(bytes),
        size(packed.size),
        manifest.content_digest,
        packed.archive_digest,
        images_row(&manifest.images),
    );
    let problems: Vec<_> = problems.iter().map(Problem::to_json).collect();
    let json = json!({
        "artifact": path,
        "application": manifest.application,
        "commit": manifest.commit,
        "dirty": manifest.dirty,
        "changes": changes,
        "time": manifest.time,
        "files": manifest.files.len(),
        "bytes": bytes,
        "size": packed.size,
        "content_digest": manifest.content_digest,
        "archive_digest": packed.archive_digest,
        "images": manifest.images,
        "warnings": warnings,
        "problems": problems,
    });
    screen.result(&text, &json)
}

/// How many images are pinned, and for how many groups; nothing where nobody asked.
fn images_row(images: &[ManifestImage]) -> String {
    if images.is_empty() {
        return String::new();
    }
    let distinct: BTreeSet<&str> = images.iter().map(|image| image.image.as_str()).collect();
    let groups: BTreeSet<&GroupName> = images.iter().map(|image| &image.group).collect();
    format!("     images  {} of {}, pinned\n", distinct.len(), plural(groups.len(), "group"))
}
