//! To whom a command speaks: the group, who deploys to it, and what it is called there. Joins flags and settings.

use longshore_core::failure::Failure;
use longshore_core::ids::{ApplicationName, GroupName};
use longshore_core::store::{S3Options, StoreUrl};

use crate::cli::{SourceArgs, StoreArgs, TargetArgs, UploadArgs};
use crate::environment::Environment;
use crate::identity::Identity;
use crate::settings::{GroupSettings, With};
use crate::site;
use crate::survey::Project;
use crate::upload;

/// A group, and what holds for it.
#[derive(Debug)]
pub(crate) struct Target {
    /// The application.
    pub(crate) application: ApplicationName,
    /// The group.
    pub(crate) group: GroupName,
    /// Who deploys to it.
    pub(crate) with: With,
    /// The region that is named.
    pub(crate) region: Option<String>,
    /// The application's name in CodeDeploy.
    pub(crate) codedeploy_application: String,
    /// The group's name in CodeDeploy.
    pub(crate) codedeploy_group: String,
    /// What the settings say of it.
    pub(crate) settings: GroupSettings,
    /// The source folder and all settings.
    pub(crate) project: Project,
}

impl Target {
    /// What the flags say, else the settings.
    pub(crate) fn of(
        args: &TargetArgs,
        application: Option<&ApplicationName>,
        source: &SourceArgs,
        environment: &Environment,
    ) -> Result<Target, Failure> {
        let project = Project::open(source, environment)?.accept()?;
        project.accept_group(&args.group)?;
        let application = match application {
            Some(name) => name.clone(),
            None => Identity::application_of(environment, &project.source, project.settings.application.as_ref())?,
        };
        Ok(Target::joined(args, application, project))
    }

    fn joined(args: &TargetArgs, application: ApplicationName, project: Project) -> Target {
        let settings = project.settings.group(&args.group);
        let named = |flag: &Option<String>, setting: &Option<String>, name: &str| {
            flag.clone().or_else(|| setting.clone()).unwrap_or_else(|| name.to_owned())
        };
        let there = &settings.codedeploy;
        Target {
            codedeploy_application: named(&args.codedeploy_application, &there.application, application.as_str()),
            codedeploy_group: named(&args.codedeploy_group, &there.deployment_group, args.group.as_str()),
            application,
            group: args.group.clone(),
            with: args.with.or(settings.with).unwrap_or(With::Codedeploy),
            region: args.region.clone().or_else(|| settings.region.clone()),
            settings,
            project,
        }
    }

    /// The store: what is named on the command line, in the environment, or in the settings.
    pub(crate) fn store(&self, args: &StoreArgs, environment: &Environment) -> Result<StoreUrl, Failure> {
        let named = site::named(args, environment)?;
        named.or_else(|| self.settings.store.clone()).ok_or_else(site::no_store)
    }

    /// How S3 is spoken with about that store.
    pub(crate) fn options(&self) -> Result<S3Options, Failure> {
        let options = upload::options(&UploadArgs::default(), &self.project.settings)?;
        Ok(S3Options { region: self.region.clone(), ..options })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};
    use crate::codedeploy::order::Order;
    use crate::settings::CodeDeploySettings;

    /// A folder without `longshore.toml`, and what a group of it is when the settings say this.
    fn target(args: &TargetArgs, settings: GroupSettings) -> Target {
        let folder = tempfile::tempdir().unwrap();
        let source = SourceArgs { source: folder.path().to_owned(), ..SourceArgs::here() };
        let application = "shop".parse().unwrap();
        let target = Target::of(args, Some(&application), &source, &Environment::of(&[])).unwrap();
        let mut project = target.project;
        project.settings.groups.insert(args.group.clone(), settings);
        Target::joined(args, application, project)
    }

