//! Pins what each group runs: images → digests → the manifest's list and the groups' lock files. Asks registries by way of
//! [`Resolver`]; knows no registry itself.

mod lock;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use longshore_core::bundle::{BundlePath, ManifestImage};
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::plural;
use longshore_core::ids::GroupName;
use longshore_core::problem::{Problem, Severity, SourceFile};

use crate::compose::ComposeGroup;
use crate::compose::images::ServiceImage;
use crate::event::Event;
use crate::images::moved::{list_path, lock_path};
use crate::images::reference::{ImageDigest, InvalidReference, Reference};
use crate::images::registry::RegistryError;
use crate::images::{Digests, Resolver, Unresolved};

/// A file of the bundle that stands in no work tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Generated {
    /// Its place in the bundle.
    pub(crate) path: BundlePath,
    /// Its text.
    pub(crate) text: String,
}

/// Why nothing is pinned.
#[derive(Debug, thiserror::Error)]
enum PinError {
    /// Compose files leave open what is run.
    #[error("it is not known which images the groups run")]
    Unknown,
    /// Some images have no digest.
    #[error("{} cannot be pinned", plural(*.0, "image"))]
    Images(usize),
    /// A lock file has no room.
    #[error("{} would be written over {}", plural(*.0, "lock file"), if *.0 == 1 { "another file" } else { "other files" })]
    Locks(usize),
}

/// What the compose reader says of an image whose name has a variable without a value.
const WITHOUT_VALUE: &str = "LS315";

/// Refuses images that only the host would know. `problems`: what keeps images from being known; the rest of it is no matter of
/// pinning, and was told when the files were read.
pub(crate) fn known(problems: Vec<Problem>) -> Result<(), Failure> {
    let open = problems.into_iter().filter(|problem| problem.code == WITHOUT_VALUE);
    let open: Vec<Problem> =
        open.map(|problem| Problem { severity: Severity::Error, code: "LS355", ..problem }).collect();
    if open.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::Invalid, PinError::Unknown).with_problems(open))
}

/// The digest of every image, sorted by group and service. Each image is asked for once; those without a digest are told all
/// at once.
pub(crate) async fn pin(
    images: &[ServiceImage],
    resolver: &Resolver,
    tell: &dyn Fn(&Event),
) -> Result<Vec<ManifestImage>, Failure> {
    let read: Vec<_> = images.iter().map(|image| (image, image.image.parse::<Reference>())).collect();
    let asked: BTreeSet<&Reference> =
        read.iter().filter_map(|(_, reference)| reference.as_ref().ok()).filter(|it| it.digest.is_none()).collect();
    if !asked.is_empty() {
        let names: BTreeSet<String> = asked.iter().map(ToString::to_string).collect();
        tell(&Event::AskingForImages { images: names.len() });
    }
    let tell_one = |image: &str, digest: &Result<ImageDigest, Unresolved>| {
        if let Ok(digest) = digest {
            tell(&Event::PinnedImage { image: image.to_owned(), digest: digest.to_string() });
        }
    };
    let digests = resolver.digests(asked, &tell_one).await;
    let (mut pinned, mut problems) = (Vec::new(), Vec::new());
    for (image, reference) in &read {
        match digest(image, reference.as_ref(), &digests) {
            Ok(digest) => pinned.push(ManifestImage {
                group: image.group.clone(),
                service: image.service.clone(),
                image: image.image.clone(),
                digest: Some(digest),
            }),
            Err(problem) => problems.push(problem),
        }
    }
    pinned.sort_by(|one, other| (&one.group, &one.service).cmp(&(&other.group, &other.service)));
    if problems.is_empty() { Ok(pinned) } else { Err(refusal(problems)) }
}

