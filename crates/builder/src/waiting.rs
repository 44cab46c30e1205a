//! Follows the hosts of a group until each of them has made a deployment. What they say is judged in `fleet`.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use longshore_core::chance;
use longshore_core::failure::{causes, chain};
use longshore_core::pointer::{self, Pointer};
use longshore_core::store::{Changed, StoreError};

use crate::cli::OnInterrupt;
use crate::display::Screen;
use crate::event::{Deploying, Event, HostSeen};
use crate::fleet::{self, Standing, Verdict};
use crate::hosts::{Host, Hosts};
use crate::interrupt::Interruptions;
use crate::interruption::{self, Answer, LAST_WORDS, Told};
use crate::pointing::{Place, PointError, Stopping};

/// The longest time between two looks. The first ones follow each other faster.
const LONGEST: Duration = Duration::from_secs(2);

/// How long the look may take that is under way when time is up.
const LAST_LOOK: Duration = Duration::from_secs(10);

/// The time between two looks while somebody is asked what an interruption means.
const WHILE_ASKED: Duration = Duration::from_secs(1);

/// After this long without news, where nothing can be drawn, a line says that it goes on: CI systems end jobs that are silent.
const REMIND_AFTER: Duration = Duration::from_secs(60);

/// How long is waited, and for whom.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    /// How long.
    pub(crate) limit: Duration,
    /// When that is over.
    pub(crate) until: Instant,
    /// How many hosts must have made it at least.
    pub(crate) at_least: usize,
    /// What Ctrl-C means.
    pub(crate) on_interrupt: OnInterrupt,
}

/// How the waiting ended.
#[derive(Debug)]
pub(crate) enum Ended {
    /// Every host succeeded.
    Succeeded,
    /// A host failed.
    Failed,
    /// Somebody stopped it, also from here, whether or not every host has said so yet: who moved the pointer, where that was seen.
    Stopped(Option<Box<Pointer>>),
    /// Time was up.
    TimedOut,
    /// Every host that has not made it is paused, and too few have.
    Paused,
    /// The pointer has moved on to another deployment.
    Superseded(Box<Pointer>),
    /// Somebody wants this process to end.
    Interrupted,
    /// The same, and it is not known whether the deployment was stopped from here before.
    PerhapsStopped,
    /// The store cannot be asked.
    Lost(Arc<PointError>),
}

/// How the waiting ended, and how the hosts are.
#[derive(Debug)]
pub(crate) struct Waited {
    /// How it ended.
    pub(crate) ended: Ended,
    /// The hosts, by name.
    pub(crate) hosts: Vec<HostSeen>,
}

/// A deployment whose hosts are waited for.
pub(crate) struct Wait<'a> {
    /// Its group.
    pub(crate) place: Place<'a>,
    /// The pointer that names it.
    pub(crate) pointer: &'a Pointer,
    /// How long.
    pub(crate) terms: &'a Terms,
    /// Who waits, and may have it stopped.
    pub(crate) by: &'a str,
    /// Who is told.
    pub(crate) screen: &'a Screen,
}

