//! Whom scripts run as. Needs root, as an agent usually has it.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use longshore_agent::hook::command::{HookUser, RunAs};
use longshore_agent::hook::{HookOutcome, HookReport, user};

use crate::fixture::{Fixture, plain, steady, write_executable};

const WHO: &str =
    "#!/bin/sh\nid -u; id -g; id -G; echo $HOME; echo $USER $LOGNAME; echo $SHELL; echo $LIFECYCLE_EVENT\n";

fn resolved(name: &str) -> HookUser {
    match user::resolve(Some(name)).unwrap() {
        RunAs::User(user) => user,
        other @ (RunAs::Agent | RunAs::Unknown(_)) => panic!("{name}: {other:?}"),
    }
}

/// A shim that runs as `daemon`, for an agent that is not root.
fn as_daemon(fixture: &mut Fixture) {
    let agent = env!("CARGO_BIN_EXE_longshore-agent");
    // The program stands in root's home on some machines; the shim's own files are the agent's.
    write_executable(&fixture.path("longshore-agent"), fs::read(agent).unwrap());
    let wrapper = "#!/bin/sh\nset -e\ndir=$(dirname \"$0\")\nmkdir -p \"$dir/logs\"\nchown -R daemon \"$dir\"\n\
                   exec setpriv --reuid=1 --regid=1 --clear-groups \"$dir/longshore-agent\" \"$@\"\n";
    write_executable(&fixture.path("agent"), wrapper);
    fixture.shim.exe = fixture.path("agent");
    fixture.agent_uid = 1;
}

#[test]
fn users_are_found_by_name_and_by_number() {
    assert_eq!(user::resolve(None).unwrap(), RunAs::Agent);
    let nobody = resolved("nobody");
    assert_eq!((nobody.uid, nobody.name.as_str()), (65534, "nobody"));
    assert!(nobody.groups.contains(&nobody.gid), "{nobody:?}");
    assert_eq!(resolved("65534"), nobody);
    for name in ["no-such-user", "4000000000", "-1", ""] {
        assert_eq!(user::resolve(Some(name)).unwrap(), RunAs::Unknown(name.into()), "{name:?}");
    }
}

#[test]
fn a_script_runs_wholly_as_its_user() {
    let nobody = HookUser { groups: vec![65534, 4, 20], ..resolved("nobody") };
    let (home, shell) = (nobody.home.display().to_string(), nobody.shell.display().to_string());
    let fixture = Fixture { user: RunAs::User(nobody), ..Fixture::new() };
    let report = fixture.run_text(WHO);
    let expected = ["65534", "65534", "65534 4 20", &home, "nobody nobody", &shell, "AfterInstall"];
    assert_eq!(report.last_lines, expected.map(|line| format!("[stdout]{line}")));
    assert_eq!(report.outcome, HookOutcome::Passed);
}

#[test]
fn a_user_cannot_become_root_again() {
    let fixture = Fixture { user: RunAs::User(resolved("nobody")), ..Fixture::new() };
    let report = fixture.run_text("#!/bin/sh\ngrep -E '^(Uid|Gid|CapEff|CapPrm)' /proc/self/status | tr '\\t' ' '\n");
    let expected = [
        "Uid: 65534 65534 65534 65534",
        "Gid: 65534 65534 65534 65534",
        "CapPrm: 0000000000000000",
        "CapEff: 0000000000000000",
    ];
    assert_eq!(report.last_lines, expected.map(|line| format!("[stdout]{line}")));
}

#[test]
fn sudo_means_nothing_to_an_agent_that_is_root_and_keeps_the_variables() {
    let fixture = Fixture { sudo: true, ..Fixture::new() };
    let report = fixture.run_text("#!/bin/sh\nid -u; echo $LIFECYCLE_EVENT\n");
    assert_eq!(report.last_lines, ["[stdout]0", "[stdout]AfterInstall"]);
    let fixture = Fixture { sudo: true, user: RunAs::User(resolved("nobody")), ..Fixture::new() };
    let report = fixture.run_text("#!/bin/sh\nid -u; echo $LIFECYCLE_EVENT\n");
    assert_eq!(report.last_lines, ["[stdout]65534", "[stdout]AfterInstall"]);
}

#[test]
fn an_unknown_user_is_named() {
    let fixture = Fixture { user: user::resolve(Some("no-such-user")).unwrap(), ..Fixture::new() };
    let report = fixture.run_text("#!/bin/sh\n");
    assert_eq!(steady(&report), plain(HookOutcome::NoSuchUser { user: "no-such-user".into() }));
    assert_eq!(
        fixture.log(),
        "LifecycleEvent - AfterInstall\nScript - hook.sh\nLongshore - user `no-such-user` of `hook.sh` does not exist\n"
    );
}

