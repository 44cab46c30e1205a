//! What the host's file systems and kernel say, and what an exit status may mean.

use super::rule::Rule;
use super::rule::Sign::{Maybe, Says};

pub(super) const RULES: &[Rule] = &[
    Rule {
        name: "disk-full",
        what: "a disk is full, by bytes or by files",
        fix: "make room: old images, logs, old deployments (`--max-revisions` says how many are kept)",
        commands: &["df -h", "df -i", "docker system df", "du -sh {root}"],
        signs: &[
            Says(&["no space left on device"]),
            Says(&["not enough space around"]),
            Says(&["disk quota exceeded"]),
            Says(&["enospc"]),
            Says(&["disk is full"]),
            Says(&["os error 28"]),
        ],
    },
    Rule {
        name: "read-only",
        what: "a file system can only be read",
        fix: "mount it for writing; the kernel makes a damaged disk read-only",
        commands: &["findmnt --options ro", "dmesg --ctime | tail"],
        signs: &[Says(&["read-only file system"]), Says(&["the file system of `", "is read-only"]), Says(&["erofs"])],
    },
    Rule {
        name: "too-many-files",
        what: "too many open files or processes",
        fix: "raise the limits of the agent's unit (`LimitNOFILE=`, `TasksMax=`), or of the user",
        commands: &["ulimit -a", "systemctl show --property LimitNOFILE,TasksMax NAME"],
        signs: &[
            Says(&["too many open files"]),
            Says(&["emfile"]),
            Says(&["fork: retry"]),
            Says(&["resource temporarily unavailable"]),
            Says(&["inotify", "limit"]),
        ],
    },
    Rule {
        name: "command-not-found",
        what: "the script calls a program that is not on this host, or not in its PATH",
        fix: "install it, or call it by its whole path: scripts have the agent's PATH, and no login shell's profile (nvm, pyenv, sdkman)",
        commands: &["{doctor}", "less {log}"],
        signs: &[
            Says(&[": command not found"]),
            Says(&[": line ", ": not found"]),
            Says(&[".sh: ", ": not found"]),
            Says(&["executable file not found in $path"]),
            Maybe(|it| it.status() == Some(127)),
        ],
    },
    Rule {
        name: "file-exists",
        what: "the script makes something that is there already, for example after an earlier deployment",
        fix: "write it so that it may run twice: `mkdir -p`, `ln -sfn`, `rm -f` first",
        commands: &["less {log}"],
        signs: &[Says(&["file exists"]), Says(&["already exists"])],
    },
    Rule {
        name: "permission-denied",
        what: "{user} may not do what the script does",
        fix: "change the owner or mode in the appspec's `permissions`, or the script's `runas`; a program that the script calls needs its execute bit",
        commands: &["namei -l PATH", "{doctor}"],
        signs: &[
            Says(&["permission denied"]),
            Says(&["operation not permitted"]),
            Says(&["eacces"]),
            Says(&["eperm"]),
            Says(&["are you root"]),
            Says(&["must be root"]),
            Says(&["must be run as root"]),
        ],
    },
    Rule {
        name: "no-such-file",
        what: "a file is not where the script looks for it",
        fix: "build paths from `$LONGSHORE_ARCHIVE_DIR` or from the script's own folder: scripts start in the agent's working folder, not in the bundle",
        commands: &["longshore inspect {revision}"],
        signs: &[
            Says(&["no such file or directory"]),
            Says(&["cannot stat"]),
            Says(&["can't cd to"]),
            Says(&["enoent"]),
            Says(&["filenotfounderror"]),
            Says(&["not a directory"]),
        ],
    },
    Rule {
        name: "not-runnable",
        what: "the script called something that is there and cannot be run: no execute bit, a folder, or a `noexec` file system",
        fix: "`chmod +x` it in the repository, or call it through its interpreter (`bash FILE`)",
        commands: &["less {log}"],
        signs: &[Says(&["is a directory"]), Maybe(|it| it.status() == Some(126))],
    },
];
