//! Waits for whoever wants this process to end.

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
