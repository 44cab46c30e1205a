//! AWS Signature Version 4, checked as AWS documents it and without a line of an SDK.

use std::fmt::Write;

use jiff::tz::TimeZone;
use jiff::{Timestamp, civil};
use sha2::{Digest, Sha256};

use super::http::Request;

/// How far the clocks of client and service may be apart.
const SKEW_SECONDS: i64 = 15 * 60;
/// The number of bytes that SHA-256 works on at a time.
const BLOCK: usize = 64;

/// A key that the service knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    /// Its id.
    pub id: String,
    /// Its secret.
    pub secret: String,
    /// Of temporary keys: the token that must come with them.
    pub token: Option<String>,
}

/// Why a request is refused: the name of the error, and what a person is told.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal(pub(crate) &'static str, pub(crate) String);

/// Checks the signature of a request to `service` in `region`. `known` finds a key by its id. The id of the key.
pub(crate) fn check(
    request: &Request,
    known: impl Fn(&str) -> Option<Keys>,
    service: &str,
    region: &str,
    now: Timestamp,
) -> Result<String, Refusal> {
    let authorization = request
        .header("authorization")
        .ok_or_else(|| Refusal("MissingAuthenticationTokenException", "Missing Authentication Token".to_owned()))?;
    let parts = authorization.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| incomplete("another algorithm"))?;
    let part = |name: &str| {
        let mut parts = parts.split(',').filter_map(|part| part.trim().strip_prefix(name)?.strip_prefix('='));
        parts.next().ok_or_else(|| incomplete(name))
    };
    let (credential, signed, signature) = (part("Credential")?, part("SignedHeaders")?, part("Signature")?);

    let mut scope = credential.splitn(2, '/');
    let (Some(id), Some(scope)) = (scope.next(), scope.next()) else { return Err(incomplete("Credential")) };
    let date = request.header("x-amz-date").ok_or_else(|| incomplete("x-amz-date"))?;
    let day = date.get(..8).unwrap_or_default();
    let expected = format!("{day}/{region}/{service}/aws4_request");
    if scope != expected {
        return Err(wrong(format!("Credential should be scoped to {expected}, not {scope}")));
    }
    let sent = civil::DateTime::strptime("%Y%m%dT%H%M%SZ", date).map_err(|error| wrong(error.to_string()))?;
    let sent = sent.to_zoned(TimeZone::UTC).map_err(|error| wrong(error.to_string()))?.timestamp();
    if (sent.as_second() - now.as_second()).abs() > SKEW_SECONDS {
        return Err(wrong(format!("Signature expired: {date} is not near {now}")));
    }

    let signed_names: Vec<&str> = signed.split(';').collect();
    if !signed_names.is_sorted() {
        return Err(wrong("SignedHeaders must be sorted".to_owned()));
    }
    let must_be_signed = |name: &str| name == "host" || name.starts_with("x-amz-");
    let unsigned = request
        .headers
        .iter()
        .map(|(name, _)| name.as_str())
        .find(|name| must_be_signed(name) && !signed_names.contains(name));
    if let Some(name) = unsigned {
        return Err(wrong(format!("'{name}' must be a 'SignedHeader' in the Authorization header")));
    }

    let body = hex(&Sha256::digest(&request.body));
    if request.header("x-amz-content-sha256").is_some_and(|told| told != body) {
        return Err(wrong("The provided 'x-amz-content-sha256' header does not match what was computed".to_owned()));
    }
    let mut canonical = format!("{}\n{}\n", request.method, request.target.replacen('?', "\n", 1));
    if !request.target.contains('?') {
        canonical.push('\n');
    }
    for name in &signed_names {
        let value = request.header(name).ok_or_else(|| wrong(format!("the signed header {name} is not there")))?;
        let value = value.split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let _ = writeln!(canonical, "{name}:{value}");
    }
    let _ = write!(canonical, "\n{signed}\n{body}");

    let keys = known(id).ok_or_else(|| {
        let text = "The security token included in the request is invalid.".to_owned();
        Refusal("UnrecognizedClientException", text)
    })?;
    if keys.token.as_deref() != request.header("x-amz-security-token") {
        let text = "The security token included in the request is invalid".to_owned();
        return Err(Refusal("InvalidClientTokenId", text));
    }
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(canonical.as_bytes())));
    let secret = format!("AWS4{}", keys.secret);
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| hmac(&key, part.as_bytes()).to_vec());
    if hex(&hmac(&key, to_sign.as_bytes())) != signature {
        return Err(wrong(format!(
            "The request signature we calculated does not match the signature you provided. The canonical string was \
             {canonical:?}, the string to sign {to_sign:?}"
        )));
    }
    Ok(id.to_owned())
}

