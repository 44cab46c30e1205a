//! What is started, with which environment, and what cannot be started.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{PermissionsExt, symlink};

use longshore_agent::hook::policy::HookEnvironment;
use longshore_agent::hook::{HookOutcome, HookReport};

use crate::fixture::{Fixture, plain, steady, texts, write_executable};

fn mode(path: &std::path::Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

fn not_started(reason: &str) -> HookReport {
    plain(HookOutcome::NotStarted { reason: reason.to_owned() })
}

#[test]
fn a_script_that_is_not_there_is_missing() {
    let fixture = Fixture::new();
    assert_eq!(steady(&fixture.run("scripts/none.sh")), plain(HookOutcome::Missing));
    assert_eq!(
        fixture.log(),
        "LifecycleEvent - AfterInstall\nScript - scripts/none.sh\nLongshore - `scripts/none.sh` is not in the bundle\n"
    );
    assert_eq!(fixture.hook_files(), ["result.json", "shim.lock", "shim.log"]);
}

#[test]
fn a_folder_is_no_script() {
    let fixture = Fixture::new();
    fixture.script("scripts/x.sh", "");
    assert_eq!(steady(&fixture.run("scripts")), not_started("`scripts` is a folder; `location` must name a script"));
}

#[test]
fn a_script_without_shebang_is_run_by_sh() {
    let fixture = Fixture::new();
    let note = "`hook.sh` does not start with `#!`: run with /bin/sh";
    let report = fixture.run_text("echo \"$0\"; readlink /proc/$$/exe\n");
    let script = fixture.path("archive/hook.sh");
    let sh = fs::canonicalize("/bin/sh").unwrap();
    let last_lines = texts(&[&format!("[stdout]{}", script.display()), &format!("[stdout]{}", sh.display())]);
    let expected = HookReport { notes: texts(&[note]), last_lines, ..plain(HookOutcome::Passed) };
    assert_eq!(steady(&report), expected);
}

#[test]
fn an_empty_script_passes() {
    assert_eq!(Fixture::new().run_text("").outcome, HookOutcome::Passed);
}

#[test]
fn a_byte_order_mark_is_named() {
    let report = Fixture::new().run_text("\u{feff}#!/bin/sh\necho ran\n");
    let note = "`hook.sh` starts with a byte order mark, so its `#!` line does not count: run with /bin/sh";
    assert_eq!((report.outcome, report.notes), (HookOutcome::Passed, texts(&[note])));
}

#[test]
fn a_windows_shebang_names_the_interpreter_and_the_fix() {
    let report = Fixture::new().run_text("#!/bin/bash\r\necho hi\r\n");
    assert_eq!(
        steady(&report),
        not_started(
            "the first line of `hook.sh` ends with a Windows line end, so its interpreter would be `/bin/bash\\r`; \
             save it with LF line ends (`sed -i 's/\\r$//'`, and `*.sh text eol=lf` in .gitattributes)"
        )
    );
}

#[test]
fn a_missing_interpreter_is_named() {
    let report = Fixture::new().run_text("#!/opt/none/zsh -e\n");
    assert_eq!(
        steady(&report),
        not_started("the interpreter `/opt/none/zsh` of `hook.sh` does not exist; install it, or change the `#!` line")
    );
}

#[test]
fn a_program_for_another_processor_is_not_fed_to_sh() {
    let report = Fixture::new().run_text(b"\x7fELF\x01\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\xf3\0");
    assert_eq!(
        steady(&report),
        not_started("`hook.sh` is a program for another processor or system; build it for this host")
    );
}

#[test]
fn a_script_that_is_not_executable_is_made_so_and_that_is_said() {
    let fixture = Fixture::new();
    let script = fixture.script("hook.sh", "#!/bin/sh\necho ran\n");
    fs::set_permissions(&script, fs::Permissions::from_mode(0o640)).unwrap();
    let report = fixture.run("hook.sh");
    let note = "`hook.sh` was not executable (mode 0640): made so";
    let expected = HookReport {
        made_executable: true,
        notes: texts(&[note]),
        last_lines: texts(&["[stdout]ran"]),
        ..plain(HookOutcome::Passed)
    };
    assert_eq!(steady(&report), expected);
    assert_eq!(mode(&script), 0o751);
    assert_eq!(
        fixture.log(),
        format!("LifecycleEvent - AfterInstall\nScript - hook.sh\nLongshore - {note}\n[stdout]ran\n")
    );
}

#[test]
fn a_link_out_of_the_bundle_makes_nothing_executable() {
    let fixture = Fixture::new();
    let outside = fixture.path("outside.sh");
    fs::write(&outside, "#!/bin/sh\n").unwrap();
    fs::set_permissions(&outside, fs::Permissions::from_mode(0o644)).unwrap();
    symlink(&outside, fixture.path("archive/hook.sh")).unwrap();
    let outside_text = fs::canonicalize(&outside).unwrap();
    let reason =
        format!("`hook.sh` is a link to `{}`, which is outside the bundle and not executable", outside_text.display());
    assert_eq!(steady(&fixture.run("hook.sh")), plain(HookOutcome::NotExecutable { reason }));
    assert_eq!(mode(&outside), 0o644);
}

#[test]
fn a_path_with_spaces_and_shell_characters_is_only_a_path() {
    let fixture = Fixture::new();
    for location in ["my scripts/run me.sh", "$(touch pwned)/`touch pwned`;'\"&.sh", "-n", "no shebang $(touch pwned)"]
    {
        let shebang = if location.starts_with("no") { "" } else { "#!/bin/sh\n" };
        fixture.script(location, format!("{shebang}echo ran\n"));
        let dir = fixture.path(&format!("hooks/{}", location.len()));
        let report = fixture.shim.run(&fixture.command(location), &dir, &mut |_, _| {}).unwrap();
        assert_eq!(
            (&report.outcome, &report.last_lines),
            (&HookOutcome::Passed, &texts(&["[stdout]ran"])),
            "{location}"
        );
    }
    assert!(!fixture.path("pwned").exists());
}

#[test]
fn the_environment_is_exactly_what_was_decided() {
    let mut fixture = Fixture::new();
    fixture.env.insert("AWS_SECRET_ACCESS_KEY".into(), "secret".into());
    fixture.env.insert("ODD".into(), OsString::from_vec(b"\xff\n=".to_vec()));
    fixture.script("hook.sh", "#!/bin/sh\ncat /proc/$$/environ >environment\n");
    let command = fixture.command("hook.sh");
    assert_eq!(fixture.run("hook.sh").outcome, HookOutcome::Passed);
    let found = fs::read(fixture.path("environment")).unwrap();
    let found: BTreeSet<&[u8]> = found.split(|byte| *byte == 0).filter(|entry| !entry.is_empty()).collect();
    let expected: Vec<Vec<u8>> =
        command.env.iter().map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes()].concat()).collect();
    assert_eq!(found, expected.iter().map(Vec::as_slice).collect());
    assert!(found.contains(&b"ODD=\xff\n="[..]) && found.contains(&b"LIFECYCLE_EVENT=AfterInstall"[..]));
}

