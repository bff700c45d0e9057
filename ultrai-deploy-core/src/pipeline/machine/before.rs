//! What was seen of the release before, while it still served.

use std::{collections::BTreeMap, sync::Arc};

use super::State;
use crate::{
    consequence::{Reaction, Severity},
    evidence::Evidence,
    health::Verdict,
};

/// What is known of how the release before was.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Before {
    /// What spoke against it.
    troubles: Arc<Vec<String>>,
    /// What checks measured, by their names.
    measured: Arc<BTreeMap<String, String>>,
}

impl Before {
    pub(super) fn take(
        &mut self,
        check: &str,
        verdict: Verdict,
        why: Option<&str>,
        severity: Severity,
        evidence: &[Evidence],
    ) {
        if let Some(measured) = evidence.iter().find(|one| one.is_measurement()) {
            Arc::make_mut(&mut self.measured).insert(check.to_owned(), measured.text.clone());
        } else if verdict != Verdict::Pass && Reaction::from(severity) > Reaction::Note {
            let why = why.unwrap_or("it did not pass");
            Arc::make_mut(&mut self.troubles).push(format!("check `{check}`: {why}"));
        }
    }
}

impl State {
    /// Why the release before was not well before the run touched anything; empty when it was.
    pub fn troubles_before(&self) -> &[String] {
        &self.before.troubles
    }

    /// What checks measured of the release before, by their names.
    pub fn measured(&self) -> &BTreeMap<String, String> {
        &self.before.measured
    }
}
