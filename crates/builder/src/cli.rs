//! The command line: names, values and help. Holds no rules of its own.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use longshore_core::ids::ApplicationName;
use longshore_core::store::StoreUrl;

/// Turn a commit into one verified artifact and publish it
///
/// Checks the appspec, its scripts and the compose files, packs what a deployment needs into one zip file named by the
/// commit, and publishes it to S3 or to a folder. The same commit gives the same bytes.
#[derive(Debug, Parser)]
#[command(name = "longshore", version, max_term_width = 100, arg_required_else_help = true)]
#[command(
    after_help = "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 errors in a file, 4 conflict, 7 not found,\n\
    8 bad bundle, 10 store unavailable.\n\nExample:\n  longshore build && longshore push --to s3://artifacts/releases"
)]
pub(crate) struct Cli {
    /// How the result is written to stdout; talk goes to stderr
    #[arg(long, global = true, value_enum, value_name = "FORMAT", default_value = "text")]
    pub(crate) output: Output,
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

/// The commands.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Init(InitArgs),
    Check(CheckArgs),
    Build(BuildArgs),
    Push(PushArgs),
    Inspect(InspectArgs),
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
/// Writes an appspec, its hook scripts, compose files, `longshore.toml`, `.longshoreignore` and a `buildspec.yml` for AWS
/// CodeBuild. A file that exists is left as it is and listed; there is no way to overwrite it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore init && longshore check")]
pub(crate) struct InitArgs {
    /// The folder to write into
    #[arg(value_name = "DIR", default_value = ".")]
    pub(crate) dir: PathBuf,
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
    /// Fail on warnings too
    #[arg(long)]
    pub(crate) strict: bool,
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
}

/// Publish an artifact under its commit
///
/// Verifies the bundle and stores it as `<application>/<commit>.zip` below the prefix. Never overwrites: the same content
/// again is "already published" and a success, other content under the same commit is refused with exit code 4.
///
/// Region, credentials and endpoint of S3 are found as the AWS CLI finds them.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore push --to s3://artifacts/releases")]
pub(crate) struct PushArgs {
    /// The artifact [default: that of the current commit in the folder for artifacts]
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: Option<PathBuf>,
    /// The store: `s3://bucket/prefix` or `file:///folder`
    #[arg(long, value_name = "URL")]
    pub(crate) to: StoreUrl,
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    #[command(flatten)]
    pub(crate) identity: IdentityArgs,
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
        for subcommand in command.get_subcommands_mut().filter(|command| command.get_name() != "help") {
            let help = subcommand.render_long_help();
            text.push_str(&format!("\n==== {}\n{help}\n", subcommand.get_name()));
        }
        insta::assert_snapshot!(text);
    }

    #[test]
    fn every_command_has_one_example_that_it_understands() {
        for command in Cli::command().get_subcommands().chain([&Cli::command()]) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, example) =
                help.split_once("Example:\n").unwrap_or_else(|| panic!("`{}` has no example", command.get_name()));
            for line in example.split("&&") {
                Cli::try_parse_from(line.split_whitespace()).expect(line);
            }
        }
    }
}
