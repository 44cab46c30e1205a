//! How a deployment of a group ended on its hosts, as far as somebody saw it: what hosts say is of their latest deployment alone, so
//! whoever waited for one, or moves the pointer on, writes it down as `history/<application>/<group>/<generation>.hosts.json`. Pure.

use std::collections::BTreeMap;

use longshore_core::host_status::HostStatus;
use longshore_core::ids::{ApplicationName, DeploymentId, GroupName};
use longshore_core::pointer;
use serde::{Deserialize, Serialize};

use crate::fleet::{self, Standing};

/// The version of the format.
const FORMAT: u32 = 1;

/// How long a reason may be: what is written down of a large fleet stays small.
const MOST_REASON: usize = 200;

/// How a deployment ended, host by host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ending {
    /// The version of the format. What has another one tells nothing.
    format: u32,
    /// The deployment.
    pub(crate) deployment: DeploymentId,
    /// Its hosts, by name.
    pub(crate) hosts: BTreeMap<String, HostEnd>,
}

/// How it ended on one host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct HostEnd {
    /// How.
    pub(crate) how: How,
    /// Why, when it failed or was stopped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// How a deployment ended on a host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum How {
    /// Every event succeeded.
    Succeeded,
    /// It failed, was refused or was interrupted.
    Failed,
    /// It failed, and the last good release came back.
    RolledBack,
    /// Somebody stopped it.
    Stopped,
    /// The host was silent, stopped, paused or unreadable.
    LeftOut,
    /// It had not ended when it was looked at last.
    Unfinished,
}

/// How a deployment ended on all its hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Known {
    /// Every host succeeded that could make it, and at least one did.
    Succeeded,
    /// It failed on a host.
    Failed,
    /// It failed, and wherever it did the last good release came back.
    RolledBack,
    /// Somebody stopped it.
    Stopped,
    /// A host had not ended.
    Unfinished,
    /// The same, when the pointer moved on to another deployment.
    Superseded,
    /// No host said anything.
    Unknown,
}

impl How {
    /// What a host says, judged.
    fn of(standing: Standing, status: Option<&HostStatus>) -> How {
        match standing {
            Standing::Succeeded => How::Succeeded,
            Standing::Failed if status.is_some_and(|status| status.restored) => How::RolledBack,
            Standing::Failed => How::Failed,
            Standing::Halted => How::Stopped,
            Standing::LeftOut(_) => How::LeftOut,
            Standing::Unaware | Standing::Deploying | Standing::Ahead => How::Unfinished,
        }
    }

    fn is_final(self) -> bool {
        match self {
            How::Succeeded | How::Failed | How::RolledBack | How::Stopped => true,
            How::LeftOut | How::Unfinished => false,
        }
    }

    /// The word for people and programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            How::Succeeded => "succeeded",
            How::Failed => "failed",
            How::RolledBack => "rolled_back",
            How::Stopped => "stopped",
            How::LeftOut => "left_out",
            How::Unfinished => "unfinished",
        }
    }
}

impl Known {
    /// The word for programs.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Known::Succeeded => "succeeded",
            Known::Failed => "failed",
            Known::RolledBack => "rolled_back",
            Known::Stopped => "stopped",
            Known::Unfinished => "unfinished",
            Known::Superseded => "superseded",
            Known::Unknown => "unknown",
        }
    }
}

/// Where it is written down.
pub(crate) fn key(application: &ApplicationName, group: &GroupName, generation: u64) -> String {
    format!("{}{generation:010}.hosts.json", pointer::history(application, group))
}

impl Ending {
    /// Nothing is known.
    pub(crate) fn unknown(deployment: &DeploymentId) -> Ending {
        Ending { format: FORMAT, deployment: deployment.clone(), hosts: BTreeMap::new() }
    }

