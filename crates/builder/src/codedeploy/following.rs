//! Follows a deployment, and the rollback after it, to the end. Tells what is new; the exit code is for others.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use longshore_core::chance;
use longshore_core::failure::chain;
use longshore_core::ids::DeploymentId;

use super::client::{self, Client};
use super::deployment::{Deployment, Progress, Status, Target, Waits};
use super::service_error::ServiceError;
use crate::cli::OnInterrupt;
use crate::display::Screen;
use crate::event::{Deploying, Event};
use crate::interrupt::Interruptions;
use crate::interruption::{self, Answer, Told};

/// The time between two looks when something has changed.
const SHORTEST: Duration = Duration::from_secs(2);
/// When nothing changes.
const LONGEST: Duration = Duration::from_secs(15);
/// When CodeDeploy is asked too often.
const THROTTLED: Duration = Duration::from_secs(60);
/// How long the look may take that is under way when time is up.
const LAST_LOOK: Duration = Duration::from_secs(10);
/// How often instances are asked for once the deployment has ended.
const LAST_LOOKS: u32 = 4;
/// The time between two looks while somebody is asked what an interruption means.
const WHILE_ASKED: Duration = Duration::from_secs(3);
/// How long CodeDeploy may take to say that it rolls back.
const UNTIL_ROLLBACK: Duration = Duration::from_secs(30);
/// After this long without news a line says that it goes on: CI systems end jobs that are silent.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// How long is waited, and what an interruption means.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How long.
    pub(crate) limit: Duration,
    /// When that is over.
    pub(crate) until: Instant,
    /// What Ctrl-C means.
    pub(crate) on_interrupt: OnInterrupt,
}

/// How it ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// It succeeded.
    Succeeded,
    /// It failed, and nothing came after it.
    Failed,
    /// It was stopped, and nothing came after it.
    Stopped,
    /// CodeDeploy was told from here to stop it and agreed; that it, or the rollback after it, ended was not seen.
    Stopping,
    /// CodeDeploy was told from here to stop it, and nobody waited for the answer.
    PerhapsStopping,
    /// It failed or was stopped, and the revision before it was deployed again.
    RolledBack,
    /// That failed too.
    RollbackFailed,
    /// Time was up.
    TimedOut,
    /// Somebody wants this process to end; the deployment goes on.
    Left,
    /// CodeDeploy cannot be asked.
    Lost(ServiceError),
}

/// A deployment as it was seen last.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    /// The deployment.
    pub(crate) deployment: Deployment,
    /// Its instances, by their ids.
    pub(crate) targets: Vec<Target>,
}

/// How it ended, and what was seen.
#[derive(Debug)]
pub(crate) struct Followed {
    /// How.
    pub(crate) ended: Ended,
    /// The deployment; `None`: it was never seen.
    pub(crate) seen: Option<Seen>,
    /// The rollback after it.
    pub(crate) rollback: Option<Seen>,
}

/// Follows a deployment, and the rollback after it.
pub(crate) async fn follow(
    client: &Client<'_>,
    id: &DeploymentId,
    terms: &Terms,
    signals: &mut Interruptions,
    screen: &Screen,
) -> Followed {
    screen.tell(&Deploying::Following { deployment: id.clone(), limit: terms.limit }.into());
    let mut watch = Watch::new(client, id, screen);
    let course = watch.follow_on(terms, signals).await;
    let (ended, rollback) = match course {
        Course::Over(Status::Succeeded) => (Ended::Succeeded, None),
        Course::Over(status) => {
            let alone = if status == Status::Stopped { Ended::Stopped } else { Ended::Failed };
            match watch.rollback(terms).await {
                None => (alone, None),
                Some(rollback) => {
                    screen.tell(&Deploying::RollingBack { of: id.clone(), deployment: rollback.clone() }.into());
                    let mut second = Watch::new(client, &rollback, screen);
                    second.stopping = watch.stopping;
                    let ended = match second.follow_on(terms, signals).await {
                        Course::Over(Status::Succeeded) => Ended::RolledBack,
                        Course::Over(_) => Ended::RollbackFailed,
                        Course::Else(ended) => watch.unseen(ended),
                    };
                    (ended, second.seen())
                }
            }
        }
        Course::Else(ended) => (watch.unseen(ended), None),
    };
    screen.tell(&Event::WaitEnded);
    Followed { ended, seen: watch.seen(), rollback }
}

