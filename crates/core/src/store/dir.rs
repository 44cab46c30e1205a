//! A folder as a store, for sites without a network and for tests. The key is the path below the folder.
//!
//! The ETag of an object is the SHA-256 of its bytes in hex. There are no versions and no metadata beside the bytes.
//! Every object appears at once and whole: temporary file beside it, synced, then given its name. Each folder that holds
//! replaceable objects has a lock file, [`LOCK`].
//!
//! Works on local files blocking; long copies yield to the runtime between chunks.

use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::temporary::Temporary;
use super::{Changed, Listed, ObjectInfo, ObjectUrl, Put, READ_LIMIT, StoreError, StoreUrl, Verb, url};
use crate::digest::{Hasher, Sha256};
use crate::fsx;
use crate::growing::{GivenUp, Growing};

/// Held by whoever replaces an object of the same folder.
const LOCK: &str = ".longshore.lock";

/// Bytes that are copied between two points where the caller may stop.
const CHUNK: usize = 1 << 20;

/// A folder.
#[derive(Debug)]
pub struct DirStore {
    root: PathBuf,
}

impl DirStore {
    /// The store in a folder, which needs not exist yet.
    pub(super) fn new(root: PathBuf) -> DirStore {
        DirStore { root }
    }

    /// See [`super::Store::put_growing`].
    pub(super) async fn put_growing(
        &self,
        key: &str,
        growing: &Growing,
        ready: impl AsyncFn() -> Result<(), GivenUp>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Put, StoreError> {
        let given_up = |_: GivenUp| StoreError::GivenUp(growing.path.clone());
        let expected = growing.whole().await.map_err(given_up)?.sha256;
        let place = self.place(key)?;
        if let Some(info) = info(&place)? {
            return Ok(Put::Exists(info));
        }
        let folder = parent(&place);
        fs::create_dir_all(folder).map_err(cannot(Verb::Write, folder))?;
        let temporary = Temporary::beside(&place);
        let (sha256, size) = copy((&growing.held(), &growing.path), temporary.path(), progress).await?;
        if sha256 != expected {
            let place = growing.path.display().to_string();
            return Err(StoreError::OtherDigest { place, expected, found: sha256 });
        }
        ready().await.map_err(given_up)?;
        if publish(&temporary, &place)? {
            drop(temporary);
            fsx::sync_dir(folder).map_err(cannot(Verb::Write, folder))?;
            return Ok(Put::Created(new_info(sha256, size)));
        }
        match info(&place)? {
            Some(info) => Ok(Put::Exists(info)),
            None if fs::symlink_metadata(&place).is_ok() => {
                let why = "a folder, or a link to nothing, stands there";
                Err(cannot(Verb::Write, &place)(io::Error::new(ErrorKind::AlreadyExists, why)))
            }
            // It stood there a moment ago and was removed since.
            None => Err(StoreError::Contested { place: place.display().to_string() }),
        }
    }

    /// See [`super::Store::replace_if`].
    pub(super) fn replace_if(
        &self,
        key: &str,
        contents: &[u8],
        expected: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let place = self.place(key)?;
        let folder = parent(&place);
        fs::create_dir_all(folder).map_err(cannot(Verb::Write, folder))?;
        let _lock = lock(folder)?;
        let current = info(&place)?.map(|info| info.etag);
        if current.as_deref() != expected {
            return Ok(None);
        }
        fsx::write_atomic(&place, contents).map_err(cannot(Verb::Write, &place))?;
        Ok(Some(Sha256::of(contents).to_string()))
    }

    /// See [`super::Store::head`].
    pub(super) fn head(&self, key: &str, version: Option<&str>) -> Result<Option<ObjectInfo>, StoreError> {
        let place = self.place(key)?;
        if version.is_some() { Ok(None) } else { info(&place) }
    }

    /// See [`super::Store::get`]. The folder may be another one than that of a store.
    pub(super) async fn get(
        object: &ObjectUrl,
        to: &Path,
        expect: Option<Sha256>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<ObjectInfo, StoreError> {
        let StoreUrl::Dir(root) = &object.store else {
            return Err(StoreError::OtherStore { object: object.to_string() });
        };
        let from = DirStore::new(root.clone()).place(&object.key)?;
        let not_found = || StoreError::NotFound(object.to_string());
        if object.version.is_some() || !exists(&from)? {
            return Err(not_found());
        }
        let temporary = Temporary::beside(to);
        let (sha256, size) = match copy((&from, &from), temporary.path(), progress).await {
            Err(StoreError::File { verb: Verb::Read, source, .. }) if is_missing(&source) => return Err(not_found()),
            copied => copied?,
        };
        if let Some(expected) = object.etag.as_ref().filter(|etag| **etag != sha256.to_string()) {
            let (expected, found) = (expected.clone(), sha256.to_string());
            return Err(StoreError::OtherEtag { place: object.to_string(), expected, found });
        }
        if let Some(expected) = expect.filter(|expected| *expected != sha256) {
            return Err(StoreError::OtherDigest { place: object.to_string(), expected, found: sha256 });
        }
        temporary.rename(to).map_err(cannot(Verb::Write, to))?;
        Ok(new_info(sha256, size))
    }

    /// See [`super::Store::read`].
    pub(super) fn read(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        let place = self.place(key)?;
        if !exists(&place)? {
            return Ok(None);
        }
        let mut contents = Vec::new();
        let file = match File::open(&place) {
            Err(error) if is_missing(&error) => return Ok(None),
            opened => opened.map_err(cannot(Verb::Read, &place))?,
        };
        let size = file.metadata().map_err(cannot(Verb::Read, &place))?.len();
        if size > limit {
            return Err(StoreError::TooLarge { place: place.display().to_string(), size, limit });
        }
        file.take(limit).read_to_end(&mut contents).map_err(cannot(Verb::Read, &place))?;
        let etag = Sha256::of(&contents).to_string();
        Ok(Some((contents, etag)))
    }

    /// See [`super::Store::read_if_changed`]. The ETag is the digest of the bytes, so they are read.
    pub(super) fn read_if_changed(&self, key: &str, known: Option<&str>) -> Result<Changed, StoreError> {
        Ok(match self.read(key, READ_LIMIT)? {
            None => Changed::Missing,
            Some((_, etag)) if known == Some(etag.as_str()) => Changed::Same,
            Some((contents, etag)) => Changed::New { contents, etag },
        })
    }

    /// See [`super::Store::remove`].
    pub(super) fn remove(&self, key: &str) -> Result<(), StoreError> {
        let place = self.place(key)?;
        match fs::remove_file(&place) {
            Err(error) if is_missing(&error) => Ok(()),
            Err(error) => Err(cannot(Verb::Remove, &place)(error)),
            Ok(()) => fsx::sync_dir(parent(&place)).map_err(cannot(Verb::Remove, &place)),
        }
    }

    /// See [`super::Store::list`].
    pub(super) fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let mut listed = Vec::new();
        walk(&self.root, "", prefix, &mut listed)?;
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }

    /// The file of a key, which cannot lie outside the folder.
    fn place(&self, key: &str) -> Result<PathBuf, StoreError> {
        url::check_key(key)?;
        let invalid = |why: &str| Err(StoreError::InvalidKey { key: key.to_owned(), why: why.to_owned() });
        for part in key.split('/') {
            match part {
                "" => return invalid("a folder store has no empty parts between slashes"),
                "." | ".." => return invalid("a folder store has no `.` and `..` in keys"),
                part if is_ours(part) => return invalid("such names are reserved for locks and temporary files"),
                part if part.len() > 255 => return invalid("a part between slashes is longer than 255 bytes"),
                _ => {}
            }
        }
        Ok(self.root.join(key))
    }
}

/// A lock or temporary file.
fn is_ours(name: &str) -> bool {
    name == LOCK || name.starts_with('.') && name.contains(".longshore-")
}

/// Gives the temporary file a second name, which must be new: `false` when it is taken.
fn publish(temporary: &Temporary, place: &Path) -> Result<bool, StoreError> {
    match fs::hard_link(temporary.path(), place) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(false),
        // File systems of memory sticks know no second names. There every writer comes through here, one at a time.
        Err(error) if matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::Unsupported) => {
            let _lock = lock(parent(place))?;
            if exists(place)? {
                return Ok(false);
            }
            fs::rename(temporary.path(), place).map_err(cannot(Verb::Write, place))?;
            Ok(true)
        }
        Err(error) => Err(cannot(Verb::Write, place)(error)),
    }
}

