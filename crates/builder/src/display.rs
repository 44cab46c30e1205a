//! Turns events, results and failures into text or JSON. Results go to stdout, talk to stderr.

mod deploying;
pub(crate) mod deployments;
pub(crate) mod sheet;
mod text;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longshore_core::failure::{Failure, printed};
use longshore_core::figures::verb_line;
use longshore_core::problem::{Look, Problem, render};
use serde_json::Value;

use crate::cli::Output;
use crate::environment::Environment;
use crate::event::{Deploying, Event, HostSeen};

/// Where everything is shown.
#[derive(Debug)]
pub(crate) struct Screen {
    output: Output,
    look: Look,
    bars: Bars,
    bar: Mutex<Option<ProgressBar>>,
    /// What came about before a failure; see [`Screen::partial`].
    partial: Mutex<Option<Value>>,
}

/// Whether work in progress is drawn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bars {
    /// On a terminal.
    Drawn,
    /// Anywhere else: lines alone.
    None,
}

impl Screen {
    /// The screen of this process.
    pub(crate) fn new(output: Output, environment: &Environment) -> Screen {
        let terminal = io::stderr().is_terminal() && environment.get("TERM") != Some("dumb");
        let coloured = terminal && environment.get("NO_COLOR").is_none();
        Screen {
            output,
            look: if coloured { Look::Coloured } else { Look::Plain },
            bars: if terminal { Bars::Drawn } else { Bars::None },
            bar: Mutex::new(None),
            partial: Mutex::new(None),
        }
    }

    /// Shows that something happened.
    pub(crate) fn tell(&self, event: &Event) {
        match event {
            Event::Packing { bytes } => self.start_bar("Packing", *bytes),
            Event::Publishing { size, .. } => self.start_bar("Publishing", *size),
            Event::PackedMore(more) => self.with_bar(|bar| bar.inc(*more)),
            Event::Stored(bytes) => self.with_bar(|bar| bar.set_position(*bytes)),
            Event::Packed { .. } | Event::Published { .. } | Event::WaitEnded => self.end_bar(),
            Event::Waiting { .. } => self.start_fleet(),
            Event::Fleet(hosts) => self.with_bar(|bar| bar.set_message(self.rows(hosts))),
            // Who sees the hosts need not be told that nothing happens.
            Event::StillWaiting { .. } if self.bars == Bars::Drawn => return,
            Event::StillWaiting { .. }
            | Event::Moved(_)
            | Event::Stopping(_)
            | Event::GoingBack { .. }
            | Event::Removed(_)
            | Event::Host(_)
            | Event::StoreLost(_)
            | Event::StoreBack
            | Event::Forgot { .. } => {}
            Event::Checked { .. }
            | Event::Named { .. }
            | Event::Warned(_)
            | Event::Replaced { .. }
            | Event::Verified { .. }
            | Event::CreatedStore(_)
            | Event::Wrote(_)
            | Event::Kept(_)
            | Event::Signed { .. }
            | Event::Described(_)
            | Event::PublishedBeside(_)
            | Event::Noted(_) => {}
            Event::Deploying(Deploying::StillFollowing { .. }) if self.bars == Bars::Drawn => return,
            Event::Deploying(event) => self.draw(event),
            Event::BuildingImage { .. }
            | Event::PushingImage { .. }
            | Event::ServiceSaid { .. }
            | Event::AskingForImages { .. }
            | Event::PinnedImage { .. }
            | Event::ImageMoved(_) => {}
        }
        if let Some(line) = text::line(event, self.look) {
            self.talk(&format!("{line}\n"));
        }
    }

    /// What a terminal shows of deployments of CodeDeploy, below all lines.
    fn draw(&self, event: &Deploying) {
        match event {
            Deploying::Following { .. } | Deploying::FollowingAgain(_) => self.start_fleet(),
            Deploying::Targets(targets) => self.with_bar(|bar| bar.set_message(deploying::rows(targets, self.look))),
            Deploying::OrderUnknown(_)
            | Deploying::GoingBackTo { .. }
            | Deploying::Created { .. }
            | Deploying::State { .. }
            | Deploying::Ended(_)
            | Deploying::TargetLifecycle { .. }
            | Deploying::TargetState(_)
            | Deploying::RollingBack { .. }
            | Deploying::AskedToStop(_)
            | Deploying::StopAsked(_)
            | Deploying::StillFollowing { .. }
            | Deploying::ServiceLost { .. }
            | Deploying::ServiceBack => {}
        }
    }

