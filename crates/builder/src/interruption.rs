//! What Ctrl-C and TERM mean while a deployment is followed. Asks where that was wanted and somebody is there to answer.

use std::io::{self, BufRead as _, IsTerminal as _};
use std::os::fd::AsFd as _;
use std::pin::pin;
use std::time::Duration;

use longshore_core::ids::DeploymentId;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::termios::{FlushArg, tcflush};

use crate::cli::OnInterrupt;
use crate::display::Screen;
use crate::event::Deploying;
use crate::interrupt::Interruptions;

/// How long an answer may lie there unseen.
const BETWEEN_LOOKS: Duration = Duration::from_millis(50);

/// How long somebody who wants to leave waits for what is under way already.
pub(crate) const LAST_WORDS: Duration = Duration::from_secs(10);

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The deployment goes on without us.
    Leave,
    /// The deployment is stopped.
    Stop,
    /// Everything goes on.
    GoOn,
}

/// What came of a request that nobody can take back.
#[derive(Debug)]
pub(crate) enum Told<T> {
    /// Its answer.
    Answer(T),
    /// Somebody wants to leave. The answer, if it came soon.
    Leaving(Option<T>),
}

/// Waits for the answer to a request to stop: it may hold, whether or not somebody waits. Who wants to leave is held up for a
/// short time, and who says so once more not at all.
pub(crate) async fn told<T>(request: impl Future<Output = T>, signals: &mut Interruptions) -> Told<T> {
    let mut request = pin!(request);
    tokio::select! {
        biased;
        answer = &mut request => return Told::Answer(answer),
        () = signals.next() => {}
    }
    tokio::select! {
        biased;
        answer = tokio::time::timeout(LAST_WORDS, request) => Told::Leaving(answer.ok()),
        () = signals.next() => Told::Leaving(None),
    }
}

/// What an interruption means without a word about it: who sits at a terminal is asked.
pub(crate) fn default_policy() -> OnInterrupt {
    if is_somebody_there() { OnInterrupt::Ask } else { OnInterrupt::Leave }
}

fn is_somebody_there() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// What an interruption means. A second one, the end of the input, or nobody to ask, means to leave.
pub(crate) async fn answer(
    policy: OnInterrupt,
    deployment: &DeploymentId,
    signals: &mut Interruptions,
    screen: &Screen,
) -> Answer {
    match policy {
        OnInterrupt::Leave => Answer::Leave,
        OnInterrupt::Stop => Answer::Stop,
        OnInterrupt::Ask if !is_somebody_there() => Answer::Leave,
        OnInterrupt::Ask => {
            // What was typed before the question is no answer. Only a terminal has anything to forget.
            let _ = tcflush(io::stdin(), FlushArg::TCIFLUSH);
            screen.tell(&Deploying::AskedToStop(deployment.clone()).into());
            tokio::select! {
                biased;
                () = signals.next() => Answer::Leave,
                line = line() => meaning(line.as_deref()),
            }
        }
    }
}

fn meaning(line: Option<&str>) -> Answer {
    match line.map(|line| line.trim().to_lowercase()).as_deref() {
        Some("s" | "stop" | "y" | "yes") => Answer::Stop,
        Some("c" | "continue" | "w" | "wait") => Answer::GoOn,
        Some(_) | None => Answer::Leave,
    }
}

/// The next line that is typed; `None`: there is none. Looks again and again instead of reading in a thread, which could not be
/// ended.
async fn line() -> Option<String> {
    let input = io::stdin();
    loop {
        let mut ready = [PollFd::new(input.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::ZERO).ok()? > 0 {
            break;
        }
        tokio::time::sleep(BETWEEN_LOOKS).await;
    }
    let mut line = String::new();
    let read = input.lock().read_line(&mut line).ok()?;
    (read > 0).then_some(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clear_word_stops_a_deployment() {
        for (line, answer) in [
            (Some("s\n"), Answer::Stop),
            (Some(" STOP \n"), Answer::Stop),
            (Some("y\n"), Answer::Stop),
            (Some("c\n"), Answer::GoOn),
            (Some("l\n"), Answer::Leave),
            (Some("\n"), Answer::Leave),
            (Some("what?\n"), Answer::Leave),
            (None, Answer::Leave),
        ] {
            assert_eq!(meaning(line), answer, "{line:?}");
        }
    }
}
