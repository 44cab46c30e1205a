//! `longshore verify`.

use std::io;
use std::path::{Path, PathBuf};

use longshore_core::bundle::Bundle;
use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::{plural, quoted};
use longshore_core::signature::{PublicKey, Signature, SignatureError, Signed};
use serde_json::json;

use super::push::open_bundle;
use crate::cli::{SourceArgs, VerifyArgs};
use crate::display::Screen;
use crate::environment::Environment;
use crate::provenance::{self, Provenance, ProvenanceError};
use crate::settings::Settings;
use crate::signing;
use crate::signing::policy::{PUBLIC_KEY_VARIABLE, Policy, key_of};
use crate::survey::Project;

/// Why an artifact is not taken for good.
#[derive(Debug, thiserror::Error)]
enum VerifyError {
    /// A store is no file.
    #[error("`{0}` is no file of this machine, and nothing is fetched to verify it")]
    Remote(String),
    /// There is no key.
    #[error("there is no public key to verify the signature with")]
    NoKey,
    /// There is no signature.
    #[error("`{artifact}` is not signed: there is no `{signature}`")]
    Unsigned { artifact: PathBuf, signature: PathBuf },
    /// The signature is wrong.
    #[error("`{artifact}` is refused because of its signature `{signature}`")]
    Signature { artifact: PathBuf, signature: PathBuf, source: SignatureError },
    /// The provenance cannot be read.
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// The provenance is not the artifact's.
    #[error("`{path}` is no provenance of `{artifact}`")]
    Provenance { artifact: PathBuf, path: PathBuf, source: ProvenanceError },
}

/// What is known of a signature.
enum Found {
    /// It is right.
    Right(Signed),
    /// It is there, and no key to look with.
    Unverified(Signature),
    /// There is none, and none is asked for.
    None,
}

/// Verifies an artifact. Speaks with nobody.
pub(crate) fn run(args: &VerifyArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    if let Some(name) = args.bundle.to_str().filter(|name| name.contains("://")) {
        return Err(Failure::new(Exit::Usage, VerifyError::Remote(name.to_owned()))
            .hint("fetch it and its `.minisig` first, for example with `aws s3 cp`"));
    }
    let keys = keys(args, environment)?;
    // Before the archive is opened: whoever may sign is trusted more than whoever may write.
    let found = signature(args, &keys)?;
    let bundle = open_bundle(&args.bundle)?;
    if let Found::Right(signed) = &found {
        signed.check(&bundle).map_err(|source| refused(args, source))?;
    }
    let provenance = provenance_of(&bundle)?;
    show(&bundle, &found, provenance.as_ref(), screen)
}

/// The keys that may have signed: those of the command line, else of the environment, else of longshore.toml.
fn keys(args: &VerifyArgs, environment: &Environment) -> Result<Vec<PublicKey>, Failure> {
    if !args.public_key.is_empty() {
        return args.public_key.iter().map(|key| key_of(key, Path::new(""))).collect();
    }
    if environment.get(PUBLIC_KEY_VARIABLE).is_some() {
        // Whatever else is said, here or there, is not about an artifact that may come from elsewhere.
        let mut settings = Settings::none();
        settings.overlay(environment);
        return Policy::of(&settings, Path::new(""), environment).accepted();
    }
    let project = Project::open(&SourceArgs::here(), environment)?.accept()?;
    Policy::of(&project.settings, &project.source, environment).accepted()
}

fn signature_path(args: &VerifyArgs) -> PathBuf {
    args.signature.clone().unwrap_or_else(|| signing::path_of(&args.bundle))
}

fn signature(args: &VerifyArgs, keys: &[PublicKey]) -> Result<Found, Failure> {
    let path = signature_path(args);
    let read = Signature::read(&path).map_err(|source| refused(args, source))?;
    match (read, keys.is_empty()) {
        (Some(signature), false) => {
            signature.verify(&args.bundle, keys).map(Found::Right).map_err(|source| refused(args, source))
        }
        (Some(signature), true) if args.unsigned => Ok(Found::Unverified(signature)),
        (None, _) if args.unsigned => Ok(Found::None),
        // Without the artifact nothing of it is missed.
        (None, _) if !args.bundle.exists() => open_bundle(&args.bundle).map(|_| Found::None),
        (None, _) => {
            let missing = VerifyError::Unsigned { artifact: args.bundle.clone(), signature: path };
            Err(Failure::new(Exit::NotFound, missing)
                .hint(format!("sign it: longshore sign {}", quoted(&args.bundle.display().to_string())))
                .hint("or accept it without a signature: `longshore verify --unsigned`"))
        }
        (Some(signature), true) => Err(Failure::new(Exit::Usage, VerifyError::NoKey).hint(format!(
            "it was made with key {}; name the public key with `--public-key`, in `{PUBLIC_KEY_VARIABLE}`, or as \
             `sign.public_keys` in longshore.toml",
            signature.key_id()
        ))),
    }
}

