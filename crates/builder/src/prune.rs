//! Which artifacts of a store may go. Pure.
//!
//! What stays: the newest of each application and whatever is not older than they are, what its groups need, and everything that is no
//! artifact. Signatures and provenance go with their artifact and after it: one that is whole without them looks like one that never
//! had them.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use longshore_core::artifact::{ArtifactKey, Part};
use longshore_core::host_status;
use longshore_core::ids::{ApplicationName, CommitHash};
use longshore_core::pointer;
use longshore_core::store::Listed;

/// Where the history of all groups stands.
const HISTORY: &str = "history/";

/// What the groups of an application need.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Needs {
    /// Artifacts, by their keys.
    pub(crate) keys: BTreeSet<String>,
    /// All artifacts of these commits: a host says which commit it runs, and no more.
    pub(crate) commits: BTreeSet<CommitHash>,
}

impl Needs {
    fn has(&self, key: &ArtifactKey) -> bool {
        self.commits.contains(&key.commit) || self.keys.contains(&key.to_string())
    }
}

/// One artifact that may go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Removal {
    /// The artifact's key, also when only something that belonged to it is left.
    pub(crate) artifact: String,
    /// When the first of it was stored.
    pub(crate) modified: Timestamp,
    /// Bytes, all together.
    pub(crate) size: u64,
    /// The keys, in the order in which they go.
    pub(crate) keys: Vec<String>,
}

/// What may go, and how much stays.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct PrunePlan {
    /// What may go, the oldest first.
    pub(crate) removals: Vec<Removal>,
    /// Artifacts that stay because they are new enough.
    pub(crate) newest: usize,
    /// Older artifacts that stay because a group needs them.
    pub(crate) needed: Vec<String>,
    /// Objects that are not ours.
    pub(crate) foreign: usize,
}

/// What stands in a store of one artifact.
#[derive(Debug, Default)]
struct Found<'a> {
    archive: Option<&'a Listed>,
    beside: Vec<&'a Listed>,
}

