//! The deployer on a real engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod adopt;
mod bench;
mod deploy;
mod preflight;
mod rollback;
#[path = "../support/mod.rs"]
mod support;
