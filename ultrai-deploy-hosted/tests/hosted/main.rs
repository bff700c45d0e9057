//! The deployer of hosted platforms on a platform in memory.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test panics where it fails, and says what it saw"
)]

mod attic;
mod backups;
mod conformance;
mod heirs;
mod hostile;
mod lab;
mod lost;
mod pipeline;
mod promotion;
mod town;
