//! `source` and `destination`.

use super::{DESTINATION, LITERAL_GLOB, LITERAL_VARIABLE, MISSING_KEY, RELATIVE_DESTINATION, SOURCE, Verdict};
use crate::appspec::{Os, Source};
use crate::bundle::BundlePath;

/// `source`: a path inside the bundle; a leading `/` stands for its top.
pub(crate) fn source(text: &str, os: Os) -> Verdict<Source> {
    let path = slashes(text, os);
    if path.split('/').all(|part| part.is_empty() || part == ".") {
        let whole = Verdict::accept(Source::Whole);
        return if text.is_empty() {
            whole.warn(SOURCE, "is empty, which means the whole bundle").fix("write `source: /` if that is meant")
        } else {
            whole
        };
    }
    match BundlePath::normalized(&path) {
        Err(invalid) => Verdict::refuse(SOURCE, format!("`{text}` {}", invalid.why))
            .fix("name a file or folder of the bundle; a leading `/` stands for the top of the bundle"),
        Ok(path) => {
            let accepted = Verdict::accept(Source::Path(path));
            let accepted = if text.contains('*') {
                accepted
                    .warn(
                        LITERAL_GLOB,
                        format!("`*` is an ordinary character here, so only a file named `{text}` fits"),
                    )
                    .fix("name the folder: everything in it is copied")
            } else {
                accepted
            };
            variable(accepted, text)
        }
    }
}

/// `destination`: the folder into which is copied. Kept as written.
pub(crate) fn destination(text: &str, os: Os) -> Verdict<String> {
    if text.trim().is_empty() {
        return Verdict::refuse(DESTINATION, "is empty").fix("write the folder with its full path");
    }
    if text.contains('\0') {
        return Verdict::refuse(DESTINATION, "has a NUL character");
    }
    if text.starts_with('~') {
        return Verdict::refuse(
            DESTINATION,
            format!("`{text}`: nothing expands `~` reliably, the AWS agent does by half"),
        )
        .fix("write the home folder in full, for example `/home/ubuntu/app`");
    }
    let accepted = variable(Verdict::accept(text.to_owned()), text);
    if is_absolute(text, os) || text.starts_with('$') {
        return accepted;
    }
    accepted
        .warn(
            RELATIVE_DESTINATION,
            format!("`{text}` is relative, and the AWS agent starts from wherever it was started"),
        )
        .fix("write the full path, from `/` on")
}

/// The `object` of a permission: an installed file, or a folder. Kept as written.
pub(crate) fn object(text: &str) -> Verdict<String> {
    const FIX: &str = "name an installed file, or a folder that files are installed to";
    if text.is_empty() {
        return Verdict::refuse(MISSING_KEY, "is empty").fix(FIX);
    }
    if text.contains('\0') {
        return Verdict::refuse(MISSING_KEY, "has a NUL character").fix(FIX);
    }
    let mut accepted = Verdict::accept(text.to_owned());
    if text.contains('*') {
        let folder = text.rsplit_once('/').map_or("/", |(folder, _)| folder);
        accepted = accepted
            .warn(LITERAL_GLOB, format!("`*` is an ordinary character here, so only a file named `{text}` fits"))
            .fix(format!("name the folder, `{folder}`, and put the name with `*` under `pattern`"));
    }
    variable(accepted, text)
}

/// Remarks a `$NAME`, which nothing expands.
fn variable<T>(verdict: Verdict<T>, text: &str) -> Verdict<T> {
    let name =
        text.split('$').skip(1).find(|rest| rest.starts_with(|c: char| c.is_ascii_alphabetic() || "_{(".contains(c)));
    if name.is_none() {
        return verdict;
    }
    verdict
        .warn(LITERAL_VARIABLE, format!("nothing expands variables here: `{text}` is taken as it stands"))
        .fix("write the path out, or let a hook script move the files")
}

fn is_absolute(text: &str, os: Os) -> bool {
    match os {
        Os::Linux => text.starts_with('/'),
        Os::Windows => {
            text.starts_with(['/', '\\'])
                || (text.as_bytes().get(1) == Some(&b':') && text.as_bytes()[0].is_ascii_alphabetic())
        }
    }
}

/// A path of an appspec for Windows may use either slash.
pub(super) fn slashes(text: &str, os: Os) -> String {
    match os {
        Os::Linux => text.to_owned(),
        Os::Windows => text.replace('\\', "/"),
    }
}
