//! How what is stored in S3 is sent and kept, as the caller wants it.

/// How S3 keeps what is stored. Without effect in a folder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Upload {
    /// `AES256`, `aws:kms` or `aws:kms:dsse`: encryption at rest, instead of what the bucket says.
    pub encryption: Option<String>,
    /// The id, ARN or alias of the KMS key.
    pub kms_key: Option<String>,
    /// For example `STANDARD_IA`.
    pub storage_class: Option<String>,
    /// Tags, 10 at most.
    pub tags: Vec<(String, String)>,
    /// Metadata (`x-amz-meta-…`) beside ours.
    pub metadata: Vec<(String, String)>,
}

/// How an artifact of more than 16 MiB is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sending {
    /// Bytes of a part; more where there would be too many parts.
    pub part_size: u64,
    /// Parts that are under way at the same time.
    pub parallel_parts: usize,
}

impl Sending {
    /// The smallest part that S3 takes.
    pub const SMALLEST_PART: u64 = 5 << 20;
    /// The largest part that S3 takes.
    pub const LARGEST_PART: u64 = 5 << 30;
    /// More parts at once than this only make each of them slower.
    pub const MOST_PARALLEL: usize = 64;
}

impl Default for Sending {
    fn default() -> Sending {
        Sending { part_size: 8 << 20, parallel_parts: 4 }
    }
}

/// An upload in parts that is neither completed nor aborted. Its parts stay in the bucket, invisible and billed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unfinished {
    /// The bucket.
    pub bucket: String,
    /// The whole key.
    pub key: String,
    /// The id of the upload.
    pub id: String,
    /// Why it could not be aborted, one line; `None`: nobody tried.
    pub why: Option<String>,
}

/// What S3 would refuse, or hosts could not fetch.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUpload {
    /// No such encryption.
    #[error("`{name}` is no encryption of S3: AES256, aws:kms and aws:kms:dsse are")]
    Encryption {
        /// What was given.
        name: String,
    },
    /// A key without the encryption that uses it.
    #[error("the KMS key `{key}` needs the encryption aws:kms or aws:kms:dsse")]
    KmsKey {
        /// The key.
        key: String,
    },
    /// No such class.
    #[error("`{name}` is no storage class that hosts can fetch from: {known} are")]
    StorageClass {
        /// What was given.
        name: String,
        /// Those that there are.
        known: String,
    },
    /// A class whose objects cannot be fetched.
    #[error("hosts cannot fetch from the storage class `{name}`: its objects have to be restored first")]
    Archive {
        /// The class.
        name: String,
    },
    /// Too many tags.
    #[error("there are {count} tags; S3 takes 10")]
    TooManyTags {
        /// How many.
        count: usize,
    },
    /// A tag that S3 does not take.
    #[error("the tag `{name}` cannot be set: {why}")]
    Tag {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Metadata that S3 does not take.
    #[error("the metadata `{name}` cannot be set: {why}")]
    Metadata {
        /// Its name.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// Too much of it.
    #[error("the metadata has {bytes} bytes; S3 takes {limit} beside ours")]
    TooMuchMetadata {
        /// Bytes of names and values.
        bytes: usize,
        /// The most.
        limit: usize,
    },
    /// Parts of a size that S3 does not take.
    #[error("parts of {size} bytes cannot be sent: S3 takes 5 MiB to 5 GiB")]
    PartSize {
        /// The size.
        size: u64,
    },
    /// No part, or too many, at a time.
    #[error("{count} parts cannot be sent at a time: 1 to {} can", Sending::MOST_PARALLEL)]
    Parallel {
        /// How many.
        count: usize,
    },
}

impl Sending {
    /// Checks the bounds.
    pub(super) fn check(self) -> Result<Sending, InvalidUpload> {
        if !(Sending::SMALLEST_PART..=Sending::LARGEST_PART).contains(&self.part_size) {
            return Err(InvalidUpload::PartSize { size: self.part_size });
        }
        if !(1..=Sending::MOST_PARALLEL).contains(&self.parallel_parts) {
            return Err(InvalidUpload::Parallel { count: self.parallel_parts });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_have_the_sizes_that_s3_takes() {
        let sending = |part_size, parallel_parts| Sending { part_size, parallel_parts }.check();
        assert!(Sending::default().check().is_ok() && sending(5 << 20, 1).is_ok() && sending(5 << 30, 64).is_ok());
        assert_eq!(sending((5 << 20) - 1, 4), Err(InvalidUpload::PartSize { size: (5 << 20) - 1 }));
        assert_eq!(sending((5 << 30) + 1, 4), Err(InvalidUpload::PartSize { size: (5 << 30) + 1 }));
        assert_eq!(
            [sending(8 << 20, 0), sending(8 << 20, 65)],
            [0, 65].map(|count| Err(InvalidUpload::Parallel { count }))
        );
    }
}
