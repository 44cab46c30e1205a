//! Whose a path is: what an installation sets, and what stood before. Values only, the disk unseen.

use serde::{Deserialize, Serialize};

/// Ids to set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Ownership {
    /// User id.
    pub user: Option<u32>,
    /// Group id.
    pub group: Option<u32>,
}

/// What a folder had before its permissions were changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FolderState {
    /// Owner id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Permission bits.
    pub mode: u32,
    /// The ACL as `getfacl` writes it; `None`: it will not be changed.
    pub acl: Option<String>,
}