/// How one deployment went.
enum Course {
    /// It ended like this.
    Over(Status),
    /// It was not seen to end.
    Else(Ended),
}

struct Watch<'a> {
    client: &'a Client<'a>,
    id: &'a DeploymentId,
    screen: &'a Screen,
    deployment: Option<Deployment>,
    targets: BTreeMap<String, Target>,
    /// The order in which instances were listed does not matter; what was listed and cannot be read does not count.
    settled: BTreeSet<String>,
    /// Nobody may look at instances.
    hidden: bool,
    lost: bool,
    /// Somebody asked to stop it from here.
    stopping: bool,
    /// CodeDeploy has agreed to that.
    stopped: bool,
    /// It has perhaps.
    perhaps: bool,
    interval: Duration,
    news: Instant,
    begun: Instant,
}

impl<'a> Watch<'a> {
    fn new(client: &'a Client<'a>, id: &'a DeploymentId, screen: &'a Screen) -> Watch<'a> {
        Watch {
            client,
            id,
            screen,
            deployment: None,
            targets: BTreeMap::new(),
            settled: BTreeSet::new(),
            hidden: false,
            lost: false,
            stopping: false,
            stopped: false,
            perhaps: false,
            interval: SHORTEST,
            news: Instant::now(),
            begun: Instant::now(),
        }
    }

    fn seen(&self) -> Option<Seen> {
        let deployment = self.deployment.clone()?;
        Some(Seen { deployment, targets: self.targets.values().cloned().collect() })
    }

    /// The end of something whose end was not seen: what was stopped from here counts as that.
    fn unseen(&self, ended: Ended) -> Ended {
        match ended {
            Ended::TimedOut | Ended::Left if self.stopped => Ended::Stopping,
            Ended::Lost(error) if self.stopped => {
                self.screen.tell(&Event::Warned(format!("how it ends is not seen: {}", chain(&error))));
                Ended::Stopping
            }
            Ended::Left if self.perhaps => Ended::PerhapsStopping,
            ended => ended,
        }
    }

    async fn follow_on(&mut self, terms: &Terms, signals: &mut Interruptions) -> Course {
        loop {
            tokio::select! {
                biased;
                () = signals.next() => {
                    // A second time says clearly enough what is wanted.
                    let answer = if self.stopping {
                        Answer::Leave
                    } else {
                        self.screen.tell(&Event::WaitEnded);
                        tokio::select! {
                            biased;
                            answer = interruption::answer(terms.on_interrupt, self.id, signals, self.screen) => answer,
                            // There is nothing left to ask about.
                            () = self.end(terms) => Answer::GoOn,
                        }
                    };
                    match answer {
                        Answer::Leave => return Course::Else(Ended::Left),
                        Answer::GoOn => self.screen.tell(&Deploying::FollowingAgain(self.id.clone()).into()),
                        Answer::Stop => if self.stop(signals).await == Answer::Leave {
                            return Course::Else(Ended::Left);
                        },
                    }
                }
                course = self.look_again(terms) => return course,
            }
        }
    }

    /// Waits until the deployment has ended or time is up, and shows nothing.
    async fn end(&self, terms: &Terms) {
        loop {
            let left = terms.until.saturating_duration_since(Instant::now());
            let ended = tokio::time::timeout(left, async {
                tokio::time::sleep(WHILE_ASKED).await;
                self.client.deployment(self.id).await.is_ok_and(|deployment| deployment.status.is_final())
            });
            if ended.await.unwrap_or(true) {
                return;
            }
        }
    }

    /// Stops it, unless that is refused or somebody wants to leave.
    async fn stop(&mut self, signals: &mut Interruptions) -> Answer {
        self.stopping = true;
        self.screen.tell(&Deploying::FollowingAgain(self.id.clone()).into());
        let stopped = self.client.patiently(async || self.client.stop(self.id, None).await);
        let (answer, next) = match interruption::told(stopped, signals).await {
            Told::Answer(answer) => (Some(answer), Answer::GoOn),
            Told::Leaving(answer) => (answer, Answer::Leave),
        };
        self.interval = SHORTEST;
        match answer {
            Some(Ok(_)) => {
                self.stopped = true;
                self.screen.tell(&Deploying::StopAsked(self.id.clone()).into());
            }
            // It was faster, which the next look shows.
            Some(Err(error)) if error.is("DeploymentAlreadyCompletedException") => return Answer::GoOn,
            Some(Err(error)) => {
                self.perhaps = error.is_unclear();
                let is = if self.perhaps { "perhaps not stopped" } else { "not stopped" };
                let on = if next == Answer::GoOn { ", and followed on" } else { "" };
                self.screen.tell(&Event::Warned(format!("{} is {is}{on}: {}", self.id, chain(&error))));
            }
            None => self.perhaps = true,
        }
        next
    }

    async fn look_again(&mut self, terms: &Terms) -> Course {
        let mut last_looks = 0;
        loop {
            // A server that takes requests and does not answer must not hold up the end.
            let patience = terms.until.saturating_duration_since(Instant::now()).max(LAST_LOOK);
            let looked = tokio::time::timeout(patience, self.look()).await;
            let is_over = Instant::now() >= terms.until;
            // How it ended is known, whatever is not known of its instances.
            if let Some(ended) = self.ended().cloned() {
                last_looks += 1;
                if matches!(looked, Ok(Ok(()))) || is_over || last_looks >= LAST_LOOKS {
                    if let Ok(Err(error)) = looked {
                        let text = format!("not all of what happened on the instances is shown: {}", chain(&error));
                        self.screen.tell(&Event::Warned(text));
                    }
                    let status = ended.status.clone();
                    self.screen.tell(&Deploying::Ended(Box::new(ended)).into());
                    return Course::Over(status);
                }
            }
            match looked {
                Err(_) => return Course::Else(Ended::TimedOut),
                Ok(Ok(())) if is_over => return Course::Else(Ended::TimedOut),
                Ok(Ok(())) => self.tell_back(),
                Ok(Err(error)) if is_over || !error.may_heal() => return Course::Else(Ended::Lost(error)),
                Ok(Err(error)) => self.tell_lost(&error),
            }
            self.remind();
            let pause = chance::between(self.interval.mul_f64(0.75), self.interval.mul_f64(1.25));
            tokio::time::sleep(pause.min(terms.until.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// The deployment, if it has ended.
    fn ended(&self) -> Option<&Deployment> {
        self.deployment.as_ref().filter(|deployment| deployment.status.is_final())
    }

    /// One look at everything. What was seen before something failed is kept.
    async fn look(&mut self) -> Result<(), ServiceError> {
        let mut changed = false;
        if self.ended().is_none() {
            let deployment = self.client.deployment(self.id).await?;
            changed = self.judge_deployment(&deployment);
            self.deployment = Some(deployment);
        }
        let looked = self.look_at_targets(&mut changed).await;
        self.interval = if changed { SHORTEST } else { self.interval.mul_f64(1.5).min(LONGEST) };
        self.screen.tell(&Deploying::Targets(self.targets.values().cloned().collect()).into());
        match looked {
            Err(error) if !error.may_heal() => {
                self.hidden = true;
                let text = format!("what happens on the instances is not shown: {error}");
                self.screen.tell(&Event::Warned(text));
                Ok(())
            }
            looked => looked,
        }
    }

    async fn look_at_targets(&mut self, changed: &mut bool) -> Result<(), ServiceError> {
        if self.hidden {
            return Ok(());
        }
        let ids = self.client.target_ids(self.id).await?;
        let open: Vec<String> = ids.into_iter().filter(|id| !self.settled.contains(id)).collect();
        for some in open.chunks(client::BATCH) {
            for target in self.client.some_targets(self.id, some).await? {
                *changed |= self.judge_target(&target);
                if target.progress.is_final() {
                    // The ids that are listed are sometimes names, those that are got ARNs.
                    self.settled.extend(some.iter().find(|id| id.rsplit('/').next() == Some(&target.id)).cloned());
                }
                self.targets.insert(target.id.clone(), target);
            }
        }
        Ok(())
    }

    /// Tells what is new of the deployment.
    fn judge_deployment(&mut self, now: &Deployment) -> bool {
        let before = self.deployment.as_ref();
        let state = |deployment: &Deployment| (deployment.status.clone(), deployment.waits);
        if before.map(state) == Some(state(now)) {
            return false;
        }
        let begins = matches!(now.status, Status::Created | Status::Queued) && now.waits.is_none();
        if !now.status.is_final() && !begins {
            self.news = Instant::now();
            let way_on = now.waits.map(|waits: Waits| waits.way_on(self.id, &self.client.region));
            self.screen.tell(&Deploying::State { deployment: Box::new(now.clone()), way_on }.into());
        }
        true
    }

    /// Tells what is new of an instance.
    fn judge_target(&mut self, now: &Target) -> bool {
        let before = self.targets.get(&now.id);
        if before == Some(now) {
            return false;
        }
        for event in &now.events {
            let was = before.and_then(|before| before.events.iter().find(|old| old.name == event.name));
            let is_news = match event.progress {
                Progress::Running | Progress::Succeeded | Progress::Failed => true,
                Progress::Pending | Progress::Ready | Progress::Skipped | Progress::Unknown => false,
            };
            if is_news && was.map(|was| was.progress) != Some(event.progress) {
                let (target, event) = (now.id.clone(), Box::new(event.clone()));
                self.screen.tell(&Deploying::TargetLifecycle { target, event }.into());
            }
        }
        if before.map(|before| before.progress) != Some(now.progress) {
            self.screen.tell(&Deploying::TargetState(Box::new(now.clone())).into());
        }
        self.news = Instant::now();
        true
    }

    /// The rollback that follows, when one does.
    async fn rollback(&mut self, terms: &Terms) -> Option<DeploymentId> {
        let until = (Instant::now() + UNTIL_ROLLBACK).min(terms.until.max(Instant::now()));
        let mut times = 0;
        loop {
            let deployment = self.deployment.as_ref()?;
            if let Some(rollback) = &deployment.rollback
                && (rollback.deployment.is_some() || rollback.message.is_some())
            {
                // Of a rollback: the one it is, not one that follows.
                return rollback.deployment.clone().filter(|next| next != self.id);
            }
            let wanted: &[&str] = match deployment.status {
                Status::Failed => &["DEPLOYMENT_FAILURE"],
                Status::Stopped => &["DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"],
                Status::Created
                | Status::Queued
                | Status::InProgress
                | Status::Baking
                | Status::Ready
                | Status::Succeeded
                | Status::Unknown(_) => &[],
            };
            let expected = deployment.rolls_back_on.iter().any(|event| wanted.contains(&event.as_str()));
            if !expected || Instant::now() >= until {
                return None;
            }
            times += 1;
            client::pause(times).await;
            if let Ok(deployment) = self.client.deployment(self.id).await {
                self.deployment = Some(deployment);
            }
        }
    }

    fn tell_lost(&mut self, error: &ServiceError) {
        if error.is_throttled() {
            self.interval = (self.interval * 2).min(THROTTLED);
        }
        if !self.lost {
            self.lost = true;
            self.screen.tell(&Deploying::ServiceLost { why: chain(error), throttled: error.is_throttled() }.into());
        }
    }

    fn tell_back(&mut self) {
        if self.lost {
            self.lost = false;
            self.screen.tell(&Deploying::ServiceBack.into());
        }
    }

    fn remind(&mut self) {
        let Some(deployment) = &self.deployment else { return };
        if self.news.elapsed() < REMIND_AFTER {
            return;
        }
        self.news = Instant::now();
        self.screen.tell(
            &Deploying::StillFollowing {
                deployment: Box::new(deployment.clone()),
                targets: self.targets.values().cloned().collect(),
                since: self.begun.elapsed(),
            }
            .into(),
        );
    }
}
