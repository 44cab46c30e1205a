//! Who this host is and with what it speaks: a metadata service on a port of this host, and real files.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use e2e::imds::{Imds, Instance, Tokens};
use longshore_agent::identity::{Identity, IdentityError};
use tempfile::TempDir;

const ROLE: &str = "GET /latest/meta-data/iam/security-credentials/ with token";
const KEYS: &str = "GET /latest/meta-data/iam/security-credentials/host-role with token";
const TOKEN: &str = "PUT /latest/api/token";

/// A host: a folder for its files, and its variables.
struct Host {
    folder: TempDir,
    variables: BTreeMap<String, String>,
    imds_v1: bool,
}

impl Host {
    fn new(imds: &Imds) -> Host {
        let variables = [("AWS_EC2_METADATA_SERVICE_ENDPOINT".to_owned(), imds.url.clone())].into();
        Host { folder: tempfile::tempdir().unwrap(), variables, imds_v1: true }
    }

    fn with(mut self, name: &str, value: &str) -> Host {
        self.variables.insert(name.to_owned(), value.to_owned());
        self
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        // As whoever rotates credentials does: another file takes the name.
        let new = self.folder.path().join("new");
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(&new, &path).unwrap();
        path
    }

    async fn find(&self) -> Result<Identity, IdentityError> {
        let file = self.folder.path().join("on-premises.yml");
        Identity::find_in(&file, self.imds_v1, &|name| self.variables.get(name).cloned()).await
    }
}

async fn key(identity: &Identity) -> Result<String, String> {
    identity.credentials.keys().await.map(|keys| keys.access_key_id).map_err(|error| told(&error))
}

fn told(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}

fn who(identity: &Identity) -> [&str; 3] {
    [&identity.host, &identity.region, &identity.domain]
}

#[tokio::test]
async fn an_instance_is_who_the_metadata_service_says() {
    let imds = Imds::start(Instance::default());
    let identity = Host::new(&imds).find().await.unwrap();
    let arn = "arn:aws:ec2:eu-central-1:123456789012:instance/i-0123456789abcdef0";
    assert_eq!(who(&identity), [arn, "eu-central-1", "amazonaws.com"]);
    assert_eq!(identity.hook_variables, []);
    let keys = identity.credentials.keys().await.unwrap();
    assert_eq!(keys.secret_access_key, "secret-1");
    assert_eq!(keys.session_token.as_deref(), Some("session-1"));
    let debug = format!("{identity:?} {keys:?}");
    assert!(!debug.contains("secret-1") && !debug.contains("session-1") && !debug.contains("token-0"), "{debug}");
    assert_eq!(imds.asked().iter().filter(|asked| *asked == TOKEN).count(), 1, "one token for all questions");
}

#[tokio::test]
async fn partition_and_domain_are_those_of_the_host() {
    let instance = Instance {
        region: "cn-north-1".to_owned(),
        partition: "aws-cn".to_owned(),
        domain: "amazonaws.com.cn".to_owned(),
        ..Instance::default()
    };
    let imds = Imds::start(instance);
    let identity = Host::new(&imds).find().await.unwrap();
    let arn = "arn:aws-cn:ec2:cn-north-1:123456789012:instance/i-0123456789abcdef0";
    assert_eq!(who(&identity), [arn, "cn-north-1", "amazonaws.com.cn"]);
}

#[tokio::test]
async fn region_and_host_of_the_environment_win_over_the_metadata_service_and_credentials_there_are_ignored() {
    let imds = Imds::start(Instance::default());
    let host = Host::new(&imds)
        .with("AWS_REGION", "eusc-de-east-1")
        .with("AWS_HOST_IDENTIFIER", "arn:aws-eusc:sts::123456789012:assumed-role/R/h")
        .with("AWS_ACCESS_KEY_ID", "AKIAOFSOMEBODY")
        .with("AWS_SECRET_ACCESS_KEY", "x")
        .with("AWS_PROFILE", "somebody");
    let identity = host.find().await.unwrap();
    let arn = "arn:aws-eusc:sts::123456789012:assumed-role/R/h";
    assert_eq!(who(&identity), [arn, "eusc-de-east-1", "amazonaws.eu"]);
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA1"));
}

