//! Who this host is for AWS, and with which credentials it speaks: an instance by the metadata service, another host by its
//! on-premises file.
//!
//! The on-premises file wins, then `AWS_REGION` and `AWS_HOST_IDENTIFIER`, then the metadata service, as for the AWS agent
//! 1.8.1. Variables with credentials count for nothing: they are those of whoever started the agent.

mod credentials;
mod error;
mod imds;
mod on_premises;
mod partition;
mod shared_file;

use std::path::Path;

pub use credentials::Credentials;
pub use error::{IdentityError, ImdsError};
pub use imds::Imds;

use crate::settings::CodeDeploy;
use credentials::Source;
use on_premises::{Means, OnPremises};

/// The region of this host, before the metadata service is asked.
pub const REGION: &str = "AWS_REGION";
/// The ARN of this host, before the metadata service is asked.
pub const HOST_IDENTIFIER: &str = "AWS_HOST_IDENTIFIER";

/// Who this host is.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The ARN of an instance, an IAM user or a session: `HostIdentifier`.
    pub host: String,
    /// The region.
    pub region: String,
    /// The partition's domain, `amazonaws.com` and so on.
    pub domain: String,
    /// Finds credentials and renews them in time.
    pub credentials: Credentials,
    /// Variables that hooks of an on-premises host get, as from the AWS agent 1.8.1, less those that are secret.
    pub hook_variables: Vec<(String, String)>,
}

impl Identity {
    /// Asks the on-premises file and the metadata service, which is never behind a proxy.
    pub async fn find(settings: &CodeDeploy) -> Result<Identity, IdentityError> {
        Identity::find_in(&settings.on_premises_file, settings.imds_v1, &|name| std::env::var(name).ok()).await
    }

    /// [`Identity::hook_variables`], of which nobody on the network need know. None where the file says nothing.
    pub fn variables_for_hooks(on_premises_file: &Path) -> Vec<(String, String)> {
        let registered = on_premises::read(on_premises_file).ok().flatten();
        registered.map(|found| Identity::of_registered(found, on_premises_file).hook_variables).unwrap_or_default()
    }

    /// The same with the variables of another environment.
    pub async fn find_in(
        on_premises_file: &Path,
        imds_v1: bool,
        variable: &(dyn Fn(&str) -> Option<String> + Sync),
    ) -> Result<Identity, IdentityError> {
        if let Some(registered) = on_premises::read(on_premises_file)? {
            return Ok(Identity::of_registered(registered, on_premises_file));
        }
        let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
        let imds = Imds::new(imds_v1, &variable)?;
        let (region, domain) = match variable(REGION) {
            Some(region) => {
                partition::check_region(&region, REGION)?;
                let domain = partition::domain_of(&region).to_owned();
                (region, domain)
            }
            None => {
                let region = imds.document().await?.region;
                partition::check_region(&region, "the metadata service")?;
                let domain = imds.domain().await?;
                partition::check_domain(&domain)?;
                (region, domain)
            }
        };
        let host = match variable(HOST_IDENTIFIER) {
            Some(host) => host,
            None => imds.host_identifier().await?,
        };
        let credentials = Credentials::of(Source::Instance(imds));
        Ok(Identity { host, region, domain, credentials, hook_variables: Vec::new() })
    }

    /// A host that somebody registered; the metadata service is not asked, which there is none of, or not ours.
    fn of_registered(registered: OnPremises, file: &Path) -> Identity {
        let OnPremises { host, region, means } = registered;
        let hook_variables = vec![(REGION.to_owned(), region.clone()), (HOST_IDENTIFIER.to_owned(), host.clone())];
        let source = match means {
            Means::User(_) => Source::User { file: file.to_owned(), host: host.clone() },
            Means::Session(file) => Source::Session(file),
        };
        let domain = partition::domain_of(&region).to_owned();
        Identity { host, region, domain, credentials: Credentials::of(source), hook_variables }
    }
}
