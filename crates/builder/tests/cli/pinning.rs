use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::sandbox::Sandbox;

const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A project with this compose file, where no daemon answers and `docker-compose` is a script.
fn project(compose: &str, docker_compose: &str) -> Sandbox {
    let sandbox = Sandbox::shop();
    sandbox.write("docker-compose.yml", compose);
    sandbox.commit();
    let bin = sandbox.outside("bin");
    fs::create_dir(&bin).unwrap();
    for (name, script) in [("docker", "exit 1"), ("docker-compose", docker_compose)] {
        fs::write(bin.join(name), format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(bin.join(name), fs::Permissions::from_mode(0o755)).unwrap();
    }
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    sandbox.env("PATH", &path).env("DOCKER_HOST", "unix:///nowhere")
}

/// A service with what the lints want of one.
fn service(name: &str, image: &str, more: &str) -> String {
    format!("  {name}:\n    image: {image}\n    restart: always\n    healthcheck: {{test: [CMD, \"true\"]}}\n{more}")
}

fn built(image: &str) -> String {
    format!("services:\n{}", service("web", image, "    build: app\n"))
}

/// The last paragraphs of what was said, from `error:` on.
fn error(stderr: &str) -> &str {
    &stderr[stderr.find("\nerror: ").map_or(0, |at| at + 1)..]
}

#[test]
fn an_image_that_is_named_by_its_digest_is_taken_as_it_is_and_locked() {
    let image = format!("registry.example.com/db:16@{DIGEST}");
    let sandbox = project(&format!("services:\n{}", service("db", &image, "")), "exit 1");
    let plain = sandbox.run(&["build", "--output", "json"]).ok().json();
    assert_eq!(plain["images"], serde_json::json!([]));
    let pinned = sandbox.run(&["build", "--pin-images", "--output", "json"]).ok().json();
    let expected = serde_json::json!([{"group": "prod", "service": "db", "image": image, "digest": DIGEST}]);
    assert_eq!((&pinned["images"], &pinned["content_digest"]), (&expected, &plain["content_digest"]));
    let locked = sandbox.run(&["build", "--pin-images", "--lock-images"]).ok();
    assert!(locked.stdout.ends_with("\n     images  1 of 1 group, pinned\n"), "{}", locked.stdout);

    let artifact = sandbox.artifact();
    let shown = sandbox.run(&["inspect", artifact.to_str().unwrap()]).ok().stdout;
    assert!(shown.contains(&format!("\nimages\n  prod: db {image}\n\nfiles\n")), "{shown}");
    assert!(shown.contains(" docker-compose.prod.lock.yml\n"), "{shown}");
    // A second build finds nothing new.
    let again = sandbox.run(&["build", "--pin-images", "--lock-images"]).ok();
    assert!(again.stderr.contains("\n   Unchanged `"), "{}", again.stderr);
}

#[test]
fn everything_that_cannot_be_pinned_is_told_at_once() {
    let services = [service("bad", "Registry.example.com/Shop:1", ""), service("worse", "\"shop:\"", "")];
    let sandbox = project(&format!("services:\n{}", services.concat()), "exit 1");
    let failure = sandbox.run(&["build", "--pin-images", "--output", "json"]).exits(3).json();
    let told: Vec<String> = failure["problems"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|problem| problem["severity"] == "error")
        .map(|problem| {
            let text = |key: &str| problem[key].as_str().unwrap();
            format!("{} {} {}", text("code"), text("path"), text("message"))
        })
        .collect();
    assert_eq!(
        told,
        [
            "LS350 services.bad.image `Registry.example.com/Shop:1` names no image: a name has no capital letters",
            "LS350 services.worse.image `shop:` names no image: the tag after `:` is missing",
        ]
    );
    assert_eq!(failure["error"]["message"], "2 images cannot be pinned");
    assert_eq!(fs::read_dir(sandbox.path("dist")).map_or(0, Iterator::count), 0);
}

#[test]
fn a_registry_that_does_not_answer_is_no_fault_of_a_file() {
    let sandbox = project(&format!("services:\n{}", service("web", "127.0.0.1:1/shop:1", "")), "exit 1");
    let failure = sandbox.run(&["build", "--pin-images", "--output", "json"]).exits(10).json();
    let [problem] = failure["problems"].as_array().unwrap().as_slice() else { panic!("{failure:#}") };
    assert_eq!(problem["code"], "LS353");
    let message = problem["message"].as_str().unwrap();
    assert!(message.starts_with("cannot ask `127.0.0.1:1`: ") && message.contains("Connection refused"), "{message}");
}

#[test]
fn an_image_that_only_the_host_knows_cannot_be_pinned() {
    let sandbox = project(&format!("services:\n{}", service("web", "\"${REGISTRY}/shop:1\"", "")), "exit 1");
    let ran = sandbox.run(&["build", "--pin-images"]).exits(3);
    assert!(ran.stderr.contains("\nerror[LS355]: services.web.image: "), "{}", ran.stderr);
    assert!(ran.stderr.ends_with("\nerror: it is not known which images the groups run\n"), "{}", ran.stderr);
    sandbox.write(
        "docker-compose.yml",
        &format!("services:\n{}", service("web", &format!("\"${{R:-r.io}}/shop@{DIGEST}\""), "")),
    );
    sandbox.commit();
    let images = sandbox.run(&["build", "--pin-images", "--output", "json"]).ok().json()["images"].clone();
    assert_eq!(images[0]["image"], format!("r.io/shop@{DIGEST}"));
}

#[test]
fn a_lock_file_of_the_work_tree_is_in_the_way() {
    let sandbox = project(&format!("services:\n{}", service("web", &format!("shop@{DIGEST}"), "")), "exit 1");
    sandbox.write("docker-compose.prod.lock.yml", "services: {}\n");
    sandbox.commit();
    let ran = sandbox.run(&["build", "--pin-images", "--lock-images"]).exits(3);
    let expected = "\
error[LS354]: stands where `--lock-images` writes the images of group `prod`
--> docker-compose.prod.lock.yml
 = help: remove it, or leave `--lock-images` out: hosts then run with this one

error: 1 lock file would be written over another file
";
    assert!(ran.stderr.ends_with(expected), "{}", ran.stderr);
}

#[test]
fn compose_builds_and_pushes_with_the_commit_and_what_it_says_is_passed_on() {
    // The file that names the image stands in a folder of its own.
    let script = "asked=$(echo \"$*\" | sed 's| --file [^ ]*/image.json||'); set -- $asked
        echo \"$COMMIT_HASH $*\" >>\"$HOME/asked\"; echo \"$1\" here; echo \"and here\" >&2";
    let sandbox = project(&built("registry.example.com/shop:${COMMIT_HASH:?}"), script);
    let commit = sandbox.head();
    let said = sandbox.run(&["build", "--push-images"]).ok().stderr;
    let asked = fs::read_to_string(sandbox.outside("asked")).unwrap();
    let line = |verb: &str| format!("{commit} --file docker-compose.yml {verb} web\n");
    assert_eq!(asked, format!(" version\n{}{}", line("build"), line("push")));
    let image = format!("registry.example.com/shop:{commit}");
    let mut lines: Vec<&str> = said.lines().skip_while(|line| !line.contains("Building")).take(6).collect();
    // Two streams have no order between them.
    lines[1..3].sort_unstable();
    lines[4..6].sort_unstable();
    assert_eq!(
        lines,
        [
            &format!("    Building `{image}` of service `web`"),
            "         web | --file here",
            "         web | and here",
            &format!("     Pushing `{image}` of service `web`"),
            "         web | --file here",
            "         web | and here",
        ]
    );
}

#[test]
fn a_push_that_fails_names_the_service_the_command_and_the_next_one() {
    let script = "case \"$*\" in *' push '*) echo denied >&2; exit 7 ;; esac";
    let sandbox = project(&built("registry.example.com/shop:1"), script);
    let ran = sandbox.run(&["build", "--push-images"]).exits(1);
    assert!(ran.stderr.contains("\n         web | denied\n"), "{}", ran.stderr);
    let expected = "\
error: cannot push the image of service `web` of group `prod`: `docker-compose --file docker-compose.yml push web` ended \
with exit status: 7

hint: what it said stands above; if the registry refused, log in first: `docker login registry.example.com`
";
    assert_eq!(error(&ran.stderr), expected);
}

#[test]
fn what_is_pushed_has_the_announced_name_whatever_the_environment_says() {
    let script = "for word; do case $word in *.json) cat \"$word\" >>\"$HOME/asked\" ;; esac; done";
    let sandbox = project(&built("registry.example.com/shop:${TAG:-stable}"), script).env("TAG", "fromci");
    sandbox.run(&["build", "--push-images"]).ok();
    let named = r#"{"services":{"web":{"image":"registry.example.com/shop:stable"}}}"#;
    assert_eq!(fs::read_to_string(sandbox.outside("asked")).unwrap(), named.repeat(2));
}

#[test]
fn the_files_below_a_lock_file_are_listed_beside_it() {
    let image = format!("registry.example.com/db:16@{DIGEST}");
    let sandbox =
        project(&format!("services:\n{}", service("db", &image, "")), "printf '%s\\n' \"$*\" >>\"$HOME/asked\"");
    sandbox.write("extra.yml", &format!("services:\n{}", service("more", &image, "    profiles: [x]\n")));
    sandbox.write(
        "longshore.toml",
        "application = \"shop\"\n[groups.prod]\ncompose = [\"docker-compose.yml\", \"extra.yml\"]\nprofiles = [\"x\"]\n",
    );
    sandbox.commit();
    sandbox.run(&["build", "--pin-images", "--lock-images"]).ok();
    let shown = sandbox.run(&["inspect", sandbox.artifact().to_str().unwrap()]).ok().stdout;
    assert!(shown.contains(" docker-compose.prod.files\n"), "{shown}");
    let list = "docker-compose.yml\nextra.yml\nCOMPOSE_PROFILES=x\n";
    sandbox.write("docker-compose.prod.files", list);
    sandbox.write("docker-compose.prod.lock.yml", "services: {}\n");
    let project = concat!(env!("CARGO_MANIFEST_DIR"), "/../../scripts/project.sh");
    sandbox.write("scripts/project.sh", &fs::read_to_string(project).unwrap());
    let hook = "#!/bin/sh\nset -eu\n. \"$(dirname \"$0\")/project.sh\"\ncompose up 'a b'\necho \"$COMPOSE_PROFILES\"\n";
    sandbox.write("scripts/hook.sh", hook);
    let run = "unzip -p dist/*.zip docker-compose.prod.files | cmp - docker-compose.prod.files
        PATH=@BIN@:$PATH APPLICATION_NAME=shop DEPLOYMENT_GROUP_NAME=prod sh scripts/hook.sh";
    let run = &run.replace("@BIN@", &sandbox.outside("bin").display().to_string());
    assert_eq!(sandbox.shell(run).ok().stdout, "x\n");
    let expected = "--project-name shop-prod --file docker-compose.yml --file extra.yml --file docker-compose.prod.lock.yml up a b";
    assert_eq!(fs::read_to_string(sandbox.outside("asked")).unwrap().lines().last(), Some(expected));
}

#[test]
fn what_keeps_images_from_being_pushed_is_said_before_compose_is_asked() {
    let nothing = project("services:\n  web:\n    image: shop:1\n", "exit 1");
    let ran = nothing.run(&["build", "--push-images"]).exits(7);
    let expected = "\
error: no service of any group has both `build` and `image`, so there is no image to push

hint: give the service an `image` with a tag of `${COMMIT_HASH}`, or leave `--push-images` out
";
    assert_eq!(error(&ran.stderr), expected);

    let without = project(&built("shop:1"), "exit 1");
    let expected = "\
error: neither `docker compose` nor `docker-compose` is installed

hint: install docker-compose-plugin (Docker), docker-compose-v2 (Ubuntu) or docker-compose (Debian)
";
    assert_eq!(error(&without.run(&["build", "--push-images"]).exits(7).stderr), expected);

    let dirty = project(&built("shop:1"), "exit 0");
    dirty.write("app/index.html", "changed");
    let expected = "\
error: the images of a work tree that differs from its commit are not pushed: their tags name the commit

hint: commit the changes, or leave `--push-images` out
";
    assert_eq!(error(&dirty.run(&["build", "--push-images", "--allow-dirty"]).exits(1).stderr), expected);
}

#[test]
fn ctrl_c_ends_compose_and_what_it_started() {
    let script = "case \"$*\" in *' build '*) sleep 300 & echo $! >\"$HOME/child\"; echo begun; wait ;; esac";
    let sandbox = project(&built("shop:1"), script);
    for signal in ["INT", "TERM"] {
        let _ = fs::remove_file(sandbox.outside("child"));
        let path = format!("{}:{}", sandbox.outside("bin").display(), std::env::var("PATH").unwrap());
        let mut longshore = Command::new(env!("CARGO_BIN_EXE_longshore"));
        longshore.env_clear().env("PATH", path).env("HOME", sandbox.outside("")).args(["build", "--push-images"]);
        longshore.current_dir(sandbox.path("")).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let running = longshore.spawn().unwrap();
        let deadline = Instant::now() + Duration::from_secs(60);
        let child = loop {
            assert!(Instant::now() < deadline, "compose was never begun");
            match fs::read_to_string(sandbox.outside("child")) {
                Ok(child) if child.ends_with('\n') => break child,
                Ok(_) | Err(_) => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        let kill = Command::new("kill").args([&format!("-{signal}"), &running.id().to_string()]).status().unwrap();
        assert!(kill.success());
        let ended = running.wait_with_output().unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        assert_eq!((ended.status.code(), ended.status.signal()), (Some(1), None), "{said}");
        let expected = "\
error: cannot build the image of service `web` of group `prod`
  caused by: interrupted; `docker-compose` was ended
";
        assert_eq!(error(&said), expected);
        // Who reaps it may be slow.
        let state = fs::read_to_string(format!("/proc/{}/stat", child.trim())).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
    }
}
