//! Data on a real engine: kept, destroyed, put back, and compared.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bench;
mod commands;
mod databases;
mod images;
#[path = "../support/mod.rs"]
mod support;
mod volumes;
