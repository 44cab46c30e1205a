//! `control`: asks the agent that runs on this host.

use std::path::Path;

use longshore_core::appspec::FileExists;
use longshore_core::failure::{Exit, Failure, printed};
use longshore_core::ids::DeploymentId;

use super::logs::{Printer, end_quietly_when_asked};
use super::{deploy, print, write};
use crate::cli::{ControlArgs, ControlCommand, ControlDeployArgs, FileExistsBehavior, LogsArgs, Output};
use crate::control::client::Client;
use crate::control::protocol::{Answer, Deploy, Logs, Request};
use crate::display;

/// Runs the command.
pub fn run(args: &ControlArgs, output: Output) -> Result<(), Failure> {
    let socket = &args.socket;
    match &args.command {
        ControlCommand::Status => match Client::ask(socket, &Request::Status)?.answer()? {
            Answer::Status(mut status) => {
                // Programs have it as values.
                if output == Output::Json {
                    status.groups_text = None;
                }
                print(&status, output, |status| display::control::status(status))
            }
            answer => Err(unexpected(&answer)),
        },
        ControlCommand::Logs(args) => logs(args, socket, output),
        ControlCommand::Pause => {
            let answer = Client::ask(socket, &Request::Pause)?.answer()?;
            match &answer {
                Answer::Paused { paused, already } => {
                    print(&answer, output, |_| display::control::paused(paused, *already))
                }
                answer => Err(unexpected(answer)),
            }
        }
        ControlCommand::Resume => {
            let answer = Client::ask(socket, &Request::Resume)?.answer()?;
            match &answer {
                Answer::Resumed { already } => print(&answer, output, |_| display::control::resumed(*already)),
                answer => Err(unexpected(answer)),
            }
        }
        ControlCommand::Deploy(args) => order(args, socket, output),
    }
}

fn logs(args: &LogsArgs, socket: &Path, output: Output) -> Result<(), Failure> {
    if args.follow {
        end_quietly_when_asked();
    }
    let group = args.group.clone();
    let request = Request::Logs(Logs {
        deployment: args.deployment.clone(),
        group: group.group,
        application: group.application,
        group_id: group.group_id,
        follow: args.follow,
    });
    let mut client = Client::ask(socket, &request)?;
    let deployment = match client.answer()? {
        Answer::Found { deployment } => deployment,
        answer => return Err(unexpected(&answer)),
    };
    let mut printer = Printer::new(output, &deployment);
    let mut is_empty = true;
    loop {
        match client.answer()? {
            Answer::Log { text } => {
                is_empty = false;
                if let Err(error) = printer.print(text.as_bytes()) {
                    return printed(Err(error));
                }
            }
            Answer::Done => break,
            Answer::Ending => return Err(ending(&deployment)),
            answer => return Err(unexpected(&answer)),
        }
    }
    if is_empty {
        display::logs::nothing_printed(&deployment);
    }
    printed(printer.finish())
}

fn order(args: &ControlDeployArgs, socket: &Path, output: Output) -> Result<(), Failure> {
    let request = Request::Deploy(Box::new(Deploy {
        revision: deploy::revision(&args.revision)?,
        group: args.group.clone(),
        application: args.application.clone(),
        group_id: args.group_id.clone(),
        deployment: args.deployment_id.clone(),
        skip: args.skip.clone(),
        stop_from: Some(args.stop_from),
        file_exists: Some(match args.file_exists_behavior {
            FileExistsBehavior::Disallow => FileExists::Disallow,
            FileExistsBehavior::Overwrite => FileExists::Overwrite,
            FileExistsBehavior::Retain => FileExists::Retain,
        }),
        digest: args.digest,
        on_failure: args.on_failure,
    }));
    let mut client = Client::ask(socket, &request)?;
    let mut accepted = None;
    loop {
        match client.answer()? {
            Answer::Accepted { deployment } => {
                match output {
                    Output::Text => display::control::accepted(&deployment),
                    Output::Json => {}
                }
                accepted = Some(deployment);
            }
            Answer::Event { text, event } => match output {
                Output::Text => text.iter().for_each(|text| display::control::event(text)),
                Output::Json => {
                    if let Err(error) = write(format!("{event}\n").as_bytes()) {
                        return printed(Err(error));
                    }
                }
            },
            Answer::Done => return Ok(()),
            Answer::Ending => {
                return Err(match &accepted {
                    Some(deployment) => ending(deployment),
                    None => Failure::new(Exit::Unavailable, "the agent is ending, and takes no orders")
                        .hint("order it again when the next agent runs"),
                });
            }
            answer => return Err(unexpected(&answer)),
        }
    }
}

fn ending(deployment: &DeploymentId) -> Failure {
    let message = format!("the agent is ending; the next one goes on with {deployment}");
    Failure::new(Exit::Unavailable, message).hint(format!("longshore-agent control logs --follow {deployment}"))
}

fn unexpected(answer: &Answer) -> Failure {
    Failure::new(Exit::Failed, format!("the agent answers something else: {answer:?}"))
        .hint("use the `longshore-agent` of the same version")
}
