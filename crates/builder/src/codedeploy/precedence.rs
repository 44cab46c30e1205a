//! Whether a group would go back to an older commit, as far as the repository here can tell.

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::CommitHash;

use super::artifact::{Found, Wanted};
use super::client::Group;
use crate::display::Screen;
use crate::event::Deploying;
use crate::git::WorkTree;
use crate::target::Target;

/// The group was given a newer commit.
#[derive(Debug, thiserror::Error)]
#[error("group `{group}` was given commit {theirs} of {their_time}, which is newer than commit {ours} of {our_time}")]
struct Older {
    group: String,
    theirs: String,
    their_time: String,
    ours: String,
    our_time: String,
}

/// A commit and when it was made, where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Dated {
    commit: Option<CommitHash>,
    time: Option<i64>,
}

/// What can be told.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    NotOlder,
    Older,
    Unknown(&'static str),
}

/// Refuses a commit that is older than the one the group was given last. Where that cannot be told, it says so.
pub(crate) fn check(target: &Target, group: &Group, ours: &Found, screen: &Screen) -> Result<(), Failure> {
    if let Some(why) = judge(target, group, &Dated { commit: ours.commit.clone(), time: ours.time })? {
        screen.tell(&Deploying::OrderUnknown(why).into());
    }
    Ok(())
}

/// The same before anything is published, and without a word on what cannot be told.
pub(crate) fn check_before(target: &Target, group: &Group, ours: &Wanted) -> Result<(), Failure> {
    match ours.commit() {
        Some((commit, time)) => judge(target, group, &Dated { commit: Some(commit), time }).map(drop),
        None => Ok(()),
    }
}

/// Refuses an older one; why nothing can be told, if so.
fn judge(target: &Target, group: &Group, ours: &Dated) -> Result<Option<&'static str>, Failure> {
    let Some(theirs) = &group.revision else { return Ok(None) };
    let tree = WorkTree::around(&target.project.source).ok().flatten();
    let time = |commit: &Option<CommitHash>| tree.as_ref()?.time_of(commit.as_ref()?).ok().flatten();
    let their_commit = theirs.commit();
    let theirs = Dated { time: time(&their_commit), commit: their_commit };
    let ours = Dated { time: time(&ours.commit).or(ours.time), commit: ours.commit.clone() };
    match verdict(&ours, &theirs) {
        Verdict::NotOlder => Ok(None),
        Verdict::Unknown(why) => Ok(Some(why)),
        Verdict::Older => {
            let short = |dated: &Dated| dated.commit.as_ref().map_or("", CommitHash::short).to_owned();
            let at = |dated: &Dated| {
                let time = dated.time.and_then(|time| jiff::Timestamp::from_second(time).ok());
                time.map(|time| time.to_string()).unwrap_or_default()
            };
            let older = Older {
                group: target.codedeploy_group.clone(),
                theirs: short(&theirs),
                their_time: at(&theirs),
                ours: short(&ours),
                our_time: at(&ours),
            };
            Err(Failure::new(Exit::Conflict, older).hint("add `--allow-older` if going back is what is wanted"))
        }
    }
}

fn verdict(ours: &Dated, theirs: &Dated) -> Verdict {
    match (&ours.commit, &theirs.commit) {
        (Some(one), Some(other)) if one == other => return Verdict::NotOlder,
        (None, _) => return Verdict::Unknown("the key of the artifact names no commit"),
        (_, None) => return Verdict::Unknown("what the group was given last names no commit"),
        (Some(_), Some(_)) => {}
    }
    match (ours.time, theirs.time) {
        (Some(ours), Some(theirs)) if ours < theirs => Verdict::Older,
        (Some(_), Some(_)) => Verdict::NotOlder,
        (_, None) => Verdict::Unknown("the repository here does not have the commit that the group was given last"),
        (None, _) => Verdict::Unknown("the repository here does not have the commit of the artifact"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_commit_is_told_by_its_time_and_what_cannot_be_told_has_a_reason() {
        let dated = |commit: &str, time| Dated {
            commit: (!commit.is_empty()).then(|| commit.repeat(40).parse().unwrap()),
            time,
        };
        for (ours, theirs, older) in [
            (dated("a", Some(1)), dated("b", Some(2)), Some(true)),
            (dated("a", Some(2)), dated("b", Some(2)), Some(false)),
            (dated("a", Some(3)), dated("b", Some(2)), Some(false)),
            (dated("a", None), dated("a", None), Some(false)),
            (dated("a", None), dated("b", Some(2)), None),
            (dated("a", Some(1)), dated("b", None), None),
            (dated("", Some(1)), dated("b", Some(2)), None),
            (dated("a", Some(1)), dated("", Some(2)), None),
        ] {
            let told = match verdict(&ours, &theirs) {
                Verdict::Older => Some(true),
                Verdict::NotOlder => Some(false),
                Verdict::Unknown(_) => None,
            };
            assert_eq!(told, older, "{ours:?} {theirs:?}");
        }
    }
}
