//! The client against a server that says anything.

use std::error::Error;
use std::time::{Duration, Instant};

use longshore_agent::codedeploy::client::{Client, ServiceError};
use longshore_agent::codedeploy::command::{CommandStatus, Envelope, HostCommand, Specification};
use longshore_agent::deployment::order::Policy;
use longshore_agent::identity::{Credentials, Identity};
use longshore_agent::settings::{CodeDeploy, SignatureCheck};
use longshore_core::store::Keys;
use sha2::{Digest, Sha256};

use crate::server::{Reply, Request, Server, json};

const HOST: &str = "arn:aws:ec2:eu-west-1:123456789012:instance/i-0123456789abcdef0";
const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY";

fn settings(server: &Server) -> CodeDeploy {
    CodeDeploy {
        endpoint: Some(server.url()),
        s3_endpoint: None,
        fips: false,
        auth_policy: false,
        imds_v1: false,
        on_premises_file: "/nowhere".into(),
        tracking: "ongoing-deployment".to_owned(),
        pause: Duration::ZERO,
        read_timeout: Duration::from_secs(30),
        throttle_pause: Duration::from_millis(100),
        signature: SignatureCheck::Content,
        policy: Policy::default(),
    }
}

fn client_of(settings: &CodeDeploy, session_token: Option<&str>) -> Client {
    let identity = Identity {
        host: HOST.to_owned(),
        region: "eu-west-1".to_owned(),
        domain: "amazonaws.com".to_owned(),
        credentials: Credentials::fixed(Keys {
            access_key_id: "AKIDEXAMPLE".to_owned(),
            secret_access_key: SECRET.to_owned(),
            session_token: session_token.map(str::to_owned),
        }),
        hook_variables: Vec::new(),
    };
    let http = reqwest::Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none());
    Client::new(&identity, settings, http.build().unwrap()).unwrap()
}

fn client(server: &Server) -> Client {
    client_of(&settings(server), None)
}

fn noop() -> Envelope {
    Envelope::of_acknowledgement(true)
}

