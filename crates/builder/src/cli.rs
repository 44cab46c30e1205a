//! The command line: names, values and help. Holds no rules of its own.

mod deploying;
mod linting;
mod trust;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::lifecycle::LifecycleEvent;
use longshore_core::pointer::StopFrom;
use longshore_core::store::StoreUrl;

use crate::starter::Ci;
use crate::succession::Stop;

pub(crate) use deploying::{
    CodeDeployArgs, DeployArgs, DeployWaitArgs, DeploymentsArgs, OnInterrupt, RollbackArgs, StopArgs, TargetArgs,
};
pub(crate) use linting::{Allow, LintArgs};
pub(crate) use trust::{KeygenArgs, PruneArgs, SignArgs, SignCommandArgs, VerifyArgs};

/// Turn a commit into one verified artifact and publish it
///
/// Checks the appspec, its scripts and the compose files, packs what a deployment needs into one zip file named by the
/// commit, and publishes it to S3 or to a folder. The same commit gives the same bytes.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 errors in a file, 4 conflict, 7 not found,\n\
    8 bad bundle, 10 store unavailable, 11 a deployment failed on a host, 12 hosts did not end in time, 13 a deployment\n\
    failed and was rolled back, 14 a deployment was stopped.\n\nExample:\n  longshore build && longshore push --to s3://artifacts/releases"
)]
pub(crate) struct Cli {
    /// How the result is written to stdout; talk goes to stderr [env: LONGSHORE_OUTPUT] [default: text]
    #[arg(long, global = true, value_enum, value_name = "FORMAT")]
    pub(crate) output: Option<Output>,
    /// Also write what came about into this file, as lines `LONGSHORE_OUT_COMMIT=…` for later steps of a CI job; what else stands in it
    /// stays [env: LONGSHORE_DOTENV]
    #[arg(long, global = true, value_name = "FILE")]
    pub(crate) dotenv: Option<String>,
    /// A setting by its key, before the variable and longshore.toml, for example `copies=2` or `upload.tags=none`; lists with commas;
    /// `KEY=` takes back what both say; may be given several times
    #[arg(long, global = true, value_name = "KEY=VALUE")]
    pub(crate) set: Vec<String>,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The form of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people
    Text,
    /// One JSON document
    Json,
}

impl Output {
    /// The variable that stands in for `--output`.
    pub(crate) const VARIABLE: &str = "LONGSHORE_OUTPUT";

    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Output::Text => "text",
            Output::Json => "json",
        }
    }
}

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(InitArgs),
    Check(CheckArgs),
    Build(BuildArgs),
    Push(PushArgs),
    Point(PointArgs),
    Status(StatusArgs),
    Deploy(DeployArgs),
    Deployments(DeploymentsArgs),
    Rollback(RollbackArgs),
    Stop(StopArgs),
    Inspect(InspectArgs),
    Keygen(KeygenArgs),
    Sign(SignCommandArgs),
    Verify(VerifyArgs),
    Prune(PruneArgs),
    Config(ConfigArgs),
    #[command(hide = true)]
    Generate(GenerateArgs),
}

/// Write the manual pages and shell completions of this program
#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// The folder; `man` and `completions` are made in it
    #[arg(value_name = "DIR")]
    pub(crate) dir: PathBuf,
}

/// Write a working starter set into a repository
///
/// Writes an appspec, its hook scripts, compose files, `longshore.toml`, `.longshoreignore`, `.gitignore`, and what makes a CI system
/// check, build, publish and deploy: a `buildspec.yml` for AWS CodeBuild, a workflow for GitHub Actions where there is a `.github`,
/// and with `--ci` for whichever is named. A file that exists is left as it is and listed; there is no way to overwrite it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore init && longshore check")]
pub(crate) struct InitArgs {
    /// The folder to write into
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
    /// The CI system to write a file for; may be given several times [default: codebuild, and those that the repository shows
    /// signs of]
    #[arg(long, value_enum, value_name = "SYSTEM", value_delimiter = ',')]
    pub(crate) ci: Vec<Ci>,
}

