//! Why CodeDeploy refused, with what helps: names that are near, the command that creates what is missing, the deployment that is in
//! the way. Asks the service for these; what it does not tell is left out.

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::DeploymentId;
use longshore_core::problem::nearest;

use super::client::{Client, ConnectError};
use super::deployment::Status;
use super::service_error::ServiceError;
use crate::settings::With;
use crate::target::Target;

/// The states of a deployment that is under way.
pub(crate) const UNDER_WAY: [Status; 5] =
    [Status::Created, Status::Queued, Status::InProgress, Status::Baking, Status::Ready];

/// Why CodeDeploy refused.
#[derive(Debug, thiserror::Error)]
enum Refused {
    /// No such application.
    #[error("CodeDeploy has no application `{name}` in region {region}")]
    NoApplication { name: String, region: String },
    /// No such group.
    #[error("application `{application}` has no deployment group `{name}` in region {region}")]
    NoGroup { application: String, name: String, region: String },
    /// No such deployment configuration.
    #[error("CodeDeploy has no deployment configuration `{name}` in region {region}")]
    NoConfig { name: String, region: String },
    /// No such deployment.
    #[error("CodeDeploy has no deployment `{name}` in region {region}")]
    NoDeployment { name: String, region: String },
    /// Another deployment is under way.
    #[error("another deployment to group `{group}` of `{application}` is under way{}", .id.as_ref().map(|id| format!(": {id}")).unwrap_or_default())]
    Busy { application: String, group: String, id: Option<String> },
}

impl From<ConnectError> for Failure {
    fn from(error: ConnectError) -> Failure {
        let (exit, hint) = match &error {
            ConnectError::Settings(source) => (source.exit(), source.hint()),
            ConnectError::NoRegion => (Exit::Usage, Some("name it with `--region`, or set `AWS_REGION`".to_owned())),
        };
        hint.into_iter().fold(Failure::new(exit, error), Failure::hint)
    }
}

/// A refusal with what helps. `config`: the deployment configuration that was named; `deployment`: the deployment.
pub(crate) async fn explain(
    client: &Client<'_>,
    target: &Target,
    config: Option<&str>,
    deployment: Option<&DeploymentId>,
    error: ServiceError,
) -> Failure {
    let (application, group) = (target.codedeploy_application.clone(), target.codedeploy_group.clone());
    let region = client.region.clone();
    if error.is("ApplicationDoesNotExistException") {
        let near = near(&application, client.applications().await, "applications");
        let create = format!(
            "aws deploy create-application --application-name {} --compute-platform Server --region {}",
            quoted(&application),
            quoted(&region)
        );
        let refused = Failure::new(Exit::NotFound, Refused::NoApplication { name: application, region });
        return near.into_iter().fold(refused, Failure::hint).hint(format!("create it: {create}"));
    }
    if error.is("DeploymentGroupDoesNotExistException") {
        let near = near(&group, client.groups(&application).await, "groups");
        let create = format!(
            "aws deploy create-deployment-group --application-name {} --deployment-group-name {} --service-role-arn ROLE \
             --ec2-tag-filters Key=Group,Value={},Type=KEY_AND_VALUE --region {}",
            quoted(&application),
            quoted(&group),
            quoted(&group),
            quoted(&region)
        );
        let refused = Failure::new(Exit::NotFound, Refused::NoGroup { application, name: group, region });
        return near.into_iter().fold(refused, Failure::hint).hint(format!("create it: {create}"));
    }
    if error.is("DeploymentConfigDoesNotExistException") {
        let name = config.unwrap_or("of the group").to_owned();
        let near = near(&name, client.configs().await, "configurations");
        let create = format!(
            "aws deploy create-deployment-config --deployment-config-name {} --minimum-healthy-hosts type=HOST_COUNT,value=1 \
             --region {}",
            quoted(&name),
            quoted(&region)
        );
        let refused = Failure::new(Exit::NotFound, Refused::NoConfig { name, region });
        return near.into_iter().fold(refused, Failure::hint).hint(format!("create it: {create}"));
    }
    if error.is("DeploymentDoesNotExistException") || error.is("InvalidDeploymentIdException") {
        let name = deployment.map(ToString::to_string).unwrap_or_default();
        let refused = Failure::new(Exit::NotFound, Refused::NoDeployment { name, region });
        return refused.hint(format!("those that there are: {}", command("deployments", target, None)));
    }
    if error.is("DeploymentLimitExceededException") {
        let active = client.patiently(async || client.list(&application, &group, &UNDER_WAY, 1).await).await;
        let id = active.ok().and_then(|ids| ids.into_iter().next());
        let look = command("deployments", target, id.as_deref());
        let stop = command("stop", target, id.as_deref());
        return Failure::new(Exit::Busy, Refused::Busy { application, group, id })
            .hint(format!("how far it is: {look}"))
            .hint(format!("to end it: {stop}"));
    }
    error.into()
}

/// A command of ours about the group, as it is to be typed.
pub(crate) fn command(name: &str, target: &Target, deployment: Option<&str>) -> String {
    let mut text = format!(
        "longshore {name} --application {} --group {}",
        quoted(target.application.as_str()),
        quoted(target.group.as_str())
    );
    // They may come from settings and variables that whoever types it does not have.
    let named = [
        ("region", target.region.as_deref()),
        ("with", (target.settings.with == Some(With::Store)).then_some("codedeploy")),
        ("codedeploy-application", other(&target.codedeploy_application, target.application.as_str())),
        ("codedeploy-group", other(&target.codedeploy_group, target.group.as_str())),
    ];
    for (name, value) in named {
        if let Some(value) = value {
            text.push_str(&format!(" --{name} {}", quoted(value)));
        }
    }
    if let Some(deployment) = deployment {
        text.push(' ');
        text.push_str(&quoted(deployment));
    }
    text
}

fn other<'a>(name: &'a str, ours: &str) -> Option<&'a str> {
    (name != ours).then_some(name)
}

/// What was meant, or all that there are.
fn near(name: &str, known: Result<Vec<String>, ServiceError>, what: &str) -> Option<String> {
    const SHOWN: usize = 10;
    // Who may not list them does not hear of them.
    let mut known = known.ok().filter(|known| !known.is_empty())?;
    if let Some(near) = nearest(name, known.iter().map(String::as_str)) {
        return Some(format!("did you mean `{near}`?"));
    }
    known.sort();
    let more = known.len().saturating_sub(SHOWN);
    let listed: Vec<String> = known.iter().take(SHOWN).map(|name| format!("`{name}`")).collect();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    Some(format!("there are the {what} {}{more}", listed.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_is_near_is_shown_and_else_those_that_there_are() {
        let known = |names: &[&str]| Ok(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(near("shpo", known(&["shop", "blog"]), "applications").unwrap(), "did you mean `shop`?");
        assert_eq!(near("x", known(&["shop", "blog"]), "groups").unwrap(), "there are the groups `blog`, `shop`");
        let many: Vec<String> = (10..22).map(|number| number.to_string()).collect();
        let shown = near("x", Ok(many), "groups").unwrap();
        assert!(shown.ends_with("`19` and 2 more"), "{shown}");
        assert_eq!(near("x", known(&[]), "groups"), None);
    }
}
