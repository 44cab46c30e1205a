//! What the agent itself says or knows.

use longshore_core::lifecycle::ScriptsFrom;

use super::rule::Rule;
use super::rule::Sign::{Maybe, Says, Sure};
use crate::deployment::journal::Outcome;
use crate::explain::evidence::Evidence;
use crate::hook::HookOutcome;

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "old-stop-script",
        what: "these scripts are the installed revision's, so a fix in the new one does not reach them",
        fix: "leave the installed revision's {event} out once, or run the new revision's",
        commands: &["{deploy} --skip {event}", "{deploy} --stop-from new"],
        signs: &[
            Sure(|it| it.hook.is_some() && matches!(it.from, Some(ScriptsFrom::Installed | ScriptsFrom::MostRecent))),
            Says(&["the scripts of the installed revision cannot be read"]),
            Says(&["is not a file in the installed revision"]),
            Says(&["is not a file in the revision fetched last"]),
        ],
    },
    Rule {
        name: "script-missing",
        what: "the appspec names a script that the bundle does not hold",
        fix: "commit the script, or correct `location`: a path in the bundle, without arguments",
        commands: &["longshore check", "longshore inspect {revision}"],
        signs: &[
            Sure(|it| matches!(it.hook, Some(HookOutcome::Missing))),
            Says(&["script `", "is not a file in the bundle"]),
        ],
    },
    Rule {
        name: "signature-refused",
        what: "no key that this host accepts signed the bundle as it is, or its signature cannot be had",
        fix: "sign what CI built and publish it again; if another key may sign, name it in `signatures.public_keys`",
        commands: &["longshore sign ARTIFACT", "longshore verify --public-key KEY ARTIFACT"],
        signs: &[Says(&["was refused before it was opened"])],
    },
    Rule {
        name: "source-missing",
        what: "an entry of `files` names something that the bundle does not hold",
        fix: "correct `source`: a path in the bundle, without wildcards; build steps must run before the bundle is built",
        commands: &["longshore inspect {revision}", "longshore check"],
        signs: &[Says(&["install: `", "is not in the bundle"]), Says(&["- `", "is not in the bundle"])],
    },
    Rule {
        name: "windows-line-ends",
        what: "a script was saved with Windows line ends",
        fix: "save it with LF, and write `*.sh text eol=lf` into .gitattributes",
        commands: &["git ls-files --eol '*.sh'"],
        signs: &[
            // Whatever the shell says after it is of no use.
            Sure(|it| it.output.iter().any(|line| line.contains("$'") && line.contains("\\r'"))),
            Says(&["windows line end"]),
            Says(&["$'", "\\r'"]),
            Says(&["^m: bad interpreter"]),
            Says(&["\\r': no such file"]),
        ],
    },
    Rule {
        name: "interpreter-missing",
        what: "the program in a script's first line is not on this host",
        fix: "install it, or change the `#!` line",
        commands: &["head -n 1 {file}"],
        signs: &[
            Says(&["the interpreter `", "does not exist"]),
            Says(&["bad interpreter: no such file"]),
            Says(&["env: ", ": no such file or directory"]),
        ],
    },
    Rule {
        name: "wrong-processor",
        what: "a program or image was built for another processor or system",
        fix: "build it for this host; an image with `docker buildx build --platform`",
        commands: &["uname -m", "file {file}"],
        signs: &[
            Says(&["for another processor"]),
            Says(&["it was built for another system"]),
            Says(&["exec format error"]),
            Says(&["cannot execute binary file"]),
            Says(&["no matching manifest for linux/"]),
            Says(&["does not match the detected host platform"]),
        ],
    },
    Rule {
        name: "not-executable",
        what: "the script `{script}` could not be made executable",
        fix: "commit it with its execute bit; a link must lead to a file of the bundle",
        commands: &["git update-index --chmod=+x {script}"],
        signs: &[Sure(|it| matches!(it.hook, Some(HookOutcome::NotExecutable { .. })))],
    },
    Rule {
        name: "unknown-user",
        what: "this host does not know a user or group that is asked for",
        fix: "create it before the deployment, or change `runas`, `owner` or `group`",
        commands: &["getent passwd", "{doctor}"],
        signs: &[
            Sure(|it| matches!(it.hook, Some(HookOutcome::NoSuchUser { .. }))),
            Says(&["this host knows no such user"]),
            Says(&["user `", "does not exist (permissions"]),
            Says(&["group `", "does not exist (permissions"]),
            Says(&["invalid user:"]),
            Says(&["invalid group:"]),
            Says(&["unknown user"]),
            Says(&["user ", " does not exist or the user entry"]),
            Says(&[": no such user"]),
        ],
    },
    Rule {
        name: "not-root",
        what: "a script should run as somebody else, which only an agent that is root can do",
        fix: "run the agent as root, or take `runas` out of the appspec",
        commands: &["sudo {deploy}"],
        signs: &[Says(&["and the agent runs as `", "not as root"]), Says(&["may not run as"])],
    },
    Rule {
        name: "script-not-allowed",
        what: "{user} may not reach or run the script",
        fix: "open the folders above it (`chmod o+x`), move the root off a file system that is mounted `noexec`, or change `runas`",
        commands: &["namei -l {file}"],
        signs: &[Says(&["may not enter `"]), Says(&["may not read and run `"]), Says(&["may not run `"])],
    },
    Rule {
        name: "timeout-input",
        what: "the script waited for an answer, and there is nobody to give it: a script has no terminal and no input",
        fix: "give the answer on the command line, for example `-y`, `--no-input` or `DEBIAN_FRONTEND=noninteractive`",
        commands: &["less {log}"],
        signs: &[Sure(|it| it.timed_out() && it.last_line().is_some_and(|line| asks(&line)))],
    },
    Rule {
        name: "timeout-pull",
        what: "the time limit of {timeout}s went by while something was fetched",
        fix: "raise the script's `timeout` in the appspec, pull in an earlier event, or make the image smaller",
        commands: &["{deploy}"],
        signs: &[Sure(|it| it.timed_out() && it.last_line().is_some_and(|line| fetches(&line)))],
    },
    Rule {
        name: "timeout-foreground",
        what: "the script started a server and stayed with it, so it never ended",
        fix: "start it with systemd or `docker compose up --detach`, or in the background with its output elsewhere: `nohup ./server >/var/log/server.log 2>&1 &`",
        commands: &["less {log}"],
        signs: &[Sure(|it| it.timed_out() && it.last_line().is_some_and(|line| serves(&line)))],
    },
    Rule {
        name: "timeout",
        what: "the script took longer than its limit of {timeout}s",
        fix: "look at what it did last; raise `timeout` in the appspec if it needs longer (the default is 3600)",
        commands: &["less {log}"],
        signs: &[Maybe(timed_out)],
    },
    Rule {
        name: "left-running",
        what: "the script left processes running, and `--leftovers fail` was asked for",
        fix: "start services with systemd or Docker, or detach them (`setsid`, output to a file); `--leftovers warn` lets them be",
        commands: &["{deploy} --leftovers warn"],
        signs: &[Sure(|it| matches!(it.hook, Some(HookOutcome::LeftRunning { .. })))],
    },
    Rule {
        name: "memory",
        what: "the host, or the limit of a container or service, ran out of memory, and the kernel ended a process",
        fix: "ask the kernel; then give more memory or swap, or do less at once",
        commands: &["dmesg --ctime | grep -i -E 'out of memory|oom'", "free -m"],
        signs: &[
            Says(&["out of memory"]),
            Says(&["outofmemory"]),
            Says(&["cannot allocate memory"]),
            Says(&["oomkilled"]),
            Says(&["memoryerror"]),
            Says(&["virtual memory exhausted"]),
            Maybe(|it| it.signal() == Some(9)),
        ],
    },
    Rule {
        name: "ended-by-term",
        what: "somebody ended the script: TERM, which the agent passes on when it is asked to stop twice, and systemd sends with the agent's unit",
        fix: "give the agent's unit `KillMode=process`, and look for what stops it; then deploy again",
        commands: &["journalctl --since '1 hour ago' | grep -i -E 'longshore|codedeploy'", "{deploy}"],
        signs: &[Maybe(|it| matches!(it.signal(), Some(2 | 15)))],
    },
    Rule {
        name: "crashed",
        what: "a program crashed",
        fix: "look at its last output and for a core dump; a wrong library or a damaged file are usual",
        commands: &["dmesg --ctime | tail", "coredumpctl list"],
        signs: &[
            Says(&["segmentation fault"]),
            Says(&["bus error"]),
            Says(&["illegal instruction"]),
            Says(&["core dumped"]),
            Maybe(|it| matches!(it.signal(), Some(4 | 6 | 7 | 8 | 11))),
        ],
    },
    Rule {
        name: "stopped",
        what: "somebody asked the agent to stop: Ctrl-C, TERM, or a service manager",
        fix: "deploy again",
        commands: &["{deploy}"],
        signs: &[Says(&["because somebody asked for it"])],
    },
    Rule {
        name: "interrupted",
        what: "the host went down, or the agent or its script was killed in the middle",
        fix: "look at what the script had done, and whether the kernel or a reboot ended it",
        commands: &["last -x | head", "dmesg --ctime | grep -i -E 'out of memory|oom'"],
        signs: &[
            Sure(|it| matches!(it.hook, Some(HookOutcome::Interrupted))),
            Sure(|it| it.outcome == Some(Outcome::Interrupted)),
        ],
    },
    Rule {
        name: "busy",
        what: "a script of an earlier deployment of this group still runs",
        fix: "wait for its end, then finish that deployment",
        commands: &["{resume}", "{all}"],
        signs: &[Says(&["of the interrupted deployment", "still runs"]), Says(&["another deployment of group"])],
    },
    Rule {
        name: "files-in-the-way",
        what: "files stand where the release goes, and this group's last deployment did not install them",
        fix: "move them away, or say in the appspec what becomes of them: `file_exists_behavior: OVERWRITE` or `RETAIN`",
        commands: &["{plan}", "{deploy} --file-exists-behavior OVERWRITE"],
        signs: &[
            Says(&["exists and was not installed by this group's previous deployment"]),
            Says(&["a folder stands at `"]),
            Says(&["exists and is no folder"]),
        ],
    },
    Rule {
        name: "changed-meanwhile",
        what: "somebody changed files at the destination while they were installed",
        fix: "stop what writes there, for example the old release, before Install; then deploy again",
        commands: &["{deploy}"],
        signs: &[Says(&["since the installation was planned"])],
    },
    Rule {
        name: "program-for-permissions",
        what: "the appspec asks for ACLs or SELinux contexts, and the programs for it are not installed",
        fix: "install the package `acl`, or for contexts `policycoreutils-python-utils`",
        commands: &["apt-get install acl", "dnf install acl policycoreutils-python-utils"],
        signs: &[Says(&["the program `", "is not installed (permissions"])],
    },
    Rule {
        name: "appspec",
        what: "the appspec cannot be used",
        fix: "correct it in the repository, where the check shows each error with its line",
        commands: &["longshore check"],
        signs: &[
            Says(&["the bundle has no `"]),
            Says(&["appspec", "` has errors"]),
            Says(&["os: windows"]),
            Says(&["is no event of codedeploy's"]),
            Says(&["both go to `"]),
            Says(&["are set twice, for"]),
            Says(&["cannot have a `pattern` or `except`"]),
            Says(&["have a default acl entry"]),
            Says(&["destination `", "` "]),
        ],
    },
    Rule {
        name: "other-application",
        what: "the bundle is another application's",
        fix: "deploy it as what it is, or give the right bundle",
        commands: &["longshore inspect {revision}"],
        signs: &[Says(&["is a bundle of application"])],
    },
    Rule {
        name: "bundle-missing",
        what: "there is no such bundle",
        fix: "check its name, and that the build of this commit was published",
        commands: &["longshore push --to STORE"],
        signs: &[
            Says(&["there is no bundle at"]),
            Says(&["cannot fetch `", "does not exist"]),
            Says(&["nosuchkey"]),
            Says(&["bucket `", "does not exist"]),
            Says(&["nosuchbucket"]),
        ],
    },
    Rule {
        name: "bundle-damaged",
        what: "the bundle is damaged, or not the one that was asked for",
        fix: "build and publish it again; do not change an archive by hand",
        commands: &["longshore inspect {revision}"],
        signs: &[
            Says(&["has content digest ", " was asked for"]),
            Says(&["has the sha-256 "]),
            Says(&["has the etag "]),
            Says(&["differs from the manifest"]),
            Says(&["in the manifest and not in the bundle"]),
            Says(&["in the bundle and not in the manifest"]),
            Says(&["cannot use bundle"]),
        ],
    },
];

fn timed_out(it: &Evidence<'_>) -> bool {
    it.timed_out()
}

/// Whether a line looks like a question.
fn asks(line: &str) -> bool {
    let line = line.trim_end();
    [
        "[y/n]",
        "(y/n)",
        "(yes/no)",
        "[yes/no]",
        "(yes/no/[fingerprint])",
        "password",
        "passphrase",
        "press enter",
        "are you sure",
    ]
    .iter()
    .any(|word| line.contains(word))
        || line.ends_with('?')
        || line.ends_with("? ")
}

/// Whether a line looks like a download under way.
fn fetches(line: &str) -> bool {
    [
        "pulling",
        "downloading",
        "download complete",
        "extracting",
        "pull complete",
        "verifying checksum",
        "fetch",
        "reading package lists",
    ]
    .iter()
    .any(|word| line.contains(word))
}

/// Whether a line looks like a server's that is ready.
fn serves(line: &str) -> bool {
    [
        "listening",
        "running on http",
        "started server",
        "server started",
        "ready to accept",
        "ready for connections",
        "started application",
        "press ctrl",
    ]
    .iter()
    .any(|word| line.contains(word))
}
