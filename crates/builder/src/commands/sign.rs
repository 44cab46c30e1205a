//! `longshore sign`.

use longshore_core::failure::Failure;
use serde_json::json;

use super::push;
use crate::cli::{SignCommandArgs, SourceArgs};
use crate::display::Screen;
use crate::environment::Environment;
use crate::event::Event;
use crate::signing::{self, Signer};
use crate::survey::Project;

/// Signs an artifact.
pub(crate) fn run(args: &SignCommandArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    let project = Project::open(&SourceArgs::here(), environment)?.accept()?;
    let signer = Signer::open(&args.sign, environment, &project.settings, &project.source)?;
    if let Some(warning) = signer.warning() {
        screen.tell(&Event::Warned(warning));
    }
    let artifact = push::open(args.bundle.clone())?;
    screen.tell(&Event::Verified { path: artifact.path.clone(), files: artifact.manifest.files.len() });
    let made = signing::sign(&signer, &artifact.path, &artifact.manifest, artifact.archive_digest)?;
    let written = made.write(&artifact.path)?;
    let public = signer.public_key();
    let text = format!(
        " signature  {}\n    key id  {}\npublic key  {public}\n\nVerify it with:\n  longshore verify --public-key {public} {}\n",
        written.path.display(),
        written.key_id,
        longshore_core::figures::quoted(&artifact.path.display().to_string()),
    );
    let json = json!({
        "artifact": artifact.path,
        "signature": written.path,
        "key_id": written.key_id.to_string(),
        "public_key": public,
        "archive_digest": artifact.archive_digest,
    });
    screen.result(&text, &json)
}
