//! The `permissions` of an appspec.

use super::{Field, Findings, unknown_keys};
use crate::appspec::check::{self, names};
use crate::appspec::{Context, Os, Pattern, Permission};

pub(super) fn read(root: &Field<'_>, os: Os, findings: &mut Findings<'_>) -> Vec<Permission> {
    let Some(field) = root.given("permissions") else { return Vec::new() };
    let entries = findings.list(&field, "write `- object: …` and what to set below it, indented by two more");
    if os == Os::Windows && !entries.is_empty() {
        let key = Field { node: field.key.unwrap_or(field.node), ..field.clone() };
        findings.error(check::WINDOWS_PERMISSIONS, &key, "permissions are for Linux only", "remove the section");
    }
    entries.iter().filter_map(|entry| permission(entry, findings)).collect()
}

fn permission(entry: &Field<'_>, findings: &mut Findings<'_>) -> Option<Permission> {
    if !findings.mapping(entry, "write `object: …` and what to set") {
        return None;
    }
    unknown_keys(entry, &names::PERMISSION, findings);
    let object = findings.required(entry, "object", "name an installed file, or a folder that files are installed to");
    let object = object.and_then(|field| object_of(&field, findings));
    let pattern = match entry.given("pattern") {
        None => Some(Pattern("**".to_owned())),
        Some(field) => findings.text(&field).and_then(|text| findings.judge(&field, check::pattern(text))),
    };
    let except = entry.given("except").map_or_else(Vec::new, |field| {
        let items = findings.lenient_list(&field);
        items
            .iter()
            .filter_map(|item| findings.text(item).and_then(|text| findings.judge(item, check::pattern(text))))
            .collect()
    });
    let (files, directories) = kinds(entry, findings);
    let owner = name(entry, "owner", findings);
    let group = name(entry, "group", findings);
    let mode = entry
        .given("mode")
        .and_then(|field| findings.scalar(&field).and_then(|scalar| findings.judge(&field, check::mode(scalar))));
    let acls = entry.given("acls").map(|field| {
        let items = findings.lenient_list(&field);
        items
            .iter()
            .filter_map(|item| findings.text(item).and_then(|text| findings.judge(item, check::acl(text))))
            .collect()
    });
    let context = entry.given("context").and_then(|field| context(&field, findings));
    let sets = ["owner", "group", "mode", "acls", "context"];
    if !sets.iter().any(|key| entry.given(key).is_some()) {
        let message = "sets nothing: it has no owner, group, mode, acls or context";
        findings.warning(check::IDLE_PERMISSION, entry, message, "add one of them, or remove the entry");
    }
    Some(Permission {
        object: object?,
        pattern: pattern?,
        except,
        files,
        directories,
        owner,
        group,
        mode,
        acls,
        context,
        span: entry.span(),
    })
}

fn object_of(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<String> {
    let text = findings.text(field)?.trim();
    findings.judge(field, check::object(text))
}

/// Whether files and whether folders are meant.
fn kinds(entry: &Field<'_>, findings: &mut Findings<'_>) -> (bool, bool) {
    let Some(field) = entry.given("type") else { return (true, true) };
    let items = findings.lenient_list(&field);
    if items.is_empty() && field.node.as_list().is_some() {
        let message = "is an empty list, and so the entry matches nothing";
        findings.warning(check::IDLE_PERMISSION, &field, message, "remove the line to mean files and folders");
    }
    let mut meant = (false, false);
    for item in items {
        let kind = findings.text(&item).and_then(|text| findings.judge(&item, check::kind(text)));
        match kind {
            Some(check::ObjectKind::File) => meant.0 = true,
            Some(check::ObjectKind::Directory) => meant.1 = true,
            None => {}
        }
    }
    meant
}

fn name(entry: &Field<'_>, key: &str, findings: &mut Findings<'_>) -> Option<String> {
    let field = entry.given(key)?;
    let scalar = findings.scalar(&field)?;
    findings.judge(&field, check::owner(scalar)).flatten()
}

fn context(field: &Field<'_>, findings: &mut Findings<'_>) -> Option<Context> {
    if !findings.mapping(field, "write `type: …` and, where needed, `name: …` and `range: …`") {
        return None;
    }
    unknown_keys(field, &names::CONTEXT, findings);
    let kind = findings.required(field, "type", "name the SELinux type, for example `httpd_sys_content_t`");
    let kind = kind.and_then(|kind| findings.text(&kind));
    let (name, user) = (field.given("name"), field.given("user"));
    match (&name, &user) {
        (Some(_), Some(user)) => {
            let message = "`name` is used as the SELinux user, and `user` is not";
            findings.warning(check::CONTEXT_USER, user, message, "keep one of the two");
        }
        (None, Some(user)) => {
            let message = "`user` is used as the SELinux user; the AWS agent drops it and reads `name`";
            findings.warning(check::CONTEXT_USER, user, message, "write `name` if the AWS agent is to read it too");
        }
        (Some(_) | None, None) => {}
    }
    let user = name.or(user).and_then(|user| findings.text(&user)).map(str::to_owned);
    let range = field
        .given("range")
        .and_then(|range| findings.text(&range).and_then(|text| findings.judge(&range, check::range(text))));
    Some(Context { user, kind: kind?.to_owned(), range })
}
