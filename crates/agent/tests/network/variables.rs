//! The program with the variables that name proxies and authorities.

use std::process::{Command, Stdio};

use super::internet::Internet;

/// Looks at an object of S3 with these variables and nothing of the surroundings: what is told.
fn plan(endpoint: &str, variables: &[(&str, &str)]) -> String {
    let root = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore-agent"));
    command.arg("--root").arg(root.path()).args([
        "plan",
        "s3://bucket/shop.zip",
        "--application",
        "shop",
        "--group",
        "dev",
    ]);
    command
        .env_clear()
        .env("HOME", root.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_REGION", "eu-central-1");
    command.env("AWS_ACCESS_KEY_ID", "AKIA").env("AWS_SECRET_ACCESS_KEY", "hush").env("AWS_MAX_ATTEMPTS", "1");
    command.env("AWS_ENDPOINT_URL_S3", endpoint).envs(variables.iter().copied()).stdin(Stdio::null());
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "");
    String::from_utf8(output.stderr).unwrap()
}

/// What is told of an object that was fetched.
const FETCHED: &str = "error: cannot use bundle `s3://bucket/shop.zip`\n";
const FAR: &str = "https://s3.example.test";

#[test]
fn the_variables_that_name_proxies_and_authorities_mean_what_they_mean_to_other_programs() {
    let internet = Internet::start(|_| "200 OK\nETag: \"e\"\n\nno archive".to_owned());
    let authority = internet.authority();
    let (proxy, ca) = (internet.proxy.as_str(), authority.to_str().unwrap());
    let tunnel = ["CONNECT s3.example.test:443"].as_slice();
    let here = format!("https://localhost:{}", internet.port);
    let unreachable = format!("error: cannot fetch `s3://bucket/shop.zip`\n  caused by: cannot reach `{FAR}`\n");
    let unreachable = unreachable.as_str();
    let socks = "error: cannot fetch `s3://bucket/shop.zip`\n  caused by: the proxy in `ALL_PROXY` `socks5://proxy:1` must \
                 be one for HTTP";
    type Row<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str], &'a str);
    let table: [Row<'_>; 11] = [
        (FAR, &[("HTTPS_PROXY", proxy), ("SSL_CERT_FILE", ca)], tunnel, FETCHED),
        (FAR, &[("https_proxy", proxy), ("AWS_CA_BUNDLE", ca)], tunnel, FETCHED),
        (FAR, &[("ALL_PROXY", proxy), ("AWS_CA_BUNDLE", ca)], tunnel, FETCHED),
        (
            FAR,
            &[("HTTPS_PROXY", proxy), ("NO_PROXY", "example.org, 10.0.0.0/8"), ("SSL_CERT_FILE", ca)],
            tunnel,
            FETCHED,
        ),
        (FAR, &[("HTTPS_PROXY", proxy)], tunnel, unreachable),
        (FAR, &[("HTTP_PROXY", proxy), ("SSL_CERT_FILE", ca)], &[], unreachable),
        (FAR, &[("HTTPS_PROXY", proxy), ("no_proxy", ".example.test"), ("SSL_CERT_FILE", ca)], &[], unreachable),
        (FAR, &[("HTTPS_PROXY", proxy), ("NO_PROXY", "example.test"), ("SSL_CERT_FILE", ca)], &[], unreachable),
        (FAR, &[("HTTPS_PROXY", proxy), ("NO_PROXY", "*"), ("SSL_CERT_FILE", ca)], &[], unreachable),
        (&here, &[("HTTPS_PROXY", proxy), ("AWS_CA_BUNDLE", ca)], &[], FETCHED),
        (FAR, &[("ALL_PROXY", "socks5://ann:hush@proxy:1"), ("SSL_CERT_FILE", ca)], &[], socks),
    ];
    let mut asked = 0;
    for (endpoint, variables, tunnels, expected) in table {
        let told = plan(endpoint, variables);
        assert!(told.starts_with(expected), "{variables:?}: {told}");
        assert!(!told.contains("hush"), "{told}");
        let all = internet.all_tunnels();
        assert_eq!(all[asked..], *tunnels, "{variables:?}");
        asked = all.len();
    }
}
