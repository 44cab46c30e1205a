//! Where the service is, and by which names it is spoken to. Pure.

use reqwest::Url;

use crate::network::is_here;
use crate::settings::CodeDeploy;

/// Where the service is, and by which names it is spoken to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Where everything is sent.
    pub url: Url,
    /// The name in signatures.
    pub service: &'static str,
    /// What stands before an operation's name in `X-Amz-Target`.
    pub target: &'static str,
    /// The version of the interface that is spoken.
    pub version: &'static str,
    /// The region in signatures.
    pub region: String,
}

/// The regions that have FIPS endpoints of the service (AWS agent 1.8.1).
const WITH_FIPS: [&str; 6] = ["us-east-1", "us-east-2", "us-west-1", "us-west-2", "us-gov-east-1", "us-gov-west-1"];

/// Why nobody knows where the service is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EndpointError {
    /// The region is no name that could be part of a host's.
    #[error("`{0}` is not the name of a region")]
    Region(String),
    /// The domain is none.
    #[error("`{0}` is not the domain of a partition, such as `amazonaws.com`")]
    Domain(String),
    /// FIPS was asked for where it is not offered.
    #[error("CodeDeploy has no FIPS endpoint in region `{region}`, only in {}", WITH_FIPS.map(|name| format!("`{name}`")).join(", "))]
    Fips {
        /// The region.
        region: String,
    },
    /// An endpoint is no URL.
    #[error("`{key}` is `{text}`, which is no https address; write `https://HOST`")]
    Address {
        /// The setting.
        key: &'static str,
        /// What it says.
        text: String,
    },
    /// An endpoint holds credentials, or more than a place.
    #[error("`{key}` holds more than an address: no user, password, `?` or `#` belongs there")]
    Surplus {
        /// The setting.
        key: &'static str,
    },
    /// Everybody on the way could read and change what runs as root.
    #[error("`{key}` is `{text}`, which is not encrypted; http is for addresses of this host alone")]
    Unencrypted {
        /// The setting.
        key: &'static str,
        /// What it says.
        text: String,
    },
}

impl Endpoint {
    /// Where the service is for a host of `region`, whose partition has `domain`.
    pub fn of(region: &str, domain: &str, settings: &CodeDeploy) -> Result<Endpoint, EndpointError> {
        if !is_label(region) {
            return Err(EndpointError::Region(region.to_owned()));
        }
        // The second interface has no version in its targets (AWS agent 1.8.1).
        let (service, target, version) = match settings.auth_policy {
            false => ("codedeploy-commands", "CodeDeployCommandService_v20141006", "2014-10-06"),
            true => ("codedeploy-commands-secure", "CodeDeployCommandService", "2019-11-11"),
        };
        let url = match &settings.endpoint {
            Some(endpoint) => given("deploy_control_endpoint", endpoint)?,
            None => regional(service, region, domain, settings.fips)?,
        };
        // Not ours to ask, but bundles come from there, and no digest of them is known here.
        if let Some(endpoint) = &settings.s3_endpoint {
            given("s3_endpoint_override", endpoint)?;
        }
        Ok(Endpoint { url, service, target, version, region: region.to_owned() })
    }

    /// The target of an operation.
    pub fn target(&self, operation: &str) -> String {
        format!("{}.{operation}", self.target)
    }
}

fn regional(service: &str, region: &str, domain: &str, fips: bool) -> Result<Url, EndpointError> {
    if fips && !WITH_FIPS.contains(&region) {
        return Err(EndpointError::Fips { region: region.to_owned() });
    }
    let bad = || EndpointError::Domain(domain.to_owned());
    if !domain.contains('.') || !domain.split('.').all(is_label) {
        return Err(bad());
    }
    let fips = if fips { "-fips" } else { "" };
    Url::parse(&format!("https://{service}{fips}.{region}.{domain}/")).map_err(|_| bad())
}

/// One part of a host's name.
fn is_label(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

fn given(key: &'static str, text: &str) -> Result<Url, EndpointError> {
    let url = Url::parse(text).ok().filter(|url| ["http", "https"].contains(&url.scheme()));
    // A password is not repeated.
    let url = match url {
        Some(url) => url,
        None if text.contains('@') => return Err(EndpointError::Surplus { key }),
        None => return Err(EndpointError::Address { key, text: text.to_owned() }),
    };
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
        return Err(EndpointError::Surplus { key });
    }
    if url.scheme() != "https" && !is_here(&url) {
        return Err(EndpointError::Unencrypted { key, text: text.to_owned() });
    }
    Ok(url)
}

#[cfg(test)]
pub(in crate::codedeploy) mod tests {
    use std::time::Duration;

    use super::*;
    use crate::deployment::order::Policy;
    use crate::settings::SignatureCheck;

    pub(in crate::codedeploy) fn settings() -> CodeDeploy {
        CodeDeploy {
            endpoint: None,
            s3_endpoint: None,
            fips: false,
            auth_policy: false,
            imds_v1: false,
            on_premises_file: "/nowhere".into(),
            tracking: "ongoing-deployment".to_owned(),
            pause: Duration::from_secs(1),
            read_timeout: Duration::from_secs(80),
            throttle_pause: Duration::from_secs(60),
            signature: SignatureCheck::Content,
            policy: Policy::default(),
        }
    }

