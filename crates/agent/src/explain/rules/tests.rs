use std::collections::BTreeSet;

use longshore_core::lifecycle::ScriptsFrom;

use super::*;
use crate::deployment::journal::Outcome;
use crate::explain::causes;
use crate::explain::evidence::Evidence;
use crate::explain::remedy::{Remedy, Step};
use crate::hook::HookOutcome;

const EXIT_1: HookOutcome = HookOutcome::Exited { status: 1 };
const TIMED_OUT: HookOutcome = HookOutcome::TimedOut { forced: false };

fn remedy() -> Remedy {
    let order = serde_json::from_value(serde_json::json!({
        "deployment": "d-ONE", "number": 1, "application": "shop", "group": {"id": "shop~dev", "name": "dev"},
        "revision": {"object": "s3://releases/shop.zip"}, "events": ["AfterInstall"], "skip": [],
        "stop_from": "installed", "file_exists": "DISALLOW", "cause": {"cause": "asked"}, "scripts_map": "in_place",
        "content_digest": null, "appspec_name": null,
        "policy": crate::deployment::order::Policy::default(),
    }))
    .unwrap();
    let step = Step {
        event: Some("AfterInstall".into()),
        script: Some("run.sh".into()),
        archive: Some("/opt/a".into()),
        user: Some("deploy".into()),
        timeout_s: Some(60),
        log: Some("/opt/scripts.log".into()),
    };
    Remedy::new(&order, std::path::Path::new("/opt/codedeploy-agent/deployment-root"), step)
}

/// The names of the causes of a script that ended so after it printed this.
fn causes_of(hook: &HookOutcome, output: &[&str]) -> Vec<&'static str> {
    let output: Vec<String> = output.iter().map(|line| format!("[stderr]{line}")).collect();
    let said = match hook {
        HookOutcome::NotStarted { reason } | HookOutcome::NotExecutable { reason } => vec![reason.as_str()],
        _ => Vec::new(),
    };
    let evidence =
        Evidence { outcome: Some(Outcome::Failed), hook: Some(hook), output: &output, said, ..Evidence::default() };
    causes::causes(&evidence, &remedy()).into_iter().map(|likely| likely.cause).collect()
}

/// The names of the causes of a deployment that ended without a failed script, with this reason.
fn causes_of_reason(reason: &str) -> Vec<&'static str> {
    let evidence = Evidence { outcome: Some(Outcome::Refused), said: reason.lines().collect(), ..Evidence::default() };
    causes::causes(&evidence, &remedy()).into_iter().map(|likely| likely.cause).collect()
}