fn refused(args: &VerifyArgs, source: SignatureError) -> Failure {
    let (exit, hint) = match &source {
        SignatureError::Read { path, source } if *path == args.bundle && source.kind() == io::ErrorKind::NotFound => {
            (Exit::NotFound, None)
        }
        source => (source.exit(), source.hint()),
    };
    let error = VerifyError::Signature { artifact: args.bundle.clone(), signature: signature_path(args), source };
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn provenance_of(bundle: &Bundle) -> Result<Option<Provenance>, Failure> {
    let path = provenance::path_of(&bundle.path);
    let text = match std::fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Failure::new(Exit::Failed, VerifyError::Read { path, source })),
    };
    provenance::check(&text, bundle).map(Some).map_err(|source| {
        Failure::new(Exit::BadBundle, VerifyError::Provenance { artifact: bundle.path.clone(), path, source })
            .hint("it is left from an earlier build, or one of the two was changed")
    })
}

fn show(bundle: &Bundle, found: &Found, provenance: Option<&Provenance>, screen: &Screen) -> Result<(), Failure> {
    let files = bundle.manifest.as_ref().map_or(bundle.entries.len(), |manifest| manifest.files.len());
    let mut text = String::new();
    let mut row = |name: &str, value: String| text.push_str(&format!("{name:>11}  {value}\n"));
    row("artifact", bundle.path.display().to_string());
    match &bundle.manifest {
        Some(manifest) => {
            row("application", manifest.application.to_string());
            row("commit", format!("{}{}", manifest.commit, if manifest.dirty { " (dirty)" } else { "" }));
        }
        None => row("manifest", "none: not built by longshore".to_owned()),
    }
    row("files", format!("{}, every digest is right", plural(files, "file")));
    let images = bundle.manifest.as_ref().map_or(&[][..], |manifest| &manifest.images);
    if !images.is_empty() {
        let pinned = images.iter().filter(|image| image.digest.is_some()).count();
        row("images", format!("{}, {pinned} with a digest", plural(images.len(), "image")));
    }
    row("content", format!("sha256:{}", bundle.content_digest));
    if let Some(digest) = bundle.archive_digest {
        row("archive", format!("sha256:{digest}"));
    }
    let signature = match found {
        Found::Right(signed) => {
            row("signature", format!("right, made with key {}", signed.key_id));
            row("comment", signed.trusted_comment.escape_debug().to_string());
            json!({"verified": true, "key_id": signed.key_id, "trusted_comment": signed.trusted_comment})
        }
        Found::Unverified(signature) => {
            row("signature", format!("made with key {} as it says; not verified: no public key", signature.key_id()));
            json!({"verified": false, "key_id": signature.key_id().to_string()})
        }
        Found::None => {
            row("signature", "none".to_owned());
            json!(null)
        }
    };
    let said = match provenance {
        Some(Provenance { builder, run, repository }) => {
            row("provenance", "agrees with the artifact; the statement itself is not signed".to_owned());
            row("built by", builder.clone());
            for (name, value) in [("run", run), ("repository", repository)] {
                if let Some(value) = value {
                    row(name, value.clone());
                }
            }
            json!({"builder": builder, "run": run, "repository": repository})
        }
        None => {
            row("provenance", "none".to_owned());
            json!(null)
        }
    };
    let manifest = bundle.manifest.as_ref();
    let json = json!({
        "artifact": bundle.path,
        "application": manifest.map(|manifest| &manifest.application),
        "commit": manifest.map(|manifest| &manifest.commit),
        "dirty": manifest.map(|manifest| manifest.dirty),
        "files": files,
        "images": images,
        "content_digest": bundle.content_digest,
        "archive_digest": bundle.archive_digest,
        "signature": signature,
        "provenance": said,
        "warnings": bundle.warnings,
    });
    screen.result(&text, &json)
}
