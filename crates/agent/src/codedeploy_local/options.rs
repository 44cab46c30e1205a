//! The command line of `codedeploy-local`, read by the rules of the parser that the AWS agent 1.8.1 uses (docopt): unique
//! beginnings of long options, values after `=` or a space, a short option's value right behind it, every option at most
//! once. Pure.

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Asked {
    /// A deployment.
    Deploy(Box<Options>),
    /// The help text.
    Help,
    /// The version.
    Version,
}

/// The options of a deployment, as given.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Options {
    /// `--bundle-location`; the default is the working folder.
    pub bundle_location: Option<String>,
    /// `--type`; the default is `directory`.
    pub kind: Option<String>,
    /// `--file-exists-behavior`; the default is `DISALLOW`.
    pub file_exists_behavior: Option<String>,
    /// `--deployment-group`, the id.
    pub deployment_group: Option<String>,
    /// `--deployment-group-name`.
    pub deployment_group_name: Option<String>,
    /// `--application-name`; the default is the bundle's location.
    pub application_name: Option<String>,
    /// `--events`, separated by commas.
    pub events: Option<String>,
    /// `--agent-configuration-file`.
    pub agent_configuration_file: Option<String>,
    /// `--appspec-filename`.
    pub appspec_filename: Option<String>,
}

/// Why a command line makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UsageError {
    /// An option that there is not.
    #[error("there is no option `{0}`")]
    Unknown(String),
    /// The beginning of more than one option.
    #[error("`{given}` may mean {}", .candidates.join(" or "))]
    Ambiguous {
        /// What was given.
        given: String,
        /// What it may mean.
        candidates: Vec<&'static str>,
    },
    /// An option without its value.
    #[error("`{0}` needs a value")]
    NoValue(&'static str),
    /// A value for an option that takes none.
    #[error("`{0}` takes no value")]
    Value(&'static str),
    /// An option that was given before.
    #[error("`{0}` is given twice")]
    Twice(&'static str),
    /// A word that belongs to no option.
    #[error("`{0}` belongs to no option")]
    Word(String),
}

/// The options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    BundleLocation,
    Type,
    FileExistsBehavior,
    DeploymentGroup,
    DeploymentGroupName,
    ApplicationName,
    Events,
    AgentConfigurationFile,
    AppspecFilename,
    Help,
    Version,
}

impl Switch {
    const ALL: [Switch; 11] = [
        Switch::BundleLocation,
        Switch::Type,
        Switch::FileExistsBehavior,
        Switch::DeploymentGroup,
        Switch::DeploymentGroupName,
        Switch::ApplicationName,
        Switch::Events,
        Switch::AgentConfigurationFile,
        Switch::AppspecFilename,
        Switch::Help,
        Switch::Version,
    ];

    fn long(self) -> &'static str {
        match self {
            Switch::BundleLocation => "--bundle-location",
            Switch::Type => "--type",
            Switch::FileExistsBehavior => "--file-exists-behavior",
            Switch::DeploymentGroup => "--deployment-group",
            Switch::DeploymentGroupName => "--deployment-group-name",
            Switch::ApplicationName => "--application-name",
            Switch::Events => "--events",
            Switch::AgentConfigurationFile => "--agent-configuration-file",
            Switch::AppspecFilename => "--appspec-filename",
            Switch::Help => "--help",
            Switch::Version => "--version",
        }
    }

    fn short(self) -> char {
        match self {
            Switch::BundleLocation => 'l',
            Switch::Type => 't',
            Switch::FileExistsBehavior => 'b',
            Switch::DeploymentGroup => 'g',
            Switch::DeploymentGroupName => 'd',
            Switch::ApplicationName => 'a',
            Switch::Events => 'e',
            Switch::AgentConfigurationFile => 'c',
            Switch::AppspecFilename => 'A',
            Switch::Help => 'h',
            Switch::Version => 'v',
        }
    }

    fn takes_value(self) -> bool {
        !matches!(self, Switch::Help | Switch::Version)
    }
}

/// One option that was given.
struct Given {
    name: Switch,
    value: String,
}

