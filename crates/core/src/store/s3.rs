//! An S3 bucket as a store: the only file that names the S3 SDK.
/// A bucket.
#[derive(Debug)]
pub struct S3Store;
