//! Orders from the command service of CodeDeploy: a command is taken, acknowledged, carried out, and its result delivered.
//!
//! ```text
//!   poll ─▶ Taken ─▶ specification, acknowledgement ─▶ Running ─▶ Ended ─▶ completion ─▶ Settled
//!             │                   │                       │          └─ the service is away: kept, tried until it is there
//!             │                   │                       └─ handed over or killed: the next agent goes on from here
//!             │                   └─ it is over for the service already (a no-op): ─▶ Settled
//!             └─ seen before: nothing runs twice
//! ```
//!
//! Each arrow is written to the [`ledger`] before it is taken.

mod ledger;
mod tracking;

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant, SystemTime};

use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::lifecycle::LifecycleEvent;
use tokio::sync::oneshot::error::RecvError;
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::codedeploy::client::{Client, ServiceError};
use crate::codedeploy::command::{CommandStatus, Envelope, HostCommand};
use crate::codedeploy::specification;
use crate::daemon::backoff::{Backoff, rest};
use crate::daemon::notice::{Notice, with_hint};
use crate::daemon::shared::Shared;
use crate::deployment::agent::Agent;
use crate::deployment::answer::Answer;
use crate::deployment::drive;
use crate::deployment::journal;
use crate::deployment::noop;
use crate::deployment::order::Order;
use crate::deployment::progress::Progress;
use crate::fetch::access::Access;
use crate::hook::diagnostics::Diagnostics;
use crate::identity::Identity;
use crate::settings::CodeDeploy;
use ledger::{Ledger, Record, State};
use tracking::Tracking;

/// The name of this source.
pub const NAME: &str = "codedeploy";

/// After how long the service is told that a command is still worked on, and again each time.
const UPDATE: Duration = Duration::from_secs(300);

/// For how long a command waits for a deployment of the same group that somebody made by hand: an event may take an hour.
const BUSY: Duration = Duration::from_secs(50 * 60);

/// What every command is worked on with.
struct Work {
    shared: Shared,
    settings: CodeDeploy,
    client: Client,
    access: Access,
    identity: Identity,
    ledger: Ledger,
    tracking: Tracking,
    /// The commands that this process works on, by id.
    active: RefCell<BTreeSet<String>>,
}

/// Takes commands until the daemon ends, and then until every one is settled or handed over.
pub async fn take(shared: Shared, settings: CodeDeploy, identity: Identity, client: Client, access: Access) {
    let layout = &shared.settings.layout;
    let (mut ending, mut backoff) = (shared.ending.clone(), Backoff::default());
    let ledger = loop {
        match Ledger::open(layout.host_commands()) {
            Ok(ledger) => break ledger,
            // A disk that is full or read-only now may not be for ever.
            Err(error) => {
                let pause = backoff.pause();
                shared.source_lost(NAME, &chain(&error), pause);
                rest(pause, &mut ending).await;
            }
        }
        if *ending.borrow() {
            return;
        }
    };
    // Also on hosts that are never up for long.
    ledger.forget_old();
    let tracking = Tracking::below(layout.root(), &settings.tracking);
    let active = RefCell::default();
    let work = Rc::new(Work { shared, settings, client, access, identity, ledger, tracking, active });
    let mut tasks = JoinSet::new();
    for record in work.left_by_others() {
        tasks.spawn_local(Rc::clone(&work).go_on(record));
    }
    work.poll(&mut tasks).await;
    while tasks.join_next().await.is_some() {}
}

