//! What a bundle says about itself: `.longshore/manifest.json`, its JSON, its rules, and the content digest. Pure.

use std::borrow::Cow;
use std::io;

use serde::{Deserialize, Serialize};

use super::{BundlePath, MANIFEST_PATH};
use crate::digest::{Hasher, Sha256};
use crate::ids::{ApplicationName, CommitHash, GroupName};

/// The version of the manifest that this program writes and reads.
pub const FORMAT: u32 = 1;

/// The largest manifest that is read, in bytes: about half a million files.
pub const MANIFEST_LIMIT: u64 = 128 << 20;

/// The manifest of a bundle. Its JSON is a pure function of the tree and the commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of this format: 1.
    pub format: u32,
    /// Who packed it.
    pub tool: Tool,
    /// The application.
    pub application: ApplicationName,
    /// The commit.
    pub commit: CommitHash,
    /// Whether the work tree differed from the commit.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub dirty: bool,
    /// The time stamp of every entry, seconds since 1970: the commit's time, or 1980-01-01.
    pub time: i64,
    /// The content digest: see [`content_digest`].
    pub content_digest: Sha256,
    /// The images that each group runs, sorted by group and service.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ManifestImage>,
    /// Every file and link, sorted by path, this file excepted.
    pub files: Vec<ManifestFile>,
}

/// An image that a service of a group runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestImage {
    /// The deployment group.
    pub group: GroupName,
    /// The service in its compose files.
    pub service: String,
    /// The image as the compose files name it, variables filled in.
    pub image: String,
    /// What it was when the bundle was built: `sha256:` and 64 hex digits. Without it nobody looked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// A tool and its version.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The program, `longshore`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The compressor, library, version and level: its bytes are part of the archive digest.
    pub compressor: String,
}

/// One file or link.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManifestFile {
    /// Its path.
    pub path: BundlePath,
    /// What it is.
    pub kind: FileKind,
    /// `0644` or `0755` for a file, `0777` for a link.
    pub mode: Cow<'static, str>,
    /// Bytes of the file, or of the link's target text.
    pub size: u64,
    /// The digest of the file's bytes, or of the link's target text.
    pub sha256: Sha256,
}

/// What an entry of a manifest is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FileKind {
    /// A regular file.
    File,
    /// A symbolic link.
    Link,
}

/// Why a manifest was refused.
#[derive(Debug, thiserror::Error)]
pub enum ManifestError {
    /// It is no JSON, or lacks a field.
    #[error("cannot read `{MANIFEST_PATH}`")]
    Parse(#[source] serde_json::Error),
    /// A later program wrote it.
    #[error("`{MANIFEST_PATH}` has format {found}; this program reads format {FORMAT}")]
    Format {
        /// The format it names.
        found: u64,
    },
    /// Its list of files breaks a rule.
    #[error("`{MANIFEST_PATH}` lists `{}`, which {why}", .entry.as_str().escape_debug())]
    File {
        /// The path.
        entry: BundlePath,
        /// The rule it breaks.
        why: &'static str,
    },
    /// Its content digest is not that of its own list.
    #[error("`{MANIFEST_PATH}` names the content digest {named}, but its list of files has {computed}")]
    ContentDigest {
        /// What it says.
        named: Sha256,
        /// What its list gives.
        computed: Sha256,
    },
}

impl Manifest {
    /// The bytes of `.longshore/manifest.json`: fields in the order of the struct, one space of indentation, a newline
    /// at the end.
    pub fn to_json(&self) -> Vec<u8> {
        let mut json = Vec::with_capacity(256 + self.files.len() * 224);
        self.write_json(&mut json).expect("text keys and a Vec as the sink cannot fail");
        json
    }

    /// Writes these bytes, in many small pieces.
    pub fn write_json(&self, mut to: impl io::Write) -> io::Result<()> {
        let formatter = serde_json::ser::PrettyFormatter::with_indent(b" ");
        self.serialize(&mut serde_json::Serializer::with_formatter(&mut to, formatter))?;
        to.write_all(b"\n")
    }

