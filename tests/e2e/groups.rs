//! Groups in a bucket: racing pushes, and hosts that are waited for. The hosts are played by the tests, which write what agents
//! would write.
#![expect(clippy::unwrap_used, reason = "whatever fails in a test fails the test")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use e2e::proxy::{Cut, Proxy};
use e2e::{S3Server, bin, services};
use longshore_core::host_status::{self, HostState, HostStatus};
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::pointer::{self, Pointer};
use longshore_core::store::{Keys, S3Options, Store, StoreUrl};
use serde_json::Value;
use tempfile::TempDir;

/// A bucket of its own for one test, and bundles of commits that are two seconds apart, which is what a bundle can tell.
struct Bench {
    bucket: &'static str,
    s3: S3Server,
    store: Store,
    dir: TempDir,
}

impl Bench {
    async fn new(bucket: &'static str) -> Bench {
        let s3 = services().s3();
        s3.create_bucket(bucket);
        let keys = Keys {
            access_key_id: e2e::ACCESS_KEY.to_owned(),
            secret_access_key: e2e::SECRET_KEY.to_owned(),
            session_token: None,
        };
        let (endpoint, region) = (Some(s3.url.clone()), Some(e2e::REGION.to_owned()));
        let options = S3Options { endpoint, region, keys: Some(keys), ..S3Options::default() };
        let store = Store::open_with(&format!("s3://{bucket}/releases").parse().unwrap(), &options).await.unwrap();
        Bench { bucket, s3, store, dir: tempfile::tempdir().unwrap() }
    }

    /// Builds the bundle of a commit, whose number is its hash and its time.
    fn build(&self, number: usize) -> String {
        self.build_of(number, "app", number.to_string().as_bytes())
    }

    /// Builds a bundle of a commit that holds this.
    fn build_of(&self, number: usize, name: &str, contents: &[u8]) -> String {
        let folder = self.dir.path().join(format!("{number}-{name}"));
        fs::create_dir(&folder).unwrap();
        fs::write(
            folder.join("appspec.yml"),
            "version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: /srv\n",
        )
        .unwrap();
        fs::write(folder.join("app"), contents).unwrap();
        let mut build = self.longshore(&folder);
        build.args(["build", "--application", "shop", "--commit", &commit(number)]);
        build.env("SOURCE_DATE_EPOCH", (1_800_000_000 + 2 * number).to_string());
        assert!(build.stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap().success());
        folder.join(format!("dist/shop-{}.zip", commit(number))).display().to_string()
    }

    fn longshore(&self, folder: &Path) -> Command {
        let mut longshore = Command::new(bin("longshore"));
        longshore.current_dir(folder).envs(self.s3.environment());
        longshore.env("LONGSHORE_STORE", format!("s3://{}/releases", self.bucket));
        longshore
    }

    /// Pushes a bundle to the group in the background.
    fn push(&self, bundle: &str, more: &[&str]) -> Child {
        let mut push = self.longshore(self.dir.path());
        push.args(["push", bundle, "--group", "dev", "--output", "json"]).args(more);
        push.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// Waits until the server's clock is a second further.
    async fn tick(&self) {
        let mut first = None;
        loop {
            self.host("clock", HostState::Idle, None).await;
            let listed = self.store.list("status/").await.unwrap();
            let now = listed.first().map(|listed| listed.modified.as_second());
            if now > *first.get_or_insert(now) {
                return;
            }
        }
    }

    async fn pointer(&self) -> Option<Pointer> {
        let (application, group) = names();
        let (contents, _) = self.store.read(&pointer::key(&application, &group)).await.unwrap()?;
        Some(Pointer::parse(&contents, &application, &group).unwrap())
    }

    /// The pointer as soon as there is one.
    async fn moved(&self) -> Pointer {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            if let Some(pointer) = self.pointer().await {
                return pointer;
            }
            assert!(Instant::now() < deadline, "the pointer does not move");
        }
    }

