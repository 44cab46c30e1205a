//! The algorithms of signatures by their names in CMS.

use der::asn1::ObjectIdentifier;
use rustls_pki_types::SignatureVerificationAlgorithm;
use sha2::{Digest, Sha256, Sha384, Sha512};
use webpki::aws_lc_rs as known;

use super::EnvelopeError;

/// A hash that is safe to sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Hash {
    Sha256,
    Sha384,
    Sha512,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scheme {
    Pkcs1,
    Pss,
    Ecdsa,
}

/// Ways to verify a signature; which of them, the key says.
pub(super) type Verifiers = Vec<&'static dyn SignatureVerificationAlgorithm>;

impl Hash {
    /// The hash of this name.
    pub(super) fn of(name: ObjectIdentifier) -> Result<Hash, EnvelopeError> {
        match name.to_string().as_str() {
            "2.16.840.1.101.3.4.2.1" => Ok(Hash::Sha256),
            "2.16.840.1.101.3.4.2.2" => Ok(Hash::Sha384),
            "2.16.840.1.101.3.4.2.3" => Ok(Hash::Sha512),
            "1.3.14.3.2.26" => Err(EnvelopeError::Sha1),
            _ => Err(EnvelopeError::Algorithm(name)),
        }
    }

    /// The digest of a content.
    pub(super) fn digest(self, content: &[u8]) -> Vec<u8> {
        match self {
            Hash::Sha256 => Sha256::digest(content).to_vec(),
            Hash::Sha384 => Sha384::digest(content).to_vec(),
            Hash::Sha512 => Sha512::digest(content).to_vec(),
        }
    }

    /// How to verify a signature over this hash by the algorithm of this name, which may imply another hash.
    pub(super) fn verifiers(self, name: ObjectIdentifier) -> Result<Verifiers, EnvelopeError> {
        let (scheme, implied) = match name.to_string().as_str() {
            "1.2.840.113549.1.1.1" => (Scheme::Pkcs1, None),
            "1.2.840.113549.1.1.10" => (Scheme::Pss, None),
            "1.2.840.113549.1.1.11" => (Scheme::Pkcs1, Some(Hash::Sha256)),
            "1.2.840.113549.1.1.12" => (Scheme::Pkcs1, Some(Hash::Sha384)),
            "1.2.840.113549.1.1.13" => (Scheme::Pkcs1, Some(Hash::Sha512)),
            "1.2.840.10045.4.3.2" => (Scheme::Ecdsa, Some(Hash::Sha256)),
            "1.2.840.10045.4.3.3" => (Scheme::Ecdsa, Some(Hash::Sha384)),
            "1.2.840.10045.4.3.4" => (Scheme::Ecdsa, Some(Hash::Sha512)),
            "1.2.840.113549.1.1.5" | "1.2.840.10045.4.1" => return Err(EnvelopeError::Sha1),
            _ => return Err(EnvelopeError::Algorithm(name)),
        };
        if implied.is_some_and(|implied| implied != self) {
            return Err(EnvelopeError::Algorithm(name));
        }
        Ok(match (scheme, self) {
            (Scheme::Pkcs1, Hash::Sha256) => vec![known::RSA_PKCS1_2048_8192_SHA256],
            (Scheme::Pkcs1, Hash::Sha384) => vec![known::RSA_PKCS1_2048_8192_SHA384],
            (Scheme::Pkcs1, Hash::Sha512) => vec![known::RSA_PKCS1_2048_8192_SHA512],
            (Scheme::Pss, Hash::Sha256) => vec![known::RSA_PSS_2048_8192_SHA256_LEGACY_KEY],
            (Scheme::Pss, Hash::Sha384) => vec![known::RSA_PSS_2048_8192_SHA384_LEGACY_KEY],
            (Scheme::Pss, Hash::Sha512) => vec![known::RSA_PSS_2048_8192_SHA512_LEGACY_KEY],
            (Scheme::Ecdsa, Hash::Sha256) => {
                vec![known::ECDSA_P256_SHA256, known::ECDSA_P384_SHA256, known::ECDSA_P521_SHA256]
            }
            (Scheme::Ecdsa, Hash::Sha384) => {
                vec![known::ECDSA_P256_SHA384, known::ECDSA_P384_SHA384, known::ECDSA_P521_SHA384]
            }
            (Scheme::Ecdsa, Hash::Sha512) => {
                vec![known::ECDSA_P256_SHA512, known::ECDSA_P384_SHA512, known::ECDSA_P521_SHA512]
            }
        })
    }
}

/// Whether a way to verify is for keys of RSA.
pub(super) fn is_rsa(verifier: &dyn SignatureVerificationAlgorithm) -> bool {
    verifier.public_key_alg_id() == known::RSA_PKCS1_2048_8192_SHA256.public_key_alg_id()
}
