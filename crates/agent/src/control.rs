//! Local control: a Unix socket on which the running agent is asked. Whoever may connect may do what root may, by deploying.

pub mod client;
mod ordered;
mod pause;
pub mod protocol;
mod server;
mod socket;

pub use pause::{Paused, read_paused};
pub use server::{Listening, listen, serve};