    #[test]
    fn a_variable_wins_over_the_file_and_a_flag_over_both() {
        let folder = tempfile::tempdir().unwrap();
        let file = "[groups.prod]\nwith = \"codedeploy\"\nregion = \"us-east-2\"\n[groups.prod.codedeploy]\napplication = \"Shop\"\n\
                    deployment_group = \"Prod\"\ndeployment_config = \"Ours.Half\"\nfile_exists = \"RETAIN\"\n\
                    ignore_stop_failures = true\nrollback = [\"failure\"]\nalarms = [\"cpu\"]\n";
        std::fs::write(folder.path().join("longshore.toml"), file).unwrap();
        let source = SourceArgs { source: folder.path().to_owned(), ..SourceArgs::here() };
        let variables = [
            ("LONGSHORE_WITH", "store"),
            ("LONGSHORE_REGION", "eu-north-1"),
            ("LONGSHORE_CODEDEPLOY_APPLICATION", "Webshop"),
            ("LONGSHORE_CODEDEPLOY_DEPLOYMENT_GROUP", "Blue"),
            ("LONGSHORE_CODEDEPLOY_DEPLOYMENT_CONFIG", "Ours.All"),
            ("LONGSHORE_CODEDEPLOY_FILE_EXISTS", "OVERWRITE"),
            ("LONGSHORE_CODEDEPLOY_IGNORE_STOP_FAILURES", "false"),
            ("LONGSHORE_CODEDEPLOY_ROLLBACK", "alarm,stop"),
            ("LONGSHORE_CODEDEPLOY_ALARMS", "errors"),
        ];
        let group = ["longshore", "deploy", "--group", "prod"].as_slice();
        let flags = [
            "--with=codedeploy",
            "--region=eu-west-1",
            "--codedeploy-application=Flag",
            "--codedeploy-group=Green",
            "--deployment-config=Ours.One",
            "--file-exists=disallow",
            "--ignore-stop-failures",
            "--rollback-on=failure",
            "--alarm=disk",
        ];
        let off = ["--ignore-stop-failures=false", "--no-rollback", "--no-alarms"];
        let found = |flags: &[&str], variables: &[(&str, &str)]| {
            let cli = Cli::try_parse_from([group, flags].concat()).unwrap();
            let Command::Deploy(args) = cli.command else { panic!("`deploy` was asked for") };
            let application = "shop".parse().unwrap();
            let target = Target::of(&args.target, Some(&application), &source, &Environment::of(variables)).unwrap();
            let order = Order::of(&args.codedeploy, &target, "deployed", None, "ann");
            let Order { application, group, config, file_exists, ignore_stop_failures, rollback, alarms, .. } = order;
            format!(
                "{:?} {} {application} {group} {} {:?} {:?} {rollback:?} {alarms:?}",
                target.with,
                target.region.unwrap(),
                config.unwrap(),
                file_exists.unwrap(),
                ignore_stop_failures.unwrap(),
            )
        };
        let by_file = r#"Codedeploy us-east-2 Shop Prod Ours.Half Retain true On([Failure]) On(["cpu"])"#;
        let by_variables = r#"Store eu-north-1 Webshop Blue Ours.All Overwrite false On([Alarm, Stop]) On(["errors"])"#;
        let by_flags = r#"Codedeploy eu-west-1 Flag Green Ours.One Disallow true On([Failure]) On(["disk"])"#;
        assert_eq!(found(&[], &[]), by_file);
        assert_eq!(found(&[], &variables), by_variables);
        assert_eq!(found(&flags, &variables), by_flags);
        assert_eq!(found(&flags, &[]), by_flags);
        assert_eq!(found(&off, &[]), "Codedeploy us-east-2 Shop Prod Ours.Half Retain false Off Off");
    }

    #[test]
    fn a_flag_wins_over_the_settings_and_these_over_the_names_of_ours() {
        let flags = |with, name: Option<&str>| TargetArgs {
            group: "prod".parse().unwrap(),
            with,
            region: name.map(|_| "eu-west-1".to_owned()),
            codedeploy_application: name.map(str::to_owned),
            codedeploy_group: name.map(str::to_owned),
        };
        let settings = || GroupSettings {
            with: Some(With::Store),
            region: Some("us-east-2".to_owned()),
            codedeploy: CodeDeploySettings {
                application: Some("Shop".to_owned()),
                deployment_group: Some("Prod".to_owned()),
                ..CodeDeploySettings::default()
            },
            ..GroupSettings::default()
        };
        for (args, settings, expected) in [
            (flags(None, None), GroupSettings::default(), (With::Codedeploy, None, "shop", "prod")),
            (flags(None, None), settings(), (With::Store, Some("us-east-2"), "Shop", "Prod")),
            (flags(Some(With::Codedeploy), Some("x")), settings(), (With::Codedeploy, Some("eu-west-1"), "x", "x")),
        ] {
            let found = target(&args, settings);
            let Target { with, region, codedeploy_application: application, codedeploy_group: group, .. } = &found;
            assert_eq!((*with, region.as_deref(), application.as_str(), group.as_str()), expected);
        }
    }
}
