//! The `longshore-agent` program.

use std::process::ExitCode;

use longshore_agent::hook;

fn main() -> ExitCode {
    // First of all: a shim is started for every script and must cost next to nothing.
    if let Some(code) = hook::shim::dispatch(std::env::args_os()) {
        return code;
    }
    ExitCode::SUCCESS
}
