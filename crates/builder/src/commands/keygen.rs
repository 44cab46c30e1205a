//! `longshore keygen`.

use std::path::{Path, PathBuf};

use longshore_core::failure::Failure;
use longshore_core::signature::PublicKey;
use serde_json::json;

use crate::cli::{KeygenArgs, SourceArgs};
use crate::display::Screen;
use crate::environment::Environment;
use crate::signing::file::{NewPair, write_new};
use crate::signing::{kms_public_key, password};
use crate::survey::Project;

/// Makes a pair of keys, or shows the public half of a key of KMS.
pub(crate) fn run(args: &KeygenArgs, environment: &Environment, screen: &Screen) -> Result<(), Failure> {
    match (&args.kms_key, &args.key) {
        (Some(key), file) => {
            let project = Project::open(&SourceArgs::here(), environment)?.accept()?;
            let public = kms_public_key(key, &project.settings)?;
            let path = file.as_deref().map(public_path);
            if let Some(path) = &path {
                write_new(path, &public.to_file(), 0o644)?;
            }
            show(&public, None, path.as_deref(), screen)
        }
        (None, Some(file)) => {
            let shown = format!("`{}`", file.display());
            let password = if args.no_password { String::new() } else { password::for_new_key(&shown, environment)? };
            let pair = NewPair::make(password)?;
            let path = public_path(file);
            pair.write(file, &path)?;
            show(&pair.public, Some(file), Some(&path), screen)
        }
        (None, None) => unreachable!("the command line asks for one of them"),
    }
}

fn public_path(secret: &Path) -> PathBuf {
    let mut path = secret.as_os_str().to_owned();
    path.push(".pub");
    path.into()
}

fn show(public: &PublicKey, secret: Option<&Path>, file: Option<&Path>, screen: &Screen) -> Result<(), Failure> {
    let mut text = String::new();
    for (name, path) in [("secret key", secret), ("public key", file)] {
        if let Some(path) = path {
            text.push_str(&format!("{name}  {}\n", path.display()));
        }
    }
    text.push_str(&format!("    key id  {}\n\n{public}\n", public.id()));
    let json = json!({
        "secret_key_file": secret,
        "public_key_file": file,
        "key_id": public.id().to_string(),
        "public_key": public,
    });
    screen.result(&text, &json)
}
