//! Records of the AWS agent, obeyed and written.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use longshore_agent::install::cleanup::Cleanup;
use longshore_core::appspec::{AclTag, Context, Permission};
use serde_json::{Value, json};

use super::fixture::{Host, acl, permission, plan_with, selinux};

#[test]
fn a_record_of_the_aws_agent_is_obeyed_and_ours_is_one_that_it_obeys() {
    let host = Host::new();
    fs::create_dir_all(host.disk("app/sub")).unwrap();
    for name in ["app/a", "app/sub/old", "app/torn"] {
        fs::write(host.disk(name), "aws").unwrap();
    }
    let record = ["app", "app/sub", "app/sub/old", "app/a"].map(|name| format!("{}\n", host.disk(name).display()));
    let record = record.concat() + host.disk("app/torn").to_str().unwrap();
    fs::write(host.records.dir.join("shop-cleanup"), record).unwrap();
    fs::write(host.records.dir.join("shop-install.json"), "").unwrap();
    let mut release = host.release("one", &[("a", "ours"), ("b", "ours")], &[("/", "app")]);
    release.appspec.permissions = vec![Permission {
        owner: Some("nobody".into()),
        mode: Some(0o640),
        acls: Some(vec![acl(false, AclTag::User, "daemon", 4)]),
        ..permission(&host.disk("app/b"))
    }];
    host.install(&release);
    assert_eq!(host.names(), ["app/", "app/a", "app/b", "app/torn"]);

    let text = |name: &str| fs::read_to_string(host.records.dir.join(name)).unwrap();
    let (app, archive) = (host.disk("app"), release.archive.clone());
    let (app, archive) = (app.display(), archive.display());
    assert_eq!(text("shop-cleanup"), format!("{app}\n{app}/a\n{app}/b\n"));
    assert_eq!(text("shop_last_successful_install"), format!("{}", release.archive.parent().unwrap().display()));
    assert_eq!(
        text("shop-install.json"),
        format!(
            "{{\"instructions\":[\
             {{\"type\":\"copy\",\"source\":\"{archive}/a\",\"destination\":\"{app}/a\"}},\
             {{\"type\":\"copy\",\"source\":\"{archive}/b\",\"destination\":\"{app}/b\"}},\
             {{\"type\":\"chown\",\"owner\":\"nobody\",\"group\":null,\"file\":\"{app}/b\"}},\
             {{\"type\":\"chmod\",\"mode\":\"640\",\"file\":\"{app}/b\"}},\
             {{\"type\":\"setfacl\",\"acl\":[\"user:daemon:r--\"],\"file\":\"{app}/b\"}}]}}"
        )
    );
    // What AWS's agent does with the record: from the last line to the first, unlink or rmdir.
    for line in text("shop-cleanup").lines().rev() {
        let path = Path::new(line);
        if path.is_dir() { drop(fs::remove_dir(path)) } else { fs::remove_file(path).unwrap() }
    }
    assert_eq!(host.names(), ["app/", "app/torn"]);
}

/// The AWS agent 1.8.1 as its records know it: what it does with them, and what it leaves.
struct Aws<'a>(&'a Host);

impl Aws<'_> {
    fn record(&self, name: &str) -> PathBuf {
        self.0.records.dir.join(format!("shop{name}"))
    }

    /// Removes what the last deployment installed, from the last line to the first, and then the record. Returns the
    /// contexts that it takes out of the policy.
    fn clean(&self) -> Vec<String> {
        let text = fs::read_to_string(self.record("-cleanup")).unwrap();
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let mut contexts = Vec::new();
        for line in whole.split('\n').rev().map(str::trim) {
            if let Some(path) = line.strip_prefix("semanage\0") {
                contexts.push(path.to_owned());
                continue;
            }
            let path = Path::new(line);
            let removed = match path.symlink_metadata() {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
                Ok(_) => fs::remove_file(path),
                Err(error) => Err(error),
            };
            match removed.map_err(|error| error.kind()) {
                Ok(()) | Err(io::ErrorKind::NotFound | io::ErrorKind::DirectoryNotEmpty) => {}
                Err(error) => panic!("the AWS agent would stop at `{line}`: {error}"),
            }
        }
        fs::remove_file(self.record("-cleanup")).unwrap();
        contexts
    }

    /// Installs files (`name/` is a folder) in this order, and writes what it writes.
    fn install(&self, id: &str, files: &[&str], contexts: &[&str]) {
        let root = self.0.dir.path().join(id);
        let (mut cleanup, mut instructions) = (String::new(), Vec::new());
        for file in files {
            let path = self.0.disk(file.trim_end_matches('/'));
            let text = path.to_str().unwrap();
            if file.ends_with('/') {
                fs::create_dir(&path).unwrap();
                instructions.push(json!({"type": "mkdir", "directory": text}));
            } else {
                assert!(!path.exists(), "the AWS agent finds `{file}` in its way");
                fs::write(&path, id).unwrap();
                let source = format!("{}/deployment-archive/{file}", root.display());
                instructions.push(json!({"type": "copy", "source": source, "destination": text}));
            }
            cleanup += &format!("{text}\n");
        }
        for file in contexts {
            let path = self.0.disk(file);
            let context = json!({"user": null, "role": null, "type": "t", "range": "s0"});
            instructions.push(json!({"type": "semanage", "context": context, "file": path.to_str().unwrap()}));
            cleanup += &format!("semanage\0{}\n", path.display());
        }
        fs::write(self.record("-install.json"), json!({ "instructions": instructions }).to_string()).unwrap();
        fs::write(self.record("-cleanup"), cleanup).unwrap();
        for pointer in ["_last_successful_install", "_most_recent_install"] {
            fs::write(self.record(pointer), root.to_str().unwrap()).unwrap();
        }
    }
}

