//! Answers on the socket. Files are read and written by other threads: nothing here keeps the daemon waiting.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{DeploymentId, GroupId};
use longshore_core::problem::Look;
use longshore_core::report::{Envelope, Reporter};
use nix::unistd::{Uid, User};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::ordered;
use super::pause::{Paused, read_paused, remove_paused, write_paused};
use super::protocol::{Answer, Deploy, Logs, Refusal, Request, Status};
use super::socket::Bound;
use crate::daemon::desk::Untaken;
use crate::daemon::notice::Notice;
use crate::daemon::shared::{Shared, SourceState};
use crate::deployment::drive;
use crate::display;
use crate::event::Event;
use crate::history::{self, Selection};
use crate::layout::Layout;
use crate::meant::one;
use crate::printed::{self, LOOK_AGAIN};
use crate::source;

/// How many may be connected.
const MOST_CLIENTS: usize = 32;
/// The longest question, bytes.
const LONGEST: u64 = 64 * 1024;
/// How long a question may take to come.
const QUESTION: Duration = Duration::from_secs(10);
/// How long a client may take to read a line.
const SLOWEST: Duration = Duration::from_secs(30);
/// How many events may wait for a client that reads slowly.
const QUEUE: usize = 1024;
/// How long clients have to hear that the agent ends.
const GOODBYE: Duration = Duration::from_millis(500);

/// A socket that is listened on, and whoever connects waits for [`Listening::serve`].
pub struct Listening {
    server: Arc<Server>,
    bound: Bound,
    listener: UnixListener,
}

/// Listens, and answers questions until the daemon ends.
pub async fn serve(shared: Shared) -> io::Result<()> {
    if let Some(listening) = listen(shared).await? {
        listening.serve().await;
    }
    Ok(())
}

/// Listens, if there is to be a socket.
pub async fn listen(shared: Shared) -> io::Result<Option<Listening>> {
    let control = shared.settings.control.clone();
    let Some(path) = control.socket else { return Ok(None) };
    let bound = spawn_blocking(move || Bound::listen(&path, control.group.as_deref())).await;
    let (bound, listener, warning) = bound.map_err(io::Error::other)??;
    listener.set_nonblocking(true)?;
    let listener = UnixListener::from_std(listener)?;
    if let Some(message) = warning {
        shared.listener.tell(&Notice::Warned { message });
    }
    let since = (shared.agent.now)();
    let server = Arc::new(Server { shared, since, pausing: Mutex::default() });
    Ok(Some(Listening { server, bound, listener }))
}

impl Listening {
    /// Answers questions until the daemon ends.
    pub async fn serve(self) {
        let Listening { server, bound, listener } = self;
        let mut ending = server.shared.ending.clone();
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                // That nobody can say it any more means the same.
                _ = ending.wait_for(|is_ending| *is_ending) => break,
                Some(_) = clients.join_next() => {}
                accepted = listener.accept() => match accepted {
                    Ok((stream, _)) if clients.len() < MOST_CLIENTS => {
                        let server = Arc::clone(&server);
                        clients.spawn(async move { server.talk(stream).await });
                    }
                    Ok((stream, _)) => turn_away(&stream),
                    // Out of descriptors, most likely: whoever waits is accepted later.
                    Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                },
            }
        }
        drop(listener);
        let _ = timeout(GOODBYE, async { while clients.join_next().await.is_some() {} }).await;
        clients.shutdown().await;
        // The file system may be slow.
        let _ = spawn_blocking(move || drop(bound)).await;
    }
}

fn turn_away(stream: &UnixStream) {
    let failure = Failure::new(Exit::Busy, format!("the agent talks with {MOST_CLIENTS} others already"));
    // The first bytes always fit.
    let _ = stream.try_write(line(&Answer::Failed(Refusal::from(&failure))).as_bytes());
}

fn line(answer: &Answer) -> String {
    // Texts and numbers can always be written.
    serde_json::to_string(answer).unwrap_or_default() + "\n"
}

struct Server {
    shared: Shared,
    since: String,
    /// One changes the mark of the pause at a time.
    pausing: Mutex<()>,
}

/// A client that is answered.
struct Client {
    read: BufReader<tokio::io::Take<OwnedReadHalf>>,
    write: OwnedWriteHalf,
    uid: Option<u32>,
}

/// The client is gone, or does not read.
struct Gone;

