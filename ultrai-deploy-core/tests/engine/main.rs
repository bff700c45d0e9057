//! The engine on memory backends, with paused time.

mod crash;
mod failures;
mod faults;
mod lab;
mod runs;
mod stops;