    /// What a host says.
    async fn host(&self, host: &str, state: HostState, of: Option<&Pointer>) {
        let (application, group) = names();
        let key = host_status::key(&application, &group, host);
        let status = HostStatus {
            format: host_status::FORMAT,
            host: host.to_owned(),
            application,
            group,
            generation: of.map_or(0, |pointer| pointer.generation),
            deployment: of.map(|pointer| pointer.deployment.clone()),
            commit: of.map(|pointer| pointer.commit.clone()),
            state,
            event: None,
            reason: None,
            failed_script: None,
            stopped: false,
            restored: false,
            installed: None,
            agent: "0.1.0".to_owned(),
            at: "2026-01-02T03:04:06Z".to_owned(),
            heartbeat_s: 60,
        };
        let etag = self.store.read(&key).await.unwrap().map(|(_, etag)| etag);
        self.store.replace_if(&key, &status.to_json(), etag.as_deref()).await.unwrap().unwrap();
    }
}

fn names() -> (ApplicationName, GroupName) {
    ("shop".parse().unwrap(), "dev".parse().unwrap())
}

fn commit(number: usize) -> String {
    format!("{number:040x}")
}

fn told(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[tokio::test]
async fn of_racing_pushes_to_a_bucket_each_success_is_one_generation_and_the_newest_commit_stands() {
    const PUSHES: usize = 6;
    let bench = Bench::new("groups-race").await;
    let bundles: Vec<String> = (1..=PUSHES).map(|number| bench.build(number)).collect();
    let pushing: Vec<Child> = bundles.iter().map(|bundle| bench.push(bundle, &[])).collect();
    let mut moved = 0;
    for pushing in pushing {
        let output = pushing.wait_with_output().unwrap();
        match output.status.code() {
            Some(0) => moved += 1,
            code => {
                let json: Value = serde_json::from_slice(&output.stdout).unwrap();
                let error = json["error"]["message"].as_str().unwrap();
                assert_eq!(code, Some(4), "{error}");
                assert!(
                    error.starts_with("group `dev` of `shop` stands") && error.contains(", moved there at "),
                    "{error}"
                );
            }
        }
    }
    let last = bench.pointer().await.unwrap();
    assert_eq!((last.generation, last.commit.to_string()), (moved, commit(PUSHES)));
    let (application, group) = names();
    let kept = bench.store.list(&pointer::history(&application, &group)).await.unwrap();
    let kept: Vec<u64> = kept.iter().filter_map(|listed| pointer::history_generation(&listed.key)).collect();
    assert_eq!(kept, (1..moved).collect::<Vec<_>>());
}

/// Bytes that no compressor makes smaller.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..size).map(|_| next()).collect()
}

