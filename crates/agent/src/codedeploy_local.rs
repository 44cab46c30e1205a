//! `codedeploy-local`: the AWS agent's tool for deployments without the service, under its own name.
//!
//! Options, defaults, exit codes and the order of what is printed are those of AWS agent 1.8.1, so that scripts which call
//! it go on working; docs/reference/differences.md says where it differs. [`options`] reads the command line, [`location`]
//! and [`events`] what two of the options mean, [`request`] makes the order, [`display`] tells, `log` keeps.

pub mod display;
pub mod error;
pub mod events;
pub mod location;
mod log;
pub mod options;
pub mod request;

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use longshore_core::problem::{Problem, SourceFile};

use self::display::{HELP, Lines, VERSION};
use self::error::LocalError;
use self::options::{Asked, Options};
use self::request::order;
use crate::config::{self, Config};
use crate::deployment::agent::Agent;
use crate::deployment::drive;
use crate::fetch::access::{Access, environment_access};
use crate::layout::{DEFAULT_ROOT, Layout};
use crate::network::Network;

/// The name under which this program is `codedeploy-local`.
pub const NAME: &str = "codedeploy-local";

/// The program, when the arguments (program name first) call it by its name.
pub fn dispatch(args: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut args = args.into_iter();
    let program = args.next()?;
    (Path::new(&program).file_name()? == NAME).then(|| match run(args) {
        Ok(code) => code,
        Err(error) => {
            display::refused(&error);
            ExitCode::FAILURE
        }
    })
}

fn run(args: impl Iterator<Item = OsString>) -> Result<ExitCode, LocalError> {
    let words = args.map(|word| word.into_string().map_err(LocalError::Word)).collect::<Result<Vec<_>, _>>()?;
    match options::parse(&words)? {
        // As the AWS agent 1.8.1: neither is a success.
        Asked::Help => display::print(HELP),
        Asked::Version => {
            display::print("1.0");
            display::tell(VERSION);
        }
        Asked::Deploy(options) => return deploy(&options),
    }
    Ok(ExitCode::FAILURE)
}

fn deploy(options: &Options) -> Result<ExitCode, LocalError> {
    let (config, warnings) = read_config(options.agent_configuration_file.as_deref())?;
    let root = config.root_dir.clone().unwrap_or_else(|| PathBuf::from(DEFAULT_ROOT));
    let layout = Layout::new(std::path::absolute(root).map_err(LocalError::Root)?);
    let request = order(options, &config, &layout)?;
    warnings.iter().for_each(|problem| display::warn(&problem.to_string()));
    request.notes.iter().for_each(display::note);
    let lines = Arc::new(Lines::new(layout.clone(), &request.order, log::Log::open(&config)));
    let reader: Arc<Lines> = Arc::clone(&lines);
    let agent = Agent::of_this_process(layout, reader).map_err(LocalError::Agent)?;
    let agent = Agent { access: access(&config), ..agent };
    Ok(match lines.ended(&drive::deploy(&agent, &request.order)) {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// The way to S3 and GitHub as the configuration says it: the AWS agent 1.8.1 hands the same to its client of S3.
fn access(config: &Config) -> Access {
    let network = Network { proxy: config.proxy_uri.clone(), ca_bundle: None };
    let (endpoint, fips) = (config.s3_endpoint_override.clone(), config.use_fips_mode);
    environment_access(&network, endpoint, fips)
}

/// The configuration and the warnings about it. Without a file at the usual place the defaults hold; a file that was asked
/// for has to be there.
fn read_config(path: Option<&str>) -> Result<(Config, Vec<Problem>), LocalError> {
    let name = path.unwrap_or(config::DEFAULT_PATH);
    let bytes = match fs::read(name) {
        Ok(bytes) => bytes,
        Err(error) if path.is_none() && error.kind() == io::ErrorKind::NotFound => {
            return Ok((Config::default(), Vec::new()));
        }
        Err(source) => return Err(LocalError::Unreadable { path: name.into(), source }),
    };
    let parsed = config::parse(&SourceFile::new(name, String::from_utf8_lossy(&bytes)));
    match parsed.config {
        Some(config) => Ok((config, parsed.problems)),
        None => Err(LocalError::Config(parsed.problems)),
    }
}