#[tokio::test]
async fn a_token_that_holds_no_more_is_fetched_anew_once() {
    let imds = Imds::start(Instance::default());
    let identity = Host::new(&imds).find().await.unwrap();
    imds.expire_tokens();
    let before = imds.asked().len();
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA1"));
    assert_eq!(imds.asked()[before..], [ROLE, TOKEN, ROLE, KEYS]);
}

#[tokio::test]
async fn the_first_protocol_is_spoken_only_where_it_is_allowed_and_the_second_is_not() {
    for (tokens, error) in [
        (
            Tokens::None,
            "the metadata service does not say who this host is: it gives no token (HTTP status 404), and may not be asked without one",
        ),
        (Tokens::Lost, "the metadata service does not say who this host is: cannot ask it for `latest/api/token`"),
    ] {
        let imds = Imds::start(Instance { tokens, ..Instance::default() });
        let mut host = Host::new(&imds);
        let identity = host.find().await.unwrap();
        assert_eq!(identity.region, "eu-central-1", "{tokens:?}");
        assert_eq!(key(&identity).await.as_deref(), Ok("ASIA1"), "{tokens:?}");
        let tries = imds.asked().iter().filter(|asked| *asked == TOKEN).count();
        assert_eq!(tries, if tokens == Tokens::Lost { 3 } else { 1 }, "that there are no tokens is remembered");
        host.imds_v1 = false;
        let refused = told(&host.find().await.unwrap_err());
        assert!(refused.starts_with(error), "{refused}");
        let without = imds.asked().iter().rev().take_while(|asked| *asked == TOKEN).count();
        assert!(without > 0, "nothing was asked after the token was refused");

        // The administrator demands tokens from now on.
        imds.change(|instance| instance.tokens = Tokens::Required);
        identity.credentials.forget();
        assert_eq!(key(&identity).await.as_deref(), Ok("ASIA2"), "{tokens:?}");
    }
}

#[tokio::test]
async fn what_the_service_cannot_give_is_named() {
    let with = |change: fn(&mut Instance)| {
        let mut instance = Instance::default();
        change(&mut instance);
        instance
    };
    for (instance, expected) in [
        (with(|instance| instance.role = None), "this instance has no role (instance profile)"),
        (
            with(|instance| instance.role = Some("../x".to_owned())),
            "its answer to `latest/meta-data/iam/security-credentials/` is no name of a role",
        ),
        (
            with(|instance| instance.fails_with = Some(500)),
            "it answers 500 to `latest/meta-data/iam/security-credentials/`",
        ),
    ] {
        let imds = Imds::start(instance);
        let host = Host::new(&imds).with("AWS_REGION", "eu-central-1").with("AWS_HOST_IDENTIFIER", "x");
        let identity = host.find().await.unwrap();
        let expected = format!("the metadata service does not say who this host is: {expected}");
        assert_eq!(key(&identity).await, Err(expected));
    }
    for (instance, expected) in [
        (
            with(|instance| instance.region = "evil/".to_owned()),
            "the metadata service does not say who this host is: its answer to `latest/dynamic/instance-identity/document` is no identity document",
        ),
        (
            with(|instance| instance.region = "EU".to_owned()),
            "the metadata service says that the region is `EU`, which is none",
        ),
        (
            with(|instance| instance.domain = "<html>".to_owned()),
            "the metadata service says that services stand below `<html>`, which is no domain",
        ),
        (
            with(|instance| instance.partition = "a b".to_owned()),
            "the metadata service does not say who this host is: its answer to `latest/meta-data/services/partition` is no name of a partition",
        ),
    ] {
        let imds = Imds::start(instance);
        assert_eq!(told(&Host::new(&imds).find().await.unwrap_err()), expected);
    }
    let imds = Imds::start(Instance::default());
    let disabled = Host::new(&imds).with("AWS_EC2_METADATA_DISABLED", "true").find().await.unwrap_err();
    assert_eq!(
        told(&disabled),
        "the metadata service does not say who this host is: `AWS_EC2_METADATA_DISABLED` is `true`"
    );
    assert_eq!(imds.asked(), [""; 0]);
}

