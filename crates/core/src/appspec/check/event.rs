//! The names of hooks.

use super::{CUSTOM_EVENT, IGNORED_EVENT, MISSPELT_EVENT, SCRIPTLESS_EVENT, Verdict, did_you_mean};
use crate::lifecycle::LifecycleEvent;

/// Stages that the service performs itself; no agent is ever asked to (AWS agent 1.8.1).
const OF_THE_SERVICE: [&str; 4] = ["BlockTraffic", "AllowTraffic", "Start", "End"];

/// What becomes of the scripts of a hook.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum EventRule {
    /// They run in this event.
    Runs(LifecycleEvent),
    /// They are checked and left out: nothing runs them.
    Ignored,
}

/// The name of a hook.
pub(crate) fn event(name: &str) -> Verdict<EventRule> {
    let event = name.parse::<LifecycleEvent>();
    match event {
        Ok(event @ (LifecycleEvent::DownloadBundle | LifecycleEvent::Install)) => Verdict::accept(EventRule::Ignored)
            .warn(SCRIPTLESS_EVENT, format!("the agent does `{event}` itself, and scripts never run there"))
            .fix("move them to `BeforeInstall` or `AfterInstall`"),
        Ok(LifecycleEvent::Custom(_)) | Err(_) => unknown(name, event.ok()),
        Ok(event) => Verdict::accept(EventRule::Runs(event)),
    }
}

fn unknown(name: &str, custom: Option<LifecycleEvent>) -> Verdict<EventRule> {
    if OF_THE_SERVICE.contains(&name) {
        return Verdict::accept(EventRule::Ignored)
            .warn(SCRIPTLESS_EVENT, format!("CodeDeploy does `{name}` itself, and scripts never run there"))
            .fix("use the event before or after it, for example `BeforeAllowTraffic`");
    }
    let scriptable = LifecycleEvent::ALL.iter().filter(|event| event.is_scriptable()).map(LifecycleEvent::name);
    if let Some(meant) = did_you_mean(name, scriptable) {
        return Verdict::refuse(
            MISSPELT_EVENT,
            format!("`{name}` is no lifecycle event, so its scripts would never run"),
        )
        .fix(format!("did you mean `{meant}`?"));
    }
    match custom {
        Some(event) => Verdict::accept(EventRule::Runs(event)).warn(
            CUSTOM_EVENT,
            format!(
                "`{name}` is an event of your own: it runs only where a deployment names it, and CodeDeploy refuses it at Install"
            ),
        ),
        None => Verdict::accept(EventRule::Ignored)
            .warn(IGNORED_EVENT, format!("`{name}` is no lifecycle event, and its scripts never run"))
            .fix("use the name of an event, for example `AfterInstall`; one of your own is written in PascalCase"),
    }
}
