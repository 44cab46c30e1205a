//! What CodeDeploy is asked to do, and whether it would take it. Joins flags and settings; checks every limit of the API at
//! once. Pure.

use longshore_core::appspec::FileExists;
use longshore_core::ids::CommitHash;
use longshore_core::problem::nearest;

use crate::cli::CodeDeployArgs;
use crate::settings::{CodeDeploySettings, RollbackOn};
use crate::target::Target;

/// The longest description.
const DESCRIPTION_LIMIT: usize = 256;
/// The longest name of an application, a group or a deployment configuration.
const NAME_LIMIT: usize = 100;
/// How many alarms a deployment watches at most.
const ALARMS_LIMIT: usize = 10;
/// The longest name of an alarm.
const ALARM_LIMIT: usize = 255;
/// The longest key of an object, in bytes.
const KEY_LIMIT: usize = 1024;
/// What the names of AWS's own deployment configurations begin with.
const AWS_CONFIG: &str = "CodeDeployDefault.";
/// Those for instances.
const AWS_CONFIGS: [&str; 3] =
    ["CodeDeployDefault.AllAtOnce", "CodeDeployDefault.HalfAtATime", "CodeDeployDefault.OneAtATime"];

/// What CodeDeploy is asked to do with a revision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Order {
    /// The application.
    pub(crate) application: String,
    /// The group.
    pub(crate) group: String,
    /// The deployment configuration; `None`: that of the group.
    pub(crate) config: Option<String>,
    /// What becomes of files that no deployment installed.
    pub(crate) file_exists: Option<FileExists>,
    /// Whether the deployment goes on when the old release cannot be stopped.
    pub(crate) ignore_stop_failures: Option<bool>,
    /// When it rolls back by itself.
    pub(crate) rollback: Automatic<RollbackOn>,
    /// Which alarms stop it.
    pub(crate) alarms: Automatic<String>,
    /// A text for people.
    pub(crate) description: String,
}

/// What CodeDeploy does by itself during a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Automatic<T> {
    /// What the group says.
    AsTheGroup,
    /// Nothing.
    Off,
    /// On these.
    On(Vec<T>),
}

impl<T> Automatic<T> {
    /// `off`: the flag that turns it off; `flags`: what the command line names; `settings`: what holds without that.
    fn of(off: bool, flags: Vec<T>, settings: Option<Vec<T>>) -> Automatic<T> {
        match (off, flags.is_empty(), settings) {
            (true, _, _) => Automatic::Off,
            (false, false, _) => Automatic::On(flags),
            (false, true, None) => Automatic::AsTheGroup,
            (false, true, Some(listed)) if listed.is_empty() => Automatic::Off,
            (false, true, Some(listed)) => Automatic::On(listed),
        }
    }
}

impl Order {
    /// What flags and settings say. `by`: who deploys, for the description.
    pub(crate) fn of(
        args: &CodeDeployArgs,
        target: &Target,
        what: &str,
        commit: Option<&CommitHash>,
        by: &str,
    ) -> Order {
        let CodeDeploySettings { deployment_config, file_exists, ignore_stop_failures, rollback, alarms, .. } =
            target.settings.codedeploy.clone();
        let mut rollback = Automatic::of(args.no_rollback, args.rollback_on.clone(), rollback);
        if let Automatic::On(events) = &mut rollback {
            let mut seen = Vec::new();
            events.retain(|event| {
                !seen.contains(event) && {
                    seen.push(*event);
                    true
                }
            });
        }
        Order {
            application: target.codedeploy_application.clone(),
            group: target.codedeploy_group.clone(),
            config: args.deployment_config.clone().or(deployment_config),
            file_exists: args.file_exists.or(file_exists),
            ignore_stop_failures: args.ignore_stop_failures.or(ignore_stop_failures),
            rollback,
            alarms: Automatic::of(args.no_alarms, args.alarm.clone(), alarms),
            description: args.description.clone().unwrap_or_else(|| description(what, commit, by)),
        }
    }

