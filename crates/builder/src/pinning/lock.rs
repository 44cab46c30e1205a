//! Pure: the text of a lock file, a compose file that is read on top of a group's own.

use std::fmt::Write as _;

use longshore_core::bundle::ManifestImage;
use longshore_core::ids::GroupName;

use crate::compose::ComposeGroup;
use crate::images::reference::Reference;

/// The lock file of a group. A function of the images alone, so that the same images give the same bundle.
pub(super) fn text(group: &GroupName, images: &[&ManifestImage]) -> String {
    let mut text = format!(
        "# Written by `longshore build --lock-images`: what the tags of group `{group}` led to when this bundle was built.\n\
         # Read on top of the group's compose files, it makes hosts run these very images.\nservices:\n"
    );
    for image in images {
        let reference = image.image.parse::<Reference>().ok();
        let digest = image.digest.as_deref().and_then(|digest| digest.parse().ok());
        let (Some(reference), Some(digest)) = (reference, digest) else { continue };
        // JSON's texts are YAML's: a service may be named `on` or `1`.
        let service = serde_json::Value::from(image.service.as_str());
        let pinned = serde_json::Value::from(reference.pinned(&digest));
        // Writing to a String cannot fail.
        let _ = writeln!(text, "  {service}:\n    image: {pinned}");
    }
    text
}

/// Which compose files the lock file of a group is read on top of, one a line, and with which profiles: hooks that read others would
/// start services that have nothing but an image.
pub(super) fn list(group: &ComposeGroup) -> String {
    let profiles = match group.profiles.as_slice() {
        [] => String::new(),
        profiles => format!("COMPOSE_PROFILES={}\n", profiles.join(",")),
    };
    let files = group.files.iter().map(|file| format!("{file}\n"));
    files.chain([profiles]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_file_names_each_image_by_its_digest_as_the_compose_file_spells_it() {
        let digest = format!("sha256:{}", "a".repeat(64));
        let image = |service: &str, image: &str| ManifestImage {
            group: "prod".parse().unwrap(),
            service: service.into(),
            image: image.into(),
            digest: Some(digest.clone()),
        };
        let fixed = format!("x.io/db:16@{digest}");
        let images =
            [image("cache", "redis"), image("db", &fixed), image("on", "docker.io/me/x:1"), image("web", "h:5/w:2")];
        let expected = "\
# Written by `longshore build --lock-images`: what the tags of group `prod` led to when this bundle was built.
# Read on top of the group's compose files, it makes hosts run these very images.
services:
  \"cache\":
    image: \"redis@D\"
  \"db\":
    image: \"x.io/db@D\"
  \"on\":
    image: \"docker.io/me/x@D\"
  \"web\":
    image: \"h:5/w@D\"
";
        let group = "prod".parse().unwrap();
        assert_eq!(text(&group, &images.iter().collect::<Vec<_>>()), expected.replace('D', &digest));
    }
}
