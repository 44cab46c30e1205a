//! The way to the services: one client with the proxies and certificate authorities that the settings and the environment name.

/// How we name ourselves to servers.
pub const USER_AGENT: &str = concat!("longshore-agent/", env!("CARGO_PKG_VERSION"));
