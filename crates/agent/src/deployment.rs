//! One deployment: an order is planned, written down, carried out step by step, and closed.
//!
//! ```text
//!   Opened ─▶ Prepared ─▶ Planned(event) ─▶ Started(step) ─▶ Finished(step) ─▶ next step, next event ─▶ Closed(Succeeded)
//!     │          │                              │
//!     │          │                              └─▶ Failed(step) ─▶ Closed(Failed)
//!     │          └─ refused: conflicts, missing users … ─────────▶ Closed(Refused)      nothing was changed
//!     └─ fetch, verify, unpack failed ───────────────────────────▶ Closed(Refused)      nothing was changed
//! ```
//!
//! Where events are asked for one at a time ([`order::Pace::OnCommand`]), an `Asked(event)` stands before each of them, the
//! deployment waits between two, and `Asked` after `Closed` opens it again.
//!
//! A crash is an ordinary way to stop: [`drive::resume`] reads how far the journal got and goes on in the same loop. A
//! deployment that failed may bring the last good release back before it is closed, as a deployment of its own.
//!
//! [`order`] is what is asked for, [`application`] whose it is, [`revisions`] reads the revisions it concerns, [`planner`] decides (pure) from what
//! [`decide`] reads, [`journal`] remembers, [`progress`] tells from it how far a deployment got, [`restore`] decides what
//! follows a failure. `prepare` fetches, `step` carries out, `interrupted` ends the installation that a crash interrupted,
//! `unfinished` closes other deployments, [`refusal`] says what went wrong, `run` joins them and `ending` is what comes last.
//! [`drive`] has the ways in; `command` is the one for a single event, `alone` such an event without a bundle, [`noop`] what
//! is told of it before it runs, `handover` leaves it all to the next agent. [`survey`] reads what the
//! command `plan` shows beside its plan, and [`preview`] puts both together (pure).

pub mod agent;
mod alone;
pub mod answer;
pub mod application;
mod command;
pub mod decide;
pub mod drive;
mod ending;
mod handover;
mod interrupted;
pub mod journal;
pub mod noop;
pub mod order;
pub mod plan;
pub mod planner;
mod prepare;
pub mod preview;
pub mod progress;
pub mod refusal;
pub mod restore;
pub mod revisions;
mod run;
mod step;
pub mod survey;
mod throttle;
mod unfinished;
