//! `longshore prune`.

mod codedeploy;

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::{plural, size};
use longshore_core::host_status;
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::pointer::{self, Pointer};
use longshore_core::store::{Left, Listed, Store, StoreError, StoreUrl};
use serde_json::{Value, json};

use self::codedeploy::CodeDeploy;
use super::group;
use crate::cli::{PruneArgs, SourceArgs, UploadArgs};
use crate::codedeploy::Back;
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::hosts::Hosts;
use crate::identity::Identity;
use crate::past::{self, Deployment};
use crate::pointing::{Place, PointError};
use crate::prune::{self, Needs, PrunePlan, Removal};
use crate::site::Site;
use crate::survey::Project;

/// What CodeDeploy said longer ago is asked again before anything goes, unless asking takes longer than this.
const FRESH: Duration = Duration::from_secs(10);

/// Why nothing, or not all, is removed.
#[derive(Debug, thiserror::Error)]
enum PruneError {
    /// No such folder.
    #[error("there is no store `{0}`: the folder does not exist")]
    NoStore(String),
    /// What a group needs is not known.
    #[error("nothing is removed, because nobody can tell what group `{group}` of `{application}` needs")]
    Group { application: ApplicationName, group: GroupName, source: PointError },
    /// What a host runs is not known.
    #[error(
        "nothing is removed, because what host `{host}` of group `{group}` of `{application}` says cannot be read: {why}"
    )]
    Host { application: ApplicationName, group: GroupName, host: String, why: String },
    /// An artifact could not be removed.
    #[error("cannot remove `{key}`")]
    Remove { key: String, source: StoreError },
    /// Somebody moved a group to what was being removed.
    #[error("a group was moved to what was removed in that moment: {0}")]
    Raced(String),
}

/// Removes old artifacts, or shows which.
pub(crate) fn run(args: &PruneArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let project = Project::open(&SourceArgs::here(), environment)?.accept()?;
    let site = Site::within(&args.site, &UploadArgs::default(), environment, &project.settings, &[])?;
    if let StoreUrl::Dir(folder) = &site.url
        && !folder.is_dir()
    {
        return Err(Failure::new(Exit::NotFound, PruneError::NoStore(site.url.to_string())));
    }
    let only = match &args.application {
        Some(named) => Some(named.clone()),
        None if args.all_applications => None,
        None => Identity::application_of_variable(environment)?.or_else(|| project.settings.application.clone()),
    };
    group::runtime()?.block_on(prune(args, &site, &project, only.as_ref(), environment, screen))
}

async fn prune(
    args: &PruneArgs,
    site: &Site,
    project: &Project,
    only: Option<&ApplicationName>,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    let (store, url) = (site.open().await?, &site.url);
    let listed = store.list("").await?;
    let mut needs = needs(args, &store, &listed, only).await?;
    let codedeploy = CodeDeploy::of(args, site, project, &groups(&listed), only, environment)?;
    for key in codedeploy.needed(Back::By(args.keep_rollbacks), screen).await? {
        needs.entry(key.application.clone()).or_default().keys.insert(key.to_string());
    }
    let plan = prune::plan(&listed, &needs, args.keep, only);
    if !args.yes {
        let (text, json) = result(url, &plan, &Removed::default(), args.yes);
        return screen.result(&text, &json);
    }
    let mut removed = Removed::default();
    let mut watch = Watch { store: &store, codedeploy: &codedeploy, screen, looked: None };
    let ended = remove(&mut watch, &plan, &mut removed).await;
    let (text, json) = result(url, &plan, &removed, args.yes);
    match ended {
        Ok(()) => screen.result(&text, &json),
        Err(failure) => screen.partial(&text, json).and(Err(failure)),
    }
}

