//! What is decided, from values alone.

use std::path::PathBuf;
use std::time::Duration;

use longshore_core::failure::Exit;
use longshore_core::lifecycle::ScriptsMap;

use super::super::order::tests::order;
use super::super::plan::Revision;
use super::*;
use crate::hook::command::HookUser;
use crate::release::Release;

fn hook(location: &str, run_as: Option<&str>) -> Hook {
    Hook {
        script: location.parse().unwrap(),
        location: location.to_owned(),
        timeout: Duration::from_secs(60),
        run_as: run_as.map(str::to_owned),
        sudo: false,
        span: 0..0,
    }
}

fn appspec(hooks: &[(LifecycleEvent, Hook)]) -> AppSpec {
    let mut appspec = AppSpec {
        os: Os::Linux,
        files: Vec::new(),
        file_exists: None,
        permissions: Vec::new(),
        hooks: indexmap::IndexMap::new(),
    };
    for (event, hook) in hooks {
        appspec.hooks.entry(event.clone()).or_default().push(hook.clone());
    }
    appspec
}

/// A revision whose scripts are all there and executable.
fn revision(id: &str, hooks: &[(LifecycleEvent, Hook)]) -> Revision {
    let archive = PathBuf::from(format!("/root/{id}/deployment-archive"));
    let scripts = hooks.iter().map(|(_, hook)| (hook.script.under(&archive), Script::File(0o755))).collect();
    let release = Release {
        deployment: id.parse().unwrap(),
        application: None,
        group: None,
        commit: None,
        content_digest: None,
        archive,
        appspec_name: None,
        at: None,
        signed_by: None,
    };
    Revision { release, appspec: Ok(appspec(hooks)), scripts, faults: BTreeMap::new() }
}

fn nothing_to_install() -> InstallPlan {
    InstallPlan {
        directories: Vec::new(),
        copies: Vec::new(),
        permissions: Vec::new(),
        renewals: Vec::new(),
        removals: Vec::new(),
        remembered: Vec::new(),
        contexts_before: Vec::new(),
        notes: Vec::new(),
    }
}

fn decide(order: &Order, new: &Revision, installed: Option<&Revision>) -> Plan {
    let agent = Account { user: "root".to_owned(), group: "root".to_owned(), uid: 0 };
    let surroundings = Surroundings { agent, users: BTreeMap::new(), install: Ok(nothing_to_install()) };
    plan(order, Revisions { new, installed, most_recent: None }, &Listing::default(), surroundings)
}

/// Each event that runs scripts, and whose.
fn whose(plan: &Plan) -> Vec<(LifecycleEvent, &str)> {
    plan.events
        .iter()
        .filter_map(|planned| match &planned.action {
            Action::Hooks { revision, .. } => Some((planned.event.clone(), revision.deployment.as_str())),
            Action::Nothing { .. } | Action::Download { .. } | Action::Install { .. } => None,
        })
        .collect()
}

#[test]
fn what_stops_comes_from_the_installed_revision_and_all_else_from_the_new_one() {
    use LifecycleEvent::{AfterInstall, ApplicationStop, BeforeBlockTraffic};
    let hooks = [ApplicationStop, BeforeBlockTraffic, AfterInstall].map(|event| (event, hook("x.sh", None)));
    let (old, new) = (revision("d-OLD", &hooks), revision("d-NEW", &hooks));
    for (installed, stop_from, skip, expected) in [
        (None, StopFrom::Installed, None, vec![(AfterInstall, "d-NEW")]),
        (
            Some(&old),
            StopFrom::Installed,
            None,
            vec![(BeforeBlockTraffic, "d-OLD"), (ApplicationStop, "d-OLD"), (AfterInstall, "d-NEW")],
        ),
        (
            Some(&old),
            StopFrom::New,
            None,
            vec![(BeforeBlockTraffic, "d-NEW"), (ApplicationStop, "d-NEW"), (AfterInstall, "d-NEW")],
        ),
        (
            Some(&old),
            StopFrom::Installed,
            Some(ApplicationStop),
            vec![(BeforeBlockTraffic, "d-OLD"), (AfterInstall, "d-NEW")],
        ),
    ] {
        let order = Order { stop_from, skip: skip.into_iter().collect(), ..order() };
        let plan = decide(&order, &new, installed);
        assert_eq!(whose(&plan), expected);
        assert_eq!(plan.blockers, []);
    }
}

