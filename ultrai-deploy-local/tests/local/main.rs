//! Releases as processes: the suite of all deployers, and what only processes can get wrong.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod app;
mod conformance;
mod data;
mod drive;
mod lost;
mod platform;
mod processes;
mod tasks;