/// Waits for the lock of a folder; the file that holds it gives it back when it is dropped.
fn lock(folder: &Path) -> Result<File, StoreError> {
    let path = folder.join(LOCK);
    let locked = File::options().create(true).truncate(false).write(true).open(&path).and_then(|file| {
        file.lock()?;
        Ok(file)
    });
    locked.map_err(cannot(Verb::Write, &path))
}

/// Copies to a new file and syncs it: digest and size. The copy is readable as umask says. `named`: the source for messages.
async fn copy(
    (from, named): (&Path, &Path),
    to: &Path,
    progress: &(dyn Fn(u64) + Sync),
) -> Result<(Sha256, u64), StoreError> {
    let mut source = File::open(from).map_err(cannot(Verb::Read, named))?;
    let mut target = File::create_new(to).map_err(cannot(Verb::Write, to))?;
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        let got = match source.read(&mut buffer) {
            Ok(0) => break,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            read => read.map_err(cannot(Verb::Read, named))?,
        };
        hasher.update(&buffer[..got]);
        target.write_all(&buffer[..got]).map_err(cannot(Verb::Write, to))?;
        total += got as u64;
        progress(total);
        tokio::task::yield_now().await;
    }
    target.sync_all().map_err(cannot(Verb::Write, to))?;
    Ok((hasher.finish(), total))
}