#[test]
fn everything_after_the_first_script_is_expected() {
    let new = revision("d-NEW", &[(LifecycleEvent::BeforeInstall, hook("x.sh", None))]);
    let plan = decide(&order(), &new, None);
    let certain = plan.events.iter().take_while(|planned| !planned.expected).count();
    assert_eq!(plan.events[certain - 1].event, LifecycleEvent::BeforeInstall);
    assert!(plan.events[certain..].iter().all(|planned| planned.expected));
}

#[test]
fn scripts_and_users_that_are_not_there_block_unless_before_install_may_bring_the_user() {
    use LifecycleEvent::{AfterInstall, BeforeInstall};
    let mut new =
        revision("d-NEW", &[(AfterInstall, hook("gone.sh", None)), (AfterInstall, hook("x.sh", Some("app")))]);
    new.scripts.insert("/root/d-NEW/deployment-archive/gone.sh".into(), Script::Missing);
    let plan = decide(&order(), &new, None);
    let texts: Vec<String> = plan.blockers.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "AfterInstall: script `gone.sh` is not a file in the bundle (looked for \
             /root/d-NEW/deployment-archive/gone.sh)",
            "AfterInstall: script `x.sh` should run as `app`, and this host knows no such user",
        ]
    );
    assert_eq!(plan.blockers[0].exit(), Exit::Invalid);

    let new =
        revision("d-NEW", &[(BeforeInstall, hook("useradd.sh", None)), (AfterInstall, hook("x.sh", Some("app")))]);
    let plan = decide(&order(), &new, None);
    assert_eq!(plan.blockers, []);
    assert_eq!(plan.warnings.len(), 1, "{:?}", plan.warnings);
}

#[test]
fn an_agent_that_is_not_root_cannot_run_a_script_as_somebody_else() {
    let user = |name: &str, uid| {
        RunAs::User(HookUser {
            name: name.to_owned(),
            uid,
            gid: uid,
            groups: vec![uid],
            home: "/".into(),
            shell: "/bin/sh".into(),
        })
    };
    let new = revision("d-NEW", &[(LifecycleEvent::AfterInstall, hook("x.sh", Some("app")))]);
    for (agent_uid, app_uid, blocked) in [(0, 1001, false), (1000, 1001, true), (1001, 1001, false)] {
        let agent = Account { user: "deploy".to_owned(), group: "deploy".to_owned(), uid: agent_uid };
        let users = [("app".to_owned(), user("app", app_uid))].into();
        let surroundings = Surroundings { agent, users, install: Ok(nothing_to_install()) };
        let plan = plan(
            &order(),
            Revisions { new: &new, installed: None, most_recent: None },
            &Listing::default(),
            surroundings,
        );
        let texts: Vec<String> = plan.blockers.iter().map(ToString::to_string).collect();
        let expected =
            ["AfterInstall: script `x.sh` should run as `app`, and the agent runs as `deploy`, not as root".to_owned()];
        assert_eq!(texts, if blocked { &expected[..] } else { &[] }, "agent {agent_uid}, script {app_uid}");
    }
}

#[test]
fn an_installed_revision_that_cannot_be_read_blocks_only_what_needs_it() {
    let mut old = revision("d-OLD", &[]);
    old.appspec = Err("there is no appspec in /root/d-OLD/deployment-archive".to_owned());
    let new = revision("d-NEW", &[]);
    let plan = decide(&order(), &new, Some(&old));
    let texts: Vec<String> = plan.blockers.iter().map(ToString::to_string).collect();
    assert_eq!(
        texts,
        [
            "BeforeBlockTraffic, AfterBlockTraffic, ApplicationStop: the scripts of the installed revision cannot be read: \
          there is no appspec in /root/d-OLD/deployment-archive"
        ]
    );
    assert_eq!(
        plan.blockers[0].hint(),
        "leave them out with `--skip BeforeBlockTraffic,AfterBlockTraffic,ApplicationStop`, or stop with the new release's \
         scripts: `--stop-from new`"
    );
    let plan = decide(&Order { stop_from: StopFrom::New, ..order() }, &new, Some(&old));
    assert_eq!(plan.blockers, []);
}

