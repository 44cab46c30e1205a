use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::job::Job;

/// Passes connections on, and notes for which region each request is signed.
struct Relay {
    url: String,
    sent: Arc<Mutex<Vec<u8>>>,
}

impl Relay {
    fn start(url: &str) -> Relay {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let (own, to) =
            (format!("http://{}", listener.local_addr().unwrap()), url.strip_prefix("http://").unwrap().to_owned());
        let sent = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&sent);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let server = TcpStream::connect(&to).unwrap();
                let (back, noted) = ((server.try_clone().unwrap(), client.try_clone().unwrap()), Arc::clone(&noted));
                thread::spawn(move || pass(client, server, &|bytes| noted.lock().unwrap().extend(bytes)));
                thread::spawn(move || pass(back.0, back.1, &|_| ()));
            }
        });
        Relay { url: own, sent }
    }

    /// The paths of all that was written since the last time, each with whether S3 was told to encrypt it.
    fn written(&self) -> Vec<(String, bool)> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        let text = String::from_utf8_lossy(&sent).into_owned();
        let heads = text.split("PUT /").skip(1).map(|rest| rest.split("\r\n\r\n").next().unwrap());
        let of = |head: &str| head.split(['?', ' ']).next().unwrap().to_owned();
        heads.map(|head| (of(head), head.contains("x-amz-server-side-encryption: AES256"))).collect()
    }

    /// The regions of all requests since the last time, each once.
    fn regions(&self) -> Vec<String> {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        let text = String::from_utf8_lossy(&sent);
        let scopes = text.split("Credential=").skip(1).map(|rest| rest.split('/').nth(2).unwrap().to_owned());
        scopes.collect::<BTreeSet<String>>().into_iter().collect()
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream, note: &dyn Fn(&[u8])) {
    let mut buffer = [0; 64 << 10];
    while let Ok(got @ 1..) = from.read(&mut buffer) {
        note(&buffer[..got]);
        if to.write_all(&buffer[..got]).is_err() {
            return;
        }
    }
    // Whoever has gone already knows.
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn every_command_asks_a_bucket_in_the_region_that_is_named() {
    let mut job = Job::built("regions");
    let relay = Relay::start(&job.s3.url);
    let settings = |region: &str| format!("application = \"shop\"\n{region}\n[groups.dev]\nwith = \"store\"\n");
    job.write("longshore.toml", &settings("region = \"eu-central-1\""));
    job.build("first", "2026-02-01T03:04:06Z");
    let run = |job: &Job, args: &[&str], more: &[(&str, &str)]| {
        let mut longshore = job.longshore(args);
        longshore.env("AWS_ENDPOINT_URL_S3", &relay.url).env("AWS_ENDPOINT_URL", &relay.url);
        longshore.env("AWS_REGION", "us-east-1").envs(more.iter().copied());
        longshore.envs([job.service.environment()]);
        let output = longshore.output().unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        relay.regions()
    };
    let first = job.commit.clone();
    for args in [
        &["push"] as &[&str],
        &["push", "--group", "dev"],
        &["status"],
        &["status", "--group", "dev"],
        &["point", "--group", "dev", "--commit", &first],
    ] {
        assert_eq!(run(&job, args, &[]), ["eu-central-1"], "{args:?}");
    }
    job.build("second", "2026-02-02T03:04:06Z");
    let revision = format!("s3://regions/releases/shop/{first}.zip");
    for args in [
        &["push", "--build"] as &[&str],
        &["deploy", "--group", "dev"],
        &["deployments", "--group", "dev"],
        &["stop", "--group", "dev"],
        &["rollback", "--group", "dev"],
        &["prune", "--keep", "0", "--yes"],
    ] {
        assert_eq!(run(&job, args, &[]), ["eu-central-1"], "{args:?}");
    }
    // CodeDeploy is asked in the region of the bucket; the emulated one is at home in this one.
    job.write("longshore.toml", &settings("region = \"us-east-1\""));
    let deploy = ["deploy", "--group", "prod", "--allow-older", "--wait"];
    for args in [&deploy as &[&str], &[&deploy[..], &["--revision", &revision]].concat()] {
        assert_eq!(run(&job, args, &[("AWS_REGION", "eu-west-1")]), ["us-east-1"], "{args:?}");
    }
    // What the region of a group is, and what goes before it.
    let of_group = settings("region = \"eu-central-1\"").replace("\"store\"", "\"store\"\nregion = \"eu-west-3\"");
    job.write("longshore.toml", &of_group);
    let variable = [("LONGSHORE_REGION", "eu-south-1")];
    for verb in ["status", "deployments"] {
        let args = [verb, "--group", "dev"];
        assert_eq!(run(&job, &args, &[]), ["eu-west-3"], "{verb}");
        assert_eq!(run(&job, &args, &variable), ["eu-south-1"], "{verb}");
        assert_eq!(run(&job, &[&args[..], &["--region", "eu-north-1"]].concat(), &variable), ["eu-north-1"], "{verb}");
    }
    assert_eq!(run(&job, &["status"], &[]), ["eu-central-1"]);
    let ran = job.run(&["push", "--group", "dev", "--group", "prod"]).exits(2);
    let error = "error: groups `dev` and `prod` have different regions in longshore.toml\n\nhint: run the command once for each of \
                 them\nhint: or name the region of the store with `--region`\n";
    assert_eq!(ran.from("error:"), error);
    job.write("longshore.toml", &settings(""));
    assert_eq!(run(&job, &["status"], &[]), ["us-east-1"], "as the AWS CLI finds it");
}

#[test]
fn a_pointer_is_encrypted_as_artifacts_are_by_whichever_command_writes_it() {
    let mut job = Job::built("encrypted-pointers");
    let relay = Relay::start(&job.s3.url);
    let settings = "application = \"shop\"\n[upload]\nencryption = \"AES256\"\n[groups.dev]\nwith = \"store\"\n";
    job.write("longshore.toml", settings);
    job.build("first", "2026-02-01T03:04:06Z");
    let first = job.commit.clone();
    let run = |job: &Job, args: &[&str]| {
        let mut longshore = job.longshore(args);
        let output = longshore.env("AWS_ENDPOINT_URL_S3", &relay.url).env("AWS_ENDPOINT_URL", &relay.url).output();
        let output = output.unwrap();
        assert!(output.status.success(), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        relay.written()
    };
    assert_eq!(run(&job, &["push"]).len(), 1);
    job.build("second", "2026-02-02T03:04:06Z");
    for args in [
        &["push", "--group", "dev"] as &[&str],
        &["point", "--group", "dev", "--commit", &first, "--allow-older"],
        &["deploy", "--group", "dev"],
        &["stop", "--group", "dev"],
        &["rollback", "--group", "dev"],
    ] {
        let written = run(&job, args);
        assert!(written.iter().any(|(path, _)| path.ends_with("/groups/shop/dev.json")), "{args:?}: {written:?}");
        assert!(written.iter().all(|(_, encrypted)| *encrypted), "{args:?}: {written:?}");
    }
}
