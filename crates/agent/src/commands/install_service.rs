//! `install-service`: has systemd start the agent with the host, and undoes that.

use std::io::Write;
use std::path::PathBuf;

use longshore_core::failure::{Exit, Failure, printed};
use serde_json::json;

use super::{print, write};
use crate::cli::{InstallServiceArgs, Output};
use crate::display;
use crate::layout::Layout;
use crate::service::act::{self, ActError};
use crate::service::host::{Host, OWN_UNIT, Prefix};
use crate::service::plan::{self, Refusal, Wish};
use crate::service::unit::Start;
use crate::service::{Step, UNIT};
use crate::settings;

/// Runs the command.
pub fn run(args: &InstallServiceArgs, layout: &Layout, output: Output) -> Result<(), Failure> {
    let start = start(args, layout)?;
    if args.print {
        let unit = start.unit();
        let (path, text) = (OWN_UNIT, unit.as_str());
        return print(&json!({ "path": path, "text": text }), output, |_| unit.clone());
    }
    let prefix = Prefix(args.prefix.clone());
    act::possible(&prefix).map_err(failed)?;
    let host = Host::read(&prefix, &start.root, &start.config)
        .map_err(|(path, error)| Failure::new(Exit::Failed, error).hint(format!("look at `{}`", path.display())))?;
    let steps = if args.uninstall {
        plan::uninstall(&host, &start.program)
    } else {
        let start_now = !args.no_start && prefix.0.is_none();
        plan::install(&host, &Wish { start, replace_aws: args.replace_aws, start_now }).map_err(refused)?
    };
    let told = tell(&prefix, &steps, output);
    // Also what was done before something failed.
    if output == Output::Json && told.is_ok() {
        printed(write(format!("{}\n", json!({ "steps": steps })).as_bytes()))?;
    }
    told
}

/// What the service starts: this program, wherever it stands.
fn start(args: &InstallServiceArgs, layout: &Layout) -> Result<Start, Failure> {
    let absolute = |path: PathBuf| std::path::absolute(path).map_err(|error| Failure::new(Exit::Failed, error));
    Ok(Start {
        program: std::env::current_exe().map_err(|error| Failure::new(Exit::Failed, error))?,
        root: layout.root().to_owned(),
        config: absolute(args.config.clone().unwrap_or_else(|| settings::DEFAULT_PATH.into()))?,
    })
}

fn tell(prefix: &Prefix, steps: &[Step], output: Output) -> Result<(), Failure> {
    let say = |line: String| {
        if output == Output::Text {
            // A reader that is gone changes nothing about the outcome.
            let _ = writeln!(std::io::stderr(), "{}", line.trim_end());
        }
    };
    for step in steps {
        act::act(prefix, step).map_err(failed)?;
        say(display::service::step(step, display::look()));
    }
    if steps.is_empty() {
        say(display::service::nothing(display::look()));
    }
    Ok(())
}

fn refused(refusal: Refusal) -> Failure {
    let (exit, hint) = match &refusal {
        Refusal::TwoAgents { .. } => (
            Exit::Conflict,
            "give --replace-aws to put this agent in the place of AWS's, or set `enabled = false` below `[codedeploy]`",
        ),
        Refusal::AwsDeploys => {
            (Exit::Busy, "wait until the deployment has ended: stopping the agent would kill its hooks")
        }
        Refusal::CodeDeployOff { .. } => (Exit::Conflict, "set `enabled = true` below `[codedeploy]`"),
        Refusal::NoConfig { .. } => (Exit::NotFound, "without --config the file of the defaults is written"),
        Refusal::Config { .. } => (Exit::Invalid, "`longshore-agent config show` says what it means to the agent"),
    };
    Failure::new(exit, refusal).hint(hint)
}

fn failed(error: ActError) -> Failure {
    let hint = match &error {
        ActError::NotRoot => Some("run it as root: sudo longshore-agent install-service".to_owned()),
        ActError::NoSystemd => Some(
            "have your service manager start `longshore-agent run`; with --print you see what systemd would do"
                .to_owned(),
        ),
        ActError::Systemctl { .. } => Some(format!("journalctl --unit {UNIT} --lines 20")),
        ActError::MakeFolder { .. } | ActError::Write { .. } | ActError::Remove { .. } | ActError::Link { .. } => None,
    };
    let failure = Failure::new(Exit::Failed, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
