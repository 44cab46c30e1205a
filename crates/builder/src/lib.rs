//! `longshore`: turns a commit into one verified, commit-named artifact and publishes it.
//!
//! | module | holds |
//! |---|---|
//! | `cli` | the command line |
//! | `environment` | the process's environment, read once |
//! | `commands` | one file per command: parse, plan, act |
//! | `survey` | reads a source folder and joins recipe, listing, plan and lints |
//! | `recipe` | what goes in: `longshore.toml`, appspec, ignore files |
//! | `buildspec` | pure: the file list of a CodeBuild buildspec |
//! | `settings` | `longshore.toml` and the environment above it |
//! | `outputs` | what later steps of a CI job learn |
//! | `listing` | what stands in the source folder, and which rule keeps what out |
//! | `plan` | pure: recipe and listing → the files of the bundle |
//! | `lint`, `compose` | pure: what can never work, and what will surprise |
//! | `commit` | pure: which commit is this? |
//! | `images` | the digests of images, asked of their registries |
//! | `pinning` | images → digests → the manifest's list and the lock files |
//! | `pushing` | builds and pushes images by compose |
//! | `program` | runs a program to its end |
//! | `identity` | joins flags, environment, settings and git into application and commit |
//! | `starter` | the files of `longshore init` |
//! | `text_file` | reads a file that people write |
//! | `git` | the only file that runs `git` |
//! | `signing` | signs an artifact: a key in a file, in the environment or in KMS |
//! | `provenance` | where an artifact comes from: written, and compared with it |
//! | `destination` | where an artifact is published |
//! | `beside` | signature and provenance of an artifact → a store |
//! | `aws` | how services of AWS other than S3 are reached |
//! | `publish` | a bundle → a store, never over another one |
//! | `tail` | the manifest of an archive in S3, from its end |
//! | `lookup` | an artifact that is already published |
//! | `succession` | pure: which pointer may follow which |
//! | `pointing` | moves the pointer of a group, and reads what it is and was |
//! | `hosts` | reads what the hosts of a group say |
//! | `ending` | pure: how a deployment ended on its hosts, as it is written down |
//! | `past` | reads the deployments of a group, the latest first |
//! | `stored` | deployments by the pointer of a store |
//! | `prune` | pure: which artifacts may go |
//! | `fleet` | pure: how far each host is |
//! | `waiting` | follows the hosts until each has made a deployment |
//! | `target` | whom a command speaks to: the group, who deploys to it, its names |
//! | `codedeploy` | deployments by AWS CodeDeploy; the only place that names its SDK |
//! | `signer` | pure: who moves a pointer |
//! | `interrupt` | Ctrl-C and TERM |
//! | `interruption` | what they mean while a deployment is followed |
//! | `event`, `display` | what happened, and how it is said |

mod artifact;
mod aws;
mod beside;
mod buildspec;
mod cli;
mod codedeploy;
mod commands;
mod commit;
mod compose;
mod destination;
mod display;
mod ending;
mod environment;
mod event;
mod fleet;
mod git;
mod hosts;
mod identity;
mod images;
mod interrupt;
mod interruption;
mod lint;
mod listing;
mod lookup;
mod outputs;
mod past;
mod pinning;
mod plan;
mod pointing;
mod program;
mod provenance;
mod prune;
mod publish;
mod pushing;
mod recipe;
mod rules;
mod settings;
mod shellcheck;
mod signer;
mod signing;
mod silence;
mod site;
mod starter;
mod stored;
mod succession;
mod survey;
mod tail;
mod target;
mod text_file;
mod upload;
mod waiting;

use std::process::ExitCode;

use clap::{Parser as _, ValueEnum as _};
use longshore_core::failure::{self, Exit, Failure};

use crate::cli::{Cli, Command, Output};
use crate::display::Screen;
use crate::environment::Environment;

/// Runs the program: command line in, exit code out.
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return without_command(&error),
    };
    let environment = Environment::of_process().with(outputs::DOTENV_VARIABLE, "--dotenv", cli.dotenv.as_deref()).with(
        Output::VARIABLE,
        "--output",
        cli.output.map(Output::word),
    );
    let environment = settings::set_on(environment, &cli.set);
    let output = match output(&environment) {
        Ok(output) => output,
        Err(failure) => {
            Screen::new(Output::Text, &environment).failure(&failure);
            return failure.exit.into();
        }
    };
    let screen = Screen::new(output, &environment);
    let ended = match &cli.command {
        Command::Init(args) => commands::init::run(args, &screen),
        Command::Check(args) => commands::check::run(args, &environment, &screen),
        Command::Build(args) => commands::build::run(args, &environment, &screen),
        Command::Push(args) => commands::push::run(args, &environment, &screen),
        Command::Generate(args) => commands::generate::run(args),
        Command::Point(args) => commands::point::run(args, &environment, &screen),
        Command::Status(args) => commands::status::run(args, &environment, &screen),
        Command::Deploy(args) => commands::deploy::run(args, &environment, &screen),
        Command::Deployments(args) => commands::deployments::run(args, &environment, &screen),
        Command::Rollback(args) => commands::rollback::run(args, &environment, &screen),
        Command::Stop(args) => commands::stop::run(args, &environment, &screen),
        Command::Keygen(args) => commands::keygen::run(args, &environment, &screen),
        Command::Sign(args) => commands::sign::run(args, &environment, &screen),
        Command::Verify(args) => commands::verify::run(args, &environment, &screen),
        Command::Prune(args) => commands::prune::run(args, &environment, &screen),
        Command::Config(args) => commands::config::run(args, &environment, &screen),
        Command::Inspect(args) => commands::inspect::run(args, &screen),
    };
    match ended {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            screen.failure(&failure);
            failure.exit.into()
        }
    }
}

/// The form of the result.
fn output(environment: &Environment) -> Result<Output, Failure> {
    let Some(text) = environment.get(Output::VARIABLE) else { return Ok(Output::Text) };
    Output::from_str(text, false).map_err(|_| {
        Failure::new(Exit::Usage, format!("`{}` holds `{text}`", Output::VARIABLE)).hint("set it to `text` or `json`")
    })
}

/// A wrong command line, but also `--help` and `--version`; clap knows which stream and which code.
fn without_command(said: &clap::Error) -> ExitCode {
    let screen = |output| Screen::new(output, &Environment::of_process());
    if said.use_stderr() && asks_for_json() {
        let failure = Failure::of_usage(&said.render().to_string());
        screen(Output::Json).failure(&failure);
        return failure.exit.into();
    }
    let printed = said.print();
    if !said.use_stderr()
        && let Err(failure) = failure::printed(printed)
    {
        screen(Output::Text).failure(&failure);
        return failure.exit.into();
    }
    u8::try_from(said.exit_code()).map_or(Exit::Failed.into(), ExitCode::from)
}

/// Whether a command line that cannot be parsed asks for JSON. What stands last counts; else the environment.
fn asks_for_json() -> bool {
    let words: Vec<String> = std::env::args_os().map(|word| word.to_string_lossy().into_owned()).collect();
    let asked = words.iter().enumerate().rev().find_map(|(index, word)| match word.as_str() {
        "--output" => words.get(index + 1).map(String::as_str),
        word => word.strip_prefix("--output="),
    });
    asked.or(Environment::of_process().get(Output::VARIABLE)) == Some("json")
}
