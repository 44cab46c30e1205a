//! Looks into the files that are about to be packed: secrets, pointers of Git LFS, names. Reads them on all processors, because
//! there may be many.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use longshore_core::bundle::BundlePath;
use longshore_core::problem::Problem;

use crate::lint::secret::AllowedSecret;
use crate::lint::{files, secret, token};
use crate::plan::{BuildPlan, Planned, PlannedKind};

/// How much of a file with a key is read, when the file is too long to be read whole.
const HEAD: u64 = 64 << 10;

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) problems: Vec<Problem>,
    /// The files that look like a secret or hold one, allowed or not.
    pub(super) secrets: Vec<BundlePath>,
}

/// A file that could not be read.
#[derive(Debug)]
pub(super) struct Unreadable {
    pub(super) path: PathBuf,
    pub(super) source: io::Error,
}

impl Contents {
    /// Looks into every file of a plan.
    pub(super) fn read(source: &Path, plan: &BuildPlan, allowed: &[AllowedSecret]) -> Result<Contents, Unreadable> {
        let files: Vec<(&BundlePath, &Planned)> = plan.files.iter().collect();
        let next = AtomicUsize::new(0);
        let found = Mutex::new(Vec::new());
        let work = || {
            let mut bytes = Vec::new();
            loop {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some((path, planned)) = files.get(index) else { return };
                let (problems, secret) = match look(source, path, planned, &mut bytes) {
                    Ok(problems) => (Ok(problems.0), problems.1),
                    Err(unreadable) => (Err(unreadable), false),
                };
                if problems.as_ref().map_or(true, |problems| !problems.is_empty())
                    && let Ok(mut found) = found.lock()
                {
                    found.push((index, problems, secret));
                }
            }
        };
        std::thread::scope(|scope| {
            // The first thread is this one.
            for _ in 1..std::thread::available_parallelism().map_or(1, usize::from) {
                scope.spawn(work);
            }
            work();
        });
        let mut found = found.into_inner().unwrap_or_default();
        found.sort_by_key(|(index, _, _)| *index);
        let mut contents = Contents::default();
        for (index, problems, secret) in found {
            let path = files[index].0;
            let lenient = secret && allowed.iter().any(|allowed| allowed.means(path));
            let problems = problems?;
            contents.problems.extend(problems.into_iter().filter(|problem| !lenient || !is_secret(problem)));
            if secret {
                contents.secrets.push(path.clone());
            }
        }
        let known: Vec<&str> = plan.files.keys().map(BundlePath::as_str).collect();
        contents.problems.extend(secret::idle(allowed, &contents.secrets, &known));
        Ok(contents)
    }
}

fn is_secret(problem: &Problem) -> bool {
    matches!(problem.code, "LS401" | "LS413" | "LS414" | "LS416")
}

/// What is wrong with a file, and whether it is a secret. `bytes`: room for what is read, so that not every file needs its own.
fn look(
    source: &Path,
    path: &BundlePath,
    planned: &Planned,
    bytes: &mut Vec<u8>,
) -> Result<(Vec<Problem>, bool), Unreadable> {
    let mut problems: Vec<Problem> = files::name(path).into_iter().collect();
    let PlannedKind::File { size, .. } = planned.kind else { return Ok((problems, false)) };
    let limit = match size {
        size if size <= token::LIMIT => token::LIMIT,
        _ if secret::is_key_file(path.file_name()) => HEAD,
        _ => 0,
    };
    bytes.clear();
    if limit > 0 {
        let from = planned.from.under(source);
        bytes.reserve(usize::try_from(size.min(limit)).unwrap_or(0) + 1);
        File::open(&from)
            .and_then(|file| file.take(limit).read_to_end(bytes))
            .map_err(|source| Unreadable { path: from, source })?;
    }
    problems.extend(files::pointer(path, bytes));
    // A file that is a secret as a whole needs no list of what is in it.
    match secret::file(path, bytes) {
        Some(problem) => problems.push(problem),
        None => problems.extend(token::lint(path, bytes)),
    }
    let secret = problems.iter().any(is_secret);
    Ok((problems, secret))
}
