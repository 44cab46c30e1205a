//! What the members of a request must be.

use serde_json::{Map, Value};

/// What the service answers instead of a result.
#[derive(Debug)]
pub(super) struct ServiceError {
    pub(super) status: u16,
    pub(super) kind: &'static str,
    pub(super) message: String,
}

impl ServiceError {
    pub(super) fn new(kind: &'static str, message: impl Into<String>) -> ServiceError {
        ServiceError { status: 400, kind, message: message.into() }
    }
}

/// The members that an operation has; those with `!` must be there.
const MEMBERS: [(&str, &[&str]); 12] = [
    ("BatchGetDeploymentTargets", &["deploymentId!", "targetIds!"]),
    ("BatchGetDeployments", &["deploymentIds!"]),
    (
        "CreateDeployment",
        &[
            "applicationName!",
            "deploymentGroupName!",
            "revision!",
            "deploymentConfigName",
            "description!",
            "ignoreApplicationStopFailures",
            "fileExistsBehavior",
            "autoRollbackConfiguration",
            "overrideAlarmConfiguration",
        ],
    ),
    ("GetDeployment", &["deploymentId!"]),
    ("GetDeploymentGroup", &["applicationName!", "deploymentGroupName!"]),
    ("ListApplications", &["nextToken"]),
    ("ListDeploymentConfigs", &["nextToken"]),
    ("ListDeploymentGroups", &["applicationName!", "nextToken"]),
    ("ListDeploymentTargets", &["deploymentId!", "nextToken", "targetFilters"]),
    ("ListDeployments", &["applicationName!", "deploymentGroupName!", "includeOnlyStatuses", "nextToken"]),
    ("RegisterApplicationRevision", &["applicationName!", "description!", "revision!"]),
    ("StopDeployment", &["deploymentId!", "autoRollbackEnabled"]),
];

/// The name of a known operation.
pub(super) fn known(name: &str) -> Option<&'static str> {
    MEMBERS.iter().map(|(known, _)| *known).find(|known| *known == name)
}

/// Refuses what the real service would not take, and what a careful client would not send.
pub(super) fn check(operation: &str, body: &Value) -> Result<(), ServiceError> {
    let wrong = |message: String| ServiceError::new("ValidationException", message);
    let (_, members) = MEMBERS.iter().find(|(name, _)| *name == operation).expect("the operation is known");
    let body = body.as_object().ok_or_else(|| wrong("the body is no object".to_owned()))?;
    for name in body.keys() {
        if !members.iter().any(|member| member.trim_end_matches('!') == name) {
            return Err(wrong(format!("{operation} has no member {name}")));
        }
    }
    if let Some(missing) =
        members.iter().find_map(|member| member.strip_suffix('!').filter(|name| !body.contains_key(*name)))
    {
        return Err(wrong(format!("{operation} needs {missing}")));
    }
    if body.get("description").is_some_and(|text| text.as_str().is_none_or(|text| text.chars().count() > 256)) {
        return Err(ServiceError::new("DescriptionTooLongException", "the description is too long"));
    }
    if let Some(revision) = body.get("revision") {
        check_revision(revision)?;
    }
    for list in ["targetIds", "deploymentIds"] {
        if body.get(list).is_some_and(|list| list.as_array().is_none_or(|list| list.len() > 25 || list.is_empty())) {
            let kind = "DeploymentTargetListSizeExceededException";
            return Err(ServiceError::new(kind, "The maximum of 25 is exceeded, or nothing is asked for"));
        }
    }
    Ok(())
}

/// An object in S3 must be pinned: the service does not compare an ETag that it is not given.
fn check_revision(revision: &Value) -> Result<(), ServiceError> {
    let location = revision["s3Location"].as_object().cloned().unwrap_or_else(Map::new);
    let text = |name: &str| location.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let fits = revision["revisionType"] == "S3"
        && !text("bucket").is_empty()
        && !text("key").is_empty()
        && !text("eTag").is_empty()
        && !text("eTag").contains('"')
        && ["zip", "tar", "tgz"].contains(&text("bundleType").as_str());
    if fits { Ok(()) } else { Err(ServiceError::new("InvalidRevisionException", format!("not pinned: {revision}"))) }
}
