//! `longshore build`.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Instant;

use longshore_core::bundle::ManifestImage;
use longshore_core::bundle::pack::{PackError, PackFile, PackOptions, Packed, Sources, Target, Told};
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::{plural, size};
use longshore_core::growing::Written;
use longshore_core::ids::GroupName;
use longshore_core::problem::Problem;
use longshore_core::signature::PublicKey;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::artifact::Artifact;
use crate::cli::{BuildArgs, ContentsArgs, IdentityArgs, LintArgs, PushArgs, SignArgs, SourceArgs};
use crate::commands::{check, group};
use crate::compose;
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::identity::{self, Identity};
use crate::images::Resolver;
use crate::listing::UNFINISHED;
use crate::outputs;
use crate::pinning::{self, Generated};
use crate::provenance::{self, Described};
use crate::publish::revision_name;
use crate::pushing;
use crate::signing::{self, Made, Signer, Written as Signature};
use crate::survey::{Lenience, Strictness, Survey};

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
    /// The artifact would hold the key.
    #[error("`{0}` is the secret key, and would be packed: everyone who can read the artifact could sign in your name")]
    Key(String),
    /// Packing gave warnings, and none are wanted.
    #[error("the bundle has {}", plural(*.0, "warning"))]
    Warnings(usize),
}

/// What is asked for, by `build` or by `push --build`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wanted<'a> {
    source: &'a SourceArgs,
    identity: &'a IdentityArgs,
    contents: &'a ContentsArgs,
    lints: &'a LintArgs,
    /// With which key it is signed, if it is.
    signing: Option<&'a SignArgs>,
    provenance: bool,
    allow_dirty: bool,
    strictness: Strictness,
}

impl<'a> From<&'a BuildArgs> for Wanted<'a> {
    fn from(args: &'a BuildArgs) -> Wanted<'a> {
        Wanted {
            source: &args.source,
            identity: &args.identity,
            contents: &args.contents,
            lints: &args.lints,
            signing: args.sign.then_some(&args.signing),
            provenance: args.provenance,
            allow_dirty: args.allow_dirty,
            strictness: Strictness::of_flag(args.strict),
        }
    }
}

impl<'a> From<&'a PushArgs> for Wanted<'a> {
    fn from(args: &'a PushArgs) -> Wanted<'a> {
        Wanted {
            source: &args.source,
            identity: &args.identity,
            contents: &args.contents,
            lints: &args.lints,
            signing: args.sign.then_some(&args.signing),
            provenance: args.provenance,
            allow_dirty: args.moving.allow_dirty,
            strictness: Strictness::of_flag(args.strict),
        }
    }
}

/// What was checked and is ready to be packed.
pub(crate) struct Prepared<'a> {
    environment: &'a Environment,
    survey: Survey,
    /// Application and commit.
    pub(crate) identity: Identity,
    changes: Vec<String>,
    generated: Vec<Generated>,
    /// How it is packed.
    pub(crate) options: PackOptions,
    signer: Option<Signer>,
    provenance: bool,
    strictness: Strictness,
}

/// A build under way: its files were looked at, and there is a place for the archive.
pub(crate) struct Begun<'a> {
    prepared: &'a Prepared<'a>,
    unfinished: Unfinished,
    /// The archive, which has its name only when all is well: that of a dirty build is known only then.
    file: fs::File,
    /// Where it stands meanwhile.
    pub(crate) temporary: PathBuf,
    /// The files.
    pub(crate) sources: Sources,
}

/// What was built.
pub(crate) struct Built {
    /// What can be published.
    pub(crate) artifact: Artifact,
    /// Bytes of the archive.
    pub(crate) size: u64,
    warnings: Vec<String>,
    beside: Beside,
}

/// What is written beside the artifact.
#[derive(Default)]
struct Beside {
    signature: Option<Signature>,
    provenance: Option<PathBuf>,
}

/// Builds an artifact.
pub(crate) fn run(args: &BuildArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let prepared = Prepared::of(args.into(), environment, screen)?;
    let built = prepared.begin()?.pack(&|_| ControlFlow::Continue(()), screen)?;
    let (text, json) = built.report(&prepared);
    outputs::conclude(&built.outputs(), &text, json, environment, screen)
}

