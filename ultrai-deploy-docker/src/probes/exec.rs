//! A command in a service's container.

use std::time::Duration;

use async_trait::async_trait;
use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    context::Context,
    error::{Chain, Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    redact::Redactor,
    verification::CheckSpec,
};

use super::wrong;
use crate::{
    backend::Backend,
    command::{Commands, Ran},
    engine::ExecOutput,
    snapshot::Container,
};

/// What is left of a check's time for saying what was seen.
const REST: Duration = Duration::from_millis(50);
/// Most memory that a pattern may take, in bytes: it comes from a file that people write.
const PATTERN: usize = 1 << 20;

/// A command that is run in each container of the check's service, as the container's own user and
/// with its environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExecSpec {
    /// The command and its arguments. No shell reads it: `["sh", "-c", "…"]` for one.
    pub command: Vec<String>,
    /// The exit code that it must end with; 0 by default.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub expect_code: i64,
    /// A regular expression that its output must match somewhere; `^` and `$` are the ends of a line.
    /// Not asked for by default. The last 4 KiB of its output are kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output_matches: Option<String>,
}

#[derive(Debug)]
pub(super) struct Probe {
    backend: Backend,
    name: String,
    spec: ExecSpec,
    pattern: Option<Regex>,
    timeout: Duration,
    commands: Commands,
}

impl ExecSpec {
    /// What its output must match.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has no command, or that cannot be read.
    pub(super) fn validate(&self, check: &CheckSpec) -> Result<Option<Regex>> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(wrong(check, "has no command")
                .with_advice("write the program and its arguments as a list"));
        }
        self.output_matches.as_deref().map(|text| pattern(check, text)).transpose()
    }
}

impl Probe {
    pub(super) fn new(backend: &Backend, check: &CheckSpec, spec: ExecSpec) -> Result<Self> {
        let pattern = spec.validate(check)?;
        let limit = check.timing.timeout;
        Ok(Self {
            backend: backend.clone(),
            name: check.name.clone(),
            spec,
            pattern,
            timeout: limit.saturating_sub(REST).max(limit / 2),
            commands: Commands::default(),
        })
    }

    fn judge(&self, end: &ExecOutput, redactor: &Redactor) -> Health {
        let output = redactor.text(&end.output);
        let shown = if output.is_empty() { "it said nothing" } else { &output };
        let text = format!("{} ended with exit code {}: {shown}", self.command(), end.exit_code);
        let evidence = vec![Evidence::new(EvidenceKind::Probe, &self.name, redactor.text(&text))];
        let wrong = if end.exit_code == self.spec.expect_code {
            let missing = self.pattern.as_ref().filter(|pattern| !pattern.is_match(&end.output));
            missing.map(|pattern| {
                format!("its output does not match `{pattern}`: {}", last_line(&output))
            })
        } else {
            Some(format!(
                "ended with exit code {} instead of {}: {}",
                end.exit_code,
                self.spec.expect_code,
                last_line(&output)
            ))
        };
        match wrong {
            None => Health::Healthy(evidence),
            Some(why) => {
                let why = redactor.text(&format!("{}: {why}", self.command()));
                Health::Unhealthy { why, evidence }
            }
        }
    }

    fn command(&self) -> String {
        format!("`{}`", self.spec.command.join(" "))
    }

    fn unhealthy(&self, why: &str, redactor: &Redactor) -> Health {
        let why = redactor.text(&format!("{} {why}", self.command()));
        let evidence = vec![Evidence::new(EvidenceKind::Probe, &self.name, &why)];
        Health::Unhealthy { why, evidence }
    }
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let engine = &self.backend.engine;
        let look = async {
            let found = engine.find_container(&endpoint.instance).await?;
            let Some(container) = found.and_then(Container::new) else {
                let why = format!("there is no container {}", endpoint.instance);
                return Ok(Health::Dead { why, evidence: Vec::new() });
            };
            let redactor = self.backend.redactor(container.marks.release.as_ref()).await?;
            let run = self.commands.run(engine, &container.id, self.spec.command.clone());
            let ran = match tokio::time::timeout(self.timeout, run).await {
                Ok(Ok(ran)) => ran,
                Ok(Err(error)) => return self.not_run(error, &container, &redactor),
                Err(_elapsed) => {
                    let why = format!("did not end within {:?}", self.timeout);
                    return Ok(self.unhealthy(&why, &redactor));
                }
            };
            Ok(match ran {
                Ran::Ended(end) => self.judge(&end, &redactor),
                Ran::Hangs => {
                    self.unhealthy("hangs: the one of an earlier look still runs", &redactor)
                }
            })
        };
        cx.bounded(Box::pin(look)).await
    }
}

impl Probe {
    /// A command that could not be run: the container does not run, or has no such program.
    fn not_run(&self, error: Error, container: &Container, redactor: &Redactor) -> Result<Health> {
        let state = &container.state;
        match error.kind() {
            ErrorKind::Conflict | ErrorKind::NotFound if state.has_exited() => Ok(Health::Dead {
                why: format!("the container ended with exit code {}", state.exit_code),
                evidence: vec![crate::probe::status(container)],
            }),
            ErrorKind::Conflict | ErrorKind::NotFound => Ok(Health::Pending {
                why: format!("the container does not run: {}", state.describe()),
                evidence: vec![crate::probe::status(container)],
            }),
            ErrorKind::Invalid => {
                let text = redactor.text(&Chain(&error).to_string());
                let why = format!("{} cannot be run in the container", self.command());
                let evidence = vec![Evidence::new(EvidenceKind::Probe, &self.name, text)];
                Ok(Health::Unhealthy { why: redactor.text(&why), evidence })
            }
            _ => Err(error),
        }
    }
}

fn pattern(check: &CheckSpec, text: &str) -> Result<Regex> {
    RegexBuilder::new(text).multi_line(true).size_limit(PATTERN).build().map_err(|source| {
        wrong(check, &format!("has an output_matches that cannot be read: `{text}`"))
            .with_advice("escape what is meant literally, such as \\. for a dot")
            .with_source(source)
    })
}

/// What people look for first; shortened.
fn last_line(output: &str) -> String {
    const MOST: usize = 200;
    let line = output.lines().rev().find(|line| !line.trim().is_empty());
    line.map_or_else(|| "it said nothing".to_owned(), |line| line.chars().take(MOST).collect())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(code: &i64) -> bool {
    *code == 0
}