#[test]
fn a_host_changes_from_the_aws_agent_and_back_and_back_again_between_deployments() {
    let host = Host::new();
    let aws = Aws(&host);
    let (programs, log) = selinux(&host, "exit 0");
    let ours = |name: &str, files: &[(&str, &str)]| {
        let mut release = host.release(name, files, &[("/", "app")]);
        let context = Some(Context { user: None, kind: "t".into(), range: None });
        release.appspec.permissions = vec![Permission { context, ..permission(&host.disk("app/b")) }];
        let plan = plan_with(&host, &release, &programs).unwrap();
        let installed = host.execute_with(&release, &plan, &programs, &|_| {}).unwrap();
        assert!(installed.left.is_empty(), "{installed:?}");
        release.archive.parent().unwrap().to_path_buf()
    };
    let calls = || {
        let calls = fs::read_to_string(&log).unwrap_or_default().replace(host.disk("").to_str().unwrap(), "");
        fs::write(&log, "").unwrap();
        calls
    };

    aws.install("d-AWS1", &["app/", "app/a", "app/only-1", "app/logs/", "app/logs/.keep"], &["app/a"]);
    fs::write(host.disk("app/logs/today"), "users").unwrap();
    assert_eq!(host.records.last_successful_install().unwrap(), Some(host.dir.path().join("d-AWS1")));
    assert_eq!(host.records.most_recent_install().unwrap(), Some(host.dir.path().join("d-AWS1")));

    let root = ours("d-OURS2", &[("a", "2"), ("b", "2"), ("sub/c", "2"), ("l -> a", "")]);
    let names = ["app/", "app/a", "app/b", "app/l -> a", "app/logs/", "app/logs/today", "app/sub/", "app/sub/c"];
    assert_eq!(host.names(), names);
    assert_eq!(calls(), "semanage fcontext -d app/a\nsemanage fcontext -a -t t app/b\nrestorecon -v app/b\n");
    assert_eq!(fs::read_to_string(aws.record("_last_successful_install")).unwrap(), root.to_str().unwrap());

    // Everything of ours goes by its rules; the folder that it would have forgotten is still known, and not empty.
    assert_eq!(aws.clean(), [host.disk("app/b").to_str().unwrap()]);
    assert_eq!(host.names(), ["app/", "app/logs/", "app/logs/today"]);
    fs::remove_dir_all(host.disk("app")).unwrap();
    aws.install("d-AWS3", &["app/", "app/sub/", "app/sub/c", "app/b"], &[]);

    ours("d-OURS4", &[("a", "4"), ("b", "4")]);
    assert_eq!(host.names(), ["app/", "app/a", "app/b"]);
    assert_eq!(fs::read_to_string(host.disk("app/b")).unwrap(), "4");
    assert_eq!(calls(), "semanage fcontext -a -t t app/b\nrestorecon -v app/b\n");
    assert_eq!(aws.clean(), [host.disk("app/b").to_str().unwrap()]);
    assert_eq!(host.names(), [] as [String; 0]);
}

