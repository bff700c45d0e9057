//! The `ultrai` command-line program: a thin layer over the library that an internal platform
//! could write for itself.

pub mod cli;
pub mod config;
mod probes;
