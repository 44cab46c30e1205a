//! The password of a secret key: from the environment, or from whoever sits at the terminal. Never from the command line, where
//! every user of the host would see it.

use std::io::{self, IsTerminal as _};

use longshore_core::failure::{Exit, Failure};

use crate::environment::Environment;

/// The variable that holds the password.
pub(crate) const VARIABLE: &str = "LONGSHORE_SIGN_PASSWORD";

/// Why there is no password.
#[derive(Debug, thiserror::Error)]
enum PasswordError {
    /// Nobody can be asked.
    #[error("the password of {0} cannot be asked for: there is no terminal")]
    NoTerminal(String),
    /// The terminal failed.
    #[error("cannot ask for the password of {of}")]
    Ask { of: String, source: io::Error },
    /// Typed twice, differently.
    #[error("the two passwords differ, and no key was made")]
    Differ,
}

/// The password of a key that has one. `of`: which key, for people.
pub(super) fn of_key(of: &str, environment: &Environment) -> Result<String, Failure> {
    match environment.get(VARIABLE) {
        Some(password) => Ok(password.to_owned()),
        None => ask("Password of ", of),
    }
}

/// The password for a new key; an empty one: the key is not encrypted.
pub(crate) fn for_new_key(of: &str, environment: &Environment) -> Result<String, Failure> {
    if let Some(password) = environment.get(VARIABLE) {
        return Ok(password.to_owned());
    }
    let password = ask("Password for the new ", of).map_err(|failure| {
        failure.hint("or leave the key unencrypted, as CI wants it: `longshore keygen --no-password FILE`")
    })?;
    if !password.is_empty() && ask("Once more, the password for ", of)? != password {
        return Err(Failure::new(Exit::Usage, PasswordError::Differ));
    }
    Ok(password)
}

fn ask(what: &str, of: &str) -> Result<String, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::new(Exit::Usage, PasswordError::NoTerminal(of.to_owned()))
            .hint(format!("put the password into `{VARIABLE}`")));
    }
    // Asks the terminal itself, so that neither output holds the question, and nothing shows what is typed.
    rpassword::prompt_password(format!("{what}{of}: "))
        .map_err(|source| Failure::new(Exit::Failed, PasswordError::Ask { of: of.to_owned(), source }))
}
