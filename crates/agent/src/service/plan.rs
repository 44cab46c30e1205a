//! What has to be done, from what stands on the host. Touches nothing.

use std::path::{Path, PathBuf};

use super::host::{Host, OWN_UNIT, Place};
use super::unit::Start;
use super::{AWS_UNIT, Order, Step, UNIT};
use crate::settings;

/// The settings file of the packages.
pub const CONFIG: &str = include_str!("../../packaging/agent.toml");

/// What is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What the service starts.
    pub start: Start,
    /// Whether it takes the place of AWS's agent.
    pub replace_aws: bool,
    /// Whether the service starts now.
    pub start_now: bool,
}

/// Why nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// AWS's agent would take the same orders.
    #[error(
        "AWS's agent runs on this host or starts with it, and `{config}` says that orders come from CodeDeploy: \
             two agents would take the same orders"
    )]
    TwoAgents {
        /// Our settings.
        config: PathBuf,
    },
    /// Stopping AWS's agent would kill a deployment.
    #[error("AWS's agent is in the middle of a deployment")]
    AwsDeploys,
    /// Nobody would take CodeDeploy's orders.
    #[error("`{config}` says that no orders come from CodeDeploy: without AWS's agent nobody would take them")]
    CodeDeployOff {
        /// Our settings.
        config: PathBuf,
    },
    /// A file that was named is not there.
    #[error("there is no `{config}`")]
    NoConfig {
        /// The file.
        config: PathBuf,
    },
    /// The settings cannot be read.
    #[error("cannot read the settings in `{config}`")]
    Config {
        /// The file.
        config: PathBuf,
        /// Why.
        source: Box<toml::de::Error>,
    },
}

/// What makes the service stand as wished. Nothing, when it does.
///
/// # Errors
/// Why that would do harm.
pub fn install(host: &Host, wish: &Wish) -> Result<Vec<Step>, Refusal> {
    let mut steps = Vec::new();
    let config = &wish.start.config;
    let written = config_steps(host, wish, &mut steps)?;
    let text = written.as_deref().or(host.config.as_deref()).unwrap_or_default();
    let has_aws = host.aws.is_active || host.aws.is_enabled;
    match (takes_codedeploy(config, text)?, wish.replace_aws) {
        (true, false) if has_aws => return Err(Refusal::TwoAgents { config: config.clone() }),
        (false, true) => return Err(Refusal::CodeDeployOff { config: config.clone() }),
        (true | false, _) => {}
    }
    if wish.replace_aws && host.aws.is_active && host.aws_deploys {
        return Err(Refusal::AwsDeploys);
    }
    if !host.has_root {
        steps.push(Step::MakeFolder { path: wish.start.root.clone() });
    }
    let has_new_unit = unit_steps(host, wish, &mut steps);
    if wish.replace_aws {
        steps.extend(host.tools.iter().filter_map(|(path, place)| match place {
            Place::Free => Some(Step::Link { path: path.clone(), to: wish.start.program.clone() }),
            Place::Link(_) | Place::Taken => None,
        }));
    }
    // The last of all: until here AWS's agent takes the orders.
    let mut order = |order, unit, needed: bool| steps.extend(needed.then_some(Step::Service { order, unit }));
    order(Order::Stop, AWS_UNIT, wish.replace_aws && host.aws.is_active);
    order(Order::Disable, AWS_UNIT, wish.replace_aws && host.aws.is_enabled);
    order(Order::Enable, UNIT, !host.agent.is_enabled);
    order(Order::Start, UNIT, wish.start_now && !host.agent.is_active);
    let is_changed = has_new_unit || written.is_some();
    order(Order::Restart, UNIT, wish.start_now && host.agent.is_active && is_changed);
    Ok(steps)
}

/// What takes the service away. Settings and deployments stay.
pub fn uninstall(host: &Host, program: &Path) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut order = |order, needed: bool| steps.extend(needed.then_some(Step::Service { order, unit: UNIT }));
    order(Order::Stop, host.agent.is_active);
    order(Order::Disable, host.agent.is_enabled);
    steps.extend(host.unit.iter().map(|_| Step::Remove { path: OWN_UNIT.into() }));
    let ours = host.tools.iter().filter(|(_, place)| *place == Place::Link(program.to_owned()));
    steps.extend(ours.map(|(path, _)| Step::Remove { path: path.clone() }));
    if host.unit.is_some() {
        steps.push(Step::Reload);
    }
    steps
}

/// The settings file, where there is none. The text that is written.
fn config_steps(host: &Host, wish: &Wish, steps: &mut Vec<Step>) -> Result<Option<String>, Refusal> {
    let path = &wish.start.config;
    let text = match (&host.config, wish.replace_aws) {
        (None, _) if path != Path::new(settings::DEFAULT_PATH) => {
            return Err(Refusal::NoConfig { config: path.clone() });
        }
        (None, true) => with_codedeploy(),
        (None, false) => CONFIG.to_owned(),
        // Nobody has said anything in it yet.
        (Some(text), true) if text == CONFIG => with_codedeploy(),
        (Some(_), _) => return Ok(None),
    };
    steps.push(Step::Write { path: path.clone(), text: text.clone() });
    Ok(Some(text))
}

fn with_codedeploy() -> String {
    CONFIG.replace("enabled = false", "enabled = true")
}

/// Whether the unit changes.
fn unit_steps(host: &Host, wish: &Wish, steps: &mut Vec<Step>) -> bool {
    let path = PathBuf::from(OWN_UNIT);
    let step = match &host.unit {
        // The package's does it; one of an earlier time would hide it.
        Some(_) if host.has_packaged_unit && wish.start.is_packaged() => Step::Remove { path },
        None if host.has_packaged_unit && wish.start.is_packaged() => return false,
        Some(text) if *text == wish.start.unit() => return false,
        Some(_) | None => Step::Write { path, text: wish.start.unit() },
    };
    steps.extend([step, Step::Reload]);
    true
}

/// Whether the settings have the agent take orders from CodeDeploy.
fn takes_codedeploy(path: &Path, text: &str) -> Result<bool, Refusal> {
    if path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml") {
        return Ok(true);
    }
    let failed = |source| Refusal::Config { config: path.to_owned(), source: Box::new(source) };
    let table: toml::Table = text.parse().map_err(failed)?;
    let said = table.get("codedeploy").and_then(|codedeploy| codedeploy.get("enabled")?.as_bool());
    Ok(said.unwrap_or(!table.contains_key("follow")))
}

#[cfg(test)]
mod tests;
