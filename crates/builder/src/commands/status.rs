//! `longshore status`.

use std::collections::BTreeSet;

use jiff::Timestamp;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::host_status;
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::pointer::{self, Pointer};
use longshore_core::store::{Store, StoreUrl};
use serde_json::{Value, json};

use super::group;
use crate::cli::{SourceArgs, StatusArgs};
use crate::display::{Screen, sheet};
use crate::environment::Environment;
use crate::event::{Event, HostSeen};
use crate::fleet;
use crate::hosts::{Host, Hosts};
use crate::identity::Identity;
use crate::pointing::Place;
use crate::site::Site;
use crate::waiting;

/// Why there is nothing to show.
#[derive(Debug, thiserror::Error)]
enum StatusError {
    /// No such folder.
    #[error("there is no store `{0}`: the folder does not exist")]
    NoStore(String),
    /// No such group.
    #[error("there is no group `{group}`{of} in `{store}`")]
    NoGroup { group: GroupName, of: String, store: String },
    /// No such host.
    #[error("no host `{host}` of group `{group}`{of} says anything in `{store}`")]
    NoHost { host: String, group: GroupName, of: String, store: String },
    /// Several such hosts.
    #[error("`{host}` follows group `{group}` of several applications: {applications}")]
    ManyHosts { host: String, group: GroupName, applications: String },
}

/// A group and its hosts.
struct Group {
    application: ApplicationName,
    group: GroupName,
    /// `None`: nobody has moved it yet.
    pointer: Option<Pointer>,
    /// Why the pointer cannot be read.
    unreadable: Option<Failure>,
    hosts: Hosts,
}

/// Shows groups and their hosts.
pub(crate) fn run(args: &StatusArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let site = Site::of(&args.site, environment, &SourceArgs::here(), args.group.as_slice())?;
    let url = &site.url;
    let named = match &args.application {
        Some(named) => Some(named.clone()),
        None => Identity::application_of_variable(environment)?,
    };
    let runtime = group::runtime()?;
    if let StoreUrl::Dir(folder) = url
        && !folder.is_dir()
    {
        let missing = StatusError::NoStore(url.to_string());
        return Err(Failure::new(Exit::NotFound, missing).hint("the first `longshore push` makes it"));
    }
    let store = runtime.block_on(site.open())?;
    let wanted = |application: &ApplicationName, group: &GroupName| {
        named.as_ref().is_none_or(|named| named == application)
            && args.group.as_ref().is_none_or(|named| named == group)
    };
    let groups = runtime.block_on(read(&store, wanted))?;
    let of = named.as_ref().map(|named| format!(" of `{named}`")).unwrap_or_default();
    if let (Some(host), Some(group)) = (&args.forget, &args.group) {
        let found = find(&groups, host, group, &of, url)?;
        return runtime.block_on(forget(&store, host, found, screen));
    }
    if let (Some(group), true) = (&args.group, groups.is_empty()) {
        let missing = StatusError::NoGroup { group: group.clone(), of, store: url.to_string() };
        let push = format!("longshore push --to {} --group {group}", quoted(&url.to_string()));
        return Err(
            Failure::new(Exit::NotFound, missing).hint(format!("a group begins with its first pointer: {push}"))
        );
    }
    let now = Timestamp::now();
    let (texts, json): (Vec<String>, Vec<Value>) =
        groups.iter().map(|group| (text(group, now), document(group, now))).unzip();
    let text = if texts.is_empty() { format!("no group in {url}\n") } else { texts.join("\n") };
    let unreadable = groups.into_iter().find_map(|group| group.unreadable);
    match unreadable {
        None => screen.result(&text, &json!({"groups": json})),
        Some(failure) => screen.partial(&text, json!({"groups": json})).and(Err(failure)),
    }
}