#[test]
fn a_script_that_is_not_executable_is_noted() {
    let mut new = revision("d-NEW", &[(LifecycleEvent::AfterInstall, hook("x.sh", None))]);
    new.scripts.insert("/root/d-NEW/deployment-archive/x.sh".into(), Script::File(0o644));
    let plan = decide(&order(), &new, None);
    let notes: Vec<&String> = plan
        .events
        .iter()
        .flat_map(|planned| match &planned.action {
            Action::Hooks { hooks, .. } => hooks.iter().flat_map(|hook| &hook.notes).collect(),
            Action::Nothing { .. } | Action::Download { .. } | Action::Install { .. } => Vec::new(),
        })
        .collect();
    assert_eq!(notes, ["not executable in the bundle: will be made executable"]);
}

#[test]
fn a_script_that_cannot_be_started_is_refused_unless_a_script_before_it_may_mend_that() {
    use LifecycleEvent::{AfterInstall, ApplicationStop, BeforeInstall};
    let windows = || Fault::WindowsLineEnd { reason: "bad line end".to_owned() };
    let missing = || Fault::NoInterpreter { interpreter: "/bin/zsh".into() };
    let (bad, good) = (|event| (event, hook("bad.sh", None)), |event| (event, hook("good.sh", None)));
    for (what, fault, new, old, blockers, warnings) in [
        ("line end alone", windows(), vec![bad(AfterInstall)], vec![], 1, 0),
        ("line end after a stop script", windows(), vec![bad(AfterInstall)], vec![good(ApplicationStop)], 1, 0),
        ("line end after BeforeInstall", windows(), vec![good(BeforeInstall), bad(AfterInstall)], vec![], 0, 1),
        ("interpreter alone", missing(), vec![bad(AfterInstall)], vec![], 1, 0),
        ("interpreter after a stop script", missing(), vec![bad(AfterInstall)], vec![good(ApplicationStop)], 0, 1),
        (
            "interpreter after a script of its event",
            missing(),
            vec![good(AfterInstall), bad(AfterInstall)],
            vec![],
            0,
            1,
        ),
        ("interpreter of an earlier script", missing(), vec![bad(BeforeInstall), good(AfterInstall)], vec![], 1, 0),
        ("not in PATH", Fault::NotInPath { program: "node".to_owned() }, vec![bad(AfterInstall)], vec![], 0, 1),
    ] {
        let (mut new, old) = (revision("d-NEW", &new), revision("d-OLD", &old));
        new.faults.insert(new.release.archive.join("bad.sh"), fault);
        let plan = decide(&order(), &new, Some(&old));
        assert_eq!((plan.blockers.len(), plan.warnings.len()), (blockers, warnings), "{what}: {plan:#?}");
        assert!(plan.blockers.iter().all(|blocker| blocker.exit() == Exit::HookFailed), "{what}");
    }
    // One of the installed revision has its own way round.
    let mut old = revision("d-OLD", &[bad(ApplicationStop)]);
    old.faults.insert(old.release.archive.join("bad.sh"), windows());
    let plan = decide(&order(), &revision("d-NEW", &[]), Some(&old));
    assert!(plan.blockers[0].hint().contains("--skip ApplicationStop"), "{}", plan.blockers[0].hint());
}

#[test]
fn what_traffic_runs_without_a_bundle_is_where_the_aws_agent_looks_for_it() {
    use ScriptsFrom::{Current, Installed, MostRecent};
    let [block, allow] = [LifecycleEvent::AfterBlockTraffic, LifecycleEvent::AfterAllowTraffic];
    // Map, event, whether there is a plan of all events, whether the revision was put here.
    for (map, event, is_planned, is_here, from) in [
        (ScriptsMap::InPlace, &block, false, false, Some(Installed)),
        (ScriptsMap::InPlace, &allow, false, false, Some(Current)),
        (ScriptsMap::InPlace, &block, false, true, Some(Current)),
        (ScriptsMap::InPlace, &block, true, false, None),
        (ScriptsMap::InPlace, &block, true, true, Some(Current)),
        (ScriptsMap::InPlace, &allow, true, true, None),
        (ScriptsMap::BlueGreenRollback, &block, false, false, Some(MostRecent)),
        (ScriptsMap::BlueGreenRollback, &allow, false, false, Some(Installed)),
        (ScriptsMap::BlueGreenRollback, &allow, false, true, Some(Current)),
    ] {
        let order = Order { blue_green: true, scripts_map: map, ..order() };
        assert_eq!(alone(&order, event, is_planned, is_here), from, "{map:?} {event} {is_planned} {is_here}");
        let in_place = Order { blue_green: false, ..order };
        assert_eq!(alone(&in_place, event, is_planned, is_here), None, "in place there is a bundle");
    }
}
