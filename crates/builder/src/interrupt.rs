//! Waits for whoever wants this process to end.

use longshore_core::failure::{Exit, Failure};

/// Somebody wants this process to end, and has come in time.
#[derive(Debug, thiserror::Error)]
#[error("interrupted before anything was deployed")]
pub(crate) struct Interrupted;

impl From<Interrupted> for Failure {
    fn from(interrupted: Interrupted) -> Failure {
        Failure::new(Exit::Failed, interrupted)
    }
}

/// Waits for Ctrl-C or TERM, which is how CI cancels a job.
pub(crate) async fn asked_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        // Without it TERM ends the process at once, as it does any other.
        let _ = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Ctrl-C and TERM, one after the other: none is lost between two looks.
#[derive(Debug)]
pub(crate) struct Interruptions {
    interrupt: Option<tokio::signal::unix::Signal>,
    terminate: Option<tokio::signal::unix::Signal>,
}

impl Interruptions {
    /// From now on neither ends this process. Where one cannot be listened for, it does.
    pub(crate) fn listen() -> Interruptions {
        use tokio::signal::unix::{SignalKind, signal};
        Interruptions {
            interrupt: signal(SignalKind::interrupt()).ok(),
            terminate: signal(SignalKind::terminate()).ok(),
        }
    }

    /// Does something that may end anywhere, unless somebody wants this process to end, or has wanted so since the last look.
    pub(crate) async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Result<T, Interrupted> {
        tokio::select! {
            biased;
            () = self.next() => Err(Interrupted),
            done = work => Ok(done),
        }
    }

    /// The next one.
    pub(crate) async fn next(&mut self) {
        async fn of(signal: &mut Option<tokio::signal::unix::Signal>) {
            match signal {
                Some(signal) => drop(signal.recv().await),
                None => std::future::pending().await,
            }
        }
        tokio::select! {
            () = of(&mut self.interrupt) => {}
            () = of(&mut self.terminate) => {}
        }
    }
}
