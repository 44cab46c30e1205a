//! Whole deployments: bundles, events, files in the way, scripts.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use longshore_core::bundle::{PackFile, PackOptions, pack};
use nix::sys::stat::Mode;

use super::fixture::{Host, Ran, finished, refused};

/// What every scriptable event of a first deployment of revision `one` traces.
const FIRST: &str = "one BeforeInstall\none AfterInstall\none ApplicationStart\none ValidateService\n\
                     one BeforeAllowTraffic\none AfterAllowTraffic\n";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

#[test]
fn every_kind_of_bundle_deploys() {
    for (case, kind, location) in [
        ("a folder", Some("directory"), "revisions/my app"),
        ("the working folder", None, ""),
        ("a folder by its URL", Some("directory"), "file://{sandbox}/revisions/my app"),
        ("a folder by its absolute path", None, "{sandbox}/revisions/my app"),
        ("a zip", Some("zip"), "flat.zip"),
        ("a zip whose files are in one folder", Some("zip"), "nested.zip"),
        ("a tar", Some("tar"), "flat.tar"),
        ("a tgz", Some("tgz"), "flat.tgz"),
        ("a tgz whose files are in one folder", Some("tgz"), "nested.tgz"),
        ("a path with spaces", Some("tgz"), "{sandbox}/with spaces.tgz"),
        ("an archive by its URL", Some("zip"), "file://{sandbox}/flat.zip"),
        ("an archive of another type than announced", Some("zip"), "flat.tgz"),
    ] {
        let host = Host::new();
        let revision = host.traced("my app", &[("index.html", "1"), (".hidden", "2")]);
        host.pack(&revision);
        let mut command = match location {
            "" => host.local_in(&revision, &[]),
            location => host.local(&["--bundle-location", &host.filled(location)]),
        };
        command.args(kind.into_iter().flat_map(|kind| ["--type", kind]));
        assert_eq!(host.run(&mut command), finished(&host.group()), "{case}");
        let www: Vec<_> = host.tree(&host.www()).into_iter().collect();
        assert_eq!(www, [(".hidden".into(), "644 2".into()), ("index.html".into(), "644 1".into())], "{case}");
        assert_eq!(host.trace(), FIRST.replace("one", "my app"), "{case}");
    }
}

#[test]
fn the_second_deployment_stops_what_the_first_one_brought() {
    let host = Host::new();
    let one = host.traced("one", &[("index.html", "1")]);
    let two = host.traced("two", &[("index.html", "2")]);
    for revision in [&one, &two] {
        assert_eq!(host.deploy(&["-l", text(revision)]), finished(&host.group()));
    }
    assert_eq!(
        host.trace().strip_prefix(FIRST).unwrap(),
        "one BeforeBlockTraffic\none AfterBlockTraffic\none ApplicationStop\ntwo BeforeInstall\ntwo AfterInstall\n\
         two ApplicationStart\ntwo ValidateService\ntwo BeforeAllowTraffic\ntwo AfterAllowTraffic\n"
    );
    // A group of its own knows nothing of the other.
    assert_eq!(host.deploy(&["-l", text(&two), "-g", "other", "-b", "OVERWRITE"]), finished("other"));
    assert!(!host.trace().contains("two ApplicationStop"));
}

#[test]
fn the_same_bundle_twice_is_two_whole_deployments() {
    let host = Host::new();
    let one = host.traced("one", &[("index.html", "1")]);
    host.pack(&one);
    for location in [&["-l", "revisions/one"][..], &["-l", "flat.zip", "-t", "zip"]] {
        for _ in 0..2 {
            assert_eq!(host.deploy(location), finished(&host.group()));
            let archive = host.tree(&host.newest().join("deployment-archive"));
            let names: Vec<&str> = archive.keys().map(|path| text(path)).collect();
            assert_eq!(names, ["appspec.yml", "site", "site/index.html", "trace.sh"]);
        }
    }
    assert_eq!(host.deployments().len(), 4);
}