impl Client {
    async fn say(&mut self, answer: &Answer) -> Result<(), Gone> {
        let line = line(answer);
        match timeout(SLOWEST, self.write.write_all(line.as_bytes())).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) | Err(_) => Err(Gone),
        }
    }

    async fn question(&mut self) -> Result<Request, Failure> {
        let mut text = Vec::new();
        let read = timeout(QUESTION, self.read.read_until(b'\n', &mut text)).await;
        let refused = |message: String| Failure::new(Exit::Usage, message);
        match read {
            Ok(Ok(_)) if text.ends_with(b"\n") => serde_json::from_slice(&text).map_err(|error| {
                let version = env!("CARGO_PKG_VERSION");
                refused(format!("the agent {version} does not know what is asked: {error}"))
                    .hint("use the `longshore-agent` of the same version")
            }),
            Ok(Ok(_)) if text.len() as u64 >= LONGEST => {
                Err(refused(format!("a question has at most {LONGEST} bytes")))
            }
            Ok(Ok(_)) => Err(refused("the question has no end".to_owned())),
            Ok(Err(error)) => Err(Failure::new(Exit::Failed, error)),
            Err(_) => Err(Failure::new(Exit::TimedOut, "the question did not come in time")),
        }
    }

    /// Returns when the client has closed its end.
    async fn left(&mut self) {
        // What it says after its question is not heard.
        let mut rest = [0; 256];
        while matches!(self.read.get_mut().get_mut().read(&mut rest).await, Ok(1..)) {}
    }

    async fn fail(&mut self, failure: &Failure) -> Result<(), Gone> {
        self.say(&Answer::Failed(Refusal::from(failure))).await
    }
}

impl Server {
    async fn talk(&self, stream: UnixStream) {
        let uid = stream.peer_cred().ok().map(|peer| peer.uid());
        let (read, write) = stream.into_split();
        let mut client = Client { read: BufReader::new(read.take(LONGEST)), write, uid };
        // A client that is gone needs no answer.
        let _ = match client.question().await {
            Ok(request) => self.answer(&mut client, request).await,
            Err(failure) => client.fail(&failure).await,
        };
    }

    async fn answer(&self, client: &mut Client, request: Request) -> Result<(), Gone> {
        match request {
            Request::Version => client.say(&Answer::Version { version: env!("CARGO_PKG_VERSION").to_owned() }).await,
            Request::Status => match self.status().await {
                Ok(status) => client.say(&Answer::Status(Box::new(status))).await,
                Err(failure) => client.fail(&failure).await,
            },
            Request::Logs(asked) => self.logs(client, asked).await,
            Request::Pause => {
                let answer = self.pause(client.uid).await;
                self.told(client, answer).await
            }
            Request::Resume => {
                let answer = self.resume(client.uid).await;
                self.told(client, answer).await
            }
            Request::Deploy(asked) => self.deploy(client, *asked).await,
        }
    }

    async fn told(&self, client: &mut Client, answer: io::Result<Answer>) -> Result<(), Gone> {
        match answer {
            Ok(answer) => client.say(&answer).await,
            Err(error) => {
                let mark = self.shared.settings.layout.paused();
                let message = format!("cannot change `{}`: {error}", mark.display());
                client.fail(&Failure::new(Exit::Failed, message)).await
            }
        }
    }

