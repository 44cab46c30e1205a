//! Reads a source folder and joins recipe, listing, plan and lints into one answer. Writes nothing.

mod contents;
mod listed;
mod scripts;

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use longshore_core::appspec;
use longshore_core::bundle::BundlePath;
use longshore_core::failure::{Exit, Failure};
use longshore_core::ids::GroupName;
use longshore_core::problem::{Problem, SourceFile, has_errors, nearest};

use crate::cli::{Allow, FileListArgs, SourceArgs};
use crate::compose::{Brought, Compose, references};
use crate::environment::Environment;
use crate::lint;
use crate::lint::secret::AllowedSecret;
use crate::listing::{Kind, Listing, Reach};
use crate::plan::{self, BuildPlan, is_compose_file};
use crate::recipe::Recipe;
use crate::settings::{self, SETTINGS_FILE, Settings};
use crate::shellcheck::{self, Shellcheck};
use crate::silence::{self, Said, Silence, Silenced};
use crate::text_file;
use contents::Contents;
use listed::{Listed, Sources};
use scripts::Scripts;

/// The folder for artifacts when nothing names one.
const DEFAULT_OUT: &str = "dist";

/// A source folder and its settings.
#[derive(Debug)]
pub(crate) struct Project {
    /// The source folder, absolute, links resolved.
    pub(crate) source: PathBuf,
    /// The folder for artifacts.
    pub(crate) out: PathBuf,
    /// `longshore.toml`, or what holds without one.
    pub(crate) settings: Settings,
    /// What is wrong with it.
    pub(crate) problems: Vec<Problem>,
}

/// What a source folder holds, and what is wrong with it.
#[derive(Debug)]
pub(crate) struct Survey {
    /// The source folder, absolute, links resolved.
    pub(crate) source: PathBuf,
    /// The folder for artifacts.
    pub(crate) out: PathBuf,
    /// The recipe.
    pub(crate) recipe: Recipe,
    /// The files of the bundle.
    pub(crate) plan: BuildPlan,
    /// The compose files of the groups; [`crate::compose::images::images`] says what they run.
    pub(crate) compose: Compose,
    /// Files that are not packed but decide what is.
    pub(crate) deciding: BTreeSet<BundlePath>,
    /// Everything that is wrong and not allowed.
    pub(crate) problems: Vec<Problem>,
    /// What is allowed.
    pub(crate) silenced: Vec<Silenced>,
    /// What became of shellcheck.
    pub(crate) shellcheck: Shellcheck,
    /// What is worth knowing and wrong with nothing, one sentence each.
    pub(crate) notes: Vec<String>,
}

/// What the command line lets pass, beside what the settings do.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lenience<'a> {
    /// `--allow`.
    pub(crate) allow: &'a [Allow],
    /// `--allow-secret`.
    pub(crate) secrets: &'a [String],
    /// `--no-shellcheck`.
    pub(crate) no_shellcheck: bool,
}

/// Why a source folder could not be read.
#[derive(Debug, thiserror::Error)]
enum SurveyError {
    /// The folder cannot be opened.
    #[error("cannot open source folder `{path}`")]
    Source { path: PathBuf, source: io::Error },
    /// A file cannot be read.
    #[error("cannot read `{path}`")]
    Read { path: PathBuf, source: io::Error },
    /// There is no appspec.
    #[error("there is no `{name}` in `{folder}`")]
    NoAppspec { name: String, folder: PathBuf },
    /// `--appspec` names no path below the source folder.
    #[error("`--appspec` must name a file below the source folder")]
    AppspecPath(#[source] longshore_core::bundle::InvalidPath),
    /// `--from-buildspec` names no path below the source folder.
    #[error("`--from-buildspec` must name a file below the source folder")]
    BuildspecPath,
    /// There is no buildspec.
    #[error("there is no buildspec `{path}` in `{folder}`")]
    NoBuildspec { path: String, folder: PathBuf },
    /// `--secondary-artifact` is about a buildspec.
    #[error("`--secondary-artifact` names a part of a buildspec, and none is named")]
    NoList,
    /// The settings list groups, and not this one.
    #[error("`{SETTINGS_FILE}` lists no group `{0}`")]
    NoGroup(GroupName),
    /// Errors in files.
    #[error("{0}")]
    Problems(String),
}

impl Project {
    /// Opens a source folder, reads its settings and lays the environment over them.
    pub(crate) fn open(args: &SourceArgs, environment: &Environment) -> Result<Project, Failure> {
        let open = |source| {
            let exit = if is_missing(&source) { Exit::NotFound } else { Exit::Failed };
            Failure::new(exit, SurveyError::Source { path: args.source.clone(), source })
        };
        let source = args.source.canonicalize().map_err(open)?;
        // A file here would otherwise show as a missing appspec.
        fs::read_dir(&source).map_err(open)?;
        let (mut settings, mut problems) = match read_text(&source, SETTINGS_FILE)? {
            Some(text) => Settings::parse(&text),
            None => (Settings::none(), Vec::new()),
        };
        problems.extend(settings.overlay(environment));
        let out = match (&args.out, &settings.out) {
            (Some(out), _) => resolved(out)?,
            (None, Some(out)) => out.under(&source),
            (None, None) => source.join(DEFAULT_OUT),
        };
        Ok(Project { source, out, settings, problems })
    }

