//! What happens while a command runs. `display` turns each into a line; nothing else speaks.

use std::path::PathBuf;
use std::time::Duration;

use longshore_core::host_status::HostStatus;
use longshore_core::ids::{ApplicationName, CommitHash, DeploymentId, GroupName};
use longshore_core::pointer::Pointer;

use crate::codedeploy::deployment::{Deployment, Target, TargetEvent};
use crate::commit::Origin;
use crate::ending::Known;
use crate::fleet::Standing;
use crate::images::moved::MovedImage;
use crate::pointing::Moved;

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Event {
    /// Appspec, scripts, compose files and the plan were checked.
    Checked {
        /// The appspec, below the source folder.
        appspec: String,
        /// Files and links that would be packed.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Problems that stop a deployment.
        errors: usize,
        /// Problems that do not.
        warnings: usize,
    },
    /// The commit was chosen.
    Named {
        /// The commit.
        commit: CommitHash,
        /// Where it was read.
        origin: Origin,
    },
    /// Something will surprise.
    Warned(String),
    /// Packing began.
    Packing {
        /// Bytes of all files.
        bytes: u64,
    },
    /// More bytes of the files were packed.
    PackedMore(u64),
    /// Packing ended.
    Packed {
        /// Files and links.
        files: usize,
        /// Their bytes.
        bytes: u64,
        /// Bytes of the archive.
        size: u64,
        /// How long it took.
        took: Duration,
    },
    /// An artifact of that name stood there already.
    Replaced {
        /// The artifact.
        path: PathBuf,
        /// Whether it had the same bytes.
        same: bool,
    },
    /// A bundle was opened and every digest in it is right.
    Verified {
        /// The bundle.
        path: PathBuf,
        /// Files and links.
        files: usize,
    },
    /// An upload began.
    Publishing {
        /// Where to.
        url: String,
        /// Bytes of the archive.
        size: u64,
    },
    /// So many bytes are stored.
    Stored(u64),
    /// The upload ended.
    Published {
        /// Where the artifact is.
        url: String,
        /// Whether it was there before.
        already: bool,
    },
    /// The folder of a store was made.
    CreatedStore(PathBuf),
    /// A starter file was written.
    Wrote(String),
    /// A starter file exists and was left alone.
    Kept(String),
    /// The pointer of a group names our artifact now.
    Moved(Box<Moved>),
    /// The hosts of a group are waited for.
    Waiting {
        /// The application.
        application: ApplicationName,
        /// The group.
        group: GroupName,
        /// The deployment.
        deployment: DeploymentId,
        /// How long at most.
        limit: Duration,
    },
    /// A host came further, or is left out.
    Host(Box<HostSeen>),
    /// The hosts as they are now, for those who can see all of them at once.
    Fleet(Vec<HostSeen>),
    /// Nothing has happened for a while.
    StillWaiting {
        /// Hosts that have ended.
        done: usize,
        /// Hosts that have not.
        under_way: Vec<HostSeen>,
        /// Since the waiting began.
        since: Duration,
    },
    /// The store cannot be asked at the moment. Why, in one line.
    StoreLost(String),
    /// It can be asked again.
    StoreBack,
    /// The waiting for a group is over.
    WaitEnded,
    /// What a host says was removed.
    Forgot {
        /// The host.
        host: String,
        /// Seconds since it wrote last, if it is not silent: it will write again.
        lives: Option<u64>,
    },
    /// Something worth knowing, and wrong with nothing.
    Noted(String),
    /// A pointer has a deployment stopped.
    Stopping(Box<Pointer>),
    /// A group goes back to what it ran before.
    GoingBack {
        /// The deployment that is made again.
        to: Box<Pointer>,
        /// How that had ended.
        ending: Known,
    },
    /// An artifact was removed from a store.
    Removed(String),
    /// A deployment of CodeDeploy came further.
    Deploying(Deploying),
    /// An artifact was signed.
    Signed {
        /// The signature.
        path: PathBuf,
        /// The key that made it.
        key_id: String,
    },
    /// The provenance of an artifact was written.
    Described(PathBuf),
    /// What stands beside an artifact is in the store.
    PublishedBeside(PublishedBeside),
    /// An image of a service is being built.
    BuildingImage {
        /// The service.
        service: String,
        /// The image.
        image: String,
    },
    /// It is being pushed.
    PushingImage {
        /// The service.
        service: String,
        /// The image.
        image: String,
    },
    /// A line of what builds or pushes it.
    ServiceSaid {
        /// The service.
        service: String,
        /// The line.
        line: String,
    },
    /// Registries are asked for the digests of images.
    AskingForImages {
        /// How many.
        images: usize,
    },
    /// An image has a digest.
    PinnedImage {
        /// The image, by its whole name.
        image: String,
        /// The digest.
        digest: String,
    },
    /// An image of what is deployed is not known to be what it was when the artifact was built.
    ImageMoved(Box<MovedImage>),
}

