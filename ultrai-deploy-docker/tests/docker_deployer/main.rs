//! The deployer on a real engine.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test panics and prints")]

mod adopt;
mod bench;
mod beside;
mod compose;
mod deploy;
mod looks;
mod preflight;
mod rollback;
mod sample;
#[path = "../support/mod.rs"]
mod support;
