//! `--events` → the events of a deployment, by the rules of the AWS agent 1.8.1. Pure.

use longshore_core::lifecycle::{LifecycleEvent, ScriptsFrom, ScriptsMap};

use crate::deployment::order;

/// Events that may not come before DownloadBundle: they run scripts of the new revision, which is not there yet, and
/// installing needs it too. The AWS agent lets BeforeInstall and events of one's own through.
const NOT_BEFORE_DOWNLOAD: [LifecycleEvent; 6] = [
    LifecycleEvent::AfterInstall,
    LifecycleEvent::ApplicationStart,
    LifecycleEvent::ValidateService,
    LifecycleEvent::BeforeAllowTraffic,
    LifecycleEvent::AfterAllowTraffic,
    LifecycleEvent::Install,
];

/// Why a list of events is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EventsError {
    /// Not the name of an event.
    #[error("`{name}` is not the name of a lifecycle event{}", .meant.as_ref().map(|meant| format!("; did you mean `{meant}`?")).unwrap_or_default())]
    Name {
        /// What was given.
        name: String,
        /// What was probably meant.
        meant: Option<LifecycleEvent>,
    },
    /// An event that comes twice.
    #[error("event `{0}` is named twice, and no deployment runs an event twice")]
    Twice(LifecycleEvent),
    /// Something that cannot come before DownloadBundle.
    #[error(
        "`{0}` cannot come before DownloadBundle; only BeforeBlockTraffic, AfterBlockTraffic and ApplicationStop can, \
         because their scripts are those of the installed revision"
    )]
    BeforeDownload(LifecycleEvent),
    /// Something that cannot come before Install.
    #[error(
        "`{0}` cannot come before Install; only BeforeBlockTraffic, AfterBlockTraffic, ApplicationStop, DownloadBundle and \
         BeforeInstall can"
    )]
    BeforeInstall(LifecycleEvent),
}

/// The events of a list. Without a list: all of them.
///
/// DownloadBundle and Install are put in front where they are missing, and change places where that, or the list, has
/// them in the wrong order.
pub fn parse(list: Option<&str>) -> Result<Vec<LifecycleEvent>, EventsError> {
    // Empty names at the end go without a word, those elsewhere are refused (AWS agent 1.8.1).
    let names: Vec<&str> = match list.map(|list| list.trim_end_matches(',')) {
        None | Some("") => return Ok(LifecycleEvent::ALL.to_vec()),
        Some(list) => list.split(',').collect(),
    };
    let mut events: Vec<LifecycleEvent> = names.into_iter().map(event).collect::<Result<_, _>>()?;
    check_before(&events, &LifecycleEvent::DownloadBundle, &NOT_BEFORE_DOWNLOAD)
        .map_err(EventsError::BeforeDownload)?;
    check_before(&events, &LifecycleEvent::Install, &NOT_BEFORE_DOWNLOAD[..5]).map_err(EventsError::BeforeInstall)?;
    let required = [LifecycleEvent::DownloadBundle, LifecycleEvent::Install];
    let missing = required.into_iter().filter(|event| !events.contains(event)).collect::<Vec<_>>();
    events.splice(0..0, missing);
    let place = |event| events.iter().position(|other| *other == event);
    if let (Some(download), Some(install)) = (place(LifecycleEvent::DownloadBundle), place(LifecycleEvent::Install))
        && install < download
    {
        events.swap(download, install);
    }
    for (index, event) in events.iter().enumerate() {
        if events[..index].contains(event) {
            return Err(EventsError::Twice(event.clone()));
        }
    }
    Ok(events)
}

/// Events that take the old release out of service and come after DownloadBundle: by then they run the new release's
/// scripts.
pub fn stopping_the_new(events: &[LifecycleEvent]) -> Vec<LifecycleEvent> {
    let after = events.iter().skip_while(|event| **event != LifecycleEvent::DownloadBundle);
    after.filter(|event| event.scripts_from(ScriptsMap::InPlace) == ScriptsFrom::Installed).cloned().collect()
}

/// Whether the events stand in CodeDeploy's own order.
pub fn in_usual_order(events: &[LifecycleEvent]) -> bool {
    order::check_events(events).is_ok()
}

