//! Deployments by the pointer of a store: the same verbs as with CodeDeploy. Hosts that follow the pointer deploy by themselves.

mod deploy;
mod deployments;
mod rollback;
mod stop;

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::GroupName;
use longshore_core::store::{Store, StoreUrl};
use serde_json::{Value, json};

use crate::cli::{CodeDeployArgs, DeployArgs, DeploymentsArgs, RollbackArgs, StopArgs, StoreArgs, TargetArgs};
use crate::commands::group::{self, Done};
use crate::display::Screen;
use crate::environment::Environment;
use crate::outputs;
use crate::pointing::{Place, Stands};
use crate::site::Site;
use crate::target::Target;

/// Why a group in a store cannot be spoken to.
#[derive(Debug, thiserror::Error)]
enum StoredError {
    /// Options that mean nothing here.
    #[error("{options} {} about CodeDeploy, and hosts that follow a store deploy to `{group}`", if *.one { "is" } else { "are" })]
    CodeDeploy { options: String, one: bool, group: GroupName },
    /// Nothing was ever deployed.
    #[error("nothing was ever deployed to group `{group}` of `{application}` in `{store}`")]
    Nothing { group: GroupName, application: String, store: String },
}

/// `longshore deploy`.
pub(crate) fn deploy(
    args: &DeployArgs,
    target: &Target,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    refuse(&args.target, Some(&args.codedeploy))?;
    let site = At::open(target, &args.store, environment)?.site;
    let deployed = group::runtime()?.block_on(deploy::deploy(args, target, &site, environment, screen))?;
    let (text, json) = deployed.shown(&site.url);
    ended(deployed.done, &site.url, (&text, json), environment, screen)
}

/// `longshore deployments`.
pub(crate) fn deployments(
    args: &DeploymentsArgs,
    target: &Target,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    refuse(&args.target, None)?;
    let at = At::open(target, &args.store, environment)?;
    let (text, json) = group::runtime()?.block_on(deployments::show(args, at))?;
    screen.result(&text, &json)
}

/// `longshore rollback`.
pub(crate) fn rollback(
    args: &RollbackArgs,
    target: &Target,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    refuse(&args.target, Some(&args.codedeploy))?;
    let at = At::open(target, &args.store, environment)?;
    let back = group::runtime()?.block_on(rollback::rollback(args, &at, environment, screen))?;
    let (text, json) = back.shown();
    match back.done {
        Some(done) => ended(done, &at.site.url, (&text, json), environment, screen),
        None => screen.result(&text, &json),
    }
}

/// `longshore stop`.
pub(crate) fn stop(
    args: &StopArgs,
    target: &Target,
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    refuse(&args.target, None)?;
    let at = At::open(target, &args.store, environment)?;
    let (text, json) = group::runtime()?.block_on(stop::stop(args, &at, environment, screen))?;
    screen.result(&text, &json)
}

/// Shows what was done, also when it did not end well, and tells later steps of the job.
fn ended(
    mut done: Done,
    to: &StoreUrl,
    (text, json): (&str, Value),
    environment: &Environment,
    screen: &Screen,
) -> Result<(), Failure> {
    // How it ended says more than that nobody will hear of it.
    outputs::attempt(environment, &deploy::outputs(&done, to), screen);
    match done.failure.take() {
        None => screen.result(text, &json),
        Some(failure) => screen.partial(text, json).and(Err(failure)),
    }
}

/// A group in a store that is named.
struct At<'a> {
    target: &'a Target,
    site: Site,
}

impl<'a> At<'a> {
    fn open(target: &'a Target, store: &StoreArgs, environment: &Environment) -> Result<At<'a>, Failure> {
        let (url, options) = (target.store(store, environment)?, target.options()?);
        Ok(At { target, site: Site { url, options } })
    }

    async fn store(&self) -> Result<Store, Failure> {
        Ok(self.site.open().await?)
    }

    fn place<'b>(&'b self, store: &'b Store) -> Place<'b> {
        Place { store, application: &self.target.application, group: &self.target.group }
    }

    /// Its pointer, without which there is nothing to speak of.
    async fn stands(&self, place: Place<'_>) -> Result<Stands, Failure> {
        let Some(stands) = place.read().await? else {
            let nothing = StoredError::Nothing {
                group: self.target.group.clone(),
                application: self.target.application.to_string(),
                store: self.site.url.to_string(),
            };
            return Err(Failure::new(Exit::NotFound, nothing).hint(
                "`longshore status` shows the groups that the store has; a group begins with its first deployment",
            ));
        };
        Ok(stands)
    }

    /// A command of ours about the group, as it is to be typed.
    fn command(&self, name: &str) -> String {
        self.options(name, " --with store")
    }

    /// The same of a command that stores alone have.
    fn plain_command(&self, name: &str) -> String {
        self.options(name, "")
    }

    fn options(&self, name: &str, with: &str) -> String {
        format!(
            "longshore {name} --application {} --group {}{with} {}",
            quoted(self.target.application.as_str()),
            quoted(self.target.group.as_str()),
            self.site.flags()
        )
    }

    /// What a result begins with.
    fn heading(&self) -> Value {
        let (application, group) = (&self.target.application, &self.target.group);
        json!({"with": "store", "store": self.site.url.to_string(), "application": application, "group": group})
    }
}

/// Refuses what only CodeDeploy understands: who asked for it would wait for it in vain.
fn refuse(target: &TargetArgs, codedeploy: Option<&CodeDeployArgs>) -> Result<(), Failure> {
    let mut options = vec![
        ("--codedeploy-application", target.codedeploy_application.is_some()),
        ("--codedeploy-group", target.codedeploy_group.is_some()),
    ];
    if let Some(args) = codedeploy {
        options.extend([
            ("--deployment-config", args.deployment_config.is_some()),
            ("--file-exists", args.file_exists.is_some()),
            ("--ignore-stop-failures", args.ignore_stop_failures.is_some()),
            ("--rollback-on", !args.rollback_on.is_empty()),
            ("--no-rollback", args.no_rollback),
            ("--alarm", !args.alarm.is_empty()),
            ("--no-alarms", args.no_alarms),
            ("--description", args.description.is_some()),
        ]);
    }
    let given: Vec<String> = options.iter().filter(|(_, given)| *given).map(|(name, _)| format!("`{name}`")).collect();
    if given.is_empty() {
        return Ok(());
    }
    let error =
        StoredError::CodeDeploy { one: given.len() == 1, options: given.join(", "), group: target.group.clone() };
    Err(Failure::new(Exit::Usage, error).hint("leave it out, or deploy with `--with codedeploy`"))
}
