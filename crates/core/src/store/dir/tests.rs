use std::os::unix::fs::PermissionsExt as _;
use std::sync::Barrier;
use std::thread;

use super::super::Store;
use super::*;

/// Runs what never waits.
fn now<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Stores a file that should hold these bytes.
fn put_file(store: &DirStore, key: &str, file: &Path, contents: &[u8]) -> Result<Put, StoreError> {
    let growing = Growing::finished(file, Sha256::of(contents), Sha256::of(b"content")).unwrap();
    now(store.put_growing(key, &growing, async || Ok(()), &|_| ()))
}

fn put(store: &DirStore, key: &str, contents: &[u8]) -> Result<Put, StoreError> {
    let source = tempfile::NamedTempFile::new().unwrap();
    fs::write(source.path(), contents).unwrap();
    put_file(store, key, source.path(), contents)
}

/// All names below a folder.
fn names(dir: &Path) -> Vec<String> {
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name().into_string().unwrap();
        if entry.file_type().unwrap().is_dir() {
            names.extend(self::names(&entry.path()).into_iter().map(|below| format!("{name}/{below}")));
        } else {
            names.push(name);
        }
    }
    names.sort();
    names
}

#[test]
fn a_new_object_is_stored_and_a_second_one_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().join("not/there/yet"));
    let expected = new_info(Sha256::of(b"one"), 3);
    assert_eq!(put(&store, "shop/1.zip", b"one").unwrap(), Put::Created(expected.clone()));
    assert_eq!(put(&store, "shop/1.zip", b"two").unwrap(), Put::Exists(expected.clone()));
    assert_eq!(store.head("shop/1.zip", None).unwrap(), Some(expected));
    assert_eq!(store.head("shop/1.zip", Some("v1")).unwrap(), None);
    assert_eq!(store.head("shop", None).unwrap(), None);
    assert_eq!(store.head("shop/1.zip/below", None).unwrap(), None);
    assert_eq!(names(dir.path()), ["not/there/yet/shop/1.zip"]);
}

#[test]
fn an_artifact_that_cannot_be_read_is_named_by_its_path() {
    let (dir, unreadable) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    // A folder opens like a file, and no byte of it can be read.
    let error = put_file(&DirStore::new(dir.path().to_owned()), "shop/1.zip", unreadable.path(), b"").unwrap_err();
    assert_eq!(error.to_string(), format!("cannot read `{}`", unreadable.path().display()));
}

#[test]
fn what_is_no_file_at_the_place_of_a_new_object_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().to_owned());
    fs::create_dir(dir.path().join("folder")).unwrap();
    std::os::unix::fs::symlink("nowhere", dir.path().join("link")).unwrap();
    for key in ["folder", "link"] {
        let error = put(&store, key, b"x").unwrap_err();
        assert_eq!(error.to_string(), format!("cannot write `{}`", dir.path().join(key).display()));
        let cause = std::error::Error::source(&error).unwrap().to_string();
        assert_eq!(cause, "a folder, or a link to nothing, stands there");
    }
    assert_eq!(names(dir.path()), ["link"]);
}

#[test]
fn of_sixteen_racing_writers_exactly_one_wins_and_its_bytes_stand() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().to_owned());
    let barrier = Barrier::new(16);
    let puts: Vec<(Vec<u8>, Put)> = thread::scope(|scope| {
        let threads: Vec<_> = (0..16u8)
            .map(|number| {
                let (store, barrier) = (&store, &barrier);
                scope.spawn(move || {
                    let contents = vec![number; 100_000];
                    barrier.wait();
                    let put = put(store, "a/b.zip", &contents).unwrap();
                    (contents, put)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let winners: Vec<_> = puts.iter().filter(|(_, put)| matches!(put, Put::Created(_))).collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(fs::read(dir.path().join("a/b.zip")).unwrap(), winners[0].0);
    let stands = new_info(Sha256::of(&winners[0].0), 100_000);
    assert!(puts.iter().all(|(_, put)| *put == Put::Created(stands.clone()) || *put == Put::Exists(stands.clone())));
    assert_eq!(names(dir.path()), ["a/b.zip"]);
}

#[test]
fn of_sixteen_racing_replacements_each_one_that_is_reported_was_the_only_one_of_its_turn() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().to_owned());
    let barrier = Barrier::new(16);
    // Every thread raises the counter by one, over and over until it has done so 20 times.
    thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                barrier.wait();
                let mut done = 0;
                while done < 20 {
                    let current = store.read("pointer", READ_LIMIT).unwrap();
                    let (number, etag) = match &current {
                        Some((text, etag)) => (String::from_utf8_lossy(text).parse().unwrap(), Some(etag.as_str())),
                        None => (0, None),
                    };
                    let next = format!("{}", number + 1);
                    if store.replace_if("pointer", next.as_bytes(), etag).unwrap().is_some() {
                        done += 1;
                    }
                }
            });
        }
    });
    assert_eq!(store.read("pointer", READ_LIMIT).unwrap().unwrap().0, b"320");
}