impl<'a> Prepared<'a> {
    /// Checks everything.
    pub(crate) fn of(
        wanted: Wanted<'_>,
        environment: &'a Environment,
        screen: &Screen,
    ) -> Result<Prepared<'a>, Failure> {
        let lenience = Lenience {
            allow: &wanted.lints.allow,
            secrets: &wanted.contents.allow_secret,
            no_shellcheck: wanted.lints.no_shellcheck,
        };
        let survey =
            Survey::of(wanted.source, &wanted.contents.list, lenience, environment)?.accept(wanted.strictness)?;
        screen.problems(&survey.problems);
        check::tell(&survey, screen);
        if let Some(warning) = check::without_shellcheck(&survey) {
            screen.tell(&Event::Warned(warning));
        }
        let settings = survey.recipe.settings.application.as_ref();
        let identity = Identity::of(wanted.identity, environment, &survey.source, settings)?;
        let changes = identity.changes(&survey.source, &survey.matter())?;
        if !changes.is_empty() && !wanted.allow_dirty {
            return Err(identity::dirty(&changes));
        }
        announce(&identity, &changes, screen);
        // Before the work: a password that is wrong is found at once.
        let settings = &survey.recipe.settings;
        let keys = wanted.signing.and_then(|args| args.key.clone()).into_iter();
        let keys = keys.chain(settings.sign.key.iter().map(|key| survey.source.join(key)));
        for key in keys {
            not_packed(&key, &survey)?;
        }
        let signer =
            wanted.signing.map(|args| Signer::open(args, environment, settings, &survey.source)).transpose()?;
        let (images, generated) = images(wanted.contents, &survey, &identity, &changes, environment, screen)?;
        let options = PackOptions { images, ..options(&identity, environment, !changes.is_empty())? };
        let Wanted { provenance, strictness, .. } = wanted;
        Ok(Prepared { environment, survey, identity, changes, generated, options, signer, provenance, strictness })
    }

    /// Looks at the files, and makes a place for the archive.
    pub(crate) fn begin(&self) -> Result<Begun<'_>, Failure> {
        let out = &self.survey.out;
        let out_failed = |source| Failure::new(Exit::Failed, BuildError::Out { path: out.clone(), source });
        fs::create_dir_all(out).map_err(out_failed)?;
        let unfinished = Unfinished::new(out).map_err(out_failed)?;
        let temporary = unfinished.folder.path().join("bundle.zip");
        let file = fs::File::options().read(true).write(true).create_new(true).open(&temporary).map_err(out_failed)?;
        let files = self.survey.plan.files.iter();
        let files =
            files.map(|(path, planned)| PackFile { path: path.clone(), from: planned.from.under(&self.survey.source) });
        let mut files: Vec<PackFile> = files.collect();
        for (index, file) in self.generated.iter().enumerate() {
            let from = unfinished.folder.path().join(format!("generated-{index}"));
            fs::write(&from, &file.text).map_err(out_failed)?;
            files.push(PackFile { path: file.path.clone(), from });
        }
        let sources = Sources::look(files).map_err(pack_failed)?;
        Ok(Begun { prepared: self, unfinished, file, temporary, sources })
    }

    /// The public half of the key that signs.
    pub(crate) fn public_key(&self) -> Option<PublicKey> {
        self.signer.as_ref().map(Signer::public_key)
    }

    /// Signs what was packed, if that is wanted.
    fn sign(&self, archive: &Path, packed: &Packed, screen: &Screen) -> Result<Option<Made>, Failure> {
        let Some(signer) = &self.signer else { return Ok(None) };
        if let Some(warning) = signer.warning() {
            screen.tell(&Event::Warned(warning));
        }
        signing::sign(signer, archive, &packed.manifest, packed.archive_digest).map(Some)
    }

    /// Writes what stands beside the artifact, as far as that is wanted.
    fn beside(&self, artifact: &Artifact, signature: Option<&Made>, screen: &Screen) -> Result<Beside, Failure> {
        let Artifact { path, archive_digest, manifest } = artifact;
        let mut beside = Beside::default();
        if self.provenance {
            let words: Vec<String> =
                std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned()).collect();
            let origin = self.identity.origin();
            let described = Described {
                artifact: path,
                manifest,
                archive_digest: *archive_digest,
                origin: origin.as_deref(),
                command_line: &words,
            };
            let written = provenance::write(&described, self.environment)?;
            screen.tell(&Event::Described(written.clone()));
            beside.provenance = Some(written);
        }
        if let Some(made) = signature {
            let written = made.write(path)?;
            screen.tell(&Event::Signed { path: written.path.clone(), key_id: written.key_id.to_string() });
            beside.signature = Some(written);
        }
        Ok(beside)
    }

    /// Refuses what changed after it was compared with the commit: an editor, another checkout.
    fn still(&self) -> Result<(), Failure> {
        let Prepared { survey, identity, changes, .. } = self;
        if identity.is_at_head()? && identity.changes(&survey.source, &survey.matter())? == *changes {
            return Ok(());
        }
        Err(moved())
    }
}

