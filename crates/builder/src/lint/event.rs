//! Pure: how long the scripts of one event may take together (LS220).

use std::sync::Arc;
use std::time::Duration;

use longshore_core::appspec::{AppSpec, DEFAULT_TIMEOUT};
use longshore_core::problem::{Problem, SourceFile};

/// Events whose scripts, those without a `timeout` among them, may take longer than CodeDeploy grants. `known`: what is said
/// already; the appspec's own rules have the sums of what is written.
pub(crate) fn lint(appspec: &AppSpec, source: &Arc<SourceFile>, known: &[Problem]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (event, hooks) in &appspec.hooks {
        let path = format!("hooks.{event}");
        let said = known.iter().any(|problem| problem.code == "LS168" && problem.path.starts_with(&path));
        let sum: Duration = hooks.iter().map(|hook| hook.timeout).sum();
        let Some(longest) = hooks.iter().rev().find(|hook| hook.timeout >= DEFAULT_TIMEOUT) else { continue };
        if said || hooks.len() < 2 || sum <= DEFAULT_TIMEOUT {
            continue;
        }
        let message = format!(
            "the scripts of {event} may take {} seconds together, because `{}` has no `timeout` and may take 3600; CodeDeploy ends \
             an event after 3600 seconds",
            sum.as_secs(),
            longest.location
        );
        let problem = Problem::warning("LS220", source, Some(longest.span.clone()), message).at_path(path);
        problems.push(problem.with_fix("give each script the `timeout` that it needs"));
    }
    problems
}
