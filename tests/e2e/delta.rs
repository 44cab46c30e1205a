//! The agent fetches only what differs from the archive that it has, and ends up with the same bytes.
#![expect(clippy::unwrap_used, reason = "whatever fails in a test fails the test")]

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

use e2e::proxy::{Cut, Proxy};
use e2e::{S3Server, bin, services};
use serde_json::Value;
use tempfile::TempDir;

/// Files of the application, and bytes of each: deflate cannot make them smaller.
const FILES: usize = 40;
const SIZE: usize = 300_000;
const NEVER: Cut = Cut { connections: 0, after: 0 };

/// A bucket, and a host that deploys from it over a proxy.
struct Bench {
    bucket: &'static str,
    s3: S3Server,
    proxy: Proxy,
    dir: TempDir,
}

impl Bench {
    fn new(bucket: &'static str, cut: Cut) -> Bench {
        let s3 = services().s3();
        s3.create_bucket(bucket);
        let proxy = Proxy::start(&s3.url, cut);
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("source/app")).unwrap();
        let appspec = format!(
            "version: 0.0\nos: linux\nfiles:\n  - source: app\n    destination: {}\n",
            dir.path().join("srv").display()
        );
        fs::write(dir.path().join("source/appspec.yml"), appspec).unwrap();
        let bench = Bench { bucket, s3, proxy, dir };
        (0..FILES).for_each(|number| bench.write(number, number as u64));
        bench
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn write(&self, number: usize, seed: u64) {
        fs::write(self.path(&format!("source/app/{number:02}")), noise(seed)).unwrap();
    }

    /// Builds and pushes what is in the source folder as a commit; its URL and the archive.
    fn push(&self, number: usize) -> (String, PathBuf) {
        let commit = format!("{number:040x}");
        for args in [
            vec!["build", "--application", "shop", "--commit", &commit],
            vec!["push", "--application", "shop", "--commit", &commit, "--to", &format!("s3://{}", self.bucket)],
        ] {
            let mut longshore = Command::new(bin("longshore"));
            longshore.args(args).current_dir(self.path("source")).envs(self.s3.environment());
            longshore.env("SOURCE_DATE_EPOCH", (1_800_000_000 + 2 * number).to_string());
            let output = longshore.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let archive = self.path(&format!("source/dist/shop-{commit}.zip"));
        (format!("s3://{}/shop/{commit}.zip", self.bucket), archive)
    }

    /// Deploys it past the proxy.
    fn deploy_directly(&self, url: &str) {
        let mut agent = self.agent(url);
        assert!(agent.envs(self.s3.environment()).output().unwrap().status.success());
    }

    fn agent(&self, url: &str) -> Command {
        let mut agent = Command::new(bin("longshore-agent"));
        agent.args(["deploy", url, "--root"]).arg(self.path("root"));
        agent.args(["--application", "shop", "--group", "dev", "--output", "json"]);
        agent
    }

    /// Deploys it; what the agent tells of its fetching, the archive that it keeps, and the bytes that came over the network.
    fn deploy(&self, url: &str) -> (Value, PathBuf, u64) {
        let before = self.proxy.answered();
        let mut agent = self.agent(url);
        let environment = self.s3.environment();
        agent.envs(environment).env("AWS_ENDPOINT_URL_S3", &self.proxy.url).env("AWS_ENDPOINT_URL", &self.proxy.url);
        let output = agent.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        let events: Vec<Value> =
            String::from_utf8(output.stdout).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let fetched = events.iter().find(|line| line["type"] == "fetched").unwrap();
        let deployment = fetched["deployment"].as_str().unwrap();
        let archive = find(&self.path("root"), deployment).join("bundle.tar");
        (fetched.clone(), archive, self.proxy.answered() - before)
    }

    fn installed(&self, number: usize) -> Vec<u8> {
        fs::read(self.path(&format!("srv/{number:02}"))).unwrap()
    }
}

fn find(root: &Path, deployment: &str) -> PathBuf {
    let groups = fs::read_dir(root).unwrap().map(|group| group.unwrap().path().join(deployment));
    groups.into_iter().find(|folder| folder.join("bundle.tar").exists()).unwrap()
}

fn noise(seed: u64) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252 ^ (seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut byte = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    };
    (0..SIZE).map(|_| byte()).collect()
}

#[test]
fn only_what_changed_comes_over_the_network() {
    let bench = Bench::new("delta", NEVER);
    let (first, archive) = bench.push(1);
    let size = fs::metadata(&archive).unwrap().len();
    let (event, _, bytes) = bench.deploy(&first);
    assert!(bytes > size, "the first one comes as a whole: {bytes}");
    assert_eq!(event.get("reused"), None);

    bench.write(7, 1000);
    let (second, archive) = bench.push(2);
    let (event, kept, bytes) = bench.deploy(&second);
    assert!(fs::read(kept).unwrap() == fs::read(&archive).unwrap(), "the archive is the very one that was pushed");
    assert!(bench.installed(7) == noise(1000));
    // The file, the end, and what HTTP says around them.
    assert!(bytes < SIZE as u64 + (256 << 10) + 20_000, "{bytes} of {size}");
    let reused = event["reused"].as_u64().unwrap();
    assert!(reused + bytes >= size && reused > size - bytes, "{reused} + {bytes}, {size}");
}