/// What is known of the file; `None` when there is none.
fn info(place: &Path) -> Result<Option<ObjectInfo>, StoreError> {
    if !exists(place)? {
        return Ok(None);
    }
    match File::open(place).and_then(Sha256::of_reader) {
        Ok((sha256, size)) => Ok(Some(new_info(sha256, size))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(error) => Err(cannot(Verb::Read, place)(error)),
    }
}

fn new_info(sha256: Sha256, size: u64) -> ObjectInfo {
    ObjectInfo { size, etag: sha256.to_string(), version: None, sha256: Some(sha256), content_digest: None }
}

/// Whether a file stands there. A folder is none: it only leads to objects with longer keys.
fn exists(place: &Path) -> Result<bool, StoreError> {
    match fs::metadata(place) {
        Ok(metadata) => Ok(metadata.is_file()),
        Err(error) if is_missing(&error) => Ok(false),
        Err(error) => Err(cannot(Verb::Read, place)(error)),
    }
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory)
}

/// Collects the files below `folder`, whose keys start with `above`.
fn walk(folder: &Path, above: &str, prefix: &str, listed: &mut Vec<Listed>) -> Result<(), StoreError> {
    let entries = match fs::read_dir(folder) {
        Err(error) if is_missing(&error) => return Ok(()),
        entries => entries.map_err(cannot(Verb::List, folder))?,
    };
    for entry in entries {
        let entry = entry.map_err(cannot(Verb::List, folder))?;
        let path = entry.path();
        // No key leads to a name that is not UTF-8.
        let Some(name) = entry.file_name().to_str().map(str::to_owned).filter(|name| !is_ours(name)) else { continue };
        let key = format!("{above}{name}");
        let metadata = match fs::metadata(&path) {
            // Removed since, or a link to nowhere.
            Err(error) if is_missing(&error) => continue,
            metadata => metadata.map_err(cannot(Verb::Read, &path))?,
        };
        if metadata.is_dir() {
            // A link to a folder may lead in circles.
            if entry.path().is_symlink() {
                continue;
            }
            let below = format!("{key}/");
            if below.starts_with(prefix) || prefix.starts_with(&below) {
                walk(&path, &below, prefix, listed)?;
            }
        } else if metadata.is_file() && key.starts_with(prefix) {
            let modified = metadata.modified().and_then(|time| Timestamp::try_from(time).map_err(io::Error::other));
            let modified = modified.map_err(cannot(Verb::Read, &path))?;
            listed.push(Listed { key, size: metadata.len(), modified });
        }
    }
    Ok(())
}

fn parent(place: &Path) -> &Path {
    place.parent().unwrap_or(Path::new("/"))
}

/// Turns an I/O error into ours.
fn cannot(verb: Verb, path: &Path) -> impl FnOnce(io::Error) -> StoreError {
    let path = path.to_owned();
    move |source| StoreError::File { verb, path, source }
}

#[cfg(test)]
mod tests;
