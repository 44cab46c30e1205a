//! Turns events, results and failures into text or JSON. Results go to stdout, talk to stderr.

mod text;

use std::io::{self, IsTerminal as _, Write as _};
use std::sync::Mutex;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use longshore_core::failure::{Exit, Failure};
use longshore_core::problem::{Look, Problem, render};
use serde_json::Value;

use crate::cli::Output;
use crate::environment::Environment;
use crate::event::Event;

/// Where everything is shown.
#[derive(Debug)]
pub(crate) struct Screen {
    output: Output,
    look: Look,
    bars: Bars,
    bar: Mutex<Option<ProgressBar>>,
}

/// A result that nobody got.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the result to standard output")]
struct Lost(#[source] io::Error);

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
        }
    }

    /// Shows that something happened.
    pub(crate) fn tell(&self, event: &Event) {
        match event {
            Event::Packing { bytes } => self.start_bar("Packing", *bytes),
            Event::Publishing { size, .. } => self.start_bar("Publishing", *size),
            Event::PackedMore(more) => self.with_bar(|bar| bar.inc(*more)),
            Event::Stored(bytes) => self.with_bar(|bar| bar.set_position(*bytes)),
            Event::Packed { .. } | Event::Published { .. } => self.end_bar(),
            Event::Checked { .. }
            | Event::Named { .. }
            | Event::Warned(_)
            | Event::Replaced { .. }
            | Event::Verified { .. }
            | Event::Wrote(_)
            | Event::Kept(_) => {}
        }
        if let Some(line) = text::line(event, self.look) {
            self.talk(&format!("{line}\n"));
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

    /// Shows why the command failed: its problems first. With `--output json` also one document with `error` and
    /// `problems` on stdout.
    pub(crate) fn failure(&self, failure: &Failure) {
        self.end_bar();
        self.problems(&failure.problems);
        self.talk(&failure.to_text());
        match self.output {
            Output::Text => {}
            Output::Json => {
                let mut json = failure.to_json();
                json["problems"] = failure.problems.iter().map(Problem::to_json).collect();
                // There is an exit code to tell of it already.
                let _ = print(&document(&json));
            }
        }
    }

    /// A reader that is gone is the reader's loss.
    fn talk(&self, text: &str) {
        let _ = io::stderr().lock().write_all(text.as_bytes());
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

/// What became of something that was printed. That `head` closed the pipe is no failure.
pub(crate) fn printed(result: io::Result<()>) -> Result<(), Failure> {
    match result {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::new(Exit::Failed, Lost(error))),
        Ok(()) | Err(_) => Ok(()),
    }
}
