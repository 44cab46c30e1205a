//! What is said to the command service of CodeDeploy and what is believed of its answers: over real connections, and with
//! envelopes that the `openssl` program signed.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

#[path = "codedeploy/client.rs"]
mod client;
#[path = "codedeploy/envelope.rs"]
mod envelope;
#[path = "codedeploy/openssl.rs"]
mod openssl;
#[path = "codedeploy/server.rs"]
mod server;
