//! The client of Render's API against what Render sent and what it publishes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]
#![expect(clippy::print_stdout, reason = "how much was checked is part of what a test says")]

mod backup;
mod contract;
mod described;
mod lists;
mod odd;
mod recorded;
mod requests;
mod rig;
mod schema;
mod secrets;
mod tape;
mod upkeep;
