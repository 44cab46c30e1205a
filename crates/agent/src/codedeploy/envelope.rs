//! What the service signed: the envelope of a deployment specification → its content, if the signature is right.
//!
//! The certificate that signs for AWS is not published, and AWS's own agent does not check it. What is demanded is the user's
//! choice: `docs/decisions/0009-signed-specifications.md`.

mod algorithm;
mod signed_data;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use der::asn1::ObjectIdentifier;
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, SignatureVerificationAlgorithm, UnixTime};
use webpki::{EndEntityCert, ExtendedKeyUsageValidator, KeyPurposeIdIter};

use self::algorithm::Hash;
use self::signed_data::{Attribute, SignedData, SignerId, SignerInfo};
use crate::settings::SignatureCheck;

/// The largest envelope that is read.
pub const LIMIT: usize = 1024 * 1024;
/// The most signers, and the most certificates, that are looked at.
const MOST: usize = 16;

/// What is demanded of a signature, with everything that is needed to check it.
#[derive(Debug)]
pub enum Demand {
    /// It is right, and its certificate leads to one of these authorities now.
    Chain {
        /// The authorities.
        authorities: Vec<CertificateDer<'static>>,
        /// Where they come from.
        place: String,
    },
    /// It is right.
    Content,
    /// Nothing.
    Unchecked,
}

