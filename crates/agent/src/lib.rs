//! `longshore-agent`: fetches a bundle and walks its lifecycle events on one host.
//!
//! Start with [`event`] (what can happen), then [`deployment`] (how it happens). [`install`] and [`hook`] do the two
//! things that change a host; [`layout`] says where everything stands.

pub mod cli;
pub mod codedeploy;
pub mod codedeploy_local;
pub mod commands;
pub mod config;
pub mod control;
pub mod daemon;
pub mod deployment;
pub mod display;
pub mod doctor;
pub mod event;
pub mod explain;
pub mod fetch;
pub mod github;
pub mod history;
pub mod hook;
pub mod identity;
pub mod install;
pub mod layout;
pub mod lock;
mod lossless;
mod meant;
pub mod network;
pub mod notify;
mod printed;
pub mod release;
pub mod retention;
pub mod service;
pub mod settings;
pub mod source;
mod stop;

use std::ffi::OsString;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::parser::ValueSource;
use clap::{CommandFactory, FromArgMatches};
use longshore_core::failure::{self, Exit, Failure};
use longshore_core::problem;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use cli::{Cli, Command, Output};
use daemon::traced::Traced;
use layout::Layout;

/// The whole program.
pub fn run() -> ExitCode {
    // Before anything else: a shim has to be small and quick.
    if let Some(code) = hook::shim::dispatch(std::env::args_os()) {
        return code;
    }
    if let Some(code) = codedeploy_local::dispatch(std::env::args_os()) {
        return code;
    }
    let cli = match parse() {
        Ok(cli) => cli,
        Err(said) => return without_command(&said),
    };
    let traced = trace(&cli.command);
    let output = cli.global.output;
    match dispatch(cli, &traced) {
        Ok(()) => Exit::Success.into(),
        Err(failure) => {
            print(&failure, output);
            failure.exit.into()
        }
    }
}

/// Has warnings of libraries told: by the daemon as it tells its own, else on standard error, where the level can be chosen.
fn trace(command: &Command) -> Traced {
    let usual = || EnvFilter::new("error,longshore_agent=warn");
    let traced = Traced::default();
    if matches!(command, Command::Run(_)) && std::env::var_os("LONGSHORE_LOG").is_none() {
        tracing_subscriber::registry().with(usual()).with(traced.clone()).init();
    } else {
        let filter = EnvFilter::try_from_env("LONGSHORE_LOG").unwrap_or_else(|_| usual());
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    }
    traced
}

/// The command line, and whether the root was given: what holds otherwise differs between commands.
fn parse() -> Result<Cli, clap::Error> {
    let matches = Cli::command().try_get_matches()?;
    let mut cli = Cli::from_arg_matches(&matches)?;
    let is_given = matches.value_source("root").is_some_and(|source| source != ValueSource::DefaultValue);
    cli.global.explicit_root = is_given.then(|| cli.global.root.clone());
    Ok(cli)
}

fn dispatch(cli: Cli, traced: &Traced) -> Result<(), Failure> {
    let layout = Layout::new(absolute(&cli.global.root)?);
    match cli.command {
        Command::Deploy(args) => commands::deploy::run(&args, &layout, cli.global.output),
        Command::Plan(args) => commands::plan::run(&args, &layout, cli.global.output),
        Command::Resume(args) => commands::resume::run(&args, &layout, cli.global.output),
        Command::Rollback(args) => commands::rollback::run(&args, &layout, cli.global.output),
        Command::Explain(args) => commands::explain::run(&args, &layout, cli.global.output),
        Command::Logs(args) => commands::logs::run(&args, &layout, cli.global.output),
        Command::Run(args) => commands::run::run(&args, &cli.global, traced),
        Command::Config(args) => commands::config::run(&args, &cli.global),
        Command::Control(args) => commands::control::run(&args, cli.global.output),
        Command::InstallService(args) => commands::install_service::run(&args, &layout, cli.global.output),
        Command::Generate(args) => commands::generate::run(&args),
        Command::Doctor(args) => commands::doctor::run(&args, &layout, cli.global.output),
        Command::Status(args) => commands::status::run(&args, &layout, cli.global.output),
        Command::History(args) => commands::history::run(&args, &layout, cli.global.output),
    }
}

/// A wrong command line, but also `--help` and `--version`; clap knows which stream and which code.
fn without_command(said: &clap::Error) -> ExitCode {
    if said.use_stderr() && asks_for_json() {
        let failure = Failure::of_usage(&said.render().to_string());
        print(&failure, Output::Json);
        return failure.exit.into();
    }
    let result = said.print();
    if !said.use_stderr()
        && let Err(failure) = failure::printed(result)
    {
        print(&failure, Output::Text);
        return failure.exit.into();
    }
    u8::try_from(said.exit_code()).map_or(Exit::Failed.into(), ExitCode::from)
}

/// Whether a command line that cannot be parsed asks for JSON. What stands last counts; else the environment.
fn asks_for_json() -> bool {
    let words: Vec<OsString> = std::env::args_os().collect();
    let asked = words.iter().enumerate().rev().find_map(|(index, word)| match word.to_str()? {
        "--output" => words.get(index + 1).map(|value| value == "json"),
        word => word.strip_prefix("--output=").map(|value| value == "json"),
    });
    asked.unwrap_or_else(|| std::env::var_os("LONGSHORE_OUTPUT").is_some_and(|value| value == "json"))
}

/// Hooks get paths below the root, so it has to be absolute.
fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::new(Exit::Usage, error).hint("give the root as an absolute path: `--root /var/lib/longshore`")
    })
}

/// The error for people on standard error; for programs the same as one JSON line on standard output.
fn print(failure: &Failure, output: Output) {
    match output {
        Output::Text => {
            let problems = problem::render(&failure.problems, display::look());
            // A reader that is gone changes nothing about the outcome.
            let _ = write!(std::io::stderr(), "{problems}{}", failure.to_text());
        }
        Output::Json => {
            let _ = writeln!(std::io::stdout(), "{}", failure.to_json());
        }
    }
}