impl Work {
    /// Asks for commands until the daemon ends.
    async fn poll(self: &Rc<Work>, tasks: &mut JoinSet<()>) {
        let (mut ending, mut paused) = (self.shared.ending.clone(), self.shared.paused.subscribe());
        let mut backoff = Backoff::default();
        let mut swept = Instant::now();
        while !*ending.borrow() {
            while tasks.try_join_next().is_some() {}
            if *paused.borrow_and_update() {
                tokio::select! { _ = ending.changed() => {}, _ = paused.changed() => {} }
                continue;
            }
            if swept.elapsed() > Duration::from_secs(3600) {
                swept = Instant::now();
                self.ledger.forget_old();
            }
            let polled = tokio::select! {
                polled = self.client.poll() => polled,
                _ = ending.changed() => break,
                // What is on its way now nobody acknowledges, so it comes again.
                _ = paused.changed() => continue,
            };
            let taken = match polled {
                Ok(None) => Ok(()),
                Ok(Some(command)) => self.accept(command, tasks),
                Err(error) => Err(with_hint(&error, error.hint())),
            };
            let pause = match taken {
                Ok(()) => {
                    self.shared.source_answered(NAME);
                    backoff = Backoff::default();
                    self.settings.pause
                }
                Err(reason) => {
                    let pause = backoff.pause();
                    self.shared.source_lost(NAME, &reason, pause);
                    pause
                }
            };
            rest(pause, &mut ending).await;
        }
    }

    /// Takes a command in, unless it is not for this host or worked on already.
    fn accept(self: &Rc<Work>, command: HostCommand, tasks: &mut JoinSet<()>) -> Result<(), String> {
        let HostCommand { host_command_identifier: id, host_identifier: host, command_name, .. } = &command;
        // The service may name a host shorter than the host itself does (AWS agent 1.8.1).
        if host.is_empty() || !self.client.host().contains(host.as_str()) {
            return Err(format!("the service sent a command for `{host}`, and this is `{}`", self.client.host()));
        }
        if id.is_empty() || command_name.is_empty() {
            return Err("the service sent a command without id or name".to_owned());
        }
        let record = match self.ledger.find(id).map_err(|error| chain(&error))? {
            Some(record) => {
                self.tell(&Notice::CommandAgain { command: id.clone() });
                record
            }
            None => {
                let record = Record { command, at: (self.shared.agent.now)(), state: State::Taken };
                // Without it a restart would not know of it: better not begun, the service sends it again.
                self.ledger.write(&record).map_err(|error| chain(&error))?;
                record
            }
        };
        tasks.spawn_local(Rc::clone(self).go_on(record));
        Ok(())
    }

    /// What this host did not tell the service before the last agent ended: our own commands, and those of an AWS agent.
    fn left_by_others(&self) -> Vec<Record> {
        let left = self.tracking.left().map_err(|error| chain(&error));
        let left = left.unwrap_or_else(|reason| {
            self.tell(&Notice::Warned { message: reason });
            Vec::new()
        });
        for left in left {
            let is_ours = matches!(self.ledger.find(&left.command), Ok(Some(_)) | Err(_));
            if is_ours {
                continue;
            }
            let message = format!("Failed: the agent was restarted while it worked on {}", left.deployment);
            let diagnostics = Diagnostics { error_code: 7, ..Diagnostics::unknown(message) }.to_json();
            let record = Record {
                command: HostCommand {
                    host_command_identifier: left.command,
                    host_identifier: self.client.host().to_owned(),
                    deployment_execution_id: String::new(),
                    command_name: String::new(),
                    nonce: None,
                },
                at: (self.shared.agent.now)(),
                state: State::Ended { status: CommandStatus::Failed, diagnostics },
            };
            match self.ledger.write(&record) {
                Ok(()) => drop(std::fs::remove_file(&left.path)),
                Err(error) => self.tell(&Notice::Warned { message: chain(&error) }),
            }
        }
        self.ledger.open_commands().unwrap_or_else(|error| {
            self.tell(&Notice::Warned { message: chain(&error) });
            Vec::new()
        })
    }

    /// Goes on with a command where its record says it is. One that this process works on already is left to that.
    async fn go_on(self: Rc<Work>, record: Record) {
        let id = record.command.host_command_identifier.clone();
        if !self.active.borrow_mut().insert(id.clone()) {
            return;
        }
        self.advance(record).await;
        self.active.borrow_mut().remove(&id);
    }