/// Which files a bundle is made of.
#[derive(Debug, Clone, Args)]
pub(crate) struct SourceArgs {
    /// The folder with the appspec; all paths in the appspec start there
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub(crate) source: PathBuf,
    /// The appspec, below the source folder; it becomes `appspec.yml` in the bundle [default: appspec.yml, else
    /// appspec.yaml]
    #[arg(long, value_name = "FILE")]
    pub(crate) appspec: Option<String>,
    /// The folder for artifacts, which is never packed [default: `build.out` of longshore.toml, else `dist` in the source
    /// folder]
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

impl SourceArgs {
    /// The folder that somebody stands in.
    pub(crate) fn here() -> SourceArgs {
        SourceArgs { source: PathBuf::from("."), appspec: None, out: None }
    }
}

/// Whose artifact it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct IdentityArgs {
    /// The application's name [env: LONGSHORE_APPLICATION] [default: `application` of longshore.toml, else the name of the
    /// repository's folder]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    /// The commit, 40 or 64 lower-case hex digits [env: LONGSHORE_COMMIT] [default: the CI system's variable, else HEAD]
    #[arg(long, value_name = "HASH")]
    pub(crate) commit: Option<String>,
}

/// Check the appspec, its scripts, the compose files and what would be packed
///
/// Reports every problem at once, each with its place and a way out. Writes nothing. Errors end with exit code 3; warnings
/// do not fail unless `--strict` is given.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore check --strict")]
pub(crate) struct CheckArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) list: FileListArgs,
    /// Fail on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    /// Do not mind that this file looks like a secret; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) allow_secret: Vec<String>,
    #[command(flatten)]
    pub(crate) lints: LintArgs,
}

/// Pack a commit into one artifact
///
/// Runs `check` first and refuses on errors. Writes `<application>-<commit>.zip`. The bytes depend on the files and the
/// commit alone: not on the folder's name, file times, umask, locale, time zone or number of processors.
///
/// A work tree that differs from the commit is refused. With `--allow-dirty` the artifact is named
/// `<application>-<commit>-dirty-<digest>.zip`, so that it never stands in a clean one's place.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore build --out artifacts")]
pub(crate) struct BuildArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    /// Pack a work tree that differs from the commit, under a name that says so
    #[arg(long)]
    pub(crate) allow_dirty: bool,
    /// Refuse on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) lints: LintArgs,
    #[command(flatten)]
    pub(crate) contents: ContentsArgs,
    /// Sign the artifact, into `<artifact>.minisig` beside it
    #[arg(long)]
    pub(crate) sign: bool,
    #[command(flatten)]
    pub(crate) signing: SignArgs,
    /// Write an in-toto statement with SLSA provenance into `<artifact>.intoto.json` beside the artifact
    #[arg(long)]
    pub(crate) provenance: bool,
}

/// Who says which files go in.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct FileListArgs {
    /// Take the file list from the `artifacts` section of this buildspec, below the source folder [env: LONGSHORE_BUILD_BUILDSPEC]
    /// [default: `build.buildspec` of longshore.toml, else the appspec says what goes in]
    #[arg(long, value_name = "FILE", num_args = 0..=1, default_missing_value = "buildspec.yml")]
    pub(crate) from_buildspec: Option<String>,
    /// The secondary artifact of the buildspec that is meant
    #[arg(long, value_name = "NAME")]
    pub(crate) secondary_artifact: Option<String>,
}

/// What goes into an artifact beside what the settings say.
#[derive(Debug, Clone, Args)]
pub(crate) struct ContentsArgs {
    #[command(flatten)]
    pub(crate) list: FileListArgs,
    /// Pack this file although it looks like a secret; may be given several times
    #[arg(long, value_name = "FILE")]
    pub(crate) allow_secret: Vec<String>,
    /// Look up the digest of every image that a group runs, and record it
    #[arg(long)]
    pub(crate) pin_images: bool,
    /// Also write `docker-compose.<group>.lock.yml` into the artifact, with which those very images run
    #[arg(long, requires = "pin_images")]
    pub(crate) lock_images: bool,
    /// Build the images with compose and push them first, with COMMIT_HASH set
    #[arg(long)]
    pub(crate) push_images: bool,
}

