//! `longshore`: turns a commit into one verified, commit-named artifact and publishes it.
