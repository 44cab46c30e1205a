//! The files of `longshore init`. The hooks, the appspec and the buildspec are the samples of the repository, so that there
//! is one copy of each.

use longshore_core::ids::ApplicationName;

/// One file of the starter set.
#[derive(Debug)]
pub(crate) struct Starter {
    /// Where it goes.
    pub(crate) path: &'static str,
    /// Names under which the same thing may stand already.
    pub(crate) instead: &'static [&'static str],
    /// Whether it is a program.
    pub(crate) kind: StarterKind,
    text: &'static str,
}

/// What a starter file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StarterKind {
    /// It is read.
    Text,
    /// It is run.
    Program,
}

/// What git leaves out: the artifacts.
pub(crate) const GIT_IGNORE: &str = ".gitignore";

/// The whole set.
pub(crate) const SET: [Starter; 13] = [
    text("appspec.yml", &["appspec.yaml"], include_str!("../../../appspec.example.yml")),
    program("scripts/application_stop.sh", include_str!("../../../scripts/application_stop.sh")),
    program("scripts/after_install.sh", include_str!("../../../scripts/after_install.sh")),
    program("scripts/application_start.sh", include_str!("../../../scripts/application_start.sh")),
    program("scripts/validate_service.sh", include_str!("../../../scripts/validate_service.sh")),
    text("scripts/project.sh", &[], include_str!("../../../scripts/project.sh")),
    text(
        "docker-compose.yml",
        &["docker-compose.yaml", "compose.yml", "compose.yaml"],
        include_str!("starter/docker-compose.yml"),
    ),
    text("docker-compose.stg.yml", &["docker-compose.stg.yaml"], include_str!("starter/docker-compose.stg.yml")),
    text("docker-compose.dev.yml", &["docker-compose.dev.yaml"], include_str!("starter/docker-compose.dev.yml")),
    text("longshore.toml", &[], include_str!("starter/longshore.toml")),
    text(".longshoreignore", &[], include_str!("starter/longshoreignore")),
    text(GIT_IGNORE, &[], "# What `longshore build` makes.\n/dist/\n"),
    text("buildspec.yml", &["buildspec.yaml"], include_str!("../../../buildspec.example.yml")),
];

const fn text(path: &'static str, instead: &'static [&'static str], text: &'static str) -> Starter {
    Starter { path, instead, kind: StarterKind::Text, text }
}

const fn program(path: &'static str, text: &'static str) -> Starter {
    Starter { path, instead: &[], kind: StarterKind::Program, text }
}

impl Starter {
    /// The text for an application. A repository name of a registry has small letters only.
    pub(crate) fn text_for(&self, application: &ApplicationName) -> String {
        let small = application.as_str().to_ascii_lowercase();
        let image: String = small.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
        let image = image.trim_matches('-');
        let image = if image.is_empty() { "app" } else { image };
        self.text.replace("@APPLICATION@", application.as_str()).replace("@IMAGE@", image)
    }
}