/// Show every setting that holds, and where it comes from
///
/// The file and line, the variable or the option. Secrets are not shown. Ends with exit code 3 when longshore.toml has errors.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore config --group prod")]
pub(crate) struct ConfigArgs {
    /// What holds for this group [default: for all groups of longshore.toml]
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<GroupName>,
    /// Write the JSON Schema of longshore.toml instead, for editors
    #[arg(long, conflicts_with = "group")]
    pub(crate) schema: bool,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// How S3 keeps what is stored. Without effect in a folder.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of S3")]
pub(crate) struct UploadArgs {
    /// Encryption at rest: AES256, aws:kms or aws:kms:dsse [env: LONGSHORE_UPLOAD_ENCRYPTION] [default: as the bucket says]
    #[arg(long, value_name = "WHAT")]
    pub(crate) sse: Option<String>,
    /// The id, ARN or alias of the KMS key [env: LONGSHORE_UPLOAD_KMS_KEY]
    #[arg(long, value_name = "KEY")]
    pub(crate) sse_kms_key: Option<String>,
    /// The storage class [env: LONGSHORE_UPLOAD_STORAGE_CLASS] [default: STANDARD]
    #[arg(long, value_name = "CLASS")]
    pub(crate) storage_class: Option<String>,
    /// A tag; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) tag: Vec<String>,
    /// Metadata; may be given several times
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) metadata: Vec<String>,
    /// The size of the parts in which more than 16 MiB are sent, 5 to 5120 MiB [env: LONGSHORE_UPLOAD_PART_SIZE] [default: 8]
    #[arg(long, value_name = "MIB")]
    pub(crate) part_size: Option<u64>,
    /// How many parts are under way at a time, 64 at most [env: LONGSHORE_UPLOAD_PARALLEL_PARTS] [default: 4]
    #[arg(long, value_name = "COUNT")]
    pub(crate) parallel_parts: Option<usize>,
}

/// The store.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// The store: `s3://bucket/prefix` or `file:///folder` [env: LONGSHORE_STORE] [default: `store` of
    /// longshore.toml]
    #[arg(long, value_name = "URL")]
    pub(crate) to: Option<StoreUrl>,
}

/// The store, and where it is.
#[derive(Debug, Clone, Args)]
pub(crate) struct SiteArgs {
    #[command(flatten)]
    pub(crate) store: StoreArgs,
    /// The region of the store [env: LONGSHORE_REGION] [default: `region` of longshore.toml, else as the AWS CLI finds it]
    #[arg(long, value_name = "REGION", value_parser = region)]
    pub(crate) region: Option<String>,
}

/// It becomes a part of host names.
fn region(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    match !text.is_empty() && text.bytes().all(fits) {
        true => Ok(text.to_owned()),
        false => Err("write the name of a region, for example `eu-west-1`".to_owned()),
    }
}

/// What a move of a pointer may do.
#[derive(Debug, Clone, Args)]
pub(crate) struct MoveArgs {
    /// Move the group although it stands at a newer commit
    #[arg(long, requires = "group")]
    pub(crate) allow_older: bool,
    /// Take an artifact of a work tree that differed from its commit
    #[arg(long)]
    pub(crate) allow_dirty: bool,
    /// Hosts leave out the scripts of this event, in this deployment; may be given several times
    #[arg(long, value_name = "EVENT", value_delimiter = ',', value_parser = scriptable, requires = "group")]
    pub(crate) skip: Vec<LifecycleEvent>,
    /// Whose scripts stop the old release, in this deployment; `new` is the way out of an installed one that cannot be stopped
    #[arg(long, value_enum, value_name = "REVISION", requires = "group")]
    pub(crate) stop_from: Option<StopFromArg>,
}

