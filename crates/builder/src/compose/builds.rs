//! Pure: which images each group builds.

use longshore_core::bundle::BundlePath;
use longshore_core::ids::{CommitHash, GroupName};

use super::model::Model;
use super::{Compose, ComposeGroup};

/// What compose can build and push for one group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct GroupBuilds {
    /// The group.
    pub(crate) group: GroupName,
    /// Its compose files, below the source folder, later ones on top.
    pub(crate) files: Vec<BundlePath>,
    /// What its hosts have as `.env`, later ones on top.
    pub(crate) env_files: Vec<BundlePath>,
    /// The active profiles.
    pub(crate) profiles: Vec<String>,
    /// Its services that are built and have a name to be pushed under: service and image, variables filled in.
    pub(crate) services: Vec<(String, String)>,
}

/// What compose can build and push for each group, `COMMIT_HASH` being the commit.
pub(crate) fn builds(compose: &Compose, commit: &CommitHash) -> Vec<GroupBuilds> {
    let of_group = |group: &ComposeGroup| {
        let model = Model::of(group, commit.as_str(), &|path| compose.file(path));
        let services = model.active().filter(|service| service.tree.get("build").is_some()).filter_map(|service| {
            // What has no value here (LS355) would be pushed under another name than hosts pull.
            let image = service.tree.get("image")?.as_text().filter(|image| image.unknown.is_empty())?;
            Some((service.name.clone(), image.text.clone()))
        });
        GroupBuilds {
            group: group.name.clone(),
            files: group.files.clone(),
            env_files: group.env_files.clone(),
            profiles: group.profiles.clone(),
            services: services.collect(),
        }
    };
    compose.groups.iter().map(of_group).collect()
}
