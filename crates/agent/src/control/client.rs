//! Asks the agent that runs on this host.

use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use longshore_core::failure::{Exit, Failure};
use nix::unistd::{Gid, Group};

use super::protocol::{Answer, Request};

/// How long an agent may take to answer what it knows.
const PATIENCE: Duration = Duration::from_secs(30);

/// A question that is being answered.
pub struct Client {
    path: PathBuf,
    answers: BufReader<UnixStream>,
}

/// Why the agent could not be asked.
#[derive(Debug, thiserror::Error)]
enum ClientError {
    #[error("no agent listens on `{path}`")]
    Nobody { path: PathBuf, source: io::Error },
    #[error("you may not use `{path}`")]
    NotAllowed { path: PathBuf, source: io::Error },
    #[error("cannot talk with the agent on `{path}`")]
    Broken { path: PathBuf, source: io::Error },
    #[error("the agent on `{path}` answers `{answer}`, which this version does not know")]
    Unknown { path: PathBuf, answer: String, source: serde_json::Error },
}

impl Client {
    /// Asks. The answers come from [`Client::answer`].
    pub fn ask(path: &Path, request: &Request) -> Result<Client, Failure> {
        let stream = UnixStream::connect(path).map_err(|error| not_connected(path, error))?;
        let broken = |source| broken(path, source);
        // Who waits for a deployment has no idea how long.
        let patience = match request {
            Request::Version | Request::Status | Request::Pause | Request::Resume => Some(PATIENCE),
            Request::Logs(logs) if !logs.follow => Some(PATIENCE),
            Request::Logs(_) | Request::Deploy(_) => None,
        };
        stream.set_read_timeout(patience).map_err(broken)?;
        let mut line = serde_json::to_vec(request).map_err(|error| Failure::new(Exit::Failed, error))?;
        line.push(b'\n');
        // One that turns us away does not read the question; its answer is there all the same.
        match (&stream).write_all(&line) {
            Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(broken(error)),
            Ok(()) | Err(_) => {}
        }
        Ok(Client { path: path.to_owned(), answers: BufReader::new(stream) })
    }

    /// The next answer; what the agent refuses is an error, and so is that it ended without having said how it went.
    pub fn answer(&mut self) -> Result<Answer, Failure> {
        let mut line = String::new();
        self.answers.read_line(&mut line).map_err(|error| broken(&self.path, error))?;
        if line.is_empty() {
            let source = io::Error::new(io::ErrorKind::UnexpectedEof, "it ended before it had answered");
            return Err(broken(&self.path, source));
        }
        let answer = serde_json::from_str(&line).map_err(|source| {
            let answer = line.chars().take(60).collect();
            let error = ClientError::Unknown { path: self.path.clone(), answer, source };
            Failure::new(Exit::Failed, error).hint("use the `longshore-agent` of the same version")
        })?;
        match answer {
            Answer::Failed(refusal) => {
                crate::display::control::problems(&refusal.problems);
                Err(refusal.into())
            }
            answer @ (Answer::Version { .. }
            | Answer::Status(_)
            | Answer::Paused { .. }
            | Answer::Resumed { .. }
            | Answer::Found { .. }
            | Answer::Log { .. }
            | Answer::Accepted { .. }
            | Answer::Event { .. }
            | Answer::Done
            | Answer::Ending) => Ok(answer),
        }
    }
}

fn broken(path: &Path, source: io::Error) -> Failure {
    Failure::new(Exit::Unavailable, ClientError::Broken { path: path.to_owned(), source })
        .hint("`systemctl status longshore-agent` tells whether it runs")
}

fn not_connected(path: &Path, source: io::Error) -> Failure {
    let at = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => Failure::new(
            Exit::Unavailable,
            ClientError::Nobody { path: at, source },
        )
        .hint(
            "`systemctl status longshore-agent` tells whether it runs, `longshore-agent config show` where it listens",
        ),
        io::ErrorKind::PermissionDenied => {
            let group = std::fs::metadata(path).ok().map(|metadata| metadata.gid()).filter(|gid| *gid != 0);
            let group = group.and_then(|gid| Group::from_gid(Gid::from_raw(gid)).ok().flatten());
            let hint = match group {
                Some(group) => format!("it is for root and the members of the group `{}`", group.name),
                None => "it is for root; `[control] group` in agent.toml names a group whose members may use it, too"
                    .to_owned(),
            };
            Failure::new(Exit::Unavailable, ClientError::NotAllowed { path: at, source }).hint(hint)
        }
        _ => broken(path, source),
    }
}