/// A signature or a provenance in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublishedBeside {
    /// Where.
    pub(crate) url: String,
    /// Whether one that says the same was there before.
    pub(crate) already: bool,
}

/// One thing that happened to a deployment of CodeDeploy; who interrupts is asked about one by a store in the same way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Deploying {
    /// It cannot be told whether the group would go back to an older commit. Why.
    OrderUnknown(&'static str),
    /// The deployment whose revision is deployed again.
    GoingBackTo {
        /// It.
        to: Box<Deployment>,
    },
    /// CodeDeploy has a new deployment.
    Created {
        /// Its id.
        deployment: DeploymentId,
        /// The application's name there.
        application: String,
        /// The group's name there.
        group: String,
        /// Where people look at it.
        link: String,
    },
    /// A deployment of CodeDeploy is followed.
    Following {
        /// It.
        deployment: DeploymentId,
        /// How long at most.
        limit: Duration,
    },
    /// It is followed on after an interruption.
    FollowingAgain(DeploymentId),
    /// A deployment came further. What to type when it waits for somebody.
    State {
        /// It.
        deployment: Box<Deployment>,
        /// The command that lets it go on.
        way_on: Option<String>,
    },
    /// A deployment ended.
    Ended(Box<Deployment>),
    /// A lifecycle event on an instance began or ended.
    TargetLifecycle {
        /// The instance.
        target: String,
        /// The event.
        event: Box<TargetEvent>,
    },
    /// An instance came further.
    TargetState(Box<Target>),
    /// The instances as they are now, for those who can see all of them at once.
    Targets(Vec<Target>),
    /// CodeDeploy brings the last good revision back.
    RollingBack {
        /// The deployment that failed.
        of: DeploymentId,
        /// The deployment that does it.
        deployment: DeploymentId,
    },
    /// Somebody wants this process to end and is asked what is to become of the deployment.
    AskedToStop(DeploymentId),
    /// CodeDeploy was told to stop a deployment.
    StopAsked(DeploymentId),
    /// Nothing has happened for a while.
    StillFollowing {
        /// The deployment.
        deployment: Box<Deployment>,
        /// Its instances.
        targets: Vec<Target>,
        /// Since the waiting began.
        since: Duration,
    },
    /// CodeDeploy cannot be asked at the moment.
    ServiceLost {
        /// Why, in one line.
        why: String,
        /// It wants to be asked less often.
        throttled: bool,
    },
    /// It can be asked again.
    ServiceBack,
}

impl From<Deploying> for Event {
    fn from(event: Deploying) -> Event {
        Event::Deploying(event)
    }
}

/// A host and how far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostSeen {
    /// Its name.
    pub(crate) host: String,
    /// How far it is.
    pub(crate) standing: Standing,
    /// What it says.
    pub(crate) status: Option<HostStatus>,
    /// Why that cannot be read, one line.
    pub(crate) unreadable: Option<String>,
    /// Seconds since it wrote last.
    pub(crate) age_s: u64,
}