    /// What hosts say of a pointer's deployment. With each its name, what it says, and for how many seconds it has said nothing else.
    pub(crate) fn of<'a>(
        pointer: &pointer::Pointer,
        hosts: impl IntoIterator<Item = (&'a str, Option<&'a HostStatus>, u64)>,
    ) -> Ending {
        let end = |(host, status, age_s): (&str, Option<&HostStatus>, u64)| {
            let how = How::of(fleet::standing(pointer, status, age_s), status);
            let told = matches!(how, How::Failed | How::RolledBack | How::Stopped);
            let reason = status.filter(|_| told).and_then(|status| status.reason.as_deref());
            let reason = reason.map(|reason| reason.chars().take(MOST_REASON).collect());
            (host.to_owned(), HostEnd { how, reason })
        };
        Ending { hosts: hosts.into_iter().map(end).collect(), ..Ending::unknown(&pointer.deployment) }
    }

    /// Reads what was written down; `None` when it tells nothing that this program understands.
    pub(crate) fn parse(contents: &[u8]) -> Option<Ending> {
        serde_json::from_slice(contents).ok().filter(|ending: &Ending| ending.format == FORMAT)
    }

    /// What is written down.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("text keys and a Vec as the sink cannot fail")
    }

    /// Both: what has ended on a host has ended, and else what was seen later counts.
    pub(crate) fn and_later(mut self, later: Ending) -> Ending {
        if later.deployment != self.deployment {
            return self;
        }
        for (host, end) in later.hosts {
            let is_settled = self.hosts.get(&host).is_some_and(|known| known.how.is_final());
            if end.how.is_final() || !is_settled {
                self.hosts.insert(host, end);
            }
        }
        self
    }

    /// All hosts together.
    pub(crate) fn known(&self) -> Known {
        let any = |how| self.hosts.values().any(|end| end.how == how);
        if any(How::Stopped) {
            Known::Stopped
        } else if any(How::Failed) {
            Known::Failed
        } else if any(How::RolledBack) {
            Known::RolledBack
        } else if any(How::Unfinished) {
            Known::Unfinished
        } else if any(How::Succeeded) {
            Known::Succeeded
        } else {
            Known::Unknown
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ending(hosts: &[(&str, How)]) -> Ending {
        let end = |(host, how): &(&str, How)| ((*host).to_owned(), HostEnd { how: *how, reason: None });
        Ending { hosts: hosts.iter().map(end).collect(), ..Ending::unknown(&"d-7".parse().unwrap()) }
    }

    #[test]
    fn a_deployment_succeeded_when_every_host_that_could_make_it_did() {
        use How::{Failed, LeftOut, RolledBack, Stopped, Succeeded, Unfinished};
        for (hosts, known) in [
            (&[][..], Known::Unknown),
            (&[LeftOut], Known::Unknown),
            (&[Succeeded, LeftOut], Known::Succeeded),
            (&[Succeeded, Unfinished], Known::Unfinished),
            (&[Succeeded, Failed, Unfinished], Known::Failed),
            (&[Succeeded, RolledBack], Known::RolledBack),
            (&[Failed, RolledBack], Known::Failed),
            (&[Failed, Stopped], Known::Stopped),
        ] {
            let names: Vec<String> = (0..hosts.len()).map(|number| number.to_string()).collect();
            let hosts: Vec<(&str, How)> = names.iter().map(String::as_str).zip(hosts.iter().copied()).collect();
            assert_eq!(ending(&hosts).known(), known, "{hosts:?}");
        }
    }

    #[test]
    fn what_was_seen_to_end_stays_and_survives_its_written_form() {
        use How::{Failed, LeftOut, Succeeded, Unfinished};
        let earlier = ending(&[("a", Succeeded), ("b", Unfinished), ("c", LeftOut)]);
        let later = ending(&[("a", LeftOut), ("b", Failed), ("c", Unfinished), ("d", Succeeded)]);
        let both = ending(&[("a", Succeeded), ("b", Failed), ("c", Unfinished), ("d", Succeeded)]);
        assert_eq!(earlier.clone().and_later(later.clone()), both);
        let other = Ending { deployment: "d-8".parse().unwrap(), ..later };
        assert_eq!(earlier.clone().and_later(other), earlier);
        assert_eq!(Ending::parse(&both.to_json()), Some(both.clone()));
        let foreign = String::from_utf8(both.to_json()).unwrap().replace("\"format\":1", "\"format\":2");
        assert_eq!(Ending::parse(foreign.as_bytes()), None);
    }
}
