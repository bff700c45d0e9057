//! The stages of a run, in their order.

pub use crate::pipeline::machine::Stage;
