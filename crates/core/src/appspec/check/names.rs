//! Which name was meant: keys that nothing reads, and words that are nearly right.

use super::{UNKNOWN_KEY, Verdict};
use crate::lifecycle::LifecycleEvent;

/// The key sets of the appspec.
pub(crate) const TOP: [&str; 6] = ["version", "os", "files", "permissions", "hooks", "file_exists_behavior"];
pub(crate) const FILE: [&str; 2] = ["source", "destination"];
pub(crate) const PERMISSION: [&str; 9] =
    ["object", "pattern", "except", "type", "owner", "group", "mode", "acls", "context"];
pub(crate) const HOOK: [&str; 4] = ["location", "timeout", "runas", "sudo"];
pub(crate) const CONTEXT: [&str; 4] = ["name", "user", "type", "range"];

/// The candidate that was probably meant: the same but for case, `-`, `_` and spaces, or at most two typing errors away
/// and still mostly the same word.
pub(crate) fn did_you_mean<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let plain = |text: &str| text.to_lowercase().replace(['-', '_', ' ', ':'], "");
    let word = plain(word);
    candidates
        .into_iter()
        .map(|candidate| (strsim::osa_distance(&word, &plain(candidate)), candidate))
        .filter(|(distance, candidate)| *distance <= 2 && distance * 3 <= candidate.len())
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// A key that nothing reads, in a mapping whose keys are `known`.
pub(crate) fn no_effect(key: &str, known: &[&str]) -> Verdict<()> {
    let unknown = |fix: String| Verdict::accept(()).warn(UNKNOWN_KEY, "has no effect").fix(fix);
    let top = known == TOP;
    if key == "overwrite" {
        return unknown(
            "remove it; what happens to files that exist is said once, at the top: `file_exists_behavior: OVERWRITE`"
                .to_owned(),
        );
    }
    if let Some(meant) = did_you_mean(key, known.iter().copied()) {
        return unknown(format!("did you mean `{meant}`?"));
    }
    if top && LifecycleEvent::ALL.iter().any(|event| event.name() == key) {
        return unknown(format!("indent it below `hooks:`: `{key}` is a lifecycle event"));
    }
    let home =
        [("the top of the file", &TOP[..]), ("`files`", &FILE), ("`permissions`", &PERMISSION), ("`hooks`", &HOOK)]
            .into_iter()
            .find(|(_, keys)| *keys != known && keys.contains(&key));
    match home {
        Some((home, _)) => unknown(format!("`{key}` belongs to {home}; move it there or remove it")),
        None => unknown(format!("remove it; what is read here is {}", list(known))),
    }
}

/// `a`, `b` and `c`.
pub(crate) fn list(words: &[&str]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("`{word}`")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [head @ .., last] => format!("{} and {last}", head.join(", ")),
    }
}