impl Wait<'_> {
    /// Waits. Where that is what an interruption means, the deployment is stopped, and its hosts are waited for on until the next one.
    pub(crate) async fn until_end(&self, signals: &mut Interruptions) -> Waited {
        let Wait { place, pointer, terms, screen, .. } = *self;
        screen.tell(&Event::Waiting {
            application: pointer.application.clone(),
            group: pointer.group.clone(),
            deployment: pointer.deployment.clone(),
            limit: terms.limit,
        });
        let mut watch = Watch {
            place,
            pointer,
            screen,
            hosts: Hosts::default(),
            seen: BTreeMap::new(),
            etag: None,
            stopped: None,
            lost: false,
            news: Instant::now(),
            begun: Instant::now(),
        };
        let ended = self.follow(&mut watch, signals).await;
        screen.tell(&Event::WaitEnded);
        // Of a later deployment they say nothing of this one any more.
        let ending = watch.hosts.ending(pointer, Timestamp::now());
        let keeping = tokio::time::timeout(LAST_WORDS, place.keep_ending(pointer.generation, ending));
        let unkept = match &ended {
            // Whoever wants to leave once more is not held up at all.
            Ended::Interrupted | Ended::PerhapsStopped => signals.unless(keeping).await.ok(),
            Ended::Succeeded
            | Ended::Failed
            | Ended::Stopped(_)
            | Ended::TimedOut
            | Ended::Paused
            | Ended::Superseded(_)
            | Ended::Lost(_) => Some(keeping.await),
        };
        let why = match unkept {
            Some(Ok(Ok(()))) => None,
            Some(Ok(Err(error))) => Some(chain(&error)),
            Some(Err(_)) => Some(format!("the store has not answered for {} s", LAST_WORDS.as_secs())),
            None => Some("interrupted".to_owned()),
        };
        if let Some(why) = why {
            screen.tell(&Event::Warned(format!("how it ended is not written down: {why}")));
        }
        Waited { ended, hosts: watch.seen.into_values().collect() }
    }

    async fn follow(&self, watch: &mut Watch<'_>, signals: &mut Interruptions) -> Ended {
        let again = || self.screen.tell(&Deploying::FollowingAgain(self.pointer.deployment.clone()).into());
        let mut following = pin!(watch.follow(self.terms));
        let (mut asked, mut stopped, mut unclear) = (false, None, false);
        let ended = loop {
            tokio::select! {
                biased;
                () = signals.next() => match self.answer(asked, signals).await {
                    Answer::Leave => break Ended::Interrupted,
                    Answer::GoOn => again(),
                    Answer::Stop => {
                        asked = true;
                        again();
                        let told = interruption::told(self.place.stop(&self.pointer.deployment, self.by), signals).await;
                        let (answer, leaves) = match told {
                            Told::Answer(answer) => (Some(answer), false),
                            Told::Leaving(answer) => (answer, true),
                        };
                        (stopped, unclear) = match answer {
                            Some(answer) => self.stopped(answer),
                            None => (None, true),
                        };
                        if leaves {
                            break Ended::Interrupted;
                        }
                    }
                },
                ended = &mut following => break ended,
            }
        };
        match (ended, stopped) {
            // Hosts heed it, whether or not somebody waits until all have said so.
            (Ended::Interrupted | Ended::TimedOut, Some(pointer)) => Ended::Stopped(Some(pointer)),
            (Ended::Lost(error), Some(pointer)) => {
                self.screen.tell(&Event::Warned(format!("how the hosts end is not seen: {}", chain(&*error))));
                Ended::Stopped(Some(pointer))
            }
            (Ended::Interrupted, None) if unclear => Ended::PerhapsStopped,
            (ended, _) => ended,
        }
    }

    /// What an interruption means. The second one after a stop says clearly enough what is wanted.
    async fn answer(&self, asked: bool, signals: &mut Interruptions) -> Answer {
        if asked {
            return Answer::Leave;
        }
        self.screen.tell(&Event::WaitEnded);
        tokio::select! {
            biased;
            answer = interruption::answer(self.terms.on_interrupt, &self.pointer.deployment, signals, self.screen) => answer,
            // There is nothing left to ask about.
            () = self.end() => Answer::GoOn,
        }
    }

    /// The pointer that has the deployment stopped, or whether it is not known if there is one.
    fn stopped(&self, answer: Result<Stopping, PointError>) -> (Option<Box<Pointer>>, bool) {
        match answer {
            Ok(Stopping::Asked(pointer) | Stopping::Already(pointer)) => (Some(pointer), false),
            // Who waits sees that too.
            Ok(Stopping::MovedOn(_) | Stopping::Gone) => (None, false),
            Err(error) => {
                let unclear = may_heal(&error);
                let is = if unclear { "perhaps not stopped" } else { "not stopped" };
                self.screen.tell(&Event::Warned(format!("the deployment is {is}: {}", chain(&error))));
                (None, unclear)
            }
        }
    }

    /// Waits until every host has ended or time is up, and shows nothing.
    async fn end(&self) {
        loop {
            let left = self.terms.until.saturating_duration_since(Instant::now());
            let ended = tokio::time::timeout(left, async {
                tokio::time::sleep(WHILE_ASKED).await;
                let hosts = self.place.hosts().await.ok()?;
                let now = Timestamp::now();
                let standings: Vec<Standing> =
                    hosts.known().map(|(name, host)| seen(name, host, Some(self.pointer), now).standing).collect();
                fleet::verdict(&standings, self.terms.at_least)
            });
            // An error is that time is up.
            if ended.await.map_or(true, |verdict| verdict.is_some()) {
                return;
            }
        }
    }
}

