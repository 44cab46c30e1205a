//! The service: orders, questions, and what is looked at afterwards.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use longshore_agent::deployment::agent::{self, Agent};
use longshore_agent::deployment::answer::Answer;
use longshore_agent::deployment::order::{Cause, Group, OnFailure, Order, Pace, Policy, Revision, StopFrom};
use longshore_agent::deployment::{drive, noop};
use longshore_agent::event::Event;
use longshore_agent::fetch::access::Access;
use longshore_agent::hook::watch::Shim;
use longshore_agent::layout::Layout;
use longshore_core::appspec::FileExists;
use longshore_core::ids::GroupId;
use longshore_core::lifecycle::{LifecycleEvent, ScriptsMap};
use longshore_core::report::{Envelope, Reporter};

use crate::sandbox::Sandbox;

/// In place, without a load balancer.
pub(crate) const IN_PLACE: [&str; 7] = [
    "ApplicationStop",
    "DownloadBundle",
    "BeforeInstall",
    "Install",
    "AfterInstall",
    "ApplicationStart",
    "ValidateService",
];

/// Keeps what it is told.
#[derive(Default)]
pub(crate) struct Told(pub(crate) Mutex<Vec<Event>>);

impl Reporter<Event> for Told {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        self.0.lock().unwrap().push(envelope.event.clone());
    }
}

impl Told {
    pub(crate) fn warnings(&self) -> Vec<String> {
        let told = self.0.lock().unwrap();
        let warning = |event: &Event| match event {
            Event::Warning { message } => Some(message.clone()),
            _ => None,
        };
        told.iter().filter_map(warning).collect()
    }
}

pub(crate) fn agent_at(root: PathBuf, reader: Arc<dyn Reporter<Event>>) -> Agent {
    Agent {
        layout: Layout::new(root),
        reader,
        now: agent::now,
        environment: BTreeMap::from([("PATH".into(), "/usr/local/bin:/usr/bin:/bin".into())]),
        cwd: "/".into(),
        stop: Arc::default(),
        halt: Arc::default(),
        handover: Arc::default(),
        access: Access::default(),
        shim: Shim { exe: env!("CARGO_BIN_EXE_longshore-agent").into() },
    }
}

pub(crate) fn agent(host: &Sandbox) -> Agent {
    agent_at(host.root(), Arc::new(Told::default()))
}

/// As the service gives it.
pub(crate) fn order(id: &str, revision: &Path) -> Order {
    let (application, name) = ("shop".parse().unwrap(), "dev".parse().unwrap());
    Order {
        deployment: id.parse().unwrap(),
        number: 0,
        group: Group { id: GroupId::of(&application, &name), name },
        application,
        revision: Revision::Local(revision.to_owned()),
        events: LifecycleEvent::ALL.to_vec(),
        skip: Vec::new(),
        stop_from: StopFrom::Installed,
        file_exists: FileExists::Disallow,
        cause: Cause::Asked,
        scripts_map: ScriptsMap::InPlace,
        content_digest: None,
        appspec_name: None,
        policy: Policy { on_failure: OnFailure::Leave, ..Policy::default() },
        pace: Pace::OnCommand,
        reuse: None,
        possible_events: None,
        blue_green: false,
    }
}

pub(crate) fn ask(agent: &Agent, order: &Order, event: &str) -> String {
    text(drive::command(agent, order, &event.parse().unwrap()))
}

/// An answer as the service gets it.
pub(crate) fn text(answer: Answer) -> String {
    match answer {
        Answer::Succeeded => "Succeeded".to_owned(),
        Answer::Failed { diagnostics, .. } => diagnostics.to_json(),
        Answer::HandedOver => "handed over".to_owned(),
    }
}

pub(crate) fn all(agent: &Agent, order: &Order, events: &[&str]) {
    for event in events {
        assert_eq!(ask(agent, order, event), "Succeeded", "{event}");
    }
}

pub(crate) fn noops(agent: &Agent, order: &Order, events: &[&str]) -> Vec<bool> {
    events.iter().map(|event| noop::is_noop(&agent.layout, order, &event.parse().unwrap()).unwrap()).collect()
}

pub(crate) fn journal(host: &Sandbox, id: &str) -> Vec<String> {
    let lines = fs::read_to_string(host.deployment(id).join("journal.jsonl")).unwrap();
    let entry = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        let part = |key: &str| line[key].as_str().map(|text| format!(" {text}")).unwrap_or_default();
        format!("{}{}{}", line["entry"].as_str().unwrap(), part("event"), part("outcome"))
    };
    lines.lines().map(entry).collect()
}

/// What `status` and `history` say of the latest deployment.
pub(crate) fn standing(host: &Sandbox) -> (String, serde_json::Value, serde_json::Value) {
    let table = host.run(&["history"]).succeeds().out;
    let records: serde_json::Value =
        serde_json::from_str(&host.run(&["history", "--output", "json"]).succeeds().out).unwrap();
    let row = table.lines().nth(1).unwrap();
    let columns: Vec<&str> = row.split("  ").map(str::trim).filter(|column| !column.is_empty()).collect();
    (columns.last().unwrap().to_string(), records[0]["outcome"].clone(), records[0]["waiting"].clone())
}
