//! How S3 keeps what is stored: encryption, storage class, tags, metadata. Checked here, before anything is asked.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_s3::operation::create_multipart_upload::builders::CreateMultipartUploadFluentBuilder;
use aws_sdk_s3::operation::put_object::builders::PutObjectFluentBuilder;
use aws_sdk_s3::types::{ServerSideEncryption, StorageClass};

use super::super::{InvalidUpload, S3Upload};
use super::{META_COMMIT, META_CONTENT_DIGEST, META_SHA256};

/// Bytes of names and values of metadata that S3 takes.
const METADATA_LIMIT: usize = 2048;
/// What ours take of that: three names, two digests, and a commit of up to 64 digits.
const METADATA_OURS: usize = META_SHA256.len() + META_CONTENT_DIGEST.len() + META_COMMIT.len() + 3 * 64;

/// How objects are kept, as far as the caller said so.
#[derive(Debug)]
pub(super) struct Keeping {
    encryption: Option<ServerSideEncryption>,
    kms_key: Option<String>,
    storage_class: Option<StorageClass>,
    /// As S3 wants them: a query string.
    tagging: Option<String>,
    metadata: Vec<(String, String)>,
}

impl Keeping {
    /// Checks what S3 would refuse, and what hosts could not fetch.
    pub(super) fn of(upload: &S3Upload) -> Result<Keeping, InvalidUpload> {
        let encryption = upload.encryption.as_deref().map(encryption).transpose()?;
        let by_kms = matches!(encryption, Some(ServerSideEncryption::AwsKms | ServerSideEncryption::AwsKmsDsse));
        if let Some(key) = &upload.kms_key
            && (!by_kms || key.is_empty())
        {
            return Err(InvalidUpload::KmsKey { key: key.clone() });
        }
        Ok(Keeping {
            encryption,
            kms_key: upload.kms_key.clone(),
            storage_class: upload.storage_class.as_deref().map(storage_class).transpose()?,
            tagging: tagging(&upload.tags)?,
            metadata: metadata(&upload.metadata)?,
        })
    }

    /// For an artifact that is sent at once.
    pub(super) fn put(&self, request: PutObjectFluentBuilder, ours: HashMap<String, String>) -> PutObjectFluentBuilder {
        self.encrypt(request)
            .set_storage_class(self.storage_class.clone())
            .set_tagging(self.tagging.clone())
            .set_metadata(Some(self.with(ours)))
    }

    /// For an artifact that is sent in parts.
    pub(super) fn create(
        &self,
        request: CreateMultipartUploadFluentBuilder,
        ours: HashMap<String, String>,
    ) -> CreateMultipartUploadFluentBuilder {
        request
            .set_server_side_encryption(self.encryption.clone())
            .set_ssekms_key_id(self.kms_key.clone())
            .set_storage_class(self.storage_class.clone())
            .set_tagging(self.tagging.clone())
            .set_metadata(Some(self.with(ours)))
    }

    /// For small objects: a bucket may refuse whatever is not encrypted. Classes, tags and metadata are those of artifacts.
    pub(super) fn encrypt(&self, request: PutObjectFluentBuilder) -> PutObjectFluentBuilder {
        request.set_server_side_encryption(self.encryption.clone()).set_ssekms_key_id(self.kms_key.clone())
    }

    fn with(&self, mut ours: HashMap<String, String>) -> HashMap<String, String> {
        ours.extend(self.metadata.iter().cloned());
        ours
    }
}

fn encryption(name: &str) -> Result<ServerSideEncryption, InvalidUpload> {
    let known = [ServerSideEncryption::Aes256, ServerSideEncryption::AwsKms, ServerSideEncryption::AwsKmsDsse];
    let found = known.into_iter().find(|known| known.as_str() == name);
    found.ok_or_else(|| InvalidUpload::Encryption { name: name.to_owned() })
}

/// Those from which an object can be fetched at once.
fn storage_class(name: &str) -> Result<StorageClass, InvalidUpload> {
    let known = [
        StorageClass::Standard,
        StorageClass::StandardIa,
        StorageClass::OnezoneIa,
        StorageClass::IntelligentTiering,
        StorageClass::GlacierIr,
        StorageClass::ReducedRedundancy,
        StorageClass::ExpressOnezone,
    ];
    let archives = [StorageClass::Glacier, StorageClass::DeepArchive];
    if let Some(class) = known.iter().find(|known| known.as_str() == name) {
        return Ok(class.clone());
    }
    if archives.iter().any(|archive| archive.as_str() == name) {
        return Err(InvalidUpload::Archive { name: name.to_owned() });
    }
    let known = known.iter().map(StorageClass::as_str).collect::<Vec<_>>().join(", ");
    Err(InvalidUpload::StorageClass { name: name.to_owned(), known })
}

