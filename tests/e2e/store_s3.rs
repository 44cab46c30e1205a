//! The object store against a real S3 server.
#![expect(clippy::unwrap_used, reason = "whatever fails in a test fails the test")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use aws_sdk_s3::Client;
use aws_sdk_s3::config::{BehaviorVersion, Credentials, Region};
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};
use e2e::gate::{Gate, Rule};
use e2e::proxy::{Cut, Proxy};
use e2e::services;
use longshore_core::digest::Sha256;
use longshore_core::failure::Exit;
use longshore_core::store::{Attributes, Changed, Keys, ObjectUrl, Put, S3Options, Store, StoreError, StoreUrl};
use tempfile::TempDir;

/// A bucket of its own for one test, a store in it, and a folder for files.
struct Bench {
    url: StoreUrl,
    bucket: String,
    client: Client,
    store: Store,
    dir: TempDir,
}

impl Bench {
    async fn new(bucket: &str) -> Bench {
        let client = client();
        client.create_bucket().bucket(bucket).send().await.unwrap();
        let url: StoreUrl = format!("s3://{bucket}/releases").parse().unwrap();
        let store = open(&url, &services().s3().url).await;
        Bench { url, bucket: bucket.to_owned(), client, store, dir: tempfile::tempdir().unwrap() }
    }

    async fn with_versions(bucket: &str) -> Bench {
        let bench = Bench::new(bucket).await;
        let configuration = VersioningConfiguration::builder().status(BucketVersioningStatus::Enabled).build();
        let request = bench.client.put_bucket_versioning().bucket(bucket).versioning_configuration(configuration);
        request.send().await.unwrap();
        bench
    }

    /// A store that reaches the same bucket by another way.
    async fn store_by(&self, endpoint: &str) -> Store {
        open(&self.url, endpoint).await
    }

