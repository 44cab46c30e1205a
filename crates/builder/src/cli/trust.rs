//! Keys, signatures, and artifacts that are no longer needed.

use std::path::PathBuf;

use clap::Args;
use longshore_core::ids::{ApplicationName, GroupName};

use super::SiteArgs;

/// With which key is signed.
#[derive(Debug, Clone, Args)]
pub(crate) struct SignArgs {
    /// A file with a secret key of minisign [default: `sign.key` of longshore.toml]; instead of the file, LONGSHORE_SIGN_KEY holds
    /// its text
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// The id, ARN or alias of an Ed25519 key of AWS KMS [env: LONGSHORE_SIGN_KMS_KEY] [default: `sign.kms_key` of longshore.toml]
    #[arg(long, value_name = "KEY", conflicts_with = "key")]
    pub(crate) kms_key: Option<String>,
}

/// Make a pair of keys for signing
///
/// Writes a secret key and its public key in the files of minisign. The password is read from LONGSHORE_SIGN_PASSWORD, or asked
/// for on the terminal, where an empty one leaves the key unencrypted. Never overwrites a key.
///
/// With `--kms-key` nothing is made: the public half of that key is shown, and written into the file if one is named.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore keygen longshore.key")]
pub(crate) struct KeygenArgs {
    /// The file for the secret key; the public key goes beside it, with the ending `.pub`
    #[arg(value_name = "FILE", required_unless_present = "kms_key")]
    pub(crate) key: Option<PathBuf>,
    /// Leave the secret key unencrypted, for CI: the file, mode 0600, is all that protects it
    #[arg(long, conflicts_with = "kms_key")]
    pub(crate) no_password: bool,
    /// Show the public key of this Ed25519 key of AWS KMS (ECC_NIST_EDWARDS25519): its id, ARN or alias
    #[arg(long, value_name = "KEY")]
    pub(crate) kms_key: Option<String>,
}

/// Sign an artifact
///
/// Verifies the artifact, signs it, and writes `<artifact>.minisig`, which `longshore push` publishes beside the artifact. minisign
/// verifies it too. The password of the key is read from LONGSHORE_SIGN_PASSWORD, or asked for on the terminal.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  longshore sign --key longshore.key dist/shop-0123456789abcdef0123456789abcdef01234567.zip"
)]
pub(crate) struct SignCommandArgs {
    /// The artifact
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    #[command(flatten)]
    pub(crate) sign: SignArgs,
}

/// Verify an artifact, its signature and its provenance, without a network
///
/// Every digest in the bundle, the signature in `<artifact>.minisig` with one of the public keys, and the provenance statement in
/// `<artifact>.intoto.json`, as far as they are there; what is missing is said. Without a signature, and without a key to verify it,
/// it fails, unless `--unsigned` is given.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  longshore verify --public-key longshore.key.pub dist/shop-0123456789abcdef0123456789abcdef01234567.zip"
)]
pub(crate) struct VerifyArgs {
    /// The artifact
    #[arg(value_name = "BUNDLE")]
    pub(crate) bundle: PathBuf,
    /// A public key of minisign, or the file that holds it; may be given several times [env: LONGSHORE_PUBLIC_KEY] [default:
    /// `sign.public_keys` of longshore.toml]
    #[arg(long, value_name = "KEY")]
    pub(crate) public_key: Vec<String>,
    /// The signature [default: `<artifact>.minisig`]
    #[arg(long, value_name = "FILE")]
    pub(crate) signature: Option<PathBuf>,
    /// An artifact without a signature is good enough
    #[arg(long)]
    pub(crate) unsigned: bool,
}

/// Remove old artifacts from a store
///
/// Keeps the newest of each application, and everything that a group points at, that it could roll back to, or that a host says it runs.
/// Shows what it would remove; removes it with `--yes`.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  longshore prune --to s3://artifacts/releases --keep 20 --yes")]
pub(crate) struct PruneArgs {
    #[command(flatten)]
    pub(crate) site: SiteArgs,
    /// Only this application [env: LONGSHORE_APPLICATION] [default: `application` of longshore.toml, else all in the store]
    #[arg(long, value_name = "NAME")]
    pub(crate) application: Option<ApplicationName>,
    /// All applications in the store, whatever the variable and longshore.toml say
    #[arg(long, conflicts_with = "application")]
    pub(crate) all_applications: bool,
    /// How many artifacts of each application stay at least, by the time at which they were stored
    #[arg(long, value_name = "COUNT", default_value_t = 20)]
    pub(crate) keep: usize,
    /// How many earlier artifacts of each group stay, as ways back
    #[arg(long, value_name = "COUNT", default_value_t = 5)]
    pub(crate) keep_rollbacks: usize,
    /// Also look at what these groups of CodeDeploy could roll back to; may be given several times
    #[arg(long, value_name = "GROUP")]
    pub(crate) codedeploy_group: Vec<GroupName>,
    /// No group of CodeDeploy deploys from this store or a copy of it: it is not asked. Else it is asked for the groups of
    /// longshore.toml, and for all that it has when all applications of a bucket are pruned
    #[arg(long, conflicts_with = "codedeploy_group")]
    pub(crate) no_codedeploy: bool,
    /// Remove
    #[arg(long)]
    pub(crate) yes: bool,
}
