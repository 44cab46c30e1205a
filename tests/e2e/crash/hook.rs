//! The agent goes away in the middle of a script, with its host or without it.

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};

use crate::check;
use crate::host::{Host, Ran, Stage, eventually};
use crate::release::{EVENTS, Expected, INSTALLED, NEW};

/// Starts a deployment and kills its agent while the script of an event waits.
fn kill_during(host: &Host<'_>, event: &str) {
    host.load(INSTALLED);
    mkfifo(&host.gate(event), Mode::S_IRWXU).unwrap();
    let mut agent = host.deploy("new.tar", NEW).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    eventually("the script runs", || {
        let trace = fs::read_to_string(host.trace()).unwrap_or_default();
        trace.ends_with(&format!("{NEW} {event}\n")).then_some(())
    });
    agent.kill().unwrap();
    agent.wait().unwrap();
}

/// Lets the script of an event end.
fn open_gate(host: &Host<'_>, event: &str) {
    fs::File::options().write(true).open(host.gate(event)).unwrap().write_all(b"go\n").unwrap();
    // Scripts of later deployments do not wait.
    fs::remove_file(host.gate(event)).unwrap();
}

/// Ends the shim of the running script, and the script.
fn kill_script(host: &Host<'_>) {
    let running = eventually("the shim has written down what runs", || {
        let hooks = fs::read_dir(host.deployment(NEW).join("hooks")).unwrap();
        let mut texts = hooks.filter_map(|hook| fs::read(hook.unwrap().path().join("running.json")).ok());
        texts.find_map(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
    });
    for name in ["shim", "pid"] {
        kill(Pid::from_raw(running[name].as_i64().unwrap().try_into().unwrap()), Signal::SIGKILL).unwrap();
    }
    check::no_script_runs(host, NEW);
}

/// The agent in the background.
fn start(command: &mut Command) -> std::process::Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_script_whose_agent_is_killed_is_found_again_and_runs_once() {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, true);
    let jobs: Vec<(&str, bool)> = EVENTS.into_iter().flat_map(|event| [(event, true), (event, false)]).collect();
    let name = |job: &(&str, bool)| format!("{}, which {}", job.0, if job.1 { "still runs" } else { "has ended" });
    stage.each(&jobs, name, |host, (event, still_runs)| {
        kill_during(host, event);
        let restart = if *still_runs {
            let restart = start(&mut host.resume());
            eventually("the restart has found the script", || {
                check::journal(host, NEW).iter().any(|line| line["entry"] == "resumed").then_some(())
            });
            open_gate(host, event);
            restart
        } else {
            open_gate(host, event);
            check::no_script_runs(host, NEW);
            start(&mut host.resume())
        };
        let output = restart.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(check::ended(host).outcome.as_deref(), Some("succeeded"));
        assert!(check::has_one_release(host, &expected));
        check::ran_once(host, NEW, &EVENTS, true);
        check::is_tidy(host);
        check::goes_on(host);
    });
}

#[test]
fn a_script_that_a_reboot_ends_fails_its_deployment_and_never_runs_again() {
    let stage = Stage::new();
    let expected = Expected::of(&stage, &EVENTS, true);
    stage.each(
        &EVENTS,
        |event| (*event).to_owned(),
        |host, event| {
            kill_during(host, event);
            kill_script(host);
            fs::remove_file(host.gate(event)).unwrap();
            host.after_reboot(|| {
                let restart = Ran::of(&mut host.resume()).exits(5);
                assert!(restart.told.contains("interrupted") && restart.told.contains("hint: "), "{}", restart.told);
                assert_eq!(check::ended(host).outcome.as_deref(), Some("interrupted"));
                assert_eq!(check::has_one_release(host, &expected), check::done(host, "Install"));
                let until = EVENTS.iter().position(|other| other == event).unwrap();
                check::ran_once(host, NEW, &EVENTS[..=until], true);
                check::is_tidy(host);
                let again = Ran::of(&mut host.resume()).succeeds();
                assert_eq!(
                    check::journal(host, NEW).iter().filter(|line| line["entry"] == "closed").count(),
                    1,
                    "{again:?}"
                );
                check::goes_on(host);
            });
        },
    );
}

#[test]
fn a_new_deployment_waits_for_the_script_of_a_killed_one() {
    let stage = Stage::new();
    Expected::of(&stage, &EVENTS, true);
    stage.on_host(|host| {
        kill_during(host, "AfterInstall");
        let refused = Ran::of(&mut host.deploy("next", "d-EARLY")).exits(9);
        assert!(
            refused.told.contains("script `hook.sh` of the interrupted deployment d-NEW still runs"),
            "{}",
            refused.told
        );
        open_gate(host, "AfterInstall");
        check::no_script_runs(host, NEW);
        check::goes_on(host);
        assert_eq!(check::ended(host).outcome.as_deref(), Some("interrupted"));
        check::ran_once(host, NEW, &EVENTS, false);
    });
}
