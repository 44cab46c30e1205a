//! A folder of this thread for files that a property must write. In memory where the host has such a place.

use std::path::Path;

use tempfile::TempDir;

thread_local! {
    static SCRATCH: TempDir = {
        let memory = Path::new("/dev/shm");
        let place = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        tempfile::Builder::new().prefix("longshore-fuzz").tempdir_in(place).expect("a temporary folder can be made")
    };
}

/// Calls `f` with the folder, which holds what earlier calls left there.
pub(crate) fn scratch<T>(f: impl FnOnce(&Path) -> T) -> T {
    SCRATCH.with(|dir| f(dir.path()))
}
