//! The performance gate.

use std::sync::Arc;

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    secret::SecretSource,
};

use crate::{
    judge::{Judgement, hopeless, judge},
    limit::{Limit, tolerances},
    measured::{Measured, summary, text},
    schedule::planned,
    sending::{Done, Sent, send},
    spec::LoadSpec,
    tally::Tally,
};

/// Sends a load and judges it, by itself and beside the release before.
#[derive(Debug)]
pub struct LoadProbe {
    name: String,
    spec: LoadSpec,
    secrets: Option<Arc<dyn SecretSource>>,
}

impl LoadProbe {
    /// A probe for the check `name`; `secrets` has the values that the context of a look has not.
    pub fn new(
        name: impl Into<String>,
        spec: LoadSpec,
        secrets: Option<Arc<dyn SecretSource>>,
    ) -> Self {
        Self { name: name.into(), spec, secrets }
    }
}

#[async_trait]
impl HealthProbe for LoadProbe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let (requesting, gate) = (&self.spec.requesting, &self.spec.gate);
        let before = cx.measured_before(&self.name).map(Measured::parse).transpose()?;
        let Limits { all: limits, notes, open } = self.limits(before.as_ref())?;
        let (count, seconds) =
            (planned(requesting.rate, gate.duration), gate.duration.as_secs_f64());
        let stop = |tally: &Tally, warm_up: &Tally| {
            hopeless(&limits, tally, warm_up, count.saturating_sub(tally.ended), seconds)
        };
        let sent = send(
            &self.name,
            cx,
            endpoint,
            self.secrets.as_ref(),
            requesting,
            gate.warm_up,
            gate.duration,
            stop,
        );
        let Done { outcome, url, redactor } = match sent.await? {
            Sent::Done(done) => *done,
            Sent::Not(health) => return Ok(health),
        };
        let measured = Measured::new(&outcome, seconds);
        let mut lines = vec![format!("{url}: {}", summary(&outcome.tally, measured.seconds))];
        lines.extend(notes);
        let mut evidence = vec![
            Evidence::new(EvidenceKind::Probe, &self.name, lines.join("\n")),
            Evidence::new(EvidenceKind::Measurement, &self.name, text(&measured)?),
        ];
        redactor.evidence(&mut evidence[..1]);
        let why =
            |reasons: &[String]| redactor.text(&format!("{}; {}", reasons.join("; "), lines[0]));
        if let Some(stopped) = &outcome.stopped {
            return Ok(Health::Unhealthy { why: why(std::slice::from_ref(stopped)), evidence });
        }
        Ok(match judge(&limits, gate.min_requests, &outcome.tally, measured.seconds) {
            Judgement::Bad(reasons) => Health::Unhealthy { why: why(&reasons), evidence },
            Judgement::Open(reasons) => {
                let reasons = [reasons, open].concat();
                Health::Inconclusive { why: why(&reasons), evidence }
            }
            Judgement::Good if !open.is_empty() => {
                Health::Inconclusive { why: why(&open), evidence }
            }
            Judgement::Good => Health::Healthy(evidence),
        })
    }
}

struct Limits {
    /// What must hold, that of the release before included.
    all: Vec<Limit>,
    /// What people should know of them.
    notes: Vec<String>,
    /// Limits of which too little was seen of the release before.
    open: Vec<String>,
}

impl LoadProbe {
    fn limits(&self, before: Option<&Measured>) -> Result<Limits> {
        let gate = &self.spec.gate;
        let mut found = Limits { all: self.spec.required()?, notes: Vec::new(), open: Vec::new() };
        for (metric, allowed) in tolerances(&gate.at_most_worse)? {
            let Some(before) = before else {
                let note = format!("{metric}: no release before to compare with");
                found.notes.push(note);
                continue;
            };
            let Some(limit) = Limit::beside(metric, allowed, before)? else {
                found.notes.push(format!("{metric}: the release before has none to compare with"));
                continue;
            };
            let (seen, needed) = (before.samples(metric), limit.needs(gate.min_requests));
            if seen < needed {
                found.open.push(format!(
                    "{metric} needs {needed} requests to the release before, {seen} were measured"
                ));
                continue;
            }
            found.notes.push(limit.text.clone());
            found.all.push(limit);
        }
        Ok(found)
    }
}
