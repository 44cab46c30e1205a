//! Entries of an ACL as text, for `setfacl` and for the records. Pure.

use longshore_core::appspec::{Acl, AclTag};

/// An ACL entry in canonical form, `[default:]type:name:rwx`.
pub fn entry_text(entry: &Acl) -> String {
    let default = if entry.default { "default:" } else { "" };
    let tag = match entry.tag {
        AclTag::User => "user",
        AclTag::Group => "group",
        AclTag::Mask => "mask",
        AclTag::Other => "other",
    };
    format!("{default}{tag}:{}:{}", entry.name, rwx(u32::from(entry.permissions)))
}

/// What an ACL, as `getfacl` writes it, lets the owning group do: once there is a mask, the mode does not say it any more.
pub fn owning_group(getfacl: &str) -> Option<u32> {
    let entry = getfacl.lines().find_map(|line| line.strip_prefix("group::"))?;
    let bits = entry.chars().take(3).zip(['r', 'w', 'x']);
    Some(bits.fold(0, |bits, (found, letter)| bits << 1 | u32::from(found == letter)))
}

/// The argument of `setfacl --set` for an object whose owner, group and others have the permissions of `mode`, as the AWS
/// agent 1.8.1 makes it, anew for every object: the base entries from the mode, a mask as wide as the group where a named
/// entry needs one, and, once there is a default entry, all the default ones that must be there.
pub fn argument(entries: &[Acl], mode: u32) -> String {
    let has = |default: bool, tag: AclTag| {
        entries.iter().any(|entry| entry.default == default && entry.tag == tag && entry.name.is_empty())
    };
    let named = |default: bool| entries.iter().any(|entry| entry.default == default && !entry.name.is_empty());
    let base = [(AclTag::User, (mode >> 6) & 7), (AclTag::Group, (mode >> 3) & 7), (AclTag::Other, mode & 7)];
    let entry = |default, tag, permissions: u32| {
        // Three bits fit.
        Acl { default, tag, name: String::new(), permissions: (permissions & 7) as u8 }
    };

    let mut all: Vec<Acl> = base.map(|(tag, bits)| entry(false, tag, bits)).into();
    if named(false) && !has(false, AclTag::Mask) {
        all.push(entry(false, AclTag::Mask, mode >> 3));
    }
    if entries.iter().any(|entry| entry.default) {
        for (tag, bits) in base {
            if !has(true, tag) {
                all.push(entry(true, tag, bits));
            }
        }
        if !has(true, AclTag::Mask) {
            let group =
                entries.iter().find(|entry| entry.default && entry.tag == AclTag::Group && entry.name.is_empty());
            all.push(entry(true, AclTag::Mask, group.map_or(mode >> 3, |group| u32::from(group.permissions))));
        }
    }
    all.extend(entries.iter().cloned());
    let texts: Vec<String> = all.iter().map(entry_text).collect();
    texts.join(",")
}

fn rwx(bits: u32) -> String {
    let letter = |bit, letter| if bits & bit != 0 { letter } else { '-' };
    [letter(4, 'r'), letter(2, 'w'), letter(1, 'x')].iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn acl(default: bool, tag: AclTag, name: &str, permissions: u8) -> Acl {
        Acl { default, tag, name: name.into(), permissions }
    }

    #[test]
    fn the_owning_groups_permissions_are_not_those_of_the_mask() {
        for (text, expected) in [
            ("user::rwx\nuser:1:rwx\ngroup::r-x\nmask::rwx\nother::---\ndefault:group::rwx\n", Some(5)),
            ("user::rwx\ngroup::-w-\t#effective:---\nmask::r--\n", Some(2)),
            ("user::rwx\ngroup::rwx\nother::---\n", Some(7)),
            ("", None),
        ] {
            assert_eq!(owning_group(text), expected, "{text}");
        }
    }

    #[test]
    fn an_acl_is_completed_from_the_mode_of_each_object() {
        for (name, entries, mode, expected) in [
            ("none at all", vec![], 0o640, "user::rw-,group::r--,other::---"),
            (
                "a named entry gets a mask as wide as the group",
                vec![acl(false, AclTag::User, "x", 6)],
                0o2750,
                "user::rwx,group::r-x,other::---,mask::r-x,user:x:rw-",
            ),
            (
                "a mask of the appspec is taken",
                vec![acl(false, AclTag::Group, "g", 7), acl(false, AclTag::Mask, "", 7)],
                0o644,
                "user::rw-,group::r--,other::r--,group:g:rwx,mask::rwx",
            ),
            (
                "default entries are filled up",
                vec![acl(true, AclTag::User, "x", 7)],
                0o755,
                "user::rwx,group::r-x,other::r-x,default:user::rwx,default:group::r-x,default:other::r-x,\
                 default:mask::r-x,default:user:x:rwx",
            ),
            (
                "the default mask follows the default group",
                vec![acl(true, AclTag::Group, "", 4), acl(true, AclTag::Other, "", 0)],
                0o755,
                "user::rwx,group::r-x,other::r-x,default:user::rwx,default:mask::r--,default:group::r--,\
                 default:other::---",
            ),
        ] {
            assert_eq!(argument(&entries, mode), expected, "{name}");
        }
    }
}
