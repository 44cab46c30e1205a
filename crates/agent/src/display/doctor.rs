//! Findings → text for people.

use std::fmt::Write as _;

use longshore_core::figures::plural;

use crate::doctor::{Finding, Severity};

/// All of them, and the sum.
pub fn findings(findings: &[Finding]) -> String {
    let mut text = String::new();
    for Finding { check, severity, what, why, fix } in findings {
        let word = match severity {
            Severity::Ok => "ok",
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{word:>8}  {check:<13}  {what}");
        let why = why.iter().map(|why| format!("why: {why}"));
        for more in why.chain(fix.iter().map(|fix| format!("fix: {fix}"))) {
            let _ = writeln!(text, "{:>8}  {:<13}  {more}", "", "");
        }
    }
    let count = |wanted: Severity| findings.iter().filter(|finding| finding.severity == wanted).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let _ = writeln!(text, "\n{}, {}", plural(errors, "error"), plural(warnings, "warning"));
    text
}
