//! The real `ultrai` and releases on Railway and Render, each with a memory.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod embedded;
mod kill;
mod platform;
mod refusals;
mod shop;
mod story;
mod travel;
