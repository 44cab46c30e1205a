//! An S3 bucket as a store. Only this file and its folder name the S3 SDK.

mod connection;
mod download;
mod keeping;
mod part;
mod parts;
mod refusal;
mod service;
mod upload;

pub use download::Part;

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_sdk_s3::Client;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{
    Builder, Config, Credentials, ProvideCredentials as _, ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use aws_sdk_s3::primitives::{ByteStream, ByteStreamError};
use aws_types::os_shim_internal::{Env, Fs};
use aws_types::service_config::ServiceConfigKey;
use jiff::Timestamp;

use super::url::{check_key, join_key};
use super::{
    Changed, InvalidUpload, Left, Listed, ObjectInfo, READ_LIMIT, S3Options, Sending, StoreError, Unfinished, Verb,
};
use crate::chance;
use connection::Way;
use keeping::Keeping;
use refusal::{Asked, Refusal};

pub use service::connect;

/// Names under which the digests stand in the metadata of an object (`x-amz-meta-…`).
const META_SHA256: &str = "sha256";
const META_CONTENT_DIGEST: &str = "content-digest";
const META_COMMIT: &str = "commit";

/// A bucket.
#[derive(Debug)]
pub struct S3Store {
    client: Client,
    bucket: String,
    prefix: String,
    /// The region that requests are signed for.
    region: String,
    /// Whether the caller named it.
    region_named: bool,
    /// The URL of the server where one is set, for messages.
    endpoint: Option<String>,
    keeping: Keeping,
    sending: Sending,
    /// The largest object that is fetched into a file.
    largest: Option<u64>,
    /// The bucket answered as existing.
    bucket_seen: AtomicBool,
    /// Multipart uploads that nobody has completed or aborted yet.
    unfinished: Mutex<Vec<Unfinished>>,
}

impl S3Options {
    /// Refuses what S3 would refuse, or hosts could not fetch, as opening the store does.
    pub fn check(&self) -> Result<(), InvalidUpload> {
        Keeping::of(&self.upload)?;
        self.sending.check().map(|_| ())
    }
}

impl S3Store {
    /// Finds out settings and credentials; asks the bucket nothing.
    pub(super) async fn open(bucket: &str, prefix: &str, options: &S3Options) -> Result<S3Store, StoreError> {
        let (keeping, sending) = (Keeping::of(&options.upload)?, options.sending.check()?);
        if options.keys.is_none()
            && let Some(profile) = missing_profile().await
        {
            return Err(StoreError::NoProfile { profile });
        }
        let way = Way::find(options)?;
        let sdk = settings(options, &way).await;
        let Some(provider) = sdk.credentials_provider() else {
            return Err(StoreError::NoCredentials {
                source: super::Cause("no source of credentials is set".to_owned()),
            });
        };
        // The client asks again when it signs; asking here tells "no credentials" from all that can go wrong later.
        if let Err(error) = provider.provide_credentials().await {
            return Err(StoreError::NoCredentials { source: refusal::chain(&error) });
        }
        let endpoint = match &options.endpoint {
            Some(endpoint) => Some(endpoint.clone()),
            None => endpoint_of(&sdk, "S3"),
        };
        let mut config = Builder::from(&sdk);
        if let Some(endpoint) = &endpoint {
            config = config.endpoint_url(endpoint).force_path_style(true);
            if let Some(client) = way.client_for(endpoint) {
                config = config.http_client(client);
            }
        }
        // What matters is checked by our own digest; the SDK's check would end a broken download differently each time.
        config = config.response_checksum_validation(ResponseChecksumValidation::WhenRequired);
        Ok(S3Store {
            client: Client::from_conf(config.build()),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            region: sdk.region().map(ToString::to_string).unwrap_or_default(),
            region_named: options.region.is_some(),
            endpoint,
            keeping,
            sending,
            largest: options.largest,
            bucket_seen: AtomicBool::new(false),
            unfinished: Mutex::default(),
        })
    }

    /// See [`super::Store::head`].
    pub(super) async fn head(&self, key: &str, version: Option<&str>) -> Result<Option<ObjectInfo>, StoreError> {
        self.head_whole(&self.whole_key(key)?, version).await
    }

    /// The same for a key with prefix.
    async fn head_whole(&self, key: &str, version: Option<&str>) -> Result<Option<ObjectInfo>, StoreError> {
        let request =
            self.client.head_object().bucket(&self.bucket).key(key).set_version_id(version.map(str::to_owned));
        match request.customize().config_override(small()).send().await {
            Ok(output) => Ok(Some(info_of_head(&output))),
            Err(error) => match self.asked(Verb::Read, key).refusal_of_head(&error, version) {
                // The answer to HEAD has no body, so it cannot say whether object or bucket is missing.
                Refusal::NotFound => self.check_bucket().await.map(|()| None),
                refusal => Err(self.asked(Verb::Read, key).unexpected(refusal)),
            },
        }
    }

    /// See [`super::Store::read`].
    pub(super) async fn read(&self, key: &str, limit: u64) -> Result<Option<(Vec<u8>, String)>, StoreError> {
        match self.read_small(key, None, limit).await? {
            Changed::New { contents, etag } => Ok(Some((contents, etag))),
            // Without a known ETag there is nothing that it could be the same as.
            Changed::Missing | Changed::Same => Ok(None),
        }
    }

    /// See [`super::Store::read_if_changed`].
    pub(super) async fn read_if_changed(&self, key: &str, known: Option<&str>) -> Result<Changed, StoreError> {
        self.read_small(key, known, READ_LIMIT).await
    }

    async fn read_small(&self, key: &str, known: Option<&str>, limit: u64) -> Result<Changed, StoreError> {
        let key = self.whole_key(key)?;
        let mut times = 0;
        loop {
            let request = self.client.get_object().bucket(&self.bucket).key(&key);
            let request = request.set_if_none_match(known.map(quoted));
            let output = match request.customize().config_override(small()).send().await {
                Ok(output) => output,
                Err(error) => match self.asked(Verb::Read, &key).refusal(&error) {
                    Refusal::NotFound => return Ok(Changed::Missing),
                    Refusal::NotModified if known.is_some() => return Ok(Changed::Same),
                    refusal => return Err(self.asked(Verb::Read, &key).unexpected(refusal)),
                },
            };
            let etag = unquoted(output.e_tag());
            // A server that does not know the condition sends the object all the same.
            if known == Some(etag.as_str()) {
                return Ok(Changed::Same);
            }
            let size = bytes(output.content_length());
            if size > limit {
                return Err(StoreError::TooLarge { place: self.show(&key), size, limit });
            }
            match collect(output.body, limit).await {
                Ok(contents) if contents.len() as u64 > limit => {
                    let (place, size) = (self.show(&key), contents.len() as u64);
                    return Err(StoreError::TooLarge { place, size, limit });
                }
                Ok(contents) => return Ok(Changed::New { contents, etag }),
                Err(error) => {
                    times += 1;
                    if times >= 3 {
                        let (place, source) = (self.show(&key), refusal::deepest(&error));
                        return Err(StoreError::Broken { place, times, received: 0, size, source });
                    }
                    pause(times).await;
                }
            }
        }
    }

    /// See [`super::Store::remove`].
    pub(super) async fn remove(&self, key: &str) -> Result<Left, StoreError> {
        let key = self.whole_key(key)?;
        let request = self.client.delete_object().bucket(&self.bucket).key(&key);
        match request.customize().config_override(small()).send().await {
            Ok(answer) if answer.delete_marker() == Some(true) => Ok(Left::Versions),
            Ok(_) => Ok(Left::Nothing),
            Err(error) => match self.asked(Verb::Remove, &key).refusal(&error) {
                Refusal::NotFound => Ok(Left::Nothing),
                refusal => Err(self.asked(Verb::Remove, &key).unexpected(refusal)),
            },
        }
    }

    /// See [`super::Store::replace_if`].
    ///
    /// The SDK must not repeat this request by itself: after a lost answer the repetition would meet our own object.
    /// Here that case is told apart by reading what stands there.
    pub(super) async fn replace_if(
        &self,
        key: &str,
        contents: &[u8],
        expected: Option<&str>,
    ) -> Result<Option<String>, StoreError> {
        let key = self.whole_key(key)?;
        let once = aws_sdk_s3::config::retry::RetryConfig::standard().with_max_attempts(1);
        let mut answer_lost = false;
        let mut times = 0;
        loop {
            let mut request = self.client.put_object().bucket(&self.bucket).key(&key);
            request = match expected {
                Some(etag) => request.if_match(quoted(etag)),
                None => request.if_none_match("*"),
            };
            let request = self.keeping.encrypt(request).body(ByteStream::from(contents.to_vec()));
            let error = match request.customize().config_override(small().retry_config(once.clone())).send().await {
                Ok(output) => return Ok(Some(unquoted(output.e_tag()))),
                Err(error) => error,
            };
            times += 1;
            let unclear = refusal::is_unclear(&error);
            match self.asked(Verb::Write, &key).refusal(&error) {
                Refusal::Precondition if answer_lost => return self.is_ours(&key, contents).await,
                Refusal::Precondition => return Ok(None),
                // With `If-Match`: there is nothing to replace.
                Refusal::NotFound if expected.is_some() => return Ok(None),
                Refusal::Conflict if times < 5 => {}
                Refusal::Conflict => return Ok(None),
                refusal if unclear && times < 5 => {
                    tracing::debug!(key, ?refusal, "writing again after an unclear answer");
                    answer_lost = true;
                }
                refusal => return Err(self.asked(Verb::Write, &key).unexpected(refusal)),
            }
            pause(times).await;
        }
    }

    /// The ETag of the object if it holds these contents.
    async fn is_ours(&self, key: &str, contents: &[u8]) -> Result<Option<String>, StoreError> {
        let relative = key.strip_prefix(&self.prefix).map_or(key, |rest| rest.trim_start_matches('/'));
        let current = self.read(relative, READ_LIMIT.max(contents.len() as u64)).await?;
        Ok(current.filter(|(current, _)| current == contents).map(|(_, etag)| etag))
    }

    /// See [`super::Store::list`].
    pub(super) async fn list(&self, prefix: &str) -> Result<Vec<Listed>, StoreError> {
        let above = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        let place = format!("s3://{}/{above}{prefix}", self.bucket);
        let mut pages = self
            .client
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(format!("{above}{prefix}"))
            .into_paginator()
            .send();
        let mut listed = Vec::new();
        while let Some(page) = pages.next().await {
            let page = page.map_err(|error| {
                let asked = Asked { verb: Verb::List, bucket: &self.bucket, place: place.clone(), store: self };
                let refusal = asked.refusal(&error);
                asked.unexpected(refusal)
            })?;
            for object in page.contents() {
                let Some(key) = object.key().and_then(|key| key.strip_prefix(&above)) else { continue };
                let modified = object.last_modified().and_then(|time| Timestamp::from_second(time.secs()).ok());
                listed.push(Listed {
                    key: key.to_owned(),
                    size: bytes(object.size()),
                    modified: modified.unwrap_or(Timestamp::UNIX_EPOCH),
                });
            }
        }
        // S3 sorts by bytes already; other servers need not.
        listed.sort_by(|one, other| one.key.cmp(&other.key));
        Ok(listed)
    }

    /// Tells a missing bucket from a missing object, asking at most once until the bucket has been seen.
    async fn check_bucket(&self) -> Result<(), StoreError> {
        if self.bucket_seen.load(Ordering::Relaxed) {
            return Ok(());
        }
        let request = self.client.head_bucket().bucket(&self.bucket);
        if let Err(error) = request.customize().config_override(small()).send().await {
            let place = format!("s3://{}", self.bucket);
            let asked = Asked { verb: Verb::List, bucket: &self.bucket, place, store: self };
            match asked.refusal(&error) {
                Refusal::NotFound => return Err(StoreError::NoBucket { bucket: self.bucket.clone() }),
                // Who may not list the bucket may still read it.
                Refusal::Other(StoreError::Denied { .. }) => {}
                refusal => return Err(asked.unexpected(refusal)),
            }
        }
        self.bucket_seen.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// The key with the prefix of the store, checked.
    fn whole_key(&self, key: &str) -> Result<String, StoreError> {
        check_key(key)?;
        let key = join_key(&self.prefix, key);
        check_key(&key)?;
        Ok(key)
    }

    /// A key with prefix, as messages show it.
    fn show(&self, key: &str) -> String {
        format!("s3://{}/{key}", self.bucket)
    }

    fn asked(&self, verb: Verb, key: &str) -> Asked<'_> {
        Asked { verb, bucket: &self.bucket, place: self.show(key), store: self }
    }
}

/// Settings as the AWS CLI finds them, with those given on top.
async fn settings(options: &S3Options, way: &Way) -> SdkConfig {
    let sdk = loader(options, way).load().await;
    if sdk.region().is_some() {
        return sdk;
    }
    // As the AWS CLI: without a region, S3 is asked in us-east-1, which answers where the bucket is.
    sdk.into_builder().region(Region::new("us-east-1")).build()
}

fn loader(options: &S3Options, way: &Way) -> ConfigLoader {
    let patience = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(10))
        // From sending a request to the head of the answer, so it includes the upload of a part over a slow line. What
        // stalls earlier is found by the protection below.
        .read_timeout(Duration::from_secs(600))
        .build();
    let stalled = StalledStreamProtectionConfig::enabled().grace_period(Duration::from_secs(20)).build();
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).timeout_config(patience).stalled_stream_protection(stalled);
    // For credentials too.
    if let Some(client) = way.client_for("https://") {
        loader = loader.http_client(client);
    }
    if let Some(region) = &options.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(keys) = &options.keys {
        let (id, secret, token) =
            (keys.access_key_id.clone(), keys.secret_access_key.clone(), keys.session_token.clone());
        loader = loader.credentials_provider(Credentials::new(id, secret, token, None, "longshore"));
    }
    if options.fips && options.endpoint.is_none() {
        loader = loader.use_fips(true);
    }
    loader
}