#[test]
fn a_list_of_events_runs_as_aws_runs_it() {
    let stops = |events: &str| {
        format!(
            "WARNING: {events} after DownloadBundle (which is put in front when `--events` leaves it out): the scripts of \
             the new revision run, not those of the installed one\n"
        )
    };
    let unusual = || "WARNING: the events do not stand in CodeDeploy's order; they run as they stand\n".to_owned();
    for (events, trace, told) in [
        ("DownloadBundle,Install", "", String::new()),
        ("ApplicationStart", "two ApplicationStart\n", String::new()),
        (
            "ApplicationStop,DownloadBundle,BeforeInstall,Install,AfterInstall",
            "one ApplicationStop\ntwo BeforeInstall\ntwo AfterInstall\n",
            String::new(),
        ),
        ("ApplicationStop", "two ApplicationStop\n", stops("ApplicationStop")),
        (
            "BeforeBlockTraffic,ApplicationStop,DownloadBundle,ApplicationStart",
            "two BeforeBlockTraffic\ntwo ApplicationStop\ntwo ApplicationStart\n",
            stops("BeforeBlockTraffic, ApplicationStop"),
        ),
        ("ValidateService,ApplicationStart", "two ValidateService\ntwo ApplicationStart\n", unusual()),
    ] {
        let host = Host::new();
        let (one, two) = (host.traced("one", &[("a", "1")]), host.traced("two", &[("a", "2")]));
        host.deploy(&["-l", text(&one)]);
        let ran = host.deploy(&["-l", text(&two), "--events", events]);
        assert_eq!(ran, Ran { told, ..finished(&host.group()) }, "{events}");
        assert_eq!(host.trace().strip_prefix(FIRST).unwrap(), trace, "{events}");
        assert_eq!(fs::read_to_string(host.www().join("a")).unwrap(), "2", "{events}");
    }
}

#[test]
fn events_of_ones_own_run_where_the_list_has_them() {
    let host = Host::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  HealthCheck:\n    - location: trace.sh\n  Log:\n    - location: \
                   trace.sh\n";
    let script = "#!/bin/sh\necho $LIFECYCLE_EVENT >> {trace}\n";
    let revision = host.revision("own", &[("appspec.yml", appspec), ("trace.sh", script)]);
    let ran = host.deploy(&["-l", text(&revision), "-e", "DownloadBundle,Log,Install,HealthCheck"]);
    assert_eq!((ran.code, host.trace().as_str()), (Some(0), "Log\nHealthCheck\n"), "{ran:?}");
    // One that the appspec does not have is refused before anything runs.
    let ran = host.deploy(&["-l", text(&revision), "-e", "Log,CoolDown"]);
    assert_eq!((ran.code, host.trace().as_str()), (Some(1), "Log\nHealthCheck\n"), "{ran:?}");
    assert!(ran.told.contains("`CoolDown` is no event of CodeDeploy's"), "{ran:?}");
}

#[test]
fn files_in_the_way_are_refused_replaced_or_kept() {
    let unknown =
        "WARNING: `--file-exists-behavior REPLACE` is none of DISALLOW, OVERWRITE and RETAIN; DISALLOW holds\n";
    for (option, appspec, code, file, told) in [
        (&[][..], "", 1, "mine", ""),
        (&["-b", "DISALLOW"], "", 1, "mine", ""),
        (&["-b", "OVERWRITE"], "", 0, "new", ""),
        (&["--file-exists-behavior", "RETAIN"], "", 0, "mine", ""),
        (&["-boverwrite"], "", 0, "new", ""),
        (&["-b", "REPLACE"], "", 1, "mine", unknown),
        (&["-b", "OVERWRITE"], "file_exists_behavior: RETAIN\n", 0, "mine", ""),
        (&["-b", "RETAIN"], "file_exists_behavior: DISALLOW\n", 1, "mine", ""),
        (&[], "file_exists_behavior: OVERWRITE\n", 0, "new", ""),
    ] {
        let host = Host::new();
        let appspec = format!("version: 0.0\nos: linux\n{appspec}files:\n  - source: file\n    destination: {{www}}\n");
        host.revision("app", &[("appspec.yml", &appspec), ("file", "new")]);
        fs::create_dir(host.www()).unwrap();
        fs::write(host.www().join("file"), "mine").unwrap();
        let mut arguments = vec!["-l", "revisions/app"];
        arguments.extend(option);
        let ran = host.deploy(&arguments);
        assert_eq!(ran.code, Some(code), "{option:?} {appspec} {ran:?}");
        assert_eq!(fs::read_to_string(host.www().join("file")).unwrap(), file, "{option:?} {appspec}");
        assert!(ran.told.starts_with(told), "{ran:?}");
        if code == 1 {
            let folder = "{sandbox}/root/default-local-deployment-group/{id}";
            let out = format!("Deploying in folder {folder}\nThe log of its scripts is {folder}/logs/scripts.log\n");
            assert_eq!(ran.out, out);
            assert!(ran.told.contains("ERROR: ") && ran.told.contains("{sandbox}/www/file"), "{ran:?}");
        }
    }
}