    async fn advance(&self, mut record: Record) {
        loop {
            let next = match &record.state {
                State::Taken => self.begin(&mut record).await,
                State::Running { .. } => self.run_written(&record).await,
                State::Ended { .. } => self.deliver(&record).await,
                // The service asks again, because it did not hear us.
                State::Settled { status: None, .. } => self.begin(&mut record).await,
                State::Settled { status: Some(status), diagnostics } => {
                    let _ = self.complete(&record.command, *status, diagnostics).await;
                    return;
                }
            };
            let Some(next) = next else { return };
            record.state = next;
            self.write_down(&record);
            if let State::Settled { .. } = record.state {
                return;
            }
        }
    }

    /// A full disk is no reason to keep a result from the service. The record says less than is true then: the next agent goes
    /// on from there, and the deployment's journal knows what was done.
    fn write_down(&self, record: &Record) {
        if let Err(error) = self.ledger.write(record) {
            self.tell(&Notice::Warned { message: chain(&error) });
        }
    }

    /// Asks what a command is about, tells the service that we work on it, and does. `None`: the daemon ends.
    async fn begin(&self, record: &mut Record) -> Option<State> {
        let id = record.command.host_command_identifier.clone();
        let execution = &record.command.deployment_execution_id;
        let said = self.persistently(&record.command, async || self.client.specification(execution).await).await?;
        let signature = &self.settings.signature;
        let read = said.map_err(|error| with_hint(&error, error.hint())).and_then(|said| {
            specification::read(&said, signature, &self.settings.policy, SystemTime::now())
                .map_err(|error| with_hint(&error, error.hint()))
        });
        let specified = match read {
            Ok(specified) => specified,
            Err(reason) => {
                self.tell(&Notice::CommandRefused {
                    command: id,
                    event: record.command.command_name.clone(),
                    reason: reason.clone(),
                });
                return Some(failed(&Diagnostics::unknown(reason)));
            }
        };
        for message in specified.warnings {
            self.tell(&Notice::Warned { message });
        }
        let name = &record.command.command_name;
        let event = name.parse::<LifecycleEvent>().ok().filter(LifecycleEvent::is_built_in);
        let is_noop = match &event {
            None => true,
            Some(event) => self.is_noop(&specified.order, event).await,
        };
        let acknowledgement = Envelope::of_acknowledgement(is_noop);
        let acknowledge = async || self.client.acknowledge(&id, &acknowledgement).await;
        let status = match self.persistently(&record.command, acknowledge).await? {
            Ok(status) => status,
            Err(error) => return Some(failed(&Diagnostics::unknown(chain(&error)))),
        };
        let Some(event) = event else {
            let message = format!("`{name}` is no command that this agent knows");
            self.tell(&Notice::CommandRefused { command: id, event: name.clone(), reason: message.clone() });
            return Some(match status {
                Some(CommandStatus::Succeeded | CommandStatus::Failed) => settled_by_service(),
                Some(CommandStatus::Pending | CommandStatus::InProgress) | None => {
                    failed(&Diagnostics::unknown(message))
                }
            });
        };
        let order = specified.order;
        let running = State::Running {
            deployment: order.deployment.clone(),
            group: order.group.id.clone(),
            event: event.clone(),
        };
        match status {
            Some(CommandStatus::Pending | CommandStatus::InProgress) | None => {
                record.state = running;
                self.write_down(record);
                self.run(&record.command, order, event, specified.github_token).await
            }
            // A no-op that the service takes for failed: it may be told better (AWS agent 1.8.1).
            Some(CommandStatus::Failed) if is_noop => Some(State::Ended {
                status: CommandStatus::Succeeded,
                diagnostics: Diagnostics::succeeded("CompletedNoopCommand").to_json(),
            }),
            Some(CommandStatus::Failed) => Some(settled_by_service()),
            Some(CommandStatus::Succeeded) => {
                // Over for the service. Our journal gets its line, and what comes is fetched early, all the same.
                if is_noop && self.run(&record.command, order, event, specified.github_token).await.is_none() {
                    return None;
                }
                Some(settled_by_service())
            }
        }
    }