impl MoveArgs {
    /// How hosts get rid of what they run.
    pub(crate) fn stop(&self) -> Stop {
        let from = self.stop_from.map(|from| match from {
            StopFromArg::Installed => StopFrom::Installed,
            StopFromArg::New => StopFrom::New,
        });
        Stop { skip: self.skip.clone(), from, halt: None }
    }
}

/// Whose scripts stop the old release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum StopFromArg {
    /// Those of the revision that is installed
    Installed,
    /// Those of the revision being deployed
    New,
}

/// An event that runs scripts in a deployment to a group.
fn scriptable(text: &str) -> Result<LifecycleEvent, String> {
    let event = text.parse::<LifecycleEvent>().ok().filter(|event| event.is_built_in() && event.is_scriptable());
    event.ok_or_else(|| {
        let events: Vec<&str> =
            LifecycleEvent::ALL.iter().filter(|event| event.is_scriptable()).map(LifecycleEvent::name).collect();
        format!("the events with scripts are {}", events.join(", "))
    })
}

/// Whether, how long and for whom is waited.
#[derive(Debug, Clone, Args)]
pub(crate) struct WaitArgs {
    /// Wait until the hosts of the group have made the deployment, and tell how they are
    #[arg(long, requires = "group")]
    pub(crate) wait: bool,
    /// How long to wait at most: a number and `s`, `m` or `h`
    #[arg(long, value_name = "TIME", default_value = "30m", value_parser = time, requires = "wait")]
    pub(crate) timeout: Duration,
    /// How many hosts must have made it at least; 0: a group that no host follows is a success
    #[arg(long, value_name = "COUNT", default_value_t = 1, requires = "wait")]
    pub(crate) wait_hosts: usize,
}

/// `90s`, `30m`, `2h`.
fn time(text: &str) -> Result<Duration, String> {
    let parsed = text.chars().next_back().and_then(|unit| {
        let seconds = match unit {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            _ => return None,
        };
        text[..text.len() - 1].parse::<u32>().ok().map(|count| Duration::from_secs(u64::from(count) * seconds))
    });
    parsed.ok_or_else(|| "write a whole number and `s`, `m` or `h`, for example `30m`".to_owned())
}

/// Publish an artifact under its commit, and let a group run it
///
/// Verifies the bundle and stores it as `<application>/<commit>.zip` below the prefix. Never overwrites: the same content
/// again is "already published" and a success, other content under the same commit is refused with exit code 4.
///
/// With `--group`, the group's pointer then moves to it, and the agents that follow the group deploy it. The newest commit wins:
/// a group that stands at a newer one is refused with exit code 4. The same commit again is deployed again.
///
/// Credentials and endpoint of S3 are found as the AWS CLI finds them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore push --to s3://artifacts/releases --group dev --wait")]
pub(crate) struct PushArgs {
    /// The artifact [default: that of the current commit in the folder for artifacts]
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Move this group to the artifact; may be given several times
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Vec<GroupName>,
    #[command(flatten)]
    pub(crate) moving: MoveArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
    /// Build the artifact first, as `build` does, and store it while it is packed
    #[arg(long, conflicts_with = "bundle")]
    pub(crate) build: bool,
    /// With `--build`: refuse on warnings too
    #[arg(long, requires = "build")]
    pub(crate) strict: bool,
    #[command(flatten)]
    pub(crate) upload: UploadArgs,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
    #[command(flatten)]
    pub(crate) contents: ContentsArgs,
    #[command(flatten)]
    pub(crate) lints: LintArgs,
    /// With `--build`: sign the artifact
    #[arg(long, requires = "build")]
    pub(crate) sign: bool,
    #[command(flatten)]
    pub(crate) signing: SignArgs,
    /// With `--build`: write and publish provenance too
    #[arg(long, requires = "build")]
    pub(crate) provenance: bool,
}

