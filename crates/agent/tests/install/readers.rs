//! What others see meanwhile.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use super::fixture::{Host, programs};

#[test]
fn who_reads_meanwhile_sees_a_whole_file_at_every_moment() {
    let host = Host::new();
    let text = |round: usize| format!("{round:060000}");
    let path = host.disk("app/file");
    host.install(&host.release("0", &[("file", &text(0))], &[("/", "app")]));
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut seen: BTreeMap<String, usize> = BTreeMap::new();
            while !done.load(Ordering::Relaxed) {
                let mut contents = String::new();
                File::open(&path).expect("the file is there").read_to_string(&mut contents).unwrap();
                *seen.entry(contents).or_default() += 1;
            }
            seen
        });
        for round in 1..20 {
            host.install(&host.release(&round.to_string(), &[("file", &text(round))], &[("/", "app")]));
        }
        done.store(true, Ordering::Relaxed);
        let seen = reader.join().unwrap();
        assert!(!seen.is_empty());
        for contents in seen.keys() {
            assert_eq!(contents.len(), 60_000);
        }
    });
}

#[test]
fn progress_ends_at_everything() {
    let host = Host::new();
    let release = host.release("one", &[("a", "12"), ("b", "345"), ("c/d", "6"), ("l -> a", "")], &[("/", "app")]);
    let plan = host.plan(&release).unwrap();
    let seen = Mutex::new(Vec::new());
    host.execute_with(&release, &plan, &programs(), &|progress| seen.lock().unwrap().push(progress)).unwrap();
    let seen = seen.into_inner().unwrap();
    let most = seen.iter().max_by_key(|progress| progress.files_done).unwrap();
    assert_eq!((seen.len(), most.files_done, most.files_total, most.bytes_total), (4, 4, 4, 6));
    assert_eq!(seen.iter().map(|progress| progress.bytes_done).max(), Some(6));
}

#[test]
fn the_time_in_which_both_releases_can_be_met_is_measured_and_a_small_part_of_the_installation() {
    let host = Host::new();
    let text = "x".repeat(4096);
    let names: Vec<String> = (0..1000).map(|number| format!("d{}/f{number}", number % 20)).collect();
    let files: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), text.as_str())).collect();
    let mut shares = Vec::new();
    for round in 0..4 {
        let release = host.release(&format!("r{round}"), &files, &[("/", "app")]);
        let plan = host.plan(&release).unwrap();
        let begun = Instant::now();
        let installed = host.execute(&release, &plan).unwrap();
        shares.push(installed.visible.unwrap().as_secs_f64() / begun.elapsed().as_secs_f64());
    }
    // New folders: one rename for all of it. Later rounds: one for each file. The best of them, as others use the host too.
    let replaced = shares[1..].iter().copied().fold(1.0, f64::min);
    assert!(shares[0] < 0.1 && replaced < 0.3, "{shares:?}");
}
