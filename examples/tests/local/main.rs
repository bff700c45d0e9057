//! The real `ultrai` and releases as local processes.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod app;
mod backups;
mod failure;
mod faults;
mod history;
mod hold;
mod migrations;
mod plan;
mod promote;
mod readiness;
mod signal;
mod story;
mod stuck;
mod travel;
mod versions;
