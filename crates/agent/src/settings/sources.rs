//! The sources of orders, from what the files say. Pure.

use std::time::Duration;

use longshore_core::ids::GroupId;
use longshore_core::problem::Problem;

use super::file::{self, BAD_VALUE, DAY, TOGETHER};
use super::merge::{Merge, Said, some};
use super::word::{Authorities, Demand, authorities};
use super::{CodeDeploy, Follow, Origin, SignatureCheck};
use crate::config::{Config, DEFAULT_PATH};
use crate::deployment::order::{OnFailure, Policy};

impl Merge<'_> {
    /// CodeDeploy, unless it is off: somebody said so, or follows groups and said nothing.
    pub(super) fn codedeploy(
        &mut self,
        policy: &Policy,
        on_failure: Option<&(OnFailure, Origin)>,
    ) -> Option<CodeDeploy> {
        let ours = &self.inputs.ours.1.codedeploy;
        let usual = Config::default();
        let enabled = [self.ours(&ours.enabled)];
        let is_on = self.choose("codedeploy.enabled", enabled, self.inputs.ours.1.follow.is_empty());
        let problems = self.problems.len();
        let asked = self.inputs.aws_asked;
        let asked = asked.map(|path| (path.to_owned(), self.asked("LONGSHORE_CONFIG", "--config", path)));
        self.choose("codedeploy.config_file", [asked, self.ours(&ours.config_file)], DEFAULT_PATH.into());
        let endpoint =
            [self.ours(&ours.endpoint), self.aws("deploy_control_endpoint", |c| c.deploy_control_endpoint.clone())];
        let s3_endpoint =
            [self.ours(&ours.s3_endpoint), self.aws("s3_endpoint_override", |c| c.s3_endpoint_override.clone())];
        let fips = [self.ours(&ours.fips), self.aws("use_fips_mode", |c| Some(c.use_fips_mode))];
        let auth_policy =
            [self.ours(&ours.auth_policy), self.aws("enable_auth_policy", |c| Some(c.enable_auth_policy))];
        let no_imds_v1 = [self.ours(&ours.disable_imds_v1), self.aws("disable_imds_v1", |c| Some(c.disable_imds_v1))];
        let on_premises = [
            self.ours(&ours.on_premises_file),
            self.aws("on_premises_config_file", |c| Some(c.on_premises_config_file.clone())),
        ];
        let tracking = [
            self.ours(&ours.tracking),
            self.aws("ongoing_deployment_tracking", |c| Some(c.ongoing_deployment_tracking.clone())),
        ];
        let pause = [self.ours(&ours.pause), self.aws_pause("wait_between_runs", [0.1, DAY], |c| c.wait_between_runs)];
        let read_timeout =
            [self.ours(&ours.read_timeout), self.aws_pause("http_read_timeout", [1.0, DAY], |c| c.http_read_timeout)];
        let throttle_pause = [
            self.ours(&ours.throttle_pause),
            self.aws_pause("wait_after_throttle_error", [0.1, DAY], |c| c.wait_after_throttle_error),
        ];
        let on_failure = [self.ours(&ours.on_failure), on_failure.cloned()];
        let codedeploy = CodeDeploy {
            endpoint: self.choose("codedeploy.deploy_control_endpoint", endpoint.map(some), None),
            s3_endpoint: self.choose("codedeploy.s3_endpoint_override", s3_endpoint.map(some), None),
            fips: self.choose("codedeploy.use_fips_mode", fips, usual.use_fips_mode),
            auth_policy: self.choose("codedeploy.enable_auth_policy", auth_policy, usual.enable_auth_policy),
            imds_v1: !self.choose("codedeploy.disable_imds_v1", no_imds_v1, usual.disable_imds_v1),
            on_premises_file: self.choose(
                "codedeploy.on_premises_config_file",
                on_premises,
                usual.on_premises_config_file,
            ),
            tracking: self.choose(
                "codedeploy.ongoing_deployment_tracking",
                tracking,
                usual.ongoing_deployment_tracking,
            ),
            pause: self.choose("codedeploy.wait_between_runs", pause, usual.wait_between_runs),
            read_timeout: self.choose("codedeploy.http_read_timeout", read_timeout, usual.http_read_timeout),
            throttle_pause: self.choose(
                "codedeploy.wait_after_throttle_error",
                throttle_pause,
                usual.wait_after_throttle_error,
            ),
            signature: self.signature(),
            policy: Policy {
                // The service rolls back by itself: two that do would be one too many.
                on_failure: self.choose("codedeploy.on_failure", on_failure, OnFailure::Leave),
                signatures: self.signatures_of("codedeploy.require_signature", &ours.require_signature, policy),
                ..policy.clone()
            },
        };
        if !is_on {
            // What is wrong with values that nobody uses is nobody's concern; the values are shown all the same.
            self.problems.truncate(problems);
        }
        is_on.then_some(codedeploy)
    }

    fn signature(&mut self) -> SignatureCheck {
        let ours = &self.inputs.ours.1.codedeploy;
        let authorities = [self.ours(&ours.spec_signer_ca_file), self.authorities_of_aws()];
        let authorities = self.choose("codedeploy.spec_signer_ca_file", authorities.map(some), None);
        let default = if authorities.is_some() { Demand::Chain } else { Demand::Content };
        let demand = self.choose("codedeploy.spec_signature", [self.ours(&ours.spec_signature)], default);
        match (demand, authorities) {
            (Demand::Chain, Some(Authorities::File(path))) => SignatureCheck::Chain(Some(path)),
            (Demand::Chain, Some(Authorities::System) | None) => SignatureCheck::Chain(None),
            (Demand::Content, authorities) => {
                self.authorities_without_effect(authorities.as_ref());
                SignatureCheck::Content
            }
            (Demand::None, authorities) => {
                self.authorities_without_effect(authorities.as_ref());
                SignatureCheck::Unchecked
            }
        }
    }

    fn authorities_of_aws(&mut self) -> Said<Authorities> {
        let (text, origin) = self.aws("spec_signer_ca_file", |config| config.spec_signer_ca_file.clone())?;
        match authorities(&text) {
            Ok(authorities) => Some((authorities, origin)),
            Err(must) => {
                let (source, _, places) = &self.inputs.aws;
                let span = places.get("spec_signer_ca_file").cloned();
                let problem = Problem::error(BAD_VALUE, source, span, format!("must {must}, found `{text}`"));
                self.problems.push(problem.at_path("spec_signer_ca_file"));
                None
            }
        }
    }

    fn authorities_without_effect(&mut self, authorities: Option<&Authorities>) {
        let demand = self.inputs.ours.1.codedeploy.spec_signature.as_ref();
        if let (Some(_), Some(demand)) = (authorities, demand) {
            let message = "leaves `spec_signer_ca_file` without effect";
            let problem = Problem::warning(TOGETHER, &self.inputs.ours.0, Some(demand.span.clone()), message);
            self.problems.push(problem.at_path("codedeploy.spec_signature").with_fix("write `\"chain\"`"));
        }
    }

    /// The groups that are followed; what is incomplete is a problem already, and left out.
    pub(super) fn follow(&mut self, policy: &Policy, on_failure: Option<&(OnFailure, Origin)>) -> Vec<Follow> {
        let given = &self.inputs.ours.1.follow;
        self.twice(given);
        given.iter().enumerate().filter_map(|(index, given)| self.one(index, given, policy, on_failure)).collect()
    }

    fn one(
        &mut self,
        index: usize,
        given: &file::Follow,
        policy: &Policy,
        on_failure: Option<&(OnFailure, Origin)>,
    ) -> Option<Follow> {
        let (Some(store), Some(application), Some(group)) = (&given.store, &given.application, &given.group) else {
            return None;
        };
        let key = |name: &str| format!("follow[{index}].{name}");
        self.show(&key("store"), self.ours(&given.store));
        self.show(&key("application"), self.ours(&given.application));
        self.show(&key("group"), self.ours(&given.group));
        let poll = self.choose(&key("poll_s"), [self.ours(&given.poll)], file::POLL);
        // Not slower than while nothing moves.
        let fast_poll =
            self.choose(&key("fast_poll_s"), [self.ours(&given.fast_poll)], Duration::from_secs(2).min(poll));
        let heartbeat = self.choose(&key("heartbeat_s"), [self.ours(&given.heartbeat)], Duration::from_secs(900));
        let host = self.choose(&key("host"), [self.ours(&given.host)], self.inputs.host.clone());
        let on_failure = [self.ours(&given.on_failure), on_failure.cloned()];
        let on_failure = self.choose(&key("on_failure"), on_failure, policy.on_failure);
        let signatures = self.signatures_of(&key("require_signature"), &given.require_signature, policy);
        Some(Follow {
            store: store.value.clone(),
            application: application.value.clone(),
            group: group.value.clone(),
            poll,
            fast_poll,
            heartbeat,
            host,
            policy: Policy { on_failure, signatures, ..policy.clone() },
        })
    }

    /// Two pointers for one group would take turns.
    fn twice(&mut self, given: &[file::Follow]) {
        let id = |follow: &file::Follow| {
            let (application, group) = (follow.application.as_ref()?, follow.group.as_ref()?);
            Some((GroupId::of(&application.value, &group.value), group.span.clone()))
        };
        for (index, later) in given.iter().enumerate() {
            let Some((later, span)) = id(later) else { continue };
            let earlier = given[..index].iter().filter_map(id).find(|(earlier, _)| *earlier == later);
            if let Some((_, earlier)) = earlier {
                let message = "this group of this application is followed twice";
                let problem = Problem::error(TOGETHER, &self.inputs.ours.0, Some(span), message);
                self.problems.push(problem.at_path(format!("follow[{index}]")).with_related(earlier, "here first"));
            }
        }
    }
}
