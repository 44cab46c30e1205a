//! What a person sees during a deployment: the real agent on a real terminal, its screens compared at chosen moments.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[expect(dead_code, reason = "the harness serves other tests too")]
mod sandbox;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::pty::{Winsize, openpty};
use sandbox::{Ran, Sandbox};

/// A terminal with the agent on it.
struct Terminal {
    agent: Child,
    master: File,
    slave: Option<OwnedFd>,
    screen: avt::Terminal,
    /// Everything that was written to it.
    bytes: Vec<u8>,
    /// How much of `bytes` the screen has: a letter may arrive in two pieces.
    fed: usize,
}

impl Terminal {
    fn of(mut agent: Command, columns: u16, rows: u16) -> Terminal {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        let pty = openpty(&size, None).unwrap();
        let side = || Stdio::from(pty.slave.try_clone().unwrap());
        let agent = agent.env("TERM", "xterm-256color").stdin(side()).stdout(side()).stderr(side()).spawn().unwrap();
        let screen = avt::Terminal::with_scrollback(columns.into(), rows.into(), None).unwrap();
        Terminal { agent, master: pty.master.into(), slave: Some(pty.slave), screen, bytes: Vec::new(), fed: 0 }
    }

    /// Makes the window another size, as a person who pulls at its corner.
    fn resize(&mut self, columns: usize, rows: usize) {
        self.screen.resize(columns, rows);
        let mut stty = Command::new("stty");
        stty.args(["cols", &columns.to_string(), "rows", &rows.to_string()]);
        let slave = self.slave.as_ref().unwrap().try_clone().unwrap();
        assert!(stty.stdin(Stdio::from(slave)).status().unwrap().success());
    }

    /// Shows what has been written, waiting a moment for it. Whether there can be more.
    fn read(&mut self) -> bool {
        let mut ready = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
        if poll(&mut ready, PollTimeout::from(50u8)).unwrap() == 0 {
            return true;
        }
        let mut buffer = [0; 4096];
        match self.master.read(&mut buffer) {
            Ok(got) => self.bytes.extend_from_slice(&buffer[..got]),
            // Nobody has the other side open any more.
            Err(error) if error.raw_os_error() == Some(5) => return false,
            Err(error) => panic!("{error}"),
        }
        let rest = &self.bytes[self.fed..];
        let whole = match std::str::from_utf8(rest) {
            Ok(text) => text,
            Err(error) => std::str::from_utf8(&rest[..error.valid_up_to()]).unwrap(),
        };
        self.screen.feed(whole);
        self.fed += whole.len();
        true
    }

    /// All lines, those that scrolled away included, folded ones joined.
    fn text(&self) -> String {
        let text = self.screen.screen().text();
        text.join("\n").trim_end().to_owned()
    }

    /// The lines that are to be seen, without empty ones at the end.
    fn rows(&self) -> Vec<String> {
        let mut rows: Vec<String> =
            self.screen.screen().visible_lines().map(|line| line.text().trim_end().to_owned()).collect();
        while rows.last().is_some_and(String::is_empty) {
            rows.pop();
        }
        rows
    }

    /// Whether the last frame is there to its end: one may arrive in two pieces.
    fn is_whole(&self) -> bool {
        !self.bytes.windows(5).any(|five| five == b"\x1b[?7l") || self.bytes.ends_with(b"\x1b[?7h\r")
    }

    /// Waits until the screen says something.
    #[track_caller]
    fn wait_for(&mut self, part: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            let text = self.text();
            if text.contains(part) && self.is_whole() {
                return text;
            }
            assert!(Instant::now() < deadline, "{part:?} did not come:\n{text}");
            self.read();
        }
    }

    /// Waits for the end of the agent.
    fn end(mut self) -> (Option<i32>, Terminal) {
        self.slave = None;
        let code = self.agent.wait().unwrap().code();
        while self.read() {}
        (code, self)
    }
}

/// Times and sizes of a screen: they differ from run to run.
fn timeless(host: &Sandbox, text: &str) -> String {
    let is_time = |word: &str| {
        let mut digits = word.strip_suffix('s').unwrap_or("x").split(['m', '.']);
        digits.all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()))
    };
    let mut lines = Vec::new();
    for line in host.stable(text).lines() {
        let mut words: Vec<String> = Vec::new();
        let mut before = "";
        for word in line.split(' ') {
            let bare = word.trim_end_matches([',', ')']);
            // Limits stay: they are part of what is asked for.
            let replaced = is_time(bare) && !matches!(before, "of" | "(limit");
            words.push(if replaced { format!("{{time}}{}", &word[bare.len()..]) } else { word.to_owned() });
            before = word;
        }
        lines.push(words.join(" ").trim_end().to_owned());
    }
    lines.join("\n")
}