    /// Refuses a group that `longshore.toml` does not list when it lists one that is called nearly so: a misspelt group would be
    /// made anew.
    pub(crate) fn accept_group(&self, group: &GroupName) -> Result<(), Failure> {
        let groups = &self.settings.groups;
        match nearest(group.as_str(), groups.keys().map(GroupName::as_str)) {
            Some(near) if !groups.contains_key(group) => {
                let failure = Failure::new(Exit::NotFound, SurveyError::NoGroup(group.clone()));
                Err(failure.hint(format!("did you mean `{near}`? If not, add it: `[groups.{group}]`")))
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Refuses settings with errors.
    pub(crate) fn accept(self) -> Result<Project, Failure> {
        if !has_errors(&self.problems) {
            return Ok(self);
        }
        let of_variables = self.problems.iter().filter(|problem| settings::is_of_variable(problem)).count();
        let what = match of_variables {
            0 => SETTINGS_FILE,
            all if all == self.problems.len() => "the environment",
            _ => "the environment, and longshore.toml,",
        };
        Err(refusal(&self.problems, what).with_problems(self.problems))
    }
}

impl Survey {
    /// Looks at everything. The problems of files are in the result, unless there is no appspec to go by.
    pub(crate) fn of(
        args: &SourceArgs,
        file_list: &FileListArgs,
        lenience: Lenience<'_>,
        environment: &Environment,
    ) -> Result<Survey, Failure> {
        let Project { source, out, settings, mut problems } = Project::open(args, environment)?;
        let buildspec = listed::buildspec(&source, file_list, &settings)?;
        let buildspec_path = buildspec.as_ref().and_then(|buildspec| buildspec.text.name.parse::<BundlePath>().ok());
        let sources = match buildspec {
            None => Sources::of_appspec(args, &source, &mut problems)?,
            Some(buildspec) => Sources::of_buildspec(args, &source, &out, &settings, &buildspec, &mut problems)?,
        };
        let Sources { appspec_path, appspec_source, listed } = sources;
        let parsed = appspec::parse(&appspec_source);
        problems.extend(parsed.problems);
        let Some(appspec) = parsed.appspec else {
            return Err(refusal(&problems, "the appspec").with_problems(problems));
        };
        let recipe = Recipe { settings, appspec_path, appspec_source, appspec };

        let (listing, (plan, missing), notes) = match listed {
            None => {
                let listing = list(&source, &out, &recipe)?;
                problems.extend(listing.problems.iter().cloned());
                let planned = plan::plan(&recipe, &listing);
                (listing, planned, Vec::new())
            }
            Some(Listed { listing, files, artifacts }) => {
                let who = format!("`{}`", artifacts.source.name);
                let planned = plan::plan_listed(&recipe, &listing, files, &who);
                (listing, planned, artifacts.notes)
            }
        };
        problems.extend(missing);
        problems.extend(lint::event::lint(&recipe.appspec, &recipe.appspec_source, &problems));
        let scripts = Scripts::read(&source, &recipe, &plan)?;
        problems.extend(scripts.problems);
        let (shellcheck, findings) = match lenience.no_shellcheck {
            true => (Shellcheck::Off, Vec::new()),
            false => shellcheck::run(&source, &scripts.checked),
        };
        problems.extend(findings);
        let contents = look_into(&source, &plan, &recipe.settings, lenience)?;
        let (compose, wrong) = survey_compose(&source, &recipe, &plan, &listing, contents.secrets)?;
        problems.extend(wrong);
        problems.extend(contents.problems);
        problems.extend(lint_submodules(&source, &recipe, &listing)?);
        let mut commented = scripts.sources;
        commented.push(Arc::clone(&recipe.appspec_source));
        let silences = silences(&source, &plan, &recipe.settings, lenience, &commented, &mut problems)?;
        let looked = |code: &str| shellcheck == Shellcheck::Ran || !code.starts_with("SC");
        let judged = silence::judge(problems, &silences, &looked);

        let mut deciding = listing.ignore_files;
        deciding.extend([SETTINGS_FILE.parse().expect("the name of the settings file is a valid path")]);
        let silence::Judged { problems, silenced } = judged;
        deciding.extend(buildspec_path);
        Ok(Survey { source, out, recipe, plan, compose, deciding, problems, silenced, shellcheck, notes })
    }

    /// Refuses errors, and with [`Strictness::Strict`] warnings too.
    pub(crate) fn accept(self, strictness: Strictness) -> Result<Survey, Failure> {
        let refused = match strictness {
            Strictness::Errors => has_errors(&self.problems),
            Strictness::Strict => !self.problems.is_empty(),
        };
        if !refused {
            return Ok(self);
        }
        let failure = refusal(&self.problems, "the project");
        let failure = if has_errors(&self.problems) {
            failure
        } else {
            failure.hint("`--strict` makes warnings fail; without it they do not")
        };
        Err(failure.with_problems(self.problems))
    }

    /// The files that make a difference to the artifact: those that are packed, and those that decide which are.
    pub(crate) fn matter(&self) -> BTreeSet<BundlePath> {
        self.deciding.iter().chain(self.plan.files.values().map(|planned| &planned.from)).cloned().collect()
    }

    /// How many problems are errors, and how many are not.
    pub(crate) fn counts(&self) -> (usize, usize) {
        let errors = self.problems.iter().filter(|problem| problem.is_error()).count();
        (errors, self.problems.len() - errors)
    }
}

/// What is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// Errors.
    Errors,
    /// Errors and warnings.
    Strict,
}

impl Strictness {
    /// What `--strict` asks for.
    pub(crate) fn of_flag(strict: bool) -> Strictness {
        if strict { Strictness::Strict } else { Strictness::Errors }
    }
}

fn refusal(problems: &[Problem], what: &str) -> Failure {
    let errors = problems.iter().filter(|problem| problem.is_error()).count();
    let warnings = problems.len() - errors;
    let errors_text = longshore_core::figures::plural(errors, "error");
    let warnings_text = longshore_core::figures::plural(warnings, "warning");
    let text = match (errors, warnings) {
        (_, 0) => format!("{what} has {errors_text}"),
        (0, _) => format!("{what} has {warnings_text}"),
        (_, _) => format!("{what} has {errors_text} and {warnings_text}"),
    };
    let mut errors = problems.iter().filter(|problem| problem.is_error()).peekable();
    let of_variables = errors.peek().is_some() && errors.all(settings::is_of_variable);
    let exit = if of_variables { Exit::Usage } else { Exit::Invalid };
    Failure::new(exit, SurveyError::Problems(text))
}

fn is_missing(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory)
}

/// An absolute path with the links of all that exists of it resolved.
fn resolved(path: &Path) -> Result<PathBuf, Failure> {
    let failed = |source| Failure::new(Exit::Failed, SurveyError::Read { path: path.to_owned(), source });
    let absolute = std::path::absolute(path).map_err(failed)?;
    for ancestor in absolute.ancestors() {
        let Ok(existing) = ancestor.canonicalize() else { continue };
        let rest = absolute.strip_prefix(ancestor).unwrap_or(Path::new(""));
        let mut resolved = existing;
        for component in rest.components() {
            match component {
                Component::ParentDir => {
                    resolved.pop();
                }
                Component::Normal(_) | Component::CurDir | Component::RootDir | Component::Prefix(_) => {
                    resolved.push(component);
                }
            }
        }
        return Ok(resolved);
    }
    Ok(absolute)
}

/// A file of the source folder as text, bytes that are not UTF-8 replaced; `None` when it does not exist.
fn read_text(source: &Path, name: &str) -> Result<Option<Arc<SourceFile>>, Failure> {
    let path = source.join(name);
    match text_file::read(&path) {
        Ok(bytes) => Ok(Some(SourceFile::new(name, String::from_utf8_lossy(&bytes)))),
        Err(error) if is_missing(&error) => Ok(None),
        Err(source) => Err(Failure::new(Exit::Failed, SurveyError::Read { path, source })),
    }
}

fn find_appspec(source: &Path, asked: Option<&str>) -> Result<(BundlePath, Arc<SourceFile>), Failure> {
    let names = match asked {
        Some(asked) => {
            let path = BundlePath::normalized(asked)
                .map_err(|invalid| Failure::new(Exit::Usage, SurveyError::AppspecPath(invalid)))?;
            vec![path]
        }
        None => appspec::NAMES.iter().filter_map(|name| name.parse().ok()).collect(),
    };
    for name in &names {
        if let Some(text) = read_text(source, name.as_str())? {
            return Ok((name.clone(), text));
        }
    }
    let name = asked.unwrap_or(appspec::NAMES[0]).to_owned();
    let hint = match near_appspec(source, &name) {
        Some(near) => format!("did you mean `{near}`? A host looks for `appspec.yml` and nothing else"),
        None if asked.is_some() => "paths start at the source folder".to_owned(),
        None => "`longshore init` writes a starter set; `--source` names another folder".to_owned(),
    };
    Err(Failure::new(Exit::NotFound, SurveyError::NoAppspec { name, folder: source.to_owned() }).hint(hint))
}

fn near_appspec(source: &Path, name: &str) -> Option<String> {
    let entries = fs::read_dir(source).ok()?.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    // Nearly the same name, and another thing.
    let names: Vec<String> = entries.filter(|name| !name.starts_with("buildspec")).collect();
    let lower: Vec<String> = names.iter().map(|name| name.to_lowercase()).collect();
    let near = nearest(name, lower.iter().map(String::as_str))?;
    names.iter().find(|name| name.to_lowercase() == near).cloned()
}

/// Two appspecs side by side: one of them is read by nobody.
fn shadowed(source: &Path, chosen: &BundlePath) -> Option<Problem> {
    let [first, second] = appspec::NAMES;
    if chosen.as_str() != first || !source.join(second).is_file() {
        return None;
    }
    let file = SourceFile::new(second, "");
    let message = format!("nobody reads it, because `{first}` stands beside it");
    Some(Problem::warning("LS410", &file, None, message).with_fix("remove one of the two"))
}

fn list(source: &Path, out: &Path, recipe: &Recipe) -> Result<Listing, Failure> {
    let read = |enters: &dyn Fn(&BundlePath) -> bool| read_listing(source, out, &recipe.settings, enters);
    let listing = read(&|folder| recipe.enters(folder))?;
    // A link may lead to a folder that nothing names.
    let through_links = listing.entries.iter().any(|(path, kind)| match kind {
        Kind::Link(_) => recipe.enters(path),
        Kind::File { .. } | Kind::Folder | Kind::Special(_) => false,
    });
    if through_links { read(&|_| true) } else { Ok(listing) }
}

fn read_listing(
    source: &Path,
    out: &Path,
    settings: &Settings,
    enters: &dyn Fn(&BundlePath) -> bool,
) -> Result<Listing, Failure> {
    let below = out.strip_prefix(source).ok().and_then(|below| below.to_str()?.parse::<BundlePath>().ok());
    let reach = Reach { source, out: below.as_ref(), exclude: &settings.exclude, enters };
    Listing::read(&reach).map_err(|error| Failure::new(Exit::Failed, error))
}

fn survey_compose(
    source: &Path,
    recipe: &Recipe,
    plan: &BuildPlan,
    listing: &Listing,
    secrets: Vec<BundlePath>,
) -> Result<(Compose, Vec<Problem>), Failure> {
    let brought = Brought {
        secrets: secrets.into_iter().collect(),
        packed: plan.files.keys().cloned().collect(),
        installed: recipe.appspec.files.iter().map(|mapping| mapping.destination.clone()).collect(),
    };
    let failed = RefCell::new(None);
    let read = |path: &BundlePath| {
        // In the bundle a file may have another name than here.
        let from = plan.files.get(path).map_or(path, |planned| &planned.from);
        // A folder or pipe that a compose file names as a file is for Docker to refuse.
        if !from.under(source).is_file() {
            return None;
        }
        read_text(source, from.as_str()).unwrap_or_else(|failure| {
            failed.borrow_mut().get_or_insert(failure);
            None
        })
    };
    let (compose, mut wrong) = Compose::read(&recipe.settings, &brought, &read);
    let mut texts: BTreeMap<BundlePath, Arc<SourceFile>> = compose.documents().clone();
    for path in plan.files.keys().filter(|path| is_compose_file(path)) {
        if let Some(text) = read(path) {
            texts.insert(path.clone(), text);
        }
    }
    if let Some(failure) = failed.into_inner() {
        return Err(failure);
    }
    let mut problems = Vec::new();
    let mut files = Vec::new();
    for text in texts.values() {
        let (file, wrong) = references::read(text);
        problems.extend(wrong);
        files.push(file);
    }
    let on_disk = references::paths(&files).into_iter().filter(|path| path.under(source).exists()).collect();
    problems.extend(references::lint(&files, plan, listing, &on_disk));
    // A context that the bundle lacks says already that hosts cannot build the service.
    let is_told = |at: &str| problems.iter().any(|told| told.code == "LS303" && told.path.starts_with(at));
    wrong.retain(|problem| problem.code != "LS314" || !is_told(&format!("{}.build", problem.path)));
    problems.extend(wrong);
    Ok((compose, problems))
}

fn look_into(
    source: &Path,
    plan: &BuildPlan,
    settings: &Settings,
    lenience: Lenience<'_>,
) -> Result<Contents, Failure> {
    let allowed = |path: &String, said_by| AllowedSecret { path: path.clone(), said_by };
    let of_settings = settings.allow_secrets.iter().map(|path| allowed(path, SETTINGS_FILE));
    let of_flags = lenience.secrets.iter().map(|path| allowed(path, "--allow-secret"));
    let allowed: Vec<AllowedSecret> = of_settings.chain(of_flags).collect();
    Contents::read(source, plan, &allowed).map_err(|unreadable| {
        let contents::Unreadable { path, source } = unreadable;
        Failure::new(Exit::Failed, SurveyError::Read { path, source })
    })
}

/// Every wish not to hear of something. `commented`: files whose comments count, beside the compose files.
fn silences(
    source: &Path,
    plan: &BuildPlan,
    settings: &Settings,
    lenience: Lenience<'_>,
    commented: &[Arc<SourceFile>],
    problems: &mut Vec<Problem>,
) -> Result<Vec<Silence>, Failure> {
    let mut silences = Vec::new();
    let mut add = |(silence, wrong): (Silence, Vec<Problem>)| {
        silences.push(silence);
        problems.extend(wrong);
    };
    for allowed in &settings.allowed {
        let span = Some(allowed.span.clone());
        add(Silence::of(&allowed.code, allowed.file.as_deref(), Said::Settings, &allowed.source, span));
    }
    let flag = SourceFile::new("--allow", "");
    for allow in lenience.allow {
        add(Silence::of(&allow.code, allow.file.as_deref(), Said::Flag, &flag, None));
    }
    for text in commented {
        silences.extend(Silence::of_comments(text));
    }
    for (_, planned) in plan.files.iter().filter(|(path, _)| is_compose_file(path)) {
        if let Some(text) = read_text(source, planned.from.as_str())? {
            silences.extend(Silence::of_comments(&text));
        }
    }
    Ok(silences)
}

fn lint_submodules(source: &Path, recipe: &Recipe, listing: &Listing) -> Result<Vec<Problem>, Failure> {
    let Some(modules) = read_text(source, ".gitmodules")? else { return Ok(Vec::new()) };
    let is_empty = |path: &BundlePath| {
        recipe.enters(path) && listing.entries.get(path) == Some(&Kind::Folder) && listing.below(path).next().is_none()
    };
    Ok(lint::files::submodules(&modules, &is_empty))
}

fn read_head(path: &Path, limit: u64) -> Result<Vec<u8>, Failure> {
    let mut head = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit).read_to_end(&mut head))
        .map_err(|source| Failure::new(Exit::Failed, SurveyError::Read { path: path.to_owned(), source }))?;
    Ok(head)
}
