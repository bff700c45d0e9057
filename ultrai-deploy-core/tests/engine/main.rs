//! The engine on memory backends, with paused time.

mod crash;
mod failures;
mod faults;
mod lab;
mod random;
mod runs;
mod secrets;
mod stops;
