//! `run`: the daemon, from its settings to its end.

use std::collections::BTreeMap;
use std::sync::Arc;

use longshore_core::failure::Failure;

use crate::cli::{Global, RunArgs};
use crate::daemon;
use crate::daemon::notice::{Listener, Notice};
use crate::daemon::traced::Traced;
use crate::display::daemon::DaemonLog;
use crate::notify::Notify;
use crate::settings;

/// Runs the command.
pub fn run(args: &RunArgs, global: &Global, traced: &Traced) -> Result<(), Failure> {
    // Before anything else, so that no script inherits what is meant for the daemon.
    let notify = Notify::of_environment();
    let environment: BTreeMap<_, _> = std::env::vars_os().collect();
    let loaded = settings::load(args.config.as_deref(), global.explicit_root.as_deref(), &environment)?;
    let log = Arc::new(DaemonLog::new(&loaded.settings, global.output));
    traced.connect(&(Arc::clone(&log) as Arc<dyn Listener>));
    for problem in &loaded.problems {
        log.tell(&Notice::Warned { message: problem.to_string() });
    }
    daemon::run(loaded.settings, log, &notify)
}