/// Refuses a secret key among the files: whoever can read the artifact could sign.
fn not_packed(key: &Path, survey: &Survey) -> Result<(), Failure> {
    let Ok(key) = key.canonicalize() else { return Ok(()) };
    let is_key = |from: &Path| from.canonicalize().is_ok_and(|from| from == key);
    match survey.plan.files.iter().find(|(_, planned)| is_key(&planned.from.under(&survey.source))) {
        Some((path, _)) => Err(Failure::new(Exit::Usage, BuildError::Key(path.to_string()))
            .hint("keep it outside of the source folder; if it was ever committed or packed, make a new one")),
        None => Ok(()),
    }
}

/// The refusal of what changed while it was packed.
fn moved() -> Failure {
    Failure::new(Exit::Failed, BuildError::Moved).hint("run the same command again")
}

/// Why the files could not be packed.
fn pack_failed(error: PackError) -> Failure {
    Failure::new(Exit::Failed, BuildError::Pack(error))
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
    contents: &ContentsArgs,
    survey: &Survey,
    identity: &Identity,
    changes: &[String],
    environment: &Environment,
    screen: &Screen,
) -> Result<(Vec<ManifestImage>, Vec<Generated>), Failure> {
    let commit = &identity.chosen.commit;
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
    let locks = if contents.lock_images {
        pinning::locks(&images, &survey.compose.groups, &survey.source)?
    } else {
        Vec::new()
    };
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

impl Begun<'_> {
    /// The archive, once more.
    pub(crate) fn archive(&self) -> Result<fs::File, Failure> {
        let path = self.prepared.survey.out.clone();
        self.file.try_clone().map_err(|source| Failure::new(Exit::Failed, BuildError::Out { path, source }))
    }

    /// Packs, looks whether what was packed is still what was compared with the commit, and gives the archive its name.
    /// `written`: see [`Told`].
    pub(crate) fn pack(&self, written: &dyn Fn(Written) -> ControlFlow<()>, screen: &Screen) -> Result<Built, Failure> {
        let Prepared { survey, identity, options, strictness, .. } = self.prepared;
        screen.tell(&Event::Packing { bytes: survey.plan.bytes() });
        let started = Instant::now();
        let told = Told { progress: &|more| screen.tell(&Event::PackedMore(more)), written };
        let target = Target { file: &self.file, path: &self.temporary };
        let packed = self.sources.pack(options, target, &told).map_err(pack_failed)?;
        screen.tell(&Event::Packed {
            files: packed.manifest.files.len(),
            bytes: packed.manifest.files.iter().map(|file| file.size).sum(),
            size: packed.size,
            took: started.elapsed(),
        });

        for warning in &packed.warnings {
            screen.tell(&Event::Warned(warning.clone()));
        }
        if *strictness == Strictness::Strict && !packed.warnings.is_empty() {
            return Err(Failure::new(Exit::Invalid, BuildError::Warnings(packed.warnings.len()))
                .hint("`--strict` makes warnings fail; without it they do not"));
        }

        // Before the archive has its name: a key that does not sign leaves everything as it was.
        let signature = self.prepared.sign(&self.temporary, &packed, screen)?;
        self.prepared.still()?;
        let path = survey.out.join(artifact_name(&packed));
        if let Some(earlier) = earlier(&path)? {
            let same = earlier == packed.archive_digest;
            screen.tell(&Event::Replaced { path: path.clone(), same });
            if !same {
                remove_stale(&path, screen);
            }
        }
        let out_failed = |source| Failure::new(Exit::Failed, BuildError::Out { path: survey.out.clone(), source });
        debug_assert!(self.temporary.starts_with(self.unfinished.folder.path()));
        fs::rename(&self.temporary, &path).map_err(out_failed)?;
        let Packed { size, archive_digest, manifest, warnings } = packed;
        let warnings = [identity.chosen.warnings.clone(), warnings].concat();
        let artifact = Artifact { path, archive_digest, manifest };
        let beside = self.prepared.beside(&artifact, signature.as_ref(), screen)?;
        Ok(Built { artifact, size, warnings, beside })
    }
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

/// Removes what was said of an archive that is no longer there: nothing could be done with it but be misled.
fn remove_stale(artifact: &Path, screen: &Screen) {
    for stale in [signing::path_of(artifact), provenance::path_of(artifact)] {
        if fs::remove_file(&stale).is_ok() {
            let text = format!("removed `{}`, which was of the archive that was replaced", stale.display());
            screen.tell(&Event::Warned(text));
        }
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

impl Built {
    /// For people and for programs.
    pub(crate) fn report(&self, prepared: &Prepared<'_>) -> (String, Value) {
        let Built { artifact: Artifact { path, archive_digest, manifest }, size: packed, warnings, beside } = self;
        let bytes: u64 = manifest.files.iter().map(|file| file.size).sum();
        // Below the current folder a short path is the one to type next.
        let shown = std::env::current_dir().ok().and_then(|dir| path.strip_prefix(dir).ok()).unwrap_or(path);
        let below = |path: &Path| shown.with_file_name(path.file_name().unwrap_or_default()).display().to_string();
        let mut text = format!(
            "   artifact  {}\napplication  {}\n     commit  {}{}\n      files  {} ({})\n       size  {}\n    content  \
             sha256:{}\n    archive  sha256:{}\n",
            shown.display(),
            manifest.application,
            manifest.commit,
            if manifest.dirty { " (dirty)" } else { "" },
            manifest.files.len(),
            size(bytes),
            size(*packed),
            manifest.content_digest,
            archive_digest,
        );
        text.push_str(&images_row(&manifest.images));
        if let Some(Signature { path, key_id }) = &beside.signature {
            text.push_str(&format!("  signature  {} (key {key_id})\n", below(path)));
        }
        if let Some(path) = &beside.provenance {
            text.push_str(&format!(" provenance  {}\n", below(path)));
        }
        let signature =
            beside.signature.as_ref().map(|made| json!({"file": made.path, "key_id": made.key_id.to_string()}));
        let problems: Vec<_> = prepared.survey.problems.iter().map(Problem::to_json).collect();
        let json = json!({
            "artifact": path,
            "application": manifest.application,
            "commit": manifest.commit,
            "dirty": manifest.dirty,
            "changes": prepared.changes,
            "time": manifest.time,
            "files": manifest.files.len(),
            "bytes": bytes,
            "size": packed,
            "content_digest": manifest.content_digest,
            "archive_digest": archive_digest,
            "images": manifest.images,
            "signature": signature,
            "provenance": beside.provenance,
            "warnings": warnings,
            "problems": problems,
        });
        (text, json)
    }

    /// What later steps of a CI job learn.
    fn outputs(&self) -> [(&'static str, String); 5] {
        let Artifact { path, archive_digest, manifest } = &self.artifact;
        [
            ("artifact", path.display().to_string()),
            ("application", manifest.application.to_string()),
            ("commit", manifest.commit.to_string()),
            ("content_digest", manifest.content_digest.to_string()),
            ("archive_digest", archive_digest.to_string()),
        ]
    }
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
