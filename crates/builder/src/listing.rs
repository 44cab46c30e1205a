//! What stands in the source folder, and which rule keeps what out of the bundle. Reads; decides nothing about what is needed.
//!
//! Links are listed, never followed. What git ignores is listed like anything else: it may be a build product that must
//! ship. `.git` is left out everywhere, and nobody asks for it back.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile};

use crate::rules::{Rule, Rules, Verdict};
use crate::text_file;

/// The name of the ignore file, in any folder.
pub(crate) const IGNORE_FILE: &str = ".longshoreignore";

/// How the folder is called in which a build packs before it knows the artifact's name.
pub(crate) const UNFINISHED: &str = ".longshore-build-";

/// One file, link or folder of the source folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A regular file.
    File {
        /// Bytes.
        size: u64,
        /// Whether any execute bit is set.
        executable: bool,
    },
    /// A symbolic link and its target text.
    Link(String),
    /// A folder.
    Folder,
    /// A pipe, socket or device, by name.
    Special(&'static str),
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Listing {
    /// Everything within reach that no rule keeps out.
    pub(crate) entries: BTreeMap<BundlePath, Kind>,
    /// What a rule keeps out. A folder stands for all that is in it.
    pub(crate) excluded: BTreeMap<BundlePath, Rule>,
    /// Every ignore file that was read.
    pub(crate) ignore_files: BTreeSet<BundlePath>,
    /// The folder for artifacts, when it is below the source folder and holds anything but artifacts.
    pub(crate) out_with_other_files: Option<BundlePath>,
    /// What is wrong with ignore files and names.
    pub(crate) problems: Vec<Problem>,
}

/// What to list.
pub(crate) struct Reach<'a> {
    /// The source folder.
    pub(crate) source: &'a Path,
    /// The folder for artifacts, below the source folder; `None` when it stands elsewhere.
    pub(crate) out: Option<&'a BundlePath>,
    /// `build.exclude`.
    pub(crate) exclude: &'a Rules,
    /// Whether anything in a folder may be wanted.
    pub(crate) enters: &'a dyn Fn(&BundlePath) -> bool,
}

/// Why the source folder could not be listed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListingError {
    /// A folder cannot be read.
    #[error("cannot read folder `{path}`")]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file cannot be looked at.
    #[error("cannot look at `{path}`")]
    Look {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl Listing {
    /// Lists a source folder.
    pub(crate) fn read(reach: &Reach<'_>) -> Result<Listing, ListingError> {
        let mut walk = Walk { reach, listing: Listing::default(), ignores: Vec::new() };
        walk.folder(None)?;
        Ok(walk.listing)
    }

    /// The rule that keeps a path out, itself or by a folder it stands in.
    pub(crate) fn rule_about(&self, path: &BundlePath) -> Option<&Rule> {
        let mut at = Some(path.clone());
        while let Some(path) = at {
            if let Some(rule) = self.excluded.get(&path) {
                return Some(rule);
            }
            at = path.parent();
        }
        None
    }

    /// Everything below a folder.
    pub(crate) fn below<'a>(&'a self, folder: &'a BundlePath) -> impl Iterator<Item = (&'a BundlePath, &'a Kind)> {
        // Names such as `a-b` sort between `a` and `a/x`, so the range ends where the text no longer starts with `a`.
        self.entries
            .range(folder.clone()..)
            .take_while(|(path, _)| path.as_str().starts_with(folder.as_str()))
            .filter(|(path, _)| path.below(folder).is_some())
    }
}

/// Whether a file name is one that `longshore build` gives: `…-<40 or 64 hex>[-dirty-<12 hex>].zip`.
pub(crate) fn is_artifact_name(name: &str) -> bool {
    let hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|b| b.is_ascii_hexdigit());
    let Some(stem) = name.strip_suffix(".zip") else { return false };
    let clean = match stem.rsplit_once("-dirty-") {
        Some((clean, digest)) if hex(digest, 12) => clean,
        Some(_) | None => stem,
    };
    clean
        .rsplit_once('-')
        .is_some_and(|(application, commit)| !application.is_empty() && (hex(commit, 40) || hex(commit, 64)))
}

