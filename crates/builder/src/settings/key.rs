//! Every key of `longshore.toml`: its variable, its flag, its default, and what reads its value. The parser, the environment
//! and `longshore config` all go by this one table, and tests hold the schema and the documents against it.

use super::given::{self, Given};
use super::{GroupSettings, Settings};

/// One key.
#[derive(Debug)]
pub(crate) struct Key {
    /// Its name. `*` stands for the name of a group.
    pub(crate) name: &'static str,
    /// The variable that goes before it; one of a group's goes before that of whichever group a command is about.
    pub(crate) variable: Option<&'static str>,
    /// The flag that goes before both; `--set` takes every key.
    pub(crate) flag: Option<&'static str>,
    /// What holds when nothing is said.
    pub(crate) default: Usual,
    /// What is written.
    pub(super) shape: Shape,
    pub(super) slot: Slot,
}

/// What holds when nothing is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Usual {
    /// Nothing.
    Nothing,
    /// A value.
    Value(&'static str),
    /// What is found out, in words.
    Words(&'static str),
}

/// What a key's value looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    List,
    /// A table of texts.
    Pairs,
    Flag,
    /// The least and the most; [`u32::MAX`]: any number.
    Count(u32, u32),
}

/// Takes a value to its place, or leaves out what is wrong with it.
type Take<T> = fn(&mut T, &mut Given<'_>);

/// Where a value goes.
#[derive(Debug, Clone, Copy)]
pub(super) enum Slot {
    Top(Take<Settings>),
    Group(Take<GroupSettings>),
    /// One of two halves of a store's URL.
    Half,
}

impl Key {
    /// What `--set` calls it: without the group, which is the one that a command is about.
    pub(super) fn set_name(&self) -> &'static str {
        self.name.trim_start_matches("groups.*.")
    }
}

impl Shape {
    /// How it is written, with the key's own name.
    pub(super) fn example(self) -> &'static str {
        match self {
            Shape::Text => "a text: `\"…\"`",
            Shape::List => "a list of texts: `[\"…\", \"…\"]`",
            Shape::Pairs => "a table of texts: `{ name = \"value\" }`",
            Shape::Flag => "`true` or `false`",
            Shape::Count(..) => "a whole number",
        }
    }
}

