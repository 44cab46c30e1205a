//! `generate`: the manual pages and shell completions of this program, for its packages.

use std::io;
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_complete::Shell;
use longshore_core::failure::{Exit, Failure};

use crate::cli::{Cli, GenerateArgs};

/// The words of `--help` cannot be written in another form.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to `{dir}`")]
struct Unwritten {
    dir: String,
    source: io::Error,
}

/// Runs the command.
pub fn run(args: &GenerateArgs) -> Result<(), Failure> {
    let written = write(&args.dir);
    written.map_err(|source| Failure::new(Exit::Failed, Unwritten { dir: args.dir.display().to_string(), source }))
}

fn write(dir: &Path) -> io::Result<()> {
    let (man, completions) = (dir.join("man"), dir.join("completions"));
    std::fs::create_dir_all(&man)?;
    std::fs::create_dir_all(&completions)?;
    clap_mangen::generate_to(Cli::command(), &man)?;
    let mut command = visible();
    let name = command.get_name().to_owned();
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        clap_complete::generate_to(shell, &mut command, &name, &completions)?;
    }
    Ok(())
}

/// The command line without what people never type: completions would offer it.
fn visible() -> Command {
    let whole = Cli::command();
    let commands = whole.get_subcommands().filter(|command| !command.is_hide_set()).cloned();
    let command = Command::new("longshore-agent").args(whole.get_arguments().cloned()).subcommands(commands);
    command.version(env!("CARGO_PKG_VERSION"))
}
