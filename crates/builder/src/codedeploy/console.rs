//! Where people look at a deployment in a browser. Pure.

use longshore_core::ids::DeploymentId;

/// The page of a deployment in the console. Each partition of AWS has a console of its own.
pub(crate) fn link(region: &str, deployment: &DeploymentId) -> String {
    let domain = if region.starts_with("cn-") {
        "console.amazonaws.cn"
    } else if region.starts_with("us-gov-") {
        "console.amazonaws-us-gov.com"
    } else {
        "console.aws.amazon.com"
    };
    format!("https://{region}.{domain}/codesuite/codedeploy/deployments/{deployment}?region={region}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_partition_has_its_console() {
        let id = "d-4QX7R2M1K".parse().unwrap();
        for (region, expected) in [
            ("eu-west-1", "https://eu-west-1.console.aws.amazon.com/"),
            ("cn-north-1", "https://cn-north-1.console.amazonaws.cn/"),
            ("us-gov-west-1", "https://us-gov-west-1.console.amazonaws-us-gov.com/"),
        ] {
            let link = link(region, &id);
            assert_eq!(link, format!("{expected}codesuite/codedeploy/deployments/d-4QX7R2M1K?region={region}"));
        }
    }
}