    /// Reads a manifest and checks it against itself. Does not see the files that it lists.
    pub fn parse(json: &[u8]) -> Result<Manifest, ManifestError> {
        #[derive(Deserialize)]
        struct Version {
            format: u64,
        }
        // The format first: a later manifest may lack fields of this one, and deserves the clearer message.
        let Version { format } = serde_json::from_slice(json).map_err(ManifestError::Parse)?;
        if format != u64::from(FORMAT) {
            return Err(ManifestError::Format { found: format });
        }
        let manifest: Manifest = serde_json::from_slice(json).map_err(ManifestError::Parse)?;
        manifest.check()?;
        Ok(manifest)
    }

    fn check(&self) -> Result<(), ManifestError> {
        let mut previous: Option<&BundlePath> = None;
        for file in &self.files {
            let refuse = |why| Err(ManifestError::File { entry: file.path.clone(), why });
            if previous.is_some_and(|previous| *previous >= file.path) {
                return refuse("stands twice or out of order");
            }
            if file.path.as_str() == MANIFEST_PATH {
                return refuse("is the manifest itself");
            }
            match (file.kind, file.mode.as_ref()) {
                (FileKind::File, "0644" | "0755") | (FileKind::Link, "0777") => {}
                (FileKind::File, _) => return refuse("is a file of a mode other than 0644 and 0755"),
                (FileKind::Link, _) => return refuse("is a link of a mode other than 0777"),
            }
            previous = Some(&file.path);
        }
        let computed = content_digest(&self.files);
        if computed == self.content_digest {
            Ok(())
        } else {
            Err(ManifestError::ContentDigest { named: self.content_digest, computed })
        }
    }
}

impl ManifestFile {
    /// A regular file.
    pub fn file(path: BundlePath, executable: bool, size: u64, sha256: Sha256) -> ManifestFile {
        let mode = Cow::Borrowed(if executable { "0755" } else { "0644" });
        ManifestFile { path, kind: FileKind::File, mode, size, sha256 }
    }

    /// A symbolic link.
    pub fn link(path: BundlePath, target: &str) -> ManifestFile {
        ManifestFile {
            path,
            kind: FileKind::Link,
            mode: Cow::Borrowed("0777"),
            size: target.len() as u64,
            sha256: Sha256::of(target.as_bytes()),
        }
    }

    /// Whether it is a file with an x bit.
    pub fn is_executable(&self) -> bool {
        match self.kind {
            FileKind::File => self.mode == "0755",
            FileKind::Link => false,
        }
    }
}

/// The content digest: what is in a bundle, whatever compressed it and whatever packed it.
///
/// SHA-256 over the line `longshore content 1` and its newline, then, for each file and link in the order of the bytes
/// of their paths, `<kind> <size> <sha256> <path>` and a NUL. The kind is `f` for a file, `x` for a file with an x bit,
/// `l` for a link, whose size and digest are those of its target text; the size is decimal, the digest 64 lower-case
/// hex digits. The manifest, folders, time stamps and the other permission bits are left out.
pub fn content_digest(files: &[ManifestFile]) -> Sha256 {
    let mut sorted: Vec<&ManifestFile> = files.iter().filter(|file| file.path.as_str() != MANIFEST_PATH).collect();
    sorted.sort_by(|a, b| a.path.cmp(&b.path));
    let mut hasher = Hasher::default();
    hasher.update(b"longshore content 1\n");
    for file in sorted {
        let kind = match file.kind {
            FileKind::File if file.is_executable() => 'x',
            FileKind::File => 'f',
            FileKind::Link => 'l',
        };
        hasher.update(format!("{kind} {} {} {}\0", file.size, file.sha256, file.path).as_bytes());
    }
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> BundlePath {
        text.parse().unwrap()
    }

    fn sample() -> Manifest {
        let files = vec![
            ManifestFile::file(path("appspec.yml"), false, 3, Sha256::of(b"abc")),
            ManifestFile::link(path("current"), "bin/start"),
            ManifestFile::file(path("stärt.sh"), true, 0, Sha256::of(b"")),
        ];
        Manifest {
            format: FORMAT,
            tool: Tool { name: "longshore".into(), version: "0.1.0".into(), compressor: "none".into() },
            application: "shop".parse().unwrap(),
            commit: "0123456789abcdef0123456789abcdef01234567".parse().unwrap(),
            dirty: false,
            time: 315_532_800,
            content_digest: content_digest(&files),
            images: Vec::new(),
            files,
        }
    }

    const JSON: &str = r#"{
 "format": 1,
 "tool": {
  "name": "longshore",
  "version": "0.1.0",
  "compressor": "none"
 },
 "application": "shop",
 "commit": "0123456789abcdef0123456789abcdef01234567",
 "time": 315532800,
 "content_digest": "d06e673a401c8cbca8af9742bcb48979b2fb2e5b3d1969b3dbf62024499d2e2e",
 "files": [
  {
   "path": "appspec.yml",
   "kind": "file",
   "mode": "0644",
   "size": 3,
   "sha256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
  },
  {
   "path": "current",
   "kind": "link",
   "mode": "0777",
   "size": 9,
   "sha256": "388526381fc470dffdd7d12390d2790d2298232dc84b892ef03e10363ef80a50"
  },
  {
   "path": "stärt.sh",
   "kind": "file",
   "mode": "0755",
   "size": 0,
   "sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
  }
 ]
}
"#;

