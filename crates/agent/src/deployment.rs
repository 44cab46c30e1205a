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
//! [`order`] is what is asked for, [`revisions`] reads the revisions it concerns, [`plan`] decides (pure) from what
//! [`decide`] reads, [`journal`] remembers, `unfinished` ends what a crash left, [`refusal`] says what went wrong, [`drive`]
//! joins them. [`survey`] reads what `plan` shows beside its plan, and [`preview`] puts both together (pure).

pub mod agent;
pub mod decide;
pub mod drive;
pub mod journal;
pub mod order;
pub mod plan;
pub mod preview;
pub mod refusal;
pub mod revisions;
pub mod survey;
mod unfinished;