struct Watch<'a> {
    place: Place<'a>,
    pointer: &'a Pointer,
    screen: &'a Screen,
    hosts: Hosts,
    /// What was told of each host last.
    seen: BTreeMap<String, HostSeen>,
    /// The pointer's ETag when it was read last.
    etag: Option<String>,
    /// The pointer that has the deployment stopped.
    stopped: Option<Pointer>,
    /// Whether the store could not be asked the last time.
    lost: bool,
    /// When something was told last.
    news: Instant,
    begun: Instant,
}

impl Watch<'_> {
    async fn follow(&mut self, terms: &Terms) -> Ended {
        let mut interval = Duration::from_millis(100);
        loop {
            // A server that takes requests and does not answer must not hold up the end; the last look has its time nevertheless.
            let patience = terms.until.saturating_duration_since(Instant::now()).max(LAST_LOOK);
            let Ok(looked) = tokio::time::timeout(patience, self.look(terms.at_least)).await else {
                return Ended::TimedOut;
            };
            let is_over = Instant::now() >= terms.until;
            match looked {
                Ok(Some(ended)) => return ended,
                Ok(None) if is_over => return Ended::TimedOut,
                Ok(None) => self.tell_store_back(),
                Err(error) if is_over || !may_heal(&error) => return Ended::Lost(Arc::new(error)),
                Err(error) => self.tell_store_lost(&error),
            }
            self.remind();
            interval = (interval * 2).min(LONGEST);
            let pause = chance::between(interval.mul_f64(0.75), interval.mul_f64(1.25));
            tokio::time::sleep(pause.min(terms.until.saturating_duration_since(Instant::now()))).await;
        }
    }

    /// One look at everything.
    async fn look(&mut self, at_least: usize) -> Result<Option<Ended>, PointError> {
        let Place { store, application, group } = self.place;
        let is_settled = |host: &str| self.seen.get(host).is_some_and(|seen| seen.standing.is_final());
        let refreshed = self.hosts.refresh(store, application, group, is_settled).await;
        refreshed.map_err(|source| self.place.failed(source))?;
        self.judge();
        let standings: Vec<Standing> = self.seen.values().map(|seen| seen.standing).collect();
        match fleet::verdict(&standings, at_least) {
            Some(Verdict::Succeeded) => return Ok(Some(Ended::Succeeded)),
            Some(Verdict::Failed) => return Ok(Some(Ended::Failed)),
            Some(Verdict::Stopped) => {
                // Who stopped it is worth a look, and no more.
                let _ = self.successor().await;
                return Ok(Some(self.stopped()));
            }
            None => {}
        }
        let successor = self.successor().await?;
        let is_under_way = standings.iter().any(|standing| standing.is_under_way());
        Ok(match (&self.stopped, successor) {
            // Nobody else will begin it, and what has taken its place is not ours.
            (Some(_), Some(_)) => Some(self.stopped()),
            (Some(_), None) if !is_under_way => Some(self.stopped()),
            (None, Some(pointer)) => Some(Ended::Superseded(Box::new(pointer))),
            (_, None) if fleet::is_paused(&standings) => Some(Ended::Paused),
            (_, None) => None,
        })
    }

    fn stopped(&self) -> Ended {
        Ended::Stopped(self.stopped.clone().map(Box::new))
    }

    /// Tells what is new of each host.
    fn judge(&mut self) {
        let now = Timestamp::now();
        // A host that was removed has said its last, unless it was done.
        let gone = |host: &str| !self.hosts.known().any(|(known, _)| known == host);
        self.seen.retain(|host, seen| seen.standing.is_final() || !gone(host));
        let mut news = Vec::new();
        for (name, host) in self.hosts.known() {
            let before = self.seen.get(name);
            if before.is_some_and(|seen| seen.standing.is_final()) {
                continue;
            }
            let seen = seen(name, host, Some(self.pointer), now);
            if before.is_none_or(|before| differs(before, &seen)) {
                news.push(seen.clone());
            }
            self.seen.insert(name.to_owned(), seen);
        }
        for seen in news {
            // That a host has not begun is what everybody expects at first.
            if seen.standing != Standing::Unaware {
                self.news = Instant::now();
                self.screen.tell(&Event::Host(Box::new(seen)));
            }
        }
        self.screen.tell(&Event::Fleet(self.seen.values().cloned().collect()));
    }

    /// The pointer, if it names another deployment by now.
    async fn successor(&mut self) -> Result<Option<Pointer>, PointError> {
        let key = pointer::key(self.place.application, self.place.group);
        let changed = self.place.store.read_if_changed(&key, self.etag.as_deref()).await;
        match changed.map_err(|source| self.place.failed(source))? {
            // Hosts keep to what they have seen.
            Changed::Same | Changed::Missing => Ok(None),
            Changed::New { contents, etag } => {
                self.etag = Some(etag);
                let pointer = self.place.parse(&contents)?;
                if pointer.stop.as_ref() == Some(&self.pointer.deployment) && self.stopped.is_none() {
                    self.news = Instant::now();
                    self.screen.tell(&Event::Stopping(Box::new(pointer.clone())));
                    self.stopped = Some(pointer.clone());
                }
                Ok((pointer.deployment != self.pointer.deployment).then_some(pointer))
            }
        }
    }

    fn tell_store_lost(&mut self, error: &PointError) {
        if !self.lost {
            self.lost = true;
            let causes: Vec<String> = causes(error).map(ToString::to_string).collect();
            self.screen.tell(&Event::StoreLost(causes.join(": ")));
        }
    }

    fn tell_store_back(&mut self) {
        if self.lost {
            self.lost = false;
            self.screen.tell(&Event::StoreBack);
        }
    }

    fn remind(&mut self) {
        if self.news.elapsed() < REMIND_AFTER {
            return;
        }
        self.news = Instant::now();
        let (under_way, others): (Vec<_>, Vec<_>) =
            self.seen.values().cloned().partition(|seen| seen.standing.is_under_way());
        let done = others.iter().filter(|seen| seen.standing.is_final()).count();
        self.screen.tell(&Event::StillWaiting { done, under_way, since: self.begun.elapsed() });
    }
}

