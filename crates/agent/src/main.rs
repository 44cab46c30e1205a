//! The `longshore-agent` program.

fn main() -> std::process::ExitCode {
    longshore_agent::run()
}
