//! Which groups of CodeDeploy are asked what they need before artifacts go.

use std::collections::BTreeSet;
use std::error::Error;

use longshore_core::artifact::ArtifactKey;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::store::StoreUrl;

use crate::cli::{PruneArgs, SourceArgs, TargetArgs};
use crate::codedeploy::revision::S3Revision;
use crate::codedeploy::{self, Back, Whose};
use crate::display::Screen;
use crate::environment::Environment;
use crate::identity::Identity;
use crate::settings::{CodeDeploySettings, With};
use crate::site::Site;
use crate::survey::Project;
use crate::target::Target;

/// Why it is not known what CodeDeploy needs.
#[derive(Debug, thiserror::Error)]
enum CodeDeployError {
    /// It cannot be asked.
    #[error("nothing is removed, because nobody can tell what {whose}")]
    Unknown { whose: String, source: Box<dyn Error + Send + Sync> },
    /// One name for several groups.
    #[error("nothing is removed, because LONGSHORE_CODEDEPLOY_DEPLOYMENT_GROUP is one name for the groups {0}")]
    OneName(String),
}

/// The groups.
#[derive(Debug, Default)]
pub(super) struct CodeDeploy(Vec<Whose>);

impl CodeDeploy {
    /// Those that are named, and those of the settings; where all applications are pruned, whose settings stand elsewhere, all that
    /// CodeDeploy has. `stored`: those that the store knows.
    pub(super) fn of(
        args: &PruneArgs,
        site: &Site,
        project: &Project,
        stored: &BTreeSet<(ApplicationName, GroupName)>,
        only: Option<&ApplicationName>,
        environment: &Environment,
    ) -> Result<CodeDeploy, Failure> {
        if args.no_codedeploy {
            return Ok(CodeDeploy::default());
        }
        let mut whose: Vec<Whose> = targets(args, project, stored, only, environment)?;
        // Hosts of CodeDeploy fetch from no folder.
        if let (None, StoreUrl::S3 { .. }) = (only, &site.url) {
            whose.push(Whose::Region(site.options.region.clone()));
        }
        Ok(CodeDeploy(whose))
    }

    /// The artifacts that they need. Their revisions may stand in another bucket, or below another prefix, of which this store is a
    /// copy: what they are called decides.
    pub(super) async fn needed(&self, back: Back, screen: &Screen) -> Result<Vec<ArtifactKey>, Failure> {
        let key = |object: S3Revision| {
            let start = object.key.rmatch_indices('/').nth(1).map_or(0, |(slash, _)| slash + 1);
            ArtifactKey::parse(&object.key[start..])
        };
        let mut needed = Vec::new();
        for whose in &self.0 {
            let found = codedeploy::needed(whose, back, screen).await.map_err(|failure| unknown(whose, failure))?;
            needed.extend(found.into_iter().filter_map(key).map(|key| key.archive()));
        }
        Ok(needed)
    }
}

fn unknown(whose: &Whose, failure: Failure) -> Failure {
    let source = failure.error;
    let (whose, hint) = match whose {
        Whose::Group(target) => (format!("group `{}` of CodeDeploy needs", target.codedeploy_group), None),
        Whose::Region(_) => {
            let hint = "`--no-codedeploy` if no group of CodeDeploy deploys from this store or a copy of it, or `--application`";
            ("the groups of CodeDeploy need".to_owned(), Some(hint))
        }
    };
    let error = CodeDeployError::Unknown { whose, source };
    hint.into_iter().fold(Failure { error: error.into(), ..failure }, Failure::hint)
}

/// The groups to which CodeDeploy deploys: those that are named, and those of the settings.
fn targets(
    args: &PruneArgs,
    project: &Project,
    stored: &BTreeSet<(ApplicationName, GroupName)>,
    only: Option<&ApplicationName>,
    environment: &Environment,
) -> Result<Vec<Whose>, Failure> {
    let settings = &project.settings;
    if args.codedeploy_group.is_empty() && settings.groups.is_empty() {
        return Ok(Vec::new());
    }
    let ours = match (only, &settings.application) {
        (Some(only), None) => only.clone(),
        (_, ours) => Identity::application_of(&Environment::default(), &project.source, ours.as_ref())?,
    };
    let application = only.unwrap_or(&ours);
    let of_settings = settings.groups.iter().filter(|(name, group)| match group.with {
        Some(With::Codedeploy) => true,
        Some(With::Store) => group.codedeploy != CodeDeploySettings::default(),
        // CodeDeploy is who deploys where nobody says so, unless the store knows the group.
        None => group.codedeploy != CodeDeploySettings::default() || !stored.contains(&(ours.clone(), (*name).clone())),
    });
    let of_settings = of_settings.map(|(name, _)| name).filter(|_| *application == ours);
    let names: BTreeSet<&GroupName> = args.codedeploy_group.iter().chain(of_settings).collect();
    if names.len() > 1 && settings.every_group.codedeploy.deployment_group.is_some() {
        let names: Vec<String> = names.iter().map(|name| format!("`{name}`")).collect();
        return Err(Failure::new(Exit::Usage, CodeDeployError::OneName(names.join(", ")))
            .hint("unset LONGSHORE_CODEDEPLOY_DEPLOYMENT_GROUP, and write the names into longshore.toml"));
    }
    let target = |group: &&GroupName| {
        let args = TargetArgs {
            group: (*group).clone(),
            with: None,
            region: args.site.region.clone(),
            codedeploy_application: None,
            codedeploy_group: None,
        };
        Ok(Whose::Group(Box::new(Target::of(&args, Some(application), &SourceArgs::here(), environment)?)))
    };
    names.iter().map(target).collect()
}
