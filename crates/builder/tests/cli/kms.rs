//! A KMS with one key, as strict about requests as the real one is where it matters here.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::sandbox::Sandbox;

/// What stands before an Ed25519 key in its DER form.
const DER_PREFIX: &[u8] = b"\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00";

/// The service; its thread ends with the test program.
pub(crate) struct Kms {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Kms {
    /// A service whose key is of this kind. `alias/liar` is a key that signs something else.
    pub(crate) fn start(kind: &'static str) -> Kms {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        thread::spawn(move || {
            let key = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
            for connection in listener.incoming() {
                serve(connection.unwrap(), &key, kind, &noted);
            }
        });
        Kms { url, asked }
    }

    /// Region, operation, algorithm and message type of every request.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A sandbox whose `longshore` asks this service.
    pub(crate) fn environment(&self, sandbox: Sandbox) -> Sandbox {
        self.environment_without_region(sandbox).env("AWS_REGION", "eu-west-1")
    }

    /// The same, which is not told a region.
    pub(crate) fn environment_without_region(&self, sandbox: Sandbox) -> Sandbox {
        let sandbox = sandbox.env("AWS_ENDPOINT_URL_KMS", &self.url).env("AWS_EC2_METADATA_DISABLED", "true");
        sandbox.env("AWS_ACCESS_KEY_ID", "AKIATEST").env("AWS_SECRET_ACCESS_KEY", "secret")
    }
}

fn serve(mut connection: TcpStream, key: &Ed25519KeyPair, kind: &str, noted: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(connection.try_clone().unwrap());
    loop {
        let (mut operation, mut region, mut length) = (String::new(), String::new(), 0);
        let mut line = String::new();
        loop {
            line.clear();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let (name, value) = line.trim().split_once(": ").unwrap_or((line.trim(), ""));
            match name.to_ascii_lowercase().as_str() {
                "" => break,
                "x-amz-target" => operation = value.strip_prefix("TrentService.").unwrap().to_owned(),
                "authorization" => region = value.split('/').nth(2).unwrap().to_owned(),
                "content-length" => length = value.parse().unwrap(),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let (algorithm, message_type) = (text(&asked, "SigningAlgorithm"), text(&asked, "MessageType"));
        noted.lock().unwrap().push(format!("{region} {operation} {algorithm} {message_type}").trim().to_owned());
        let (status, answer) = answer(&operation, &asked, key, kind);
        let body = answer.to_string();
        let head = format!(
            "HTTP/1.1 {status} x\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        connection.write_all(format!("{head}{body}").as_bytes()).unwrap();
    }
}

fn text<'a>(asked: &'a Value, name: &str) -> &'a str {
    asked[name].as_str().unwrap_or_default()
}

fn answer(operation: &str, asked: &Value, key: &Ed25519KeyPair, kind: &str) -> (u16, Value) {
    let refuse = |code: &str, message: String| (400, json!({"__type": code, "message": message}));
    let id = text(asked, "KeyId");
    let name = id.rsplit('/').next().unwrap_or_default();
    let is_rehearsal = asked["DryRun"] == true;
    // What each of these keys refuses, with what: everything, signing even on trial, or the signature itself.
    let refusal = match (name, operation, is_rehearsal) {
        ("forbidden", ..) | ("read-only", "Sign", _) => Some(("AccessDeniedException", "User is not authorized")),
        ("disabled", ..) => Some(("DisabledException", "The key is disabled.")),
        ("deleted", ..) => Some(("KMSInvalidStateException", "The key is pending deletion.")),
        ("symmetric", ..) => Some(("UnsupportedOperationException", "The key is symmetric.")),
        ("mac", "Sign", _) => Some(("InvalidKeyUsageException", "The key usage is GENERATE_VERIFY_MAC.")),
        ("throttled", ..) | ("late", "Sign", false) => Some(("ThrottlingException", "Rate exceeded")),
        ("expired", ..) => Some(("ExpiredTokenException", "The security token is expired")),
        ("longshore" | "liar" | "agreement" | "read-only" | "mac" | "late", ..) => None,
        _ => return refuse("NotFoundException", format!("Alias {id} is not found.")),
    };
    if let Some((code, message)) = refusal {
        return refuse(code, message.to_owned());
    }
    match operation {
        "GetPublicKey" => {
            let der = [DER_PREFIX, key.public_key().as_ref()].concat();
            let usage = if name == "agreement" { "KEY_AGREEMENT" } else { "SIGN_VERIFY" };
            (200, json!({"KeyId": id, "KeySpec": kind, "KeyUsage": usage, "PublicKey": BASE64_STANDARD.encode(der)}))
        }
        "Sign" => {
            let message = BASE64_STANDARD.decode(text(asked, "Message")).unwrap();
            let right = (text(asked, "SigningAlgorithm"), text(asked, "MessageType")) == ("ED25519_SHA_512", "RAW");
            if !right || message.len() > 4096 {
                return refuse("ValidationException", "wrong algorithm, message type or length".to_owned());
            }
            if is_rehearsal {
                return refuse("DryRunOperationException", "The request would have succeeded.".to_owned());
            }
            let message = if name == "liar" { b"something else".to_vec() } else { message };
            (
                200,
                json!({"KeyId": id, "Signature": BASE64_STANDARD.encode(key.sign(&message)), "SigningAlgorithm": "ED25519_SHA_512"}),
            )
        }
        other => refuse("UnknownOperationException", other.to_owned()),
    }
}
