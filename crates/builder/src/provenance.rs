//! Where an artifact comes from, as an in-toto statement with SLSA provenance: written beside the artifact, read again, and
//! compared with it. Pure, but for [`write`]. Claims no level of SLSA: whoever can run the build can write the statement.

mod ci;

use std::path::{Path, PathBuf};

use longshore_core::bundle::{Bundle, Manifest, ManifestImage};
use longshore_core::digest::Sha256;
use longshore_core::failure::{Exit, Failure};
use longshore_core::fsx;
use serde_json::{Map, Value, json};

use crate::environment::Environment;

/// What the name of a statement adds to that of its artifact, in a folder as in a store.
pub(crate) const SUFFIX: &str = ".intoto.json";

/// The largest statement that is read.
pub(crate) const LIMIT: usize = 4 << 20;

const STATEMENT: &str = "https://in-toto.io/Statement/v1";
const PREDICATE: &str = "https://slsa.dev/provenance/v1";
/// What `buildType` says; described in docs/reference/signatures.md.
const BUILD_TYPE: &str = "urn:longshore:build:artifact:v1";

/// What a statement describes.
#[derive(Debug)]
pub(crate) struct Described<'a> {
    /// The artifact.
    pub(crate) artifact: &'a Path,
    /// Its manifest.
    pub(crate) manifest: &'a Manifest,
    /// Its digest.
    pub(crate) archive_digest: Sha256,
    /// The `origin` of the work tree, as git knows it.
    pub(crate) origin: Option<&'a str>,
    /// The words of the command line, without the program's own.
    pub(crate) command_line: &'a [String],
}

/// What a statement says that agrees with its artifact.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Provenance {
    /// Who built it.
    pub(crate) builder: String,
    /// In which run.
    pub(crate) run: Option<String>,
    /// From which repository.
    pub(crate) repository: Option<String>,
}