#[test]
fn the_appspec_may_have_another_name() {
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: trace.sh\n";
    let script = "#!/bin/sh\necho ran >> {trace}\n";
    for (file, option) in
        [("appspec.yaml", None), ("deploy/dev.yml", Some("deploy/dev.yml")), ("dev.yml", Some("./dev.yml"))]
    {
        let host = Host::new();
        let revision = host.revision("app", &[(file, appspec), ("trace.sh", script)]);
        host.pack(&revision);
        for location in [&["-l", text(&revision)][..], &["-l", "flat.tar", "-t", "tar"]] {
            let mut arguments = location.to_vec();
            arguments.extend(option.into_iter().flat_map(|name| ["--appspec-filename", name]));
            assert_eq!(host.deploy(&arguments), finished(&host.group()), "{file}");
        }
        assert_eq!(host.trace(), "ran\nran\n", "{file}");
        // In an archive its absence is found when it is opened, and before anything is changed.
        let ran = host.deploy(&["-l", "flat.tar", "-t", "tar", "-A", "other.yml"]);
        assert_eq!(ran.code, Some(1));
        assert!(ran.told.starts_with("ERROR: the bundle has no `other.yml` at its top\n"), "{ran:?}");
    }
}

#[test]
fn a_script_that_fails_is_named_and_nothing_comes_after_it() {
    let host = Host::new();
    let appspec = "version: 0.0\nos: linux\nfiles:\n  - source: file\n    destination: {www}\nhooks:\n  ApplicationStop:\n    \
                   - location: stop.sh\n  AfterInstall:\n    - location: /start.sh\n  ApplicationStart:\n    - location: \
                   never.sh\n";
    let files = |start: &'static str, file: &'static str| {
        [
            ("appspec.yml", appspec),
            ("stop.sh", "#!/bin/sh\nexit $(cat {www}/status)\n"),
            ("start.sh", start),
            ("never.sh", "#!/bin/sh\necho never >> {trace}\n"),
            ("file", file),
        ]
    };
    let one = host.revision("one", &files("#!/bin/sh\necho 'no database' >&2\nexit 3\n", "1"));
    let ran = host.deploy(&["-l", text(&one)]);
    let folder = "{sandbox}/root/default-local-deployment-group/{id}";
    assert_eq!(
        (ran.code, ran.out),
        (
            Some(1),
            format!(
                "Deploying in folder {folder}\nDeployment failed in script {folder}/deployment-archive/start.sh\nThe log of \
                 its scripts is {folder}/logs/scripts.log\n"
            )
        )
    );
    assert!(ran.told.starts_with("ERROR: hook `/start.sh` exited with 3 (AfterInstall, 1 of 1)\n"), "{}", ran.told);
    assert!(ran.told.contains("    [stderr]no database\n"), "{}", ran.told);
    assert_eq!(host.trace(), "");
    assert!(host.log().contains("[stderr]no database\n"));
    // AWS's course: what was installed stays.
    assert_eq!(fs::read_to_string(host.www().join("file")).unwrap(), "1");

    // A script of the installed revision is named where it stands.
    fs::write(host.www().join("status"), "4").unwrap();
    let installed = host.newest();
    let two = host.revision("two", &files("#!/bin/sh\n", "2"));
    let ran = host.run(host.local(&["-l", text(&two)]).env("UNRELATED", "x"));
    let script = host.stable(text(&installed.join("deployment-archive/stop.sh")));
    assert!(ran.out.contains(&format!("Deployment failed in script {script}\n")), "{}", ran.out);
    assert!(ran.told.contains("(options in these hints are those of `longshore-agent deploy`)\n"), "{}", ran.told);
    assert_eq!(fs::read_to_string(host.www().join("file")).unwrap(), "1");
}

#[test]
fn scripts_see_the_names_that_aws_gives() {
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: env.sh\n";
    let script = "#!/bin/sh\nenv | grep -E '^(APPLICATION|BUNDLE|DEPLOYMENT|LIFECYCLE)' | sort\n";
    for (options, application, group, id) in [
        (&[][..], "revisions/my app", "LocalFleet", "default-local-deployment-group"),
        (&["-a", "shop", "-d", "dev", "-g", "g-1"], "shop", "dev", "g-1"),
        (&["-a", "My Shop: ä/$(x)", "-d", "", "-g", "g"], "My Shop: ä/$(x)", "", "g"),
    ] {
        let host = Host::new();
        host.revision("my app", &[("appspec.yml", appspec), ("env.sh", script)]);
        let mut arguments = vec!["-l", "revisions/my app"];
        arguments.extend(options);
        let ran = host.deploy(&arguments);
        assert_eq!(ran, finished(id), "{options:?}");
        let folder = fs::read_dir(host.root().join(id)).unwrap().next().unwrap().unwrap().path();
        let log = fs::read_to_string(folder.join("logs/scripts.log")).unwrap();
        let lines: Vec<String> = log.lines().skip(2).map(|line| host.stable(&line[28..])).collect();
        assert_eq!(
            lines,
            [
                format!("APPLICATION_NAME={application}"),
                format!("DEPLOYMENT_GROUP_ID={id}"),
                format!("DEPLOYMENT_GROUP_NAME={group}"),
                "DEPLOYMENT_ID={id}".to_owned(),
                "LIFECYCLE_EVENT=AfterInstall".to_owned(),
            ]
        );
    }
}

