//! The packages, on a clean Debian host that systemd runs: installed, used as a service, and removed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use e2e::container::Container;
use e2e::{bin, target, workspace_root};
use nix::fcntl::{Flock, FlockArg};
use serde_json::{Value, json};

/// The folder with the packages of the programs that were built last. They are made once for all tests.
fn packages() -> PathBuf {
    let dir = target().join("packages");
    fs::create_dir_all(&dir).unwrap();
    let _one_at_a_time = Flock::lock(File::create(dir.join("lock")).unwrap(), FlockArg::LockExclusive).unwrap();
    let time = |path: &Path| path.metadata().and_then(|metadata| metadata.modified()).ok();
    let mut sources = vec![bin("longshore-agent"), bin("longshore")];
    for path in ["dev/package", "crates/agent/Cargo.toml", "crates/builder/Cargo.toml"] {
        sources.push(workspace_root().join(path));
    }
    for path in ["docs/guide", "crates/agent/packaging", "crates/agent/packaging/deb", "crates/agent/packaging/rpm"] {
        sources.extend(fs::read_dir(workspace_root().join(path)).unwrap().map(|entry| entry.unwrap().path()));
    }
    let made = dir.join("made");
    if sources.iter().any(|source| time(source) >= time(&made)) {
        make(&dir);
        fs::write(&made, "").unwrap();
    }
    dir
}

fn make(dir: &Path) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        if entry.path().extension().is_some_and(|end| end == "deb" || end == "rpm") {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    let mut command = Command::new(workspace_root().join("dev/package"));
    command.args(["--profile", "debug", "--into"]).arg(dir);
    printed(command.env("CARGO_TARGET_DIR", target()));
}

/// What a program prints. Panics when it fails.
fn printed(command: &mut Command) -> String {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{command:?}\n{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// The package whose name begins and ends so.
fn package(dir: &Path, begin: &str, end: &str) -> PathBuf {
    let mut found = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).filter(|path| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.strip_prefix(begin).is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
            && name.ends_with(end)
    });
    let path = found.next().unwrap();
    assert_eq!(found.next(), None);
    path
}

/// What a clean host gets at `/shared`: the package of the agent as `agent.deb`, and what else a test puts there.
fn shared() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    fs::copy(package(&packages(), "longshore-agent_", ".deb"), dir.path().join("agent.deb")).unwrap();
    dir
}

/// A store with a release of `shop` and a pointer that has the group `production` run it.
fn store(dir: &Path) {
    let source = dir.join("shop");
    fs::create_dir_all(source.join("scripts")).unwrap();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: page\n    destination: /srv/www\nhooks:\n  ValidateService:\n    \
                   - location: scripts/look.sh\n      timeout: 30\n";
    let script = "#!/bin/bash\n\
                  { pwd; echo \"${FROM_PROFILE-} ${FROM_DEFAULT-}\"; env | grep -c '^NOTIFY_SOCKET\\|^WATCHDOG' || true; } >/srv/seen\n";
    for (path, text) in [("appspec.yml", appspec), ("page", "hello\n"), ("scripts/look.sh", script)] {
        fs::write(source.join(path), text).unwrap();
    }
    printed(Command::new("chmod").arg("+x").arg(source.join("scripts/look.sh")));
    let longshore = |words: &[&str]| {
        let mut command = Command::new(bin("longshore"));
        command.args(words).args(["--application", "shop", "--commit", &"a".repeat(40), "--output", "json"]);
        let text = printed(command.current_dir(&source).env_remove("CI"));
        serde_json::from_str::<Value>(&text).unwrap()
    };
    longshore(&["build"]);
    let push = longshore(&["push", "--to", &format!("file://{}", dir.join("store").display())]);
    let pointer = json!({
        "format": 1, "application": "shop", "group": "production", "generation": 1, "deployment": "d-PACKAGED1",
        "revision": {
            "key": format!("shop/{}.zip", "a".repeat(40)),
            "etag": push["revision"]["eTag"],
            "size": push["size"],
            "content_digest": push["content_digest"],
        },
        "commit": "a".repeat(40), "commit_time": 1, "at": "2026-01-01T00:00:00Z", "by": "ci@example.com",
    });
    fs::create_dir_all(dir.join("store/groups/shop")).unwrap();
    fs::write(dir.join("store/groups/shop/production.json"), pointer.to_string()).unwrap();
}