    /// Shows problems in files.
    pub(crate) fn problems(&self, problems: &[Problem]) {
        if !problems.is_empty() {
            self.talk(&format!("{}\n", render(problems, self.look)));
        }
    }

    /// Shows a result: `text` for people, `json` for programs.
    pub(crate) fn result(&self, text: &str, json: &Value) -> Result<(), Failure> {
        printed(match self.output {
            Output::Text => print(text),
            Output::Json => print(&document(json)),
        })
    }

    /// Shows what came about although the command will fail. With `--output json` it becomes part of the failure's document.
    pub(crate) fn partial(&self, text: &str, json: Value) -> Result<(), Failure> {
        match self.output {
            Output::Text => printed(print(text)),
            Output::Json => {
                if let Ok(mut partial) = self.partial.lock() {
                    *partial = Some(json);
                }
                Ok(())
            }
        }
    }

    /// Shows why the command failed, once: for people its problems, then the error, on stderr; for programs one document with
    /// `error` and `problems` on stdout.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.end_bar();
        match self.output {
            Output::Text => {
                self.problems(&failure.problems);
                self.talk(&failure.to_text());
            }
            Output::Json => {
                let mut json = failure.to_json();
                json["problems"] = failure.problems.iter().map(Problem::to_json).collect();
                let partial = self.partial.lock().ok().and_then(|mut partial| partial.take());
                for (name, value) in partial.iter().filter_map(Value::as_object).flatten() {
                    json[name] = value.clone();
                }
                // Where stdout takes nothing, people have to be told.
                if printed(print(&document(&json))).is_err() {
                    self.talk(&failure.to_text());
                }
            }
        }
    }

    /// A reader that is gone is the reader's loss.
    fn talk(&self, text: &str) {
        let write = || drop(io::stderr().lock().write_all(text.as_bytes()));
        match self.bar.lock() {
            // What is drawn makes way for the line.
            Ok(bar) if bar.is_some() => bar.iter().for_each(|bar| bar.suspend(write)),
            Ok(_) | Err(_) => write(),
        }
    }

    /// Room for the hosts that are under way, below all lines.
    fn start_fleet(&self) {
        if self.bars == Bars::None {
            return;
        }
        let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style);
        self.replace_bar(Some(bar));
    }

    /// The hosts that are under way, as far as a screen has room for them.
    fn rows(&self, hosts: &[HostSeen]) -> String {
        const MOST: usize = 12;
        let under_way: Vec<&HostSeen> = hosts.iter().filter(|seen| seen.standing.is_under_way()).collect();
        let mut rows = vec![verb_line(
            "Waiting",
            &format!("{} of {} done", hosts.len() - under_way.len(), hosts.len()),
            self.look,
        )];
        for seen in under_way.iter().take(MOST) {
            rows.push(verb_line("", &format!("{}: {}", sheet::one_line(&seen.host), sheet::progress(seen)), self.look));
        }
        if under_way.len() > MOST {
            rows.push(verb_line("", &format!("and {} more", under_way.len() - MOST), self.look));
        }
        rows.join("\n")
    }

    fn start_bar(&self, verb: &'static str, bytes: u64) {
        if self.bars == Bars::None {
            return;
        }
        let style = ProgressStyle::with_template("{prefix:>12} {bar:30} {decimal_bytes}/{decimal_total_bytes} {eta}")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        let bar = ProgressBar::with_draw_target(Some(bytes), ProgressDrawTarget::stderr());
        bar.set_style(style);
        bar.set_prefix(verb);
        self.replace_bar(Some(bar));
    }

    fn with_bar(&self, act: impl FnOnce(&ProgressBar)) {
        if let Ok(bar) = self.bar.lock()
            && let Some(bar) = bar.as_ref()
        {
            act(bar);
        }
    }

    fn end_bar(&self) {
        self.replace_bar(None);
    }

    fn replace_bar(&self, new: Option<ProgressBar>) {
        if let Ok(mut bar) = self.bar.lock()
            && let Some(old) = std::mem::replace(&mut *bar, new)
        {
            old.finish_and_clear();
        }
    }
}

fn document(json: &Value) -> String {
    // A `Value` is always printable; `{:#}` is serde_json's own indented form.
    format!("{json:#}\n")
}

fn print(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush())
}
