//! What the user says should go in: the settings and the appspec. Does not look at the tree.

use std::sync::Arc;

use longshore_core::appspec::{self, AppSpec, Hook, Source};
use longshore_core::bundle::BundlePath;
use longshore_core::problem::SourceFile;

use crate::settings::Settings;

/// What goes in.
#[derive(Debug)]
pub(crate) struct Recipe {
    /// The settings.
    pub(crate) settings: Settings,
    /// Where the appspec stands below the source folder.
    pub(crate) appspec_path: BundlePath,
    /// The appspec's text.
    pub(crate) appspec_source: Arc<SourceFile>,
    /// The appspec.
    pub(crate) appspec: AppSpec,
}

/// A script and every place in the appspec that names it.
#[derive(Debug)]
pub(crate) struct Named<'a> {
    /// The first entry.
    pub(crate) hook: &'a Hook,
    /// The first entry's place in the document, for example `hooks.AfterInstall[0].location`.
    pub(crate) place: String,
}

impl Recipe {
    /// Each script that the appspec names, once, in the appspec's order.
    pub(crate) fn scripts(&self) -> Vec<Named<'_>> {
        let mut named: Vec<Named<'_>> = Vec::new();
        for (event, hooks) in &self.appspec.hooks {
            for (index, hook) in hooks.iter().enumerate() {
                if !named.iter().any(|known| known.hook.script == hook.script) {
                    named.push(Named { hook, place: format!("hooks.{event}[{index}].location") });
                }
            }
        }
        named
    }

    /// Whether the appspec wants the whole source folder.
    pub(crate) fn wants_all(&self) -> bool {
        self.appspec.files.iter().any(|mapping| mapping.source == Source::Whole)
    }

    /// Where the appspec stands in the bundle: under a name that agents look for.
    pub(crate) fn appspec_in_bundle(&self) -> BundlePath {
        if appspec::NAMES.contains(&self.appspec_path.as_str()) {
            return self.appspec_path.clone();
        }
        appspec::NAMES[0].parse().expect("the name of the appspec is a valid path")
    }

    /// Whether anything in a folder may be wanted. Without this, every build would walk through `node_modules`.
    pub(crate) fn enters(&self, folder: &BundlePath) -> bool {
        if self.wants_all() || !self.settings.include.is_empty() {
            return true;
        }
        let near =
            |wanted: &BundlePath| wanted == folder || folder.below(wanted).is_some() || wanted.below(folder).is_some();
        let scripts = self.scripts().into_iter().any(|named| match named.hook.script.parent() {
            Some(parent) => near(&parent),
            None => false,
        });
        let composed = self.settings.groups.values().flat_map(|group| &group.compose);
        scripts
            || composed.filter_map(BundlePath::parent).any(|parent| near(&parent))
            || self.appspec.files.iter().any(|mapping| match &mapping.source {
                Source::Whole => true,
                Source::Path(path) => near(path),
            })
    }
}

#[cfg(test)]
mod tests;