#[tokio::test]
async fn of_racing_pushes_of_one_commit_one_is_published_and_who_has_other_content_is_refused() {
    const CONTENTS: usize = 3;
    const EACH: usize = 2;
    let bench = Bench::new("groups-once").await;
    let folder = format!("file://{}", bench.dir.path().join("store").display());
    let bucket = format!("s3://{}/releases", bench.bucket);
    // The second goes in parts.
    for (number, size) in [(1, 10), (2, 17 << 20)] {
        let build = |content| bench.build_of(number, &format!("app-{content}"), &noise(content as u64, size));
        let bundles: Vec<String> = (0..CONTENTS).map(build).collect();
        for to in [&bucket, &folder] {
            let push = |bundle: &String| {
                let mut push = bench.longshore(bench.dir.path());
                push.args(["push", bundle, "--to", to, "--output", "json"]);
                push.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
            };
            let pushing: Vec<(usize, Child)> =
                (0..CONTENTS * EACH).map(|racer| (racer % CONTENTS, push(&bundles[racer % CONTENTS]))).collect();
            let ended: Vec<(usize, Output)> =
                pushing.into_iter().map(|(content, pushing)| (content, pushing.wait_with_output().unwrap())).collect();
            let json = |output: &Output| -> Value { serde_json::from_slice(&output.stdout).unwrap() };
            let won = |output: &Output| output.status.success() && json(output)["already_published"] == false;
            let winners: Vec<usize> = ended.iter().filter(|(_, it)| won(it)).map(|(content, _)| *content).collect();
            // This server looks whether an upload in parts may be completed, and completes it afterwards, where S3 does both at once:
            // here, several may come through between the two, and one of them stands.
            let most = if to == &bucket && size > 16 << 20 { CONTENTS * EACH } else { 1 };
            assert!((1..=most).contains(&winners.len()), "{to}: {winners:?} published {size} bytes");
            for (content, output) in &ended {
                let json = json(output);
                if output.status.success() {
                    assert!(winners.contains(content), "{to}: {json}");
                } else {
                    assert!(winners != [*content], "{to}: {json}");
                    let message = json["error"]["message"].as_str().unwrap();
                    assert_eq!(output.status.code(), Some(4), "{to}: {message}");
                    assert!(message.contains(" holds other content for this commit, "), "{message}");
                }
            }
            let found = bench.dir.path().join(format!("found-{number}"));
            let object = to.parse::<StoreUrl>().unwrap().object(&format!("shop/{}.zip", commit(number)));
            let store = if to == &bucket { &bench.store } else { &Store::open(&to.parse().unwrap()).await.unwrap() };
            store.get(&object, &found, None, &|_| {}).await.unwrap();
            let found = fs::read(&found).unwrap();
            let stands = winners.iter().find(|winner| fs::read(&bundles[**winner]).unwrap() == found);
            let stands = stands.unwrap_or_else(|| panic!("{to}: what stands is of nobody who published"));
            // Who comes later meets what stands.
            for (content, bundle) in bundles.iter().enumerate() {
                let late = push(bundle).wait_with_output().unwrap();
                assert_eq!(late.status.code(), Some(if content == *stands { 0 } else { 4 }), "{to}: {}", told(&late));
            }
        }
    }
    let left = bench.dir.path().join("store/shop");
    let names: Vec<_> =
        fs::read_dir(left).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names.iter().filter(|name| !name.ends_with(".zip")).count(), 0, "{names:?}");
}

#[tokio::test]
async fn old_artifacts_of_a_bucket_go_and_what_a_group_is_at_stays() {
    let bench = Bench::new("groups-prune").await;
    for number in 1..=4 {
        let bundle = bench.build(number);
        let group: &[&str] = if number == 1 { &["--group", "dev"] } else { &[] };
        let mut push = bench.longshore(bench.dir.path());
        let pushed = push.args(["push", &bundle]).args(group).output().unwrap();
        assert!(pushed.status.success(), "{}", told(&pushed));
        // The server's clock tells which is newer, exact to a second.
        bench.tick().await;
    }
    let mut prune = bench.longshore(bench.dir.path());
    let pruned = prune.args(["prune", "--no-codedeploy", "--keep", "1", "--yes", "--output", "json"]).output().unwrap();
    assert!(pruned.status.success(), "{}", told(&pruned));
    let left: Vec<String> = bench.store.list("shop/").await.unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(left, [1, 4].map(|number| format!("shop/{}.zip", commit(number))));
}