/// An error with all its causes.
fn told(error: &ServiceError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

/// HMAC as RFC 2104 has it.
fn hmac(key: &[u8], text: &str) -> Vec<u8> {
    let mut block = key.to_vec();
    block.resize(64, 0);
    let pad = |byte: u8| block.iter().map(|key| key ^ byte).collect::<Vec<u8>>();
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// What `authorization` has to say of a request, worked out anew from what came.
fn authorization(request: &Request, service: &str, signed: &[&str]) -> String {
    let time = request.header("x-amz-date");
    let day = &time[..8];
    let scope = format!("{day}/eu-west-1/{service}/aws4_request");
    let headers: String = signed.iter().map(|name| format!("{name}:{}\n", request.header(name))).collect();
    let names = signed.join(";");
    let canonical = format!("POST\n/\n\n{headers}\n{names}\n{}", hex(&Sha256::digest(&request.body)));
    let to_sign = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hex(&Sha256::digest(canonical)));
    let key = hmac(format!("AWS4{SECRET}").as_bytes(), day);
    let key = ["eu-west-1", service, "aws4_request"].iter().fold(key, |key, part| hmac(&key, part));
    let signature = hex(&hmac(&key, &to_sign));
    format!("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/{scope}, SignedHeaders={names}, Signature={signature}")
}

#[tokio::test]
async fn each_operation_says_what_the_aws_agent_says_and_is_signed() {
    for (auth_policy, token) in [(false, None), (true, Some("se+ss/io=n"))] {
        let server = Server::new(vec![json(200, "{}")]);
        let client = client_of(&CodeDeploy { auth_policy, ..settings(&server) }, token);
        assert_eq!(client.host(), HOST);
        client.poll().await.unwrap();
        client.specification("a/b/c/d-1").await.unwrap();
        client.acknowledge("command-1", &noop()).await.unwrap();
        client.complete("command-1", CommandStatus::Failed, &noop()).await.unwrap();
        client.update("command-1", None, None).await.unwrap();
        client.update("command-1", Some(1_800_000_000.5), Some(&noop())).await.unwrap();

        let (service, prefix) = match auth_policy {
            false => ("codedeploy-commands", "CodeDeployCommandService_v20141006"),
            true => ("codedeploy-commands-secure", "CodeDeployCommandService"),
        };
        let diagnostics = r#""Diagnostics":{"Format":"JSON","Payload":"{\"IsCommandNoop\":true}"}"#;
        let command = r#""HostCommandIdentifier":"command-1""#;
        let expected = [
            ("PollHostCommand", format!(r#"{{"HostIdentifier":"{HOST}"}}"#)),
            (
                "GetDeploymentSpecification",
                format!(r#"{{"DeploymentExecutionId":"a/b/c/d-1","HostIdentifier":"{HOST}"}}"#),
            ),
            ("PutHostCommandAcknowledgement", format!("{{{command},{diagnostics}}}")),
            ("PutHostCommandComplete", format!(r#"{{{command},"CommandStatus":"Failed",{diagnostics}}}"#)),
            ("PostHostCommandUpdate", format!("{{{command}}}")),
            ("PostHostCommandUpdate", format!(r#"{{{command},"EstimatedCompletionTime":1800000000.5,{diagnostics}}}"#)),
        ];
        let requests = server.requests();
        let found: Vec<(&str, String)> = requests
            .iter()
            .map(|request| {
                let target = request.header("x-amz-target");
                (target.strip_prefix(prefix).unwrap().strip_prefix('.').unwrap(), request.body.clone())
            })
            .collect();
        assert_eq!(found, expected);

        let version = concat!("longshore-", env!("CARGO_PKG_VERSION"));
        let mut signed = vec!["content-type", "host", "x-amz-codedeploy-agent-version", "x-amz-date"];
        signed.extend(token.map(|_| "x-amz-security-token"));
        signed.push("x-amz-target");
        for request in &requests {
            assert_eq!(request.line, "POST / HTTP/1.1");
            assert_eq!(request.header("content-type"), "application/x-amz-json-1.1");
            assert_eq!(request.header("x-amz-codedeploy-agent-version"), version);
            assert_eq!(request.header("x-amz-security-token"), token.unwrap_or_default());
            assert_eq!(request.header("authorization"), authorization(request, service, &signed));
        }
    }
}

#[tokio::test]
async fn what_the_service_answers_is_understood() {
    let command = r#"{"HostCommandIdentifier":"c-1","HostIdentifier":"h","DeploymentExecutionId":"a/b/c/d-1","CommandName":"Install","Nonce":9007199254740993,"New":1}"#;
    let expected = HostCommand {
        host_command_identifier: "c-1".to_owned(),
        host_identifier: "h".to_owned(),
        deployment_execution_id: "a/b/c/d-1".to_owned(),
        command_name: "Install".to_owned(),
        nonce: Some(9_007_199_254_740_993),
    };
    let untyped = Reply::Answer(200, Vec::new(), String::new());
    let nothing = [json(200, "{}"), json(200, r#"{"HostCommand":null}"#), json(200, ""), untyped];
    let some = json(200, &format!(r#"{{"HostCommand":{command},"Other":[]}}"#));
    let server = Server::new([&nothing[..], &[some]].concat());
    let client = client(&server);
    for reply in &nothing {
        assert_eq!(client.poll().await.unwrap(), None, "{reply:?}");
    }
    assert_eq!(client.poll().await.unwrap(), Some(expected));

    let envelope = |payload: &str| Envelope { format: "PKCS7/JSON".to_owned(), payload: payload.to_owned() };
    let system = || Some("CodeDeploy".to_owned());
    let table = [
        ("{}", Specification { system: None, envelope: None }),
        (
            r#"{"DeploymentSystem":"CodeDeploy","DeploymentSpecification":{}}"#,
            Specification { system: system(), envelope: None },
        ),
        (
            r#"{"DeploymentSystem":"CodeDeploy","DeploymentSpecification":{"GenericEnvelope":{"Format":"PKCS7/JSON","Payload":"abc"},"VariantId":"v","VariantEnvelope":null}}"#,
            Specification { system: system(), envelope: Some(envelope("abc")) },
        ),
    ];
    let server = Server::new(table.iter().map(|(answer, _)| json(200, answer)).collect());
    let client = self::client(&server);
    for (answer, expected) in table {
        assert_eq!(client.specification("e").await.unwrap(), expected, "{answer}");
    }

    let table = [
        ("{}", None),
        (r#"{"CommandStatus":"Pending"}"#, Some(CommandStatus::Pending)),
        (r#"{"CommandStatus":"InProgress"}"#, Some(CommandStatus::InProgress)),
        (r#"{"CommandStatus":"Succeeded"}"#, Some(CommandStatus::Succeeded)),
        (r#"{"CommandStatus":"Failed"}"#, Some(CommandStatus::Failed)),
    ];
    let server = Server::new(table.iter().map(|(answer, _)| json(200, answer)).collect());
    let client = self::client(&server);
    for (answer, expected) in table {
        assert_eq!(client.acknowledge("c", &noop()).await.unwrap(), expected, "{answer}");
    }
}

// Two threads: the server waits for the connection to be closed while the test waits for the server.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn each_fault_has_its_error_and_the_daemon_asks_again_itself() {
    let page =
        |status| Reply::Answer(status, vec![("content-type", "text/html".to_owned())], "<h1>Log in</h1>".to_owned());
    let elsewhere = Reply::Answer(302, vec![("location", "http://127.0.0.1:9/".to_owned())], String::new());
    let network = |server: &Server, what: &str| {
        format!(
            "cannot reach CodeDeploy for `PollHostCommand`: error sending request for url ({}/): {what}",
            server.url()
        )
    };
    type Expected<'a> = &'a dyn Fn(&Server) -> String;
    let table: [(Reply, Expected<'_>, bool); 12] = [
        (
            json(400, r#"{"__type":"ClientException","message":"unknown host"}"#),
            &|_| "CodeDeploy answers 400 Bad Request to `PollHostCommand`: ClientException: unknown host".to_owned(),
            false,
        ),
        (
            json(400, r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#),
            &|_| "CodeDeploy asks for fewer calls of `PollHostCommand`: ThrottlingException: Rate exceeded".to_owned(),
            true,
        ),
        (
            json(500, r#"{"__type":"ServerException"}"#),
            &|_| "CodeDeploy fails with 500 Internal Server Error at `PollHostCommand`: ServerException".to_owned(),
            true,
        ),
        (page(502), &|_| "CodeDeploy fails with 502 Bad Gateway at `PollHostCommand`".to_owned(), true),
        (page(407), &|_| "CodeDeploy answers 407 Proxy Authentication Required to `PollHostCommand`".to_owned(), true),
        (
            page(200),
            &|_| "the answer to `PollHostCommand` is `text/html` and not JSON, so it is not from CodeDeploy".to_owned(),
            true,
        ),
        (
            json(200, "{\"HostCommand\":"),
            &|_| {
                "CodeDeploy's answer to `PollHostCommand` is not what was expected: EOF while parsing a value at line 1 column 15".to_owned()
            },
            true,
        ),
        (
            json(200, r#"{"HostCommand":{"HostCommandIdentifier":"c"}}"#),
            &|_| {
                "CodeDeploy's answer to `PollHostCommand` is not what was expected: missing field `HostIdentifier` at line 1 column 44".to_owned()
            },
            false,
        ),
        (
            json(200, &" ".repeat(1024 * 1024 + 1)),
            &|_| "CodeDeploy's answer to `PollHostCommand` is larger than 1048576 bytes".to_owned(),
            false,
        ),
        (
            elsewhere,
            &|_| {
                "the answer to `PollHostCommand` leads to `http://127.0.0.1:9/`, which CodeDeploy never does".to_owned()
            },
            true,
        ),
        (Reply::Silence, &|server| network(server, "operation timed out"), true),
        (
            Reply::HangUp,
            &|server| network(server, "client error (SendRequest): connection closed before message completed"),
            true,
        ),
    ];
    for (reply, expected, transient) in table {
        let server = Server::new(vec![reply.clone()]);
        let client = client_of(&CodeDeploy { read_timeout: Duration::from_millis(500), ..settings(&server) }, None);
        let error = client.poll().await.unwrap_err();
        assert_eq!((told(&error), error.is_transient()), (expected(&server), transient));
        assert!(!format!("{error:?}").contains(SECRET));
        assert_eq!(server.requests().len(), 1, "{reply:?}");
    }
}

#[tokio::test]
async fn a_client_that_follows_redirects_is_not_believed() {
    let other = Server::new(vec![json(200, "{}")]);
    let server = Server::new(vec![Reply::Answer(307, vec![("location", other.url())], String::new())]);
    let settings = settings(&server);
    let credentials = Credentials::fixed(Keys {
        access_key_id: "A".to_owned(),
        secret_access_key: SECRET.to_owned(),
        session_token: None,
    });
    let identity = Identity {
        host: HOST.to_owned(),
        region: "eu-west-1".to_owned(),
        domain: "amazonaws.com".to_owned(),
        credentials,
        hook_variables: Vec::new(),
    };
    let following = reqwest::Client::builder().no_proxy().build().unwrap();
    let error = Client::new(&identity, &settings, following).unwrap().poll().await.unwrap_err();
    let expected = format!("the answer to `PollHostCommand` leads to `{}/`, which CodeDeploy never does", other.url());
    assert_eq!(error.to_string(), expected);
}

#[tokio::test]
async fn results_are_told_again_quickly_and_then_it_is_up_to_the_caller() {
    let server = Server::new(vec![Reply::HangUp, Reply::HangUp, json(200, "{}")]);
    client(&server).complete("c", CommandStatus::Succeeded, &noop()).await.unwrap();
    assert_eq!(server.requests().len(), 3);

    let server = Server::new(vec![Reply::HangUp]);
    let error = client(&server).complete("c", CommandStatus::Succeeded, &noop()).await.unwrap_err();
    assert!(matches!(error, ServiceError::Network { .. }));
    assert_eq!(server.requests().len(), 4);

    let server = Server::new(vec![json(400, r#"{"__type":"ClientException"}"#)]);
    client(&server).complete("c", CommandStatus::Succeeded, &noop()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);

    // A long pause is not waited for with the result in hand.
    let busy = Reply::Answer(429, vec![("retry-after", "60".to_owned())], String::new());
    let server = Server::new(vec![busy]);
    let begin = Instant::now();
    client(&server).complete("c", CommandStatus::Succeeded, &noop()).await.unwrap_err();
    assert_eq!(server.requests().len(), 1);
    assert!(begin.elapsed() < Duration::from_secs(30));
}

#[tokio::test]
async fn a_pause_that_one_worker_is_asked_for_holds_for_all() {
    let busy = Reply::Answer(429, vec![("retry-after", "1".to_owned())], String::new());
    let server = Server::new(vec![busy, json(200, "{}")]);
    let client = client(&server);
    let begin = Instant::now();
    assert!(matches!(client.poll().await.unwrap_err(), ServiceError::Throttled { .. }));
    let (other, third) = (client.clone(), client.clone());
    let (acknowledged, polled) =
        tokio::join!(async { other.acknowledge("c", &noop()).await.map(|_| begin.elapsed()) }, async {
            third.poll().await.map(|_| begin.elapsed())
        },);
    assert!(acknowledged.unwrap() >= Duration::from_secs(1));
    assert!(polled.unwrap() >= Duration::from_secs(1));
    assert_eq!(server.requests().len(), 3);
}

#[tokio::test]
async fn credentials_that_have_expired_are_renewed_once() {
    let expired = || json(400, r#"{"__type":"ExpiredTokenException","message":"old"}"#);
    let server = Server::new(vec![expired(), json(200, "{}")]);
    assert_eq!(client(&server).poll().await.unwrap(), None);
    assert_eq!(server.requests().len(), 2);

    let server = Server::new(vec![expired()]);
    let error = client(&server).complete("c", CommandStatus::Succeeded, &noop()).await.unwrap_err();
    assert_eq!(error.to_string(), "CodeDeploy does not take this host's credentials: ExpiredTokenException: old");
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn the_service_is_there_when_it_answers_anything() {
    let server = Server::new(vec![json(404, "{}")]);
    client(&server).probe().await.unwrap();
    let requests = server.requests();
    assert_eq!((requests[0].line.as_str(), requests[0].header("authorization")), ("GET / HTTP/1.1", ""));
    let client = client(&server);
    drop(server);
    assert!(matches!(client.probe().await.unwrap_err(), ServiceError::Network { .. }));
}
