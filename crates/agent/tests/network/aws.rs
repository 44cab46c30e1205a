//! Inside a program: the client for AWS, S3 and GitHub.

use std::sync::atomic::AtomicUsize;
use std::time::Duration;
use std::{fs, thread};

use e2e::imds::{Imds, Instance};
use longshore_agent::codedeploy::access::host_access;
use longshore_agent::deployment::order::{Policy, Revision, SignaturePolicy};
use longshore_agent::fetch::access::{Access, environment_access};
use longshore_agent::fetch::{self, Request};
use longshore_agent::github::{Archive, GitHub};
use longshore_agent::identity::{Credentials, Identity};
use longshore_agent::network::{self, Network};
use longshore_agent::settings::{CodeDeploy, SignatureCheck};
use longshore_core::bundle::Limits;
use longshore_core::store::{Keys, S3Options, Store, StoreUrl};

use super::internet::Internet;

const FORBIDDEN: &str = "403 Forbidden\n\n<Error><Code>AccessDenied</Code><Message>No.</Message></Error>";

fn keys() -> Keys {
    Keys { access_key_id: "AKIA".into(), secret_access_key: "hush".into(), session_token: None }
}

fn network(internet: &Internet) -> Network {
    Network { proxy: Some(internet.proxy.clone()), ca_bundle: Some(internet.authority()) }
}

