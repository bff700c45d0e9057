//! Secrets from everywhere, and nothing that is written has one of them.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod hosted;
mod local;
#[path = "../hosted/platform.rs"]
mod platform;
mod project;
mod search;
#[allow(dead_code, reason = "the other tests use more of it")]
#[path = "../hosted/shop.rs"]
mod shop;
mod values;