fn incomplete(what: &str) -> Refusal {
    Refusal("IncompleteSignatureException", format!("Authorization header requires '{what}'"))
}

fn wrong(message: String) -> Refusal {
    Refusal("InvalidSignatureException", message)
}

/// RFC 2104 over SHA-256.
fn hmac(key: &[u8], text: &[u8]) -> [u8; 32] {
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(&Sha256::digest(key));
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let padded = |pad: u8| block.map(|byte| byte ^ pad);
    let inner = Sha256::new().chain_update(padded(0x36)).chain_update(text).finalize();
    Sha256::new().chain_update(padded(0x5c)).chain_update(inner).finalize().into()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The request of AWS's own test suite for signatures, `post-x-www-form-urlencoded`, with its published secret.
    fn published() -> Request {
        Request {
            method: "POST".to_owned(),
            target: "/".to_owned(),
            headers: [
                ("content-type", "application/x-www-form-urlencoded"),
                ("host", "example.amazonaws.com"),
                ("x-amz-date", "20150830T123600Z"),
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date, \
                     Signature=ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
                ),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .to_vec(),
            body: b"Param1=value1".to_vec(),
        }
    }

    fn check_at(request: &Request, service: &str, at: &str) -> Result<String, Refusal> {
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        check(request, |id| (id == keys.id).then(|| keys.clone()), service, "us-east-1", at.parse().unwrap())
    }

    #[test]
    fn the_published_signature_is_right_and_any_change_makes_it_wrong() {
        let now = "2015-08-30T12:40:00Z";
        assert_eq!(check_at(&published(), "service", now), Ok("AKIDEXAMPLE".to_owned()));
        let changed = |change: &dyn Fn(&mut Request)| {
            let mut request = published();
            change(&mut request);
            check_at(&request, "service", now).unwrap_err().0
        };
        assert_eq!(changed(&|request| request.body.push(b'x')), "InvalidSignatureException");
        assert_eq!(changed(&|request| request.headers[1].1 = "elsewhere".to_owned()), "InvalidSignatureException");
        assert_eq!(changed(&|request| request.target = "/?a=b".to_owned()), "InvalidSignatureException");
        assert_eq!(
            changed(&|request| request.headers[3].1 = request.headers[3].1.replace(";host", "")),
            "InvalidSignatureException"
        );
        assert_eq!(
            changed(&|request| request.headers[3].1 = request.headers[3].1.replace("AKIDE", "AKIDF")),
            "UnrecognizedClientException"
        );
        assert_eq!(
            changed(&|request| request.headers.push(("x-amz-security-token".to_owned(), "t".to_owned()))),
            "InvalidSignatureException"
        );
        assert_eq!(changed(&|request| request.headers.truncate(3)), "MissingAuthenticationTokenException");
        assert_eq!(check_at(&published(), "other", now).unwrap_err().0, "InvalidSignatureException");
        assert_eq!(
            check_at(&published(), "service", "2015-08-30T12:52:00Z").unwrap_err().0,
            "InvalidSignatureException"
        );
    }
}
