//! What users made, in PostgreSQL, Redis and a volume on a real engine: destroyed by a release and
//! back again.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod destroyed;
mod ledger;
#[path = "../shop/mod.rs"]
mod shop;
