//! The service against `curl` and `openssl`, who know nothing of it.

use std::fs;
use std::process;

use serde_json::json;

use super::*;

const HOST: &str = "arn:aws:iam::123456789012:user/host-1";

fn keys() -> Keys {
    Keys { id: "AKIDHOST".to_owned(), secret: "secret/of+host".to_owned(), token: None }
}

fn start() -> CommandService {
    let short = Duration::from_millis(50);
    let service = CommandService::with_pace(Pace { poll: short, again: Duration::ZERO });
    service.register(HOST, &keys());
    service
}

fn deployment(id: &str) -> Deployment {
    Deployment::of(id, Revision::LocalDirectory("/release".to_owned()))
}

/// What `curl` says: its exit code, the status, the body.
struct Curl<'a> {
    service: &'a CommandService,
    keys: Keys,
    name: &'a str,
    prefix: &'a str,
}

impl Curl<'_> {
    fn of(service: &CommandService) -> Curl<'_> {
        Curl { service, keys: keys(), name: "codedeploy-commands", prefix: "CodeDeployCommandService_v20141006" }
    }

    fn ask(&self, operation: &str, body: &Value) -> (Option<i32>, String, Value) {
        let mut curl = process::Command::new("curl");
        curl.args(["--silent", "--max-time", "20", "--write-out", "\n%{http_code}"]);
        curl.arg("--user").arg(format!("{}:{}", self.keys.id, self.keys.secret));
        curl.arg("--aws-sigv4").arg(format!("aws:amz:{REGION}:{}", self.name));
        curl.arg("--header").arg(format!("X-Amz-Target: {}.{operation}", self.prefix));
        curl.args(["--header", "Content-Type: application/x-amz-json-1.1"]);
        if let Some(token) = &self.keys.token {
            curl.arg("--header").arg(format!("X-Amz-Security-Token: {token}"));
        }
        let output = curl.arg("--data-binary").arg(body.to_string()).arg(format!("{}/", self.service.url)).output();
        let output = output.unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let (body, status) = text.rsplit_once('\n').unwrap();
        (output.status.code(), status.to_owned(), serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// The body of an answer that is 200.
    fn get(&self, operation: &str, body: &Value) -> Value {
        let (code, status, answer) = self.ask(operation, body);
        assert_eq!((code, status.as_str()), (Some(0), "200"), "{operation} {body}: {answer}");
        answer
    }

    fn poll(&self) -> Value {
        self.get("PollHostCommand", &json!({"HostIdentifier": HOST}))["HostCommand"].clone()
    }

    fn refused(&self, operation: &str, body: &Value) -> String {
        let (_, status, answer) = self.ask(operation, body);
        format!("{status} {}", answer["__type"].as_str().unwrap_or_default())
    }
}

#[test]
fn a_deployment_goes_from_event_to_event_and_only_the_first_completion_counts() {
    let service = start();
    let curl = Curl::of(&service);
    assert_eq!(curl.poll(), Value::Null);
    service.deploy(HOST, &Deployment { ignore_stop_failures: true, ..deployment("d-1") });
    let mut seen = Vec::new();
    loop {
        let command = curl.poll();
        let Some(event) = command["CommandName"].as_str() else { break };
        let id = &command["HostCommandIdentifier"];
        let told = json!({"Format": "JSON", "Payload": json!({"IsCommandNoop": event == "AfterInstall"}).to_string()});
        let said =
            curl.get("PutHostCommandAcknowledgement", &json!({"HostCommandIdentifier": id, "Diagnostics": told}));
        seen.push(format!("{event} {}", said["CommandStatus"].as_str().unwrap()));
        if said["CommandStatus"] == "InProgress" {
            let status = if event == "ApplicationStop" { "Failed" } else { "Succeeded" };
            for status in [status, "Failed"] {
                curl.get("PutHostCommandComplete", &json!({"HostCommandIdentifier": id, "CommandStatus": status}));
            }
        }
    }
    let expected = [
        "ApplicationStop InProgress",
        "DownloadBundle InProgress",
        "BeforeInstall InProgress",
        "Install InProgress",
        "AfterInstall Succeeded",
        "ApplicationStart InProgress",
        "ValidateService InProgress",
    ];
    assert_eq!(seen, expected);
    let ended = service.wait_for_end(HOST, "d-1");
    assert_eq!(ended.status, Status::Succeeded);
    let counted = ended.commands.iter().map(|command| {
        let counted: Vec<bool> = command.completions.iter().map(|completion| completion.counts).collect();
        (command.status, counted)
    });
    let mut expected = vec![(Status::Succeeded, vec![true, false]); 7];
    expected[0].0 = Status::Failed;
    expected[4].1.clear();
    assert_eq!(counted.collect::<Vec<_>>(), expected);
}

#[test]
fn a_command_comes_again_until_it_is_acknowledged_and_a_failed_event_ends_the_deployment() {
    let service = start();
    let curl = Curl::of(&service);
    service.deploy(HOST, &deployment("d-1"));
    let command = curl.poll();
    assert_eq!(curl.poll(), command);
    let id = json!({"HostCommandIdentifier": command["HostCommandIdentifier"]});
    assert_eq!(curl.get("PutHostCommandAcknowledgement", &id)["CommandStatus"], "InProgress");
    assert_eq!(curl.get("PostHostCommandUpdate", &id)["CommandStatus"], "InProgress");
    assert_eq!(curl.poll(), Value::Null);
    let mut failed = id;
    failed["CommandStatus"] = "Failed".into();
    curl.get("PutHostCommandComplete", &failed);
    assert_eq!(curl.poll(), Value::Null);
    let ended = service.wait_for_end(HOST, "d-1");
    assert_eq!((ended.status, ended.commands.len(), ended.commands[0].deliveries), (Status::Failed, 1, 2));
}

#[test]
fn what_is_signed_or_written_wrongly_is_refused() {
    let service = start();
    service.deploy(HOST, &deployment("d-1"));
    let curl = Curl::of(&service);
    let poll = json!({"HostIdentifier": HOST});
    let with = |change: &dyn Fn(&mut Curl)| {
        let mut curl = Curl::of(&service);
        change(&mut curl);
        curl.refused("PollHostCommand", &poll)
    };
    assert_eq!(with(&|curl| curl.keys.secret.push('x')), "400 InvalidSignatureException");
    assert_eq!(with(&|curl| curl.keys.id.push('x')), "400 UnrecognizedClientException");
    assert_eq!(with(&|curl| curl.keys.token = Some("t".to_owned())), "400 InvalidClientTokenId");
    assert_eq!(with(&|curl| curl.name = "codedeploy"), "400 InvalidSignatureException");
    assert_eq!(with(&|curl| curl.prefix = "CodeDeployCommandService"), "400 InvalidSignatureException");
    assert_eq!(with(&|curl| curl.prefix = "CodeDeploy"), "404 UnknownOperationException");
    let secure =
        |curl: &mut Curl| (curl.prefix, curl.name) = ("CodeDeployCommandService", "codedeploy-commands-secure");
    let long = "x".repeat(8193);
    let command = curl.poll()["HostCommandIdentifier"].clone();
    assert_eq!(with(&secure), "200 ");

    let client = "400 com.amazonaws.codedeploy.commands#ClientException";
    for (operation, body, expected) in [
        ("PollHostCommand", json!({}), "400 ValidationException"),
        ("PollHostCommand", json!([]), "400 SerializationException"),
        ("PollHostCommand", json!({"HostIdentifier": HOST, "More": 1}), "400 SerializationException"),
        ("PollHostCommand", json!({"HostIdentifier": "another"}), "400 AccessDeniedException"),
        ("GetDeploymentSpecification", json!({"HostIdentifier": HOST, "DeploymentExecutionId": "a/b/c"}), client),
        ("GetDeploymentSpecification", json!({"HostIdentifier": HOST, "DeploymentExecutionId": "a/b/c/d"}), client),
        (
            "GetDeploymentSpecification",
            json!({"HostIdentifier": HOST, "DeploymentExecutionId": format!("a/b/c/{}", "d".repeat(124))}),
            "400 ValidationException",
        ),
        ("PutHostCommandAcknowledgement", json!({"HostCommandIdentifier": "unknown"}), client),
        ("PutHostCommandComplete", json!({"HostCommandIdentifier": command, "CommandStatus": "Pending"}), client),
        (
            "PutHostCommandComplete",
            json!({"HostCommandIdentifier": command, "CommandStatus": "Failed", "Diagnostics": {"Format": "JSON", "Payload": long}}),
            "400 ValidationException",
        ),
        (
            "PutHostCommandAcknowledgement",
            json!({"HostCommandIdentifier": command, "Diagnostics": {"Payload": "{}"}}),
            "400 ValidationException",
        ),
    ] {
        assert_eq!(curl.refused(operation, &body), expected, "{operation} {body}");
    }

    service.expire(&keys());
    assert_eq!(curl.refused("PollHostCommand", &poll), "400 ExpiredTokenException");
    let fresh = Keys { id: "ASIANEW".to_owned(), secret: "new".to_owned(), token: Some("token+/=".to_owned()) };
    service.register(HOST, &fresh);
    assert_eq!(with(&|curl| curl.keys = fresh.clone()), "200 ");
}

#[test]
fn whatever_may_go_wrong_goes_wrong_as_often_as_asked() {
    let service = start();
    service.deploy(HOST, &deployment("d-1"));
    let curl = Curl::of(&service);
    let command = curl.poll();
    let ask = || {
        let (code, status, body) = curl.ask("PollHostCommand", &json!({"HostIdentifier": HOST}));
        (
            code,
            format!(
                "{status} {}",
                body["__type"].as_str().unwrap_or(body["HostCommand"]["HostIdentifier"].as_str().unwrap_or("-"))
            ),
        )
    };
    for (fault, code, expected) in [
        (Fault::ServerError, 0, "500 com.amazonaws.codedeploy.commands#ServerException"),
        (Fault::Throttled, 0, "400 ThrottlingException"),
        (Fault::Denied, 0, "400 AccessDeniedException"),
        (Fault::LostRequest, 52, "000 -"),
        (Fault::LostReply, 52, "000 -"),
        (Fault::Malformed, 0, "200 -"),
        (Fault::WrongHost, 0, "200 arn:aws:iam::123456789012:user/host-10"),
        (Fault::Duplicate, 0, &format!("200 {HOST}")),
        (Fault::Slow(Duration::from_millis(10)), 0, &format!("200 {HOST}")),
    ] {
        service.inject(Operation::Poll, fault, 1);
        assert_eq!(ask(), (Some(code), expected.to_owned()), "{fault:?}");
        assert_eq!(ask(), (Some(0), format!("200 {HOST}")), "after {fault:?}");
    }
    assert_eq!(service.calls().len(), 19);

    let id = json!({"HostCommandIdentifier": command["HostCommandIdentifier"]});
    service.inject(Operation::Acknowledge, Fault::LostRequest, 1);
    curl.ask("PutHostCommandAcknowledgement", &id);
    assert_eq!(service.commands("d-1")[0].status, Status::Pending);
    service.inject(Operation::Acknowledge, Fault::LostReply, 1);
    curl.ask("PutHostCommandAcknowledgement", &id);
    assert_eq!(service.commands("d-1")[0].status, Status::InProgress);

    service.down();
    assert_ne!(ask().0, Some(0));
    service.up();
    assert_eq!(ask().0, Some(0));
}

#[test]
fn openssl_finds_specifications_signed_by_the_authority_and_no_others() {
    let service = start();
    let wanted = deployment("d-1");
    service.deploy(HOST, &wanted);
    let curl = Curl::of(&service);
    let execution = curl.poll()["DeploymentExecutionId"].clone();
    let asked = json!({"HostIdentifier": HOST, "DeploymentExecutionId": execution});
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("envelope.pem");
    let verify = || {
        let answer = curl.get("GetDeploymentSpecification", &asked);
        assert_eq!(answer["DeploymentSystem"], "CodeDeploy");
        let envelope = &answer["DeploymentSpecification"]["GenericEnvelope"];
        assert_eq!(envelope["Format"], "PKCS7/JSON");
        fs::write(&file, envelope["Payload"].as_str().unwrap()).unwrap();
        let mut openssl = process::Command::new("openssl");
        openssl.args(["smime", "-verify", "-binary", "-inform", "PEM", "-purpose", "any", "-CAfile"]);
        let output = openssl.arg(service.signer_authority()).arg("-in").arg(&file).output().unwrap();
        output.status.success().then(|| serde_json::from_slice::<Value>(&output.stdout).unwrap())
    };
    assert_eq!(verify(), Some(wanted.specification()));
    for fault in [Fault::Tampered, Fault::WrongSigner] {
        service.inject(Operation::Specification, fault, 1);
        assert_eq!(verify(), None, "{fault:?}");
    }
    assert_eq!(verify(), Some(wanted.specification()));
}
