use std::fs;

use crate::sandbox::Sandbox;

fn store(sandbox: &Sandbox) -> String {
    format!("file://{}", sandbox.outside("store").display())
}

#[test]
fn an_artifact_is_published_once_and_found_again() {
    let sandbox = Sandbox::shop();
    let to = store(&sandbox);
    sandbox.run(&["build"]).ok();
    let first = sandbox.run(&["push", "--to", &to, "--output", "json"]).ok();
    assert!(first.stderr.contains("     Created the store `[dir]/store`, which did not exist\n"), "{}", first.stderr);
    let first = first.json();
    let key = format!("shop/{}.zip", sandbox.head());
    assert_eq!(first["url"], format!("file://[dir]/store/{key}"));
    assert_eq!(first["already_published"], false);
    let published = fs::read(sandbox.outside("store").join(key)).unwrap();
    assert_eq!(published, fs::read(sandbox.artifact()).unwrap());
    let second = sandbox.run(&["push", "--to", &to, "--output", "json"]).ok().json();
    assert_eq!(second["already_published"], true);
    let again = sandbox.run(&["push", "--to", &to]).ok();
    assert!(!again.stderr.contains("Created"), "{}", again.stderr);
    assert!(again.stderr.contains("already published, the same content"), "{}", again.stderr);
}

#[test]
fn the_next_command_is_printed() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    let ran = sandbox.run(&["push", "--to", &store(&sandbox)]).ok();
    let last = ran.stdout.lines().last().unwrap();
    let start = format!("  longshore-agent deploy 'file://[dir]/store/shop/{}.zip?etag=", sandbox.head());
    assert!(last.starts_with(&start) && last.ends_with("' --group dev"), "{last}");
}

#[test]
fn the_same_content_in_other_bytes_is_the_same_content() {
    let sandbox = Sandbox::shop();
    let to = store(&sandbox);
    sandbox.run(&["build"]).ok();
    sandbox.run(&["push", "--to", &to]).ok();
    // Another time stamp: other bytes, the same files.
    let sandbox = sandbox.env("SOURCE_DATE_EPOCH", "1700000000");
    sandbox.run(&["build"]).ok();
    let json = sandbox.run(&["push", "--to", &to, "--output", "json"]).ok().json();
    assert_eq!(json["already_published"], true);
}

#[test]
fn other_content_under_the_same_commit_is_a_conflict() {
    let sandbox = Sandbox::shop();
    let to = store(&sandbox);
    sandbox.write(".gitignore", "/app/built.js\n");
    sandbox.commit();
    sandbox.write("app/built.js", "one\n");
    let one = sandbox.run(&["build", "--output", "json"]).ok().json();
    sandbox.run(&["push", "--to", &to]).ok();
    sandbox.write("app/built.js", "two\n");
    let two = sandbox.run(&["build", "--output", "json"]).ok().json();
    let ran = sandbox.run(&["push", "--to", &to]).exits(4);
    for digest in [&one["content_digest"], &two["content_digest"]] {
        assert!(ran.stderr.contains(digest.as_str().unwrap()), "{}", ran.stderr);
    }
    assert!(ran.stderr.contains(":\n    differs     app/built.js\n"), "{}", ran.stderr);
    assert!(ran.stderr.contains("hint: a published artifact is never replaced"), "{}", ran.stderr);
}

#[test]
fn a_dirty_build_is_published_only_by_name_and_beside_the_clean_one() {
    let sandbox = Sandbox::shop();
    let to = store(&sandbox);
    sandbox.write("app/index.html", "changed\n");
    sandbox.run(&["build", "--allow-dirty"]).ok();
    let ran = sandbox.run(&["push", "--to", &to]).exits(7);
    let artifact = sandbox.artifact();
    let name = artifact.file_name().unwrap().to_str().unwrap();
    assert!(
        ran.stderr.contains(&format!("only a dirty build is there; name it to publish it: [dir]/shop/dist/{name}"))
    );
    let json = sandbox.run(&["push", artifact.to_str().unwrap(), "--to", &to, "--output", "json"]).ok().json();
    assert_eq!(json["url"], format!("file://[dir]/store/{}", name.replacen("shop-", "shop/", 1)));
}

#[test]
fn without_an_artifact_the_way_to_one_is_shown() {
    let sandbox = Sandbox::shop();
    insta::assert_snapshot!(sandbox.run(&["push", "--to", "file:///nowhere"]).shown());
    insta::assert_snapshot!(sandbox.run(&["push", "gone.zip", "--to", "file:///nowhere"]).shown());
}

