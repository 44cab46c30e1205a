//! Uploads against a real S3 server: in parts, over a bad network, while the archive is packed, and kept as was asked.
#![expect(clippy::unwrap_used, reason = "whatever fails in a test fails the test")]

#[path = "upload/publishing.rs"]
mod publishing;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::operation::head_object::HeadObjectOutput;
use e2e::proxy::{Cut, Proxy};
use e2e::services;
use longshore_core::digest::Sha256;
use longshore_core::failure::Exit;
use longshore_core::growing::{GivenUp, Growing, Whole, Written};
use longshore_core::store::{
    Attributes, Keys, ObjectInfo, Put, S3Options, S3Upload, Sending, Store, StoreError, StoreUrl,
};
use serde_json::Value;
use tempfile::TempDir;

const MIB: u64 = 1 << 20;
const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// A bucket of its own for one test, and a folder for files.
struct Bench {
    bucket: String,
    client: Client,
    dir: TempDir,
}

impl Bench {
    async fn new(bucket: &str) -> Bench {
        let config = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .endpoint_url(services().s3().url)
            .force_path_style(true)
            .region(Region::new(e2e::REGION))
            .credentials_provider(Credentials::new(e2e::ACCESS_KEY, e2e::SECRET_KEY, None, None, "test"));
        let client = Client::from_conf(config.build());
        client.create_bucket().bucket(bucket).send().await.unwrap();
        Bench { bucket: bucket.to_owned(), client, dir: tempfile::tempdir().unwrap() }
    }

    async fn store(&self, options: S3Options) -> Store {
        let keys = Keys {
            access_key_id: e2e::ACCESS_KEY.to_owned(),
            secret_access_key: e2e::SECRET_KEY.to_owned(),
            session_token: None,
        };
        let options = S3Options {
            endpoint: options.endpoint.or_else(|| Some(services().s3().url)),
            region: Some(e2e::REGION.to_owned()),
            keys: Some(keys),
            ..options
        };
        let url: StoreUrl = format!("s3://{}", self.bucket).parse().unwrap();
        Store::open_with(&url, &options).await.unwrap()
    }