/// What programs print, and the cause that has to come first.
const PRINTED: &[(&str, &[&str])] = &[
    (
        "windows-line-ends",
        &["run.sh: line 2: $'\\r': command not found", "run.sh: line 9: syntax error: unexpected end of file"],
    ),
    ("windows-line-ends", &["/tmp/x.sh: /bin/bash^M: bad interpreter: No such file or directory"]),
    ("windows-line-ends", &["env: 'bash\\r': No such file or directory"]),
    (
        "interpreter-missing",
        &["run.sh: line 3: ./manage.py: /usr/bin/python3.12: bad interpreter: No such file or directory"],
    ),
    ("interpreter-missing", &["env: 'node': No such file or directory"]),
    ("wrong-processor", &["exec /docker-entrypoint.sh: exec format error"]),
    ("wrong-processor", &["run.sh: line 2: ./server: cannot execute binary file: Exec format error"]),
    ("wrong-processor", &["no matching manifest for linux/arm64/v8 in the manifest list entries"]),
    ("unknown-user", &["chown: invalid user: 'shop:shop'"]),
    ("unknown-user", &["su: user nobody2 does not exist or the user entry does not contain all the required fields"]),
    ("unknown-user", &["sudo: unknown user: shop"]),
    ("memory", &["FATAL ERROR: Reached heap limit Allocation failed - JavaScript heap out of memory"]),
    ("memory", &["java.lang.OutOfMemoryError: Java heap space"]),
    ("memory", &["run.sh: fork: Cannot allocate memory"]),
    ("crashed", &["run.sh: line 4: 4242 Segmentation fault      (core dumped) ./server"]),
    (
        "docker-permission",
        &[
            "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: Get \"http://%2Fvar%2Frun%2Fdocker.sock/v1.24/containers/json\": dial unix /var/run/docker.sock: connect: permission denied",
        ],
    ),
    (
        "docker-daemon",
        &["Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?"],
    ),
    (
        "docker-daemon",
        &[
            "docker.errors.DockerException: Error while fetching server API version: ('Connection aborted.', FileNotFoundError(2, 'No such file or directory'))",
        ],
    ),
    ("docker-missing", &["run.sh: line 2: docker: command not found"]),
    ("docker-missing", &["run.sh: 2: docker: not found"]),
    ("compose-missing", &["run.sh: line 5: docker-compose: command not found"]),
    ("compose-missing", &["docker: 'compose' is not a docker command.", "See 'docker --help'"]),
    ("compose-missing", &["unknown shorthand flag: 'f' in -f", "See 'docker --help'."]),
    (
        "image-rate-limit",
        &[
            "Error response from daemon: toomanyrequests: You have reached your pull rate limit. You may increase the limit by authenticating and upgrading",
        ],
    ),
    (
        "image-not-found",
        &["Error response from daemon: manifest for shop:0f3c not found: manifest unknown: manifest unknown"],
    ),
    ("image-not-found", &["manifest unknown: Requested image not found"]),
    (
        "image-pull-denied",
        &[
            "Error response from daemon: pull access denied for shop, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
        ],
    ),
    (
        "image-pull-denied",
        &[
            "Error response from daemon: Head \"https://1.dkr.ecr.eu-west-1.amazonaws.com/v2/shop/manifests/1\": no basic auth credentials",
        ],
    ),
    ("image-pull-denied", &["denied: Your authorization token has expired. Reauthenticate and try again."]),
    (
        "port-in-use",
        &[
            "Error response from daemon: driver failed programming external connectivity on endpoint shop-web-1: Bind for 0.0.0.0:8080 failed: port is already allocated",
        ],
    ),
    ("port-in-use", &["nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)"]),
    ("port-in-use", &["Error: listen EADDRINUSE: address already in use :::3000"]),
    ("port-in-use", &["Web server failed to start. Port 8080 was already in use."]),
    ("docker-network", &["network shared declared as external, but could not be found"]),
    ("docker-network", &["Error response from daemon: network 4c1f not found"]),
    (
        "docker-network",
        &["could not find an available, non-overlapping IPv4 address pool among the defaults to assign to the network"],
    ),
    (
        "container-name",
        &[
            "Error response from daemon: Conflict. The container name \"/web\" is already in use by container \"1a2b\". You have to remove (or rename) that container to be able to reuse that name.",
        ],
    ),
    ("compose-file", &["no configuration file provided: not found"]),
    ("compose-file", &["open /srv/shop/docker-compose.yml: no such file or directory"]),
    ("compose-file", &["error: no compose file belongs to the deployment group `qa`"]),
    (
        "compose-variable",
        &["error while interpolating services.web.image: required variable COMMIT_HASH is missing a value"],
    ),
    ("compose-variable", &["env file /srv/shop/.env not found: stat /srv/shop/.env: no such file or directory"]),
    ("compose-invalid", &["services.web Additional property healtcheck is not allowed"]),
    ("compose-invalid", &["yaml: line 12: mapping values are not allowed in this context"]),
    ("container-unhealthy", &["dependency failed to start: container shop-db-1 is unhealthy"]),
    ("container-unhealthy", &["error: web does not work: shop-dev-web-1 (exited with 3)"]),
    (
        "clock",
        &[
            "An error occurred (RequestTimeTooSkewed) when calling the GetObject operation: The difference between the request time and the current time is too large.",
        ],
    ),
    (
        "metadata-service",
        &["curl: (7) Failed to connect to 169.254.169.254 port 80 after 0 ms: Couldn't connect to server"],
    ),
    ("credentials", &["Unable to locate credentials. You can configure credentials by running \"aws configure\"."]),
    (
        "credentials",
        &["An error occurred (ExpiredToken) when calling the PutObject operation: The provided token has expired."],
    ),
    (
        "not-authorized",
        &[
            "An error occurred (AccessDeniedException) when calling the GetParameter operation: User: arn:aws:sts::1:assumed-role/web/i-1 is not authorized to perform: ssm:GetParameter",
        ],
    ),
    ("wrong-region", &["You must specify a region. You can also configure your region by running \"aws configure\"."]),
    ("dns", &["curl: (6) Could not resolve host: registry.example.com"]),
    ("dns", &["Temporary failure resolving 'deb.debian.org'"]),
    ("dns", &["Error: getaddrinfo EAI_AGAIN db"]),
    ("tls", &["curl: (60) SSL certificate problem: unable to get local issuer certificate"]),
    ("tls", &["x509: certificate signed by unknown authority"]),
    ("database", &["sqlite3.OperationalError: no such table: orders"]),
    (
        "database",
        &[
            "psql: error: connection to server at \"db\" (10.0.0.5), port 5432 failed: FATAL:  password authentication failed for user \"shop\"",
        ],
    ),
    ("database", &["ERROR 1045 (28000): Access denied for user 'shop'@'10.0.0.1' (using password: YES)"]),
    ("http-check", &["curl: (7) Failed to connect to localhost port 8080 after 0 ms: Couldn't connect to server"]),
    ("http-check", &["curl: (22) The requested URL returned error: 503"]),
    ("unreachable", &["nc: connect to 10.0.0.5 port 6379 (tcp) failed: Connection refused"]),
    ("unreachable", &["Could not connect to the endpoint URL: \"https://ssm.eu-west-1.amazonaws.com/\""]),
    (
        "sudo-password",
        &[
            "sudo: a terminal is required to read the password; either use the -S option",
            "sudo: a password is required",
        ],
    ),
    ("sudo-password", &["su: must be run from a terminal"]),
    ("nginx-config", &["nginx: configuration file /etc/nginx/nginx.conf test failed"]),
    ("systemd-unit", &["Failed to restart shop.service: Unit shop.service not found."]),
    (
        "systemd-unit",
        &[
            "Job for shop.service failed because the control process exited with error code.",
            "See \"systemctl status shop.service\" and \"journalctl -xeu shop.service\" for details.",
        ],
    ),
    (
        "package-lock",
        &["E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (unattended-upgr)"],
    ),
    ("package-missing", &["E: Unable to locate package libfoo1"]),
    ("dependency-missing", &["Error: Cannot find module 'express'", "Require stack:", "- /srv/shop/index.js"]),
    ("dependency-missing", &["ModuleNotFoundError: No module named 'django'"]),
    ("dependency-missing", &["Error: Unable to access jarfile build/libs/*.jar"]),
    (
        "dependency-missing",
        &[
            "./server: error while loading shared libraries: libssl.so.1.1: cannot open shared object file: No such file or directory",
        ],
    ),
    ("bash-in-sh", &["run.sh: 3: [[: not found"]),
    ("bash-in-sh", &["run.sh: 2: source: not found"]),
    ("bash-in-sh", &["run.sh: 5: Bad substitution"]),
    ("syntax", &["run.sh: line 7: syntax error near unexpected token `fi'"]),
    (
        "syntax",
        &["run.sh: 4: Syntax error: \"then\" unexpected", "run.sh: 4: Syntax error: Unterminated quoted string"],
    ),
    ("variable-unset", &["run.sh: line 3: DB_HOST: unbound variable"]),
    ("variable-unset", &["run.sh: 3: DB_HOST: parameter not set"]),
    ("disk-full", &["cp: error writing '/srv/shop/app.jar': No space left on device"]),
    ("disk-full", &["write /var/lib/docker/tmp/GetImageBlob1: no space left on device"]),
    ("read-only", &["mkdir: cannot create directory '/srv/shop': Read-only file system"]),
    ("too-many-files", &["Error: EMFILE: too many open files, open '/srv/shop/a'"]),
    ("command-not-found", &["run.sh: line 4: npm: command not found"]),
    ("command-not-found", &["run.sh: 4: pm2: not found"]),
    ("file-exists", &["ln: failed to create symbolic link '/srv/current': File exists"]),
    ("permission-denied", &["mkdir: cannot create directory '/srv/shop': Permission denied"]),
    ("permission-denied", &["E: Could not open lock file /x/lock - open (13: Permission denied)"]),
    ("no-such-file", &["run.sh: line 2: cd: dist: No such file or directory"]),
    ("not-runnable", &["run.sh: line 2: ./deploy: Is a directory"]),
];

