//! Users and groups that the appspecs name.

use longshore_core::appspec::AclTag;

use super::Finding;
use super::subject::Subject;
use crate::hook::command::RunAs;
use crate::hook::user;
use crate::install::permissions::{group_id, user_id};

const CHECK: &str = "users";

pub(super) fn check(subjects: &[Subject]) -> Vec<Finding> {
    let mut findings: Vec<Finding> = subjects.iter().flat_map(missing).collect();
    findings.dedup();
    if findings.is_empty() && !subjects.is_empty() {
        findings.push(Finding::ok(CHECK, "every user and group that the appspec names is known"));
    }
    findings
}

fn missing(subject: &Subject) -> Vec<Finding> {
    let mut findings = Vec::new();
    let name = &subject.name;
    let mut unknown = |what: String, fix: String| {
        let why = format!("{name} needs it, and is refused without");
        findings.push(Finding::error(CHECK, what, why, fix));
    };
    for hook in subject.appspec.hooks.values().flatten() {
        if let Some(user) = &hook.run_as
            && matches!(user::resolve(Some(user)), Ok(RunAs::Unknown(_)))
        {
            unknown(
                format!("there is no user `{user}` (runas of `{}`)", hook.location),
                format!("useradd --system {user}"),
            );
        }
    }
    for permission in &subject.appspec.permissions {
        let acls = permission.acls.iter().flatten().filter(|acl| !acl.name.is_empty());
        let (mut users, mut groups): (Vec<&String>, Vec<&String>) = (Vec::new(), Vec::new());
        for acl in acls {
            match acl.tag {
                AclTag::User => users.push(&acl.name),
                AclTag::Group => groups.push(&acl.name),
                AclTag::Mask | AclTag::Other => {}
            }
        }
        let object = &permission.object;
        for user in permission.owner.iter().chain(users).filter(|user| matches!(user_id(user), Ok(None))) {
            unknown(
                format!("there is no user `{user}` (permissions of `{object}`)"),
                format!("useradd --system {user}"),
            );
        }
        for group in permission.group.iter().chain(groups).filter(|group| matches!(group_id(group), Ok(None))) {
            unknown(
                format!("there is no group `{group}` (permissions of `{object}`)"),
                format!("groupadd --system {group}"),
            );
        }
    }
    findings
}
