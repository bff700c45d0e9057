//! The checks and tests that a release carries with it, so that a rollback can run those of the
//! release that it returns to.

use std::{fmt, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    consequence::Consequences,
    error::{Error, ErrorKind, Result},
    health::{HealthProbe, Timing},
    name::{SecretName, ServiceName},
};

/// Checks and tests of a release.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Verification {
    /// Looked at after the switch.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub checks: Vec<CheckSpec>,
    /// Commands run before and after the deploy.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tasks: Vec<TaskSpec>,
}

/// When a check or test runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum When {
    /// Tests: in the new image before anything changes.
    Pre,
    /// Checks: in the verify stage, right after the switch.
    #[default]
    Verify,
    /// In the post-deploy tests.
    Post,
    /// Checks: before anything else, while the release before serves. What is looked at is what the
    /// release needs and does not bring: a database, a key, a registry.
    Preflight,
    /// Checks: only for as long as the new release is watched, and by `Pipeline::watch`.
    Watch,
}

/// One check, in a form that can be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CheckSpec {
    /// Its name in reports.
    pub name: String,
    /// The service that it looks at; nothing when it names an address of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<ServiceName>,
    /// When it runs.
    #[serde(default)]
    pub when: When,
    /// How long to wait for it.
    #[serde(default)]
    pub timing: Timing,
    /// What follows when it does not pass.
    #[serde(default, skip_serializing_if = "Consequences::is_default")]
    pub consequences: Consequences,
    /// Whether it compares with the release before. That is measured right before the switch, with
    /// one look, and what is of [`EvidenceKind::Measurement`](crate::evidence::EvidenceKind) is given
    /// to the probe as [`Context::measured_before`](crate::Context::measured_before).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub compares: bool,
    /// What to look at, in the form that the [`ProbeSource`] understands.
    pub probe: Value,
}

impl CheckSpec {
    /// A critical check in the verify stage with the usual times.
    pub fn new(name: impl Into<String>, probe: Value) -> Self {
        Self {
            name: name.into(),
            service: None,
            when: When::default(),
            timing: Timing::default(),
            consequences: Consequences::default(),
            compares: false,
            probe,
        }
    }

    /// Whether it measures for a while instead of looking: one look decides, so there is no wait
    /// ([`Timing::deadline`] is zero). What already serves is not put under load again and again.
    pub fn is_gate(&self) -> bool {
        self.compares || self.timing.deadline == Some(Duration::ZERO)
    }

    /// Sets the service that it looks at.
    pub fn of(mut self, service: ServiceName) -> Self {
        self.service = Some(service);
        self
    }

    /// Sets when it runs.
    pub fn with_when(mut self, when: When) -> Self {
        self.when = when;
        self
    }

    /// Sets how long to wait for it.
    pub fn with_timing(mut self, timing: Timing) -> Self {
        self.timing = timing;
        self
    }

    /// Sets what follows when it does not pass.
    pub fn with_consequences(mut self, consequences: Consequences) -> Self {
        self.consequences = consequences;
        self
    }
}

/// One test command, in a form that can be stored.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TaskSpec {
    /// Its name in reports.
    pub name: String,
    /// The service in whose image and configuration it runs.
    pub service: ServiceName,
    /// The command and its arguments.
    pub command: Vec<String>,
    /// When it runs: [`When::Pre`] or [`When::Post`].
    pub when: When,
    /// What happens to dependencies that do not run yet.
    #[serde(default)]
    pub dependencies: Dependencies,
    /// Longest time it may take; 10 minutes by default.
    #[serde(default = "default_task_timeout")]
    pub timeout: Duration,
}

/// What a task before the deploy does about dependencies that do not run yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Dependencies {
    /// They are created for the test under the run's id and removed with it (the default).
    #[default]
    Create,
    /// The same, with the data that they keep, which is made where it is not there yet: what the task
    /// does to it stays. For migrations.
    WithData,
    /// Only what runs already is used.
    None,
}

/// Makes probes from their stored form.
pub trait ProbeSource: fmt::Debug + Send + Sync + 'static {
    /// The probe that `check` describes.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the description is not understood.
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>>;

    /// The secrets that its probe needs. They are kept with the release: a rollback proves the old
    /// one with its own.
    ///
    /// # Errors
    /// As for [`probe`](ProbeSource::probe).
    fn secrets(&self, check: &CheckSpec) -> Result<Vec<SecretName>>;
}

/// No probes: for releases that are proven by what their backend declares and by tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoProbes;

impl ProbeSource for NoProbes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        Err(Error::new(
            ErrorKind::Invalid,
            "read a check",
            format!("`{}` needs a probe, and there are none", check.name),
        )
        .with_advice("give the pipeline a probe source")
        .without_effect())
    }

    fn secrets(&self, _check: &CheckSpec) -> Result<Vec<SecretName>> {
        Ok(Vec::new())
    }
}

fn default_task_timeout() -> Duration {
    Duration::from_mins(10)
}
