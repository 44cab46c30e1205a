//! `longshore deploy` and its companions with CodeDeploy: the real program, a real S3 server, and a service whose deployments go as the
//! test says.
#![expect(clippy::unwrap_used, reason = "whatever fails in a test fails the test")]

#[path = "deploying/artifact.rs"]
mod artifact;
#[path = "deploying/companion.rs"]
mod companion;
#[path = "deploying/course.rs"]
mod course;
#[path = "deploying/interruption.rs"]
mod interruption;
#[path = "deploying/job.rs"]
mod job;
#[path = "deploying/moto.rs"]
mod moto;
#[path = "deploying/network.rs"]
mod network;
#[path = "deploying/policy.rs"]
mod policy;
#[path = "deploying/prune.rs"]
mod prune;
#[path = "deploying/refusal.rs"]
mod refusal;
#[path = "deploying/region.rs"]
mod region;
