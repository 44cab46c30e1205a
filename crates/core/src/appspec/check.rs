//! The rules of an appspec.