/// What the groups of each application need.
async fn needs(
    args: &PruneArgs,
    store: &Store,
    listed: &[Listed],
    only: Option<&ApplicationName>,
) -> Result<BTreeMap<ApplicationName, Needs>, Failure> {
    let mut needs: BTreeMap<ApplicationName, Needs> = BTreeMap::new();
    for (application, group) in groups(listed) {
        if only.is_some_and(|only| *only != application) {
            continue;
        }
        let place = Place { store, application: &application, group: &group };
        let unknown = |source: PointError| {
            let (application, group) = (application.clone(), group.clone());
            let exit = match &source {
                PointError::Store { source, .. } => source.exit(),
                PointError::Unknown { .. }
                | PointError::Older { .. }
                | PointError::Overtaken(_)
                | PointError::Contested { .. }
                | PointError::Interrupted { .. }
                | PointError::Random(_) => Exit::Conflict,
            };
            Failure::new(exit, PruneError::Group { application, group, source })
        };
        let hosts = place.hosts().await.map_err(unknown)?;
        let unreadable = hosts.known().find_map(|(name, host)| Some((name, host.said.as_ref().err()?)));
        if let Some((host, why)) = unreadable {
            let (application, group) = (application.clone(), group.clone());
            let host = PruneError::Host { application, group, host: host.to_owned(), why: why.to_string() };
            let hint = "update the agent or this program, or remove the object if that host is gone";
            return Err(Failure::new(Exit::Conflict, host).hint(hint));
        }
        let of_group = of_group(place, &hosts, args.keep_rollbacks).await.map_err(unknown)?;
        let all = needs.entry(application).or_default();
        all.keys.extend(of_group.keys);
        all.commits.extend(of_group.commits);
    }
    Ok(needs)
}

/// All groups that have a pointer, had one, or have hosts.
fn groups(listed: &[Listed]) -> BTreeSet<(ApplicationName, GroupName)> {
    let parts = |key: &str| {
        let (root, rest) = key.split_once('/')?;
        let (application, rest) = rest.split_once('/')?;
        let group = match (format!("{root}/").as_str(), rest.split_once('/')) {
            (pointer::ROOT, None) => rest.strip_suffix(".json")?,
            (host_status::ROOT | "history/", Some((group, _))) => group,
            (_, _) => return None,
        };
        Some((application.parse().ok()?, group.parse().ok()?))
    };
    listed.iter().filter_map(|listed| parts(&listed.key)).collect()
}

/// Where a group is, what it could go back to, and what its hosts say they run.
async fn of_group(place: Place<'_>, hosts: &Hosts, rollbacks: usize) -> Result<Needs, PointError> {
    let present = match place.read().await? {
        Some(stands) => Some(stands.pointer),
        // Somebody removed it; its group may come back.
        None => match place.generations().await?.into_keys().next_back() {
            Some(generation) => place.in_generation(generation).await?,
            None => None,
        },
    };
    let mut needs = of_hosts(hosts);
    let Some(present) = present else { return Ok(needs) };
    let wanted = Wanted::of(hosts);
    let enough =
        |found: &[Deployment]| past::is_known(found) && distinct(found).len() > rollbacks && wanted.is_found_in(found);
    let deployments = past::read(place, &present, hosts, enough).await?;
    needs.keys.extend(distinct(&deployments).into_iter().take(rollbacks + 1));
    needs.keys.extend(past::way_back(&deployments).map(|way| way.pointer.revision.key));
    needs.keys.extend(wanted.keys(&deployments));
    Ok(needs)
}

/// The artifacts of deployments, each once, in their order.
fn distinct(deployments: &[Deployment]) -> Vec<String> {
    let mut keys: Vec<String> = Vec::new();
    for key in deployments.iter().map(|deployment| &deployment.pointer.revision.key) {
        if !keys.contains(key) {
            keys.push(key.clone());
        }
    }
    keys
}

fn of_hosts(hosts: &Hosts) -> Needs {
    let statuses = hosts.known().filter_map(|(_, host)| host.status());
    let commits = statuses.flat_map(|status| {
        let installed = status.installed.as_ref().and_then(|installed| installed.commit.clone());
        installed.into_iter().chain(status.commit.clone())
    });
    Needs { commits: commits.collect(), ..Needs::default() }
}

/// What hosts name otherwise than by a commit.
struct Wanted {
    deployments: BTreeSet<String>,
    contents: BTreeSet<String>,
}

impl Wanted {
    fn of(hosts: &Hosts) -> Wanted {
        let statuses = || hosts.known().filter_map(|(_, host)| host.status());
        let installed = || statuses().filter_map(|status| status.installed.as_ref());
        let deployments = statuses().filter_map(|status| status.deployment.as_ref());
        Wanted {
            deployments: deployments.map(ToString::to_string).collect(),
            contents: installed().filter_map(|it| it.content_digest).map(|digest| digest.to_string()).collect(),
        }
    }

    fn names(&self, pointer: &Pointer) -> bool {
        self.deployments.contains(pointer.deployment.as_str())
            || self.contents.contains(&pointer.revision.content_digest.to_string())
    }

    fn found<'a>(&'a self, deployments: &'a [Deployment]) -> impl Iterator<Item = &'a Pointer> {
        deployments.iter().map(|deployment| &deployment.pointer).filter(|pointer| self.names(pointer))
    }

