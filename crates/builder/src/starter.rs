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

/// A CI system.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Ci {
    /// AWS CodeBuild: buildspec.yml
    Codebuild,
    /// GitHub Actions: .github/workflows/longshore.yml
    Github,
    /// GitLab CI: .gitlab-ci.yml
    Gitlab,
}

/// What git leaves out: the artifacts.
pub(crate) const GIT_IGNORE: &str = ".gitignore";

/// The set, but for the file of a CI system.
pub(crate) const SET: [Starter; 12] = [
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
    text(
        GIT_IGNORE,
        &[],
        "# What `longshore build` makes.\n/dist/\n\n# Secrets: hosts and CI keep their own.\n/.env\n*.key\n",
    ),
];

impl Ci {
    /// The file that makes a CI system build.
    pub(crate) fn starter(self) -> &'static Starter {
        const CODEBUILD: Starter =
            text("buildspec.yml", &["buildspec.yaml"], include_str!("../../../buildspec.example.yml"));
        const GITHUB: Starter = text(
            ".github/workflows/longshore.yml",
            &[".github/workflows/longshore.yaml"],
            include_str!("starter/github.yml"),
        );
        const GITLAB: Starter = text(".gitlab-ci.yml", &[".gitlab-ci.yaml"], include_str!("starter/gitlab.yml"));
        match self {
            Ci::Codebuild => &CODEBUILD,
            Ci::Github => &GITHUB,
            Ci::Gitlab => &GITLAB,
        }
    }

    /// By what a repository shows that it uses the system.
    pub(crate) fn signs(self) -> &'static [&'static str] {
        match self {
            Ci::Codebuild => &["buildspec.yml", "buildspec.yaml"],
            Ci::Github => &[".github"],
            Ci::Gitlab => &[".gitlab-ci.yml", ".gitlab-ci.yaml", ".gitlab"],
        }
    }
}

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
        // The sample of the buildspec is for people to copy too, so a name stands in it.
        let text = self.text.replace("LONGSHORE_APPLICATION: shop", "LONGSHORE_APPLICATION: \"@APPLICATION@\"");
        text.replace("@APPLICATION@", application.as_str()).replace("@IMAGE@", image)
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;
    use longshore_core::problem::SourceFile;
    use longshore_core::yaml::{self, Node, Value};

    use super::*;
    use crate::cli::Cli;

    fn texts(node: &Node, found: &mut Vec<String>) {
        match &node.value {
            Value::Scalar(scalar) => found.push(scalar.text.clone()),
            Value::List(items) => items.iter().for_each(|item| texts(item, found)),
            Value::Map(entries) => entries.iter().for_each(|(_, value)| texts(value, found)),
        }
    }

    #[test]
    fn every_command_in_the_file_of_a_ci_system_is_one_that_the_program_takes() {
        let application = "shop".parse().unwrap();
        for (ci, expected) in [
            (Ci::Codebuild, "check build push deploy"),
            (Ci::Github, "check build push deploy"),
            (Ci::Gitlab, "check build push deploy"),
        ] {
            let text = ci.starter().text_for(&application);
            assert!(!text.contains("@APPLICATION"), "{ci:?}");
            let root = yaml::parse(&SourceFile::new(ci.starter().path, text)).unwrap().unwrap();
            let mut found = Vec::new();
            texts(&root, &mut found);
            let commands = found.iter().flat_map(|text| text.lines()).filter(|line| line.starts_with("longshore "));
            let mut named = Vec::new();
            for command in commands {
                // As a shell splits it, but for the variables.
                let words = command.replace('"', "").replace("$LONGSHORE_OUT_COMMIT", "0123456789abcdef");
                Cli::try_parse_from(words.split_whitespace()).unwrap_or_else(|error| panic!("{command}: {error}"));
                named.extend(command.split_whitespace().nth(1).map(str::to_owned));
            }
            assert_eq!(named.join(" "), expected, "{ci:?}");
        }
    }
}
