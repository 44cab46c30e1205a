//! The long-lived agent: takes orders from its sources, works on several groups at a time, and ends without losing anything.

pub mod backoff;
pub mod desk;
pub mod notice;
pub mod shared;
