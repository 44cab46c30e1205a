//! Where the store of a command is, and how S3 is spoken with there: which region requests are signed for, and how what is stored is
//! kept. Joins flags, environment and settings. Asks no store anything.

use longshore_core::failure::{Exit, Failure};
use longshore_core::figures::quoted;
use longshore_core::ids::GroupName;
use longshore_core::store::{InvalidUrl, S3Options, Store, StoreError, StoreUrl};

use crate::cli::{SiteArgs, SourceArgs, StoreArgs, UploadArgs};
use crate::environment::Environment;
use crate::settings::Settings;
use crate::survey::Project;
use crate::upload;

/// The variable that names the store.
const STORE_VARIABLE: &str = "LONGSHORE_STORE";

/// A store that is not opened yet.
#[derive(Debug)]
pub(crate) struct Site {
    /// Where it is.
    pub(crate) url: StoreUrl,
    /// How S3 is spoken with.
    pub(crate) options: S3Options,
}

/// Why it is not known which store is meant.
#[derive(Debug, thiserror::Error)]
enum SiteError {
    /// No store is named.
    #[error("no store is named")]
    NoStore,
    /// The variable names none.
    #[error("`{STORE_VARIABLE}` holds no store")]
    Variable(#[source] InvalidUrl),
    /// One command is about one store.
    #[error("groups `{first}` and `{other}` have different {what} in longshore.toml")]
    Several { first: GroupName, other: GroupName, what: &'static str },
}

impl Site {
    /// What the flags and variables say, else longshore.toml in the source folder for the groups. The file is not looked at when it
    /// does not matter: how a folder is spoken with stands nowhere.
    pub(crate) fn of(
        args: &SiteArgs,
        environment: &Environment,
        source: &SourceArgs,
        groups: &[GroupName],
    ) -> Result<Site, Failure> {
        match named(&args.store, environment)? {
            Some(url @ StoreUrl::Dir(_)) => Ok(Site { url, options: S3Options::default() }),
            Some(StoreUrl::S3 { .. }) | None => {
                let project = Project::open(source, environment)?.accept()?;
                Site::within(args, &UploadArgs::default(), environment, &project.settings, groups)
            }
        }
    }

    /// The same with settings that are read, and with what is said of uploads.
    pub(crate) fn within(
        args: &SiteArgs,
        upload: &UploadArgs,
        environment: &Environment,
        settings: &Settings,
        groups: &[GroupName],
    ) -> Result<Site, Failure> {
        let named = named(&args.store, environment)?;
        let of_settings = || match groups {
            [] => Ok(settings.store.clone()),
            groups => agreed(groups, |group| settings.group(group).store, "stores"),
        };
        let url = named.map_or_else(of_settings, |url| Ok(Some(url)))?.ok_or_else(no_store)?;
        let region = match (&args.region, groups, &url) {
            (Some(region), _, _) => Some(region.clone()),
            (None, _, StoreUrl::Dir(_)) => None,
            (None, [], StoreUrl::S3 { .. }) => settings.region.clone(),
            (None, groups, StoreUrl::S3 { .. }) => agreed(groups, |group| settings.group(group).region, "regions")
                .map_err(|failure| failure.hint("or name the region of the store with `--region`"))?,
        };
        let options = S3Options { region, ..upload::options(upload, settings)? };
        // Before anything is built or asked for.
        if let StoreUrl::S3 { .. } = url {
            options.check().map_err(StoreError::from)?;
        }
        Ok(Site { url, options })
    }

    /// The same as it is to be typed.
    pub(crate) fn flags(&self) -> String {
        // It may come from settings and variables that whoever types it does not have.
        let region = self.options.region.as_ref().map(|region| format!(" --region {}", quoted(region)));
        format!("--to {}{}", quoted(&self.url.to_string()), region.unwrap_or_default())
    }

    /// Opens it.
    pub(crate) async fn open(&self) -> Result<Store, StoreError> {
        Store::open_with(&self.url, &self.options).await
    }
}

/// The store that the command line or the environment names.
pub(crate) fn named(args: &StoreArgs, environment: &Environment) -> Result<Option<StoreUrl>, Failure> {
    if let Some(url) = &args.to {
        return Ok(Some(url.clone()));
    }
    let named = environment.get(STORE_VARIABLE).map(str::parse).transpose();
    named.map_err(|invalid| Failure::new(Exit::Usage, SiteError::Variable(invalid)))
}

/// That nobody names a store.
pub(crate) fn no_store() -> Failure {
    Failure::new(Exit::Usage, SiteError::NoStore).hint(format!(
        "name it with `--to s3://bucket/prefix`, write `store = \"s3://bucket/prefix\"` into longshore.toml, or set `{STORE_VARIABLE}`"
    ))
}

/// What all groups have.
fn agreed<T: PartialEq>(
    groups: &[GroupName],
    of: impl Fn(&GroupName) -> Option<T>,
    what: &'static str,
) -> Result<Option<T>, Failure> {
    let Some((first, others)) = groups.split_first() else { return Ok(None) };
    let value = of(first);
    match others.iter().find(|other| of(other) != value) {
        None => Ok(value),
        Some(other) => {
            let several = SiteError::Several { first: first.clone(), other: other.clone(), what };
            Err(Failure::new(Exit::Usage, several).hint("run the command once for each of them"))
        }
    }
}
