//! Bundles from the network, by a server of the test's own. `tests/e2e` has the real S3.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use std::{fs, thread};

use super::fixture::{Host, Ran, finished};

/// One answer.
#[derive(Clone)]
struct Answer {
    status: &'static str,
    headers: String,
    body: Vec<u8>,
    /// Whether the connection ends in the middle of the body.
    cut: bool,
}

/// A server that gives one answer after the other, and remembers what it was asked.
struct Server {
    address: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    fn start(answers: impl IntoIterator<Item = Answer>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let asked: Arc<Mutex<Vec<String>>> = Arc::default();
        let (mut answers, seen) = (answers.into_iter().collect::<VecDeque<_>>(), Arc::clone(&asked));
        thread::spawn(move || {
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                let Some(question) = question(&stream) else { continue };
                seen.lock().unwrap().push(question);
                answer(&stream, &answers.pop_front().unwrap_or_else(|| status("500 Out Of Answers")));
            }
        });
        Server { address, asked }
    }

    /// The requests: first line, and who asks.
    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn question(stream: &TcpStream) -> Option<String> {
    let mut lines = BufReader::new(stream).lines();
    let mut question = lines.next()?.ok()?.trim_end_matches(" HTTP/1.1").to_owned();
    for line in lines {
        let line = line.ok()?;
        if line.is_empty() {
            break;
        }
        if let Some(token) = line.strip_prefix("authorization: ") {
            question.push_str(&format!(" by {token}"));
        }
    }
    Some(question)
}

fn answer(mut stream: &TcpStream, answer: &Answer) {
    let Answer { status, headers, body, cut } = answer;
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\nconnection: close\r\n{headers}\r\n", body.len());
    let body = if *cut { &body[..body.len() / 2] } else { body };
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(body));
}

fn status(status: &'static str) -> Answer {
    Answer { status, headers: String::new(), body: b"{}".to_vec(), cut: false }
}

fn redirect(to: &str) -> Answer {
    Answer { headers: format!("location: {to}\r\n"), ..status("302 Found") }
}

fn archive(body: Vec<u8>) -> Answer {
    Answer { body, ..status("200 OK") }
}

/// A host, and the archive that GitHub would make of its revision: everything in one folder.
fn host() -> (Host, Vec<u8>) {
    let host = Host::new();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    - location: env.sh\n";
    let script = format!(
        "#!/bin/sh\nenv | grep -E '^(APPLICATION_NAME|BUNDLE)' | sort >> {{trace}}\nenv > {}/env\n",
        host.path().display()
    );
    let revision = host.revision("o-r-0123456", &[("appspec.yml", appspec), ("env.sh", &script)]);
    host.pack(&revision);
    let zip = fs::read(host.path().join("nested.zip")).unwrap();
    (host, zip)
}

fn deploy(host: &Host, server: &Server, options: &[&str], environment: &[(&str, &str)]) -> Ran {
    let mut command = host.local(options);
    command.env("GITHUB_API_URL", format!("http://{}", server.address)).envs(environment.iter().copied());
    host.run(&mut command)
}

#[test]
fn a_commit_of_github_deploys_as_aws_deploys_it() {
    for (location, kind, asked, commit) in [
        ("https://github.com/o/r", "zip", "GET /repos/o/r/zipball/HEAD", "HEAD"),
        ("https://github.com/o/r", "tar", "GET /repos/o/r/tarball/HEAD", "HEAD"),
        ("https://github.com/o/r.git", "directory", "GET /repos/o/r/zipball/HEAD", "HEAD"),
        ("https://api.github.com/repos/o/r/tarball/v1.2", "zip", "GET /repos/o/r/zipball/v1.2", "v1.2"),
        ("https://api.github.com/repos/o/r/zipball/fix/it", "tgz", "GET /repos/o/r/zipball/fix/it", "fix/it"),
    ] {
        let (host, zip) = host();
        let body = if kind == "tar" { fs::read(host.path().join("nested.tgz")).unwrap() } else { zip };
        let server = Server::start([archive(body)]);
        let ran = deploy(&host, &server, &["-l", location, "-t", kind], &[]);
        assert_eq!(ran, finished(&host.group()), "{location}");
        assert_eq!(server.asked(), [asked]);
        assert_eq!(host.trace(), format!("APPLICATION_NAME={location}\nBUNDLE_COMMIT={commit}\n"));
    }
}

#[test]
fn a_token_is_sent_to_github_and_to_nobody_it_redirects_to() {
    let (host, zip) = host();
    let elsewhere = Server::start([archive(zip)]);
    let port = elsewhere.address.split_once(':').unwrap().1;
    let server = Server::start([redirect(&format!("http://localhost:{port}/codeload/x"))]);
    let ran = deploy(&host, &server, &["-l", "https://github.com/o/r", "-t", "zip"], &[("GITHUB_TOKEN", "s3cret")]);
    assert_eq!(ran, finished(&host.group()));
    assert_eq!(server.asked(), ["GET /repos/o/r/zipball/HEAD by Bearer s3cret"]);
    assert_eq!(elsewhere.asked(), ["GET /codeload/x"]);
    for entry in host.tree(&host.root()) {
        assert!(!entry.1.contains("s3cret"), "{entry:?}");
    }
    // Nor over a line on which others can listen.
    let mut command = host.local(&["-l", "https://github.com/o/r", "-t", "zip"]);
    let ran = host.run(command.env("GITHUB_API_URL", "http://github.example.com").env("GITHUB_TOKEN", "s3cret"));
    assert_eq!(
        (ran.code, ran.told.as_str()),
        (
            Some(1),
            "ERROR: cannot fetch `https://api.github.com/repos/o/r/zipball/HEAD`\n  caused by: `GITHUB_API_URL` is \
             `http://github.example.com`, which is not encrypted, and a token would be sent there\n"
        )
    );
}