#[test]
fn a_damaged_earlier_archive_costs_a_download_and_nothing_else() {
    let bench = Bench::new("delta-damaged", NEVER);
    let (first, _) = bench.push(1);
    let (_, kept, _) = bench.deploy(&first);
    let mut damaged = fs::read(&kept).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 1;
    fs::write(&kept, damaged).unwrap();

    bench.write(7, 1000);
    let (second, archive) = bench.push(2);
    let (event, kept, bytes) = bench.deploy(&second);
    assert!(fs::read(kept).unwrap() == fs::read(&archive).unwrap());
    assert!((0..FILES).filter(|number| *number != 7).all(|number| bench.installed(number) == noise(number as u64)));
    assert_eq!(event.get("reused"), None);
    assert!(bytes > fs::metadata(archive).unwrap().len());

    // Cut short, so that it cannot even be read.
    let (_, kept, _) = bench.deploy(&second);
    fs::OpenOptions::new().write(true).open(&kept).unwrap().set_len(1000).unwrap();
    bench.write(8, 1001);
    let (third, archive) = bench.push(3);
    let (_, kept, _) = bench.deploy(&third);
    assert!(fs::read(kept).unwrap() == fs::read(&archive).unwrap());
}

#[test]
fn a_network_that_breaks_off_in_the_middle_of_the_pieces_is_asked_again() {
    let bench = Bench::new("delta-cut", Cut { connections: 6, after: 400_000 });
    let (first, _) = bench.push(1);
    bench.deploy_directly(&first);
    (0..20).for_each(|number| bench.write(number, 2000 + number as u64));
    let (second, archive) = bench.push(2);
    let (event, kept, _) = bench.deploy(&second);
    assert!(fs::read(kept).unwrap() == fs::read(&archive).unwrap());
    assert!(event["reused"].as_u64().unwrap() > 0);
    assert!(bench.proxy.cuts() > 3, "nothing broke off");
}

/// A server whose every object is larger than any disk of ours; it begins to send whatever it is asked for.
fn endless() -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&asked);
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let lines = BufReader::new(&stream).lines().map_while(Result::ok).take_while(|line| !line.is_empty());
            let request = lines.collect::<Vec<String>>().first().cloned().unwrap_or_default();
            let verb = request.split(' ').next().unwrap_or_default().to_owned();
            noted.lock().unwrap().push(verb.clone());
            let head = "HTTP/1.1 200 OK\r\nETag: \"e\"\r\nContent-Length: 99999999999\r\nConnection: close\r\n\r\n";
            let mut sent = stream.write_all(head.as_bytes());
            while verb == "GET" && sent.is_ok() {
                sent = stream.write_all(&[0; 64 << 10]);
            }
        }
    });
    (url, asked)
}

/// Every file below a folder that somebody could have written, sorted.
fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

#[test]
fn an_object_larger_than_what_may_be_unpacked_is_refused_at_the_first_answer_and_nothing_of_it_is_stored() {
    let bench = Bench::new("delta-large", NEVER);
    for (requests, kept) in [(["GET"], false), (["HEAD"], true)] {
        if kept {
            bench.deploy_directly(&bench.push(1).0);
        }
        let (url, asked) = endless();
        let object = format!("s3://delta-large/shop/{:040x}.zip", 9);
        let before = files(&bench.path("srv"));
        let mut agent = Command::new(bin("longshore-agent"));
        agent.args(["deploy", &object, "--root"]).arg(bench.path("root"));
        agent.args(["--application", "shop", "--group", "dev"]).envs(bench.s3.environment());
        let output = agent.env("AWS_ENDPOINT_URL_S3", &url).env("AWS_ENDPOINT_URL", &url).output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        let error = format!(
            "error: cannot fetch `{object}`\n  caused by: `{object}` has 99999999999 bytes; at most 34359738368 were expected\n"
        );
        assert!(told.contains(&error), "{told}");
        assert_eq!(
            (output.status.code(), asked.lock().unwrap().as_slice()),
            (Some(8), &requests.map(str::to_owned)[..])
        );
        assert_eq!(files(&bench.path("srv")), before, "the release of before stands");
        // The archive, or one in the making, which has a longer name.
        let is_archive = |path: &&PathBuf| path.file_name().unwrap().to_string_lossy().contains("bundle.tar");
        let archives = files(&bench.path("root"));
        let archives = archives.iter().filter(is_archive);
        assert_eq!(archives.count(), usize::from(kept), "{told}");
    }
}