    /// Everything that CodeDeploy would refuse, one line each.
    pub(crate) fn problems(&self, region: Option<&str>, key: Option<&str>) -> Vec<String> {
        let mut problems = Vec::new();
        problems.extend(name("the application's name", &self.application));
        problems.extend(name("the group's name", &self.group));
        if let Some(config) = &self.config {
            problems.extend(name("the deployment configuration's name", config));
            problems.extend(of_aws(config));
        }
        let length = self.description.chars().count();
        if length > DESCRIPTION_LIMIT {
            problems.push(format!("the description has {length} characters; {DESCRIPTION_LIMIT} are allowed"));
        }
        if let Automatic::On(names) = &self.alarms {
            problems.extend(alarms(names));
        }
        if let Some(region) = region.filter(|region| !is_region(region)) {
            problems.push(format!("`{}` is no region, for example `eu-west-1`", region.escape_debug()));
        }
        if let Some(key) = key.filter(|key| key.len() > KEY_LIMIT) {
            problems.push(format!("the key of the object has {} bytes; {KEY_LIMIT} are allowed", key.len()));
        }
        problems
    }
}

/// What the names of a group may not be, for commands that create nothing.
pub(crate) fn problems_of_names(target: &Target) -> Vec<String> {
    let mut problems = Vec::new();
    problems.extend(name("the application's name", &target.codedeploy_application));
    problems.extend(name("the group's name", &target.codedeploy_group));
    if let Some(region) = target.region.as_ref().filter(|region| !is_region(region)) {
        problems.push(format!("`{}` is no region, for example `eu-west-1`", region.escape_debug()));
    }
    problems
}

/// `Commit 0123456789ab, deployed by ann, GitLab CI 7`, cut where it is too long.
fn description(what: &str, commit: Option<&CommitHash>, by: &str) -> String {
    let commit = commit.map(|commit| format!("Commit {commit}, ")).unwrap_or_default();
    let text = format!("{commit}{what} by {}", by.replace(char::is_control, " "));
    match text.char_indices().nth(DESCRIPTION_LIMIT) {
        None => text,
        Some(_) => text.chars().take(DESCRIPTION_LIMIT - 1).chain(['…']).collect(),
    }
}

fn name(what: &str, name: &str) -> Option<String> {
    let length = name.chars().count();
    if !(1..=NAME_LIMIT).contains(&length) {
        return Some(format!("{what} has {length} characters; 1 to {NAME_LIMIT} are allowed"));
    }
    let bad = name.chars().find(|sign| !(sign.is_ascii_alphanumeric() || "._+=,@-".contains(*sign)))?;
    Some(format!("{what} has the character {bad:?}; allowed are letters, digits and `. _ + = , @ -`"))
}

/// Names that begin as AWS's own do are AWS's own.
fn of_aws(config: &str) -> Option<String> {
    if !config.starts_with(AWS_CONFIG) || AWS_CONFIGS.contains(&config) {
        return None;
    }
    if config.starts_with("CodeDeployDefault.Lambda") || config.starts_with("CodeDeployDefault.ECS") {
        return Some(format!("`{config}` is not for instances; those are {}", AWS_CONFIGS.join(", ")));
    }
    let way = match nearest(config, AWS_CONFIGS.into_iter()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", AWS_CONFIGS.join(", ")),
    };
    Some(format!("`{}` is no deployment configuration of AWS; {way}", config.escape_debug()))
}

fn alarms(names: &[String]) -> Vec<String> {
    let mut problems = Vec::new();
    if names.len() > ALARMS_LIMIT {
        problems.push(format!("{} alarms are named; {ALARMS_LIMIT} are allowed", names.len()));
    }
    for (index, name) in names.iter().enumerate() {
        let length = name.chars().count();
        if !(1..=ALARM_LIMIT).contains(&length) {
            problems.push(format!("the name of an alarm has {length} characters; 1 to {ALARM_LIMIT} are allowed"));
        }
        if names[..index].contains(name) {
            problems.push(format!("the alarm `{}` is named twice", name.escape_debug()));
        }
    }
    problems
}

