//! What is under way, as a value: events and the time make the state, the state, the time and a size make the lines that
//! live at the bottom of a terminal. Pure.

#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::time::Duration;

use longshore_core::figures::{duration, painted, plural, size};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::problem::Look;

use super::text::{self, clean, clock, fit, limit};
use crate::event::Event;

/// How far back a rate looks.
const RATE_OVER: Duration = Duration::from_secs(5);

/// After this long without a new line, the age of the last one is shown.
const SILENT_AFTER: Duration = Duration::from_secs(10);

/// A terminal that is narrower shows finished lines only.
const LEAST_COLUMNS: usize = 20;

/// A deployment under way. Times are those since the screen was made.
#[derive(Debug, Clone, Default)]
pub struct Live {
    active: bool,
    begun: Duration,
    /// Events that ended, with their milliseconds.
    done: Vec<(LifecycleEvent, u64)>,
    event: Option<(LifecycleEvent, Duration)>,
    to_come: Vec<LifecycleEvent>,
    doing: Doing,
}

/// What is being done in this moment.
#[derive(Debug, Clone, Default)]
enum Doing {
    /// What there is to do before the first event: verify, unpack, plan.
    #[default]
    Preparing,
    /// The bundle comes in: bytes so far, the latest last.
    Fetching(VecDeque<(Duration, u64)>),
    /// A script runs.
    Script(Script),
    /// Files are written.
    Copying { files: usize, of: usize },
    /// Something of an event that says nothing of itself.
    Working,
}

#[derive(Debug, Clone)]
struct Script {
    name: String,
    /// Which of how many.
    place: Option<(usize, usize)>,
    since: Duration,
    /// Seconds; `None` when an earlier agent started it.
    limit: Option<u64>,
    last_line: Option<(Duration, String)>,
}

/// The size of a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    /// Columns.
    pub columns: usize,
    /// Rows.
    pub rows: usize,
}

impl Live {
    /// Whether a deployment is under way.
    pub fn is_active(&self) -> bool {
        self.active
    }

    /// Takes what happened.
    pub fn take(&mut self, event: &Event, now: Duration) {
        match event {
            Event::DeploymentStarted { events, .. } | Event::DeploymentResumed { events, .. } => {
                *self = Live { active: true, begun: now, to_come: events.clone(), ..Live::default() };
            }
            Event::DeploymentFinished { .. } => *self = Live::default(),
            Event::Fetching { bytes } => {
                if !matches!(self.doing, Doing::Fetching(_)) {
                    self.doing = Doing::Fetching(VecDeque::new());
                }
                if let Doing::Fetching(samples) = &mut self.doing {
                    samples.push_back((now, *bytes));
                    while samples.len() > 2 && samples[1].0 + RATE_OVER <= now {
                        samples.pop_front();
                    }
                }
            }
            Event::Fetched { .. } => self.doing = Doing::Preparing,
            Event::EventStarted { event } => self.enter(event, now),
            Event::EventSkipped { event, .. } => self.to_come.retain(|other| other != event),
            Event::HookStarted { event, script, number, of, timeout_s, .. } => {
                self.enter(event, now);
                let place = (*of > 1).then_some((*number, *of));
                self.doing = Doing::Script(Script::new(script, place, now, Some(*timeout_s)));
            }
            Event::HookFound { event, script, running: true } => {
                self.enter(event, now);
                self.doing = Doing::Script(Script::new(script, None, now, None));
            }
            Event::HookOutput { line, .. } => {
                if let Doing::Script(script) = &mut self.doing {
                    script.last_line = Some((now, clean(line).replace('\n', " ")));
                }
            }
            Event::Installing { files, of } => self.doing = Doing::Copying { files: *files, of: *of },
            Event::HookFinished { .. } | Event::Installed { .. } => self.doing = Doing::Working,
            Event::EventFinished { event, elapsed_ms } => {
                self.done.push((event.clone(), *elapsed_ms));
                self.leave(event);
            }
            Event::EventFailed { event, .. } => self.leave(event),
            Event::HookFound { running: false, .. } | Event::EarlierClosed { .. } => {}
            Event::Warning { .. } | Event::SignatureVerified { .. } => {}
        }
    }