/// A host as it is now. Without a pointer there is nothing that it could have made.
pub(crate) fn seen(name: &str, host: &Host, pointer: Option<&Pointer>, now: Timestamp) -> HostSeen {
    let age_s = host.age_s(now);
    let standing = match pointer {
        Some(pointer) => fleet::standing(pointer, host.status(), age_s),
        None => Standing::Unaware,
    };
    HostSeen {
        host: name.to_owned(),
        standing,
        status: host.status().cloned(),
        unreadable: host.said.as_ref().err().map(ToString::to_string),
        age_s,
    }
}

/// Whether there is something to tell.
fn differs(before: &HostSeen, now: &HostSeen) -> bool {
    let event = |seen: &HostSeen| match seen.standing {
        Standing::Deploying => seen.status.as_ref().and_then(|status| status.event.clone()),
        Standing::Unaware
        | Standing::Succeeded
        | Standing::Failed
        | Standing::Halted
        | Standing::LeftOut(_)
        | Standing::Ahead => None,
    };
    (before.standing, event(before)) != (now.standing, event(now))
}

/// Whether asking again may help.
fn may_heal(error: &PointError) -> bool {
    match error {
        PointError::Store { source, .. } => {
            matches!(source, StoreError::Unreachable { .. } | StoreError::Refused { .. } | StoreError::Broken { .. })
        }
        PointError::Unknown { .. }
        | PointError::Older { .. }
        | PointError::Overtaken(_)
        | PointError::Contested { .. }
        | PointError::Interrupted { .. }
        | PointError::Random(_) => false,
    }
}