/// Every path of the host, less what systemd and dpkg keep for themselves.
fn paths(host: &Container) -> BTreeSet<String> {
    let list = host.run(
        "find / -xdev \\( -path /proc -o -path /sys -o -path /dev -o -path /run -o -path /tmp -o -path /shared \
         -o -path /var/log/journal -o -path /var/lib/dpkg -o -path /var/cache -o -path /var/lib/systemd/timers \
         -o -path /var/lib/systemd/coredump \\) -prune -o -print; \
         find /run /var/lib/dpkg -xdev | grep longshore || true",
    );
    list.lines().filter(|line| !line.is_empty()).map(ToOwned::to_owned).collect()
}

fn await_active(host: &mut Container, unit: &str) {
    let question = format!("systemctl is-active {unit}");
    host.until("the service runs", |host| host.output(&question).status.success().then_some(()));
}

#[test]
fn a_package_on_a_clean_host_serves_deploys_and_goes_without_a_trace_but_its_data() {
    let shared = shared();
    store(shared.path());
    let mut host = Container::boot(shared.path());
    let before = paths(&host);

    // Installed: enabled, and up. `start` returns when the agent says that it is ready. It has no orders, and asks nobody.
    host.run("dpkg --install /shared/agent.deb");
    assert_eq!(host.run("systemctl is-enabled longshore-agent"), "enabled\n");
    await_active(&mut host, "longshore-agent");
    let shown = host.run("systemctl show longshore-agent -p NotifyAccess -p KillMode -p WatchdogUSec -p StatusText");
    assert!(shown.contains("WatchdogUSec=2min\n") && shown.contains("NotifyAccess=main\n"), "{shown}");
    assert!(shown.contains("StatusText=takes orders from"), "{shown}");
    let files = host.run("dpkg --listfiles longshore-agent");
    // Documentation is left out of small hosts; what the package itself holds is what counts here.
    for path in [
        "/usr/share/man/man1/longshore-agent.1.gz",
        "/usr/share/man/man1/longshore-agent-run.1.gz",
        "/usr/share/bash-completion/completions/longshore-agent",
        "/usr/share/zsh/vendor-completions/_longshore-agent",
        "/usr/share/fish/vendor_completions.d/longshore-agent.fish",
    ] {
        assert!(files.lines().any(|line| line == path), "{path}\n{files}");
    }
    host.run("zcat /usr/share/man/man1/longshore-agent.1.gz | grep -q 'longshore\\\\-agent'");
    let completed = "source /usr/share/bash-completion/completions/longshore-agent; COMP_WORDS=(longshore-agent ''); \
                     COMP_CWORD=1; f=$(complete -p longshore-agent | sed 's/.*-F \\([^ ]*\\).*/\\1/'); \
                     $f longshore-agent '' longshore-agent || true; echo \"${COMPREPLY[*]}\"";
    let completed = host.run(completed);
    assert!(completed.contains("deploy plan") && !completed.contains("generate"), "{completed}");

    // By hand, and then by a pointer: the agent is told of a store and deploys what it finds there.
    host.run(
        "cp -r /shared/store /srv/store
         echo 'FROM_PROFILE=profile' >/etc/profile.d/test.sh
         echo 'FROM_DEFAULT=default' >>/etc/default/longshore-agent
         printf '[codedeploy]\\nenabled = false\\n\\n[[follow]]\\nstore = \"file:///srv/store\"\\n' >/etc/longshore/agent.toml
         printf 'application = \"shop\"\\ngroup = \"production\"\\npoll = 1\\n' >>/etc/longshore/agent.toml
         systemctl restart longshore-agent",
    );
    host.until("the release is there", |host| {
        let status = host.run("longshore-agent history --output json");
        status.contains("\"succeeded\"").then_some(())
    });
    assert_eq!(host.run("cat /srv/www/page"), "hello\n");
    assert_eq!(host.run("cat /srv/seen"), "/opt/codedeploy-agent\nprofile default\n0\n");

    // Killed, it is back by itself.
    let pid = host.run("systemctl show longshore-agent -p MainPID --value");
    host.run("systemctl kill --signal=KILL longshore-agent");
    host.until("another one runs", |host| {
        let now = host.run("systemctl show longshore-agent -p MainPID --value");
        (now != "0\n" && now != pid && host.output("systemctl is-active longshore-agent").status.success())
            .then_some(())
    });

    // Removed: the settings stay until they are purged, the deployments for ever.
    host.run("dpkg --remove longshore-agent && test -e /etc/longshore/agent.toml && ! pgrep -x longshore-agent");
    host.run("dpkg --purge longshore-agent");
    let after = paths(&host);
    let left: Vec<&String> = after.difference(&before).filter(|path| !is_data(path)).collect();
    assert_eq!(left, [""; 0]);
    assert_eq!(before.difference(&after).collect::<Vec<_>>(), [""; 0]);
    assert_eq!(host.run("ls /opt/codedeploy-agent/deployment-root/*/d-PACKAGED1/journal.jsonl | wc -l"), "1\n");
}