fn digest(
    image: &ServiceImage,
    reference: Result<&Reference, &InvalidReference>,
    digests: &Digests,
) -> Result<String, Problem> {
    let error = |code, message: String| {
        let place = format!("services.{}.image", image.service);
        Problem::error(code, &image.source, Some(image.span.clone()), message).at_path(place)
    };
    let reference = reference.map_err(|invalid| {
        error("LS350", invalid.to_string()).with_fix("write it as `registry/folder/name:tag`, in small letters")
    })?;
    if let Some(digest) = &reference.digest {
        return Ok(digest.to_string());
    }
    match digests.get(&reference.to_string()) {
        Some(Ok(digest)) => Ok(digest.to_string()),
        Some(Err(why)) => {
            let (code, fix) = told(why);
            let message = match &why.daemon {
                Some(daemon) => format!("{}; {daemon}", described(&why.error)),
                None => described(&why.error),
            };
            let problem = error(code, message);
            Err(match fix {
                Some(fix) => problem.with_fix(fix),
                None => problem,
            })
        }
        // Every image that is read is asked for.
        None => Err(error("LS353", format!("nobody asked for `{reference}`"))),
    }
}

/// An error with its causes, in one line.
fn described(error: &RegistryError) -> String {
    longshore_core::failure::chain(error)
}

/// The code of what went wrong, and the way out.
fn told(why: &Unresolved) -> (&'static str, Option<String>) {
    if why.only_here {
        let fix = "this machine has built it and never pushed it: `longshore build --push-images --pin-images`";
        return ("LS356", Some(fix.to_owned()));
    }
    let code = match &why.error {
        RegistryError::NotFound { .. } => "LS351",
        RegistryError::Refused { .. } => "LS352",
        RegistryError::Address(_)
        | RegistryError::Network { .. }
        | RegistryError::TooMany { .. }
        | RegistryError::Status { .. }
        | RegistryError::Realm { .. }
        | RegistryError::NoToken(_)
        | RegistryError::NoDigest(_)
        | RegistryError::TooLarge { .. } => "LS353",
    };
    (code, why.error.way_out())
}

/// What cannot be pinned. Where every registry is at fault and no file, the registries are unavailable.
fn refusal(problems: Vec<Problem>) -> Failure {
    let mut seen = BTreeSet::new();
    let mut distinct = Vec::new();
    for problem in problems {
        // One compose file may belong to several groups.
        let place = problem.span.as_ref().map(|span| (span.start, span.end));
        if seen.insert((problem.source.name.clone(), place, problem.code)) {
            distinct.push(problem);
        }
    }
    let unavailable = distinct.iter().all(|problem| matches!(problem.code, "LS352" | "LS353"));
    let exit = if unavailable { Exit::Unavailable } else { Exit::Invalid };
    Failure::new(exit, PinError::Images(distinct.len())).with_problems(distinct)
}

/// The lock files of the groups, and which files they are read on top of. A file of that name in the work tree is in the way.
pub(crate) fn locks(
    images: &[ManifestImage],
    groups_read: &[ComposeGroup],
    source: &Path,
) -> Result<Vec<Generated>, Failure> {
    let mut groups: BTreeMap<&GroupName, Vec<&ManifestImage>> = BTreeMap::new();
    for image in images {
        groups.entry(&image.group).or_default().push(image);
    }
    let (mut locks, mut problems) = (Vec::new(), Vec::new());
    for (group, images) in groups {
        let (path, list) = (lock_path(group), list_path(group));
        if let Some(path) = [&path, &list].into_iter().find(|path| path.under(source).symlink_metadata().is_ok()) {
            let message = format!("stands where `--lock-images` writes the images of group `{group}`");
            let file = SourceFile::new(path.as_str(), "");
            let fix = "remove it, or leave `--lock-images` out: hosts then run with this one";
            problems.push(Problem::error("LS354", &file, None, message).with_fix(fix));
            continue;
        }
        locks.push(Generated { path, text: lock::text(group, &images) });
        if let Some(read) = groups_read.iter().find(|read| read.name == *group) {
            locks.push(Generated { path: list, text: lock::list(read) });
        }
    }
    if problems.is_empty() {
        return Ok(locks);
    }
    Err(Failure::new(Exit::Invalid, PinError::Locks(problems.len())).with_problems(problems))
}
