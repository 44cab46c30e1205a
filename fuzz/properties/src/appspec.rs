//! Text → appspec or problems, which can always be shown.

use std::ops::Range;
use std::path::Component;
use std::time::Duration;

use longshore_core::appspec::{self, AppSpec, Source};
use longshore_core::problem::{self, Look, Problem, SourceFile};

/// An appspec is valid exactly when no problem is an error. Every place lies in the text, and every problem can be shown
/// without a control character reaching the terminal.
pub fn appspec(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let source = SourceFile::new("appspec.yml", text);
    let parsed = appspec::parse(&source);
    assert_eq!(parsed.appspec.is_none(), problem::has_errors(&parsed.problems), "{:?}", parsed.problems);
    for problem in &parsed.problems {
        check_problem(problem, text);
    }
    let shown = problem::render(&parsed.problems, Look::Plain);
    let escaped = shown.chars().find(|c| c.is_control() && *c != '\n');
    assert_eq!(escaped, None, "a control character is shown raw in {shown:?}");
    assert_eq!(shown.is_empty(), parsed.problems.is_empty());
    problem::render(&parsed.problems, Look::Coloured);
    if let Some(appspec) = &parsed.appspec {
        check_appspec(appspec, text);
    }
    let again = appspec::parse(&source);
    assert_eq!((&again.appspec, again.problems), (&parsed.appspec, parsed.problems), "two readings differ");
    parsed.appspec.is_some()
}

fn check_problem(problem: &Problem, text: &str) {
    for span in problem.span.iter().chain(problem.related.iter().map(|(span, _)| span)) {
        check_span(span, text);
    }
    assert!(!problem.message.is_empty() && problem.fix.as_deref() != Some(""), "{problem:?}");
    let json = problem.to_json();
    assert_eq!(json["line"].is_null(), problem.span.is_none());
    assert!(problem.to_string().starts_with("appspec.yml"), "{problem}");
}

fn check_span(span: &Range<usize>, text: &str) {
    assert!(text.get(span.clone()).is_some(), "{span:?} is no place in {} bytes of text", text.len());
}

fn check_appspec(appspec: &AppSpec, text: &str) {
    for mapping in &appspec.files {
        check_span(&mapping.span, text);
        assert!(!mapping.destination.is_empty());
        if let Source::Path(path) = &mapping.source {
            check_path(path);
        }
    }
    for permission in &appspec.permissions {
        check_span(&permission.span, text);
        assert!(permission.mode.is_none_or(|mode| mode <= 0o7777), "{permission:?}");
        for acl in permission.acls.iter().flatten() {
            assert!(acl.permissions <= 7, "{acl:?}");
        }
    }
    for (event, hooks) in &appspec.hooks {
        assert!(event.is_scriptable() && !hooks.is_empty(), "{event}: {hooks:?}");
        for hook in hooks {
            check_span(&hook.span, text);
            check_path(&hook.script);
            assert!(hook.timeout >= Duration::from_secs(1), "{hook:?}");
        }
    }
}

fn check_path(path: &longshore_core::bundle::BundlePath) {
    let parts = std::path::Path::new(path.as_str()).components();
    assert!(parts.into_iter().all(|part| matches!(part, Component::Normal(_))), "{path:?} can leave its folder");
}