fn codedeploy() -> CodeDeploy {
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

fn identity(region: &str) -> Identity {
    Identity {
        host: "arn:aws:iam::123456789012:user/host".to_owned(),
        region: region.to_owned(),
        domain: "amazonaws.com".to_owned(),
        credentials: Credentials::fixed(keys()),
        hook_variables: Vec::new(),
    }
}

/// Fetches, and says how it ended.
fn look(revision: &Revision, access: &Access) -> String {
    let scratch = tempfile::tempdir().unwrap();
    let (limits, stop) = (Limits::default(), AtomicUsize::new(0));
    let request = Request {
        revision,
        content_digest: None,
        signatures: SignaturePolicy::none(),
        limits: &limits,
        stop: &stop,
        access,
        earlier: &[],
    };
    let error = fetch::look(&request, &scratch.path().join("bundle"), &|_| ()).map(drop).unwrap_err();
    told(&error)
}

fn told(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

#[tokio::test]
async fn a_service_is_reached_by_the_proxy_that_was_set_with_its_password_and_only_whom_was_trusted() {
    let internet = Internet::start(|_| "200 OK\n\nhello".to_owned());
    let way = Network { proxy: Some(internet.proxy.replace("http://", "http://ann:h%40sh@")), ..network(&internet) };
    let client = network::client(&way).unwrap();
    let answer = client.get("https://codedeploy-commands.example.test/").send().await.unwrap();
    assert_eq!(answer.text().await.unwrap(), "hello");
    assert_eq!(internet.tunnels(), ["CONNECT codedeploy-commands.example.test:443 as Basic YW5uOmhAc2g="]);
    let request = internet.requests().remove(0).to_ascii_lowercase();
    assert!(request.contains(&format!("user-agent: {}\r\n", network::USER_AGENT)), "{request}");
    assert!(!request.contains("proxy-authorization"), "{request}");

    let stranger = network::client(&Network { ca_bundle: None, ..way }).unwrap();
    let error = stranger.get("https://codedeploy-commands.example.test/").send().await.unwrap_err();
    assert!(told(&error).ends_with("invalid peer certificate: UnknownIssuer"), "{}", told(&error));
    assert!(!told(&error).contains("h@sh") && !told(&error).contains("h%40sh"), "{}", told(&error));
}

#[tokio::test]
async fn a_service_that_leads_elsewhere_is_not_followed() {
    let internet = Internet::start(|_| "302 Found\nLocation: https://elsewhere.example.test/".to_owned());
    let client = network::client(&network(&internet)).unwrap();
    let answer = client.get("https://codedeploy-commands.example.test/").send().await.unwrap();
    assert_eq!(answer.status(), 302);
    assert_eq!(internet.requests().len(), 1);
}

#[tokio::test]
async fn this_host_and_the_metadata_service_are_never_behind_a_proxy() {
    let internet = Internet::start_plain(|_| "200 OK\n\nhere".to_owned());
    let client = network::client(&Network { proxy: Some(internet.proxy.clone()), ca_bundle: None }).unwrap();
    for host in ["127.0.0.1", "localhost"] {
        let answer = client.get(format!("http://{host}:{}/", internet.port)).send().await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "here", "{host}");
    }
    for url in ["http://169.254.169.254/", "http://169.254.170.2/", "http://[fd00:ec2::254]/"] {
        // Whether somebody answers there is not ours to say; the proxy never hears of it.
        let _ = client.get(url).timeout(Duration::from_millis(300)).send().await;
    }
    assert_eq!(internet.tunnels(), [""; 0]);
    let refused = client.get("http://other.example.test/").send().await.unwrap();
    assert_eq!(refused.status(), 403, "anything else goes there");
    assert_eq!(internet.tunnels(), ["GET http://other.example.test/"]);
}

#[tokio::test]
async fn what_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    let of = |text: &str| {
        fs::write(&file, text).unwrap();
        told(&network::client(&Network { proxy: None, ca_bundle: Some(file.clone()) }).unwrap_err())
    };
    let shown = file.display();
    assert_eq!(of("hello"), format!("`{shown}` holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)"));
    let wrong = of("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    assert!(wrong.starts_with(&format!("certificate 1 in `{shown}` is not right: ")), "{wrong}");
    fs::remove_file(&file).unwrap();
    let missing = Network { proxy: None, ca_bundle: Some(file.clone()) };
    let expected =
        format!("cannot read the certificate authorities in `{shown}`: No such file or directory (os error 2)");
    assert_eq!(told(&network::client(&missing).unwrap_err()), expected);
    let options = S3Options { keys: Some(keys()), ca_bundle: Some(file.clone()), ..S3Options::default() };
    let error = Store::open_with(&"s3://bucket".parse().unwrap(), &options).await.unwrap_err();
    assert_eq!(told(&error), expected, "of S3 too");
    let socks = Network { proxy: Some("socks5://ann:hush@proxy:1080".to_owned()), ca_bundle: None };
    let expected = "the proxy `socks5://proxy:1080` must be one for HTTP: `http://HOST:PORT` or `https://HOST:PORT`";
    assert_eq!(told(&network::client(&socks).unwrap_err()), expected);
}

#[tokio::test]
async fn s3_of_each_region_is_asked_at_its_own_endpoint_by_the_proxy() {
    let table: [(&str, bool, Option<&str>, &str); 6] = [
        ("eu-central-1", false, None, "bucket.s3.eu-central-1.amazonaws.com:443"),
        ("us-gov-west-1", true, None, "bucket.s3-fips.us-gov-west-1.amazonaws.com:443"),
        ("us-east-1", true, None, "bucket.s3-fips.us-east-1.amazonaws.com:443"),
        ("cn-north-1", false, None, "bucket.s3.cn-north-1.amazonaws.com.cn:443"),
        ("eusc-de-east-1", false, None, "bucket.s3.eusc-de-east-1.amazonaws.eu:443"),
        ("eu-central-1", true, Some("https://s3.example.test:9000"), "s3.example.test:9000"),
    ];
    for (region, fips, endpoint, expected) in table {
        let internet = Internet::start(|_| FORBIDDEN.to_owned());
        let options = S3Options {
            endpoint: endpoint.map(str::to_owned),
            region: Some(region.to_owned()),
            fips,
            keys: Some(keys()),
            proxy: Some(internet.proxy.replace("http://", "http://ann:hush@").parse().unwrap()),
            ca_bundle: Some(internet.authority()),
            ..S3Options::default()
        };
        let store = Store::open_with(&"s3://bucket".parse::<StoreUrl>().unwrap(), &options).await.unwrap();
        let read = tokio::time::timeout(Duration::from_secs(20), store.read("key")).await.unwrap();
        assert!(read.is_err(), "{region}");
        let asked = internet.tunnels();
        assert_eq!(asked.first(), Some(&format!("CONNECT {expected} as Basic YW5uOmh1c2g=")), "{region} {fips}");
        let shown = format!("{store:?} {options:?}");
        assert!(!shown.contains("hush"), "{shown}");
    }
}

#[test]
fn a_deployment_fetches_with_the_credentials_that_the_host_has_at_that_moment() {
    let internet = Internet::start(|_| FORBIDDEN.to_owned());
    let imds = Imds::start(Instance { credentials_hold_s: 240, ..Instance::default() });
    let variable = |name: &str| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| imds.url.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (done, ended) = tokio::sync::oneshot::channel::<()>();
    let host = runtime.block_on(Identity::find_in("/nowhere".as_ref(), false, &variable)).unwrap();
    let access = host_access(&host, &codedeploy(), &network(&internet), runtime.handle().clone());
    // As in the daemon: one thread drives the runtime, another one carries out the deployment.
    let deployment = thread::spawn(move || {
        let revision = Revision::Object("s3://bucket/shop.zip".to_owned());
        let ends = [look(&revision, &access), look(&revision, &access)];
        done.send(()).unwrap();
        ends
    });
    runtime.block_on(ended).unwrap();
    for end in deployment.join().unwrap() {
        let expected = "cannot fetch `s3://bucket/shop.zip`: not allowed to read `s3://bucket/shop.zip`: \
                        AccessDenied: No. (HTTP status 403)";
        assert_eq!(end, expected);
    }
    let signed: Vec<String> = internet.requests().iter().map(|head| key_and_scope(head)).collect();
    let date = signed[0].split('/').nth(1).unwrap().to_owned();
    let of = |id: &str| format!("{id}/{date}/eu-central-1/s3/aws4_request");
    assert_eq!(signed, [of("ASIA1"), of("ASIA2")]);
}

/// With whose key, and for which region, a request is signed.
fn key_and_scope(head: &str) -> String {
    let (_, rest) = head.split_once("Credential=").unwrap();
    rest.split(',').next().unwrap().to_owned()
}

#[test]
fn a_host_without_credentials_says_so_for_the_object_that_it_cannot_fetch() {
    let imds = Imds::start(Instance { role: None, ..Instance::default() });
    let variable = |name: &str| (name == "AWS_EC2_METADATA_SERVICE_ENDPOINT").then(|| imds.url.clone());
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let host = runtime.block_on(Identity::find_in("/nowhere".as_ref(), false, &variable)).unwrap();
    let access = host_access(&host, &codedeploy(), &Network::default(), runtime.handle().clone());
    let end = look(&Revision::Object("s3://bucket/shop.zip".to_owned()), &access);
    let expected = "cannot fetch `s3://bucket/shop.zip`: the metadata service does not say who this host is: this \
                    instance has no role (instance profile)";
    assert_eq!(end, expected);
    let within = runtime.block_on(async { (access.s3)().unwrap_err().to_string() });
    assert_eq!(within, "the credentials of the host were asked for within a runtime", "waiting would never end");
}

#[test]
fn a_bucket_in_another_region_is_followed_there() {
    let internet = Internet::start(|head| {
        if head.contains("/eu-west-1/s3/") {
            return "200 OK\nETag: \"e\"\n\nno archive".to_owned();
        }
        "301 Moved Permanently\nx-amz-bucket-region: eu-west-1\n\n<Error><Code>PermanentRedirect</Code></Error>"
            .to_owned()
    });
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let access = host_access(&identity("eu-central-1"), &codedeploy(), &network(&internet), runtime.handle().clone());
    let end = look(&Revision::Object("s3://bucket/shop.zip".to_owned()), &access);
    assert!(end.starts_with("cannot use bundle `s3://bucket/shop.zip`: "), "{end}");
    let asked = ["eu-central-1", "eu-west-1"].map(|region| format!("CONNECT bucket.s3.{region}.amazonaws.com:443"));
    assert_eq!(internet.tunnels(), asked);
}

fn github() -> GitHub {
    let [account, repository, commit] = ["acme", "shop", "4f1c0de"].map(str::to_owned);
    GitHub { account, repository, commit, archive: Archive::Tarball }
}

#[test]
fn a_token_of_a_deployment_that_github_refuses_is_not_taken_for_that_of_the_environment() {
    let internet = Internet::start(|_| "404 Not Found".to_owned());
    let access =
        Access { github_token: Some("ghs_hush".to_owned()), ..environment_access(&network(&internet), None, false) };
    let end = look(&Revision::GitHub(github()), &access);
    let url = "https://api.github.com/repos/acme/shop/tarball/4f1c0de";
    let expected = format!("cannot fetch `{url}`: GitHub shows no such commit to the owner of the deployment's token");
    assert_eq!(end, expected);
}

#[test]
fn github_is_reached_by_the_same_proxy_with_the_token_of_the_deployment() {
    let internet = Internet::start(|_| "200 OK\n\nno archive".to_owned());
    let access =
        Access { github_token: Some("ghs_hush".to_owned()), ..environment_access(&network(&internet), None, false) };
    let end = look(&Revision::GitHub(github()), &access);
    assert!(end.starts_with("cannot use bundle `https://api.github.com/repos/acme/shop/tarball/4f1c0de`: "), "{end}");
    assert_eq!(internet.tunnels(), ["CONNECT api.github.com:443"]);
    let request = internet.requests().remove(0);
    assert!(request.starts_with("GET /repos/acme/shop/tarball/4f1c0de HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("authorization: Bearer ghs_hush\r\n"), "{request}");
    assert!(!format!("{access:?}").contains("hush"));
}