#[test]
fn an_artifact_that_cannot_be_looked_at_is_not_taken_for_none() {
    let sandbox = Sandbox::shop();
    sandbox.shell("ln -s dist dist").ok();
    let stderr = sandbox.run(&["push", "--to", "file:///nowhere"]).exits(1).stderr;
    assert!(stderr.ends_with("caused by: Too many levels of symbolic links (os error 40)\n"), "{stderr}");
}

#[test]
fn settings_with_errors_name_no_artifact() {
    let sandbox = Sandbox::shop();
    sandbox.write("longshore.toml", "aplication = \"shop\"\n");
    sandbox.run(&["push", "--to", "file:///nowhere"]).exits(3);
}

#[test]
fn a_damaged_artifact_is_not_published() {
    let sandbox = Sandbox::shop();
    sandbox.run(&["build"]).ok();
    let artifact = sandbox.artifact();
    let mut bytes = fs::read(&artifact).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&artifact, bytes).unwrap();
    sandbox.run(&["push", "--to", &store(&sandbox)]).exits(8);
    assert!(!sandbox.outside("store").join("shop").exists());
}

#[test]
fn a_bundle_of_another_tool_has_no_commit_to_publish_it_under() {
    let sandbox = Sandbox::shop();
    sandbox.shell("tar -czf other.tgz appspec.yml scripts app").ok();
    insta::assert_snapshot!(sandbox.run(&["push", "other.tgz", "--to", &store(&sandbox)]).shown());
}

#[test]
fn a_store_that_is_none_is_refused_before_anything_is_read() {
    sandbox_usage(&["push", "--to", "ftp://x"]);
    sandbox_usage(&["push"]);
    let sandbox = Sandbox::shop();
    let told = sandbox.run(&["status"]).exits(2).stderr;
    let error = "error: no store is named\n\nhint: name it with `--to s3://bucket/prefix`, write `store = \"s3://bucket/prefix\"` into longshore.toml, or set `LONGSHORE_STORE`\n";
    assert_eq!(told, error);
    let told = sandbox.env("LONGSHORE_STORE", "ftp://x").run(&["status"]).exits(2).stderr;
    let error = "error: `LONGSHORE_STORE` holds no store\n  caused by: `ftp://x` has a scheme that is neither `s3` nor `file`\n";
    assert_eq!(told, error);
}

#[test]
fn what_s3_would_not_keep_is_refused_before_anything_is_built() {
    for (set, variable, expected) in [
        (
            "upload.kms_key=k",
            "",
            "error: the KMS key `k` needs the encryption aws:kms or aws:kms:dsse\n\nhint: name that encryption beside the key, \
             or no key: `longshore config` shows who says what of `upload`\n",
        ),
        (
            "upload.part_size=1",
            "",
            "error[LS430]: must be a whole number from 5 to 5120, found `1`\n --> --set:1:18\n  |\n\
             1 | upload.part_size=1\n  |                  ^\n\nerror: the environment has 1 error\n",
        ),
        ("copies=1", "TAPE", "error: `TAPE` is no storage class that hosts can fetch from: "),
    ] {
        let sandbox = Sandbox::shop().env("LONGSHORE_UPLOAD_STORAGE_CLASS", variable);
        let refused = sandbox.run(&["push", "--build", "--to", "s3://artifacts", "--set", set]).exits(2);
        assert!(refused.stderr.starts_with(expected), "{}", refused.stderr);
        assert!(!sandbox.path("dist").exists());
    }
}

#[test]
fn a_profile_that_does_not_exist_is_named_and_nothing_else_is_tried() {
    let sandbox = Sandbox::shop().env("AWS_PROFILE", "nope");
    sandbox.run(&["build"]).ok();
    let ran = sandbox.run(&["push", "--to", "s3://bucket/releases"]).exits(10);
    let error = format!(
        "error: cannot publish to `s3://bucket/releases/shop/{}.zip`\n  \
         caused by: there is no AWS profile `nope`, which `AWS_PROFILE` names\n\n\
         hint: `aws configure list-profiles` shows those that there are; unset `AWS_PROFILE` to go without\n",
        sandbox.head()
    );
    assert!(ran.stderr.ends_with(&error), "{}", ran.stderr);
}

fn sandbox_usage(arguments: &[&str]) {
    Sandbox::shop().run(arguments).exits(2);
}