#[test]
fn a_script_starts_with_empty_input_no_foreign_descriptor_and_default_signals() {
    let mut fixture = Fixture::new();
    // An agent that was itself started with an open file, ignored signals and an odd umask.
    let agent = env!("CARGO_BIN_EXE_longshore-agent");
    let wrapper = format!("#!/bin/sh\ntrap '' HUP INT USR1\numask 027\nexec 7</etc/passwd\nexec {agent} \"$@\"\n");
    write_executable(&fixture.path("agent"), wrapper);
    fixture.shim.exe = fixture.path("agent");
    let report = fixture.run_text(SHOW);
    let expected = [
        "0",
        "1",
        "2",
        "3",
        "umask 0027",
        "input ''",
        "SigBlk: 0",
        "SigIgn: 0",
        "leads its group",
        "leads its session",
        "terminal 0",
    ];
    let expected: Vec<String> = expected.iter().map(|line| format!("[stdout]{line}")).collect();
    assert_eq!(report.last_lines, expected);
    assert_eq!(report.outcome, HookOutcome::Passed);
}

/// `ls` opens the folder it lists as descriptor 3; every other one is leaked. Signals 32 and 33 are the C library's own,
/// which its `posix_spawn` leaves ignored.
const SHOW: &str = r#"#!/bin/sh
ls /proc/self/fd
echo "umask $(umask)"
echo "input '$(cat)'"
while read name value; do
    case $name in SigBlk:|SigIgn:) echo "$name $((0x$value & ~0x180000000))" ;; esac
