//! The state of a run: pure, made from events alone, the same for a live run and for replay.

pub use crate::pipeline::machine::{
    Attempt, Baseline, Facts, IllegalTransition, Next, Phase, State, StepStatus,
};
