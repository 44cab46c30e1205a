//! Further certificate authorities, beside those of the host: a file in PEM form, read and checked.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// The variable that names the file, as for the AWS CLI.
pub const VARIABLE: &str = "AWS_CA_BUNDLE";

/// Certificates of further authorities; each can be used.
#[derive(Debug, Clone)]
pub struct Authorities {
    /// The file's text.
    pub pem: Vec<u8>,
}

/// Why a file cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AuthoritiesError {
    /// It cannot be read.
    #[error("cannot read the certificate authorities in `{file}`")]
    Read {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds none.
    #[error("`{0}` holds no certificate in PEM form (`-----BEGIN CERTIFICATE-----`)")]
    None(PathBuf),
    /// One of them is none.
    #[error("certificate {number} in `{file}` is not right")]
    Certificate {
        /// The file.
        file: PathBuf,
        /// Which one, from 1.
        number: usize,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

impl Authorities {
    /// Reads a file. The HTTP client of the SDK panics over one that is wrong.
    pub fn read(file: &Path) -> Result<Authorities, AuthoritiesError> {
        let pem = fs::read(file).map_err(|source| AuthoritiesError::Read { file: file.to_owned(), source })?;
        let mut store = RootCertStore::empty();
        for (index, certificate) in CertificateDer::pem_slice_iter(&pem).enumerate() {
            let added = match certificate {
                Ok(certificate) => store.add(certificate).map_err(Into::into),
                Err(error) => Err(error.into()),
            };
            added.map_err(|source| AuthoritiesError::Certificate {
                file: file.to_owned(),
                number: index + 1,
                source,
            })?;
        }
        if store.is_empty() {
            return Err(AuthoritiesError::None(file.to_owned()));
        }
        Ok(Authorities { pem })
    }

    /// Reads the file that was set, else the one that `AWS_CA_BUNDLE` names.
    pub fn find(
        set: Option<&Path>,
        variable: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Option<Authorities>, AuthoritiesError> {
        let named = || variable(VARIABLE).filter(|file| !file.is_empty()).map(PathBuf::from);
        set.map(Path::to_owned).or_else(named).map(|file| Authorities::read(&file)).transpose()
    }
}
