//! Answers of AWS that a local S3 server does not give: a little HTTP server gives them, byte for byte.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::thread;

use super::super::{Keys, Store, StoreUrl};
use super::*;
use crate::failure::Failure;

/// An S3 server that gives the same answer to every request, until the test ends. Its URL.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut line, mut length) = (String::new(), 0);
            loop {
                line.clear();
                reader.read_line(&mut line).unwrap();
                if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                    length = value.trim().parse().unwrap();
                }
                if line.trim().is_empty() {
                    break;
                }
            }
            reader.take(length).read_to_end(&mut Vec::new()).unwrap();
            let (status_and_headers, body) = answer.split_once("\n\n").unwrap_or((answer, ""));
            let head = status_and_headers.replace('\n', "\r\n");
            let text = format!("HTTP/1.1 {head}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len());
            // The client may have seen enough.
            let _ = stream.write_all(text.as_bytes());
        }
    });
    url
}

async fn open(endpoint: String) -> Store {
    let keys = Keys { access_key_id: "id".into(), secret_access_key: "secret".into(), session_token: None };
    let options = S3Options {
        endpoint: Some(endpoint),
        region: Some("eu-central-1".to_owned()),
        keys: Some(keys),
        ..S3Options::default()
    };
    Store::open_with(&"s3://bucket/pre".parse::<StoreUrl>().unwrap(), &options).await.unwrap()
}

#[tokio::test]
async fn refusals_of_aws_are_told_in_one_line_with_a_way_out() {
    for (answer, expected) in [
        (
            "403 Forbidden\n\n<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>",
            "error: not allowed to read `s3://bucket/pre/key`\n  \
             caused by: AccessDenied: Access Denied (HTTP status 403)\n\n\
             hint: grant `s3:GetObject` (with versions also `s3:GetObjectVersion`); without `s3:ListBucket` a missing \
             object looks like this too\n",
        ),
        (
            "403 Forbidden\n\n<Error><Code>SignatureDoesNotMatch</Code><Message>It does not.</Message></Error>",
            "error: the AWS credentials are not accepted\n  \
             caused by: SignatureDoesNotMatch: It does not. (HTTP status 403)\n\n\
             hint: log in again or renew the keys, and check the clock; `aws sts get-caller-identity` shows what is in use\n",
        ),
        (
            "400 Bad Request\n\n<Error><Code>ExpiredToken</Code><Message>Expired.</Message></Error>",
            "error: the AWS credentials are not accepted\n  \
             caused by: ExpiredToken: Expired. (HTTP status 400)\n\n\
             hint: log in again or renew the keys, and check the clock; `aws sts get-caller-identity` shows what is in use\n",
        ),
        (
            "301 Moved Permanently\nx-amz-bucket-region: eu-west-1\n\n\
             <Error><Code>PermanentRedirect</Code><Message>Elsewhere.</Message></Error>",
            "error: bucket `bucket` is not in region `eu-central-1`\n\nhint: it is in `eu-west-1`: name that region instead\n",
        ),
        (
            "404 Not Found\n\n<Error><Code>NoSuchBucket</Code><Message>None.</Message></Error>",
            "error: bucket `bucket` does not exist\n\n\
             hint: check the name, and the account that the credentials belong to\n",
        ),
        (
            "400 Bad Request\n\n<Error><Code>InvalidRequest</Code><Message>Two\nlines.</Message></Error>",
            "error: cannot read `s3://bucket/pre/key`\n  caused by: InvalidRequest: Two lines. (HTTP status 400)\n",
        ),
        ("418 I'm a teapot\n\nno XML", "error: cannot read `s3://bucket/pre/key`\n  caused by: HTTP status 418\n"),
    ] {
        let store = open(server(answer)).await;
        let error = store.read("key").await.unwrap_err();
        assert_eq!(Failure::from(error).to_text(), expected, "{answer}");
    }
}

#[tokio::test]
async fn the_region_of_a_bucket_is_told_although_an_answer_to_head_has_no_body() {
    let store = open(server("400 Bad Request\nx-amz-bucket-region: eu-west-1")).await;
    let error = store.head("key", None).await.unwrap_err();
    assert!(
        matches!(&error, StoreError::WrongRegion { region: Some(region), .. } if region == "eu-west-1"),
        "{error:?}"
    );
}

#[tokio::test]
async fn what_an_answer_to_head_without_a_reason_may_mean_is_not_told_for_a_fact() {
    let expired = "HTTP status 400: perhaps the session of the AWS credentials has expired";
    for (version, cause) in [(None, expired), (Some("no-version"), "HTTP status 400")] {
        let store = open(server("400 Bad Request")).await;
        let error = store.head("key", version).await.unwrap_err();
        let expected = format!("error: cannot read `s3://bucket/pre/key`\n  caused by: {cause}\n");
        assert_eq!(Failure::from(error).to_text(), expected, "{version:?}");
        let Store::S3(store) = store else { panic!("no S3 store") };
        let object = "s3://bucket/key".parse::<super::super::ObjectUrl>().unwrap();
        let object = super::super::ObjectUrl { version: version.map(str::to_owned), ..object };
        let error = store.look(&object).await.unwrap_err();
        let expected = format!("error: cannot read `{object}`\n  caused by: {cause}\n");
        assert_eq!(Failure::from(error).to_text(), expected, "{version:?}");
    }
    // An answer to GET that leaves its body out is no sign of that.
    let error = open(server("400 Bad Request")).await.read("key").await.unwrap_err();
    let expected = "error: cannot read `s3://bucket/pre/key`\n  caused by: HTTP status 400\n";
    assert_eq!(Failure::from(error).to_text(), expected);
}

#[tokio::test]
async fn an_undecided_race_for_a_key_is_tried_again_and_then_given_up() {
    let answer = "409 Conflict\n\n<Error><Code>ConditionalRequestConflict</Code><Message>Race.</Message></Error>";
    let store = open(server(answer)).await;
    let file = tempfile::NamedTempFile::new().unwrap();
    let sha256 = crate::digest::Sha256::of(b"");
    let growing = crate::growing::Growing::finished(file.path(), sha256, sha256).unwrap();
    let error = store.put_growing("key", (&growing, ""), async || Ok(()), &|_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), "other writers keep writing `s3://bucket/pre/key`");
    assert_eq!(store.replace_if("key", b"x", None).await.unwrap(), None);
}

#[test]
fn secrets_are_not_in_debug_output() {
    let keys =
        Keys { access_key_id: "AKIA".into(), secret_access_key: "hush".into(), session_token: Some("hush".into()) };
    assert_eq!(format!("{keys:?}"), "Keys { access_key_id: \"AKIA\", .. }");
}