/// The profile that `AWS_PROFILE` names and that no file defines. As the AWS CLI: nobody who named a profile means the role of
/// the machine, to which the SDK would go on.
async fn missing_profile() -> Option<String> {
    let environment = Env::real();
    let named = environment.get("AWS_PROFILE").ok().filter(|name| !name.is_empty() && name != "default")?;
    if environment.get("AWS_ACCESS_KEY_ID").is_ok_and(|id| !id.is_empty()) {
        return None;
    }
    let profiles = aws_config::profile::load(&Fs::real(), &environment, &Default::default(), None).await.ok()?;
    profiles.get_profile(&named).is_none().then_some(named)
}

/// The endpoint that environment or profile set, for one service or for all.
fn endpoint_of(sdk: &SdkConfig, service: &str) -> Option<String> {
    let key =
        ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url").build().ok()?;
    let of_service = sdk.service_config().and_then(|settings| settings.load_config(key));
    of_service.or_else(|| sdk.endpoint_url().map(str::to_owned))
}

/// The bytes of a small object, and no more of a larger one than tells that it is larger: an answer needs not say its length.
async fn collect(mut body: ByteStream, limit: u64) -> Result<Vec<u8>, ByteStreamError> {
    let mut contents = Vec::new();
    while let Some(chunk) = body.try_next().await? {
        contents.extend_from_slice(&chunk);
        if contents.len() as u64 > limit {
            break;
        }
    }
    Ok(contents)
}