#[test]
fn a_replacement_needs_the_etag_that_stands() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().to_owned());
    assert_eq!(store.replace_if("p", b"1", Some("x")).unwrap(), None);
    let first = store.replace_if("p", b"1", None).unwrap().unwrap();
    assert_eq!(first, Sha256::of(b"1").to_string());
    assert_eq!(store.replace_if("p", b"2", None).unwrap(), None);
    assert_eq!(store.replace_if("p", b"2", Some("x")).unwrap(), None);
    assert_eq!(store.read("p", READ_LIMIT).unwrap(), Some((b"1".to_vec(), first.clone())));
    let second = store.replace_if("p", b"2", Some(&first)).unwrap().unwrap();
    assert_eq!(store.read("p", READ_LIMIT).unwrap(), Some((b"2".to_vec(), second)));
    assert_eq!(store.read("q", READ_LIMIT).unwrap(), None);
}

#[test]
fn what_is_refused_when_it_is_whole_does_not_appear() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().join("store"));
    let source = dir.path().join("source");
    fs::write(&source, "a").unwrap();
    let growing = Growing::finished(&source, Sha256::of(b"a"), Sha256::of(b"content")).unwrap();
    let refused = now(store.put_growing("a", &growing, async || Err(GivenUp), &|_| ())).unwrap_err();
    assert!(matches!(refused, StoreError::GivenUp(_)), "{refused}");
    assert_eq!(names(dir.path()), ["source"]);
}

#[test]
fn more_than_a_pointer_has_is_read_where_that_is_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::Dir(DirStore::new(dir.path().to_owned()));
    fs::write(dir.path().join("a"), vec![b'x'; 300 << 10]).unwrap();
    let read = |limit| now(store.read_at_most("a", limit)).map(|found| found.unwrap().0.len());
    assert_eq!(read(300 << 10).unwrap(), 300 << 10);
    for error in [read((300 << 10) - 1).unwrap_err(), now(store.read("a")).unwrap_err()] {
        assert!(matches!(error, StoreError::TooLarge { size: 307_200, .. }), "{error}");
    }
}

#[test]
fn a_file_that_is_not_the_one_of_its_attributes_is_refused_and_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().join("store"));
    let source = dir.path().join("source");
    fs::write(&source, "changed since").unwrap();
    let error = put_file(&store, "a", &source, b"as it was").unwrap_err();
    assert!(
        matches!(&error, StoreError::OtherDigest { place, .. } if *place == source.display().to_string()),
        "{error}"
    );
    assert_eq!(names(&dir.path().join("store")), [""; 0]);
}