#[tokio::test]
async fn a_host_without_a_metadata_service_is_told_what_to_do() {
    // A port that was free a moment ago.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let imds = Imds::start(Instance::default());
    let host = Host::new(&imds).with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &format!("http://{closed}"));
    let error = host.find().await.unwrap_err();
    assert!(told(&error).contains("cannot ask it for `latest/api/token`"), "{}", told(&error));
    assert!(told(&error).ends_with("Connection refused (os error 111)"), "{}", told(&error));
    assert!(error.may_pass(), "the service may start later than the agent");
    assert!(error.hint().unwrap().contains("on-premises"));
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_it_be_it_a_token_or_not() {
    for (first_answer, path) in [("", "latest/api/token"), ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nt", DOCUMENT)]
    {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            if !first_answer.is_empty() {
                answer(&listener, first_answer.as_bytes());
            }
            let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n".as_slice();
            answer(&listener, &[head, &[b'x'; 200 << 10]].concat());
        });
        let host = Host::new(&Imds::start(Instance::default())).with("AWS_EC2_METADATA_SERVICE_ENDPOINT", &url);
        let expected =
            format!("the metadata service does not say who this host is: its answer to `{path}` is too long");
        assert_eq!(told(&host.find().await.unwrap_err()), expected);
        tokio::task::spawn_blocking(move || server.join().unwrap()).await.unwrap();
    }
}

const DOCUMENT: &str = "latest/dynamic/instance-identity/document";

/// Answers the next question with these bytes, as many as the other side takes, and waits until it has gone.
fn answer(listener: &std::net::TcpListener, bytes: &[u8]) {
    let (mut stream, _) = listener.accept().unwrap();
    let mut question = Vec::new();
    while !question.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        question.push(byte[0]);
    }
    // The other side goes in the middle of it.
    let _ = stream.write_all(bytes);
    let _ = stream.read(&mut [0]);
}

#[tokio::test]
async fn a_slow_service_is_waited_for_and_questions_at_the_same_time_are_one() {
    let imds = Imds::start(Instance { delay: Duration::from_millis(200), ..Instance::default() });
    let identity = Host::new(&imds).find().await.unwrap();
    let before = imds.asked().len();
    let mut callers = tokio::task::JoinSet::new();
    for _ in 0..20 {
        let credentials = identity.credentials.clone();
        callers.spawn(async move { credentials.keys().await.unwrap().access_key_id });
    }
    assert_eq!(callers.join_all().await, ["ASIA1"; 20]);
    assert_eq!(imds.asked()[before..], [ROLE, KEYS]);
}

#[tokio::test]
async fn credentials_are_renewed_before_they_expire_and_the_old_ones_are_kept_while_they_hold() {
    // Four minutes are less than the five before which they are renewed.
    let imds = Imds::start(Instance { credentials_hold_s: 240, ..Instance::default() });
    let identity = Host::new(&imds).find().await.unwrap();
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA1"));
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA2"), "renewed in time");
    imds.change(|instance| instance.role = None);
    assert_eq!(
        key(&identity).await.as_deref(),
        Ok("ASIA2"),
        "a renewal that fails is no error while the old ones hold"
    );
    let before = imds.asked().len();
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA2"));
    assert_eq!(imds.asked().len(), before, "and is not repeated at once");

    identity.credentials.forget();
    let error = key(&identity).await.unwrap_err();
    assert!(error.ends_with("this instance has no role (instance profile)"), "{error}");
    imds.change(|instance| instance.role = Some("host-role".to_owned()));
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA3"), "an error is not remembered");

    // Whose time is over is never kept.
    imds.change(|instance| instance.credentials_hold_s = -1);
    identity.credentials.forget();
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA4"), "the service may still take them");
    imds.change(|instance| instance.role = None);
    assert!(key(&identity).await.is_err());

    imds.change(|instance| (instance.role, instance.credentials_hold_s) = (Some("host-role".to_owned()), 6 * 3600));
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA5"));
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA5"), "those that hold for long are not renewed");
}