/// Why a statement is not one of an artifact.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProvenanceError {
    /// It cannot be parsed.
    #[error("it is no JSON")]
    Json(#[source] serde_json::Error),
    /// Too much.
    #[error("it is larger than {LIMIT} bytes")]
    TooLarge,
    /// Something else.
    #[error("its `{field}` is {found}, and must be `{expected}`")]
    Kind { field: &'static str, found: Value, expected: &'static str },
    /// It is about other bytes.
    #[error("none of its subjects has the digest sha256:{0} of the archive")]
    Subject(Sha256),
    /// It contradicts the artifact.
    #[error("it names another {what} than the artifact has")]
    Differs { what: &'static str },
}

/// The statement cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write `{path}`")]
struct Unwritten {
    path: PathBuf,
    source: std::io::Error,
}

/// The path of the statement of an artifact.
pub(crate) fn path_of(artifact: &Path) -> PathBuf {
    let mut path = artifact.as_os_str().to_owned();
    path.push(SUFFIX);
    path.into()
}

/// Writes the statement beside its artifact, in the place of an earlier one.
pub(crate) fn write(described: &Described<'_>, environment: &Environment) -> Result<PathBuf, Failure> {
    let path = path_of(described.artifact);
    let mut text = serde_json::to_string_pretty(&statement(described, environment)).expect("keys of JSON are text");
    text.push('\n');
    fsx::write_atomic(&path, text.as_bytes())
        .map_err(|source| Failure::new(Exit::Failed, Unwritten { path: path.clone(), source }))?;
    Ok(path)
}

/// The statement. The same for the same artifact, command line and environment.
fn statement(described: &Described<'_>, environment: &Environment) -> Value {
    let Described { artifact, manifest, archive_digest, origin, command_line } = described;
    let run = ci::run(environment);
    let repository = run.repository.as_deref().or(*origin).and_then(ci::repository);
    let name = artifact.file_name().map(|name| name.to_string_lossy());
    let mut source = Map::new();
    if let Some(repository) = &repository {
        source.insert("uri".into(), json!(repository));
    }
    source.insert("digest".into(), json!({"gitCommit": manifest.commit}));
    if manifest.dirty {
        source.insert("annotations".into(), json!({"differsFromCommit": true}));
    }
    let words = ["longshore".to_owned()].into_iter().chain(command_line.iter().map(|word| ci::without_secrets(word)));
    let mut metadata = Map::new();
    if let Some(url) = &run.url {
        metadata.insert("invocationId".into(), json!(url));
    }
    let dependencies: Vec<Value> =
        std::iter::once(Value::Object(source.clone())).chain(manifest.images.iter().filter_map(image)).collect();
    json!({
        "_type": STATEMENT,
        "subject": [{
            "name": name,
            "digest": {"sha256": archive_digest},
            "annotations": {"contentDigest": format!("sha256:{}", manifest.content_digest)},
        }],
        "predicateType": PREDICATE,
        "predicate": {
            "buildDefinition": {
                "buildType": BUILD_TYPE,
                "externalParameters": {"source": source, "commandLine": words.collect::<Vec<_>>()},
                "resolvedDependencies": dependencies,
            },
            "runDetails": {
                "builder": {"id": run.builder, "version": {"longshore": env!("CARGO_PKG_VERSION")}},
                "metadata": metadata,
            },
        },
    })
}

/// An image whose digest is known.
fn image(image: &ManifestImage) -> Option<Value> {
    let digest = image.digest.as_deref()?.strip_prefix("sha256:")?;
    Some(json!({
        "uri": format!("docker://{}", image.image),
        "digest": {"sha256": digest},
        "annotations": {"group": image.group, "service": image.service},
    }))
}

/// Compares a statement with the artifact that it stands beside. What other tools put into theirs is not looked at.
pub(crate) fn check(text: &[u8], bundle: &Bundle) -> Result<Provenance, ProvenanceError> {
    let manifest = bundle.manifest.as_ref();
    let (statement, digest) = about(text, bundle.archive_digest)?;
    let definition = &statement["predicate"]["buildDefinition"];
    let empty = Vec::new();
    let dependencies = definition["resolvedDependencies"].as_array().unwrap_or(&empty);
    let commits: Vec<&str> = dependencies.iter().filter_map(|one| one["digest"]["gitCommit"].as_str()).collect();
    if !manifest.is_some_and(|manifest| commits.contains(&manifest.commit.as_str())) {
        return Err(ProvenanceError::Differs { what: "commit" });
    }
    if definition["buildType"] == BUILD_TYPE {
        let subjects = statement["subject"].as_array().unwrap_or(&empty);
        let content = format!("sha256:{}", bundle.content_digest);
        let subject = subjects.iter().find(|subject| subject["digest"]["sha256"] == digest.as_str());
        if subject.is_none_or(|subject| subject["annotations"]["contentDigest"] != content.as_str()) {
            return Err(ProvenanceError::Differs { what: "content digest" });
        }
        let images: Vec<Value> = manifest.iter().flat_map(|manifest| &manifest.images).filter_map(image).collect();
        if dependencies.get(1..).unwrap_or_default() != images {
            return Err(ProvenanceError::Differs { what: "list of images" });
        }
    }
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let details = &statement["predicate"]["runDetails"];
    Ok(Provenance {
        builder: text(&details["builder"]["id"]).unwrap_or_default(),
        run: text(&details["metadata"]["invocationId"]),
        repository: dependencies.first().and_then(|source| text(&source["uri"])),
    })
}

/// Reads a statement, and whether it is about an archive of this digest; also the digest as it stands there.
pub(crate) fn about(text: &[u8], archive: Option<Sha256>) -> Result<(Value, String), ProvenanceError> {
    if text.len() > LIMIT {
        return Err(ProvenanceError::TooLarge);
    }
    let statement: Value = serde_json::from_slice(text).map_err(ProvenanceError::Json)?;
    for (field, expected) in [("_type", STATEMENT), ("predicateType", PREDICATE)] {
        if statement[field] != expected {
            return Err(ProvenanceError::Kind { field, found: statement[field].clone(), expected });
        }
    }
    // A folder has no digest, and no statement is about one.
    let archive = archive.ok_or(ProvenanceError::Differs { what: "subject" })?;
    let digest = archive.to_string();
    let subjects = statement["subject"].as_array();
    if !subjects.is_some_and(|subjects| subjects.iter().any(|one| one["digest"]["sha256"] == digest.as_str())) {
        return Err(ProvenanceError::Subject(archive));
    }
    Ok((statement, digest))
}

#[cfg(test)]
mod tests;
