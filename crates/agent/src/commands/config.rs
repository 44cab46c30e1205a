//! `config show`: the settings of the daemon, and where each comes from.

use std::collections::BTreeMap;

use longshore_core::failure::Failure;
use longshore_core::problem::Problem;
use serde::Serialize;

use super::print;
use crate::cli::{ConfigArgs, ConfigCommand, Global, Output, RunArgs};
use crate::display;
use crate::settings::{self, Shown};

/// Runs the command.
pub fn run(args: &ConfigArgs, global: &Global) -> Result<(), Failure> {
    match &args.command {
        ConfigCommand::Show(args) => show(args, global),
    }
}

/// What `config show` tells a program.
#[derive(Serialize)]
struct Report {
    settings: Vec<Shown>,
    problems: Vec<serde_json::Value>,
}

fn show(args: &RunArgs, global: &Global) -> Result<(), Failure> {
    let environment: BTreeMap<_, _> = std::env::vars_os().collect();
    let loaded = settings::load(args.config.as_deref(), global.explicit_root.as_deref(), &environment)?;
    match global.output {
        Output::Text => display::config::problems(&loaded.problems),
        Output::Json => {}
    }
    let problems = loaded.problems.iter().map(Problem::to_json).collect();
    let report = Report { settings: loaded.origins, problems };
    print(&report, global.output, |report| display::config::table(&report.settings))
}
