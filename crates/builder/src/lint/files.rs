//! Pure: what is wrong with the files of a bundle as such (LS405, LS409, LS412). Secrets have rules of their own.

use std::sync::Arc;

use longshore_core::bundle::BundlePath;
use longshore_core::problem::{Problem, SourceFile};

/// A name with a line break.
pub(crate) fn name(path: &BundlePath) -> Option<Problem> {
    path.as_str().contains('\n').then(|| {
        let source = SourceFile::new(path.as_str(), "");
        let message =
            "a name with a line break: no agent can install the file, because its records have one line for each";
        Problem::warning("LS412", &source, None, message).with_fix("rename it, or keep it out")
    })
}

/// A pointer of Git LFS in place of the file.
pub(crate) fn pointer(path: &BundlePath, head: &[u8]) -> Option<Problem> {
    head.starts_with(b"version https://git-lfs.github.com/spec/").then(|| {
        let source = SourceFile::new(path.as_str(), "");
        let message = format!("`{path}` is a Git LFS pointer, not the file itself");
        Problem::warning("LS405", &source, None, message).with_fix("git lfs pull")
    })
}

/// Submodules that are not checked out: folders with nothing in them. `modules`: the text of `.gitmodules`; `is_empty`: whether
/// a folder would be packed and has nothing in it.
pub(crate) fn submodules(modules: &Arc<SourceFile>, is_empty: &dyn Fn(&BundlePath) -> bool) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut offset = 0;
    for line in modules.text.split_inclusive('\n') {
        let start = offset;
        offset += line.len();
        let Some((key, value)) = line.split_once('=') else { continue };
        let Ok(path) = BundlePath::normalized(value.trim()) else { continue };
        if key.trim() == "path" && is_empty(&path) {
            let message = format!("the submodule `{path}` is not checked out, so the bundle has nothing of it");
            let span = start..start + line.trim_end().len();
            let problem = Problem::warning("LS409", modules, Some(span), message);
            problems.push(problem.with_fix("git submodule update --init --recursive"));
        }
    }
    problems
}