/// What the agent says, and the cause that has to come first.
const SAID: &[(&str, &str)] = &[
    (
        "old-stop-script",
        "the deployment was refused before anything was changed (1 reason)\n  - ApplicationStop: the scripts of the installed revision cannot be read: there is no appspec in /x",
    ),
    (
        "script-missing",
        "x (1 reason)\n  - AfterInstall: script `run.sh arg` is not a file in the bundle (looked for /x/run.sh arg)",
    ),
    (
        "signature-refused",
        "`s3://b/k` was refused before it was opened: it is not signed: there is no `s3://b/k.minisig`, and this group takes nothing that is not signed",
    ),
    (
        "signature-refused",
        "`s3://b/k` was refused before it was opened: cannot fetch its signature: not allowed to read `s3://b/k.minisig`: AccessDenied: no (HTTP 403)",
    ),
    ("source-missing", "x (1 reason)\n  - Install: `dist` is not in the bundle"),
    (
        "unknown-user",
        "x (1 reason)\n  - AfterInstall: script `run.sh` should run as `shop`, and this host knows no such user",
    ),
    ("unknown-user", "x (1 reason)\n  - Install: user `shop` does not exist (permissions of `/srv/shop`)"),
    (
        "not-root",
        "x (1 reason)\n  - AfterInstall: script `run.sh` should run as `root`, and the agent runs as `me`, not as root",
    ),
    ("stopped", "stopped before Install, because somebody asked for it"),
    ("busy", "script `run.sh` of the interrupted deployment d-1 still runs"),
    (
        "files-in-the-way",
        "nothing was installed: 1 conflict in the way\n  - `/srv/a` exists and was not installed by this group's previous deployment",
    ),
    ("changed-meanwhile", "`/srv/a` appeared since the installation was planned; nothing was changed"),
    ("program-for-permissions", "x\n  - Install: the program `setfacl` is not installed (permissions of `/srv/a`)"),
    ("appspec", "the bundle has no `appspec.yml` or `appspec.yaml` at its top"),
    ("appspec", "`appspec.yml` has errors"),
    ("other-application", "`/x.zip` is a bundle of application `blog`, and this is a deployment of `shop`"),
    ("bundle-missing", "there is no bundle at `/x.zip`"),
    ("bundle-missing", "cannot fetch `s3://b/k`: `s3://b/k` does not exist"),
    ("bundle-damaged", "bundle `/x.zip` has content digest 12, and 34 was asked for"),
    ("bundle-damaged", "cannot use bundle `/x.zip`: the checksum of entry `a` is wrong"),
    ("credentials", "cannot fetch `s3://b/k`: found no AWS credentials"),
    ("not-authorized", "cannot fetch `s3://b/k`: not allowed to read `s3://b/k`: AccessDenied: no (HTTP 403)"),
    ("wrong-region", "cannot fetch `s3://b/k`: bucket `b` is not in region `eu-west-1`"),
    ("dns", "cannot fetch `s3://b/k`: cannot reach `https://s3`: dns error: failed to lookup address information"),
    ("unreachable", "cannot fetch `s3://b/k`: cannot reach `https://s3`: connection refused"),
    ("disk-full", "not enough space around `/srv`: 10 bytes in 1 files needed, 5 bytes free"),
    ("disk-full", "cannot write `/x/deployment-archive/a`: No space left on device (os error 28)"),
    ("read-only", "x\n  - Install: the file system of `/srv` is read-only"),
];