#[tokio::test]
async fn a_push_to_a_bucket_ends_as_the_hosts_of_the_group_do() {
    let bench = Bench::new("groups-wait").await;
    let bundle = bench.build(1);
    bench.host("web-1", HostState::Idle, None).await;
    bench.host("web-2", HostState::Idle, None).await;
    let mut before = None;
    for (last, code, ended) in [(HostState::Succeeded, 0, "succeeded"), (HostState::Failed, 11, "failed")] {
        let pushing = bench.push(&bundle, &["--wait", "--timeout", "2m"]);
        let pointer = loop {
            let pointer = bench.moved().await;
            if Some(pointer.generation) != before {
                break pointer;
            }
        };
        before = Some(pointer.generation);
        bench.host("web-1", HostState::Deploying, Some(&pointer)).await;
        bench.host("web-1", HostState::Succeeded, Some(&pointer)).await;
        bench.host("web-2", last, Some(&pointer)).await;
        let output = pushing.wait_with_output().unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", told(&output));
        let waited = &json["groups"][0]["waited"];
        assert_eq!((&waited["ended"], waited["hosts"].as_array().unwrap().len()), (&Value::from(ended), 2));
    }

    let status =
        bench.longshore(bench.dir.path()).args(["status", "--group", "dev", "--output", "json"]).output().unwrap();
    let json: Value = serde_json::from_slice(&status.stdout).unwrap();
    let standing = |number: usize| json["groups"][0]["hosts"][number]["standing"].as_str().unwrap();
    assert_eq!((standing(0), standing(1)), ("succeeded", "failed"));
    let mut forget = bench.longshore(bench.dir.path());
    let forgot = forget.args(["status", "--group", "dev", "--forget", "web-2"]).output().unwrap();
    assert!(forgot.status.success(), "{}", told(&forgot));
    let (application, group) = names();
    assert_eq!(bench.store.list(&host_status::folder(&application, &group)).await.unwrap().len(), 1);
}

#[tokio::test]
async fn what_is_published_in_a_bucket_can_be_pointed_to() {
    let bench = Bench::new("groups-point").await;
    for number in [1, 2] {
        let bundle = bench.build(number);
        assert!(bench.push(&bundle, &[]).wait_with_output().unwrap().status.success());
    }
    let point = |arguments: &[&str]| {
        let mut point = bench.longshore(bench.dir.path());
        point.args(["point", "--application", "shop", "--group", "dev"]).args(arguments).output().unwrap()
    };
    let refused = point(&["--commit", &commit(1)]);
    assert_eq!(refused.status.code(), Some(4), "{}", told(&refused));
    for (arguments, expected) in
        [(&["--commit", &commit(1), "--allow-older"][..], 1), (&["--previous"], 2), (&["--generation", "1"], 1)]
    {
        let output = point(arguments);
        assert!(output.status.success(), "{}", told(&output));
        let pointer = bench.pointer().await.unwrap();
        assert_eq!(pointer.commit.to_string(), commit(expected), "{arguments:?}");
        let info = bench.store.head(&pointer.revision.key, None).await.unwrap().unwrap();
        assert_eq!((pointer.revision.etag, pointer.revision.size), (info.etag, info.size));
        assert_eq!(Some(pointer.revision.content_digest), info.content_digest);
    }
    assert_eq!(bench.pointer().await.unwrap().generation, 5);
}

#[tokio::test]
async fn waiting_survives_broken_connections_and_ends_when_the_store_stays_away() {
    let bench = Bench::new("groups-lost").await;
    let bundle = bench.build(1);
    bench.host("web-1", HostState::Idle, None).await;
    // No connection lives for long.
    let proxy = Proxy::start(&bench.s3.url, Cut { connections: usize::MAX, after: 5000 });
    let push = |limit: &str| {
        let mut push = bench.longshore(bench.dir.path());
        push.args(["push", &bundle, "--group", "dev", "--wait", "--timeout", limit])
            .env("AWS_ENDPOINT_URL_S3", &proxy.url);
        push.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let pushing = push("2m");
    let pointer = bench.moved().await;
    while proxy.cuts() < 3 {
        thread::sleep(Duration::from_millis(20));
    }
    bench.host("web-1", HostState::Succeeded, Some(&pointer)).await;
    let output = pushing.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", told(&output));

    let pushing = push("8s");
    while bench.moved().await.generation == pointer.generation {}
    proxy.close();
    let output = pushing.wait_with_output().unwrap();
    let told = told(&output);
    assert_eq!(output.status.code(), Some(10), "{told}");
    assert!(told.contains(" Warning the store does not answer, and is asked again: cannot "), "{told}");
    let deployment = bench.moved().await.deployment;
    assert!(told.contains(&format!("error: cannot see how deployment {deployment} to `dev` goes on\n")), "{told}");
}