    fn file(&self, name: &str, contents: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, contents).unwrap();
        path
    }

    /// Ids of multipart uploads that the server still keeps.
    async fn unfinished(&self) -> usize {
        let answer = self.client.list_multipart_uploads().bucket(&self.bucket).send().await.unwrap();
        answer.uploads().len()
    }

    async fn metadata(&self, key: &str) -> BTreeMap<String, String> {
        let head = self.client.head_object().bucket(&self.bucket).key(key).send().await.unwrap();
        head.metadata().unwrap().clone().into_iter().collect()
    }

    /// Names in the folder for files.
    fn names(&self) -> Vec<String> {
        let entries = fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// Speaks to the server past the store.
fn client() -> Client {
    let config = aws_sdk_s3::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .endpoint_url(services().s3().url)
        .force_path_style(true)
        .region(Region::new(e2e::REGION))
        .credentials_provider(Credentials::new(e2e::ACCESS_KEY, e2e::SECRET_KEY, None, None, "test"));
    Client::from_conf(config.build())
}

async fn open(url: &StoreUrl, endpoint: &str) -> Store {
    let keys = Keys {
        access_key_id: e2e::ACCESS_KEY.to_owned(),
        secret_access_key: e2e::SECRET_KEY.to_owned(),
        session_token: None,
    };
    let options = S3Options {
        endpoint: Some(endpoint.to_owned()),
        region: Some(e2e::REGION.to_owned()),
        keys: Some(keys),
        ..S3Options::default()
    };
    Store::open_with(url, &options).await.unwrap()
}

fn attributes(contents: &[u8]) -> Attributes {
    let content_digest = Sha256::of(b"what is in the bundle");
    Attributes { sha256: Sha256::of(contents), content_digest, commit: "4f1c0de".to_owned() }
}

/// Bytes that differ from place to place.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 1u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

const MIB: usize = 1 << 20;

fn created(put: Put) -> longshore_core::store::ObjectInfo {
    match put {
        Put::Created(info) => info,
        Put::Exists(info) => panic!("it exists: {info:?}"),
    }
}

#[tokio::test]
async fn a_new_object_is_stored_with_its_digests_and_never_overwritten() {
    let bench = Bench::new("put-new").await;
    let contents = noise(3 * MIB);
    let file = bench.file("one", &contents);
    let seen = Mutex::new(Vec::new());
    let progress = |total| seen.lock().unwrap().push(total);
    let put = bench.store.put_new("shop/1.zip", &file, &attributes(&contents), &progress).await.unwrap();
    let info = created(put);
    assert_eq!((info.size, info.sha256, info.version.as_ref()), (3 << 20, Some(Sha256::of(&contents)), None));
    assert_eq!(seen.into_inner().unwrap(), [3 << 20]);
    assert_eq!(bench.store.head("shop/1.zip", None).await.unwrap(), Some(info.clone()));
    assert_eq!(
        bench.metadata("releases/shop/1.zip").await,
        BTreeMap::from([
            ("sha256".to_owned(), Sha256::of(&contents).to_string()),
            ("content-digest".to_owned(), Sha256::of(b"what is in the bundle").to_string()),
            ("commit".to_owned(), "4f1c0de".to_owned()),
        ])
    );

    let other = bench.file("two", b"two");
    let put = bench.store.put_new("shop/1.zip", &other, &attributes(b"two"), &|_| ()).await.unwrap();
    assert_eq!(put, Put::Exists(info));

    let to = bench.dir.path().join("fetched");
    bench.store.get(&bench.url.object("shop/1.zip"), &to, None, &|_| ()).await.unwrap();
    assert_eq!(fs::read(&to).unwrap(), contents);
}

#[tokio::test]
async fn a_large_object_goes_in_parts_and_is_not_sent_twice() {
    let bench = Bench::new("multipart").await;
    let contents = noise(21 * MIB + 7);
    let file = bench.file("large", &contents);
    let seen = Mutex::new(Vec::new());
    let progress = |total| seen.lock().unwrap().push(total);
    let put = bench.store.put_new("large.zip", &file, &attributes(&contents), &progress).await.unwrap();
    let info = created(put);
    assert!(info.etag.ends_with("-3"), "three parts: {}", info.etag);
    let mut seen = seen.into_inner().unwrap();
    assert_eq!((seen.len(), seen.pop()), (3, Some(contents.len() as u64)));
    assert_eq!(bench.store.head("large.zip", None).await.unwrap(), Some(info.clone()));
    assert_eq!(bench.metadata("releases/large.zip").await["sha256"], Sha256::of(&contents).to_string());
    assert_eq!(bench.unfinished().await, 0);

    let to = bench.dir.path().join("fetched");
    let totals = Mutex::new(Vec::new());
    let progress = |total| totals.lock().unwrap().push(total);
    let (object, attributes) = (bench.url.object("large.zip"), attributes(&contents));
    let fetched = bench.store.get(&object, &to, Some(attributes.sha256), &progress).await.unwrap();
    assert_eq!(fetched, info);
    assert!(fs::read(&to).unwrap() == contents);
    let totals = totals.into_inner().unwrap();
    assert!(totals.is_sorted() && totals.last() == Some(&info.size), "{totals:?}");

    let sent = Mutex::new(0);
    let progress = |_| *sent.lock().unwrap() += 1;
    let again = bench.store.put_new("large.zip", &file, &attributes, &progress).await.unwrap();
    assert_eq!(again, Put::Exists(info));
    assert_eq!(sent.into_inner().unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_eight_racing_writers_exactly_one_wins_and_its_bytes_stand() {
    let bench = Bench::new("race").await;
    // The server looks and writes one after the other; through the gate nobody comes between.
    let gate = Gate::start(&services().s3().url, Rule::Together(1), |line| {
        line.starts_with("PUT ") && !line.contains("partNumber=")
            || line.contains("uploadId=") && line.starts_with("POST ")
    });
    // Half of them go in parts, so that both ways meet.
    let here = tokio::task::LocalSet::new();
    let mut writers = tokio::task::JoinSet::new();
    for number in 0..8u8 {
        let size = if number % 2 == 0 { 17 * MIB } else { MIB };
        let contents = vec![number; size];
        let file = bench.file(&format!("file-{number}"), &contents);
        let store = bench.store_by(&gate.url).await;
        let writing = async move {
            let put = store.put_new("race.zip", &file, &attributes(&contents), &|_| ()).await.unwrap();
            (contents, put)
        };
        writers.spawn_local_on(writing, &here);
    }
    let puts = here.run_until(writers.join_all()).await;
    let winners: Vec<_> = puts.iter().filter(|(_, put)| matches!(put, Put::Created(_))).collect();
    assert_eq!(winners.len(), 1);
    let to = bench.dir.path().join("fetched");
    bench.store.get(&bench.url.object("race.zip"), &to, None, &|_| ()).await.unwrap();
    assert!(fs::read(&to).unwrap() == winners[0].0);
    for (_, put) in &puts {
        let (Put::Created(info) | Put::Exists(info)) = put;
        assert_eq!(info.sha256, Some(Sha256::of(&winners[0].0)));
    }
    assert_eq!(bench.unfinished().await, 0);
}

#[tokio::test]
async fn a_file_that_is_not_the_one_of_its_attributes_is_refused_and_no_part_stays() {
    let bench = Bench::new("wrong-digest").await;
    for (name, size) in [("small", 10), ("large", 20 * MIB)] {
        let file = bench.file(name, &noise(size));
        let error = bench.store.put_new(name, &file, &attributes(b"as it was"), &|_| ()).await.unwrap_err();
        assert!(matches!(&error, StoreError::OtherDigest { place, .. } if *place == file.display().to_string()));
        assert_eq!(error.exit(), Exit::BadBundle);
        assert_eq!(bench.store.head(name, None).await.unwrap(), None);
        assert_eq!(bench.unfinished().await, 0);
    }
}

#[tokio::test]
async fn a_file_that_is_replaced_during_the_upload_is_stored_as_it_was() {
    let bench = Bench::new("put-replaced").await;
    let contents = noise(72 * MIB);
    let file = bench.file("one", &contents);
    let other = bench.file("other", &vec![0; 72 * MIB]);
    // As another build of the same commit does.
    let replace = |_| drop(fs::rename(&other, &file));
    created(bench.store.put_new("shop/1.zip", &file, &attributes(&contents), &replace).await.unwrap());
    let to = bench.dir.path().join("back");
    let info = bench.store.get(&bench.url.object("shop/1.zip"), &to, None, &|_| {}).await.unwrap();
    assert_eq!(info.sha256, Some(Sha256::of(&contents)));
    assert_eq!(bench.names(), ["back", "one"]);
}

#[tokio::test]
async fn the_server_refuses_bytes_that_are_not_those_of_the_checksum() {
    // What the store relies on for a file that is damaged on its way.
    let bench = Bench::new("checksum").await;
    let wrong = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
    let request = bench.client.put_object().bucket("checksum").key("a").checksum_sha256(wrong);
    let error = request.body(b"abc".to_vec().into()).send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 400);
}

#[tokio::test]
async fn after_a_dropped_upload_cleaning_up_leaves_no_part() {
    let bench = Bench::new("dropped").await;
    let contents = noise(40 * MIB);
    let file = bench.file("large", &contents);
    let attributes = attributes(&contents);
    let begun = tokio::sync::Notify::new();
    let progress = |_| begun.notify_one();
    tokio::select! {
        put = bench.store.put_new("large.zip", &file, &attributes, &progress) => panic!("it ended: {put:?}"),
        () = begun.notified() => {}
    }
    assert_eq!(bench.unfinished().await, 1);
    bench.store.clean_up().await.unwrap();
    assert_eq!(bench.unfinished().await, 0);
    assert_eq!(bench.store.head("large.zip", None).await.unwrap(), None);
}

#[tokio::test]
async fn a_push_that_is_told_to_stop_leaves_nothing_in_the_bucket() {
    let longshore = |dir: &Path, arguments: &[&str]| {
        let mut longshore = Command::new(e2e::bin("longshore"));
        longshore.args(arguments).current_dir(dir).envs(services().s3().environment()).stderr(Stdio::piped());
        longshore
    };
    for (signal, bucket) in [("-INT", "stop-int"), ("-TERM", "stop-term")] {
        let bench = Bench::new(bucket).await;
        bench.file("appspec.yml", b"version: 0.0\nos: linux\nfiles:\n  - source: large\n    destination: /srv\n");
        bench.file("large", &noise(120 * MIB));
        let commit = "0".repeat(40);
        let build = ["build", "--application", "shop", "--commit", &commit];
        assert!(longshore(bench.dir.path(), &build).stdout(Stdio::null()).status().unwrap().success());
        let artifact = format!("dist/shop-{commit}.zip");
        let push = ["push", &artifact, "--to", &format!("s3://{bucket}")];
        let pushing = longshore(bench.dir.path(), &push).spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        while bench.unfinished().await == 0 {
            assert!(Instant::now() < deadline, "the upload does not begin");
        }
        assert!(Command::new("kill").args([signal, &pushing.id().to_string()]).status().unwrap().success());
        let ended = pushing.wait_with_output().unwrap();
        let stderr = String::from_utf8(ended.stderr).unwrap();
        let error = format!("error: interrupted; nothing was published to `s3://{bucket}/shop/{commit}.zip`\n");
        assert!(ended.status.code() == Some(1) && stderr.ends_with(&error), "{}: {stderr}", ended.status);
        assert_eq!(bench.unfinished().await, 0);
        let listed = bench.client.list_objects_v2().bucket(bucket).send().await.unwrap();
        assert!(listed.contents().is_empty(), "{listed:?}");
    }
}

#[tokio::test]
async fn a_bucket_with_versions_returns_each_of_them() {
    let bench = Bench::with_versions("versions").await;
    let first = bench.file("first", b"first");
    let info = created(bench.store.put_new("a", &first, &attributes(b"first"), &|_| ()).await.unwrap());
    let version = info.version.clone().expect("the bucket keeps versions");
    // Somebody overwrites it, past the rules of the store.
    let request = bench.client.put_object().bucket("versions").key("releases/a").body(b"second".to_vec().into());
    request.send().await.unwrap();

    assert_eq!(bench.store.head("a", Some(&version)).await.unwrap(), Some(info.clone()));
    assert_eq!(bench.store.head("a", None).await.unwrap().unwrap().size, 6);
    let to = bench.dir.path().join("fetched");
    let object = ObjectUrl { version: Some(version), etag: Some(info.etag.clone()), ..bench.url.object("a") };
    assert_eq!(bench.store.get(&object, &to, None, &|_| ()).await.unwrap(), info);
    assert_eq!(fs::read(&to).unwrap(), b"first");
    let newest = bench.store.get(&bench.url.object("a"), &to, None, &|_| ()).await.unwrap();
    assert_eq!(fs::read(&to).unwrap(), b"second");
    assert_eq!((newest.size, newest.sha256, newest.content_digest), (6, Some(Sha256::of(b"second")), None));
}

#[tokio::test]
async fn an_object_with_another_etag_or_digest_is_refused_and_nothing_is_left() {
    let bench = Bench::new("refused").await;
    let file = bench.file("file", b"contents");
    let info = created(bench.store.put_new("a", &file, &attributes(b"contents"), &|_| ()).await.unwrap());
    let to = bench.dir.path().join("fetched");
    let object = ObjectUrl { etag: Some("0123".to_owned()), ..bench.url.object("a") };
    let error = bench.store.get(&object, &to, None, &|_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), format!("`{object}` has the ETag `{}`, not `0123`", info.etag));
    assert_eq!(error.exit(), Exit::BadBundle);

    let object = bench.url.object("a");
    let error = bench.store.get(&object, &to, Some(Sha256::of(b"x")), &|_| ()).await.unwrap_err();
    let (found, expected) = (Sha256::of(b"contents"), Sha256::of(b"x"));
    assert_eq!(error.to_string(), format!("`{object}` has the SHA-256 {found}, not {expected}"));

    // Its own metadata says something else.
    let request = bench.client.put_object().bucket("refused").key("releases/b");
    let request = request.metadata("sha256", expected.to_string()).body(b"contents".to_vec().into());
    request.send().await.unwrap();
    let error = bench.store.get(&bench.url.object("b"), &to, None, &|_| ()).await.unwrap_err();
    assert!(matches!(error, StoreError::OtherDigest { .. }), "{error}");

    let error = bench.store.get(&bench.url.object("c"), &to, None, &|_| ()).await.unwrap_err();
    assert_eq!(error.to_string(), "`s3://refused/releases/c` does not exist");
    assert_eq!(error.exit(), Exit::NotFound);
    assert_eq!(bench.names(), ["file"]);
}

#[tokio::test]
async fn a_pointer_is_replaced_only_by_who_knows_it() {
    let bench = Bench::new("pointer").await;
    let store = &bench.store;
    assert_eq!(store.read("p").await.unwrap(), None);
    assert_eq!(store.replace_if("p", b"1", Some("0123")).await.unwrap(), None);
    let first = store.replace_if("p", b"1", None).await.unwrap().unwrap();
    assert_eq!(store.replace_if("p", b"2", None).await.unwrap(), None);
    assert_eq!(store.replace_if("p", b"2", Some("0123")).await.unwrap(), None);
    assert_eq!(store.read("p").await.unwrap(), Some((b"1".to_vec(), first.clone())));
    let second = store.replace_if("p", b"2", Some(&first)).await.unwrap().unwrap();
    assert_eq!(store.replace_if("p", b"3", Some(&first)).await.unwrap(), None);
    assert_eq!(store.read("p").await.unwrap(), Some((b"2".to_vec(), second)));
}

#[tokio::test]
async fn of_an_object_that_has_not_changed_no_byte_is_sent() {
    let bench = Bench::new("conditional").await;
    let contents = noise(192 << 10);
    let etag = bench.store.replace_if("p", &contents, None).await.unwrap().unwrap();
    // Breaks the first answer that is longer than 64 KiB.
    let proxy = Proxy::start(&services().s3().url, Cut { connections: 1, after: 64 << 10 });
    let store = bench.store_by(&proxy.url).await;
    assert_eq!(store.read_if_changed("p", Some(&etag)).await.unwrap(), Changed::Same);
    assert_eq!(store.read_if_changed("gone", Some(&etag)).await.unwrap(), Changed::Missing);
    assert_eq!(store.read_if_changed("gone", None).await.unwrap(), Changed::Missing);
    assert_eq!(proxy.cuts(), 0);
    // And one that has changed is fetched whole, again after a broken connection.
    let new = Changed::New { contents, etag };
    assert!(store.read_if_changed("p", Some("0123")).await.unwrap() == new);
    assert_eq!(proxy.cuts(), 1);
    assert!(store.read_if_changed("p", None).await.unwrap() == new);
}

#[tokio::test]
async fn what_a_host_says_of_itself_can_be_removed_and_nothing_else() {
    let bench = Bench::new("remove").await;
    for key in ["status/shop/dev/web-1.json", "groups/shop/dev.json"] {
        bench.store.replace_if(key, b"{}", None).await.unwrap();
    }
    assert!(bench.store.remove("groups/shop/dev.json").await.is_err());
    // A second time it is gone already.
    for _ in 0..2 {
        bench.store.remove("status/shop/dev/web-1.json").await.unwrap();
    }
    let keys: Vec<_> = bench.store.list("").await.unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(keys, ["groups/shop/dev.json"]);
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_counts_as_done() {
    let bench = Bench::new("lost-answer").await;
    let lost = Cut { connections: 1, after: 0 };
    let proxy = Proxy::start(&services().s3().url, lost);
    let store = bench.store_by(&proxy.url).await;
    let etag = store.replace_if("p", b"1", None).await.unwrap();
    assert_eq!(proxy.cuts(), 1);
    assert_eq!(bench.store.read("p").await.unwrap(), Some((b"1".to_vec(), etag.unwrap())));

    let proxy = Proxy::start(&services().s3().url, lost);
    let store = bench.store_by(&proxy.url).await;
    let file = bench.file("file", b"contents");
    let put = store.put_new("a", &file, &attributes(b"contents"), &|_| ()).await.unwrap();
    assert_eq!(proxy.cuts(), 1);
    // The store cannot know that it was itself; the caller sees that the digest is its own.
    let (Put::Created(info) | Put::Exists(info)) = put;
    assert_eq!(info.sha256, Some(Sha256::of(b"contents")));
}

#[tokio::test]
async fn a_download_resumes_where_the_connection_broke() {
    let bench = Bench::new("resume").await;
    let contents = noise(9 * MIB);
    let file = bench.file("file", &contents);
    bench.store.put_new("a", &file, &attributes(&contents), &|_| ()).await.unwrap();
    let proxy = Proxy::start(&services().s3().url, Cut { connections: 4, after: 2 << 20 });
    let store = bench.store_by(&proxy.url).await;
    let to = bench.dir.path().join("fetched");
    let totals = Mutex::new(Vec::new());
    let progress = |total| totals.lock().unwrap().push(total);
    store.get(&bench.url.object("a"), &to, Some(Sha256::of(&contents)), &progress).await.unwrap();
    assert_eq!(proxy.cuts(), 4);
    assert!(fs::read(&to).unwrap() == contents);
    // No byte came twice: the totals only grow, and end with the size.
    let totals = totals.into_inner().unwrap();
    assert!(totals.is_sorted() && totals.last() == Some(&(contents.len() as u64)), "{totals:?}");
    assert_eq!(bench.names(), ["fetched", "file"]);
}

#[tokio::test]
async fn a_download_that_never_comes_further_is_given_up_and_nothing_is_left() {
    let bench = Bench::new("give-up").await;
    let contents = noise(3 * MIB);
    let file = bench.file("file", &contents);
    bench.store.put_new("a", &file, &attributes(&contents), &|_| ()).await.unwrap();
    let proxy = Proxy::start(&services().s3().url, Cut { connections: 1, after: 1 << 20 });
    let store = bench.store_by(&proxy.url).await;
    let to = bench.dir.path().join("fetched");
    let last = Mutex::new(0);
    let progress = |total| {
        *last.lock().unwrap() = total;
        proxy.close();
    };
    let error = store.get(&bench.url.object("a"), &to, None, &progress).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "the download of `s3://give-up/releases/a` broke off 6 times, last after {} of {} bytes",
            last.into_inner().unwrap(),
            contents.len()
        )
    );
    assert!(error.is_unavailable());
    assert_eq!(bench.names(), ["file"]);
}