/// How scripts end, what they printed, and the cause that has to come first.
fn endings() -> Vec<(&'static str, HookOutcome, Vec<&'static str>)> {
    let not_started = |reason: &str| HookOutcome::NotStarted { reason: reason.to_owned() };
    vec![
        ("script-missing", HookOutcome::Missing, vec![]),
        ("not-executable", HookOutcome::NotExecutable { reason: "cannot make `run.sh` executable: x".into() }, vec![]),
        ("unknown-user", HookOutcome::NoSuchUser { user: "shop".into() }, vec![]),
        (
            "interpreter-missing",
            not_started("the interpreter `/bin/zsh` of `run.sh` does not exist; install it, or change the `#!` line"),
            vec![],
        ),
        (
            "windows-line-ends",
            not_started(
                "the first line of `run.sh` ends with a Windows line end, so its interpreter would be `/bin/sh\\r`",
            ),
            vec![],
        ),
        (
            "wrong-processor",
            not_started("`run.sh` is a program for another processor or system; build it for this host"),
            vec![],
        ),
        ("script-not-allowed", not_started("user `shop` may not enter `/root` (mode 0700, owner 0, group 0)"), vec![]),
        ("timeout-input", TIMED_OUT, vec!["Do you want to continue? [Y/n]"]),
        ("timeout-input", TIMED_OUT, vec!["Enter host password for user 'shop':"]),
        ("timeout-pull", TIMED_OUT, vec!["3f4a: Downloading [====>   ]  12MB/80MB"]),
        ("timeout-foreground", TIMED_OUT, vec!["Example app listening on port 3000"]),
        ("timeout", TIMED_OUT, vec!["step 3"]),
        ("memory", HookOutcome::Killed { signal: 9 }, vec!["building"]),
        ("memory", HookOutcome::Exited { status: 137 }, vec!["Killed"]),
        ("ended-by-term", HookOutcome::Killed { signal: 15 }, vec![]),
        ("crashed", HookOutcome::Exited { status: 139 }, vec![]),
        ("interrupted", HookOutcome::Interrupted, vec!["half way"]),
        ("left-running", HookOutcome::LeftRunning { holds_output: true }, vec!["started"]),
        ("command-not-found", HookOutcome::Exited { status: 127 }, vec![]),
        ("not-runnable", HookOutcome::Exited { status: 126 }, vec![]),
    ]
}