/// A revision whose scripts say something, then wait for a file of their event's name.
fn waiting(host: &Sandbox, prints: &str) -> std::path::PathBuf {
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: site\n    destination: {www}\nhooks:\n  AfterInstall:\n    \
                   - location: prepare.sh\n      timeout: 20\n    - location: scripts/migrate.sh\n      timeout: 600\n  \
                   ValidateService:\n    - location: scripts/migrate.sh\n      timeout: 60\n";
    let migrate = format!(
        "#!/bin/sh\n{prints}\nwhile [ ! -e {{trace}}.$LIFECYCLE_EVENT ]; do sleep 0.02; done\n[ ! -e {{trace}}.fail ]\n"
    );
    let prepare = ("prepare.sh", "#!/bin/sh\n");
    host.revision("waiting", &[("appspec.yml", appspec), ("scripts/migrate.sh", &migrate), prepare, ("site/a", "1")])
}

fn deploy(host: &Sandbox, revision: &Path) -> Command {
    host.agent(&["deploy", revision.to_str().unwrap(), "--group", "dev", "--application", "shop"])
}

/// Lets the scripts of an event end.
fn go(host: &Sandbox, event: &str) {
    fs::write(host.path().join(format!("trace.{event}")), "").unwrap();
}

#[test]
fn a_terminal_shows_what_is_under_way_below_what_is_done_and_keeps_only_the_latter() {
    let host = Sandbox::new();
    let revision = waiting(&host, "echo connecting\necho 'applying 0042_orders.sql'");
    let mut terminal = Terminal::of(deploy(&host, &revision), 160, 30);
    let during = terminal.wait_for("> applying 0042_orders.sql");
    insta::assert_snapshot!("during_a_script", timeless(&host, &during));
    go(&host, "AfterInstall");
    terminal.wait_for("Running ValidateService");
    let during = terminal.wait_for("> applying 0042_orders.sql");
    insta::assert_snapshot!("during_the_second_event", timeless(&host, &during));
    go(&host, "ValidateService");
    let (code, terminal) = terminal.end();
    assert_eq!(code, Some(0));
    insta::assert_snapshot!("after_the_end", timeless(&host, &terminal.text()));

    // A file gets the very same lines.
    let again = Sandbox::new();
    let revision = waiting(&again, "");
    go(&again, "AfterInstall");
    go(&again, "ValidateService");
    let told = again.deploy(&revision, &[]).succeeds().told;
    assert_eq!(timeless(&again, told.trim_end()), timeless(&host, &terminal.text()));
}

#[test]
fn after_a_failure_the_terminal_shows_the_finished_lines_and_the_reason() {
    let host = Sandbox::new();
    let revision = waiting(&host, "echo 'no such table: orders'");
    let mut terminal = Terminal::of(deploy(&host, &revision), 160, 40);
    terminal.wait_for("> no such table: orders");
    fs::write(host.path().join("trace.fail"), "").unwrap();
    go(&host, "AfterInstall");
    let (code, terminal) = terminal.end();
    assert_eq!(code, Some(5));
    insta::assert_snapshot!(timeless(&host, &terminal.text()));
}

