//! Crashes, and journals that fail: the old release or the new one, whole.

use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use longshore_agent::install::execute::{InstallError, Installation, Recovered, execute, recover};
use longshore_agent::install::transaction::{Phase, Transaction};

use super::fixture::{Host, Immutable, Mount, chain, programs, two_releases};

const PHASES: [Phase; 4] = [Phase::Staging, Phase::Swapping, Phase::Adjusting, Phase::Committing];

/// Runs an installation until it has written down a phase, and what it had written down by then. Nothing of it runs after
/// that, as after a crash.
fn crash(installation: &Installation<'_>, at: Phase) -> Transaction {
    let written = Mutex::new(String::new());
    let journal = |transaction: &Transaction| {
        *written.lock().unwrap() = serde_json::to_string(transaction).unwrap();
        if transaction.phase == at {
            resume_unwind(Box::new("crash"));
        }
        Ok(())
    };
    assert!(catch_unwind(AssertUnwindSafe(|| execute(installation, &journal, &|_| {}))).is_err());
    serde_json::from_str(&written.lock().unwrap_or_else(PoisonError::into_inner)).unwrap()
}

#[test]
fn a_journal_that_fails_from_any_phase_on_leaves_the_old_release_whatever_became_durable() {
    for fail_from in PHASES {
        for durable in [false, true] {
            let host = Host::new();
            let (one, two) = two_releases(&host);
            host.install(&one);
            let plan = host.plan(&two).unwrap();
            let before = host.tree();
            let last = Mutex::new(None);
            let journal = |transaction: &Transaction| {
                let fails = transaction.phase >= fail_from;
                if durable || !fails {
                    *last.lock().unwrap() = Some(transaction.clone());
                }
                if fails { Err(io::Error::other("full")) } else { Ok(()) }
            };
            let programs = programs();
            let installation = host.installation(&two, &plan, &programs);
            let error = execute(&installation, &journal, &|_| {}).unwrap_err();
            assert!(chain(&error).contains("nothing "), "{}", chain(&error));
            assert_eq!(host.tree(), before, "{fail_from:?} {durable}");
            // The agent dies before it can write down that the event failed.
            if let Some(last) = last.into_inner().unwrap() {
                let recovered = recover(&installation, &last).unwrap();
                assert!(matches!(recovered, Recovered::Undone), "{fail_from:?} {durable}");
                assert_eq!(host.tree(), before, "{fail_from:?} {durable}");
            }
        }
    }
}

#[test]
fn a_crash_at_any_phase_is_undone() {
    for at in PHASES {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let before = host.tree();
        let programs = programs();
        let installation = host.installation(&two, &plan, &programs);
        let transaction = crash(&installation, at);
        for _ in 0..2 {
            let recovered = recover(&installation, &transaction).unwrap();
            assert!(matches!(recovered, Recovered::Undone), "{at:?}");
            assert_eq!(host.tree(), before, "{at:?}");
        }
    }
}

#[test]
fn what_others_made_after_an_undo_is_not_touched_by_the_next_one() {
    for at in PHASES {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let programs = programs();
        let installation = host.installation(&two, &plan, &programs);
        let transaction = crash(&installation, at);
        assert!(matches!(recover(&installation, &transaction).unwrap(), Recovered::Undone), "{at:?}");
        fs::create_dir_all(host.disk("app/fresh/deep")).unwrap();
        for name in ["new", "kept/y", "fresh/theirs", "fresh/deep/x"] {
            fs::write(host.disk("app").join(name), "theirs").unwrap();
        }
        let before = host.tree();
        for _ in 0..2 {
            let recovered = recover(&installation, &transaction).unwrap();
            assert!(matches!(recovered, Recovered::Undone), "{at:?}");
            assert_eq!(host.tree(), before, "{at:?}");
        }
    }
}

#[test]
fn what_others_wrote_into_a_new_folder_stays_when_the_folder_is_undone() {
    for at in [Phase::Adjusting, Phase::Committing] {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let mut expected = host.names();
        let programs = programs();
        let installation = host.installation(&two, &plan, &programs);
        let transaction = crash(&installation, at);
        expected.extend(["app/fresh/", "app/fresh/deep/"].map(str::to_owned));
        // The second time under the name of one that was ours.
        for name in ["app/fresh/deep/theirs", "app/fresh/deep/x"] {
            fs::write(host.disk(name), "theirs").unwrap();
            expected.push(name.to_owned());
            expected.sort();
            let recovered = recover(&installation, &transaction).unwrap();
            assert!(matches!(recovered, Recovered::Undone), "{at:?} {name}");
            assert_eq!(host.names(), expected, "{at:?} {name}");
            assert_eq!(fs::read_to_string(host.disk(name)).unwrap(), "theirs", "{at:?} {name}");
        }
    }
}