#[tokio::test]
async fn an_object_that_is_replaced_during_the_download_is_refused() {
    let bench = Bench::new("replaced").await;
    let contents = noise(3 * MIB);
    let file = bench.file("file", &contents);
    bench.store.put_new("a", &file, &attributes(&contents), &|_| ()).await.unwrap();
    let proxy = Proxy::start(&services().s3().url, Cut { connections: 1, after: 1 << 20 });
    let store = bench.store_by(&proxy.url).await;
    let to = bench.dir.path().join("fetched");
    // The first bytes have come: now another object takes the key. A thread of its own, because this one is the runtime.
    let replaced = std::sync::Once::new();
    let replace = |_| {
        replaced.call_once(|| {
            let replacement = std::thread::spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                let body = noise(2 * MIB).into();
                let request = client().put_object().bucket("replaced").key("releases/a").body(body);
                runtime.block_on(request.send()).unwrap();
            });
            replacement.join().unwrap();
        });
    };
    let error = store.get(&bench.url.object("a"), &to, None, &replace).await.unwrap_err();
    assert_eq!(error.to_string(), "`s3://replaced/releases/a` was replaced while it was fetched");
    assert_eq!(bench.names(), ["file"]);
}

#[tokio::test]
async fn a_listing_has_all_pages_and_keys_relative_to_the_prefix() {
    let bench = Bench::new("listing").await;
    for key in ["releases/shop/1.zip", "releases/shop/2.zip", "releases-old/shop/3.zip", "other"] {
        bench.client.put_object().bucket("listing").key(key).body(key.as_bytes().to_vec().into()).send().await.unwrap();
    }
    // One page holds 1000 keys.
    let mut puts = tokio::task::JoinSet::new();
    for number in 0..1005 {
        let put = bench.client.put_object().bucket("listing").key(format!("releases/many/{number:04}"));
        puts.spawn(put.send());
        if puts.len() >= 16 {
            puts.join_next().await.unwrap().unwrap().unwrap();
        }
    }
    assert!(puts.join_all().await.iter().all(Result::is_ok));
    let listed = bench.store.list("shop/").await.unwrap();
    let lines: Vec<_> = listed.iter().map(|listed| (listed.key.as_str(), listed.size)).collect();
    assert_eq!(lines, [("shop/1.zip", 19), ("shop/2.zip", 19)]);
    assert_eq!(bench.store.list("many/").await.unwrap().len(), 1005);
    assert_eq!(bench.store.list("").await.unwrap().len(), 1007);
    assert_eq!(bench.store.list("none").await.unwrap(), []);
}