    /// Goes on with a command that an earlier agent began. Its order stands in the deployment's journal, so that the service
    /// need not be there; a journal that was not begun yet means that nothing was.
    async fn run_written(&self, record: &Record) -> Option<State> {
        let State::Running { deployment, group, event } = &record.state else { return None };
        let directory = self.shared.settings.layout.deployment(group, deployment);
        let progress = journal::read(&directory.journal()).ok().and_then(Progress::replay);
        match progress {
            // What it needs was fetched, or it needs nothing.
            Some(progress) if progress.plan_of(event).is_some() => {
                self.run(&record.command, progress.order, event.clone(), None).await
            }
            Some(_) | None => {
                self.tracking.end(deployment);
                Some(State::Taken)
            }
        }
    }

    /// Carries out an event. `None`: it was handed over.
    async fn run(
        &self,
        command: &HostCommand,
        order: Order,
        event: LifecycleEvent,
        github_token: Option<String>,
    ) -> Option<State> {
        let id = &command.host_command_identifier;
        self.tracking.begin(&order.deployment, id);
        let deployment = order.deployment.clone();
        let access = Access { github_token, ..self.access.clone() };
        let agent = self.shared.agent(access, None).telling(&self.identity.hook_variables);
        let mut ending = self.shared.ending.clone();
        let begun = Instant::now();
        let answer = loop {
            let answer = self.ask(&agent, &order, &event, id).await;
            match answer {
                Answer::Failed { failure: Failure { exit: Exit::Busy, .. }, .. }
                    if begun.elapsed() < BUSY && !*ending.borrow() =>
                {
                    rest(Duration::from_secs(2), &mut ending).await;
                }
                Answer::Succeeded | Answer::Failed { .. } | Answer::HandedOver => break answer,
            }
        };
        let state = match answer {
            Answer::Succeeded => {
                State::Ended { status: CommandStatus::Succeeded, diagnostics: Diagnostics::succeeded("").to_json() }
            }
            Answer::Failed { diagnostics, .. } => failed(&diagnostics),
            Answer::HandedOver => return None,
        };
        self.tracking.end(&deployment);
        Some(state)
    }

    /// Has the engine carry an event out, and tells the service now and then that it still does.
    async fn ask(&self, agent: &Agent, order: &Order, event: &LifecycleEvent, id: &str) -> Answer {
        let (answers, mut answered) = oneshot::channel();
        let (worker, order, event) = (agent.clone(), order.clone(), event.clone());
        let group = order.group.id.clone();
        let job = move || {
            // Whoever asked may be gone; the journal has it.
            let _ = answers.send(drive::command(&worker, &order, &event));
        };
        self.shared.desk.submit(group, Box::new(job));
        let answer =
            |answer: Result<Answer, RecvError>| answer.unwrap_or_else(|_| lost(agent.handover.load(Ordering::Relaxed)));
        let mut tells = true;
        loop {
            tokio::select! {
                answered = &mut answered => return answer(answered),
                () = tokio::time::sleep(UPDATE), if tells => {
                    // AWS's agent never says it; a service that does not want to hear it is not told again.
                    let end = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default() + UPDATE;
                    tells = tokio::select! {
                        // A service that is slow to hear it keeps nobody from the result.
                        answered = &mut answered => return answer(answered),
                        told = self.client.update(id, Some(end.as_secs_f64()), None) => told.is_ok(),
                    };
                }
            }
        }
    }

    async fn is_noop(&self, order: &Order, event: &LifecycleEvent) -> bool {
        let (layout, order, event) = (self.shared.settings.layout.clone(), order.clone(), event.clone());
        let looked = tokio::task::spawn_blocking(move || noop::is_noop(&layout, &order, &event)).await;
        match looked {
            Ok(Ok(is_noop)) => is_noop,
            Ok(Err(failure)) => {
                self.tell(&Notice::Warned { message: chain(&*failure.error) });
                false
            }
            Err(_) => false,
        }
    }

