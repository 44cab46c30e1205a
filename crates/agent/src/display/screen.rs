//! Tells a person, on standard error: one line for each thing that happened, and below them, on a terminal, what is under
//! way. Elsewhere a line says from time to time that it still is.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use longshore_core::figures::verb_line;
use longshore_core::problem::Look;
use longshore_core::report::{Envelope, Reporter};

use super::live::Live;
use super::{bottom, is_able_terminal, look, sentence};
use crate::event::Event;

/// How often the lines that live are drawn anew.
const REDRAW: Duration = Duration::from_millis(100);

/// How long nothing may be told off a terminal, unless `LONGSHORE_HEARTBEAT` says otherwise.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// A reader of events for people.
pub struct Screen {
    shared: Arc<Shared>,
    ticker: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    begun: Instant,
    look: Look,
    place: Place,
    state: Mutex<State>,
    ended: Condvar,
}

/// What standard error is.
enum Place {
    /// A terminal.
    Terminal,
    /// A file, a pipe, or a terminal that cannot be drawn on; how long nothing may be told.
    Elsewhere(Option<Duration>),
}

struct State {
    live: Live,
    /// When a line was told last.
    told: Duration,
}

impl Screen {
    /// A screen on standard error.
    pub fn new() -> Screen {
        let place = if is_able_terminal() { Place::Terminal } else { Place::Elsewhere(heartbeat()) };
        let state = Mutex::new(State { live: Live::default(), told: Duration::ZERO });
        let shared = Shared { begun: Instant::now(), look: look(), place, state, ended: Condvar::new() };
        Screen { shared: Arc::new(shared), ticker: Mutex::new(None) }
    }

    /// Only now, and not when the screen is made: the agent must have blocked its signals before a thread is started.
    fn start(&self) {
        let mut ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner);
        if ticker.is_none() {
            let shared = Arc::clone(&self.shared);
            *ticker = Some(std::thread::spawn(move || shared.tick()));
        }
    }

    fn stop(&self) {
        self.shared.ended.notify_all();
        let ticker = self.ticker.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(ticker) = ticker {
            // It has nothing to say that counts, not even that it panicked.
            let _ = ticker.join();
        }
    }
}

impl Default for Screen {
    fn default() -> Screen {
        Screen::new()
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        self.shared.state().live = Live::default();
        self.stop();
        self.shared.draw(&Live::default(), Duration::ZERO);
    }
}

impl Reporter<Event> for Screen {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        let shared = &self.shared;
        let is_active = {
            let mut state = shared.state();
            let now = shared.begun.elapsed();
            state.live.take(envelope.event, now);
            if let Some(text) = sentence(envelope.event, envelope.deployment, shared.look) {
                // What lives first, so that it never says less than the line above it.
                shared.draw(&state.live, now);
                bottom::print(&text);
                state.told = now;
            }
            state.live.is_active()
        };
        if is_active { self.start() } else { self.stop() }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn draw(&self, live: &Live, now: Duration) {
        match self.place {
            Place::Terminal => bottom::draw(|size| live.lines(size, now, self.look)),
            Place::Elsewhere(_) => {}
        }
    }

    /// Shows what is under way until nothing is.
    fn tick(&self) {
        let mut state = self.state();
        while state.live.is_active() {
            let now = self.begun.elapsed();
            match &self.place {
                Place::Terminal => self.draw(&state.live, now),
                Place::Elsewhere(Some(most)) if now.saturating_sub(state.told) >= *most => {
                    if let Some(text) = state.live.heartbeat(now) {
                        bottom::print(&verb_line("Waiting", &text, self.look));
                    }
                    state.told = now;
                }
                Place::Elsewhere(_) => {}
            }
            state = self.ended.wait_timeout(state, REDRAW).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// `LONGSHORE_HEARTBEAT`: seconds, 0 for never.
fn heartbeat() -> Option<Duration> {
    let asked = std::env::var("LONGSHORE_HEARTBEAT").ok().and_then(|seconds| seconds.parse().ok());
    let every = asked.map_or(HEARTBEAT, Duration::from_secs);
    (!every.is_zero()).then_some(every)
}
