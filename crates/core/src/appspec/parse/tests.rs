use proptest::prelude::*;

use super::*;
use crate::appspec::{DEFAULT_TIMEOUT, Source};
use crate::problem::{Look, render};

mod traps;

fn parsed(text: &str) -> Parsed {
    parse(&SourceFile::new("appspec.yml", text))
}

/// What was read, one line for each thing; then what was found wrong.
fn report(text: &str) -> String {
    let Parsed { appspec, problems } = parsed(text);
    let mut lines = match appspec {
        Some(appspec) => summary(&appspec),
        None => vec!["refused".to_owned()],
    };
    if !problems.is_empty() {
        lines.push(String::new());
        lines.push(render(&problems, Look::Plain));
    }
    lines.join("\n")
}

fn summary(appspec: &AppSpec) -> Vec<String> {
    let mut lines = vec![format!("{:?}, file exists: {:?}", appspec.os, appspec.file_exists)];
    for file in &appspec.files {
        let source = match &file.source {
            Source::Whole => "everything",
            Source::Path(path) => path.as_str(),
        };
        lines.push(format!("{source} -> {}", file.destination));
    }
    for permission in &appspec.permissions {
        let except: Vec<&str> = permission.except.iter().map(|pattern| pattern.0.as_str()).collect();
        let mut line = format!("{} {} except {except:?}", permission.object, permission.pattern.0);
        for (kind, meant) in [("files", permission.files), ("directories", permission.directories)] {
            if meant {
                line.push_str(&format!(" {kind}"));
            }
        }
        line.push_str(&format!(" {:?}:{:?}", permission.owner, permission.group));
        if let Some(mode) = permission.mode {
            line.push_str(&format!(" {mode:03o}"));
        }
        for acl in permission.acls.iter().flatten() {
            line.push_str(&format!(" {acl}"));
        }
        if let Some(context) = &permission.context {
            line.push_str(&format!(" {:?} {} {:?}", context.user, context.kind, context.range));
        }
        lines.push(line);
    }
    for (event, hooks) in &appspec.hooks {
        for hook in hooks {
            let sudo = if hook.sudo { " with sudo" } else { "" };
            let user = hook.run_as.as_ref().map_or(String::new(), |user| format!(" as {user}"));
            lines.push(format!("{event} {} {}s{user}{sudo}", hook.script, hook.timeout.as_secs()));
        }
    }
    lines
}

/// The codes and paths of what is wrong.
fn found(text: &str) -> Vec<String> {
    parsed(text).problems.iter().map(|problem| format!("{} {}", problem.code, problem.path)).collect()
}