/// All groups that have a pointer or a host.
async fn read(store: &Store, wanted: impl Fn(&ApplicationName, &GroupName) -> bool) -> Result<Vec<Group>, Failure> {
    let mut names = BTreeSet::new();
    for listed in store.list(pointer::ROOT).await? {
        let parts = listed.key.strip_prefix(pointer::ROOT).and_then(|rest| rest.split_once('/'));
        names.extend(parts.and_then(|(application, group)| parse(application, group.strip_suffix(".json")?)));
    }
    for listed in store.list(host_status::ROOT).await? {
        let mut parts = listed.key.split('/').skip(1);
        names.extend(parts.next().zip(parts.next()).and_then(|(application, group)| parse(application, group)));
    }
    let mut groups = Vec::new();
    for (application, group) in names.into_iter().filter(|(application, group)| wanted(application, group)) {
        let place = Place { store, application: &application, group: &group };
        let (pointer, unreadable) = match place.read().await {
            Ok(stands) => (stands.map(|stands| stands.pointer), None),
            Err(error) => (None, Some(error.into())),
        };
        let mut hosts = Hosts::default();
        hosts.refresh(store, &application, &group, |_| false).await?;
        groups.push(Group { application, group, pointer, unreadable, hosts });
    }
    Ok(groups)
}

/// Names of others that are none are no groups.
fn parse(application: &str, group: &str) -> Option<(ApplicationName, GroupName)> {
    Some((application.parse().ok()?, group.parse().ok()?))
}

fn seen(group: &Group, now: Timestamp) -> Vec<HostSeen> {
    let pointer = group.pointer.as_ref();
    group.hosts.known().map(|(name, host)| waiting::seen(name, host, pointer, now)).collect()
}

fn text(group: &Group, now: Timestamp) -> String {
    let Group { application, group: name, pointer, unreadable, .. } = group;
    let mut text = match unreadable {
        None => sheet::pointer_line(application.as_str(), name.as_str(), pointer.as_ref(), now),
        Some(_) => format!("{application} {name}: the pointer cannot be read"),
    };
    text.push('\n');
    let hosts = seen(group, now);
    if hosts.is_empty() {
        text.push_str("no host follows it\n");
    } else {
        text.push_str(&sheet::table(pointer.as_ref(), &hosts));
    }
    text
}

fn document(group: &Group, now: Timestamp) -> Value {
    let host = |seen: &HostSeen| {
        let mut json = sheet::host_json(seen);
        let status = seen.status.as_ref();
        json["silent"] = json!(status.map(|status| fleet::is_silent(status, seen.age_s)));
        json["behind"] =
            json!(status.zip(group.pointer.as_ref()).map(|(status, pointer)| fleet::is_behind(pointer, status)));
        json
    };
    json!({
        "application": group.application,
        "group": group.group,
        "pointer": group.pointer,
        "hosts": seen(group, now).iter().map(host).collect::<Vec<_>>(),
    })
}

/// The one group in which a host says something.
fn find<'a>(
    groups: &'a [Group],
    host: &str,
    group: &GroupName,
    of: &str,
    url: &StoreUrl,
) -> Result<(&'a Group, &'a Host), Failure> {
    let in_group =
        |group: &'a Group| group.hosts.known().find(|(name, _)| *name == host).map(|(_, host)| (group, host));
    let found: Vec<_> = groups.iter().filter_map(in_group).collect();
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(Failure::new(
            Exit::NotFound,
            StatusError::NoHost { host: host.into(), group: group.clone(), of: of.into(), store: url.to_string() },
        )),
        many => {
            let applications: Vec<&str> = many.iter().map(|(group, _)| group.application.as_str()).collect();
            let applications = applications.join(", ");
            let many = StatusError::ManyHosts { host: host.into(), group: group.clone(), applications };
            Err(Failure::new(Exit::Usage, many).hint("say which with `--application`"))
        }
    }
}

async fn forget(store: &Store, name: &str, (group, host): (&Group, &Host), screen: &Screen) -> Result<(), Failure> {
    let key = host_status::key(&group.application, &group.group, name);
    store.remove(&key).await?;
    let age_s = host.age_s(Timestamp::now());
    let lives = host.status().filter(|status| !fleet::is_silent(status, age_s)).map(|_| age_s);
    screen.tell(&Event::Forgot { host: name.to_owned(), lives });
    let json = json!({"application": group.application, "group": group.group, "forgot": name, "key": key});
    screen.result("", &json)
}
