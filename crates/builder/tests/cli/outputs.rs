use std::fs;

use crate::sandbox::Sandbox;

#[test]
fn later_steps_of_a_ci_job_learn_what_was_built_and_published() {
    let sandbox = Sandbox::shop();
    let (github, dotenv) = (sandbox.outside("github"), sandbox.outside("job.env"));
    fs::write(&github, "earlier=1\n").unwrap();
    fs::write(&dotenv, "EARLIER=1\nLONGSHORE_OUT_COMMIT=old\n").unwrap();
    let sandbox = sandbox.env("GITHUB_OUTPUT", github.to_str().unwrap());
    let (dotenv, store) =
        (dotenv.to_str().unwrap().to_owned(), format!("file://{}", sandbox.outside("store").display()));
    let built = sandbox.run(&["build", "--output", "json"]).ok().json();
    let pushed = sandbox.run(&["push", "--to", &store, "--output", "json", "--dotenv", &dotenv]).ok().json();
    let text = |json: &serde_json::Value, name: &str| json[name].as_str().unwrap().to_owned();
    let (artifact, commit) = (sandbox.artifact().display().to_string(), sandbox.head());
    let (content, archive) = (text(&built, "content_digest"), text(&built, "archive_digest"));
    let (url, etag) = (format!("{store}/shop/{commit}.zip"), pushed["revision"]["eTag"].as_str().unwrap().to_owned());
    let made = format!("artifact={artifact}\napplication=shop\ncommit={commit}\n");
    let digests = format!("content_digest={content}\narchive_digest={archive}\n");
    let published = format!("{made}url={url}\netag={etag}\nversion=\n{digests}");
    assert_eq!(fs::read_to_string(&github).unwrap(), format!("earlier=1\n{made}{digests}{published}"));
    // A shell reads the dotenv file, which names each value once.
    let names = "$EARLIER $LONGSHORE_OUT_COMMIT $LONGSHORE_OUT_URL $LONGSHORE_OUT_ETAG $LONGSHORE_OUT_ARTIFACT";
    let ran =
        sandbox.shell(&format!("set -eu; . {dotenv}; echo \"{names}\"; grep -c LONGSHORE_OUT_COMMIT= {dotenv}")).ok();
    let shown = format!("1 {commit} {url} {etag} {artifact}\n1\n");
    assert_eq!(ran.stdout, shown.replace(sandbox.outside("").to_str().unwrap().trim_end_matches('/'), "[dir]"));
}

#[test]
fn a_file_that_cannot_be_written_is_named_and_the_result_is_not_lost() {
    let sandbox = Sandbox::shop().env("LONGSHORE_DOTENV", "/nowhere/job.env");
    let json = sandbox.run(&["build", "--output", "json"]).exits(1).json();
    assert_eq!(
        json["artifact"],
        sandbox
            .artifact()
            .to_str()
            .unwrap()
            .replace(sandbox.outside("").to_str().unwrap().trim_end_matches('/'), "[dir]")
    );
    assert_eq!(
        json["error"]["message"],
        "cannot write the outputs to `/nowhere/job.env`, which `--dotenv` or LONGSHORE_DOTENV names"
    );
    let ran = sandbox.run(&["build", "--dotenv", sandbox.outside("").to_str().unwrap()]).exits(1);
    assert!(ran.stdout.starts_with("   artifact  dist/shop-"), "{}", ran.stdout);
}

/// The commands of `longshore` in the file of a CI system, as far as they need nothing but a store.
fn commands(text: &str) -> String {
    let lines = text.lines().map(|line| line.trim().trim_start_matches("- ").trim_start_matches("run: "));
    let ours = lines.filter(|line| line.starts_with("longshore ") && !line.starts_with("longshore deploy"));
    ours.map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_commands_of_every_ci_file_publish_the_commit() {
    for (ci, path, variables) in [
        ("codebuild", "buildspec.yml", "CODEBUILD_BUILD_ID=shop:1 CODEBUILD_RESOLVED_SOURCE_VERSION"),
        ("github", ".github/workflows/longshore.yml", "GITHUB_ACTIONS=true GITHUB_OUTPUT=../outputs GITHUB_SHA"),
        ("gitlab", ".gitlab-ci.yml", "GITLAB_CI=true CI_COMMIT_SHA"),
    ] {
        let sandbox = Sandbox::empty();
        let json = sandbox.run(&["init", "--ci", ci, "--output", "json"]).ok().json();
        assert_eq!(json["written"].as_array().unwrap().last().unwrap(), path, "{ci}");
        assert_eq!(json["written"].as_array().unwrap().len(), 13, "{ci}");
        let commit = sandbox.commit();
        let store = sandbox.outside("store");
        let commands = commands(&fs::read_to_string(sandbox.path(path)).unwrap());
        assert_eq!(commands.lines().count(), 3, "{commands}");
        fs::write(sandbox.outside("commands"), commands).unwrap();
        let ran = sandbox.shell(&format!(
            "PATH=$(dirname \"$LONGSHORE\"):$PATH; export PATH; \
             env {variables}={commit} LONGSHORE_STORE=file://{} LONGSHORE_APPLICATION=shop bash -eo pipefail ../commands",
            store.display()
        ));
        ran.ok();
        assert!(store.join(format!("shop/{commit}.zip")).is_file(), "{ci}");
        let published = format!("commit={commit}\nurl=file://{}/shop/{commit}.zip\n", store.display());
        let (told, expected) = match ci {
            "codebuild" => continue,
            "github" => (fs::read_to_string(sandbox.outside("outputs")).unwrap(), published),
            _ => {
                let published =
                    published.replace("commit=", "LONGSHORE_OUT_COMMIT=").replace("url=", "LONGSHORE_OUT_URL=");
                (fs::read_to_string(sandbox.path("longshore.env")).unwrap(), published)
            }
        };
        assert!(told.contains(&expected), "{ci}: {told}");
    }
}

#[test]
fn a_repository_gets_the_files_of_the_ci_systems_it_shows_signs_of() {
    let sandbox = Sandbox::empty();
    sandbox.write(".github/CODEOWNERS", "* @shop\n");
    sandbox.write(".gitlab-ci.yml", "build:\n  script: [make]\n");
    let ran = sandbox.run(&["init"]).ok();
    let last: Vec<&str> = ran.stderr.lines().rev().take(4).collect();
    assert_eq!(
        last,
        [
            "warning: `.gitlab-ci.yml` does not mention longshore; `longshore init --ci gitlab` in an empty folder writes a sample to \
             copy from",
            "        Kept .gitlab-ci.yml, which exists",
            "       Wrote .github/workflows/longshore.yml",
            "       Wrote buildspec.yml",
        ]
    );
    let next = "  edit docker-compose*.yml and the top of buildspec.yml and .github/workflows/longshore.yml\n";
    assert!(ran.stdout.contains(next), "{}", ran.stdout);
    sandbox.commit();
    sandbox.run(&["check", "--strict"]).ok();
}
