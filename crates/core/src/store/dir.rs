//! A folder as a store.
/// A folder.
#[derive(Debug)]
pub struct DirStore;