#[test]
fn a_crash_after_the_first_record_is_completed() {
    let records = ["_last_successful_install", "-install.json", "-cleanup"];
    let mut whole = None;
    for renamed in (1..=records.len()).rev() {
        let host = Host::new();
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let programs = programs();
        let installation = host.installation(&two, &plan, &programs);
        let transaction = crash(&installation, Phase::Committing);
        for record in &records[..renamed] {
            let name = |text: &str| host.records.dir.join(text);
            fs::rename(name(&format!(".shop{record}.longshore-new")), name(&format!("shop{record}"))).unwrap();
        }
        let mut again = None;
        for round in 0..2 {
            let recovered = recover(&installation, &transaction).unwrap();
            assert!(
                matches!(&recovered, Recovered::Completed(done) if done.files == 8 && done.visible.is_none()),
                "{renamed} {round}: {recovered:?}"
            );
            let tree = host.tree();
            assert!(!tree.contains("longshore-"), "{tree}");
            assert_eq!(*again.get_or_insert(tree.clone()), tree, "{renamed} {round}");
        }
        let left = (host.names(), host.cleanup());
        assert_eq!(*whole.get_or_insert(left.clone()), left, "{renamed}");
    }
}

#[test]
fn a_commit_that_fails_in_the_middle_is_taken_back() {
    let host = Host::new();
    let (one, two) = two_releases(&host);
    host.install(&one);
    let plan = host.plan(&two).unwrap();
    let before = host.tree();
    let programs = programs();
    let installation = host.installation(&two, &plan, &programs);
    for record in ["shop_last_successful_install", "shop-install.json", "shop-cleanup"] {
        let immutable = Mutex::new(None);
        let last = Mutex::new(None);
        let journal = |transaction: &Transaction| {
            if transaction.phase == Phase::Committing {
                *immutable.lock().unwrap() = Some(Immutable::new(&host.records.dir.join(record)));
            }
            *last.lock().unwrap() = Some(transaction.clone());
            Ok(())
        };
        let error = execute(&installation, &journal, &|_| {}).unwrap_err();
        drop(immutable);
        assert!(matches!(&error, InstallError::Undone { .. }), "{record}: {}", chain(&error));
        assert_eq!(host.tree(), before, "{record}");
        let recovered = recover(&installation, &last.into_inner().unwrap().unwrap()).unwrap();
        assert!(matches!(recovered, Recovered::Undone), "{record}");
        assert_eq!(host.tree(), before, "{record}");
    }
}

#[test]
fn a_file_system_that_turns_read_only_is_named_and_undone_once_it_can_be_written() {
    for at in [Phase::Swapping, Phase::Adjusting, Phase::Committing] {
        let host = Host::new();
        let mount = Mount::new(host.disk("app"), "size=1m,mode=755");
        let (one, two) = two_releases(&host);
        host.install(&one);
        let plan = host.plan(&two).unwrap();
        let before = host.tree();
        let remount = |options: &str| {
            let status = Command::new("mount").args(["-o", options]).arg(&mount.0).status().unwrap();
            assert!(status.success());
        };
        let last = Mutex::new(None);
        let journal = |transaction: &Transaction| {
            *last.lock().unwrap() = Some(transaction.clone());
            if transaction.phase == at {
                remount("remount,ro");
                // A phase that needs no more of the file system must fail, too.
                return Err(io::Error::other("read-only"));
            }
            Ok(())
        };
        let programs = programs();
        let installation = host.installation(&two, &plan, &programs);
        let error = execute(&installation, &journal, &|_| {}).unwrap_err();
        let text = chain(&error);
        assert!(matches!(&error, InstallError::Stuck { .. }), "{text}");
        assert!(text.contains("not everything could be put back: cannot put back `"), "{text}");
        remount("remount,rw");
        let recovered = recover(&installation, &last.into_inner().unwrap().unwrap()).unwrap();
        assert!(matches!(recovered, Recovered::Undone), "{at:?}");
        assert_eq!(host.tree(), before, "{at:?}");
    }
}