fn event(name: &str) -> Result<LifecycleEvent, EventsError> {
    name.parse().map_err(|_| {
        let letters = name.trim().to_ascii_lowercase();
        let meant = LifecycleEvent::ALL.into_iter().find(|event| event.name().to_ascii_lowercase() == letters);
        EventsError::Name { name: name.to_owned(), meant }
    })
}

/// The first of `banned` that stands before `border`.
fn check_before(
    events: &[LifecycleEvent],
    border: &LifecycleEvent,
    banned: &[LifecycleEvent],
) -> Result<(), LifecycleEvent> {
    let Some(place) = events.iter().position(|event| event == border) else { return Ok(()) };
    match events[..place].iter().find(|event| banned.contains(event)) {
        Some(event) => Err(event.clone()),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Result<String, String> {
        let names = |events: Vec<LifecycleEvent>| events.iter().map(LifecycleEvent::name).collect::<Vec<_>>().join(",");
        parse(Some(list)).map(names).map_err(|error| error.to_string())
    }

    #[test]
    fn without_a_list_all_events_run() {
        for list in [None, Some(""), Some(","), Some(",,")] {
            assert_eq!(parse(list), Ok(LifecycleEvent::ALL.to_vec()), "{list:?}");
        }
    }

    #[test]
    fn download_and_install_are_put_in_front_and_in_order() {
        for (list, events) in [
            ("DownloadBundle,Install", "DownloadBundle,Install"),
            (
                "ApplicationStop,DownloadBundle,BeforeInstall,Install",
                "ApplicationStop,DownloadBundle,BeforeInstall,Install",
            ),
            ("ApplicationStart,ValidateService", "DownloadBundle,Install,ApplicationStart,ValidateService"),
            ("ApplicationStop", "DownloadBundle,Install,ApplicationStop"),
            ("ApplicationStop,DownloadBundle,AfterInstall", "DownloadBundle,ApplicationStop,Install,AfterInstall"),
            ("ApplicationStop,Install,AfterInstall", "DownloadBundle,ApplicationStop,Install,AfterInstall"),
            ("HealthCheck", "DownloadBundle,Install,HealthCheck"),
            ("BeforeInstall,DownloadBundle,Install", "BeforeInstall,DownloadBundle,Install"),
            ("HealthCheck,DownloadBundle,Install", "HealthCheck,DownloadBundle,Install"),
            ("AfterAllowTraffic,ApplicationStart,", "DownloadBundle,Install,AfterAllowTraffic,ApplicationStart"),
        ] {
            assert_eq!(names(list), Ok(events.to_owned()), "{list}");
        }
    }

    #[test]
    fn a_list_that_cannot_work_is_refused() {
        let download = "cannot come before DownloadBundle; only BeforeBlockTraffic, AfterBlockTraffic and ApplicationStop \
                        can, because their scripts are those of the installed revision";
        let install = "cannot come before Install; only BeforeBlockTraffic, AfterBlockTraffic, ApplicationStop, \
                       DownloadBundle and BeforeInstall can";
        for (list, message) in [
            ("Install,DownloadBundle", format!("`Install` {download}")),
            ("ApplicationStart,DownloadBundle", format!("`ApplicationStart` {download}")),
            ("DownloadBundle,ValidateService,Install", format!("`ValidateService` {install}")),
            ("AfterInstall,Install", format!("`AfterInstall` {install}")),
            (
                "ApplicationStart,ApplicationStart",
                "event `ApplicationStart` is named twice, and no deployment runs an event twice".into(),
            ),
            (
                "Install, ApplicationStart",
                "` ApplicationStart` is not the name of a lifecycle event; did you mean `ApplicationStart`?".into(),
            ),
            (
                "applicationstop",
                "`applicationstop` is not the name of a lifecycle event; did you mean `ApplicationStop`?".into(),
            ),
            ("Install,,ApplicationStart", "`` is not the name of a lifecycle event".into()),
            ("health_check", "`health_check` is not the name of a lifecycle event".into()),
        ] {
            assert_eq!(names(list), Err(message), "{list}");
        }
    }

    #[test]
    fn what_stops_after_the_download_stops_the_new_revision() {
        let stopping = |list: &str| stopping_the_new(&parse(Some(list)).unwrap());
        assert_eq!(stopping("ApplicationStop"), [LifecycleEvent::ApplicationStop]);
        assert_eq!(stopping("ApplicationStop,DownloadBundle,Install"), []);
        assert_eq!(stopping_the_new(&LifecycleEvent::ALL), []);
    }
}