#[tokio::test]
async fn a_missing_bucket_is_named_by_every_operation() {
    let dir = tempfile::tempdir().unwrap();
    let url: StoreUrl = "s3://no-such-bucket/releases".parse().unwrap();
    let store = open(&url, &services().s3().url).await;
    let file = dir.path().join("file");
    let to = dir.path().join("to");
    fs::write(&file, "x").unwrap();
    for (operation, error) in [
        ("head", store.head("a", None).await.unwrap_err()),
        ("read", store.read("a").await.unwrap_err()),
        ("read_if_changed", store.read_if_changed("a", Some("0123")).await.unwrap_err()),
        ("list", store.list("").await.unwrap_err()),
        ("get", store.get(&url.object("a"), &to, None, &|_| ()).await.unwrap_err()),
        ("put_new", store.put_new("a", &file, &attributes(b"x"), &|_| ()).await.unwrap_err()),
        ("replace_if", store.replace_if("a", b"x", None).await.unwrap_err()),
    ] {
        assert_eq!(error.to_string(), "bucket `no-such-bucket` does not exist", "{operation}");
        assert_eq!(error.exit(), Exit::NotFound, "{operation}");
    }
}

#[tokio::test]
async fn an_endpoint_that_nobody_listens_at_is_named_with_the_reason() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let store = open(&"s3://bucket".parse().unwrap(), &endpoint).await;
    let error = store.head("a", None).await.unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach `{endpoint}`"));
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(cause, "Connection refused (os error 111)");
    assert!(error.is_unavailable());
}

