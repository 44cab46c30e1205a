//! The `longshore-agent` program.

fn main() {}
