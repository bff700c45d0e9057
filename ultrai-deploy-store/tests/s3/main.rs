//! On a server that speaks the protocol of S3.
//!
//! Its helpers are for all stores of this crate: a [`server::Bucket`] of one's own, and a
//! [`proxy::Proxy`] before it that cuts what is said.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "a helper of a test fails as the test does"
)]

mod backups;
mod faults;
mod proxy;
#[path = "../sealing/mod.rs"]
mod sealing;
mod server;
mod suites;
#[path = "../support/mod.rs"]
mod support;