    fn enter(&mut self, event: &LifecycleEvent, now: Duration) {
        self.to_come.retain(|other| other != event);
        if self.event.as_ref().is_none_or(|(other, _)| other != event) {
            self.event = Some((event.clone(), now));
            self.doing = Doing::Working;
        }
    }

    fn leave(&mut self, event: &LifecycleEvent) {
        self.to_come.retain(|other| other != event);
        self.event = None;
        self.doing = Doing::Working;
    }

    /// The lines for a terminal of this size, none wider than it. What matters least goes first when there is no room.
    pub fn lines(&self, size: Size, now: Duration, look: Look) -> Vec<String> {
        if !self.active || size.columns < LEAST_COLUMNS {
            return Vec::new();
        }
        let page = Page { width: size.columns.saturating_sub(1), look };
        // Each with its rank: 0 goes last.
        let mut rows = vec![(4, page.row("done", "32", &page.last_of(&self.done)))];
        rows.extend(self.doing_rows(&page, now));
        rows.push((3, page.row("to come", "2", &page.first_of(&self.to_come))));
        rows.push((2, page.row("elapsed", "2", &clock(now.saturating_sub(self.begun)))));
        rows.retain(|(_, row)| row.is_some());
        while rows.len() > size.rows.saturating_sub(1) {
            let least = rows.iter().map(|(rank, _)| *rank).max();
            rows.retain(|(rank, _)| Some(*rank) != least);
        }
        rows.into_iter().filter_map(|(_, row)| row).collect()
    }

    fn doing_rows(&self, page: &Page, now: Duration) -> Vec<(u8, Option<String>)> {
        const NOW: &str = "1;36";
        let event = self.event.as_ref().map(|(event, since)| (event.name(), now.saturating_sub(*since)));
        let (name, since) = event.unwrap_or(("", Duration::ZERO));
        match &self.doing {
            Doing::Preparing => vec![(0, page.row("preparing", NOW, "verify, unpack, plan"))],
            Doing::Fetching(samples) => vec![(0, page.row("fetching", NOW, &fetched(samples, now)))],
            Doing::Copying { files, of } => {
                vec![(
                    0,
                    page.row("running", NOW, &format!("{name}: {files} of {}, {}", plural(*of, "file"), clock(since))),
                )]
            }
            Doing::Working if name.is_empty() => Vec::new(),
            Doing::Working => vec![(0, page.row("running", NOW, &format!("{name}, {}", clock(since))))],
            Doing::Script(script) => {
                let place = script.place.map(|(number, of)| format!(" ({number} of {of})")).unwrap_or_default();
                let (time, warns) = script.time(now);
                let short = script.name.rsplit('/').next().unwrap_or_default();
                let [long, short] = [&script.name, short].map(|script| format!("{name}{place}: `{script}`"));
                let text = if text::width(&long) <= page.room() { long } else { short };
                let mut rows = vec![(0, page.row("running", NOW, &text))];
                rows.push((
                    0,
                    page.row("", "", &time).map(|row| if warns { painted(&row, page.look, "1;33") } else { row }),
                ));
                rows.push((1, page.row(">", "2", &script.shown_line(page.room(), now))));
                rows
            }
        }
    }

    /// What is told where nothing lives, when nothing was told for long; `None` when nothing is under way.
    pub fn heartbeat(&self, now: Duration) -> Option<String> {
        if !self.active {
            return None;
        }
        let event = self.event.as_ref().map(|(event, since)| (event.name(), now.saturating_sub(*since)));
        let (name, since) = event.unwrap_or(("", now.saturating_sub(self.begun)));
        Some(match &self.doing {
            Doing::Preparing => format!("for the bundle to be verified, unpacked and planned, for {}", clock(since)),
            Doing::Fetching(samples) => format!("for the bundle: {}", fetched(samples, now)),
            Doing::Copying { files, of } => format!("{name}: {files} of {}, for {}", plural(*of, "file"), clock(since)),
            Doing::Working if name.is_empty() => format!("between two events, for {}", clock(since)),
            Doing::Working => format!("{name}: for {}", clock(since)),
            Doing::Script(script) => {
                let ran = now.saturating_sub(script.since);
                let bound = script.limit.map(|seconds| format!(" of {}", limit(seconds))).unwrap_or_default();
                let printed = match &script.last_line {
                    None => "has printed nothing yet".to_owned(),
                    Some((at, _)) if now.saturating_sub(*at) >= SILENT_AFTER => {
                        format!("silent for {}", clock(now.saturating_sub(*at)))
                    }
                    Some((_, line)) => format!("prints: {}", fit(line, 200)),
                };
                format!("{name}: `{}` runs for {}{bound}, {printed}", script.name, clock(ran))
            }
        })
    }
}