    #[test]
    fn the_json_is_stable_and_reads_back() {
        let manifest = sample();
        assert_eq!(String::from_utf8(manifest.to_json()).unwrap(), JSON);
        assert_eq!(Manifest::parse(&manifest.to_json()).unwrap(), manifest);
    }

    #[test]
    fn the_content_digest_is_what_its_definition_says_in_any_order() {
        let mut files = sample().files;
        let text = "longshore content 1\n\
            f 3 ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad appspec.yml\0\
            l 9 LINK current\0\
            x 0 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 stärt.sh\0"
            .replace("LINK", &Sha256::of(b"bin/start").to_string());
        assert_eq!(content_digest(&files), Sha256::of(text.as_bytes()));
        files.reverse();
        files.push(ManifestFile::file(path(MANIFEST_PATH), false, 1, Sha256::of(b"x")));
        assert_eq!(content_digest(&files), Sha256::of(text.as_bytes()));
    }

    #[test]
    fn a_damaged_manifest_is_refused_and_says_why() {
        let edited = |edit: &dyn Fn(&mut Manifest)| {
            let mut manifest = sample();
            edit(&mut manifest);
            Manifest::parse(&manifest.to_json()).unwrap_err().to_string()
        };
        assert_eq!(edited(&|m| m.format = 2), "`.longshore/manifest.json` has format 2; this program reads format 1");
        assert_eq!(
            edited(&|m| m.files.reverse()),
            "`.longshore/manifest.json` lists `current`, which stands twice or out of order"
        );
        assert_eq!(
            edited(&|m| m.files[1].path = m.files[0].path.clone()),
            "`.longshore/manifest.json` lists `appspec.yml`, which stands twice or out of order"
        );
        assert_eq!(
            edited(&|m| m.files[0].mode = "4755".into()),
            "`.longshore/manifest.json` lists `appspec.yml`, which is a file of a mode other than 0644 and 0755"
        );
        assert_eq!(
            edited(&|m| m.files[0].path = path(MANIFEST_PATH)),
            "`.longshore/manifest.json` lists `.longshore/manifest.json`, which is the manifest itself"
        );
        assert!(edited(&|m| m.files[0].size = 4).contains("names the content digest"));
        for json in ["", "{", "[]", "{\"format\":1}", "{\"format\":\"1\"}", "\u{feff}{}"] {
            let error = Manifest::parse(json.as_bytes()).unwrap_err();
            assert_eq!(error.to_string(), "cannot read `.longshore/manifest.json`", "{json}");
        }
    }

    #[test]
    fn a_path_that_leaves_the_bundle_cannot_stand_in_a_manifest() {
        let json = String::from_utf8(sample().to_json()).unwrap().replace("appspec.yml", "../appspec.yml");
        assert!(matches!(Manifest::parse(json.as_bytes()), Err(ManifestError::Parse(_))));
    }
}
