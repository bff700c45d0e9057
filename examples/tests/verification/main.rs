//! What a release can have wrong, each thing caught by the check that is there for it, on a real engine.

#![allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod app;
mod failures;
mod receivers;
#[path = "../shop/mod.rs"]
mod shop;
mod watching;