#[tokio::test]
async fn the_same_credentials_again_are_not_asked_for_all_the_time() {
    let keys = ["ASIASAME", "s", "t"].map(str::to_owned);
    let imds = Imds::start(Instance { credentials_hold_s: 240, keys: Some(keys), ..Instance::default() });
    let identity = Host::new(&imds).find().await.unwrap();
    for _ in 0..5 {
        assert_eq!(key(&identity).await.as_deref(), Ok("ASIASAME"));
    }
    assert_eq!(imds.asked().iter().filter(|asked| *asked == KEYS).count(), 2);
}

fn user(region: &str, id: &str) -> String {
    format!(
        "---\nregion: {region}\niam_user_arn: arn:aws:iam::123456789012:user/host\naws_access_key_id: {id}\n\
         aws_secret_access_key: hush\n"
    )
}

#[tokio::test]
async fn a_registered_user_is_who_its_file_says_and_nobody_else_is_asked() {
    let imds = Imds::start(Instance::default());
    // The environment does not win over the file (AWS agent 1.8.1).
    let host = Host::new(&imds).with("AWS_REGION", "us-east-1").with("AWS_HOST_IDENTIFIER", "other");
    host.file("on-premises.yml", &user("eusc-de-east-1", "AKIA1"));
    let identity = host.find().await.unwrap();
    assert_eq!(who(&identity), ["arn:aws:iam::123456789012:user/host", "eusc-de-east-1", "amazonaws.eu"]);
    assert_eq!(key(&identity).await.as_deref(), Ok("AKIA1"));
    let of_hooks = [("AWS_REGION", "eusc-de-east-1"), ("AWS_HOST_IDENTIFIER", "arn:aws:iam::123456789012:user/host")];
    assert_eq!(identity.hook_variables, of_hooks.map(|(name, value)| (name.to_owned(), value.to_owned())));
    assert_eq!(imds.asked(), [""; 0]);
    assert!(!format!("{identity:?}").contains("hush"));
}

#[tokio::test]
async fn new_keys_in_the_file_are_taken_without_a_restart_and_another_host_is_not() {
    let imds = Imds::start(Instance::default());
    let host = Host::new(&imds);
    host.file("on-premises.yml", &user("eu-central-1", "AKIA1"));
    let identity = host.find().await.unwrap();
    assert_eq!(key(&identity).await.as_deref(), Ok("AKIA1"));
    host.file("on-premises.yml", &user("eu-central-1", "AKIA2"));
    assert_eq!(key(&identity).await.as_deref(), Ok("AKIA2"));
    let other = user("eu-central-1", "AKIA3").replace("user/host", "user/other");
    let file = host.file("on-premises.yml", &other);
    assert_eq!(key(&identity).await.as_deref(), Ok("AKIA2"), "the keys of before hold still");
    identity.credentials.forget();
    assert_eq!(key(&identity).await, Err(format!("`{}` is about another host by now", file.display())));
}