    /// Tells the service how a command ended, until it has heard it. `None`: the daemon ends, and the next one tells it.
    async fn deliver(&self, record: &Record) -> Option<State> {
        let State::Ended { status, diagnostics } = &record.state else { return None };
        let settled = || State::Settled { status: Some(*status), diagnostics: diagnostics.clone() };
        match self.complete(&record.command, *status, diagnostics).await? {
            Ok(()) => Some(settled()),
            Err(error) => {
                // Said with the same words it will not be taken the next time either.
                let (command, event) = named(&record.command);
                self.tell(&Notice::ResultRefused { command, event, reason: with_hint(&error, error.hint()) });
                Some(settled())
            }
        }
    }

    async fn complete(
        &self,
        command: &HostCommand,
        status: CommandStatus,
        diagnostics: &str,
    ) -> Option<Result<(), ServiceError>> {
        let diagnostics = Envelope { format: "JSON".to_owned(), payload: diagnostics.to_owned() };
        let id = &command.host_command_identifier;
        self.persistently(command, async || self.client.complete(id, status, &diagnostics).await).await
    }

    /// Says something to the service until it answers, or says that it makes no sense. `None`: the daemon ends.
    async fn persistently<T>(
        &self,
        command: &HostCommand,
        mut say: impl AsyncFnMut() -> Result<T, ServiceError>,
    ) -> Option<Result<T, ServiceError>> {
        let mut ending = self.shared.ending.clone();
        let mut backoff = Backoff::default();
        let mut told = None;
        loop {
            let is_last = *ending.borrow();
            let said = tokio::select! {
                said = say() => said,
                // What is on its way when the daemon is asked to end gets a moment.
                () = ended(&mut ending) => return None,
            };
            match said {
                Err(error) if error.is_transient() => {
                    if is_last {
                        return None;
                    }
                    let pause = backoff.pause();
                    let reason = with_hint(&error, error.hint());
                    if told.as_ref() != Some(&reason) {
                        let (command, event) = named(command);
                        self.tell(&Notice::AnswerKept { command, event, reason: reason.clone() });
                        told = Some(reason);
                    }
                    rest(pause, &mut ending).await;
                }
                said => return Some(said),
            }
        }
    }

    fn tell(&self, notice: &Notice) {
        self.shared.listener.tell(notice);
    }
}

/// Nobody answers for an event any more. The desk dropped it when the daemon ends; otherwise no thread could be had for it, or
/// the one that it had broke down. Without a word the service would wait for it for an hour.
fn lost(ends: bool) -> Answer {
    if ends {
        return Answer::HandedOver;
    }
    let message = "the agent lost the event: no thread could be had for it, or the agent has a defect";
    let failure = Failure::new(Exit::Failed, message);
    Answer::Failed { diagnostics: Diagnostics::unknown(message.to_owned()), failure }
}

fn failed(diagnostics: &Diagnostics) -> State {
    State::Ended { status: CommandStatus::Failed, diagnostics: diagnostics.to_json() }
}

/// A command's id, and its event.
fn named(command: &HostCommand) -> (String, String) {
    (command.host_command_identifier.clone(), command.command_name.clone())
}

fn settled_by_service() -> State {
    State::Settled { status: None, diagnostics: String::new() }
}

/// How long the service may take for its last answer.
const LAST_WORD: Duration = Duration::from_secs(5);

/// Returns when the daemon was asked to end some seconds ago.
async fn ended(ending: &mut watch::Receiver<bool>) {
    // The sender lives as long as the daemon.
    let _ = ending.wait_for(|ending| *ending).await;
    tokio::time::sleep(LAST_WORD).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_that_nobody_answers_for_has_failed_unless_the_daemon_ends() {
        assert!(matches!(lost(true), Answer::HandedOver));
        assert!(matches!(lost(false), Answer::Failed { diagnostics, .. } if diagnostics.error_code == 5));
    }
}
