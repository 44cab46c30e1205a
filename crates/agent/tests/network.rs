//! The way to the services: proxies that only tunnel, servers with certificates of an authority of their own, and the program
//! with the variables that name them.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

mod network {
    mod aws;
    mod internet;
    mod variables;
}