fn tagging(tags: &[(String, String)]) -> Result<Option<String>, InvalidUpload> {
    if tags.len() > 10 {
        return Err(InvalidUpload::TooManyTags { count: tags.len() });
    }
    let mut seen = BTreeSet::new();
    for (name, value) in tags {
        let wrong = |why: &str| Err(InvalidUpload::Tag { name: name.clone(), why: why.to_owned() });
        let allowed = |text: &str| text.chars().all(|c| c.is_alphanumeric() || c == ' ' || "+-=._:/@".contains(c));
        match (name.chars().count(), value.chars().count()) {
            (0, _) => return wrong("its name is empty"),
            (129.., _) => return wrong("its name is longer than 128 characters"),
            (_, 257..) => return wrong("its value is longer than 256 characters"),
            (_, _) => {}
        }
        if !allowed(name) || !allowed(value) {
            return wrong("letters, digits, blanks and `+ - = . _ : / @` are allowed");
        }
        if name.to_ascii_lowercase().starts_with("aws:") {
            return wrong("names that begin with `aws:` belong to AWS");
        }
        if !seen.insert(name) {
            return wrong("it is given twice");
        }
    }
    let pairs: Vec<String> = tags.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    Ok((!pairs.is_empty()).then(|| pairs.join("&")))
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

fn metadata(metadata: &[(String, String)]) -> Result<Vec<(String, String)>, InvalidUpload> {
    let mut seen = BTreeSet::new();
    let mut bytes = METADATA_OURS;
    for (name, value) in metadata {
        let wrong = |why: &str| Err(InvalidUpload::Metadata { name: name.clone(), why: why.to_owned() });
        let token = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        if name.is_empty() || !name.bytes().all(token) {
            return wrong("a name has lower-case letters, digits and `- _ .`");
        }
        if [META_SHA256, META_CONTENT_DIGEST, META_COMMIT].contains(&name.as_str()) {
            return wrong("Longshore writes it itself");
        }
        if !value.bytes().all(|byte| (b' '..=b'~').contains(&byte)) || value.trim() != value {
            return wrong("a value has printable ASCII characters, and no blank at either end");
        }
        if !seen.insert(name) {
            return wrong("it is given twice");
        }
        bytes += name.len() + value.len();
    }
    if bytes > METADATA_LIMIT {
        return Err(InvalidUpload::TooMuchMetadata {
            bytes: bytes - METADATA_OURS,
            limit: METADATA_LIMIT - METADATA_OURS,
        });
    }
    Ok(metadata.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn what_s3_would_refuse_is_refused_before_it_is_asked() {
        let upload = S3Upload::default;
        let long = "x".repeat(129);
        for (upload, expected) in [
            (
                S3Upload { encryption: Some("kms".into()), ..upload() },
                "`kms` is no encryption of S3: AES256, aws:kms and aws:kms:dsse are",
            ),
            (
                S3Upload { kms_key: Some("alias/a".into()), ..upload() },
                "the KMS key `alias/a` needs the encryption aws:kms or aws:kms:dsse",
            ),
            (
                S3Upload { encryption: Some("AES256".into()), kms_key: Some("alias/a".into()), ..upload() },
                "the KMS key `alias/a` needs the encryption aws:kms or aws:kms:dsse",
            ),
            (
                S3Upload { storage_class: Some("standard".into()), ..upload() },
                "`standard` is no storage class that hosts can fetch from: STANDARD, STANDARD_IA, ONEZONE_IA, INTELLIGENT_TIERING, \
                 GLACIER_IR, REDUCED_REDUNDANCY, EXPRESS_ONEZONE are",
            ),
            (
                S3Upload { storage_class: Some("DEEP_ARCHIVE".into()), ..upload() },
                "hosts cannot fetch from the storage class `DEEP_ARCHIVE`: its objects have to be restored first",
            ),
            (S3Upload { tags: vec![("a".into(), String::new()); 11], ..upload() }, "there are 11 tags; S3 takes 10"),
            (S3Upload { tags: pairs(&[("", "a")]), ..upload() }, "the tag `` cannot be set: its name is empty"),
            (
                S3Upload { tags: pairs(&[("a", "1"), ("a", "2")]), ..upload() },
                "the tag `a` cannot be set: it is given twice",
            ),
            (
                S3Upload { tags: pairs(&[("aws:a", "1")]), ..upload() },
                "the tag `aws:a` cannot be set: names that begin with `aws:` belong to AWS",
            ),
            (
                S3Upload { tags: pairs(&[("a", "x;y")]), ..upload() },
                "the tag `a` cannot be set: letters, digits, blanks and `+ - = . _ : / @` are allowed",
            ),
            (
                S3Upload { metadata: pairs(&[("commit", "1")]), ..upload() },
                "the metadata `commit` cannot be set: Longshore writes it itself",
            ),
            (
                S3Upload { metadata: pairs(&[("Build", "1")]), ..upload() },
                "the metadata `Build` cannot be set: a name has lower-case letters, digits and `- _ .`",
            ),
            (
                S3Upload { metadata: pairs(&[("build", "ä")]), ..upload() },
                "the metadata `build` cannot be set: a value has printable ASCII characters, and no blank at either end",
            ),
            (
                S3Upload { metadata: vec![("build".into(), "x".repeat(1900))], ..upload() },
                "the metadata has 1905 bytes; S3 takes 1830 beside ours",
            ),
        ] {
            assert_eq!(Keeping::of(&upload).unwrap_err().to_string(), expected);
        }
        for (name, why) in [(&long, "name is longer than 128"), (&"a".to_owned(), "value is longer than 256")] {
            let error = Keeping::of(&S3Upload { tags: vec![(name.clone(), long.repeat(2))], ..upload() }).unwrap_err();
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn tags_become_a_query_string() {
        let tags = pairs(&[("team", "shop & co"), ("größe", "a=b")]);
        assert!(tagging(&tags).is_err());
        let tags = pairs(&[("team", "shop + co"), ("größe", "a=b"), ("empty", "")]);
        assert_eq!(tagging(&tags).unwrap().unwrap(), "team=shop%20%2B%20co&gr%C3%B6%C3%9Fe=a%3Db&empty=");
        assert_eq!(tagging(&[]).unwrap(), None);
    }
}
