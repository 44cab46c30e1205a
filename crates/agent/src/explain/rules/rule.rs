//! One thing that may be the matter, and how it shows.

use crate::explain::evidence::Evidence;

/// One thing that may be the matter.
#[derive(Debug)]
pub struct Rule {
    /// Its name.
    pub name: &'static str,
    /// What is the matter, one sentence.
    pub what: &'static str,
    /// What to change.
    pub fix: &'static str,
    /// What to type; `{…}` is filled in, see [`crate::explain::remedy`].
    pub commands: &'static [&'static str],
    /// How it shows; one is enough.
    pub signs: &'static [Sign],
}

/// Whether something speaks for a cause.
pub type Fits = fn(&Evidence<'_>) -> bool;

/// How something shows.
#[derive(Debug)]
pub enum Sign {
    /// By what the agent knows for certain.
    Sure(Fits),
    /// By a line that has all of these parts, in lower case, in this order.
    Says(&'static [&'static str]),
    /// By something that has other causes too.
    Maybe(Fits),
}

impl Sign {
    pub(in crate::explain) fn sure(&self) -> Option<Fits> {
        match self {
            Sign::Sure(fits) => Some(*fits),
            Sign::Says(_) | Sign::Maybe(_) => None,
        }
    }

    pub(in crate::explain) fn maybe(&self) -> Option<Fits> {
        match self {
            Sign::Maybe(fits) => Some(*fits),
            Sign::Sure(_) | Sign::Says(_) => None,
        }
    }

    /// Whether a line, in lower case, says so.
    pub(in crate::explain) fn is_in(&self, line: &str) -> bool {
        let Sign::Says(parts) = self else { return false };
        let mut rest = line;
        parts.iter().all(|part| match rest.find(part) {
            Some(at) => {
                rest = &rest[at + part.len()..];
                true
            }
            None => false,
        })
    }
}