#[test]
fn a_narrow_terminal_and_one_that_is_resized_show_the_same_in_the_room_there_is() {
    let host = Sandbox::new();
    let revision = waiting(&host, "echo '数据库迁移 数据库迁移 数据库迁移 数据库迁移'");
    let mut terminal = Terminal::of(deploy(&host, &revision), 40, 30);
    terminal.wait_for("> 数据库迁移");
    let block = |terminal: &Terminal| {
        let rows = terminal.rows();
        let first = rows.iter().rposition(|row| row.trim_start().starts_with("done ")).unwrap();
        timeless(&host, &rows[first..].join("\n"))
    };
    let narrow = block(&terminal);
    insta::assert_snapshot!(narrow, @"
            done Install {time}, 1 more
         running AfterInstall (2 of 2): `m…
                 {time} of 10m, {time} left
               > 数据库迁移 数据库迁移 数…
         to come ApplicationStart, 3 more
         elapsed {time}
    ");
    terminal.resize(100, 30);
    terminal.wait_for("> 数据库迁移 数据库迁移 数据库迁移 数据库迁移");
    terminal.wait_for("AfterAllowTraffic");
    let wide = block(&terminal);
    insta::assert_snapshot!(wide, @"
            done Install {time}, DownloadBundle {time}
         running AfterInstall (2 of 2): `scripts/migrate.sh`
                 {time} of 10m, {time} left
               > 数据库迁移 数据库迁移 数据库迁移 数据库迁移
         to come ApplicationStart, ValidateService, BeforeAllowTraffic, AfterAllowTraffic
         elapsed {time}
    ");
    terminal.resize(40, 30);
    terminal.wait_for("to come ApplicationStart, 3 more");
    terminal.wait_for("elapsed");
    assert_eq!(block(&terminal), narrow);
    assert_eq!(terminal.text().matches("elapsed").count(), 1, "{}", terminal.text());

    go(&host, "AfterInstall");
    go(&host, "ValidateService");
    let (code, terminal) = terminal.end();
    assert_eq!(code, Some(0));
    let told: Vec<String> = terminal.text().lines().map(|line| line.trim_start().to_owned()).collect();
    let verbs: Vec<&str> = told.iter().filter_map(|line| line.split(' ').next()).collect();
    let expected = "Deploying Fetched Skipped Finished Installed Finished Running Passed Running Passed Finished Running \
                    Passed Finished Deployed";
    assert_eq!(verbs.join(" "), expected, "{}", terminal.text());
}

#[test]
fn what_a_script_prints_cannot_draw_on_the_terminal() {
    let host = Sandbox::new();
    let prints = r"printf '\033[2J\033[H\033]0;title\007\033[?1049h\033[5Aup\007\b\b\r50 %%\r\tdone\342\200\256\n'";
    let revision = waiting(&host, prints);
    let mut terminal = Terminal::of(deploy(&host, &revision), 160, 30);
    let during = terminal.wait_for(">  done");
    insta::assert_snapshot!(timeless(&host, &during));
    go(&host, "AfterInstall");
    go(&host, "ValidateService");
    assert_eq!(terminal.end().0, Some(0));
}

#[test]
fn colour_is_for_terminals_that_want_it() {
    for (variables, coloured, alive) in [
        (&[][..], true, true),
        (&[("NO_COLOR", "1")], false, true),
        (&[("NO_COLOR", "")], true, true),
        (&[("TERM", "dumb")], false, false),
    ] {
        let host = Sandbox::new();
        let revision = waiting(&host, "echo working");
        let mut command = deploy(&host, &revision);
        command.envs(variables.iter().copied());
        let wants_dumb = variables.contains(&("TERM", "dumb"));
        let mut terminal = if wants_dumb {
            // The harness names the terminal; a shell in between has the last word.
            let mut shell = Command::new("/bin/sh");
            let words: Vec<_> = command.get_args().map(|word| word.to_str().unwrap().to_owned()).collect();
            shell.args(["-c", "TERM=dumb exec \"$0\" \"$@\""]).arg(command.get_program()).args(words);
            shell.current_dir(host.path()).env_clear().envs(command.get_envs().filter_map(|(k, v)| Some((k, v?))));
            Terminal::of(shell, 160, 30)
        } else {
            Terminal::of(command, 160, 30)
        };
        terminal.wait_for(if alive { "> working" } else { "Running AfterInstall (2 of 2)" });
        go(&host, "AfterInstall");
        go(&host, "ValidateService");
        let (code, terminal) = terminal.end();
        assert_eq!(code, Some(0));
        let written = String::from_utf8_lossy(&terminal.bytes).into_owned();
        assert_eq!(written.contains("\u{1b}[1;32m"), coloured, "{variables:?}");
        assert_eq!(written.contains('\u{1b}'), alive, "{variables:?}");
    }
}

#[test]
fn asking_to_stop_is_answered_above_what_is_under_way() {
    let host = Sandbox::new();
    let revision = waiting(&host, "echo working");
    let mut terminal = Terminal::of(deploy(&host, &revision), 160, 30);
    terminal.wait_for("> working");
    let agent = nix::unistd::Pid::from_raw(terminal.agent.id().try_into().unwrap());
    nix::sys::signal::kill(agent, nix::sys::signal::Signal::SIGINT).unwrap();
    let text = terminal.wait_for("Stopping after the running script");
    let lines: Vec<&str> = text.lines().collect();
    let at = |part: &str| lines.iter().position(|line| line.contains(part));
    assert!(at("Stopping after") < at("running AfterInstall"), "{text}");
    go(&host, "AfterInstall");
    let (code, terminal) = terminal.end();
    assert_eq!(code, Some(1));
    assert!(!terminal.text().contains("elapsed"), "{}", terminal.text());
}

#[test]
fn where_nobody_watches_a_line_tells_now_and_then_that_a_silent_script_still_runs() -> io::Result<()> {
    let host = Sandbox::new();
    let revision = waiting(&host, "echo working");
    let told = host.path().join("told");
    let mut agent = deploy(&host, &revision).env("LONGSHORE_HEARTBEAT", "1").stderr(File::create(&told)?).spawn()?;
    let deadline = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(&told)?.matches("     Waiting ").count() < 2 {
        assert!(Instant::now() < deadline, "{}", fs::read_to_string(&told)?);
        std::thread::sleep(Duration::from_millis(20));
    }
    go(&host, "AfterInstall");
    go(&host, "ValidateService");
    assert!(agent.wait()?.success());
    let told = fs::read_to_string(&told)?;
    let beats: Vec<&str> = told.lines().filter(|line| line.starts_with("     Waiting")).collect();
    assert_eq!(
        timeless(&host, beats[0]),
        "     Waiting AfterInstall: `scripts/migrate.sh` runs for {time} of 10m, prints: working"
    );

    let silent = Sandbox::new();
    let revision = waiting(&silent, "sleep 1.5");
    go(&silent, "AfterInstall");
    go(&silent, "ValidateService");
    let ran = Ran::of(deploy(&silent, &revision).env("LONGSHORE_HEARTBEAT", "0").output()?).succeeds();
    assert!(!ran.told.contains("Waiting"), "{}", ran.told);
    Ok(())
}