    fn found(region: &str, domain: &str, fips: bool, auth_policy: bool) -> String {
        match Endpoint::of(region, domain, &CodeDeploy { fips, auth_policy, ..settings() }) {
            Ok(found) => format!("{} {} {}", found.url, found.service, found.target("PollHostCommand")),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn each_region_and_partition_has_its_endpoint() {
        let usual = "codedeploy-commands CodeDeployCommandService_v20141006.PollHostCommand";
        let secure = "codedeploy-commands-secure CodeDeployCommandService.PollHostCommand";
        let regions = "`us-east-1`, `us-east-2`, `us-west-1`, `us-west-2`, `us-gov-east-1`, `us-gov-west-1`";
        let no_fips = |region: &str| format!("CodeDeploy has no FIPS endpoint in region `{region}`, only in {regions}");
        let no_region = |region: &str| format!("`{region}` is not the name of a region");
        let no_domain = |domain: &str| format!("`{domain}` is not the domain of a partition, such as `amazonaws.com`");
        let (com, cn, eu) = ("amazonaws.com", "amazonaws.com.cn", "amazonaws.eu");
        let table = [
            ("eu-west-1", com, false, false, format!("https://codedeploy-commands.eu-west-1.{com}/ {usual}")),
            ("eu-west-1", com, false, true, format!("https://codedeploy-commands-secure.eu-west-1.{com}/ {secure}")),
            ("us-east-1", com, true, false, format!("https://codedeploy-commands-fips.us-east-1.{com}/ {usual}")),
            (
                "us-gov-west-1",
                com,
                true,
                false,
                format!("https://codedeploy-commands-fips.us-gov-west-1.{com}/ {usual}"),
            ),
            (
                "us-west-2",
                com,
                true,
                true,
                format!("https://codedeploy-commands-secure-fips.us-west-2.{com}/ {secure}"),
            ),
            ("cn-north-1", cn, false, false, format!("https://codedeploy-commands.cn-north-1.{cn}/ {usual}")),
            ("eusc-de-east-1", eu, false, false, format!("https://codedeploy-commands.eusc-de-east-1.{eu}/ {usual}")),
            ("eu-west-1", com, true, false, no_fips("eu-west-1")),
            ("cn-north-1", cn, true, true, no_fips("cn-north-1")),
            ("", com, false, false, no_region("")),
            ("evil.example/", com, false, false, no_region("evil.example/")),
            ("US-EAST-1", com, false, false, no_region("US-EAST-1")),
            ("eu-west-1", "", false, false, no_domain("")),
            ("eu-west-1", "amazonaws.com/..", false, false, no_domain("amazonaws.com/..")),
            ("eu-west-1", "com", false, false, no_domain("com")),
        ];
        for (region, domain, fips, auth_policy, expected) in table {
            assert_eq!(found(region, domain, fips, auth_policy), expected, "{region} {domain} {fips} {auth_policy}");
        }
    }

    #[test]
    fn another_endpoint_is_encrypted_or_on_this_host() {
        let no_address = |text: &str| {
            Err(format!("`deploy_control_endpoint` is `{text}`, which is no https address; write `https://HOST`"))
        };
        let unencrypted = |text: &str| {
            Err(format!(
                "`deploy_control_endpoint` is `{text}`, which is not encrypted; http is for addresses of this host alone"
            ))
        };
        let surplus = || {
            Err("`deploy_control_endpoint` holds more than an address: no user, password, `?` or `#` belongs there"
                .to_owned())
        };
        let fine = |text: &str| Ok(text.to_owned());
        let table = [
            (
                "https://vpce-1.codedeploy.eu-west-1.vpce.amazonaws.com",
                fine("https://vpce-1.codedeploy.eu-west-1.vpce.amazonaws.com/"),
            ),
            ("https://10.0.0.1:8443/", fine("https://10.0.0.1:8443/")),
            ("http://127.0.0.1:8099", fine("http://127.0.0.1:8099/")),
            ("http://localhost:1", fine("http://localhost:1/")),
            ("http://[::1]:80", fine("http://[::1]/")),
            ("http://10.0.0.1", unencrypted("http://10.0.0.1")),
            ("http://127.0.0.1.example.com", unencrypted("http://127.0.0.1.example.com")),
            ("http://localhost.example.com", unencrypted("http://localhost.example.com")),
            ("codedeploy-commands.eu-west-1.amazonaws.com", no_address("codedeploy-commands.eu-west-1.amazonaws.com")),
            ("ftp://localhost", no_address("ftp://localhost")),
            ("", no_address("")),
            ("https://user:s3cret@example.com", surplus()),
            ("http://127.0.0.1:x@example.com", surplus()),
            ("https://example.com/?a=b", surplus()),
            ("ftp://user:s3cret@example.com", surplus()),
        ];
        for (text, expected) in table {
            let settings = CodeDeploy { endpoint: Some(text.to_owned()), fips: true, ..settings() };
            let found = Endpoint::of("eu-west-1", "amazonaws.com", &settings);
            let found = found.map(|found| found.url.to_string()).map_err(|error| error.to_string());
            assert_eq!(found, expected, "{text}");
            // What bundles come from has the same rules, and moves nothing else.
            let settings = CodeDeploy { s3_endpoint: Some(text.to_owned()), ..self::settings() };
            let found = Endpoint::of("eu-west-1", "amazonaws.com", &settings);
            let found = found.map(|found| found.url.to_string()).map_err(|error| error.to_string());
            let usual = |_| "https://codedeploy-commands.eu-west-1.amazonaws.com/".to_owned();
            let of_s3 = |error: String| error.replace("deploy_control_endpoint", "s3_endpoint_override");
            assert_eq!(found, expected.map(usual).map_err(of_s3), "{text}");
        }
    }
}