#[tokio::test]
async fn without_credentials_the_store_does_not_open() {
    // `dev/services/run` sees to it that this machine's own credentials are out of reach.
    assert_eq!(std::env::var("AWS_EC2_METADATA_DISABLED").as_deref(), Ok("true"), "run dev/test");
    assert!(std::env::var_os("AWS_ACCESS_KEY_ID").is_none(), "run dev/test");
    let error = Store::open(&"s3://bucket".parse().unwrap()).await.unwrap_err();
    assert_eq!(error.to_string(), "found no AWS credentials");
    assert_eq!(error.exit(), Exit::Unavailable);
    let cause = std::error::Error::source(&error).unwrap().to_string();
    assert!(!cause.contains('{') && !cause.contains('\n'), "no debug output: {cause}");
}

#[tokio::test]
async fn keys_that_s3_does_not_take_are_refused_before_anything_is_asked() {
    let url: StoreUrl = "s3://bucket/releases".parse().unwrap();
    let store = open(&url, &services().s3().url).await;
    let long = "x".repeat(1020);
    for (key, why) in [("", "it is empty"), ("/a", "it starts with a slash"), (&long, "it is longer than 1024 bytes")] {
        let error = store.read(key).await.unwrap_err();
        assert!(error.to_string().ends_with(&format!("cannot be a key: {why}")), "{error}");
    }
}