#[test]
fn what_keeps_a_user_from_a_script_is_named() {
    for (denied, mode, verb) in [
        ("archive", 0o700, "enter"),
        ("archive/hook.sh", 0o711, "read and run"),
        ("archive/hook.sh", 0o744, "read and run"),
    ] {
        let fixture = Fixture { user: RunAs::User(resolved("nobody")), ..Fixture::new() };
        fixture.script("hook.sh", "#!/bin/sh\n");
        fs::set_permissions(fixture.path(denied), fs::Permissions::from_mode(mode)).unwrap();
        let path = fixture.path(denied);
        let reason = format!("user `nobody` may not {verb} `{}` (mode {mode:04o}, owner 0, group 0)", path.display());
        assert_eq!(steady(&fixture.run("hook.sh")), plain(HookOutcome::NotStarted { reason }), "{denied} {mode:o}");
    }
}

#[test]
fn an_agent_that_is_not_root_runs_scripts_as_itself_only() {
    let mut fixture = Fixture { user: RunAs::User(resolved("daemon")), ..Fixture::new() };
    as_daemon(&mut fixture);
    let report = fixture.run_text("#!/bin/sh\nid -u; echo $USER\n");
    assert_eq!(report.last_lines, ["[stdout]1", "[stdout]daemon"]);
    assert_eq!(report.outcome, HookOutcome::Passed);

    let mut fixture = Fixture { user: RunAs::User(resolved("nobody")), ..Fixture::new() };
    as_daemon(&mut fixture);
    let reason = "the agent is not root and cannot run `hook.sh` as user `nobody`; run the agent as root, or write \
                  `sudo: true` and let sudo allow it";
    let report = fixture.run_text("#!/bin/sh\n");
    assert_eq!(steady(&report), plain(HookOutcome::NotStarted { reason: reason.into() }));
}

#[test]
fn the_real_sudo_of_an_agent_that_is_not_root_keeps_the_deployment_variables() {
    for (user, uid) in [(RunAs::Agent, 0), (RunAs::User(resolved("nobody")), 65534)] {
        let mut fixture = Fixture { user, sudo: true, ..Fixture::new() };
        as_daemon(&mut fixture);
        // Rules of our own, which nobody but this shim sees. They stand elsewhere than the fixture, all of which is given
        // to the user: sudo accepts only rules of root.
        let wrapper = format!(
            "#!/bin/sh\nexec unshare --mount sh -c 'mount -t tmpfs none /mnt && umask 227 && \
             echo \"daemon ALL=(ALL:ALL) NOPASSWD:SETENV: ALL\" >/mnt/sudoers && umask 022 && \
             mount --bind /mnt/sudoers /etc/sudoers && exec \"$0\" \"$@\"' {} \"$@\"\n",
            fixture.path("agent").display()
        );
        write_executable(&fixture.path("with-rules"), wrapper);
        fixture.shim.exe = fixture.path("with-rules");
        let report =
            fixture.run_text("#!/bin/sh\nid -u; echo $LIFECYCLE_EVENT $DEPLOYMENT_ID $LONGSHORE_ARCHIVE_DIR\n");
        let archive = fixture.path("archive").display().to_string();
        let expected = [format!("[stdout]{uid}"), format!("[stdout]AfterInstall d-1 {archive}")];
        assert_eq!((report.outcome, report.last_lines.as_slice()), (HookOutcome::Passed, &expected[..]));
    }
}

#[test]
fn an_agent_that_is_not_root_calls_sudo_with_the_variables_it_must_keep() {
    let kept = "LIFECYCLE_EVENT,DEPLOYMENT_ID,APPLICATION_NAME,DEPLOYMENT_GROUP_NAME,DEPLOYMENT_GROUP_ID,LONGSHORE_ARCHIVE_DIR";
    for (user, option) in [(RunAs::Agent, None), (RunAs::User(resolved("nobody")), Some("--user=nobody"))] {
        let mut fixture = Fixture { user, sudo: true, ..Fixture::new() };
        as_daemon(&mut fixture);
        fixture.script("hook.sh", "#!/bin/sh\n");
        fixture.env.insert("PATH".into(), format!("{}:/usr/bin:/bin", fixture.path("bin").display()).into());
        let report = fixture.run("hook.sh");
        if !fixture.path("bin/sudo").exists() && !std::path::Path::new("/usr/bin/sudo").exists() {
            let reason = "`hook.sh` asks for sudo, which is not installed";
            assert_eq!(steady(&report), plain(HookOutcome::NotStarted { reason: reason.into() }));
        }
        // Stands in for sudo, which asks files of the host that no test may change.
        write_executable(&fixture.path("bin/sudo"), "#!/bin/sh\nprintf '%s\\n' \"$@\"\n");
        let report = fixture.shim.run(&fixture.command("hook.sh"), &fixture.path("hooks/2"), &mut |_, _| {}).unwrap();
        let script = fixture.path("archive/hook.sh").display().to_string();
        let kept = format!("--preserve-env={kept}");
        let args = ["--non-interactive", &kept].into_iter().chain(option).chain(["--", &script]);
        let last_lines = args.map(|line| format!("[stdout]{line}")).collect();
        assert_eq!(steady(&report), HookReport { last_lines, ..plain(HookOutcome::Passed) });
    }
}