fn fetched(samples: &VecDeque<(Duration, u64)>, now: Duration) -> String {
    let (Some((first_at, first)), Some((_, last))) = (samples.front(), samples.back()) else { return String::new() };
    let over = now.saturating_sub(*first_at).as_secs_f64();
    if over < 0.5 {
        return size(*last);
    }
    // Bytes of half a minute at most, far below what a float holds exactly.
    let rate = (last.saturating_sub(*first) as f64 / over) as u64;
    format!("{}, {}/s", size(*last), size(rate))
}

impl Script {
    fn new(name: &str, place: Option<(usize, usize)>, since: Duration, limit: Option<u64>) -> Script {
        Script { name: clean(name), place, since, limit, last_line: None }
    }

    /// How long it runs and may run, and whether that ends soon: in the last tenth of its limit.
    fn time(&self, now: Duration) -> (String, bool) {
        let ran = now.saturating_sub(self.since);
        let Some(seconds) = self.limit else { return (format!("{} since it was found", clock(ran)), false) };
        let bound = Duration::from_secs(seconds);
        let left = bound.saturating_sub(ran);
        let warns = left <= bound / 10;
        let left = match (left, warns) {
            (Duration::ZERO, _) => "time is up, it is being ended".to_owned(),
            (left, true) => format!("only {} left", clock(left)),
            (left, false) => format!("{} left", clock(left)),
        };
        (format!("{} of {}, {left}", clock(ran), limit(seconds)), warns)
    }

    fn shown_line(&self, room: usize, now: Duration) -> String {
        let (at, line) = match &self.last_line {
            Some((at, line)) => (*at, line.as_str()),
            None => (self.since, "nothing printed yet"),
        };
        let silent = now.saturating_sub(at);
        match &self.last_line {
            Some(_) if silent >= SILENT_AFTER => {
                let age = format!(" ({} ago)", clock(silent));
                format!("{}{age}", fit(line, room.saturating_sub(age.len())))
            }
            None if silent < SILENT_AFTER => String::new(),
            Some(_) | None => line.to_owned(),
        }
    }
}

/// How lines are laid out.
struct Page {
    width: usize,
    look: Look,
}

impl Page {
    /// The column of labels; none where there is hardly room for anything else.
    fn indent(&self) -> usize {
        if self.width >= 36 { 12 } else { 0 }
    }

    /// The columns beside a label.
    fn room(&self) -> usize {
        self.width.saturating_sub(self.indent() + 1)
    }

    /// A label and a text; `None` without text.
    fn row(&self, label: &str, colour: &str, text: &str) -> Option<String> {
        if text.is_empty() {
            return None;
        }
        let label = format!("{label:>indent$}", indent = self.indent());
        let text = fit(text, self.width.saturating_sub(label.len() + 1));
        let label = if colour.is_empty() { label } else { painted(&label, self.look, colour) };
        Some(format!("{label} {text}"))
    }

    /// As many of the events to come as fit, and how many more there are.
    fn first_of(&self, events: &[LifecycleEvent]) -> String {
        self.some_of(&events.iter().map(|event| event.name().to_owned()).collect::<Vec<_>>())
    }

    /// As many of the latest events as fit with their times, the latest first, and how many there were before.
    fn last_of(&self, events: &[(LifecycleEvent, u64)]) -> String {
        self.some_of(
            &events.iter().rev().map(|(event, took)| format!("{event} {}", duration(*took))).collect::<Vec<_>>(),
        )
    }

    fn some_of(&self, names: &[String]) -> String {
        let most = names.len();
        for shown in (1..=most).rev() {
            let mut text = names[..shown].join(", ");
            if shown < most {
                text.push_str(&format!(", {} more", most - shown));
            }
            if shown == 1 || text.len() <= self.room() {
                return text;
            }
        }
        String::new()
    }
}