/// Why an envelope is refused.
#[derive(Debug, thiserror::Error)]
pub enum EnvelopeError {
    /// It is larger than any that the service makes.
    #[error("the signed specification has {size} bytes, and {LIMIT} are the most that is read")]
    TooLarge {
        /// Its size.
        size: usize,
    },
    /// It is neither PEM nor base64.
    #[error("the signed specification is no base64 text")]
    Base64(#[source] base64::DecodeError),
    /// It is no CMS.
    #[error("the signed specification is no CMS structure")]
    Structure(#[source] der::Error),
    /// It is a CMS structure of another kind.
    #[error("the signed specification is a CMS structure, but not one with signed data")]
    Kind,
    /// The content is not in it.
    #[error("the signature comes without the specification that it is for")]
    Detached,
    /// Nobody signed.
    #[error("the specification carries no signature")]
    Unsigned,
    /// More signatures or certificates than anybody makes.
    #[error("the specification carries {0} signatures or certificates, and {MOST} are the most that is looked at")]
    Crowded(usize),
    /// The hash is one of which forgeries exist.
    #[error("the specification is signed with SHA-1, for which forgeries can be made")]
    Sha1,
    /// An algorithm that we do not know.
    #[error("the specification is signed with an algorithm that is not supported, `{0}`")]
    Algorithm(ObjectIdentifier),
    /// What is signed does not say what it is signed for.
    #[error("the signed attributes do not name the specification's type and digest, once each")]
    Attributes,
    /// The content is not the one that was signed.
    #[error("the specification was changed after it was signed: its digest is not the one in the signature")]
    Digest,
    /// The signer's certificate is not in the envelope.
    #[error("the signer's certificate is not in the envelope")]
    NoCertificate,
    /// The signer's certificate cannot be used.
    #[error("the signer's certificate cannot be used")]
    Certificate(#[source] webpki::Error),
    /// The key is too short to be worth anything.
    #[error("the signer's RSA key has less than 2048 bits")]
    WeakKey,
    /// The signature is not that key's over this content.
    #[error("the specification's signature is wrong: it was changed, or signed with another key")]
    Signature,
    /// The certificate leads to no authority that is trusted.
    #[error("the signer's certificate does not lead to an authority in {place}")]
    Untrusted {
        /// Where the authorities come from.
        place: String,
        /// Why.
        #[source]
        source: webpki::Error,
    },
    /// The certificate is not valid now.
    #[error("the signer's certificate is not valid at this time")]
    NotNow(#[source] webpki::Error),
    /// The file of authorities cannot be read.
    #[error("cannot read the authorities in `{path}` (`spec_signer_ca_file`)")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file of authorities is no PEM file.
    #[error("`{path}` (`spec_signer_ca_file`) is no PEM file")]
    Pem {
        /// The file.
        path: PathBuf,
        /// Why.
        source: pem::Error,
    },
    /// An authority cannot be used.
    #[error("a certificate in `{path}` (`spec_signer_ca_file`) cannot be used")]
    Authority {
        /// The file.
        path: PathBuf,
        /// Why.
        source: webpki::Error,
    },
    /// There are no authorities.
    #[error("there are no certificates in {0}")]
    NoAuthorities(String),
}

impl EnvelopeError {
    /// What to do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            EnvelopeError::TooLarge { .. }
            | EnvelopeError::Base64(_)
            | EnvelopeError::Structure(_)
            | EnvelopeError::Kind
            | EnvelopeError::Detached
            | EnvelopeError::Unsigned
            | EnvelopeError::Crowded(_)
            | EnvelopeError::Attributes
            | EnvelopeError::Digest
            | EnvelopeError::Signature => {
                Some("nothing of this deployment was run; look at what stands between this host and CodeDeploy")
            }
            EnvelopeError::Sha1
            | EnvelopeError::Algorithm(_)
            | EnvelopeError::NoCertificate
            | EnvelopeError::Certificate(_)
            | EnvelopeError::WeakKey => Some(
                "if CodeDeploy has begun to sign so, `spec_signature = \"none\"` takes it on the word of TLS alone, as the AWS \
                 agent does",
            ),
            EnvelopeError::Untrusted { .. } => Some(
                "name a PEM file with the signer's authority in `spec_signer_ca_file`, or ask for a right signature alone with \
                 `spec_signature = \"content\"`",
            ),
            EnvelopeError::NotNow(_) => Some(
                "look at the clock of this host; a signer whose certificate has expired passes `spec_signature = \"content\"`",
            ),
            EnvelopeError::Read { .. }
            | EnvelopeError::Pem { .. }
            | EnvelopeError::Authority { .. }
            | EnvelopeError::NoAuthorities(_) => {
                Some("`spec_signer_ca_file` names a PEM file of certificates, or `system` for those of the host")
            }
        }
    }
}

impl Demand {
    /// Reads the authorities that a check asks for.
    pub fn of(check: &SignatureCheck) -> Result<Demand, EnvelopeError> {
        let (authorities, place) = match check {
            SignatureCheck::Content => return Ok(Demand::Content),
            SignatureCheck::Unchecked => return Ok(Demand::Unchecked),
            SignatureCheck::Chain(Some(path)) => (authorities(path)?, format!("`{}`", path.display())),
            // Some of a host's certificates are always strange; those are passed over.
            SignatureCheck::Chain(None) => {
                (rustls_native_certs::load_native_certs().certs, "the host's trust store".to_owned())
            }
        };
        match authorities.is_empty() {
            true => Err(EnvelopeError::NoAuthorities(place)),
            false => Ok(Demand::Chain { authorities, place }),
        }
    }
}

fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, EnvelopeError> {
    let bytes = fs::read(path).map_err(|source| EnvelopeError::Read { path: path.to_owned(), source })?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|source| EnvelopeError::Pem { path: path.to_owned(), source })?;
    for certificate in &certificates {
        webpki::anchor_from_trusted_cert(certificate)
            .map_err(|source| EnvelopeError::Authority { path: path.to_owned(), source })?;
    }
    Ok(certificates)
}

/// The content of an envelope that meets a demand. `envelope`: PEM, or the base64 text without its frame.
pub fn open(envelope: &str, demand: &Demand, now: SystemTime) -> Result<Vec<u8>, EnvelopeError> {
    if envelope.len() > LIMIT {
        return Err(EnvelopeError::TooLarge { size: envelope.len() });
    }
    let bytes = decode(envelope)?;
    let data = signed_data::read(&bytes).map_err(EnvelopeError::Structure)?.ok_or(EnvelopeError::Kind)?;
    let chain = match demand {
        Demand::Chain { authorities, place } => Some((authorities, place)),
        Demand::Content => None,
        Demand::Unchecked => return content(data),
    };
    let count = data.signers.len().max(data.certificates.len());
    if count > MOST {
        return Err(EnvelopeError::Crowded(count));
    }
    if data.signers.is_empty() {
        return Err(EnvelopeError::Unsigned);
    }
    let certificates: Vec<CertificateDer<'_>> = data.certificates.iter().map(|bytes| (*bytes).into()).collect();
    for signer in &data.signers {
        let certificate = verify(signer, &data, &certificates)?;
        if let Some((authorities, place)) = chain {
            trust(&certificate, &certificates, authorities, place, now)?;
        }
    }
    content(data)
}

fn content(data: SignedData<'_>) -> Result<Vec<u8>, EnvelopeError> {
    data.content.filter(|content| !content.is_empty()).ok_or(EnvelopeError::Detached)
}

/// The bytes of a PEM text, whatever its frame is called and however its lines end.
fn decode(text: &str) -> Result<Vec<u8>, EnvelopeError> {
    const LENIENT: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let lines = text.lines().map(str::trim).skip_while(|line| line.is_empty());
    let framed = lines.clone().next().is_some_and(|line| line.starts_with("-----BEGIN "));
    let base64: String = lines
        .skip(usize::from(framed))
        .take_while(|line| !line.starts_with("-----END "))
        .flat_map(str::split_whitespace)
        .collect();
    GeneralPurpose::new(&alphabet::STANDARD, LENIENT).decode(base64).map_err(EnvelopeError::Base64)
}

const DATA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.7.1");
const CONTENT_TYPE: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.3");
const MESSAGE_DIGEST: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.9.4");

/// Checks one signature over the content. Returns the certificate whose key made it.
fn verify<'a>(
    signer: &SignerInfo<'_>,
    data: &SignedData<'_>,
    certificates: &'a [CertificateDer<'a>],
) -> Result<EndEntityCert<'a>, EnvelopeError> {
    let hash = Hash::of(signer.digest)?;
    let verifiers = hash.verifiers(signer.algorithm)?;
    let content = data.content.as_deref().filter(|content| !content.is_empty()).ok_or(EnvelopeError::Detached)?;
    let attributes = match &signer.attributes {
        None if data.content_type != DATA => return Err(EnvelopeError::Attributes),
        None => None,
        Some(attributes) => {
            check_attributes(attributes, data.content_type, &hash.digest(content))?;
            Some(signed_data::set_of(attributes).map_err(EnvelopeError::Structure)?)
        }
    };
    let message = attributes.as_deref().unwrap_or(content);

    let mut failure = EnvelopeError::NoCertificate;
    for certificate in certificates {
        let certificate = match EndEntityCert::try_from(certificate) {
            Ok(certificate) => certificate,
            Err(source) => {
                if let EnvelopeError::NoCertificate = failure {
                    failure = EnvelopeError::Certificate(source);
                }
                continue;
            }
        };
        if !is_of(&signer.signer, &certificate) {
            continue;
        }
        match check_signature(&certificate, &verifiers, message, &signer.signature) {
            Ok(()) => return Ok(certificate),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

fn is_of(signer: &SignerId<'_>, certificate: &EndEntityCert<'_>) -> bool {
    match signer {
        SignerId::Numbered { issuer, serial } => certificate.issuer() == *issuer && certificate.serial() == *serial,
        // The key that made the signature is the one that is meant.
        SignerId::Key => true,
    }
}

/// Of an RSA key with 2048 bits and its frame.
const RSA_2048: usize = 290;

fn check_signature(
    certificate: &EndEntityCert<'_>,
    verifiers: &[&dyn SignatureVerificationAlgorithm],
    message: &[u8],
    signature: &[u8],
) -> Result<(), EnvelopeError> {
    for verifier in verifiers {
        match certificate.verify_signature(*verifier, message, signature) {
            Ok(()) => return Ok(()),
            // The algorithm is for another curve or kind of key.
            Err(webpki::Error::UnsupportedSignatureAlgorithmForPublicKeyContext(_)) => {}
            Err(_) if algorithm::is_rsa(*verifier) && certificate.subject_public_key_info().len() < RSA_2048 => {
                return Err(EnvelopeError::WeakKey);
            }
            Err(_) => return Err(EnvelopeError::Signature),
        }
    }
    Err(EnvelopeError::Signature)
}

/// What is signed has to say of which type the content is and which digest it has, each once.
fn check_attributes(attributes: &[&[u8]], kind: ObjectIdentifier, digest: &[u8]) -> Result<(), EnvelopeError> {
    let attributes: Vec<Attribute<'_>> = attributes
        .iter()
        .map(|bytes| Attribute::read(bytes))
        .collect::<Result<_, _>>()
        .map_err(EnvelopeError::Structure)?;
    let only = |kind| {
        let mut all = attributes.iter().filter(|attribute| attribute.kind == kind);
        match (all.next(), all.next()) {
            (Some(attribute), None) => attribute.value.ok_or(EnvelopeError::Attributes),
            (_, _) => Err(EnvelopeError::Attributes),
        }
    };
    if signed_data::identifier(only(CONTENT_TYPE)?).map_err(EnvelopeError::Structure)? != kind {
        return Err(EnvelopeError::Attributes);
    }
    match signed_data::octets(only(MESSAGE_DIGEST)?).map_err(EnvelopeError::Structure)? == digest {
        true => Ok(()),
        false => Err(EnvelopeError::Digest),
    }
}

/// Any purpose: nobody says which one the signer's certificate has.
struct AnyPurpose;

impl ExtendedKeyUsageValidator for AnyPurpose {
    fn validate(&self, _: KeyPurposeIdIter<'_, '_>) -> Result<(), webpki::Error> {
        Ok(())
    }
}

fn trust(
    certificate: &EndEntityCert<'_>,
    intermediates: &[CertificateDer<'_>],
    authorities: &[CertificateDer<'_>],
    place: &str,
    now: SystemTime,
) -> Result<(), EnvelopeError> {
    let anchors: Vec<_> = authorities.iter().filter_map(|der| webpki::anchor_from_trusted_cert(der).ok()).collect();
    let now = UnixTime::since_unix_epoch(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO));
    let all = webpki::ALL_VERIFICATION_ALGS;
    match certificate.verify_for_usage(all, &anchors, intermediates, now, AnyPurpose, None, None) {
        Ok(_) => Ok(()),
        Err(source @ (webpki::Error::CertExpired { .. } | webpki::Error::CertNotValidYet { .. })) => {
            Err(EnvelopeError::NotNow(source))
        }
        Err(source) => Err(EnvelopeError::Untrusted { place: place.to_owned(), source }),
    }
}
