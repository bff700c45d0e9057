//! Probes against real servers, fakes that keep to the protocol, and whatever else may listen.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]

mod certificates;
mod combined;
mod databases;
mod hostile;
mod lab;
mod mongodb;
#[cfg(feature = "postgres")]
mod postgres;
mod providers;
mod redis;
mod tls;