/// What deployments and this test made.
fn is_data(path: &str) -> bool {
    path.starts_with("/opt/codedeploy-agent") || path.starts_with("/srv/") || path == "/etc/profile.d/test.sh"
}

#[test]
fn the_agent_takes_the_place_of_aws_s_and_gives_it_back() {
    let shared = shared();
    let mut host = Container::boot(shared.path());
    // AWS's package, as far as a service manager and other packages see it.
    host.run(
        "mkdir -p /tmp/aws/DEBIAN /tmp/aws/lib/systemd/system /tmp/aws/opt/codedeploy-agent/bin /tmp/aws/etc/codedeploy-agent/conf
         cd /tmp/aws
         printf 'Package: codedeploy-agent\\nVersion: 1.8.1\\nArchitecture: all\\nMaintainer: x <x@example.com>\\n' >DEBIAN/control
         echo 'Description: stands in for the agent of AWS' >>DEBIAN/control
         printf '#!/bin/sh\\necho theirs\\n' >opt/codedeploy-agent/bin/codedeploy-local
         chmod +x opt/codedeploy-agent/bin/codedeploy-local
         echo ':wait_between_runs: 1' >etc/codedeploy-agent/conf/codedeployagent.yml
         printf '[Service]\\nExecStart=/bin/sleep infinity\\n[Install]\\nWantedBy=multi-user.target\\n' \
             >lib/systemd/system/codedeploy-agent.service
         dpkg-deb --build /tmp/aws /tmp/aws.deb
         dpkg --install /tmp/aws.deb
         systemctl enable --now codedeploy-agent
         dpkg --install /shared/agent.deb",
    );
    await_active(&mut host, "codedeploy-agent");
    let states = |host: &Container| {
        let ask =
            |words: &str| String::from_utf8_lossy(&host.output(&format!("systemctl {words}")).stdout).trim().to_owned();
        ["is-active codedeploy-agent", "is-enabled codedeploy-agent", "is-active longshore-agent"].map(ask)
    };
    assert_eq!(states(&host), ["active", "enabled", "active"]);

    // Two that take the same orders are refused.
    host.run("sed -i 's/enabled = false/enabled = true # asked/' /etc/longshore/agent.toml");
    let refused = host.output("longshore-agent install-service");
    assert_eq!(refused.status.code(), Some(4));
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr),
        "error: AWS's agent runs on this host or starts with it, and `/etc/longshore/agent.toml` says that orders come from \
         CodeDeploy: two agents would take the same orders\n\nhint: give --replace-aws to put this agent in the place of \
         AWS's, or set `enabled = false` below `[codedeploy]`\n"
    );

    host.run("sed -i 's/enabled = true # asked/enabled = false/' /etc/longshore/agent.toml");
    let said = host.output("longshore-agent install-service --replace-aws");
    assert_eq!(
        String::from_utf8_lossy(&said.stderr),
        "       Wrote `/etc/longshore/agent.toml`\n      \
         Linked `/usr/local/bin/codedeploy-local` to `/usr/bin/longshore-agent`\n     \
         Stopped codedeploy-agent.service\n    \
         Disabled codedeploy-agent.service: it no longer starts with the host\n   \
         Restarted longshore-agent.service\n"
    );
    assert_eq!(states(&host), ["inactive", "disabled", "active"]);
    assert_eq!(host.run("/opt/codedeploy-agent/bin/codedeploy-local"), "theirs\n");
    let again = host.output("longshore-agent install-service --replace-aws");
    assert_eq!(String::from_utf8_lossy(&again.stderr), "   Unchanged everything stands as asked\n");

    // Back: as the guide says it.
    host.run("longshore-agent install-service --uninstall && systemctl enable --now codedeploy-agent");
    assert_eq!(states(&host), ["active", "enabled", "inactive"]);
    assert!(!host.output("test -e /usr/local/bin/codedeploy-local").status.success());
    host.run("dpkg --purge longshore-agent && dpkg --verify codedeploy-agent");
    assert_eq!(states(&host), ["active", "enabled", "inactive"]);
}