#[test]
fn a_second_deployment_of_the_group_is_refused_while_one_runs() {
    let host = Host::new();
    let gate = host.path().join("gate");
    nix::unistd::mkfifo(&gate, Mode::S_IRWXU).unwrap();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: wait.sh\n";
    let script = format!("#!/bin/sh\necho waiting >> {{trace}}\ncat {}\n", gate.display());
    host.revision("app", &[("appspec.yml", appspec), ("wait.sh", &script)]);
    let mut first = host.local(&["-l", "revisions/app"]).stdout(Stdio::piped()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while host.trace().is_empty() {
        assert!(Instant::now() < deadline, "the first deployment does not begin");
        std::thread::park_timeout(Duration::from_millis(10));
    }
    let ran = host.deploy(&["-l", "revisions/app"]);
    let holder = format!("process {}, deployment {{id}}", first.id());
    assert_eq!(
        ran,
        refused(&format!(
            "another deployment of group `default-local-deployment-group` is under way ({holder})\n\nhint: wait for it to \
             end; `longshore-agent logs --follow --root {{sandbox}}/root` shows what it does, `longshore-agent history --root \
             {{sandbox}}/root` how it ended"
        ))
    );
    fs::write(&gate, "go\n").unwrap();
    assert!(first.wait().unwrap().success());
    let mut out = String::new();
    first.stdout.unwrap().read_to_string(&mut out).unwrap();
    assert!(out.ends_with("Deployment succeeded\n"), "{out}");
}

#[test]
fn a_bundle_of_longshore_needs_no_application_name() {
    let host = Host::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: env.sh\n";
    let script = "#!/bin/sh\necho $APPLICATION_NAME $LONGSHORE_COMMIT >> {trace}\n";
    let revision = host.revision("shop", &[("appspec.yml", appspec), ("env.sh", script)]);
    let commit = "0123456789abcdef0123456789abcdef01234567";
    let files =
        ["appspec.yml", "env.sh"].map(|name| PackFile { path: name.parse().unwrap(), from: revision.join(name) });
    let (application, commit_hash) = ("shop".parse().unwrap(), commit.parse().unwrap());
    let options =
        PackOptions { application, commit: commit_hash, dirty: false, time: 0, images: Vec::new(), threads: 1 };
    pack(files.to_vec(), &options, &host.path().join("shop.zip"), &|_| ()).unwrap();
    assert_eq!(host.deploy(&["-l", "shop.zip", "-t", "zip"]), finished(&host.group()));
    assert_eq!(host.trace(), format!("shop.zip {commit}\n"));
    // Scripts that call this tool name an application as they like.
    assert_eq!(host.deploy(&["-l", "shop.zip", "-t", "zip", "-a", "other"]), finished(&host.group()));
    assert_eq!(host.trace(), format!("shop.zip {commit}\nother {commit}\n"));
}

#[test]
fn what_aws_leaves_to_a_trace_is_one_message() {
    for (files, message) in [
        (vec![("appspec.yml", "version: 0.0\nos: linux\nhooks: [\n")], "ERROR: `appspec.yml` has errors\n"),
        (
            vec![("appspec.yml", "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: gone.sh\n")],
            "ERROR: the deployment was refused before anything was changed (1 reason)\n  - AfterInstall: script `gone.sh` is \
             not a file in the bundle",
        ),
        (
            vec![("appspec.yml", "version: 0.0\nos: linux\nfiles:\n  - source: gone\n    destination: {www}\n")],
            "ERROR: the deployment was refused before anything was changed (1 reason)\n  - Install: ",
        ),
    ] {
        let host = Host::new();
        host.revision("app", &files);
        let ran = host.deploy(&["-l", "revisions/app"]);
        let folder = "{sandbox}/root/default-local-deployment-group/{id}";
        assert_eq!(
            (ran.code, ran.out),
            (Some(1), format!("Deploying in folder {folder}\nThe log of its scripts is {folder}/logs/scripts.log\n"))
        );
        assert!(ran.told.contains(message), "{message}\n{}", ran.told);
    }
    let host = Host::new();
    fs::write(host.path().join("broken.zip"), "PK\x03\x04 and no more").unwrap();
    let ran = host.deploy(&["-l", "broken.zip", "-t", "zip"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.told.starts_with("ERROR: cannot use bundle `{sandbox}/broken.zip`\n"), "{ran:?}");
}
