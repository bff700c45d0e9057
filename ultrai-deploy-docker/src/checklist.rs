//! Items of the pre-release checklist: the engine, its clock, and registries.
//!
//! Each looks once and changes nothing. What it found has its figures, and what is not as it should
//! be says what to do about it.

mod clock;
mod engine;
mod features;
mod registry;
mod size;

pub use self::{
    clock::{ClockCheck, ClockSpec},
    engine::{EngineCheck, EngineSpec, EngineVersion},
    registry::{RegistryCheck, RegistrySpec},
    size::{NoSize, Size},
};