#[test]
fn an_object_is_fetched_by_url_with_progress_and_verified() {
    let dir = tempfile::tempdir().unwrap();
    let contents = vec![7; 3 * CHUNK + 5];
    let store = DirStore::new(dir.path().join("store"));
    put(&store, "shop/1.zip", &contents).unwrap();

    let url = StoreUrl::Dir(dir.path().join("store"));
    let store = now(Store::open(&url)).unwrap();
    let to = dir.path().join("fetched");
    let seen = std::sync::Mutex::new(Vec::new());
    let progress = |total| seen.lock().unwrap().push(total);
    let object = url.object("shop/1.zip");
    let info = now(store.get(&object, &to, Some(Sha256::of(&contents)), &progress)).unwrap();
    assert_eq!(info, new_info(Sha256::of(&contents), contents.len() as u64));
    assert_eq!(fs::read(&to).unwrap(), contents);
    assert_eq!(
        seen.into_inner().unwrap(),
        [1, 2, 3].map(|n| n * CHUNK as u64).into_iter().chain([contents.len() as u64]).collect::<Vec<_>>()
    );

    let other = dir.path().join("other");
    let error = now(store.get(&object, &other, Some(Sha256::of(b"x")), &|_| ())).unwrap_err();
    assert!(matches!(error, StoreError::OtherDigest { .. }), "{error}");
    let tagged = ObjectUrl { etag: Some("abc".to_owned()), ..object.clone() };
    let error = now(store.get(&tagged, &other, None, &|_| ())).unwrap_err();
    assert_eq!(error.to_string(), format!("`{tagged}` has the ETag `{}`, not `abc`", Sha256::of(&contents)),);
    let missing = url.object("shop/2.zip");
    let error = now(store.get(&missing, &other, None, &|_| ())).unwrap_err();
    assert_eq!(error.to_string(), format!("`{missing}` does not exist"));
    let bucket: ObjectUrl = "s3://bucket/a".parse().unwrap();
    let error = now(store.get(&bucket, &other, None, &|_| ())).unwrap_err();
    assert_eq!(error.to_string(), "`s3://bucket/a` is not in this kind of store");
    assert_eq!(names(dir.path()), ["fetched", "store/shop/1.zip"]);
}

#[test]
fn a_fetch_that_is_given_up_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().join("store"));
    put(&store, "a", &vec![1; 2 * CHUNK]).unwrap();
    let object = StoreUrl::Dir(dir.path().join("store")).object("a");
    let to = dir.path().join("fetched");
    now(async {
        let mut fetch = Box::pin(DirStore::get(&object, &to, None, &|_| ()));
        let polled = std::future::poll_fn(|cx| std::task::Poll::Ready(fetch.as_mut().poll(cx).is_pending())).await;
        assert!(polled, "the copy yields between chunks");
        assert_eq!(names(dir.path()).len(), 2, "the temporary file is there");
    });
    assert_eq!(names(dir.path()), ["store/a"]);
}

#[test]
fn a_listing_has_keys_below_the_prefix_and_nothing_of_ours() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().to_owned());
    assert_eq!(DirStore::new(dir.path().join("missing")).list("").unwrap(), []);
    for key in ["shop/2.zip", "shop/1.zip", "shop-2/1.zip", "top"] {
        put(&store, key, key.as_bytes()).unwrap();
    }
    store.replace_if("shop/pointer", b"1", None).unwrap();
    std::os::unix::fs::symlink("..", dir.path().join("shop/circle")).unwrap();
    fs::write(dir.path().join("shop/.3.zip.longshore-1-1"), "half").unwrap();
    let keys = |prefix: &str| store.list(prefix).unwrap().into_iter().map(|listed| listed.key).collect::<Vec<_>>();
    assert_eq!(keys(""), ["shop-2/1.zip", "shop/1.zip", "shop/2.zip", "shop/pointer", "top"]);
    assert_eq!(keys("shop/"), ["shop/1.zip", "shop/2.zip", "shop/pointer"]);
    assert_eq!(keys("shop/1"), ["shop/1.zip"]);
    assert_eq!(keys("sh"), ["shop-2/1.zip", "shop/1.zip", "shop/2.zip", "shop/pointer"]);
    assert_eq!(store.list("top").unwrap()[0].size, 3);
}

#[test]
fn keys_that_leave_the_folder_or_meet_our_own_files_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().join("store"));
    let long = "x".repeat(1025);
    for (key, why) in [
        ("", "it is empty"),
        ("/etc/passwd", "it starts with a slash"),
        ("../a", "a folder store has no `.` and `..` in keys"),
        ("a/../../b", "a folder store has no `.` and `..` in keys"),
        ("a/./b", "a folder store has no `.` and `..` in keys"),
        ("a//b", "a folder store has no empty parts between slashes"),
        ("a/", "a folder store has no empty parts between slashes"),
        ("a\0b", "it contains a NUL"),
        ("a/.longshore.lock", "such names are reserved for locks and temporary files"),
        ("a/.b.longshore-1-1", "such names are reserved for locks and temporary files"),
        (&long, "it is longer than 1024 bytes"),
        (&long[..300], "a part between slashes is longer than 255 bytes"),
    ] {
        let error = store.read(key, READ_LIMIT).unwrap_err();
        assert_eq!(error.to_string(), format!("`{key}` cannot be a key: {why}"));
    }
}

