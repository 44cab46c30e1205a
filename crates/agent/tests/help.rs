//! Every word of `--help`.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use std::process::Command;

fn help(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_longshore-agent"));
    let output = command.args(arguments).arg("--help").env_clear().output().unwrap();
    assert!(output.status.success(), "{arguments:?}");
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_help_of_every_command_is_known() {
    let whole = help(&[]);
    let commands = whole.lines().skip_while(|line| *line != "Commands:").skip(1).take_while(|line| !line.is_empty());
    let commands: Vec<&str> = commands
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(commands.contains(&"deploy"), "{whole}");
    insta::assert_snapshot!("longshore-agent", whole);
    for command in commands.into_iter().filter(|command| *command != "help") {
        insta::assert_snapshot!(command, help(&[command]));
    }
}