#[test]
fn a_whole_appspec_is_read_without_a_word() {
    let text = "\
version: 0.0
os: linux
files:
  - source: /
    destination: /srv/shop
  - source: config/shop.conf
    destination: /etc/shop/
file_exists_behavior: OVERWRITE
permissions:
  - object: /srv/shop
    pattern: '*.sh'
    except: [setup.sh, 'old*']
    type: [file]
    owner: shop
    group: www-data
    mode: 750
    acls: ['u:deploy:rw', 'd:group:ops:7', 'm:rx', 'd:o:-']
    context: {name: system_u, type: httpd_sys_content_t, range: 's1-s3:c5,c0,c1,c2'}
hooks:
  ApplicationStop:
    - location: scripts/stop.sh
  AfterInstall:
    - location: scripts/pull.sh
      timeout: 600
      runas: shop
    - location: /scripts/migrate.sh
      timeout: 300
      runas: root
      sudo: yes
";
    insta::assert_snapshot!(report(text), @r#"
    Linux, file exists: Some(Overwrite)
    everything -> /srv/shop
    config/shop.conf -> /etc/shop/
    /srv/shop *.sh except ["setup.sh", "old*"] files Some("shop"):Some("www-data") 750 user:deploy:rw- default:group:ops:rwx mask::r-x default:other::--- Some("system_u") httpd_sys_content_t Some("s1-s3:c0.c2,c5")
    ApplicationStop scripts/stop.sh 3600s
    AfterInstall scripts/pull.sh 600s as shop
    AfterInstall scripts/migrate.sh 300s as root with sudo
    "#);
}

#[test]
fn every_problem_is_reported_at_once_in_the_order_of_the_file() {
    let text = "\
version: \"0.0\"
os: Linux
file:
  - x
files:
  - source: ../etc
    destination: ~/app
  - destination: /srv
permissions:
  - mode: 888
    owner: yes
hooks:
  AfterInstal:
    - location: a.sh
  AfterInstall:
    - timeout: 0
    - scripts/b.sh
file_exists_behavior: overwrite
";
    insta::assert_snapshot!(report(text), @r#"
    refused

    error[LS120]: version: must be the number 0.0, found the text "0.0": the quotes make it a text
     --> appspec.yml:1:10
      |
    1 | version: "0.0"
      |          ^^^^^
      |
      = help: write `version: 0.0`

    error[LS121]: os: must be `linux` or `windows`, found `Linux`
     --> appspec.yml:2:5
      |
    2 | os: Linux
      |     ^^^^^
      |
      = help: write `os: linux`

    warning[LS110]: file: has no effect
     --> appspec.yml:3:1
      |
    3 | file:
      | ^^^^
      |
      = help: did you mean `files`?

    error[LS130]: files[0].source: `../etc` leaves the bundle with `..`
     --> appspec.yml:6:13
      |
    6 |   - source: ../etc
      |             ^^^^^^
      |
      = help: name a file or folder of the bundle; a leading `/` stands for the top of the bundle

    error[LS131]: files[0].destination: `~/app`: nothing expands `~` reliably, the AWS agent does by half
     --> appspec.yml:7:18
      |
    7 |     destination: ~/app
      |                  ^^^^^
      |
      = help: write the home folder in full, for example `/home/ubuntu/app`

    error[LS111]: files[1].source: is missing
     --> appspec.yml:8:5
      |
    8 |   - destination: /srv
      |     ^^^^^^^^^^^^^^^^^
      |
      = help: name a file or folder of the bundle; `/` is the whole bundle

    error[LS111]: permissions[0].object: is missing
      --> appspec.yml:10:5
       |
    10 |   - mode: 888
       |     ^^^^^^^^^
       |
       = help: name an installed file, or a folder that files are installed to

    error[LS140]: permissions[0].mode: must be one to four octal digits, found `888`
      --> appspec.yml:10:11
       |
    10 |   - mode: 888
       |           ^^^
       |
       = help: write it with quotes and the digits 0 to 7, for example "0644"

    error[LS144]: permissions[0].owner: must be a name, found `yes`
      --> appspec.yml:11:12
       |
    11 |     owner: yes
       |            ^^^
       |
       = help: name the user or group, or remove the line

    error[LS160]: hooks.AfterInstal: `AfterInstal` is no lifecycle event, so its scripts would never run
      --> appspec.yml:13:3
       |
    13 |   AfterInstal:
       |   ^^^^^^^^^^^
       |
       = help: did you mean `AfterInstall`?

    error[LS111]: hooks.AfterInstall[0].location: is missing
      --> appspec.yml:16:7
       |
    16 |     - timeout: 0
       |       ^^^^^^^^^^
       |
       = help: name a script of the bundle

    error[LS166]: hooks.AfterInstall[0].timeout: must be at least 1, found 0
      --> appspec.yml:16:16
       |
    16 |     - timeout: 0
       |                ^
       |
       = help: write the seconds, or remove the line for 3600

    error[LS108]: hooks.AfterInstall[1]: must be a mapping, found a text
      --> appspec.yml:17:7
       |
    17 |     - scripts/b.sh
       |       ^^^^^^^^^^^^
       |
       = help: write `location: scripts/b.sh`

    error[LS122]: file_exists_behavior: must be `DISALLOW`, `OVERWRITE` or `RETAIN`, found `overwrite`
      --> appspec.yml:18:23
       |
    18 | file_exists_behavior: overwrite
       |                       ^^^^^^^^^
       |
       = help: write `OVERWRITE`
    "#);
}

#[test]
fn an_appspec_is_there_exactly_when_there_is_no_error() {
    for text in ["", "- a\n", "text\n", "~\n", "# nothing\n", "version: 0.0\nos: linux\n", "a: [\n", "Resources: []\n"]
    {
        let parsed = parsed(text);
        assert_eq!(parsed.appspec.is_none(), problem::has_errors(&parsed.problems), "{text:?}");
    }
}

#[test]
fn a_file_that_is_no_appspec_is_named_as_what_it_is() {
    insta::assert_snapshot!(report("# to do\n"), @"
    refused

    error[LS104]: the file is empty: it holds no appspec
    --> appspec.yml
     = help: begin with `version: 0.0` and `os: linux`
    ");
    insta::assert_snapshot!(report("- version: 0.0\n"), @"
    refused

    error[LS104]: an appspec is a mapping of `version`, `os`, `files` and `hooks`, found a list
     --> appspec.yml:1:1
      |
    1 | - version: 0.0
      | ^^^^^^^^^^^^^^
      |
      = help: begin with `version: 0.0` and `os: linux`
    ");
    insta::assert_snapshot!(report("just text\n"), @"
    refused

    error[LS104]: an appspec is a mapping of `version`, `os`, `files` and `hooks`, found a text
     --> appspec.yml:1:1
      |
    1 | just text
      | ^^^^^^^^^
      |
      = help: begin with `version: 0.0` and `os: linux`
    ");
    insta::assert_snapshot!(
        report("version: 0.0\nResources:\n  - Api:\n      Type: AWS::ECS::Service\nHooks: []\n"), @"
    refused

    error[LS105]: Resources: this is an appspec for ECS, which has no host to deploy to
     --> appspec.yml:2:1
      |
    2 | Resources:
      | ^^^^^^^^^
      |
      = help: for hosts, write `os: linux` with `files` and `hooks`
    ");
    insta::assert_snapshot!(
        report("version: 0.0\nResources:\n  - fn:\n      Type: AWS::Lambda::Function\n"), @"
    refused

    error[LS105]: Resources: this is an appspec for Lambda, which has no host to deploy to
     --> appspec.yml:2:1
      |
    2 | Resources:
      | ^^^^^^^^^
      |
      = help: for hosts, write `os: linux` with `files` and `hooks`
    ");
}

#[test]
fn versions_are_judged_as_the_aws_agent_does() {
    for good in ["0.0", "0", "0.00", "-0.0", "0.", ".0", "00"] {
        assert_eq!(found(&format!("version: {good}\nos: linux\n")), [""; 0], "{good}");
    }
    for bad in ["\"0.0\"", "0e0", "0.0.", "1.0", "1.0.0", "no", "v0", "[0.0]"] {
        let codes = found(&format!("version: {bad}\nos: linux\n"));
        assert_eq!(codes.len(), 1, "{bad}");
        assert!(codes[0] == "LS120 version" || codes[0] == "LS108 version", "{bad}: {codes:?}");
    }
    for missing in ["os: linux\n", "version:\nos: linux\n", "version: ~\nos: linux\n", ":version: 0.0\nos: linux\n"] {
        assert!(found(missing).contains(&"LS111 version".to_owned()), "{missing:?}");
    }
}

#[test]
fn the_operating_system_is_exactly_one_of_two_words() {
    for (text, fix) in [
        ("Linux", "linux"),
        ("ubuntu", "linux"),
        ("amazon-linux", "linux"),
        ("Windows", "windows"),
        ("windwos", "windows"),
        ("win2022", "windows"),
    ] {
        let parsed = parsed(&format!("version: 0.0\nos: {text}\n"));
        assert_eq!(parsed.problems[0].fix, Some(format!("write `os: {fix}`")), "{text}");
        assert!(parsed.appspec.is_none(), "{text}");
    }
    assert_eq!(parsed("version: 0.0\nos: windows\n").appspec.map(|appspec| appspec.os), Some(Os::Windows));
    assert_eq!(found("version: 0.0\n"), ["LS111 os"]);
}

#[test]
fn an_appspec_for_windows_has_its_own_slashes_and_no_permissions() {
    let text = "version: 0.0\nos: windows\nfiles:\n  - source: \\\n    destination: C:\\app\n  - source: \\conf\\a.ini\n    destination: c:\\\nhooks:\n  AfterInstall:\n    - location: \\deploy\\up.ps1\n";
    insta::assert_snapshot!(report(text), @r"
    Windows, file exists: None
    everything -> C:\app
    conf/a.ini -> c:\
    AfterInstall deploy/up.ps1 3600s
    ");
    let with_permissions = format!("{text}permissions:\n  - object: C:\\app\n    mode: 755\n");
    assert_eq!(found(&with_permissions), ["LS151 permissions"]);
}

#[test]
fn a_hook_without_scripts_is_no_hook() {
    for hooks in [
        "hooks:\n",
        "hooks: ~\n",
        "hooks: {}\n",
        "hooks:\n  AfterInstall:\n",
        "hooks: {AfterInstall: []}\n",
        "hooks: {Install: , DownloadBundle: []}\n",
    ] {
        let parsed = parsed(&format!("version: 0.0\nos: linux\n{hooks}"));
        assert!(parsed.problems.is_empty() && parsed.appspec.unwrap().hooks.is_empty(), "{hooks:?}");
    }
}

#[test]
fn the_default_timeout_is_an_hour() {
    let text = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: a.sh\n      timeout:\n";
    let appspec = parsed(text).appspec.unwrap();
    assert_eq!(appspec.hooks_of(&crate::lifecycle::LifecycleEvent::AfterInstall)[0].timeout, DEFAULT_TIMEOUT);
}

#[test]
fn a_hostile_file_does_not_drown_the_reader() {
    let mut text = "version: 0.0\nos: linux\nfiles:\n".to_owned();
    text.push_str(&"  - x\n".repeat(2_000));
    let problems = parsed(&text).problems;
    assert_eq!(problems.len(), 501);
    assert_eq!(problems[500].message, "1500 more problems are not shown");
}

#[test]
fn aliases_and_merge_keys_work_in_an_appspec() {
    let text = "\
version: 0.0
os: linux
x-defaults: &defaults {timeout: 60, runas: root}
hooks:
  AfterInstall:
    - {<<: *defaults, location: a.sh}
    - {location: b.sh, timeout: 5, <<: *defaults}
";
    insta::assert_snapshot!(report(text), @"
    Linux, file exists: None
    AfterInstall a.sh 60s as root
    AfterInstall b.sh 5s as root
    ");
}

/// A piece of an appspec, right or wrong.
fn piece() -> impl Strategy<Value = String> {
    let value = prop_oneof![
        Just("0.0"),
        Just("linux"),
        Just("yes"),
        Just("'no'"),
        Just("0644"),
        Just("1:30"),
        Just("-1"),
        Just("~"),
        Just("[a, 'b:c']"),
        Just("{type: x, range: s0-s1:c0.c3}"),
        Just("/"),
        Just("../x"),
        Just("*a"),
        Just("&a 5"),
        Just("u:x:rwx"),
        Just("**"),
        Just("5m"),
        Just("99999999999999999999"),
        Just("é\u{202e}"),
        Just("\"\\0\""),
    ];
    let key = prop_oneof![
        Just("version"),
        Just("os"),
        Just("files"),
        Just("source"),
        Just("destination"),
        Just("hooks"),
        Just("AfterInstall"),
        Just("afterinstal"),
        Just("location"),
        Just("timeout"),
        Just("runas"),
        Just("sudo"),
        Just("permissions"),
        Just("object"),
        Just("mode"),
        Just("acls"),
        Just("context"),
        Just("except"),
        Just("type"),
        Just("owner"),
        Just("pattern"),
        Just("file_exists_behavior"),
        Just("Resources"),
        Just("<<"),
    ];
    (0usize..4, any::<bool>(), key, prop::option::of(value)).prop_map(|(depth, item, key, value)| {
        let dash = if item { "- " } else { "" };
        format!("{}{dash}{key}: {}\n", "  ".repeat(depth), value.unwrap_or_default())
    })
}

proptest! {
    #[test]
    fn no_file_makes_the_parser_panic(text in any::<String>()) {
        holds_together(&text);
    }

    #[test]
    fn no_mixture_of_appspec_lines_makes_the_parser_panic(pieces in prop::collection::vec(piece(), 0..25)) {
        holds_together(&pieces.concat());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        holds_together(&String::from_utf8_lossy(&bytes));
    }
}

fn holds_together(text: &str) {
    let Parsed { appspec, problems } = parsed(text);
    assert_eq!(appspec.is_none(), problem::has_errors(&problems), "{text:?}");
    let starts: Vec<Option<usize>> =
        problems.iter().map(|problem| problem.span.as_ref().map(|span| span.start)).collect();
    assert!(starts.is_sorted(), "{text:?}: {starts:?}");
    let shown = render(&problems, Look::Plain);
    assert!(!shown.contains(|c: char| c.is_control() && c != '\n'), "{shown:?}");
    for problem in &problems {
        let _ = problem.to_json();
    }
}
