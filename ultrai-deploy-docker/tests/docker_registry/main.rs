//! Images through a registry: pushed, known by digest, pulled, with every kind of login.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod echo;
mod helper;
mod login;
mod push;
mod shelf;
#[path = "../support/mod.rs"]
mod support;