#[test]
fn a_program_without_a_package_installs_itself_as_a_service_and_takes_itself_away() {
    let shared = tempfile::tempdir().unwrap();
    fs::copy(bin("longshore-agent"), shared.path().join("longshore-agent")).unwrap();
    let mut host = Container::boot(shared.path());
    host.run("mkdir -p '/opt/a tool' && cp /shared/longshore-agent '/opt/a tool/'");
    let said = host.output("'/opt/a tool/longshore-agent' install-service --root /srv/deployments");
    assert_eq!(
        String::from_utf8_lossy(&said.stderr),
        "       Wrote `/etc/longshore/agent.toml`\n        \
         Made the folder `/srv/deployments`\n       \
         Wrote `/etc/systemd/system/longshore-agent.service`\n    \
         Reloaded the units of systemd\n     \
         Enabled longshore-agent.service: it starts with the host\n     \
         Started longshore-agent.service\n"
    );
    await_active(&mut host, "longshore-agent");
    assert_eq!(host.run("ls /srv/deployments/daemon.lock"), "/srv/deployments/daemon.lock\n");
    let away = host.output("'/opt/a tool/longshore-agent' install-service --uninstall");
    assert_eq!(
        String::from_utf8_lossy(&away.stderr),
        "     Stopped longshore-agent.service\n    \
         Disabled longshore-agent.service: it no longer starts with the host\n     \
         Removed `/etc/systemd/system/longshore-agent.service`\n    \
         Reloaded the units of systemd\n"
    );
    let state = host.output("systemctl is-active longshore-agent");
    assert_eq!(String::from_utf8_lossy(&state.stdout), "inactive\n");
}

#[test]
fn the_rpm_holds_what_the_deb_holds_and_asks_for_little() {
    let dir = packages();
    let rpm = package(&dir, "longshore-agent-", ".rpm");
    let ask = |what: &[&str]| printed(Command::new("rpm").arg("--query").args(what).arg("--package").arg(&rpm));
    // Where systems differ in their folders, and what only one of them wants.
    let same = |path: &str| path.replace("zsh/vendor-completions", "zsh/site-functions");
    let of_rpm: BTreeSet<String> = ask(&["--list"]).lines().map(same).collect();
    let deb =
        Command::new("dpkg-deb").arg("--contents").arg(package(&dir, "longshore-agent_", ".deb")).output().unwrap();
    let deb = String::from_utf8(deb.stdout).unwrap();
    let of_deb = deb.lines().filter(|line| !line.starts_with('d')).filter_map(|line| line.split_once(" ./"));
    let of_deb: BTreeSet<String> = of_deb.map(|(_, path)| same(&format!("/{path}"))).collect();
    let only = |one: &BTreeSet<String>, other: &BTreeSet<String>| one.difference(other).cloned().collect::<Vec<_>>();
    assert_eq!(only(&of_rpm, &of_deb), ["/usr/share/licenses/longshore-agent/LICENSE"]);
    assert_eq!(only(&of_deb, &of_rpm), ["/usr/share/doc/longshore-agent/copyright"]);

    assert_eq!(ask(&["--configfiles"]), "/etc/default/longshore-agent\n/etc/longshore/agent.toml\n");
    let requires = ask(&["--requires"]);
    let known =
        ["/bin/sh", "config(longshore-agent)", "ld-linux", "libc.so", "libm.so", "libgcc_s.so", "rpmlib(", "rtld("];
    let unknown: Vec<&str> =
        requires.lines().filter(|line| !known.iter().any(|known| line.starts_with(known))).collect();
    assert_eq!(unknown, [""; 0]);
    let scripts = ask(&["--scripts"]);
    let kinds: Vec<&str> = scripts.lines().filter(|line| line.contains("scriptlet")).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    for name in ["post", "preun", "postun"] {
        let script = workspace_root().join(format!("crates/agent/packaging/rpm/{name}.sh"));
        assert!(scripts.contains(fs::read_to_string(&script).unwrap().trim_end()), "{name}\n{scripts}");
        printed(Command::new("sh").arg("-n").arg(script));
    }
}

#[test]
fn packages_of_the_same_commit_are_the_same_bytes() {
    let dir = packages();
    let again = tempfile::tempdir().unwrap();
    make(again.path());
    let mut count = 0;
    for entry in fs::read_dir(again.path()).unwrap() {
        let path = entry.unwrap().path();
        let first = dir.join(path.file_name().unwrap());
        assert!(fs::read(&path).unwrap() == fs::read(&first).unwrap(), "{} differs", first.display());
        count += 1;
    }
    assert_eq!(count, 4);
}

#[test]
fn systemd_finds_nothing_wrong_with_the_unit() {
    // The program has to be where the unit says.
    let dir = tempfile::tempdir().unwrap();
    let mut print = Command::new(bin("longshore-agent"));
    let unit = printed(print.args(["install-service", "--print"]).env_remove("LONGSHORE_ROOT"));
    let path = dir.path().join("longshore-agent.service");
    fs::write(&path, unit).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(path).output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