#[test]
fn a_proxy_of_the_environment_is_used_for_github() {
    let (host, zip) = host();
    let proxy = Server::start([archive(zip)]);
    let mut command = host.local(&["-l", "https://github.com/o/r", "-t", "zip"]);
    command.env("GITHUB_API_URL", "http://github.invalid").env("http_proxy", format!("http://{}", proxy.address));
    assert_eq!(host.run(&mut command), finished(&host.group()));
    assert_eq!(proxy.asked(), ["GET http://github.invalid/repos/o/r/zipball/HEAD"]);
}

#[test]
fn the_network_settings_of_the_configuration_count_and_scripts_do_not_see_them() {
    // GitHub by the proxy, which is asked for the way.
    let (host_of_github, _) = host();
    let proxy = Server::start([]);
    host_of_github.configure(&format!(":proxy_uri: http://{}\n", proxy.address));
    let mut command = host_of_github.local(&["-l", "https://github.com/o/r", "-t", "zip"]);
    let mut asking = command.env("GITHUB_API_URL", "https://github.invalid").stdout(Stdio::null()).spawn().unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while proxy.asked().is_empty() {
        assert!(Instant::now() < deadline, "nobody asks the proxy");
        thread::park_timeout(Duration::from_millis(10));
    }
    asking.kill().unwrap();
    asking.wait().unwrap();
    assert_eq!(proxy.asked()[0], "CONNECT github.invalid:443");

    let (host, zip) = host();
    // S3 by its other address, as a server of one object would answer.
    let headers = "etag: \"e\"\r\nlast-modified: Fri, 02 Jan 2026 00:00:00 GMT\r\n".to_owned();
    let s3 = Server::start(std::iter::repeat_n(Answer { headers, ..archive(zip) }, 4));
    host.configure(&format!(":s3_endpoint_override: http://{}\n:use_fips_mode: true\n", s3.address));
    let mut command = host.local(&["-l", "s3://bucket/key.zip", "-t", "zip"]);
    for (name, value) in [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "us-east-1")] {
        command.env(name, value);
    }
    assert_eq!(host.run(&mut command), finished(&host.group()));
    assert!(s3.asked()[0].contains(" /bucket/key.zip"), "{:?}", s3.asked());
    let env = fs::read_to_string(host.path().join("env")).unwrap();
    assert!(env.contains("AWS_REGION=us-east-1\n"), "{env}");
    assert!(!env.contains("AWS_ENDPOINT_URL_S3") && !env.contains("FIPS") && !env.contains("PROXY"), "{env}");
}

#[test]
fn what_may_pass_is_tried_again_and_what_will_not_is_told() {
    let (host, zip) = host();
    let options = ["-l", "https://github.com/o/r", "-t", "zip"];
    for first in [status("503 Busy"), Answer { cut: true, ..archive(zip.clone()) }] {
        let server = Server::start([first, archive(zip.clone())]);
        assert_eq!(deploy(&host, &server, &options, &[]), finished(&host.group()));
        assert_eq!(server.asked().len(), 2);
    }
    for (status_line, token, cause, hint) in [
        (
            "404 Not Found",
            "",
            "GitHub shows no such commit",
            "\nhint: a private repository needs a token in `GITHUB_TOKEN`\n",
        ),
        (
            "403 Forbidden",
            "",
            "GitHub refuses: 403 Forbidden",
            "\nhint: without a token in `GITHUB_TOKEN` an address may ask only 60 times an hour\n",
        ),
        (
            "403 Forbidden",
            "s3cret",
            "GitHub refuses: 403 Forbidden",
            "\nhint: the token in `GITHUB_TOKEN` may not read the repository's contents, or was used too often; wait an \
             hour, or give another one\n",
        ),
        (
            "401 Unauthorized",
            "s3cret",
            "GitHub refuses: 401 Unauthorized",
            "\nhint: the token in `GITHUB_TOKEN` is wrong, or has expired\n",
        ),
        ("410 Gone", "", "GitHub answers 410 Gone", ""),
    ] {
        let server = Server::start([status(status_line)]);
        let ran = deploy(&host, &server, &options, &[("GITHUB_TOKEN", token)]);
        let told = format!(
            "ERROR: cannot fetch `https://api.github.com/repos/o/r/zipball/HEAD`\n  caused by: {cause}\n{hint}"
        );
        assert_eq!((ran.code, ran.told), (Some(1), told));
        assert_eq!(server.asked().len(), 1, "{status_line} is not asked again");
    }
    let server = Server::start([archive(b"no archive".to_vec())]);
    let ran = deploy(&host, &server, &options, &[]);
    assert_eq!(ran.code, Some(1));
    assert!(
        ran.told.starts_with("ERROR: cannot use bundle `https://api.github.com/repos/o/r/zipball/HEAD`\n"),
        "{ran:?}"
    );
}