done </proc/self/status
set -- $(cut -d' ' -f5-7 /proc/$$/stat)
[ $1 = $$ ] && echo "leads its group"
[ $2 = $$ ] && echo "leads its session"
echo "terminal $3"
"#;

#[test]
fn a_clean_environment_is_the_documented_minimum_with_the_login_of_whoever_runs_the_script() {
    let root = ["HOME=/root", "LOGNAME=root", "USER=root"];
    let daemon = ["HOME=/usr/sbin", "LOGNAME=daemon", "USER=daemon"];
    for (user, login) in [(None, root), (Some("daemon"), daemon)] {
        let mut fixture = Fixture { user: longshore_agent::hook::user::resolve(user).unwrap(), ..Fixture::new() };
        fixture.policy.environment = HookEnvironment::Clean;
        for (name, value) in [
            ("HOME", "/home/operator"),
            ("LC_TIME", "C"),
            ("TZ", "UTC"),
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ACCESS_KEY_ID", "secret"),
            ("https_proxy", "http://secret@proxy"),
            ("SSH_AUTH_SOCK", "/tmp/agent"),
        ] {
            fixture.env.insert(name.into(), value.into());
        }
        let report = fixture.run_text("#!/bin/sh\nexec env | grep -v '^SHELL=/' | LC_ALL=C sort\n");
        let mut expected = vec![
            "APPLICATION_NAME=shop".to_owned(),
            "AWS_REGION=eu-central-1".into(),
            "DEPLOYMENT_GROUP_ID=shop~dev".into(),
            "DEPLOYMENT_GROUP_NAME=dev".into(),
            "DEPLOYMENT_ID=d-1".into(),
            "LC_TIME=C".into(),
            "LIFECYCLE_EVENT=AfterInstall".into(),
            format!("LONGSHORE_ARCHIVE_DIR={}", fixture.path("archive").display()),
            "PATH=/usr/local/bin:/usr/bin:/bin".into(),
            format!("PWD={}", fs::canonicalize(fixture.path(".")).unwrap().display()),
            "TZ=UTC".into(),
        ];
        expected.extend(login.map(str::to_owned));
        expected.sort();
        let expected: Vec<String> = expected.iter().map(|line| format!("[stdout]{line}")).collect();
        assert_eq!(report.last_lines, expected);
    }
}

#[test]
fn the_working_folder_is_the_one_asked_for() {
    let fixture = Fixture::new();
    fixture.script("hook.sh", "#!/bin/sh\npwd -P\n");
    let mut command = fixture.command("hook.sh");
    command.cwd = fixture.path("gone");
    let report = fixture.shim.run(&command, &fixture.path("hooks/2"), &mut |_, _| {}).unwrap();
    let reason = format!("cannot enter the working folder `{}`: No such file or directory", command.cwd.display());
    assert_eq!(steady(&report), not_started(&reason));
    let cwd = fs::canonicalize(fixture.path(".")).unwrap();
    assert_eq!(fixture.run("hook.sh").last_lines, [format!("[stdout]{}", cwd.display())]);
}

#[test]
fn the_environment_is_off_the_disk_before_the_script_runs_and_everything_else_is_private() {
    let fixture = Fixture::new();
    let report = fixture.run_text("#!/bin/sh\nstat -c '%a %n' hooks/1 hooks/1/*\n");
    let files = ["700 hooks/1", "600 hooks/1/running.json", "600 hooks/1/shim.lock", "600 hooks/1/shim.log"];
    assert_eq!(report.last_lines, files.map(|file| format!("[stdout]{file}")));
    assert_eq!(fixture.hook_files(), ["result.json", "shim.lock", "shim.log"]);
    assert_eq!(mode(&fixture.hook_dir().join("result.json")), 0o600);
}