/// The row of a key.
pub(crate) fn key(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// All keys, in the order of the documents.
pub(crate) static KEYS: [Key; 37] = [
    top(
        "application",
        "LONGSHORE_APPLICATION",
        Some("--application"),
        Usual::Words("the name of the repository's folder"),
        Shape::Text,
        |to, given| {
            to.application = given.text(|word| word.text.parse().map_err(|invalid| given::name(&invalid)));
        },
    ),
    top("store", "LONGSHORE_STORE", Some("--to"), Usual::Nothing, Shape::Text, |to, given| {
        to.store = given.text(given::store);
    }),
    half("bucket"),
    half("prefix"),
    top(
        "region",
        "LONGSHORE_REGION",
        Some("--region"),
        Usual::Words("as the AWS CLI finds it"),
        Shape::Text,
        |to, given| {
            to.region = given.text(given::region);
        },
    ),
    top(
        "build.include",
        "LONGSHORE_BUILD_INCLUDE",
        Some("--set build.include"),
        Usual::Nothing,
        Shape::List,
        |to, given| {
            to.include = given.included();
        },
    ),
    top(
        "build.exclude",
        "LONGSHORE_BUILD_EXCLUDE",
        Some("--set build.exclude"),
        Usual::Nothing,
        Shape::List,
        |to, given| {
            to.exclude = given.rules();
        },
    ),
    top("build.out", "LONGSHORE_BUILD_OUT", Some("--out"), Usual::Value("dist"), Shape::Text, |to, given| {
        to.out = given
            .text(|word| given::below(word, "folder").map_err(|wrong| wrong.fix("for a folder elsewhere use `--out`")));
    }),
    top(
        "build.allow_secrets",
        "LONGSHORE_BUILD_ALLOW_SECRETS",
        Some("--allow-secret"),
        Usual::Nothing,
        Shape::List,
        |to, given| {
            to.allow_secrets = given.list(given::filled).unwrap_or_default();
        },
    ),
    top(
        "build.buildspec",
        "LONGSHORE_BUILD_BUILDSPEC",
        Some("--from-buildspec"),
        Usual::Nothing,
        Shape::Text,
        |to, given| {
            to.buildspec = given.text(|word| given::below(word, "file"));
        },
    ),
    top("lint.allow", "LONGSHORE_LINT_ALLOW", Some("--allow"), Usual::Nothing, Shape::List, |to, given| {
        let source = given.source();
        to.allowed = given.list(|word| given::allowed(word, &source)).unwrap_or_default();
    }),
    Key {
        variable: None,
        ..top("sign.key", "", Some("--key"), Usual::Nothing, Shape::Text, |to, given| {
            to.sign.key = given.text(given::filled).map(Into::into);
        })
    },
    top("sign.kms_key", "LONGSHORE_SIGN_KMS_KEY", Some("--kms-key"), Usual::Nothing, Shape::Text, |to, given| {
        to.sign.kms_key = given.text(given::filled);
    }),
    top("sign.public_keys", "LONGSHORE_PUBLIC_KEY", Some("--public-key"), Usual::Nothing, Shape::List, |to, given| {
        to.sign.public_keys = given.list(given::filled).unwrap_or_default();
    }),
    top(
        "upload.encryption",
        "LONGSHORE_UPLOAD_ENCRYPTION",
        Some("--sse"),
        Usual::Words("as the bucket says"),
        Shape::Text,
        |to, given| {
            to.upload.encryption = given.text(given::encryption);
        },
    ),
    top(
        "upload.kms_key",
        "LONGSHORE_UPLOAD_KMS_KEY",
        Some("--sse-kms-key"),
        Usual::Words("as the bucket says"),
        Shape::Text,
        |to, given| {
            to.upload.kms_key = given.text(given::filled);
        },
    ),
    top(
        "upload.storage_class",
        "LONGSHORE_UPLOAD_STORAGE_CLASS",
        Some("--storage-class"),
        Usual::Value("STANDARD"),
        Shape::Text,
        |to, given| {
            to.upload.storage_class = given.text(given::storage_class);
        },
    ),
    top("upload.tags", "LONGSHORE_UPLOAD_TAGS", Some("--tag"), Usual::Nothing, Shape::Pairs, |to, given| {
        to.upload.tags = given.pairs(given::tag, 10).unwrap_or_default();
    }),
    top(
        "upload.metadata",
        "LONGSHORE_UPLOAD_METADATA",
        Some("--metadata"),
        Usual::Nothing,
        Shape::Pairs,
        |to, given| {
            to.upload.metadata = given.pairs(given::metadata, 100).unwrap_or_default();
        },
    ),
    top(
        "upload.part_size",
        "LONGSHORE_UPLOAD_PART_SIZE",
        Some("--part-size"),
        Usual::Value("8"),
        Shape::Count(5, 5120),
        |to, given| to.parts.size = given.count(),
    ),
    top(
        "upload.parallel_parts",
        "LONGSHORE_UPLOAD_PARALLEL_PARTS",
        Some("--parallel-parts"),
        Usual::Value("4"),
        Shape::Count(1, 64),
        |to, given| to.parts.parallel = given.count(),
    ),
    group("groups.*.store", "LONGSHORE_STORE", Some("--to"), Usual::Words("`store`"), Shape::Text, |to, given| {
        to.store = given.text(given::store);
    }),
    half("groups.*.bucket"),
    half("groups.*.prefix"),
    group(
        "groups.*.region",
        "LONGSHORE_REGION",
        Some("--region"),
        Usual::Words("`region`"),
        Shape::Text,
        |to, given| {
            to.region = given.text(given::region);
        },
    ),
    group("groups.*.with", "LONGSHORE_WITH", Some("--with"), Usual::Value("codedeploy"), Shape::Text, |to, given| {
        to.with = given.text(given::word);
    }),
    group(
        "groups.*.compose",
        "LONGSHORE_COMPOSE",
        Some("--set compose"),
        Usual::Words("docker-compose.<group>.yml, for `prod` docker-compose.yml"),
        Shape::List,
        |to, given| {
            to.compose = given.list(|word| given::below(word, "file")).unwrap_or_default();
        },
    ),
    group(
        "groups.*.env_files",
        "LONGSHORE_ENV_FILES",
        Some("--set env_files"),
        Usual::Nothing,
        Shape::List,
        |to, given| {
            to.env_files = given.list(|word| given::below(word, "file")).unwrap_or_default();
        },
    ),
    group(
        "groups.*.profiles",
        "LONGSHORE_PROFILES",
        Some("--set profiles"),
        Usual::Nothing,
        Shape::List,
        |to, given| {
            to.profiles = given.list(given::filled).unwrap_or_default();
        },
    ),
    group(
        "groups.*.copies",
        "LONGSHORE_COPIES",
        Some("--set copies"),
        Usual::Value("1"),
        Shape::Count(1, u32::MAX),
        |to, given| {
            to.copies = given.count();
        },
    ),
    group(
        "groups.*.codedeploy.application",
        "LONGSHORE_CODEDEPLOY_APPLICATION",
        Some("--codedeploy-application"),
        Usual::Words("`application`"),
        Shape::Text,
        |to, given| to.codedeploy.application = given.text(|word| given::short(word, 100)),
    ),
    group(
        "groups.*.codedeploy.deployment_group",
        "LONGSHORE_CODEDEPLOY_DEPLOYMENT_GROUP",
        Some("--codedeploy-group"),
        Usual::Words("the group's name"),
        Shape::Text,
        |to, given| to.codedeploy.deployment_group = given.text(|word| given::short(word, 100)),
    ),
    group(
        "groups.*.codedeploy.deployment_config",
        "LONGSHORE_CODEDEPLOY_DEPLOYMENT_CONFIG",
        Some("--deployment-config"),
        Usual::Words("as the deployment group says"),
        Shape::Text,
        |to, given| to.codedeploy.deployment_config = given.text(|word| given::short(word, 100)),
    ),
    group(
        "groups.*.codedeploy.file_exists",
        "LONGSHORE_CODEDEPLOY_FILE_EXISTS",
        Some("--file-exists"),
        Usual::Value("DISALLOW"),
        Shape::Text,
        |to, given| to.codedeploy.file_exists = given.text(given::file_exists),
    ),
    group(
        "groups.*.codedeploy.ignore_stop_failures",
        "LONGSHORE_CODEDEPLOY_IGNORE_STOP_FAILURES",
        Some("--ignore-stop-failures"),
        Usual::Value("false"),
        Shape::Flag,
        |to, given| to.codedeploy.ignore_stop_failures = given.flag(),
    ),
    group(
        "groups.*.codedeploy.rollback",
        "LONGSHORE_CODEDEPLOY_ROLLBACK",
        Some("--rollback-on"),
        Usual::Words("as the deployment group says"),
        Shape::List,
        |to, given| to.codedeploy.rollback = given.list(given::word),
    ),
    group(
        "groups.*.codedeploy.alarms",
        "LONGSHORE_CODEDEPLOY_ALARMS",
        Some("--alarm"),
        Usual::Words("as the deployment group says"),
        Shape::List,
        |to, given| to.codedeploy.alarms = given.few(|word| given::short(word, 255), 10),
    ),
];

const fn top(
    name: &'static str,
    variable: &'static str,
    flag: Option<&'static str>,
    default: Usual,
    shape: Shape,
    take: Take<Settings>,
) -> Key {
    Key { name, variable: Some(variable), flag, default, shape, slot: Slot::Top(take) }
}

const fn group(
    name: &'static str,
    variable: &'static str,
    flag: Option<&'static str>,
    default: Usual,
    shape: Shape,
    take: Take<GroupSettings>,
) -> Key {
    Key { name, variable: Some(variable), flag, default, shape, slot: Slot::Group(take) }
}

const fn half(name: &'static str) -> Key {
    Key { name, variable: None, flag: None, default: Usual::Nothing, shape: Shape::Text, slot: Slot::Half }
}