    async fn store_by(&self, proxy: &Proxy) -> Store {
        self.store(S3Options { endpoint: Some(proxy.url.clone()), ..S3Options::default() }).await
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    async fn unfinished(&self) -> usize {
        let answer = self.client.list_multipart_uploads().bucket(&self.bucket).send().await.unwrap();
        answer.uploads().len()
    }

    async fn bytes(&self, key: &str) -> Vec<u8> {
        let object = self.client.get_object().bucket(&self.bucket).key(key).send().await.unwrap();
        object.body.collect().await.unwrap().to_vec()
    }

    async fn head(&self, key: &str) -> HeadObjectOutput {
        self.client.head_object().bucket(&self.bucket).key(key).send().await.unwrap()
    }

    async fn tags(&self, key: &str) -> BTreeMap<String, String> {
        let answer = self.client.get_object_tagging().bucket(&self.bucket).key(key).send().await.unwrap();
        answer.tag_set().iter().map(|tag| (tag.key().to_owned(), tag.value().to_owned())).collect()
    }

    async fn keys(&self) -> Vec<String> {
        let answer = self.client.list_objects_v2().bucket(&self.bucket).send().await.unwrap();
        answer.contents().iter().filter_map(|object| object.key().map(str::to_owned)).collect()
    }

    /// A project whose archive has about this many bytes.
    fn project(&self, bytes: u64) {
        self.file("appspec.yml", b"version: 0.0\nos: linux\nfiles:\n  - source: large\n    destination: /srv\n");
        self.file("large", &noise(bytes));
    }

    fn longshore(&self, endpoint: &str, arguments: &[&str]) -> Command {
        let mut longshore = Command::new(e2e::bin("longshore"));
        longshore.args(arguments).current_dir(self.dir.path()).envs(services().s3().environment());
        longshore.env("AWS_ENDPOINT_URL_S3", endpoint).stdout(Stdio::piped()).stderr(Stdio::piped());
        longshore
    }

    /// `push --build` with these further options.
    fn push(&self, endpoint: &str, more: &[&str]) -> Command {
        let to = format!("s3://{}/pre", self.bucket);
        let arguments = ["push", "--build", "--to", &to, "--application", "shop", "--output", "json"];
        self.longshore(endpoint, &[&arguments, more].concat())
    }
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}: {}", output.status, String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Bytes that differ from place to place.
fn noise(size: u64) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

fn attributes(contents: &[u8]) -> Attributes {
    Attributes { sha256: Sha256::of(contents), content_digest: Sha256::of(b"content"), commit: COMMIT.to_owned() }
}

async fn ready() -> Result<(), GivenUp> {
    Ok(())
}

fn created(put: Put) -> ObjectInfo {
    match put {
        Put::Created(info) => info,
        Put::Exists(info) => panic!("it exists: {info:?}"),
    }
}

#[tokio::test]
async fn parts_whose_connections_break_are_sent_again_until_all_have_arrived() {
    let bench = Bench::new("bad-network").await;
    let contents = noise(40 * MIB);
    let file = bench.file("large", &contents);
    // More than the SDK makes up for: five parts, of which each is sent three times.
    let proxy = Proxy::breaking_uploads(&services().s3().url, Cut { connections: 20, after: MIB });
    let store = bench.store_by(&proxy).await;
    created(store.put_new("large.zip", &file, &attributes(&contents), &|_| ()).await.unwrap());
    assert_eq!(proxy.cuts(), 20);
    assert!(bench.bytes("large.zip").await == contents);
    assert_eq!(bench.unfinished().await, 0);
}

#[tokio::test]
async fn an_upload_that_never_gets_through_is_given_up_and_no_part_stays() {
    let bench = Bench::new("no-network").await;
    let contents = noise(20 * MIB);
    let file = bench.file("large", &contents);
    // What is small gets through: the beginning of the upload, and its end.
    let proxy = Proxy::breaking_uploads(&services().s3().url, Cut { connections: usize::MAX, after: MIB });
    let store = bench.store_by(&proxy).await;
    let error = store.put_new("large.zip", &file, &attributes(&contents), &|_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach `{}`", proxy.url));
    assert!(error.is_unavailable());
    assert_eq!((bench.unfinished().await, bench.keys().await), (0, Vec::new()));
}

#[tokio::test]
async fn parts_have_the_size_and_number_that_were_asked_for() {
    let bench = Bench::new("part-size").await;
    let contents = noise(26 * MIB);
    let file = bench.file("large", &contents);
    for (mib, parallel, expected) in [(5, 1, "-6"), (13, 8, "-2"), (32, 4, "-1")] {
        let sending = Sending { part_size: mib * MIB, parallel_parts: parallel };
        let store = bench.store(S3Options { sending, ..S3Options::default() }).await;
        let key = format!("{mib}.zip");
        let info = created(store.put_new(&key, &file, &attributes(&contents), &|_| ()).await.unwrap());
        assert!(info.etag.ends_with(expected), "{mib}: {}", info.etag);
        assert!(bench.bytes(&key).await == contents, "{mib}");
    }
}

/// What a file in the making has been written and told so far, and its end of the store.
struct Making {
    grower: Option<longshore_core::growing::Grower>,
    growing: Growing,
    file: File,
    contents: Vec<u8>,
}

impl Making {
    fn new(bench: &Bench, size: u64) -> Making {
        let path = bench.dir.path().join("growing");
        let file = File::options().read(true).write(true).create_new(true).open(&path).unwrap();
        let (grower, growing) = Growing::new(file.try_clone().unwrap(), &path, size + MIB);
        Making { grower: Some(grower), growing, file, contents: noise(size) }
    }

    fn write(&mut self, end: u64, hole: Option<std::ops::Range<u64>>) {
        let from = self.file.metadata().unwrap().len();
        let (from, to) = (usize::try_from(from).unwrap(), usize::try_from(end).unwrap());
        self.file.write_all(&self.contents[from..to]).unwrap();
        self.grower.as_ref().unwrap().written(Written { end, hole });
    }

    fn whole(&mut self) {
        let (size, sha256) = (self.contents.len() as u64, Sha256::of(&self.contents));
        self.grower.take().unwrap().whole(Whole { size, sha256, content_digest: Sha256::of(b"content") });
    }
}

#[tokio::test]
async fn parts_are_stored_before_the_file_is_whole_and_the_object_appears_after_it() {
    let bench = Bench::new("growing").await;
    let store = bench.store(S3Options::default()).await;
    let mut making = Making::new(&bench, 45 * MIB);
    let growing = making.growing.clone();
    let arrived = AtomicU64::new(0);
    let progress = |bytes| arrived.store(bytes, Ordering::SeqCst);
    let deadline = Instant::now() + Duration::from_secs(60);
    let until = async |bytes| {
        while arrived.load(Ordering::SeqCst) < bytes {
            assert!(Instant::now() < deadline, "{arrived:?} of {bytes}");
            tokio::task::yield_now().await;
        }
    };
    let writing = async {
        // The header of an entry at 17 MiB is not known yet: the third part waits, the fourth and fifth do not.
        let header = 17 * MIB..17 * MIB + 40;
        making.write(41 * MIB, Some(header));
        until(32 * MIB).await;
        making.write(44 * MIB, None);
        until(40 * MIB).await;
        assert_eq!((bench.unfinished().await, bench.keys().await), (1, Vec::new()));
        making.write(45 * MIB, None);
        making.whole();
    };
    let (put, ()) = tokio::join!(store.put_growing("growing.zip", (&growing, COMMIT), ready, &progress), writing);
    let info = created(put.unwrap());
    assert_eq!((info.size, info.sha256, info.content_digest), (45 * MIB, None, None));
    assert_eq!(store.head("growing.zip", None).await.unwrap(), Some(info));
    assert!(bench.bytes("growing.zip").await == making.contents);
    let expected = BTreeMap::from([("commit".to_owned(), COMMIT.to_owned())]);
    assert_eq!(metadata(&bench.head("growing.zip").await), expected);
    assert_eq!(bench.unfinished().await, 0);

    // What stands there is found before a byte is sent.
    let unneeded = async || panic!("nobody needs to know");
    let again = store.put_growing("growing.zip", (&growing, COMMIT), unneeded, &progress).await;
    assert!(matches!(again, Ok(Put::Exists(_))), "{again:?}");
}

#[tokio::test]
async fn a_small_file_is_stored_with_its_digest_when_it_is_whole() {
    let bench = Bench::new("growing-small").await;
    let store = bench.store(S3Options::default()).await;
    let mut making = Making::new(&bench, 3 * MIB);
    making.write(3 * MIB, None);
    making.whole();
    let put = store.put_growing("small.zip", (&making.growing, COMMIT), ready, &|_| ()).await;
    assert_eq!(created(put.unwrap()).sha256, Some(Sha256::of(&making.contents)));
    assert_eq!(metadata(&bench.head("small.zip").await)["sha256"], Sha256::of(&making.contents).to_string());

    // In a folder every file waits.
    let folder = bench.dir.path().join("store");
    let store = Store::open(&format!("file://{}", folder.display()).parse().unwrap()).await.unwrap();
    let put = store.put_growing("small.zip", (&making.growing, COMMIT), ready, &|_| ()).await;
    assert_eq!(created(put.unwrap()).sha256, Some(Sha256::of(&making.contents)));
    assert!(fs::read(folder.join("small.zip")).unwrap() == making.contents);
}

#[tokio::test]
async fn a_file_that_is_never_whole_is_not_stored_and_no_part_stays() {
    let bench = Bench::new("given-up").await;
    let store = bench.store(S3Options::default()).await;
    let mut making = Making::new(&bench, 40 * MIB);
    let growing = making.growing.clone();
    let writing = async {
        making.write(30 * MIB, None);
        let deadline = Instant::now() + Duration::from_secs(60);
        while bench.unfinished().await == 0 {
            assert!(Instant::now() < deadline, "the upload does not begin");
        }
        making.grower = None;
    };
    let (put, ()) = tokio::join!(store.put_growing("a.zip", (&growing, COMMIT), ready, &|_| ()), writing);
    let error = put.unwrap_err();
    assert!(matches!(error, StoreError::GivenUp(_)), "{error}");
    assert_eq!(error.exit(), Exit::Failed);
    assert_eq!((bench.unfinished().await, bench.keys().await), (0, Vec::new()));
}

fn metadata(head: &HeadObjectOutput) -> BTreeMap<String, String> {
    head.metadata().cloned().unwrap_or_default().into_iter().collect()
}

#[tokio::test]
async fn artifacts_are_kept_as_was_asked_and_small_objects_are_encrypted_too() {
    let bench = Bench::new("kept").await;
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let upload = S3Upload {
        encryption: Some("AES256".to_owned()),
        kms_key: None,
        storage_class: Some("STANDARD_IA".to_owned()),
        tags: vec![pair("team", "shop + co"), pair("größe", "")],
        metadata: vec![pair("build", "17")],
    };
    let store = bench.store(S3Options { upload: upload.clone(), ..S3Options::default() }).await;
    for (key, size) in [("small.zip", MIB), ("large.zip", 17 * MIB)] {
        let contents = noise(size);
        let file = bench.file(key, &contents);
        created(store.put_new(key, &file, &attributes(&contents), &|_| ()).await.unwrap());
        let head = bench.head(key).await;
        assert_eq!(head.server_side_encryption().unwrap().as_str(), "AES256", "{key}");
        assert_eq!(head.storage_class().unwrap().as_str(), "STANDARD_IA", "{key}");
        assert_eq!(bench.tags(key).await, upload.tags.clone().into_iter().collect(), "{key}");
        let metadata = metadata(&head);
        assert_eq!(metadata["build"], "17", "{key}");
        assert_eq!(metadata["sha256"], Sha256::of(&contents).to_string(), "{key}");
    }
    store.replace_if("small.zip.minisig", b"signature", None).await.unwrap().unwrap();
    let head = bench.head("small.zip.minisig").await;
    assert_eq!(head.server_side_encryption().unwrap().as_str(), "AES256");
    assert_eq!((head.storage_class(), metadata(&head)), (None, BTreeMap::new()));
    assert_eq!(bench.tags("small.zip.minisig").await, BTreeMap::new());
}

#[tokio::test]
async fn a_build_is_stored_while_it_is_packed_and_nothing_is_sent_again() {
    let bench = Bench::new("push-build").await;
    bench.project(40 * MIB);
    let proxy = Proxy::breaking_uploads(&services().s3().url, Cut::NEVER);
    let options = ["--commit", COMMIT, "--tag", "stage=dev", "--sse", "AES256"];
    let pushed = json(&bench.push(&proxy.url, &options).output().unwrap());
    let artifact = bench.dir.path().join(format!("dist/shop-{COMMIT}.zip"));
    assert_eq!(pushed["build"]["artifact"], artifact.to_str().unwrap());
    assert_eq!(pushed["already_published"], false);
    let key = format!("pre/shop/{COMMIT}.zip");
    assert_eq!(bench.keys().await, std::slice::from_ref(&key));
    assert!(bench.bytes(&key).await == fs::read(&artifact).unwrap());
    let head = bench.head(&key).await;
    assert_eq!(head.server_side_encryption().unwrap().as_str(), "AES256");
    assert_eq!(bench.tags(&key).await, BTreeMap::from([("stage".to_owned(), "dev".to_owned())]));
    let mut metadata = metadata(&head);
    // There where the archive was whole before its upload began.
    for (name, digest) in [("sha256", "archive_digest"), ("content-digest", "content_digest")] {
        let told = metadata.remove(name);
        assert!(told.is_none_or(|told| told == pushed[digest]), "{name}");
    }
    assert_eq!(metadata, BTreeMap::from([("commit".to_owned(), COMMIT.to_owned())]));
    assert!(proxy.sent() > 40 * MIB && proxy.sent() < 42 * MIB, "{}", proxy.sent());

    // Again, by both ways: the content is there. What stands there is known by its end.
    let (before, answered) = (proxy.sent(), proxy.answered());
    let again = json(&bench.push(&proxy.url, &options).output().unwrap());
    assert_eq!(again["already_published"], true);
    // Stored while it was packed, nobody knows it.
    let told = &again["archive_digest"];
    assert!(told.is_null() || *told == pushed["archive_digest"], "{told}");
    let to = format!("s3://{}/pre", bench.bucket);
    let plain = ["push", artifact.to_str().unwrap(), "--to", &to, "--output", "json"];
    assert_eq!(json(&bench.longshore(&proxy.url, &plain).output().unwrap())["already_published"], true);
    assert!(proxy.sent() - before < 64 << 10, "{}", proxy.sent() - before);

    // Other content under the same commit is refused, whichever way it comes, and nothing of it is sent.
    let before = proxy.sent();
    bench.file("large", &noise(41 * MIB)[7..]);
    let other = bench.push(&proxy.url, &options).output().unwrap();
    let said = String::from_utf8_lossy(&other.stdout);
    assert!(other.status.code() == Some(4) && said.contains("differs     large"), "{said}");
    assert!(proxy.sent() - before < 64 << 10, "{}", proxy.sent() - before);
    assert!(proxy.answered() - answered < MIB, "{}", proxy.answered() - answered);

    // The object does whatever an artifact does.
    let point =
        ["point", "--to", &to, "--group", "dev", "--commit", COMMIT, "--application", "shop", "--output", "json"];
    let pointed = json(&bench.longshore(&proxy.url, &point).output().unwrap());
    assert_eq!(pointed["groups"][0]["pointer"]["revision"]["content_digest"], pushed["content_digest"]);
    let root = bench.dir.path().join("root");
    let planned = Command::new(e2e::bin("longshore-agent"))
        .args(["plan", pushed["pinned_url"].as_str().unwrap(), "--group", "dev", "--application", "shop", "--root"])
        .arg(&root)
        .envs(services().s3().environment())
        .output()
        .unwrap();
    assert!(planned.status.success(), "{}", String::from_utf8_lossy(&planned.stderr));
}

#[tokio::test]
async fn a_build_whose_work_tree_changes_meanwhile_is_not_stored() {
    let bench = Bench::new("push-moved").await;
    bench.project(60 * MIB);
    let dir = bench.dir.path();
    // Packing ends with a second look at the work tree. This git changes it just before.
    fs::create_dir(dir.join("bin")).unwrap();
    let script = format!(
        "#!/bin/sh\ncase \"$*\" in *' status '*) echo >> '{0}/looks'; \
         [ \"$(wc -l < '{0}/looks')\" -lt 2 ] || echo '# changed' >> '{0}/appspec.yml';; esac\n\
         exec /usr/bin/git \"$@\"\n",
        dir.display()
    );
    let git = bench.file("bin/git", script.as_bytes());
    fs::set_permissions(&git, fs::Permissions::from_mode(0o755)).unwrap();
    bench.file(".gitignore", b"/bin\n/looks\n/dist\n");
    for arguments in
        [&["init", "--quiet"][..], &["add", "."], &["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "a"]]
    {
        assert!(Command::new("/usr/bin/git").args(arguments).current_dir(dir).status().unwrap().success());
    }
    let path = format!("{}:{}", dir.join("bin").display(), std::env::var("PATH").unwrap());
    let pushed = bench.push(&services().s3().url, &[]).env("PATH", path).output().unwrap();
    let said = String::from_utf8(pushed.stdout).unwrap();
    assert!(said.contains("the work tree changed while it was packed"), "{said}");
    assert_eq!(pushed.status.code(), Some(1));
    assert_eq!((bench.unfinished().await, bench.keys().await), (0, Vec::new()));
    assert_eq!(names(&dir.join("dist")), [""; 0]);
}

#[tokio::test]
async fn a_build_that_is_told_to_stop_leaves_nothing_in_the_bucket_and_nothing_half_built() {
    for (signal, bucket) in [("-INT", "build-int"), ("-TERM", "build-term")] {
        let bench = Bench::new(bucket).await;
        bench.project(160 * MIB);
        let pushing = bench.push(&services().s3().url, &["--commit", COMMIT]).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while bench.unfinished().await == 0 {
            assert!(Instant::now() < deadline, "the upload does not begin");
        }
        assert!(Command::new("kill").args([signal, &pushing.id().to_string()]).status().unwrap().success());
        let ended = pushing.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        let error = format!("interrupted; nothing was published to `s3://{bucket}/pre/shop/{COMMIT}.zip`");
        assert!(ended.status.code() == Some(1) && said.contains(&error), "{}: {said}", ended.status);
        assert_eq!((bench.unfinished().await, bench.keys().await), (0, Vec::new()));
        // It may have been whole already.
        let left = names(&bench.dir.path().join("dist"));
        assert!(left.is_empty() || left == [format!("shop-{COMMIT}.zip")], "{left:?}");
    }
}

#[tokio::test]
async fn what_s3_would_refuse_is_refused_before_anything_is_built() {
    let bench = Bench::new("push-options").await;
    bench.project(MIB);
    for (options, expected) in [
        (&["--sse", "none"][..], "`none` is no encryption of S3"),
        (&["--sse-kms-key", "alias/a"], "the KMS key `alias/a` needs the encryption aws:kms"),
        (&["--storage-class", "GLACIER"], "hosts cannot fetch from the storage class `GLACIER`"),
        (&["--tag", "aws:a=b"], "the tag `aws:a` cannot be set"),
        (&["--metadata", "sha256=1"], "the metadata `sha256` cannot be set"),
        (&["--part-size", "4"], "parts of 4194304 bytes cannot be sent"),
        (&["--parallel-parts", "0"], "0 parts cannot be sent at a time"),
    ] {
        let pushed = bench.push(&services().s3().url, &[&["--commit", COMMIT], options].concat()).output().unwrap();
        let said = String::from_utf8(pushed.stdout).unwrap();
        assert!(pushed.status.code() == Some(2) && said.contains(expected), "{options:?}: {said}");
    }
    assert!(!bench.dir.path().join("dist").exists());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}
