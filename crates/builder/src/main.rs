//! The `longshore` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    longshore_builder::run()
}