    async fn status(&self) -> Result<Status, Failure> {
        let layout = self.shared.settings.layout.clone();
        let read = blocking(move || {
            let failed = |error| Failure::new(Exit::Failed, error);
            let groups = history::all_groups(&layout).map_err(failed)?;
            let groups: Result<Vec<_>, _> = groups.into_iter().map(|id| history::status(&layout, id)).collect();
            let groups = groups.map_err(failed)?;
            let text = display::past::groups(&groups, None, layout.root());
            let values: Result<Vec<_>, _> = groups.iter().map(serde_json::to_value).collect();
            let values = values.map_err(|error| Failure::new(Exit::Failed, error))?;
            Ok((read_paused(&layout), values, text))
        });
        let (mark, groups, text) = read.await?;
        Ok(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            since: self.since.clone(),
            root: self.shared.settings.layout.root().display().to_string(),
            paused: mark.filter(|_| self.shared.is_paused()),
            sources: sources(&self.shared),
            busy: self.shared.desk.busy(),
            groups,
            groups_text: Some(text),
        })
    }

    async fn pause(&self, uid: Option<u32>) -> io::Result<Answer> {
        let _one = self.pausing.lock().await;
        let layout = self.shared.settings.layout.clone();
        let at = (self.shared.agent.now)();
        let is_paused = self.shared.is_paused();
        let paused = spawn_blocking(move || {
            if let Some(paused) = read_paused(&layout).filter(|_| is_paused) {
                return Ok(paused);
            }
            let paused = Paused { by: name(uid), at };
            // Written first: a pause that was promised has to hold after a crash.
            write_paused(&layout, &paused).map(|()| paused)
        });
        let paused = paused.await.map_err(io::Error::other)??;
        let already = self.shared.paused.send_replace(true);
        if !already {
            self.shared.listener.tell(&Notice::Paused { by: paused.by.clone() });
        }
        Ok(Answer::Paused { paused, already })
    }

    async fn resume(&self, uid: Option<u32>) -> io::Result<Answer> {
        let _one = self.pausing.lock().await;
        let layout = self.shared.settings.layout.clone();
        let by = spawn_blocking(move || remove_paused(&layout).map(|()| name(uid)));
        let by = by.await.map_err(io::Error::other)??;
        let already = !self.shared.paused.send_replace(false);
        if !already {
            self.shared.listener.tell(&Notice::Unpaused { by });
        }
        Ok(Answer::Resumed { already })
    }

    async fn logs(&self, client: &mut Client, asked: Logs) -> Result<(), Gone> {
        let (answers, queue) = mpsc::channel(4);
        let layout = self.shared.settings.layout.clone();
        let reading = spawn_blocking(move || {
            if let Err(failure) = read_log(&layout, &asked, &answers) {
                let _ = answers.blocking_send(Answer::Failed(Refusal::from(&failure)));
            }
        });
        let passed = self.pass_on(client, queue, || Answer::Ending).await;
        // It looks often enough whether somebody still listens.
        let _ = reading.await;
        passed
    }

    async fn deploy(&self, client: &mut Client, asked: Deploy) -> Result<(), Gone> {
        if *self.shared.ending.borrow() || self.shared.agent.handover.load(Ordering::Relaxed) {
            return client.say(&Answer::Ending).await;
        }
        let (settings, uid) = (Arc::clone(&self.shared.settings), client.uid);
        let order = blocking(move || Ok((ordered::order(asked, &settings)?, name(uid)))).await;
        let (order, by) = match order {
            Ok(order) => order,
            Err(failure) => return client.fail(&failure).await,
        };
        let (deployment, group) = (order.deployment.clone(), order.group.id.clone());
        let revision = order.revision.to_string();
        let ordered = Notice::Ordered { by, deployment: deployment.to_string(), revision };
        let (answers, queue) = mpsc::channel(QUEUE);
        // The last place is for how it ended: that is told even when nobody has read for long.
        let Ok(end) = answers.clone().try_reserve_owned() else { return Err(Gone) };
        let reader = Arc::new(Passing(answers));
        let agent = self.shared.agent(self.shared.agent.access.clone(), Some(reader));
        let listener = Arc::clone(&self.shared.listener);
        let begun = self.shared.desk.begin_at_once(
            group.clone(),
            Box::new(move || {
                listener.tell(&ordered);
                let ended = match drive::deploy(&agent, &order) {
                    Ok(()) => Answer::Done,
                    Err(failure) if drive::is_handover(&failure) => {
                        left(&agent.layout, &order.group.id, &order.deployment)
                    }
                    Err(failure) => Answer::Failed(Refusal::from(&failure)),
                };
                end.send(ended);
            }),
        );
        // It would be kept nowhere but here, and lost with this process.
        match begun {
            Ok(()) => {}
            Err(error @ Untaken::Busy(_)) => {
                let failure = Failure::new(Exit::Busy, error).hint(
                    "try again when its deployment has ended; `longshore-agent control logs --follow` shows how it goes",
                );
                return client.fail(&failure).await;
            }
            Err(error @ Untaken::Thread(_)) => return client.fail(&Failure::new(Exit::Failed, error)).await,
        }
        client.say(&Answer::Accepted { deployment: deployment.clone() }).await?;
        let layout = &self.shared.settings.layout;
        self.pass_on(client, queue, || left(layout, &group, &deployment)).await
    }

    /// Says what comes, until all was said, the client leaves or the daemon ends.
    async fn pass_on(
        &self,
        client: &mut Client,
        mut queue: mpsc::Receiver<Answer>,
        at_end: impl Fn() -> Answer,
    ) -> Result<(), Gone> {
        let mut ending = self.shared.ending.clone();
        loop {
            let (answer, is_last) = tokio::select! {
                biased;
                answer = queue.recv() => match answer {
                    Some(answer) => (answer, false),
                    None => return Ok(()),
                },
                () = client.left() => return Err(Gone),
                _ = ending.wait_for(|is_ending| *is_ending) => (at_end(), true),
            };
            client.say(&answer).await?;
            if is_last {
                return Ok(());
            }
        }
    }
}

