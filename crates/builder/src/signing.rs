//! Signs artifacts, with a key in a file, in the environment, or in KMS.
