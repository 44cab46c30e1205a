//! Which application a revision is of, when nobody said it.

use std::path::Path;
use std::sync::atomic::AtomicUsize;

use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{ApplicationName, CommitHash};

use super::order::{Policy, Revision};
use super::refusal;
use crate::fetch::access::Access;
use crate::fetch::{self, FetchError, Request};

/// The application that a revision itself names; a failure where it names none.
pub(crate) fn application_of(revision: &Revision, policy: &Policy) -> Result<ApplicationName, Failure> {
    let named = named_by(revision, policy, &AtomicUsize::new(0)).map_err(refusal::fetch_failure)?;
    if named.is_none()
        && let Revision::Object(url) = revision
        && let Some(missing) = fetch::missing(url)
    {
        return Err(refusal::fetch_failure(missing));
    }
    named.ok_or_else(|| {
        Failure::new(Exit::Usage, format!("`{revision}` does not say which application it is")).hint(match revision {
            Revision::Local(_) => "name it with `--application NAME`; bundles of `longshore build` say it themselves",
            Revision::Object(_) => "name it with `--application NAME`; `longshore push` writes it into the key, `<application>/<commit>.zip`",
            Revision::GitHub(_) => "name it with `--application NAME`",
        })
    })
}

/// The application that a revision itself names: by its manifest, or by the key under which `longshore push` put it.
pub(crate) fn named_by(
    revision: &Revision,
    policy: &Policy,
    stop: &AtomicUsize,
) -> Result<Option<ApplicationName>, FetchError> {
    match revision {
        Revision::Local(_) => {
            let access = Access::default();
            let Policy { limits, signatures, .. } = policy;
            let request =
                Request { revision, content_digest: None, signatures, limits, stop, access: &access, earlier: &[] };
            let fetched = fetch::look(&request, Path::new(""), &|_| ())?;
            Ok(fetched.bundle.manifest.map(|manifest| manifest.application))
        }
        Revision::Object(url) => {
            let mut parts = url.split('?').next().unwrap_or(url).rsplit('/');
            let commit = parts.next().and_then(|name| name.split(['.', '-']).next()?.parse::<CommitHash>().ok());
            Ok(commit.and_then(|_| parts.next()?.parse().ok()))
        }
        Revision::GitHub(_) => Ok(None),
    }
}