/// What is left of an order when the agent ends.
fn left(layout: &Layout, group: &GroupId, deployment: &DeploymentId) -> Answer {
    if layout.deployment(group, deployment).journal().exists() {
        return Answer::Ending;
    }
    let failure = Failure::new(Exit::Unavailable, format!("the agent is ending; nothing of {deployment} was begun"));
    Answer::Failed(Refusal::from(&failure.hint("order it again when the next agent runs")))
}

/// Passes events on to a client; a deployment never waits for one.
struct Passing(mpsc::Sender<Answer>);

impl Reporter<Event> for Passing {
    fn report(&self, envelope: &Envelope<'_, Event>) {
        let Ok(event) = serde_json::to_value(envelope) else { return };
        let text = display::sentence(envelope.event, envelope.deployment, Look::Plain);
        // When too many wait the client has lost this one; how the deployment ended it will hear.
        let _ = self.0.try_send(Answer::Event { text, event });
    }
}

/// Reads what scripts printed, until the deployment ends if that is wanted.
fn read_log(layout: &Layout, asked: &Logs, answers: &mpsc::Sender<Answer>) -> Result<(), Failure> {
    let Logs { deployment, group, application, group_id, follow } = asked;
    let selection = Selection { group: group.as_ref(), application: application.as_ref(), id: group_id.as_ref() };
    let found = one(layout, deployment.as_ref(), selection)?;
    let directory = layout.deployment(&found.group, &found.deployment);
    let say = |answer| answers.blocking_send(answer).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe));
    let mut rest = Vec::new();
    if say(Answer::Found { deployment: found.deployment.clone() }).is_err() {
        return Ok(());
    }
    let mut reader = printed::Reader::new(directory.scripts_log());
    loop {
        // Looked at first: what was printed before the end is there to be read after it.
        let is_under_way = *follow && found.has_journal && printed::is_under_way(layout, &found.group, &directory);
        let read = reader.read_on(|bytes| {
            rest.extend_from_slice(bytes);
            // A letter may be cut in two by the end of a piece, but not by that of a line.
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { return Ok(()) };
            let whole: Vec<u8> = rest.drain(..=end).collect();
            say(Answer::Log { text: String::from_utf8_lossy(&whole).into_owned() })
        });
        let said = read.map_err(|error| {
            let message = format!("cannot read `{}`: {error}", directory.scripts_log().display());
            Failure::new(Exit::Failed, message)
        })?;
        if said.is_err() || answers.is_closed() {
            return Ok(());
        }
        if !is_under_way {
            break;
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    if !rest.is_empty() {
        // One that is gone needs no last line.
        let _ = say(Answer::Log { text: String::from_utf8_lossy(&rest).into_owned() });
    }
    let _ = say(Answer::Done);
    Ok(())
}

/// Runs what waits for files on another thread.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(Failure::new(Exit::Failed, error)))
}

/// How each source is, those that have not answered yet included.
fn sources(shared: &Shared) -> BTreeMap<String, SourceState> {
    let settings = &shared.settings;
    let codedeploy = settings.codedeploy.iter().map(|_| source::codedeploy::NAME.to_owned());
    let names = codedeploy.chain(settings.follow.iter().map(source::store::name));
    let mut sources: BTreeMap<_, _> = names.map(|name| (name, SourceState::default())).collect();
    sources.extend(shared.sources());
    sources
}

/// Who asks, for people. Blocks: names may come from another host.
fn name(uid: Option<u32>) -> String {
    let Some(uid) = uid else { return "somebody".to_owned() };
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => format!("{} (uid {uid})", user.name),
        Ok(None) | Err(_) => format!("uid {uid}"),
    }
}

#[cfg(test)]
mod tests {
    use longshore_core::report::Fanout;

    use super::*;

    #[test]
    fn a_client_that_does_not_read_holds_nobody_up_and_still_hears_the_end() {
        let (answers, mut queue) = mpsc::channel(3);
        let end = answers.clone().try_reserve_owned().unwrap();
        let events = Fanout::new(vec![Box::new(Passing(answers)) as Box<dyn Reporter<Event>>], || "now".to_owned());
        (0..10).for_each(|bytes| events.emit(&Event::Fetching { bytes }));
        end.send(Answer::Done);
        drop(events);
        let mut got = Vec::new();
        while let Some(answer) = queue.blocking_recv() {
            got.push(match answer {
                Answer::Event { event, .. } => event["seq"].to_string(),
                answer => format!("{answer:?}"),
            });
        }
        assert_eq!(got, ["1", "2", "Done"]);
    }
}
