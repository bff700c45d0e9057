//! From records to notices: pure, the same for a live run and for the journal of one that died.

use std::collections::{BTreeMap, VecDeque};

use ultrai_deploy_core::{
    Ending, ErrorKind,
    consequence::Severity,
    health::Verdict,
    journal::{Event, Initiator, Record},
    name::{RunId, Target},
    version::Version,
};

use crate::notice::{Notice, What, cause};

/// Of how many runs it is remembered what they are about.
const MOST_RUNS: usize = 32;

/// What runs are about, as their records told.
#[derive(Debug, Default)]
pub(crate) struct Stories {
    runs: BTreeMap<RunId, Story>,
    order: VecDeque<RunId>,
}

#[derive(Clone, Debug)]
struct Story {
    target: Target,
    version: Option<Version>,
    version_before: Option<Version>,
    initiator: Initiator,
}

impl Stories {
    /// The notice of a record, if it is worth one. Nothing of a run whose beginning was not seen.
    pub(crate) fn tell(&mut self, run: &RunId, record: &Record) -> Option<Notice> {
        match &record.event {
            Event::Created { target, version, initiator, .. } => {
                self.begin(run, target, version.as_ref(), initiator);
            }
            Event::Observed { version, .. } => {
                self.runs.get_mut(run)?.version_before.clone_from(version);
            }
            _ => {}
        }
        let what = what(&record.event)?;
        let story = self.runs.get(run)?.clone();
        Some(Notice {
            key: format!("{run}/{}", record.seq),
            what,
            target: story.target,
            run: Some(run.clone()),
            version: story.version,
            version_before: story.version_before,
            initiator: Some(story.initiator),
            at: record.at,
        })
    }

    fn begin(
        &mut self,
        run: &RunId,
        target: &Target,
        version: Option<&Version>,
        initiator: &Initiator,
    ) {
        let story = Story {
            target: target.clone(),
            version: version.cloned(),
            version_before: None,
            initiator: initiator.clone(),
        };
        if self.runs.insert(run.clone(), story).is_none() {
            self.order.push_back(run.clone());
        }
        if self.order.len() > MOST_RUNS
            && let Some(oldest) = self.order.pop_front()
        {
            self.runs.remove(&oldest);
        }
    }
}

fn what(event: &Event) -> Option<What> {
    Some(match event {
        Event::Created { .. } => What::Started,
        Event::RollbackDecided { cause: failure, .. } => What::Failed { cause: cause(failure) },
        Event::Held { until, cause: failure } => {
            What::ApprovalNeeded { cause: cause(failure), until: *until }
        }
        // What is graver ends the run, or holds it, and is told with that.
        Event::Checked { check, verdict, severity: severity @ Severity::Minor, why, .. }
            if *verdict != Verdict::Pass =>
        {
            let why = why.clone().unwrap_or_else(|| "it did not pass".to_owned());
            What::Alert { check: check.clone(), severity: *severity, why }
        }
        Event::FailureIgnored { stage, failure } => What::Alert {
            check: stage.to_string(),
            severity: Severity::Major,
            why: format!("failed, which was ignored: {}", cause(failure).join(": ")),
        },
        Event::Ended { ending } => match ending {
            Ending::Succeeded { changed } => What::Succeeded { changed: *changed },
            Ending::Refused { cause } if cause.kind == ErrorKind::Cancelled => What::Cancelled,
            Ending::Refused { cause: failure } => What::Refused { cause: cause(failure) },
            Ending::RolledBack { to, cause: failure } => {
                What::RolledBack { cause: cause(failure), to: to.clone() }
            }
            Ending::Stuck { cause: failure, undo } => {
                What::Stuck { cause: cause(failure), undo: cause(undo) }
            }
            Ending::Abandoned { reason } => What::Abandoned { reason: reason.clone() },
            Ending::Superseded { by } => What::Superseded { by: by.clone() },
            _ => return None,
        },
        _ => return None,
    })
}