/// Reads a command line, program name left out.
///
/// An option without its value is refused before anything else; then help and version count, wherever they stand and
/// whatever else is wrong; then the rest.
pub fn parse(words: &[String]) -> Result<Asked, UsageError> {
    let mut given: Vec<Given> = Vec::new();
    let mut wrong: Vec<UsageError> = Vec::new();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        if word == "--" {
            wrong.extend(
                words.next().map(|word| UsageError::Word(word.clone())).or(Some(UsageError::Word("--".into()))),
            );
            break;
        } else if word.starts_with("--") {
            let (long, value) = match word.split_once('=') {
                Some((long, value)) => (long, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let Some(name) = by_long(long)? else {
                wrong.push(UsageError::Unknown(long.to_owned()));
                continue;
            };
            let value = match (name.takes_value(), value) {
                (true, Some(value)) => value,
                (true, None) => words.next().ok_or(UsageError::NoValue(name.long()))?.clone(),
                (false, Some(_)) => return Err(UsageError::Value(name.long())),
                (false, None) => String::new(),
            };
            given.push(Given { name, value });
        } else if word.len() > 1 && word.starts_with('-') {
            let mut rest = word[1..].chars();
            while let Some(short) = rest.next() {
                let Some(name) = Switch::ALL.into_iter().find(|name| name.short() == short) else {
                    wrong.push(UsageError::Unknown(format!("-{short}")));
                    continue;
                };
                let mut value = String::new();
                if name.takes_value() {
                    value = std::mem::replace(&mut rest, "".chars()).collect();
                    if value.is_empty() {
                        value = words.next().ok_or(UsageError::NoValue(name.long()))?.clone();
                    }
                }
                given.push(Given { name, value });
            }
        } else {
            wrong.push(UsageError::Word(word.clone()));
        }
    }
    if given.iter().any(|given| given.name == Switch::Help) {
        return Ok(Asked::Help);
    }
    if given.iter().any(|given| given.name == Switch::Version) {
        return Ok(Asked::Version);
    }
    match wrong.into_iter().next() {
        Some(error) => Err(error),
        None => Ok(Asked::Deploy(Box::new(options(given)?))),
    }
}

/// The option that a long name or its beginning means.
fn by_long(long: &str) -> Result<Option<Switch>, UsageError> {
    if let Some(name) = Switch::ALL.into_iter().find(|name| name.long() == long) {
        return Ok(Some(name));
    }
    let similar: Vec<Switch> = Switch::ALL.into_iter().filter(|name| name.long().starts_with(long)).collect();
    match similar[..] {
        [] => Ok(None),
        [name] => Ok(Some(name)),
        [_, _, ..] => {
            let candidates = similar.iter().map(|name| name.long()).collect();
            Err(UsageError::Ambiguous { given: long.to_owned(), candidates })
        }
    }
}

fn options(given: Vec<Given>) -> Result<Options, UsageError> {
    let mut options = Options::default();
    for Given { name, value } in given {
        let place = match name {
            Switch::BundleLocation => &mut options.bundle_location,
            Switch::Type => &mut options.kind,
            Switch::FileExistsBehavior => &mut options.file_exists_behavior,
            Switch::DeploymentGroup => &mut options.deployment_group,
            Switch::DeploymentGroupName => &mut options.deployment_group_name,
            Switch::ApplicationName => &mut options.application_name,
            Switch::Events => &mut options.events,
            Switch::AgentConfigurationFile => &mut options.agent_configuration_file,
            Switch::AppspecFilename => &mut options.appspec_filename,
            Switch::Help | Switch::Version => continue,
        };
        if place.replace(value).is_some() {
            return Err(UsageError::Twice(name.long()));
        }
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Asked, UsageError> {
        parse(&line.split_whitespace().map(str::to_owned).collect::<Vec<_>>())
    }

    fn group(id: &str) -> Result<Asked, UsageError> {
        Ok(Asked::Deploy(Box::new(Options { deployment_group: Some(id.to_owned()), ..Options::default() })))
    }

    #[test]
    fn every_way_to_write_an_option_means_the_same() {
        for line in ["-g x", "-gx", "--deployment-group x", "--deployment-group=x"] {
            assert_eq!(read(line), group("x"), "{line}");
        }
        // What stands behind a short option is its value, the sign of equality too.
        assert_eq!(read("-g=x"), group("=x"));
        assert_eq!(read("--deployment-group="), group(""));
        assert_eq!(read("--deployment-group -x"), group("-x"));
        assert_eq!(read(""), Ok(Asked::Deploy(Box::default())));
    }

    #[test]
    fn every_option_has_its_place() {
        let every = Options {
            bundle_location: Some("1".into()),
            kind: Some("2".into()),
            file_exists_behavior: Some("3".into()),
            deployment_group: Some("4".into()),
            deployment_group_name: Some("5".into()),
            application_name: Some("6".into()),
            events: Some("7".into()),
            agent_configuration_file: Some("8".into()),
            appspec_filename: Some("9".into()),
        };
        for line in [
            "-l1 -t2 -b3 -g4 -d5 -a6 -e7 -c8 -A9",
            "--bundle-location 1 --type 2 --file-exists-behavior 3 --deployment-group 4 --deployment-group-name 5 \
             --application-name 6 --events 7 --agent-configuration-file 8 --appspec-filename 9",
            "--b=1 --t=2 --f=3 --deployment-group=4 --deployment-group-n=5 --appl=6 --e=7 --ag=8 --apps=9",
        ] {
            assert_eq!(read(line), Ok(Asked::Deploy(Box::new(every.clone()))), "{line}");
        }
    }

    #[test]
    fn a_beginning_of_two_options_is_refused() {
        for (line, message) in [
            ("--app x", "`--app` may mean --application-name or --appspec-filename"),
            ("--deploy=x", "`--deploy` may mean --deployment-group or --deployment-group-name"),
            ("--a", "`--a` may mean --application-name or --agent-configuration-file or --appspec-filename"),
        ] {
            assert_eq!(read(line).unwrap_err().to_string(), message);
        }
    }

    #[test]
    fn help_and_version_count_wherever_they_stand() {
        for line in [
            "-h",
            "--help",
            "--he",
            "-t zip -h",
            "--nonsense -h",
            "word --help",
            "-vh",
            "-hv",
            "-hx",
            "-t zip -t tar -h",
        ] {
            assert_eq!(read(line), Ok(Asked::Help), "{line}");
        }
        for line in ["-v", "--version", "--nonsense --ver", "-e a -v"] {
            assert_eq!(read(line), Ok(Asked::Version), "{line}");
        }
        // A value is a value.
        assert_eq!(read("-g -h"), group("-h"));
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (line, message) in [
            ("--nonsense", "there is no option `--nonsense`"),
            ("--nonsense=x", "there is no option `--nonsense`"),
            ("-x", "there is no option `-x`"),
            ("--events", "`--events` needs a value"),
            ("-h --events", "`--events` needs a value"),
            ("-e", "`--events` needs a value"),
            ("--help=x", "`--help` takes no value"),
            ("-t zip --type=tar", "`--type` is given twice"),
            ("deploy", "`deploy` belongs to no option"),
            ("-", "`-` belongs to no option"),
            ("-- -h", "`-h` belongs to no option"),
            ("--", "`--` belongs to no option"),
        ] {
            assert_eq!(read(line).unwrap_err().to_string(), message, "{line}");
        }
    }
}
