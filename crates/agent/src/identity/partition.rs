//! Regions and the domains of their partitions. Pure.

use super::error::IdentityError;

/// The domain under which the services of a region stand.
pub(super) fn domain_of(region: &str) -> &'static str {
    let starts = |prefix| region.starts_with(prefix);
    match () {
        () if starts("cn-") => "amazonaws.com.cn",
        () if starts("eusc-") => "amazonaws.eu",
        () if starts("us-isob-") => "sc2s.sgov.gov",
        () if starts("us-isof-") || starts("eu-isof-") => "csp.hci.ic.gov",
        () if starts("eu-isoe-") => "cloud.adc-e.uk",
        () if starts("us-iso-") => "c2s.ic.gov",
        () => "amazonaws.com",
    }
}

/// Refuses what cannot be a region: it becomes part of the names of the hosts that get our signatures.
pub(super) fn check_region(region: &str, origin: &str) -> Result<(), IdentityError> {
    if is_region(region) {
        return Ok(());
    }
    Err(IdentityError::Region { region: region.to_owned(), origin: origin.to_owned() })
}

/// As the AWS agent 1.8.1 wants it.
pub(super) fn is_region(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=20).contains(&text.len()) && text.bytes().all(plain) && !text.starts_with('-') && !text.ends_with('-')
}

/// Refuses what cannot be a domain.
pub(super) fn check_domain(domain: &str) -> Result<(), IdentityError> {
    let label = |label: &str| {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        !label.is_empty() && label.bytes().all(plain)
    };
    if domain.len() <= 100 && domain.contains('.') && domain.split('.').all(label) {
        return Ok(());
    }
    Err(IdentityError::Domain(domain.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_region_has_the_domain_of_its_partition() {
        for (region, domain) in [
            ("eu-central-1", "amazonaws.com"),
            ("us-gov-west-1", "amazonaws.com"),
            ("cn-north-1", "amazonaws.com.cn"),
            ("eusc-de-east-1", "amazonaws.eu"),
            ("us-iso-east-1", "c2s.ic.gov"),
            ("us-isob-east-1", "sc2s.sgov.gov"),
            ("eu-isoe-west-1", "cloud.adc-e.uk"),
            ("us-isof-south-1", "csp.hci.ic.gov"),
        ] {
            assert_eq!(domain_of(region), domain, "{region}");
            assert!(is_region(region), "{region}");
            check_domain(domain).unwrap();
        }
    }

    #[test]
    fn what_would_lead_requests_elsewhere_is_no_region_and_no_domain() {
        for region in
            ["", "EU-central-1", "eu.central", "evil.example.com/", "eu-central-1@x", "-eu", "a-region-of-21-letters"]
        {
            assert!(!is_region(region), "{region:?}");
        }
        for domain in
            ["", "com", "amazonaws.com/x", ".com", "amazonaws..com", "<html>", "amazonaws.com:80", "user@amazonaws.com"]
        {
            assert!(check_domain(domain).is_err(), "{domain:?}");
        }
    }
}
