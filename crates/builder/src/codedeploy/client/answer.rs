//! What the SDK answers, as our values, and a revision as the SDK takes it. Pure.

use aws_sdk_codedeploy::primitives::DateTime;
use aws_sdk_codedeploy::types::{
    BlueInstanceTerminationOption, BundleType, DeploymentInfo, DeploymentReadyOption, DeploymentStatus,
    DeploymentTarget, ErrorCode, GitHubLocation, LifecycleErrorCode, LifecycleEvent, LifecycleEventStatus,
    RevisionLocation, RevisionLocationType, S3Location, TargetStatus,
};
use jiff::Timestamp;

use super::super::deployment::{
    Deployment, Diagnostics, Fault, Progress, Rollback, Status, Target, TargetEvent, Waits,
};

use super::super::revision::{Format, Revision, S3Revision};

/// `None`: it has no id.
pub(super) fn deployment(info: &DeploymentInfo) -> Option<Deployment> {
    let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
    let rolls_back = info.auto_rollback_configuration().filter(|config| config.enabled());
    let status = Status::of(info.status().map(DeploymentStatus::as_str).unwrap_or_default());
    Some(Deployment {
        id: info.deployment_id()?.parse().ok()?,
        application: info.application_name().unwrap_or_default().to_owned(),
        group: info.deployment_group_name().unwrap_or_default().to_owned(),
        revision: info.revision().map(revision),
        config: text(info.deployment_config_name()),
        creator: info.creator().map(|creator| creator.as_str().to_owned()),
        description: text(info.description()),
        created: info.create_time().and_then(time),
        completed: info.complete_time().and_then(time),
        error: info.error_information().map(|error| Fault {
            code: error.code().map(ErrorCode::as_str).unwrap_or_default().to_owned(),
            message: error.message().unwrap_or_default().to_owned(),
        }),
        rollback: info.rollback_info().map(|rollback| Rollback {
            deployment: rollback.rollback_deployment_id().and_then(|id| id.parse().ok()),
            of: rollback.rollback_triggering_deployment_id().and_then(|id| id.parse().ok()),
            message: text(rollback.rollback_message()),
        }),
        rolls_back_on: rolls_back
            .map(|config| config.events().iter().map(|event| event.as_str().to_owned()).collect())
            .unwrap_or_default(),
        waits: waits(info, &status),
        messages: info
            .deployment_status_messages()
            .iter()
            .cloned()
            .chain(text(info.additional_deployment_status_info()))
            .collect(),
        status,
    })
}

fn waits(info: &DeploymentInfo, status: &Status) -> Option<Waits> {
    if status.is_final() {
        return None;
    }
    let blue_green = info.blue_green_deployment_configuration();
    if info.instance_termination_wait_time_started() {
        let option = blue_green.and_then(|config| config.terminate_blue_instances_on_deployment_success());
        return Some(Waits::ForTermination {
            minutes: option
                .map(BlueInstanceTerminationOption::termination_wait_time_in_minutes)
                .filter(|minutes| *minutes > 0),
        });
    }
    if *status != Status::Ready {
        return None;
    }
    let option = blue_green.and_then(|config| config.deployment_ready_option());
    let stops =
        option.filter(|option| option.action_on_timeout().is_some_and(|what| what.as_str() == "STOP_DEPLOYMENT"));
    Some(Waits::ForTraffic {
        stops_after: stops.map(DeploymentReadyOption::wait_time_in_minutes).filter(|minutes| *minutes > 0),
    })
}

/// `None`: it is no instance.
pub(super) fn target(target: &DeploymentTarget) -> Option<Target> {
    let instance = target.instance_target()?;
    let id = instance.target_id()?;
    Some(Target {
        id: id.rsplit('/').next().unwrap_or(id).to_owned(),
        progress: Progress::of(instance.status().map(TargetStatus::as_str).unwrap_or_default()),
        label: instance.instance_label().map(|label| label.as_str().to_owned()),
        events: instance.lifecycle_events().iter().map(event).collect(),
    })
}

fn event(event: &LifecycleEvent) -> TargetEvent {
    let progress = Progress::of(event.status().map(LifecycleEventStatus::as_str).unwrap_or_default());
    let diagnostics = event.diagnostics().map(|found| Diagnostics {
        code: found.error_code().map(LifecycleErrorCode::as_str).unwrap_or_default().to_owned(),
        script: found.script_name().filter(|name| !name.is_empty()).map(str::to_owned),
        message: found.message().unwrap_or_default().to_owned(),
        log_tail: found.log_tail().unwrap_or_default().to_owned(),
    });
    TargetEvent {
        name: event.lifecycle_event_name().unwrap_or_default().to_owned(),
        progress,
        began: event.start_time().and_then(time),
        ended: event.end_time().and_then(time),
        // Agents say that all is well there too.
        diagnostics: diagnostics.filter(|_| progress == Progress::Failed),
    }
}

/// What is deployed.
pub(super) fn revision(location: &RevisionLocation) -> Revision {
    let other = || {
        let kind = location.revision_type().map(RevisionLocationType::as_str).unwrap_or("unknown");
        Revision::Other(kind.to_owned())
    };
    if let Some(object) = location.s3_location() {
        let (Some(bucket), Some(key)) = (object.bucket(), object.key()) else { return other() };
        let format = match object.bundle_type().map(BundleType::as_str) {
            Some("zip") => Some(Format::Zip),
            Some("tar") => Some(Format::Tar),
            Some("tgz") => Some(Format::Tgz),
            Some(_) => None,
            None => Format::of_key(key),
        };
        let text = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(str::to_owned);
        let Some(format) = format else { return other() };
        return Revision::S3(S3Revision {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
            format,
            etag: text(object.e_tag()).map(|etag| etag.trim_matches('"').to_owned()),
            version: text(object.version()),
        });
    }
    if let Some(commit) = location.git_hub_location() {
        let (Some(repository), Some(commit)) = (commit.repository(), commit.commit_id()) else { return other() };
        return Revision::GitHub { repository: repository.to_owned(), commit: commit.to_owned() };
    }
    other()
}

/// A revision as the service takes it; `None`: it is of a kind that hosts do not deploy.
pub(super) fn location(revision: &Revision) -> Option<RevisionLocation> {
    match revision {
        Revision::S3(object) => {
            let format = match object.format {
                Format::Zip => BundleType::Zip,
                Format::Tar => BundleType::Tar,
                Format::Tgz => BundleType::TarGZip,
            };
            let location = S3Location::builder().bucket(&object.bucket).key(&object.key).bundle_type(format);
            let location = location.set_e_tag(object.etag.clone()).set_version(object.version.clone()).build();
            Some(RevisionLocation::builder().revision_type(RevisionLocationType::S3).s3_location(location).build())
        }
        Revision::GitHub { repository, commit } => {
            let location = GitHubLocation::builder().repository(repository).commit_id(commit).build();
            let kind = RevisionLocationType::GitHub;
            Some(RevisionLocation::builder().revision_type(kind).git_hub_location(location).build())
        }
        Revision::Other(_) => None,
    }
}

fn time(time: &DateTime) -> Option<Timestamp> {
    Timestamp::new(time.secs(), i32::try_from(time.subsec_nanos()).ok()?).ok()
}