/// The region becomes a part of host names and links.
fn is_region(text: &str) -> bool {
    let sign = |sign: u8| sign.is_ascii_lowercase() || sign.is_ascii_digit() || sign == b'-';
    (3..=40).contains(&text.len()) && text.bytes().all(sign) && text.contains('-')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order() -> Order {
        Order {
            application: "shop".into(),
            group: "prod".into(),
            config: None,
            file_exists: None,
            ignore_stop_failures: None,
            rollback: Automatic::AsTheGroup,
            alarms: Automatic::AsTheGroup,
            description: String::new(),
        }
    }

    #[test]
    fn every_limit_is_checked_and_all_that_is_wrong_is_said_at_once() {
        assert_eq!(order().problems(Some("eu-west-1"), Some("k")), Vec::<String>::new());
        let all = Order {
            application: "sh op".into(),
            group: "x".repeat(101),
            config: Some("CodeDeployDefault.OneAtATme".into()),
            alarms: Automatic::On((0..11).map(|number| format!("alarm-{}", number % 10)).collect()),
            description: "ä".repeat(257),
            ..order()
        };
        assert_eq!(
            all.problems(Some("EU West"), Some(&"k".repeat(1025))),
            [
                "the application's name has the character ' '; allowed are letters, digits and `. _ + = , @ -`",
                "the group's name has 101 characters; 1 to 100 are allowed",
                "`CodeDeployDefault.OneAtATme` is no deployment configuration of AWS; did you mean \
                 `CodeDeployDefault.OneAtATime`?",
                "the description has 257 characters; 256 are allowed",
                "11 alarms are named; 10 are allowed",
                "the alarm `alarm-0` is named twice",
                "`EU West` is no region, for example `eu-west-1`",
                "the key of the object has 1025 bytes; 1024 are allowed",
            ]
        );
    }

    #[test]
    fn what_is_at_its_limit_is_allowed() {
        let full = Order {
            application: "x".repeat(100),
            group: "._+=,@-".into(),
            config: Some("CodeDeployDefault.HalfAtATime".into()),
            alarms: Automatic::On((0..10).map(|number| format!("{number}{}", "a".repeat(254))).collect()),
            description: "ä".repeat(256),
            ..order()
        };
        assert_eq!(full.problems(None, Some(&"k".repeat(1024))), Vec::<String>::new());
        let own = Order { config: Some("Ours.Half".into()), ..order() };
        assert_eq!(own.problems(None, None), Vec::<String>::new());
        let lambda = Order { config: Some("CodeDeployDefault.LambdaAllAtOnce".into()), ..order() };
        assert_eq!(lambda.problems(None, None).len(), 1);
    }

    #[test]
    fn flags_win_over_settings_and_an_empty_list_there_means_off() {
        let on = |names: &[&str]| -> Vec<String> { names.iter().map(|name| (*name).to_owned()).collect() };
        for (off, flags, settings, expected) in [
            (false, vec![], None, Automatic::AsTheGroup),
            (false, vec![], Some(vec![]), Automatic::Off),
            (false, vec![], Some(on(&["a"])), Automatic::On(on(&["a"]))),
            (false, on(&["b"]), Some(on(&["a"])), Automatic::On(on(&["b"]))),
            (true, vec![], Some(on(&["a"])), Automatic::Off),
        ] {
            assert_eq!(Automatic::of(off, flags, settings), expected);
        }
    }

    #[test]
    fn a_description_of_ours_names_commit_and_person_and_is_never_too_long() {
        let commit = "0123456789abcdef0123456789abcdef01234567".parse().unwrap();
        assert_eq!(
            description("deployed", Some(&commit), "ann, GitLab CI 7"),
            "Commit 0123456789abcdef0123456789abcdef01234567, deployed by ann, GitLab CI 7"
        );
        assert_eq!(description("rolled back", None, "a\nb"), "rolled back by a b");
        let long = description("deployed", None, &"ö".repeat(300));
        assert!(long.chars().count() == 256 && long.ends_with("ö…"), "{long}");
    }
}
