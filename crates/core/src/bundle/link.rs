//! Where a symbolic link of a bundle points, by its text alone. Pure: what stands on a disk does not matter.

use super::BundlePath;

/// The place inside the bundle that a link at `path` with the text `target` names; `None` when it points outside or at the
/// top of the bundle. Links on the way are taken for folders.
pub(super) fn destination(path: &BundlePath, target: &str) -> Option<BundlePath> {
    walk(path, target)?.join("/").parse().ok()
}

/// Whether a link at `path` with the text `target` points outside the bundle.
pub(super) fn leaves(path: &BundlePath, target: &str) -> bool {
    walk(path, target).is_none()
}

fn walk<'a>(path: &'a BundlePath, target: &'a str) -> Option<Vec<&'a str>> {
    if target.starts_with('/') {
        return None;
    }
    let mut parts: Vec<&str> = path.parts().collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            name => parts.push(name),
        }
    }
    Some(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_stays_inside_or_leaves_by_its_text() {
        for (path, target, inside) in [
            ("a", "b", Some("b")),
            ("a/b", "c", Some("a/c")),
            ("a/b", "../c", Some("c")),
            ("a/b", "./x//../y/", Some("a/y")),
            ("a/b", "..", None),
            ("a", "../b", None),
            ("a/b", "../../b", None),
            ("a/b", "x/../../../a", None),
            ("a", "/etc/passwd", None),
        ] {
            assert_eq!(
                destination(&path.parse().unwrap(), target).as_ref().map(BundlePath::as_str),
                inside,
                "{target}"
            );
        }
        assert!(leaves(&"a".parse().unwrap(), "../b"));
        assert!(!leaves(&"a/b".parse().unwrap(), ".."), "the top of the bundle is inside");
    }
}
