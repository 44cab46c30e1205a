//! What systemd is told of this process: that it is ready, what it does, that it is alive, that it ends. Says nothing where
//! nobody asked for it.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// How long a line may wait for systemd. A manager that hangs must not stop deployments.
const PATIENCE: Duration = Duration::from_secs(5);

/// The way to systemd.
#[derive(Debug, Default)]
pub struct Notify {
    socket: Option<UnixDatagram>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As systemd asks in the environment. Takes its variables away, so that no hook speaks for the agent. To be called
    /// while the process has one thread.
    #[expect(
        unsafe_code,
        reason = "the environment of a process with other threads must not be changed; it has none yet"
    )]
    pub fn of_environment() -> Notify {
        let taken = |name: &str| {
            let value = std::env::var_os(name)?;
            // SAFETY: nothing else runs in this process yet.
            unsafe { std::env::remove_var(name) };
            Some(value)
        };
        let (address, micros, pid) = (taken("NOTIFY_SOCKET"), taken("WATCHDOG_USEC"), taken("WATCHDOG_PID"));
        // Another process's watchdog is none of ours.
        let is_ours = pid.is_none_or(|pid| pid.to_str() == Some(&std::process::id().to_string()));
        let watchdog = micros.filter(|_| is_ours).and_then(|micros| micros.to_str()?.parse().ok());
        Notify::to(address.as_deref(), watchdog.filter(|micros| *micros > 0).map(Duration::from_micros))
    }

    /// To a socket: a path, or an abstract name that begins with `@`. One that cannot be reached is none.
    pub fn to(address: Option<&OsStr>, watchdog: Option<Duration>) -> Notify {
        let socket = address.and_then(|address| match connect(address) {
            Ok(socket) => Some(socket),
            Err(error) => {
                tracing::warn!(?address, %error, "systemd cannot be told of this process");
                None
            }
        });
        Notify { socket, watchdog }
    }

    /// The agent is there, and does this.
    pub fn ready(&self, status: &str) {
        self.send(&format!("READY=1\nSTATUS={}", line(status)));
    }

    /// What the agent does now: the `Status:` of `systemctl status`.
    pub fn status(&self, status: &str) {
        self.send(&format!("STATUS={}", line(status)));
    }

    /// The agent is about to end.
    pub fn stopping(&self) {
        self.send("STOPPING=1");
    }

    /// Says twice in each period of the watchdog that the agent is alive, as long as it is by its own account, for ever.
    /// A task of the runtime that it vouches for: where that hangs, this hangs too, and systemd starts the agent again.
    pub async fn watchdog(&self, is_alive: impl Fn() -> bool) {
        let Some(period) = self.watchdog.filter(|_| self.socket.is_some()) else {
            return std::future::pending().await;
        };
        let mut ticks = tokio::time::interval(period / 2);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            ticks.tick().await;
            if is_alive() {
                self.send("WATCHDOG=1");
            }
        }
    }

    fn send(&self, state: &str) {
        let Some(socket) = &self.socket else { return };
        if let Err(error) = socket.send(state.as_bytes()) {
            tracing::warn!(state, %error, "systemd was not told");
        }
    }
}

fn connect(address: &OsStr) -> io::Result<UnixDatagram> {
    let address = match address.as_bytes() {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_write_timeout(Some(PATIENCE))?;
    socket.connect_addr(&address)?;
    Ok(socket)
}

/// A line break would begin another variable.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 256];
        socket.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8(buffer[..length].to_vec()).unwrap()
    }

    #[test]
    fn systemd_hears_of_a_start_a_change_and_an_end_by_a_path_and_by_an_abstract_name() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let name = format!("longshore-notify-{}", std::process::id());
        let by_name = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        let by_path = UnixDatagram::bind(&path).unwrap();
        for (socket, address) in [(by_path, path.into_os_string()), (by_name, format!("@{name}").into())] {
            let notify = Notify::to(Some(&address), None);
            notify.ready("follows 2 groups");
            notify.status("deploys\nREADY=0");
            notify.stopping();
            let heard = [read(&socket), read(&socket), read(&socket)];
            let expected = ["READY=1\nSTATUS=follows 2 groups", "STATUS=deploys READY=0", "STOPPING=1"];
            assert_eq!(heard, expected, "{address:?}");
        }
    }

    #[test]
    fn the_watchdog_is_fed_while_the_agent_is_alive_and_not_after() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notify");
        let socket = UnixDatagram::bind(&path).unwrap();
        let notify = Notify::to(Some(path.as_os_str()), Some(Duration::from_millis(20)));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let asked = std::cell::Cell::new(0);
        runtime.block_on(async {
            let alive = notify.watchdog(|| {
                asked.set(asked.get() + 1);
                asked.get() <= 3
            });
            // Ends while it is asked for the tenth time or later: seven times it was dead.
            let enough = async {
                while asked.get() < 10 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            };
            tokio::select! { () = alive => {}, () = enough => {} }
        });
        let heard = [read(&socket), read(&socket), read(&socket)];
        assert_eq!(heard, ["WATCHDOG=1"; 3]);
        socket.set_nonblocking(true).unwrap();
        assert_eq!(socket.recv(&mut [0; 16]).unwrap_err().kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn nothing_is_said_where_nobody_listens() {
        for address in [None, Some(OsStr::new("/nowhere/notify")), Some(OsStr::new("@longshore-nobody"))] {
            let notify = Notify::to(address, Some(Duration::from_secs(1)));
            notify.ready("there");
            notify.stopping();
            assert!(notify.socket.is_none(), "{address:?}");
        }
    }
}