    fn keys(&self, deployments: &[Deployment]) -> BTreeSet<String> {
        self.found(deployments).map(|pointer| pointer.revision.key.clone()).collect()
    }

    /// Whether each of them is one of the group's.
    fn is_found_in(&self, deployments: &[Deployment]) -> bool {
        let found = || self.found(deployments);
        let has_deployment = |id: &String| found().any(|pointer| pointer.deployment.as_str() == id);
        let has_contents = |digest: &String| found().any(|it| it.revision.content_digest.to_string() == *digest);
        self.deployments.iter().all(has_deployment) && self.contents.iter().all(has_contents)
    }
}

/// What was done.
#[derive(Default)]
struct Removed {
    keys: Vec<String>,
    bytes: u64,
    /// Artifacts that stay because a group was moved to them meanwhile.
    stayed: Vec<String>,
    /// Whether earlier versions stay below them.
    versions_stay: bool,
}

/// What groups need at this moment.
struct Watch<'a> {
    store: &'a Store,
    codedeploy: &'a CodeDeploy,
    screen: &'a Screen,
    /// What CodeDeploy said last.
    looked: Option<Answer>,
}

/// What CodeDeploy said.
struct Answer {
    needed: BTreeSet<String>,
    /// When it was all there.
    at: Instant,
    /// How long asking took.
    took: Duration,
}

impl Answer {
    /// Whether it is too old to go by. All of CodeDeploy is not asked for each artifact, however long that takes.
    fn is_stale(&self, now: Instant) -> bool {
        now.duration_since(self.at) > FRESH.max(self.took)
    }
}

impl Watch<'_> {
    /// What pointers name, and what CodeDeploy said not long ago.
    async fn needed(&mut self) -> Result<BTreeSet<String>, Failure> {
        let mut keys = pointed_at(self.store).await?;
        if self.looked.as_ref().is_none_or(|answer| answer.is_stale(Instant::now())) {
            let asked = Instant::now();
            let needed = self.codedeploy.needed(Back::Not, self.screen).await?;
            let needed = needed.iter().map(ToString::to_string).collect();
            self.looked = Some(Answer { needed, at: Instant::now(), took: asked.elapsed() });
        }
        keys.extend(self.looked.iter().flat_map(|answer| answer.needed.iter().cloned()));
        Ok(keys)
    }
}

/// Removes what may go, unless a group was moved to it meanwhile.
async fn remove(watch: &mut Watch<'_>, plan: &PrunePlan, removed: &mut Removed) -> Result<(), Failure> {
    for Removal { artifact, keys, size, .. } in &plan.removals {
        if watch.needed().await?.contains(artifact) {
            watch.screen.tell(&Event::Warned(format!("`{artifact}` stays: a group was moved to it meanwhile")));
            removed.stayed.push(artifact.clone());
            continue;
        }
        for key in keys {
            let left = watch.store.remove_artifact(key).await.map_err(|source| {
                let (exit, hint) = (source.exit(), source.hint());
                let failure = Failure::new(exit, PruneError::Remove { key: key.clone(), source });
                hint.into_iter().fold(failure, Failure::hint)
            })?;
            removed.versions_stay |= left == Left::Versions;
            removed.keys.push(key.clone());
        }
        removed.bytes += size;
        watch.screen.tell(&Event::Removed(artifact.clone()));
    }
    watch.looked = None;
    let now = if removed.keys.is_empty() { BTreeSet::new() } else { watch.needed().await? };
    let raced: Vec<&str> = removed.keys.iter().filter(|key| now.contains(*key)).map(String::as_str).collect();
    if raced.is_empty() {
        return Ok(());
    }
    Err(Failure::new(Exit::Conflict, PruneError::Raced(raced.join(", ")))
        .hint("build that commit and push it again, or move the group on"))
}

/// What the pointers of all groups name at this moment. One that cannot be read stops everything.
async fn pointed_at(store: &Store) -> Result<BTreeSet<String>, Failure> {
    let mut keys = BTreeSet::new();
    for (application, group) in groups(&store.list(pointer::ROOT).await?) {
        let place = Place { store, application: &application, group: &group };
        keys.extend(place.read().await?.map(|stands| stands.pointer.revision.key));
    }
    Ok(keys)
}