/// Move a group to an artifact that is already published
///
/// Looks that the artifact is there and good, then moves the group's pointer as `push --group` does. With `--commit` and `--key`
/// the newest commit wins, unless `--allow-older` is given; `--previous` and `--generation` say by themselves that going back is
/// what is wanted.
#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("artifact").required(true))]
#[command(after_help = "Example:\n  longshore point --to s3://artifacts/releases --group dev --previous --wait")]
pub(crate) struct PointArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Move this group; may be given several times
    #[arg(long, value_name = "GROUP", required = true)]
    pub(crate) group: Vec<GroupName>,
    /// To the artifact of this commit, or of the only one that begins so
    #[arg(long, value_name = "HASH", group = "artifact", value_parser = commit_prefix)]
    pub(crate) commit: Option<String>,
    /// To the artifact with this key, relative to the store
    #[arg(long, value_name = "KEY", group = "artifact")]
    pub(crate) key: Option<String>,
    /// To the artifact that the group ran before the present one
    #[arg(long, group = "artifact")]
    pub(crate) previous: bool,
    /// To the artifact that the group ran in this generation
    #[arg(long, value_name = "NUMBER", group = "artifact")]
    pub(crate) generation: Option<u64>,
    /// The application's name [env: LONGSHORE_APPLICATION] [default: `application` of longshore.toml, else the name of the
    /// repository's folder; with `--key`, that of the artifact]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    #[command(flatten)]
    pub(crate) moving: MoveArgs,
    #[command(flatten)]
    pub(crate) waiting: WaitArgs,
}

/// A commit, or at least seven digits of it.
fn commit_prefix(text: &str) -> Result<String, String> {
    let hex = text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
    if hex && (7..=64).contains(&text.len()) {
        return Ok(text.to_owned());
    }
    Err("write at least 7 lower-case hex digits of a commit".to_owned())
}

/// Show what groups should run and how their hosts are
///
/// Reads the pointer of each group and what its hosts wrote last. A host that has not written for three of its heartbeats is
/// silent.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore status --to s3://artifacts/releases --group dev")]
pub(crate) struct StatusArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Only this group [default: all groups in the store]
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<GroupName>,
    /// Only this application [env: LONGSHORE_APPLICATION] [default: all applications in the store]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    /// Remove what this host says, because it is gone for good
    #[arg(long, value_name = "HOST", requires = "group")]
    pub(crate) forget: Option<String>,
}

/// Show what is in a bundle
///
/// Verifies every digest, then shows manifest, appspec and files. Reads zip, tar and tgz files and folders, also those that
/// other tools packed.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore inspect dist/shop-0123456789abcdef0123456789abcdef01234567.zip")]
pub(crate) struct InspectArgs {
    /// The bundle
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn every_help_text() {
        Cli::command().debug_assert();
        let mut command = Cli::command().term_width(100);
        command.build();
        let mut text = format!("{}\n", command.render_long_help());
        for subcommand in
            command.get_subcommands_mut().filter(|command| command.get_name() != "help" && !command.is_hide_set())
        {
            let help = subcommand.render_long_help();
            text.push_str(&format!("\n==== {}\n{help}\n", subcommand.get_name()));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn a_time_is_a_number_and_a_unit() {
        for (text, seconds) in [("0s", 0), ("90s", 90), ("30m", 1800), ("2h", 7200)] {
            assert_eq!(time(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "s", "30", "-1m", "1.5h", "5µ", "99999999999h"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn every_command_has_one_example_that_it_understands() {
        for command in
            Cli::command().get_subcommands().filter(|command| !command.is_hide_set()).chain([&Cli::command()])
        {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, example) =
                help.split_once("Example:\n").unwrap_or_else(|| panic!("`{}` has no example", command.get_name()));
            for line in example.split("&&") {
                Cli::try_parse_from(line.split_whitespace()).expect(line);
            }
        }
    }
}
