//! What is looked for, and what is not reported.

use clap::Args;

/// What is looked for, and what is not reported.
#[derive(Debug, Clone, Args)]
pub(crate) struct LintArgs {
    /// Do not report this problem, or only not in files that this pattern names; may be given several times
    #[arg(long, value_name = "CODE[:FILE]", value_parser = allow)]
    pub(crate) allow: Vec<Allow>,
    /// Do not run shellcheck over the hooks, although it is installed
    #[arg(long)]
    pub(crate) no_shellcheck: bool,
}

/// `--allow CODE[:FILE]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Allow {
    /// The code.
    pub(crate) code: String,
    /// The pattern of the files that are meant; `None`: all.
    pub(crate) file: Option<String>,
}

fn allow(text: &str) -> Result<Allow, String> {
    let (code, file) = match text.split_once(':') {
        Some((code, file)) => (code, Some(file.to_owned())),
        None => (text, None),
    };
    if !crate::silence::is_code(code) || file.as_deref() == Some("") {
        return Err("write a code and perhaps a file, for example `LS221` or `LS221:scripts/stop.sh`".to_owned());
    }
    Ok(Allow { code: code.to_owned(), file })
}
