//! The program under the name `codedeploy-local`: what scripts that call AWS's tool depend on, and what is safer.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod codedeploy_local {
    mod deployment;
    mod fixture;
    mod github;
    mod options;
}
#[expect(dead_code, reason = "other tests use the rest of it")]
mod sandbox;
