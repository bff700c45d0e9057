//! Checks of the pre-release checklist: what has to be as it should before anything is touched.

mod backup;

use std::fmt;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

pub use backup::BackupCheck;

use crate::{context::Context, error::Result, health::Verdict};

/// One item of the checklist: disk, memory, clock, a registry. Programs bring their own.
#[async_trait]
pub trait PreflightCheck: fmt::Debug + Send + Sync + 'static {
    /// Its name in reports.
    fn name(&self) -> &str;

    /// Looks once, and changes nothing. The engine cuts it off with the stage.
    ///
    /// # Errors
    /// Only when it could not look; what is not as it should be is a value.
    async fn check(&self, cx: &Context) -> Result<Found>;
}

/// What a check of the checklist found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Found {
    /// The verdict.
    pub verdict: Verdict,
    /// What was found, with its figures: `3.1 GiB are free below /var/lib, 5 GiB are needed`.
    pub what: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
}

impl Found {
    /// It is as it should be.
    pub fn good(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Pass, what: what.into(), remedy: None }
    }

    /// It is not, and this is what to do about it.
    pub fn bad(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        let (what, remedy) = (what.into(), Some(remedy.into()));
        Self { verdict: Verdict::Fail, what, remedy }
    }
}
