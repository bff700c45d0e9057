//! Runs in figures, through the `metrics` facade.
//!
//! | name | kind | labels besides `project` and `environment` |
//! |---|---|---|
//! | `ultrai_deploy_runs_total` | counter | `outcome`: how it ended |
//! | `ultrai_deploy_run_seconds` | histogram | `outcome` |
//! | `ultrai_deploy_stage_seconds` | histogram | `stage`, `outcome`: `done`, `failed`, `ignored` |
//! | `ultrai_deploy_rollbacks_total` | counter | none: going back was decided, however it ended |
//! | `ultrai_deploy_lease_wait_seconds` | histogram | none: from asking to having the environment |
//! | `ultrai_deploy_checks_total` | counter | `check`, `verdict` |
//!
//! Times are those of the records. A run that another process began has no `run_seconds`.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
};

use jiff::Timestamp;

use crate::{
    ending::Ending,
    health::Verdict,
    journal::{Event, Record},
    name::{RunId, Target},
    observer::Observer,
    stage::Stage,
};

/// Counts and times the runs of one environment. It costs next to nothing while no recorder is
/// installed.
#[derive(Debug)]
pub struct Metrics {
    labels: [(&'static str, String); 2],
    runs: Mutex<BTreeMap<RunId, Times>>,
}

#[derive(Debug, Default)]
struct Times {
    began: Option<Timestamp>,
    stage: Option<(Stage, Timestamp)>,
}

impl Metrics {
    /// Those of `target`.
    pub fn new(target: &Target) -> Self {
        let labels = [
            ("project", target.project.to_string()),
            ("environment", target.environment.to_string()),
        ];
        Self { labels, runs: Mutex::default() }
    }

    fn count(&self, name: &'static str, more: &[(&'static str, String)]) {
        metrics::counter!(name, &[&self.labels, more].concat()).increment(1);
    }

    fn time(
        &self,
        name: &'static str,
        more: &[(&'static str, String)],
        from: Timestamp,
        to: Timestamp,
    ) {
        // The wall clock may have been set back in between.
        let seconds = to.duration_since(from).as_secs_f64().max(0.0);
        metrics::histogram!(name, &[&self.labels, more].concat()).record(seconds);
    }

    fn stage_ended(&self, times: &mut Times, stage: Stage, at: Timestamp, outcome: &str) {
        if let Some((begun, from)) = times.stage.take()
            && begun == stage
        {
            let labels = [("stage", stage.to_string()), ("outcome", outcome.to_owned())];
            self.time("ultrai_deploy_stage_seconds", &labels, from, at);
        }
    }
}

impl Observer for Metrics {
    fn on_record(&self, run: &RunId, record: &Record) {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        let times = runs.entry(run.clone()).or_default();
        let at = record.at;
        match &record.event {
            Event::Created { .. } => times.began = Some(at),
            Event::StageStarted { stage } => times.stage = Some((*stage, at)),
            Event::Locked { .. } => {
                if let Some((Stage::Lock, from)) = times.stage {
                    self.time("ultrai_deploy_lease_wait_seconds", &[], from, at);
                }
            }
            Event::StageFinished { stage } => self.stage_ended(times, *stage, at, "done"),
            Event::StageFailed { stage, .. } => self.stage_ended(times, *stage, at, "failed"),
            Event::FailureIgnored { stage, .. } => self.stage_ended(times, *stage, at, "ignored"),
            Event::RollbackDecided { .. } => self.count("ultrai_deploy_rollbacks_total", &[]),
            Event::Checked { check, verdict, .. } => {
                let labels =
                    [("check", check.clone()), ("verdict", self::verdict(*verdict).to_owned())];
                self.count("ultrai_deploy_checks_total", &labels);
            }
            Event::Ended { ending } => {
                let labels = [("outcome", outcome(ending).to_owned())];
                self.count("ultrai_deploy_runs_total", &labels);
                if let Some(from) = times.began {
                    self.time("ultrai_deploy_run_seconds", &labels, from, at);
                }
                runs.remove(run);
            }
            _ => {}
        }
    }

    fn on_output(&self, _run: &RunId, _subject: &str, _line: &str) {}
}

fn outcome(ending: &Ending) -> &'static str {
    match ending {
        Ending::Succeeded { changed: true } => "succeeded",
        Ending::Succeeded { changed: false } => "unchanged",
        Ending::Refused { .. } => "refused",
        Ending::RolledBack { .. } => "rolled_back",
        Ending::Stuck { .. } => "stuck",
        Ending::Abandoned { .. } => "abandoned",
        Ending::Superseded { .. } => "superseded",
    }
}

fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Pass => "pass",
        Verdict::Fail => "fail",
        Verdict::Error => "error",
        Verdict::Inconclusive => "inconclusive",
    }
}