#[test]
fn what_we_write_has_the_keys_and_the_order_of_the_aws_agents_list() {
    let host = Host::new();
    let mut release = host.release("one", &[("a", "x"), ("d/", "")], &[("/", "app")]);
    release.appspec.permissions = vec![Permission {
        owner: Some("nobody".into()),
        mode: Some(0o640),
        acls: Some(vec![acl(false, AclTag::User, "daemon", 4)]),
        ..permission(&host.disk("app/a"))
    }];
    host.install(&release);
    let text = fs::read_to_string(host.records.dir.join("shop-install.json")).unwrap();
    let list: Value = serde_json::from_str(&text).unwrap();
    let keys: Vec<Vec<&String>> = list["instructions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|instruction| instruction.as_object().unwrap().keys().collect())
        .collect();
    let expected: [&[&str]; 6] = [
        &["type", "directory"],
        &["type", "directory"],
        &["type", "source", "destination"],
        &["type", "owner", "group", "file"],
        &["type", "mode", "file"],
        &["type", "acl", "file"],
    ];
    assert_eq!(keys, expected);
}

#[test]
fn a_deployment_takes_away_exactly_what_the_aws_agent_would() {
    // Files, folders in any order of the disk, links, what is gone, what has changed its kind, and a write cut short.
    let lay = |host: &Host| {
        for folder in ["app", "app/z", "app/z/a", "app/full", "app/was-file"] {
            fs::create_dir(host.disk(folder)).unwrap();
        }
        for file in ["app/z/a/f", "app/full/ours", "app/full/theirs", "app/was-folder", "app/a b", "app/torn", "app/Ω"]
        {
            fs::write(host.disk(file), "x").unwrap();
        }
        std::os::unix::fs::symlink("full", host.disk("app/link")).unwrap();
        let record = ["app", "app/z", "app/z/a", "app/z/a/f", "app/full", "app/full/ours", "app/was-file"];
        let more = ["app/was-folder", "app/a b", "app/gone", "app/link", "app/Ω"];
        let lines = record.iter().chain(&more).map(|name| format!("{}\n", host.disk(name).display()));
        let text = lines.collect::<String>() + host.disk("app/torn").to_str().unwrap();
        fs::write(host.records.dir.join("shop-cleanup"), text).unwrap();
    };
    let (host, other) = (Host::new(), Host::new());
    lay(&host);
    lay(&other);
    Aws(&other).clean();
    host.install(&host.release("empty", &[("elsewhere/", "")], &[("/", "elsewhere")]));
    fs::remove_dir_all(host.disk("elsewhere")).unwrap();
    assert_eq!(host.names(), other.names());
    assert_eq!(host.names(), ["app/", "app/full/", "app/full/theirs", "app/torn"]);
}

#[test]
fn a_name_that_ends_in_white_space_is_the_same_name_in_our_record_and_the_plan_warns_of_the_aws_agent() {
    let host = Host::new();
    let release = host.release("one", &[("plain", "x"), ("blank ", "x"), ("return\r", "x")], &[("/", "app")]);
    let plan = host.plan(&release).unwrap();
    let note = |name: &str| {
        let path = host.disk(name);
        format!("`{}` ends in white space: the AWS agent could not remove it", path.to_str().unwrap().escape_debug())
    };
    assert_eq!(plan.notes, [note("app/blank "), note("app/return\r")]);
    host.install(&release);
    fs::write(host.disk("app/blank"), "another").unwrap();
    host.install(&host.release("two", &[("plain", "x")], &[("/", "app")]));
    assert_eq!(host.names(), ["app/", "app/blank", "app/plain"]);
}

#[test]
fn a_record_with_names_that_are_not_utf8_is_obeyed_and_kept_to_the_byte() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let host = Host::new();
    let folder = host.disk("").join(OsStr::from_bytes(b"caf\xe9"));
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join(OsStr::from_bytes(b"old\xff")), "x").unwrap();
    fs::write(folder.join("users"), "x").unwrap();
    let paths = vec![folder.clone(), folder.join(OsStr::from_bytes(b"old\xff"))];
    host.records.write_cleanup(&Cleanup { paths, contexts: Vec::new() }).unwrap();
    let installed = host.install(&host.release("one", &[("a", "x")], &[("/", "app")]));
    assert_eq!(installed.removed, 1);
    assert_eq!(installed.remembered, std::slice::from_ref(&folder));
    let expected = [folder.clone(), host.disk("app"), host.disk("app/a")];
    assert_eq!(host.records.cleanup().unwrap().paths, expected);
    fs::remove_file(folder.join("users")).unwrap();
    host.install(&host.release("two", &[("a", "x")], &[("/", "app")]));
    assert!(!folder.exists());
}

#[test]
fn a_context_behind_a_link_to_a_name_that_is_not_utf8_is_recorded_and_forgotten() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let host = Host::new();
    let real = host.disk("").join(OsStr::from_bytes(b"real\xff"));
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, host.disk("app")).unwrap();
    let (programs, log) = selinux(&host, "exit 0");
    let mut one = host.release("one", &[("a", "x")], &[("/", "app")]);
    let context = Context { user: None, kind: "t".into(), range: None };
    one.appspec.permissions = vec![Permission { context: Some(context), ..permission(&host.disk("app/a")) }];
    let plan = plan_with(&host, &one, &programs).unwrap();
    host.execute_with(&one, &plan, &programs, &|_| {}).unwrap();
    assert_eq!(host.records.cleanup().unwrap().contexts, [real.join("a")]);
    fs::write(&log, "").unwrap();
    let two = host.release("two", &[("a", "x")], &[("/", "app")]);
    let plan = plan_with(&host, &two, &programs).unwrap();
    host.execute_with(&two, &plan, &programs, &|_| {}).unwrap();
    let expected = [b"semanage fcontext -d ", real.join("a").as_os_str().as_bytes(), b"\n"].concat();
    assert_eq!(fs::read(&log).unwrap(), expected);
}
