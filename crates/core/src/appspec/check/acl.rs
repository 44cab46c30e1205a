//! One entry of `acls`, by the grammar of the AWS agent 1.8.1.

use super::{ACL, Verdict};
use crate::appspec::{Acl, AclTag};

/// `[default:][type:][name:]permissions`, two to four parts, read from the right.
pub(crate) fn acl(text: &str) -> Verdict<Acl> {
    match read(text) {
        Ok(acl) => Verdict::accept(acl),
        Err(why) => Verdict::refuse(ACL, format!("`{text}`: {why}"))
            .fix("write `[default:]user|group|mask|other:name:permissions`, for example `user:deploy:rwx`"),
    }
}

fn read(text: &str) -> Result<Acl, String> {
    let parts: Vec<&str> = text.split(':').collect();
    let (left, name, permissions) = match parts.as_slice() {
        [name, permissions] => (&[][..], *name, *permissions),
        [left @ .., name, permissions] if left.len() <= 2 => (left, *name, *permissions),
        _ => return Err("must have two to four parts between `:`".to_owned()),
    };
    let permissions = read_permissions(permissions)?;
    // `mask` and `other` are types that have no name. Where another type stands before them, they are a name.
    let nameless = tag(name).filter(|tag| matches!(tag, AclTag::Mask | AclTag::Other));
    let (default, written) = match left {
        [] => (false, None),
        [one] if is_default(one) => (true, None),
        [one] => (false, Some(*one)),
        [first, second, ..] => {
            if !is_default(first) {
                return Err(format!("an entry of four parts begins with `default`, found `{first}`"));
            }
            if is_default(second) {
                return Err("`default` stands twice".to_owned());
            }
            (true, Some(*second))
        }
    };
    let (tag, name) = match (written, nameless) {
        (None, Some(tag)) => (tag, ""),
        (None, None) => (AclTag::User, name),
        (Some(written), nameless) => {
            let tag = tag(written)
                .ok_or_else(|| format!("`{written}` is none of `user`, `group`, `mask`, `other` and `default`"))?;
            let name = match nameless {
                Some(AclTag::Mask) => "mask",
                Some(AclTag::Other) => "other",
                Some(AclTag::User | AclTag::Group) | None => name,
            };
            (tag, name)
        }
    };
    match tag {
        AclTag::Mask | AclTag::Other if !name.is_empty() => Err("`mask` and `other` have no name".to_owned()),
        AclTag::User | AclTag::Group | AclTag::Other if !default && name.is_empty() => {
            Err("owner, group and others are set with `mode`".to_owned())
        }
        AclTag::User | AclTag::Group | AclTag::Mask | AclTag::Other => {
            Ok(Acl { default, tag, name: name.to_owned(), permissions })
        }
    }
}

fn is_default(text: &str) -> bool {
    matches!(text, "d" | "default")
}

fn tag(text: &str) -> Option<AclTag> {
    match text {
        "u" | "user" => Some(AclTag::User),
        "g" | "group" => Some(AclTag::Group),
        "m" | "mask" => Some(AclTag::Mask),
        "o" | "other" => Some(AclTag::Other),
        _ => None,
    }
}

/// One digit, or any of `r w x -`; nothing is no permission.
fn read_permissions(text: &str) -> Result<u8, String> {
    if let [digit @ b'0'..=b'7'] = text.as_bytes() {
        return Ok(digit - b'0');
    }
    text.chars().try_fold(0, |sum, c| match c {
        'r' => Ok(sum | 4),
        'w' => Ok(sum | 2),
        'x' => Ok(sum | 1),
        '-' => Ok(sum),
        other => Err(format!("permissions are one digit from 0 to 7 or letters of `rwx-`, found `{other}`")),
    })
}