/// Settings of requests that move few bytes: an attempt that takes a minute is lost.
fn small() -> Builder {
    let patience = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(60)).build();
    Config::builder().timeout_config(patience)
}

/// Waits before the next attempt: 0.2 s, doubled each time, at most 10 s, of that between half and all by chance.
async fn pause(times: u32) {
    let longest =
        Duration::from_millis(200).saturating_mul(1 << times.saturating_sub(1).min(10)).min(Duration::from_secs(10));
    tokio::time::sleep(chance::between(longest / 2, longest)).await;
}

fn info_of_head(output: &HeadObjectOutput) -> ObjectInfo {
    ObjectInfo {
        size: bytes(output.content_length()),
        etag: unquoted(output.e_tag()),
        version: version(output.version_id()),
        sha256: meta(output.metadata(), META_SHA256),
        content_digest: meta(output.metadata(), META_CONTENT_DIGEST),
    }
}

/// A digest from the metadata. One that is none counts as not said: others may have written it.
fn meta(metadata: Option<&std::collections::HashMap<String, String>>, name: &str) -> Option<crate::digest::Sha256> {
    metadata?.get(name)?.parse().ok()
}

/// `null` is what a bucket says that has stopped keeping versions.
fn version(id: Option<&str>) -> Option<String> {
    id.filter(|id| *id != "null").map(str::to_owned)
}

fn unquoted(etag: Option<&str>) -> String {
    etag.unwrap_or_default().trim_matches('"').to_owned()
}

fn quoted(etag: &str) -> String {
    format!("\"{etag}\"")
}

/// Sizes are signed in the SDK.
fn bytes(size: Option<i64>) -> u64 {
    size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