#[test]
fn each_output_leads_to_its_cause() {
    let printed = PRINTED.iter().map(|(name, output)| (*name, causes_of(&EXIT_1, output), format!("{output:?}")));
    let said = SAID.iter().map(|(name, reason)| (*name, causes_of_reason(reason), (*reason).to_owned()));
    let ended = endings()
        .into_iter()
        .map(|(name, outcome, output)| (name, causes_of(&outcome, &output), format!("{outcome:?} {output:?}")));
    let all = printed.chain(said).chain(ended);
    let wrong: Vec<_> = all.filter(|(name, causes, _)| causes.first() != Some(name)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn a_script_of_the_installed_revision_is_told_first_and_its_own_cause_second() {
    let output = ["[stderr]run.sh: line 1: npm: command not found".to_owned()];
    let evidence = Evidence {
        outcome: Some(Outcome::Failed),
        hook: Some(&EXIT_1),
        from: Some(ScriptsFrom::Installed),
        output: &output,
        ..Evidence::default()
    };
    let causes = causes::causes(&evidence, &remedy());
    let names: Vec<_> = causes.iter().map(|likely| likely.cause).collect();
    assert_eq!(names, ["old-stop-script", "command-not-found"]);
    assert_eq!(
        causes[0].commands,
        [
            "longshore-agent deploy s3://releases/shop.zip --group dev --application shop --skip AfterInstall",
            "longshore-agent deploy s3://releases/shop.zip --group dev --application shop --stop-from new"
        ]
    );
    assert_eq!(causes[1].seen.as_deref(), Some("[stderr]run.sh: line 1: npm: command not found"));
}

#[test]
fn what_was_printed_last_comes_first_and_an_exit_status_last() {
    let output =
        ["mkdir: cannot create directory 'a': Permission denied", "curl: (6) Could not resolve host: x", "done"];
    assert_eq!(
        causes_of(&HookOutcome::Exited { status: 127 }, &output),
        ["dns", "permission-denied", "command-not-found"]
    );
}

#[test]
fn what_no_rule_knows_has_no_cause() {
    assert_eq!(causes_of(&EXIT_1, &["frobnicating the widget", "giving up"]), [""; 0]);
    assert_eq!(causes_of(&EXIT_1, &[]), [""; 0]);
}

#[test]
fn each_rule_is_shown_to_fit_and_has_its_section_in_the_guide() {
    let shown: BTreeSet<&str> = PRINTED
        .iter()
        .map(|(name, _)| *name)
        .chain(SAID.iter().map(|(name, _)| *name))
        .chain(endings().iter().map(|(name, ..)| *name))
        .collect();
    let guide = include_str!("../../../../../docs/guide/troubleshoot.md");
    let sections: BTreeSet<&str> = guide.lines().filter_map(|line| line.strip_prefix("### ")).collect();
    let rules: BTreeSet<&str> = all().map(|rule| rule.name).collect();
    assert_eq!(rules.len(), all().count(), "a name stands for one rule");
    assert_eq!(shown, rules);
    assert_eq!(sections, rules, "sections of docs/guide/troubleshoot.md and rules");
}

#[test]
fn every_placeholder_of_the_table_is_known() {
    for rule in all() {
        for text in [rule.what, rule.fix].iter().chain(rule.commands) {
            let filled = remedy().fill(text).unwrap();
            let left = filled.split('{').nth(1).and_then(|rest| rest.split('}').next());
            assert!(left.is_none_or(|name| !name.bytes().all(|b| b.is_ascii_lowercase())), "{}: {filled}", rule.name);
        }
    }
}
