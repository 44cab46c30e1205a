use crate::sandbox::Sandbox;

const SCRIPT: &str =
    "#!/bin/sh\nset -eu\n# longshore: allow LS227 the vendor has no other tag\ndocker pull vendor/agent\nsudo id\n";

#[test]
fn what_is_silenced_fails_nothing_and_is_listed() {
    let sandbox = Sandbox::shop();
    sandbox.program("scripts/install.sh", SCRIPT);
    sandbox.commit();
    sandbox.run(&["check", "--no-shellcheck", "--strict"]).exits(3);
    for allow in ["LS223", "LS223:scripts/install.sh", "LS223:scripts/", "LS223:*.sh"] {
        let arguments = ["check", "--no-shellcheck", "--strict", "--output", "json", "--allow", allow];
        let json = sandbox.run(&arguments).ok().json();
        let silenced: Vec<(&str, &str, u64)> = json["silenced"]
            .as_array()
            .unwrap()
            .iter()
            .map(|one| {
                (one["code"].as_str().unwrap(), one["allowed_by"].as_str().unwrap(), one["line"].as_u64().unwrap())
            })
            .collect();
        assert_eq!(silenced, [("LS223", "--allow", 5), ("LS227", "comment", 4)], "{allow}");
        assert_eq!(json["problems"], serde_json::json!([]));
    }
    sandbox.run(&["check", "--no-shellcheck", "--strict", "--allow", "LS223:app/"]).exits(3);
    sandbox.run(&["build", "--no-shellcheck", "--strict", "--allow", "LS223"]).ok();
}

#[test]
fn a_code_that_is_none_is_refused_by_the_command_line() {
    for wrong in ["LS22", "sudo", "LS223:", ""] {
        let stderr = Sandbox::shop().run(&["check", "--allow", wrong]).exits(2).stderr;
        assert!(stderr.contains("write a code and perhaps a file, for example `LS221`"), "{wrong}: {stderr}");
    }
}

#[test]
fn a_comment_in_the_appspec_silences_its_line() {
    let sandbox = Sandbox::shop();
    let appspec = "version: 0.0\nos: linux\nhooks:\n  AfterInstall:\n    # longshore: allow LS203\n    - location: scripts/install.sh\n";
    sandbox.write("appspec.yml", appspec);
    sandbox.shell("chmod -x scripts/install.sh").ok();
    sandbox.run(&["check", "--no-shellcheck", "--strict"]).ok();
}
