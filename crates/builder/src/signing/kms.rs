//! A signing key of AWS KMS, which never leaves it. Only this file names the SDK of KMS.
//!
//! A signature of minisign is two Ed25519 signatures over few bytes, so a key of the kind `ECC_NIST_EDWARDS25519` can make both;
//! minisign itself verifies them.

use std::error::Error;
use std::future::Future;

use aws_sdk_kms::Client;
use aws_sdk_kms::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_kms::operation::sign::builders::SignFluentBuilder;
use aws_sdk_kms::primitives::Blob;
use aws_sdk_kms::types::{KeySpec, KeyUsageType, MessageType, SigningAlgorithmSpec};
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure, chain};
use longshore_core::figures::quoted;
use longshore_core::signature::PublicKey;

use crate::aws;

/// What stands before the 32 bytes of an Ed25519 key in its DER form (RFC 8410).
const DER_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// A key of KMS.
pub(crate) struct KmsKey {
    client: Client,
    name: String,
    region: String,
    public: PublicKey,
}

/// Why KMS did not sign.
#[derive(Debug, thiserror::Error)]
enum KmsError {
    /// KMS refused, or cannot be reached.
    #[error("KMS in {region} cannot {what} `{key}`")]
    Asked { what: &'static str, key: String, region: String, source: Answer },
    /// Nobody said where the key is.
    #[error("the region of the KMS key `{0}` is not known")]
    NoRegion(String),
    /// The key is for something else.
    #[error("the KMS key `{key}` is for {usage}, and signatures are made with keys for {}", KeyUsageType::SignVerify)]
    Usage { key: String, usage: String },
    /// The key cannot make such signatures.
    #[error("the KMS key `{key}` is of the kind {kind}, and signatures are made with {}", KeySpec::EccNistEdwards25519)]
    Kind { key: String, kind: String },
    /// KMS answered something else than the protocol says.
    #[error("KMS answered for `{key}` without {what}")]
    Incomplete { key: String, what: &'static str },
    /// The runtime cannot be started.
    #[error("cannot start the runtime")]
    Runtime(#[source] std::io::Error),
}

/// What KMS said, in one line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Answer(String);

impl KmsKey {
    /// Asks for the public half of a key: an id, an ARN or an alias. The region of an ARN is that of the key, else it is `region`, else
    /// that of the AWS CLI.
    pub(super) fn open(key: &str, region: Option<&str>) -> Result<KmsKey, Failure> {
        let of_arn = key.strip_prefix("arn:").and_then(|arn| arn.split(':').nth(2)).filter(|region| !region.is_empty());
        wait(async {
            let config = aws::config("kms", of_arn.or(region)).await?;
            let Some(region) = config.region().map(ToString::to_string) else {
                return Err(Failure::new(Exit::Usage, KmsError::NoRegion(key.to_owned())).hint(
                    "set `region` in longshore.toml, `LONGSHORE_REGION` or `AWS_REGION`, or give the key's ARN",
                ));
            };
            let client = Client::new(&config);
            let answer = client.get_public_key().key_id(key).send().await;
            let answer = answer.map_err(|error| refused("give the public key of", key, &region, &error))?;
            let key = key.to_owned();
            match answer.key_usage() {
                Some(KeyUsageType::SignVerify) | None => {}
                Some(usage) => {
                    let usage = usage.as_str().to_owned();
                    return Err(Failure::new(Exit::Usage, KmsError::Usage { key, usage }).hint(make_one(&region)));
                }
            }
            match answer.key_spec() {
                Some(KeySpec::EccNistEdwards25519) => {}
                kind => {
                    let kind = kind.map_or("unknown", KeySpec::as_str).to_owned();
                    return Err(Failure::new(Exit::Usage, KmsError::Kind { key, kind }).hint(make_one(&region)));
                }
            }
            let der = answer.public_key().map(Blob::as_ref).and_then(|der| der.strip_prefix(&DER_PREFIX));
            let bytes = der.and_then(|bytes| <&[u8; 32]>::try_from(bytes).ok());
            let bytes = bytes.ok_or_else(|| incomplete(&key, "an Ed25519 key of 32 bytes"))?;
            Ok(KmsKey { public: public_key(bytes), name: key, region, client })
        })
    }

    /// Asks whether it would sign, so that nobody packs for a key that does not.
    pub(super) fn rehearse(&self) -> Result<(), Failure> {
        wait(async {
            match self.request(b"rehearsal").dry_run(true).send().await {
                // A KMS that does not know rehearsals has signed something that means nothing.
                Ok(_) => Ok(()),
                Err(error) if error.code() == Some("DryRunOperationException") => Ok(()),
                Err(error) => Err(refused("sign with", &self.name, &self.region, &error)),
            }
        })
    }

    /// The public half.
    pub(super) fn public_key(&self) -> PublicKey {
        self.public.clone()
    }

    /// An Ed25519 signature over a message of at most 4096 bytes.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64], Failure> {
        wait(async {
            let answer = self.request(message).send().await;
            let answer = answer.map_err(|error| refused("sign with", &self.name, &self.region, &error))?;
            let signature = answer.signature().and_then(|signature| signature.as_ref().try_into().ok());
            signature.ok_or_else(|| incomplete(&self.name, "a signature of 64 bytes"))
        })
    }

    fn request(&self, message: &[u8]) -> SignFluentBuilder {
        let request = self.client.sign().key_id(&self.name).message(Blob::new(message));
        request.message_type(MessageType::Raw).signing_algorithm(SigningAlgorithmSpec::Ed25519Sha512)
    }
}

/// minisign gives keys ids by chance; that of a KMS key must be the same whoever asks: the first 8 bytes of the SHA-256 of the
/// public key.
fn public_key(bytes: &[u8; 32]) -> PublicKey {
    let digest = Sha256::of(bytes);
    let mut id = [0; 8];
    id.copy_from_slice(&digest.as_bytes()[..8]);
    PublicKey::of_bytes(id, bytes)
}

fn incomplete(key: &str, what: &'static str) -> Failure {
    Failure::new(Exit::Unavailable, KmsError::Incomplete { key: key.to_owned(), what })
}

fn refused<E, R>(what: &'static str, key: &str, region: &str, error: &SdkError<E, R>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
    R: std::fmt::Debug,
{
    let code = error.code().unwrap_or_default();
    let said = match (code, error.message().unwrap_or_default()) {
        ("", _) => chain(error),
        (code, "") => code.to_owned(),
        (code, message) => format!("{code}: {message}"),
    };
    let (exit, hint) = advice(code, key, region);
    let (key, region) = (key.to_owned(), region.to_owned());
    Failure::new(exit, KmsError::Asked { what, key, region, source: Answer(said) }).hint(hint)
}

/// What an error of KMS means, and what to type next.
fn advice(code: &str, key: &str, region: &str) -> (Exit, String) {
    // Whoever changes a key must name it by its id, and this is how an alias becomes one.
    let describe = format!("aws kms describe-key --region {region} --key-id {}", quoted(key));
    match code {
        "NotFoundException" => (
            Exit::NotFound,
            format!("give the id, the ARN or the alias (`alias/…`) of a key in this region: aws kms list-aliases --region {region}"),
        ),
        "AccessDeniedException" => (
            Exit::Unavailable,
            "whoever signs needs `kms:GetPublicKey` and `kms:Sign` for this key, by IAM or by the key's policy; who that is shows: \
             aws sts get-caller-identity"
                .to_owned(),
        ),
        "DisabledException" => (
            Exit::Unavailable,
            format!(
                "enable it: aws kms enable-key --region {region} --key-id \"$({describe} --query KeyMetadata.KeyId --output text)\""
            ),
        ),
        "KMSInvalidStateException" => {
            (Exit::Unavailable, format!("its state, for example that it is about to be deleted, shows: {describe}"))
        }
        "InvalidKeyUsageException" | "UnsupportedOperationException" => (Exit::Usage, make_one(region)),
        "ThrottlingException" | "LimitExceededException" => {
            (Exit::Unavailable, "KMS gets more requests than it takes: run the same command again".to_owned())
        }
        "DependencyTimeoutException" | "KMSInternalException" | "KeyUnavailableException" => {
            (Exit::Unavailable, "KMS has troubles of its own: run the same command again".to_owned())
        }
        "ExpiredTokenException"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "IncompleteSignature" => (
            Exit::Unavailable,
            "log in again or renew the keys, and check the clock; what is in use shows: aws sts get-caller-identity".to_owned(),
        ),
        _ => (Exit::Unavailable, "region, credentials and endpoint of KMS are found as the AWS CLI finds them".to_owned()),
    }
}

fn make_one(region: &str) -> String {
    format!("make one: aws kms create-key --region {region} --key-spec ECC_NIST_EDWARDS25519 --key-usage SIGN_VERIFY")
}

/// Runs to the end on a thread of its own: a runtime cannot wait within another one.
fn wait<T: Send>(future: impl Future<Output = Result<T, Failure>> + Send) -> Result<T, Failure> {
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.map_err(|error| Failure::new(Exit::Failed, KmsError::Runtime(error)))?.block_on(future)
        });
        waiting.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_of_a_kms_key_is_a_function_of_the_key() {
        // sha256(32 zero bytes) begins with 66687aadf862bd77; ids are written with the last byte first.
        assert_eq!(public_key(&[0; 32]).id().to_string(), "77BD62F8AD7A6866");
    }
}
