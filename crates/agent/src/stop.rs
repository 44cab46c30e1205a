//! Ctrl-C, TERM and a lost terminal: counted, so that the deployment can end at a step's border and not in the middle of one.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::sys::signal::{SigSet, Signal};

use crate::display::bottom;

/// Counts INT, TERM and HUP from now on instead of dying of them. Has to be called before any other thread is started, because
/// a new thread inherits what its creator blocks.
pub(crate) fn count() -> Arc<AtomicUsize> {
    let asked = Arc::new(AtomicUsize::new(0));
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGINT);
    signals.add(Signal::SIGTERM);
    // A lost connection must not end a deployment in the middle of a step.
    signals.add(Signal::SIGHUP);
    if signals.thread_block().is_ok() {
        let counter = Arc::clone(&asked);
        // Lives as long as the process: it has nothing to clean up.
        std::thread::spawn(move || {
            while signals.wait().is_ok() {
                if counter.fetch_add(1, Ordering::Relaxed) == 0 {
                    bottom::print("    Stopping after the running script; press Ctrl-C again to end the script");
                }
            }
        });
    }
    asked
}