struct Walk<'a> {
    reach: &'a Reach<'a>,
    listing: Listing,
    /// The ignore files of the folders above, the nearest last.
    ignores: Vec<(Option<BundlePath>, Rules)>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: Option<&BundlePath>) -> Result<(), ListingError> {
        let on_disk = folder.map_or_else(|| self.reach.source.to_owned(), |folder| folder.under(self.reach.source));
        let read = |source| ListingError::Folder { path: on_disk.clone(), source };
        let mut names = Vec::new();
        for entry in fs::read_dir(&on_disk).map_err(read)? {
            names.push(entry.map_err(read)?.file_name());
        }
        names.sort();
        let ignores = self.ignores.len();
        self.read_ignore_file(folder, &on_disk)?;
        for name in names {
            let path = on_disk.join(&name);
            let Some(name) = name.to_str() else {
                self.unusable(&path, "is not UTF-8, so no appspec or manifest can name it");
                continue;
            };
            let text = folder.map_or_else(|| name.to_owned(), |folder| format!("{folder}/{name}"));
            match text.parse::<BundlePath>() {
                Ok(bundle_path) => self.entry(bundle_path, &path)?,
                Err(invalid) => self.unusable(&path, invalid.why),
            }
        }
        self.ignores.truncate(ignores);
        Ok(())
    }

    fn read_ignore_file(&mut self, folder: Option<&BundlePath>, on_disk: &Path) -> Result<(), ListingError> {
        let path = on_disk.join(IGNORE_FILE);
        let bytes = match text_file::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(source) => return Err(ListingError::Look { path, source }),
        };
        let name = folder.map_or_else(|| IGNORE_FILE.to_owned(), |folder| format!("{folder}/{IGNORE_FILE}"));
        let source = SourceFile::new(&name, String::from_utf8_lossy(&bytes));
        let (rules, problems) = Rules::of_file(&source);
        self.listing.problems.extend(problems);
        self.listing.ignore_files.extend(name.parse::<BundlePath>());
        self.ignores.push((folder.cloned(), rules));
        Ok(())
    }

    fn entry(&mut self, path: BundlePath, on_disk: &Path) -> Result<(), ListingError> {
        let look = |source| ListingError::Look { path: on_disk.to_owned(), source };
        let metadata = on_disk.symlink_metadata().map_err(look)?;
        let is_folder = metadata.is_dir();
        if path.file_name() == ".git" {
            self.listing.excluded.insert(path, Rule::Git);
            return Ok(());
        }
        if let Some(rule) = self.rule_about(&path, is_folder) {
            if Some(&path) == self.reach.out && is_folder && holds_other_files(on_disk) {
                self.listing.out_with_other_files = Some(path.clone());
            }
            self.listing.excluded.insert(path, rule);
            return Ok(());
        }
        let kind = metadata.file_type();
        if is_folder {
            self.listing.entries.insert(path.clone(), Kind::Folder);
            return if (self.reach.enters)(&path) { self.folder(Some(&path)) } else { Ok(()) };
        }
        let kind = if kind.is_symlink() {
            match fs::read_link(on_disk).map_err(look)?.into_os_string().into_string() {
                Ok(target) => Kind::Link(target),
                Err(_) => {
                    self.unusable(on_disk, "is a link whose target is not UTF-8");
                    return Ok(());
                }
            }
        } else if kind.is_file() {
            Kind::File { size: metadata.len(), executable: metadata.permissions().mode() & 0o111 != 0 }
        } else if kind.is_fifo() {
            Kind::Special("a named pipe")
        } else if kind.is_socket() {
            Kind::Special("a socket")
        } else {
            Kind::Special("a device")
        };
        self.listing.entries.insert(path, kind);
        Ok(())
    }

    fn rule_about(&self, path: &BundlePath, is_folder: bool) -> Option<Rule> {
        if path.as_str() == ".longshore" {
            return Some(Rule::Manifest);
        }
        if Some(path) == self.reach.out {
            return Some(Rule::OutFolder);
        }
        if !is_folder && is_artifact_name(path.file_name()) {
            return Some(Rule::Artifact);
        }
        if let Verdict::Named(rule) = self.reach.exclude.about(path.as_str(), is_folder) {
            return Some(rule);
        }
        for (folder, rules) in self.ignores.iter().rev() {
            let below = folder.as_ref().map_or(Some(path.as_str()), |folder| path.below(folder));
            match below.map_or(Verdict::Unnamed, |below| rules.about(below, is_folder)) {
                Verdict::Named(rule) => return Some(rule),
                Verdict::TakenBack => return None,
                Verdict::Unnamed => {}
            }
        }
        None
    }

    fn unusable(&mut self, path: &Path, why: &str) {
        let shown = path.strip_prefix(self.reach.source).unwrap_or(path).to_string_lossy().into_owned();
        let source: Arc<SourceFile> = SourceFile::new(&shown, "");
        let problem = Problem::error("LS408", &source, None, format!("the name `{shown}` {why}"))
            .with_fix("rename it, or keep it out with `.longshoreignore`");
        // A rule may keep it out; its lossy name is good enough to ask.
        let ignored = shown.parse::<BundlePath>().is_ok_and(|path| self.rule_about(&path, false).is_some());
        if !ignored {
            self.listing.problems.push(problem);
        }
    }
}

/// A folder that cannot be read holds nothing that anybody could have wanted.
fn holds_other_files(out: &Path) -> bool {
    let Ok(entries) = fs::read_dir(out) else { return false };
    // A build that was killed leaves a folder of ours.
    let ours = |name: &str| is_artifact_name(name) || name.starts_with(UNFINISHED);
    entries.flatten().any(|entry| !entry.file_name().to_str().is_some_and(ours))
}

#[cfg(test)]
mod tests;