/// Plans. `keep`: how many artifacts of each application stay at least; `only`: the one that it is about.
pub(crate) fn plan(
    listed: &[Listed],
    needs: &BTreeMap<ApplicationName, Needs>,
    keep: usize,
    only: Option<&ApplicationName>,
) -> PrunePlan {
    let mut plan = PrunePlan::default();
    let mut applications: BTreeMap<ApplicationName, BTreeMap<String, (ArtifactKey, Found<'_>)>> = BTreeMap::new();
    for listed in listed {
        let Some(key) = ArtifactKey::parse(&listed.key) else {
            plan.foreign += usize::from(!is_record(&listed.key));
            continue;
        };
        let artifacts = applications.entry(key.application.clone()).or_default();
        let archive = key.archive();
        let (_, found) = artifacts.entry(archive.to_string()).or_insert((archive, Found::default()));
        match key.part {
            Part::Archive => found.archive = Some(listed),
            Part::Signature | Part::Provenance => found.beside.push(listed),
        }
    }
    let nothing = Needs::default();
    for (application, artifacts) in &applications {
        if only.is_some_and(|only| only != application) {
            continue;
        }
        let needs = needs.get(application).unwrap_or(&nothing);
        let mut times: Vec<Timestamp> =
            artifacts.values().filter_map(|(_, found)| Some(found.archive?.modified)).collect();
        times.sort_unstable_by(|one, other| other.cmp(one));
        // Without a single one that stays, what lies around may belong to the first that is about to come.
        let Some(oldest) = times.get(keep.min(times.len()).saturating_sub(1)).copied() else { continue };
        for (artifact, (key, found)) in artifacts {
            let all: Vec<&Listed> = found.archive.iter().chain(&found.beside).copied().collect();
            let is_new = all.iter().any(|listed| keep > 0 && listed.modified >= oldest);
            let is_needed = needs.has(key);
            match (is_new, is_needed, found.archive) {
                (true, _, Some(_)) => plan.newest += 1,
                (false, true, Some(_)) => plan.needed.push(artifact.clone()),
                (true, _, None) | (false, true, None) => {}
                (false, false, _) => plan.removals.push(Removal {
                    artifact: artifact.clone(),
                    modified: all.iter().map(|listed| listed.modified).min().unwrap_or(oldest),
                    size: all.iter().map(|listed| listed.size).sum(),
                    keys: all.iter().map(|listed| listed.key.clone()).collect(),
                }),
            }
        }
    }
    plan.removals.sort_by(|one, other| (one.modified, &one.artifact).cmp(&(other.modified, &other.artifact)));
    plan
}

/// Pointers, their history, and what hosts say.
fn is_record(key: &str) -> bool {
    [pointer::ROOT, HISTORY, host_status::ROOT].iter().any(|root| key.starts_with(root))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> String {
        format!("shop/{number:040x}.zip")
    }

    fn at(key: &str, second: i64) -> Listed {
        Listed { key: key.to_owned(), size: 10, modified: Timestamp::from_second(second).unwrap() }
    }

    /// The keys that go, in order.
    fn gone(listed: &[Listed], needs: Needs, keep: usize) -> Vec<String> {
        let needs = BTreeMap::from([("shop".parse().unwrap(), needs)]);
        plan(listed, &needs, keep, None).removals.into_iter().flat_map(|removal| removal.keys).collect()
    }

    #[test]
    fn the_newest_stay_and_so_does_what_a_group_needs() {
        let listed: Vec<Listed> = (1..=6).map(|number| at(&key(number), i64::from(number))).collect();
        let keys = |numbers: &[u8]| numbers.iter().map(|number| key(*number)).collect::<Vec<_>>();
        let by_key = |number: u8| Needs { keys: BTreeSet::from([key(number)]), ..Needs::default() };
        let by_commit = |number: u8| {
            let commit = format!("{number:040x}").parse().unwrap();
            Needs { commits: BTreeSet::from([commit]), ..Needs::default() }
        };
        for (case, needs, keep, expected) in [
            ("two", Needs::default(), 2, keys(&[1, 2, 3, 4])),
            ("as many as there are", Needs::default(), 6, keys(&[])),
            ("more than there are", Needs::default(), 60, keys(&[])),
            ("none", Needs::default(), 0, keys(&[1, 2, 3, 4, 5, 6])),
            ("none but what a group is at", by_key(3), 0, keys(&[1, 2, 4, 5, 6])),
            ("what a group is at", by_key(1), 2, keys(&[2, 3, 4])),
            ("what a host runs", by_commit(2), 2, keys(&[1, 3, 4])),
        ] {
            assert_eq!(gone(&listed, needs, keep), expected, "{case}");
        }
    }

    #[test]
    fn what_is_as_new_as_the_oldest_that_stays_stays_too() {
        let listed = [at(&key(1), 5), at(&key(2), 5), at(&key(3), 5), at(&key(4), 4)];
        assert_eq!(gone(&listed, Needs::default(), 1), [key(4)]);
    }

    #[test]
    fn what_belongs_to_an_artifact_goes_after_it_and_what_was_left_behind_goes_too() {
        let [signature, provenance] = [".minisig", ".intoto.json"].map(|ending| format!("{}{ending}", key(1)));
        let orphans = [2, 9].map(|number| format!("{}.minisig", key(number)));
        let listed = [
            at(&provenance, 1),
            at(&signature, 1),
            at(&key(1), 2),
            at(&orphans[0], 3),
            at(&key(8), 8),
            // Of an upload that has not come to its end.
            at(&orphans[1], 9),
        ];
        let expected = [key(1), provenance.clone(), signature, orphans[0].clone()];
        assert_eq!(gone(&listed, Needs::default(), 1), expected);
        assert_eq!(gone(&listed[5..], Needs::default(), 1), [""; 0]);
    }

    #[test]
    fn other_applications_and_what_is_not_ours_are_left_alone() {
        let other = key(1).replace("shop", "other");
        let listed = [
            at("README", 0),
            at("groups/shop/dev.json", 0),
            at("history/shop/dev/0000000001.json", 0),
            at(&other, 1),
            at(&key(1), 1),
            at(&key(2), 2),
            at("shop/old/backup.zip", 0),
            at("status/shop/dev/web-1.json", 0),
        ];
        let plan = plan(&listed, &BTreeMap::new(), 1, Some(&"shop".parse().unwrap()));
        let gone: Vec<String> = plan.removals.into_iter().flat_map(|removal| removal.keys).collect();
        assert_eq!((gone, plan.newest, plan.foreign), (vec![key(1)], 1, 2));
    }
}