fn result(url: &StoreUrl, plan: &PrunePlan, removed: &Removed, yes: bool) -> (String, Value) {
    let bytes: u64 = plan.removals.iter().map(|removal| removal.size).sum();
    let mut text = String::new();
    if yes {
        let count = plan.removals.iter().filter(|removal| removed.keys.contains(&removal.keys[0])).count();
        text.push_str(&format!("removed {} ({})\n", plural(count, "artifact"), size(removed.bytes)));
        if removed.versions_stay {
            text.push_str(
                "the bucket keeps versions: theirs stay below delete markers until a lifecycle rule removes them\n",
            );
        }
    } else {
        for removal in &plan.removals {
            let Removal { artifact, modified, size: bytes, .. } = removal;
            text.push_str(&format!("{modified:.0}  {:>10}  {artifact}\n", size(*bytes)));
        }
        let count = plural(plan.removals.len(), "artifact");
        text.push_str(&format!("would remove {count} ({})", size(bytes)));
        text.push_str(if plan.removals.is_empty() { "\n" } else { "; `--yes` removes\n" });
    }
    text.push_str(&format!(
        "{} stay because they are new, {} because groups need them\n",
        plan.newest,
        plan.needed.len() + removed.stayed.len()
    ));
    if plan.foreign > 0 {
        text.push_str(&format!("{} not of Longshore, left alone\n", plural(plan.foreign, "object")));
    }
    let removals = plan.removals.iter().map(|removal| {
        json!({"artifact": removal.artifact, "stored": format!("{:.0}", removal.modified), "size": removal.size, "keys": removal.keys})
    });
    let json = json!({
        "store": url.to_string(),
        "dry_run": !yes,
        "removable": removals.collect::<Vec<_>>(),
        "removed": removed.keys,
        "stayed": removed.stayed,
        "versions_stay": removed.versions_stay,
        "newest": plan.newest,
        "needed": plan.needed,
        "foreign": plan.foreign,
    });
    (text, json)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::cli::Output;

    #[test]
    fn what_codedeploy_said_counts_for_as_long_as_it_took_to_ask() {
        let at = Instant::now();
        let seconds = Duration::from_secs;
        for (took, fresh) in [(seconds(0), seconds(10)), (seconds(10), seconds(10)), (seconds(600), seconds(600))] {
            let answer = Answer { needed: BTreeSet::new(), at, took };
            let stale = [seconds(0), fresh, fresh + seconds(1)].map(|age| answer.is_stale(at + age));
            assert_eq!(stale, [false, false, true], "{took:?}");
        }
    }

    #[tokio::test]
    async fn what_a_group_was_moved_to_meanwhile_stays() {
        let folder = tempfile::tempdir().unwrap();
        let url: StoreUrl = format!("file://{}", folder.path().display()).parse().unwrap();
        let store = Store::open(&url).await.unwrap();
        let key = |number: u8| format!("shop/{number:040x}.zip");
        fs::create_dir(folder.path().join("shop")).unwrap();
        for number in [1, 2] {
            fs::write(folder.path().join(key(number)), "bundle").unwrap();
        }
        let plan = prune::plan(&store.list("").await.unwrap(), &BTreeMap::new(), 0, None);
        assert_eq!(plan.removals.len(), 2);
        let pointer = json!({
            "format": 1, "application": "shop", "group": "dev", "generation": 1, "deployment": "d-1",
            "revision": {"key": key(1), "etag": "e", "size": 1, "content_digest": "0".repeat(64)},
            "commit": "a".repeat(40), "commit_time": 0, "at": "2026-01-02T03:04:06Z", "by": "a@b",
        });
        store.replace_if("groups/shop/dev.json", pointer.to_string().as_bytes(), None).await.unwrap();
        let (mut removed, screen) = (Removed::default(), Screen::new(Output::Text, &Environment::default()));
        let nobody = CodeDeploy::default();
        let mut watch = Watch { store: &store, codedeploy: &nobody, screen: &screen, looked: None };
        remove(&mut watch, &plan, &mut removed).await.unwrap();
        assert_eq!((removed.stayed, removed.keys), (vec![key(1)], vec![key(2)]));
        assert_eq!(store.list("shop/").await.unwrap().into_iter().map(|it| it.key).collect::<Vec<_>>(), [key(1)]);
        // One that cannot be read stops everything.
        fs::write(folder.path().join("groups/shop/dev.json"), "{}").unwrap();
        let failure = remove(&mut watch, &plan, &mut Removed::default()).await.unwrap_err();
        assert_eq!((failure.exit, folder.path().join(key(1)).exists()), (Exit::Conflict, true));
    }
}
