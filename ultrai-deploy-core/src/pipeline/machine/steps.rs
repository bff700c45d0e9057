//! The steps that a run has begun on the platform, and what is known of each.

use std::sync::Arc;

use crate::deployer::{Step, StepRecord};

/// What is known of a step's attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepStatus {
    /// Begun; without a result after a crash.
    Open,
    /// Done.
    Done,
    /// Failed, or given up after a crash.
    Failed,
}

/// One attempt of a step.
#[derive(Clone, Debug, PartialEq)]
pub struct Attempt {
    /// The step.
    pub step: Step,
    /// Its number, from 1.
    pub number: u32,
    /// What was seen before.
    pub record: Arc<StepRecord>,
    /// What became of it.
    pub status: StepStatus,
    /// Whether any effect was begun in it.
    pub has_effects: bool,
}

/// All attempts of steps, and the single effects in them.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Steps {
    /// Oldest first; only the last one can be open.
    attempts: Vec<Attempt>,
    /// How many effects were begun.
    effects: u64,
    /// Those without a result.
    open_effects: Vec<u64>,
}

impl Steps {
    pub(super) fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    pub(super) fn is_empty(&self) -> bool {
        self.attempts.is_empty()
    }

    /// The attempt without a result, if any.
    pub(super) fn open(&self) -> Option<&Attempt> {
        self.attempts.last().filter(|attempt| attempt.status == StepStatus::Open)
    }

    pub(super) fn is_open(&self, step: Step) -> bool {
        self.open().is_some_and(|attempt| attempt.step == step)
    }

    pub(super) fn next_attempt(&self, step: Step) -> u32 {
        let of_it = self.attempts.iter().filter(|attempt| attempt.step == step);
        of_it.map(|attempt| attempt.number).max().unwrap_or(0) + 1
    }

    pub(super) fn is_done(&self, step: Step) -> bool {
        let mut attempts = self.attempts.iter();
        attempts.any(|attempt| attempt.step == step && attempt.status == StepStatus::Done)
    }

    /// Whether an attempt was begun that did not prove to be without effect.
    pub(super) fn have_effects(&self) -> bool {
        self.attempts.iter().any(|attempt| match attempt.status {
            StepStatus::Open | StepStatus::Done => true,
            StepStatus::Failed => attempt.has_effects,
        })
    }

    pub(super) fn next_effect(&self) -> u64 {
        self.effects + 1
    }

    /// Opens an attempt; false while another one is open, or when it is not the next one.
    pub(super) fn begin(&mut self, step: Step, number: u32, record: &Arc<StepRecord>) -> bool {
        let legal = self.open().is_none() && number == self.next_attempt(step);
        self.attempts.push(Attempt {
            step,
            number,
            record: Arc::clone(record),
            status: StepStatus::Open,
            has_effects: false,
        });
        legal
    }

    /// Closes the open attempt; false when it is not one of `step`. `may_have_effect` is the step's
    /// own word; effects that it journaled count whatever it says, except those that never began.
    pub(super) fn close(&mut self, step: Step, status: StepStatus, may_have_effect: bool) -> bool {
        if !self.is_open(step) {
            return false;
        }
        self.open_effects.clear();
        if let Some(attempt) = self.attempts.last_mut() {
            attempt.status = status;
            attempt.has_effects |= may_have_effect;
        }
        true
    }

    /// Opens a single effect; false when it is not the next one.
    pub(super) fn begin_effect(&mut self, effect: u64) -> bool {
        let legal = effect == self.next_effect();
        self.effects = effect;
        self.open_effects.push(effect);
        if let Some(attempt) = self.attempts.last_mut()
            && attempt.status == StepStatus::Open
        {
            attempt.has_effects = true;
        }
        legal
    }

    /// Closes an effect; false when it is not open.
    pub(super) fn end_effect(&mut self, effect: u64) -> bool {
        let before = self.open_effects.len();
        self.open_effects.retain(|open| *open != effect);
        self.open_effects.len() < before
    }
}