#[tokio::test]
async fn a_session_reads_its_credentials_again_when_they_change_and_only_then() {
    let imds = Imds::start(Instance::default());
    let host = Host::new(&imds);
    let contents =
        |id: &str| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = s\naws_session_token = t\n");
    let credentials = host.file("credentials", &contents("ASIA1"));
    let text = format!(
        "region: eu-central-1\niam_session_arn: arn:aws:sts::123456789012:assumed-role/R/host\naws_credentials_file: {}\n",
        credentials.display()
    );
    host.file("on-premises.yml", &text);
    let identity = host.find().await.unwrap();
    assert_eq!(identity.host, "arn:aws:sts::123456789012:assumed-role/R/host");
    let keys = identity.credentials.keys().await.unwrap();
    assert_eq!((keys.access_key_id.as_str(), keys.session_token.as_deref()), ("ASIA1", Some("t")));
    host.file("credentials", &contents("ASIA2"));
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA2"));
    host.file("credentials", "[other]\n");
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA2"), "a file that is wrong does not take away what there is");
    identity.credentials.forget();
    assert_eq!(key(&identity).await, Err(format!("`{}` has no profile `[default]`", credentials.display())));
    fs::remove_file(&credentials).unwrap();
    assert_eq!(
        key(&identity).await,
        Err(format!("cannot read `{}`: No such file or directory (os error 2)", credentials.display()))
    );
    host.file("credentials", &contents("ASIA3"));
    assert_eq!(key(&identity).await.as_deref(), Ok("ASIA3"));
}

#[tokio::test]
async fn a_file_that_is_wrong_is_an_error_and_one_that_is_missing_means_an_instance() {
    let imds = Imds::start(Instance::default());
    let host = Host::new(&imds);
    let file = host.file("on-premises.yml", "region: eu-central-1\n");
    let error = host.find().await.unwrap_err();
    let expected =
        format!("the on-premises file is wrong: {}: `iam_user_arn` or `iam_session_arn` is missing", file.display());
    assert_eq!(told(&error), expected);
    assert!(!error.may_pass());
    fs::remove_file(&file).unwrap();
    assert!(host.find().await.unwrap().host.contains(":instance/"));
    fs::create_dir(&file).unwrap();
    let expected = format!("cannot read `{}`: Is a directory (os error 21)", file.display());
    assert_eq!(told(&host.find().await.unwrap_err()), expected);
}

/// What was said while something ran.
fn said_during<T>(run: impl Future<Output = T>) -> (T, String) {
    let said = Arc::new(Mutex::new(Vec::new()));
    let to = Arc::clone(&said);
    let writer = move || Said(Arc::clone(&to));
    let subscriber = tracing_subscriber::fmt().without_time().with_ansi(false).with_writer(writer).finish();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let result = tracing::subscriber::with_default(subscriber, || runtime.block_on(run));
    let said = String::from_utf8(said.lock().unwrap().clone()).unwrap();
    (result, said)
}

struct Said(Arc<Mutex<Vec<u8>>>);

impl io::Write for Said {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_file_of_secrets_that_everybody_may_read_is_warned_of() {
    let imds = Imds::start(Instance::default());
    let host = Host::new(&imds);
    let file = host.file("on-premises.yml", &user("eu-central-1", "AKIA1"));
    let (identity, said) = said_during(host.find());
    assert_eq!((identity.unwrap().region.as_str(), said.as_str()), ("eu-central-1", ""));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    let (identity, said) = said_during(host.find());
    assert_eq!(identity.unwrap().region, "eu-central-1", "it is taken all the same");
    let warning = "everybody on this host may read this file with secrets; `chmod o-rwx` it";
    assert!(said.contains("WARN") && said.contains(warning) && said.contains(file.to_str().unwrap()), "{said}");
    assert!(!said.contains("hush") && !said.contains("AKIA"), "{said}");
}

#[test]
fn that_the_first_protocol_is_spoken_is_warned_of_once() {
    let imds = Imds::start(Instance { tokens: Tokens::None, ..Instance::default() });
    let host = Host::new(&imds);
    let (key, said) = said_during(async { key(&host.find().await.unwrap()).await });
    assert_eq!(key.as_deref(), Ok("ASIA1"));
    assert_eq!(said.matches("asked by its first protocol, without one").count(), 1, "{said}");
    let (_, said) = said_during(Host::new(&Imds::start(Instance::default())).find());
    assert_eq!(said, "");
}
