//! Runs the tests of a program that has to do something else first, which the usual harness leaves no room for. Speaks as
//! much of its command line as `cargo test` and `cargo nextest` use.

use std::panic;
use std::process::ExitCode;

/// A test and its name.
pub(crate) type Test = (&'static str, fn());

/// Lists or runs them.
pub(crate) fn run(tests: &[Test]) -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let has = |word: &str| words.iter().any(|other| other == word);
    let takes_value = |word: &str| matches!(word, "--format" | "--test-threads" | "--color" | "--skip" | "--logfile");
    let mut names = Vec::new();
    for (index, word) in words.iter().enumerate() {
        if !word.starts_with('-') && (index == 0 || !takes_value(&words[index - 1])) {
            names.push(word.as_str());
        }
    }
    let is_named = |test: &str| {
        names.is_empty() || names.iter().any(|name| if has("--exact") { test == *name } else { test.contains(name) })
    };
    // None of them is ever ignored.
    let chosen: Vec<&Test> = tests.iter().filter(|(name, _)| !has("--ignored") && is_named(name)).collect();
    if has("--list") {
        chosen.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let mut failed = 0;
    for (name, test) in chosen {
        let passed = panic::catch_unwind(test).is_ok();
        println!("test {name} ... {}", if passed { "ok" } else { "FAILED" });
        failed += usize::from(!passed);
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
