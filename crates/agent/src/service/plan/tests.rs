//! Which steps follow from what stands on the host.

use super::*;
use crate::layout::DEFAULT_ROOT;
use crate::service::host::{LOCAL_TOOLS, Service};

const ON: Service = Service { is_enabled: true, is_active: true };
const OFF: Service = Service { is_enabled: false, is_active: false };

/// A host with nothing of ours, and AWS's agent as told.
fn fresh(aws: Service) -> Host {
    let tools = LOCAL_TOOLS.iter().map(|path| (path.into(), Place::Free)).collect();
    Host {
        unit: None,
        has_packaged_unit: false,
        config: None,
        has_root: false,
        tools,
        agent: OFF,
        aws,
        aws_deploys: false,
    }
}

fn wish(replace_aws: bool) -> Wish {
    let start =
        Start { program: "/opt/agent".into(), root: DEFAULT_ROOT.into(), config: settings::DEFAULT_PATH.into() };
    Wish { start, replace_aws, start_now: true }
}

/// The steps in short: what a person would note.
fn short(steps: Result<Vec<Step>, Refusal>) -> Vec<String> {
    match steps {
        Err(refusal) => vec![format!("refused: {refusal}")],
        Ok(steps) => steps.iter().map(words).collect(),
    }
}

fn words(step: &Step) -> String {
    match step {
        Step::MakeFolder { path } => format!("mkdir {}", path.display()),
        Step::Write { path, text } if text.contains("enabled = true") => format!("write {} (on)", path.display()),
        Step::Write { path, .. } => format!("write {}", path.display()),
        Step::Remove { path } => format!("rm {}", path.display()),
        Step::Link { path, to } => format!("ln {} {}", to.display(), path.display()),
        Step::Reload => "reload".to_owned(),
        Step::Service { order, unit } => format!("{} {}", order.word(), unit.trim_end_matches(".service")),
    }
}

#[test]
fn a_fresh_host_gets_settings_folders_and_a_unit_and_a_second_run_does_nothing() {
    let steps = [
        "write /etc/longshore/agent.toml",
        "mkdir /opt/codedeploy-agent/deployment-root",
        "write /etc/systemd/system/longshore-agent.service",
        "reload",
        "enable longshore-agent",
        "start longshore-agent",
    ];
    // AWS's agent is not in the way of one that takes no orders from CodeDeploy.
    for aws in [OFF, ON] {
        assert_eq!(short(install(&fresh(aws), &wish(false))), steps);
    }
    let done = Host {
        unit: Some(wish(false).start.unit()),
        config: Some(CONFIG.to_owned()),
        has_root: true,
        agent: ON,
        ..fresh(ON)
    };
    assert_eq!(short(install(&done, &wish(false))), [""; 0]);
    let other = Host { unit: Some("of an older version".to_owned()), ..done.clone() };
    let again = ["write /etc/systemd/system/longshore-agent.service", "reload", "restart longshore-agent"];
    assert_eq!(short(install(&other, &wish(false))), again);
    let away =
        ["stop longshore-agent", "disable longshore-agent", "rm /etc/systemd/system/longshore-agent.service", "reload"];
    assert_eq!(short(Ok(uninstall(&done, Path::new("/opt/agent")))), away);
}

#[test]
fn aws_s_agent_is_stopped_last_and_its_own_tool_is_left() {
    let taken = Host { has_root: true, ..fresh(ON) };
    let tools = vec![(LOCAL_TOOLS[0].into(), Place::Free), (LOCAL_TOOLS[1].into(), Place::Taken)];
    let steps = [
        "write /etc/longshore/agent.toml (on)",
        "write /etc/systemd/system/longshore-agent.service",
        "reload",
        "ln /opt/agent /usr/local/bin/codedeploy-local",
        "stop codedeploy-agent",
        "disable codedeploy-agent",
        "enable longshore-agent",
        "start longshore-agent",
    ];
    assert_eq!(short(install(&Host { tools, ..taken }, &wish(true))), steps);
}

#[test]
fn settings_that_somebody_wrote_are_never_changed() {
    for (config, replace_aws, expected) in [
        ("[codedeploy]\nenabled = true\n", true, vec!["stop codedeploy-agent", "disable codedeploy-agent"]),
        ("", true, vec!["stop codedeploy-agent", "disable codedeploy-agent"]),
        (
            CONFIG,
            true,
            vec![
                "write /etc/longshore/agent.toml (on)",
                "stop codedeploy-agent",
                "disable codedeploy-agent",
                "restart longshore-agent",
            ],
        ),
        ("[[follow]]\n", false, vec![]),
        (CONFIG, false, vec![]),
    ] {
        let host = Host {
            unit: Some(wish(false).start.unit()),
            config: Some(config.to_owned()),
            has_root: true,
            tools: Vec::new(),
            agent: ON,
            ..fresh(ON)
        };
        assert_eq!(short(install(&host, &wish(replace_aws))), expected, "{config}");
    }
}

#[test]
fn what_would_leave_a_host_with_two_agents_or_with_none_is_refused() {
    let two = "refused: AWS's agent runs on this host or starts with it, and `/etc/longshore/agent.toml` says that orders \
               come from CodeDeploy: two agents would take the same orders";
    let none = "refused: `/etc/longshore/agent.toml` says that no orders come from CodeDeploy: without AWS's agent nobody \
                would take them";
    let enabled = Service { is_enabled: true, is_active: false };
    for (config, aws, deploys, replace_aws, expected) in [
        ("", ON, false, false, two),
        ("[codedeploy]\nenabled = true\n[[follow]]\n", enabled, false, false, two),
        ("[[follow]]\n", ON, false, true, none),
        ("[codedeploy]\nenabled = false\n", ON, false, true, none),
        ("", ON, true, true, "refused: AWS's agent is in the middle of a deployment"),
        ("codedeploy = ", ON, false, false, "refused: cannot read the settings in `/etc/longshore/agent.toml`"),
    ] {
        let host = Host { config: Some(config.to_owned()), aws_deploys: deploys, ..fresh(aws) };
        assert_eq!(short(install(&host, &wish(replace_aws))), [expected], "{config}");
    }
    let mut named = wish(false);
    named.start.config = "/srv/agent.toml".into();
    assert_eq!(short(install(&fresh(OFF), &named)), ["refused: there is no `/srv/agent.toml`"]);
}

#[test]
fn the_unit_of_a_package_is_used_where_it_starts_what_is_asked() {
    let mut packaged = wish(false);
    packaged.start.program = super::super::unit::PROGRAM.into();
    let host = Host { has_packaged_unit: true, config: Some(CONFIG.to_owned()), has_root: true, ..fresh(OFF) };
    assert_eq!(short(install(&host, &packaged)), ["enable longshore-agent", "start longshore-agent"]);
    let hidden = Host { unit: Some("old".to_owned()), agent: ON, ..host.clone() };
    let steps = ["rm /etc/systemd/system/longshore-agent.service", "reload", "restart longshore-agent"];
    assert_eq!(short(install(&hidden, &packaged)), steps);
    packaged.start.root = "/srv/root".into();
    let steps = [
        "write /etc/systemd/system/longshore-agent.service",
        "reload",
        "enable longshore-agent",
        "start longshore-agent",
    ];
    assert_eq!(short(install(&host, &packaged)), steps);
}