#[test]
fn stored_and_fetched_files_have_the_permissions_that_umask_gives() {
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("plain");
    fs::write(&plain, "").unwrap();
    let store = DirStore::new(dir.path().join("store"));
    put(&store, "a", b"a").unwrap();
    let to = dir.path().join("fetched");
    now(DirStore::get(&StoreUrl::Dir(dir.path().join("store")).object("a"), &to, None, &|_| ())).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&dir.path().join("store/a")), mode(&plain));
    assert_eq!(mode(&to), mode(&plain));
}

#[test]
fn what_has_not_changed_is_not_returned_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().to_owned());
    assert_eq!(store.read_if_changed("p", None).unwrap(), Changed::Missing);
    assert_eq!(store.read_if_changed("p", Some("abc")).unwrap(), Changed::Missing);
    let etag = store.replace_if("p", b"1", None).unwrap().unwrap();
    let new = Changed::New { contents: b"1".to_vec(), etag: etag.clone() };
    assert_eq!(store.read_if_changed("p", None).unwrap(), new);
    assert_eq!(store.read_if_changed("p", Some("abc")).unwrap(), new);
    assert_eq!(store.read_if_changed("p", Some(&etag)).unwrap(), Changed::Same);
}

#[test]
fn only_what_hosts_say_can_be_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::Dir(DirStore::new(dir.path().to_owned()));
    for key in ["status/shop/dev/web-1.json", "groups/shop/dev.json"] {
        now(store.replace_if(key, b"{}", None)).unwrap();
    }
    for key in ["groups/shop/dev.json", "shop/1.zip", "status"] {
        let error = now(store.remove(key)).unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("`{key}` cannot be a key: only what stands below `status/` is removed so")
        );
    }
    assert!(now(store.remove("status/../groups/shop/dev.json")).is_err());
    // A second time it is gone already.
    for _ in 0..2 {
        now(store.remove("status/shop/dev/web-1.json")).unwrap();
    }
    let keys: Vec<_> = now(store.list("")).unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(keys, ["groups/shop/dev.json"]);
}

#[test]
fn an_artifact_can_be_removed_with_what_belongs_to_it_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::Dir(DirStore::new(dir.path().to_owned()));
    let artifact = format!("shop/{}.zip", "0".repeat(40));
    let ours = ["", ".minisig", ".intoto.json"].map(|ending| format!("{artifact}{ending}"));
    let others =
        ["groups/shop/dev.json", "history/shop/dev/0000000001.json", "shop/notes.txt", "status/shop/dev/web.json"];
    for key in ours.iter().map(String::as_str).chain(others) {
        now(store.replace_if(key, b"{}", None)).unwrap();
    }
    for key in others {
        let error = now(store.remove_artifact(key)).unwrap_err().to_string();
        assert_eq!(error, format!("`{key}` cannot be a key: it is no key of an artifact"));
    }
    // A second time they are gone already.
    for key in ours.iter().chain(&ours) {
        now(store.remove_artifact(key)).unwrap();
    }
    let keys: Vec<_> = now(store.list("")).unwrap().into_iter().map(|listed| listed.key).collect();
    assert_eq!(keys, others);
}

#[test]
fn a_small_object_that_is_large_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let store = DirStore::new(dir.path().to_owned());
    fs::write(dir.path().join("pointer.json"), vec![b' '; 256 << 10]).unwrap();
    assert_eq!(store.read("pointer.json", READ_LIMIT).unwrap().map(|(contents, _)| contents.len()), Some(256 << 10));
    fs::write(dir.path().join("pointer.json"), vec![b' '; (256 << 10) + 1]).unwrap();
    let error = store.read("pointer.json", READ_LIMIT).unwrap_err();
    assert!(matches!(error, StoreError::TooLarge { size: 262_145, limit: 262_144, .. }), "{error}");
}
