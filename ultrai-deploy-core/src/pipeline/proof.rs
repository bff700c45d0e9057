//! Proving a release: what runs is what is intended, and every check passes.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream::FuturesUnordered};
use serde::Serialize;

use super::{Parts, Pipeline, recorder::Recorder};
use crate::{
    consequence::{Reaction, Severity},
    context::Context,
    current::{Running, Serving},
    error::{Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    health::{Check, Endpoint, Role, Verdict},
    journal::Event,
    name::ServiceName,
    redact::Redactor,
    release::{Origin, Release, ReleaseService},
    secret::Secrets,
    verification::{CheckSpec, When},
    waiting::{CheckResult, look_once, wait_until_healthy, watch_that_it_stays_well},
};

/// Of how many instances evidence is taken when a check does not say which one it looked at.
const MOST_SUSPECTS: usize = 8;

/// How long taking evidence of one instance may take.
const EVIDENCE_LIMIT: Duration = Duration::from_secs(10);

/// How long checks are looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// Until each has passed; the first failure ends the proof.
    FailFast,
    /// Until each is decided.
    All,
    /// One look at each. What passes is not recorded, unless it measured something.
    Once,
    /// For the whole time, in which each has to stay well; the first failure ends the proof.
    Watch(Duration),
}

impl Patience {
    fn ends_with_a_failure(self) -> bool {
        !matches!(self, Self::All | Self::Once)
    }

    async fn look(self, cx: &Context, check: &Check, endpoint: &Endpoint) -> Result<CheckResult> {
        match self {
            Self::FailFast | Self::All => wait_until_healthy(cx, check, endpoint).await,
            Self::Once => look_once(cx, check, endpoint).await,
            Self::Watch(window) => watch_that_it_stays_well(cx, check, endpoint, window).await,
        }
    }
}

/// The outcome of one check.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct CheckOutcome {
    /// Its name.
    pub check: String,
    /// The service that it looked at.
    pub service: Option<ServiceName>,
    /// The verdict.
    pub verdict: Verdict,
    /// How bad it is when it does not pass.
    pub severity: Severity,
    /// What follows from it; nothing from a pass.
    pub reaction: Option<Reaction>,
    /// Why it is not a pass.
    pub why: Option<String>,
    /// How long it took, in milliseconds.
    pub millis: u64,
    /// What was last seen.
    pub evidence: Vec<Evidence>,
}

impl CheckOutcome {
    /// Whether it speaks against the release: it did not pass, and that is not only noted.
    pub fn is_against(&self) -> bool {
        self.reaction.is_some_and(|reaction| reaction > Reaction::Note)
    }
}

/// The outcomes of all checks that were made.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Proof {
    /// One for each check, in the order in which they were decided.
    pub outcomes: Vec<CheckOutcome>,
}

impl Proof {
    /// Whether every check passed, but for those that are only noted.
    pub fn passed(&self) -> bool {
        !self.outcomes.iter().any(CheckOutcome::is_against)
    }

    pub(super) fn redact(&mut self, redactor: &Redactor) {
        for outcome in &mut self.outcomes {
            redactor.evidence(&mut outcome.evidence);
            if let Some(why) = &mut outcome.why {
                *why = redactor.text(why);
            }
        }
    }

    pub(super) fn into_result(self) -> Result<()> {
        let mut failed: Vec<_> =
            self.outcomes.into_iter().filter(CheckOutcome::is_against).collect();
        // What weighs most comes first, and where that is no more than a hold, it is one.
        failed.sort_by_key(|outcome| Reverse(outcome.reaction));
        let worst = failed.first().and_then(|outcome| outcome.reaction);
        if failed.is_empty() {
            return Ok(());
        }
        let what: Vec<_> = failed
            .iter()
            .map(|outcome| {
                let why = outcome.why.as_deref().unwrap_or("it did not pass");
                format!("check `{}`: {why}", outcome.check)
            })
            .collect();
        let evidence = failed.into_iter().flat_map(|outcome| outcome.evidence);
        Err(Error::new(ErrorKind::Unhealthy, "prove the release", what.join("; "))
            .with_evidence(evidence)
            .with_reaction(worst.filter(|worst| *worst == Reaction::Hold)))
    }
}

impl Pipeline {
    /// Runs all checks of the release that serves, without changing or recording anything.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when nothing is deployed; everything about checks is in the proof.
    pub async fn verify(&self, cx: &Context) -> Result<(Arc<Release>, Proof)> {
        let parts = &self.parts;
        let current = cx.bounded(parts.deployer.current(cx)).await?;
        let (release, redactor) = match current.serving {
            Serving::Nothing => {
                let message = format!("nothing is deployed to {}", parts.target);
                return Err(Error::new(ErrorKind::NotFound, "verify", message)
                    .with_advice("deploy something first")
                    .without_effect());
            }
            Serving::Release(id) => {
                let redactor = Redactor::new(&parts.releases.secrets(&id).await?);
                (parts.releases.get(&id).await?, redactor)
            }
            Serving::Unmanaged(release) => (Arc::from(release), Redactor::default()),
        };
        let whens = [When::Verify, When::Post];
        let proof = parts.prove(cx, &release, Role::Live, &whens, Patience::All, None).await;
        let mut proof = proof.map_err(|error| redactor.error(error))?;
        proof.redact(&redactor);
        Ok((release, proof))
    }
}

impl Parts {
    /// Proves `release` in its role: for a live one first that what runs is what is intended.
    pub(super) async fn prove(
        &self,
        cx: &Context,
        release: &Release,
        role: Role,
        whens: &[When],
        patience: Patience,
        log: Option<&Recorder>,
    ) -> Result<Proof> {
        let mut proof = Proof::default();
        if role == Role::Live {
            let outcome = self.compare(cx, release).await?;
            self.tell(log, role, 1, &outcome).await?;
            let differs = outcome.is_against();
            proof.outcomes.push(outcome);
            if differs && patience.ends_with_a_failure() {
                return Ok(proof);
            }
        }
        let mut checks = self.deployer.declared_checks(release)?;
        checks.extend(self.named_checks(release, |check| whens.contains(&check.when))?);
        let looked = self.look_at(cx, checks, role, release, patience, log).await?;
        proof.outcomes.extend(looked.outcomes);
        Ok(proof)
    }

    /// The checks of `release` that somebody wrote down and that are wanted now.
    pub(super) fn named_checks(
        &self,
        release: &Release,
        is_wanted: impl Fn(&CheckSpec) -> bool,
    ) -> Result<Vec<Check>> {
        release
            .verification
            .checks
            .iter()
            .filter(|check| is_wanted(check))
            .map(|check| {
                let (probe, timing) = (self.probes.probe(check)?, check.timing.clone());
                let named = Check::new(&check.name, check.service.clone(), probe, timing);
                Ok(named.with_consequences(check.consequences))
            })
            .collect()
    }

    /// The secrets that were kept with a release; none where it was never stored.
    async fn secrets_with(&self, release: &Release) -> Result<Secrets> {
        match self.releases.secrets(&release.id).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Secrets::new()),
            found => found,
        }
    }

    /// Looks at all `checks` side by side.
    pub(super) async fn look_at(
        &self,
        cx: &Context,
        checks: Vec<Check>,
        role: Role,
        release: &Release,
        patience: Patience,
        log: Option<&Recorder>,
    ) -> Result<Proof> {
        let turns = Arc::clone(&self.turns);
        let cx = &cx.clone().with_secrets(self.secrets_with(release).await?).with_turns(turns);
        // What is about to be replaced still serves.
        let serving = if role == Role::Previous { Role::Live } else { role };
        let endpoints = cx.bounded(self.deployer.endpoints(cx, release, serving)).await?;
        let mut proof = Proof::default();
        let mut waits = FuturesUnordered::new();
        for check in checks {
            let at = match &check.service {
                None => vec![Endpoint::none(role)],
                Some(service) => endpoints
                    .iter()
                    .filter(|endpoint| endpoint.service.as_ref() == Some(service))
                    .cloned()
                    .collect(),
            };
            if at.is_empty() && serving == Role::Live {
                let outcome = CheckOutcome {
                    check: check.name.clone(),
                    service: check.service.clone(),
                    verdict: Verdict::Fail,
                    severity: check.consequences.severity,
                    reaction: check.consequences.reaction(Verdict::Fail),
                    why: Some("nothing of the service runs".to_owned()),
                    millis: 0,
                    evidence: Vec::new(),
                };
                self.tell(log, role, 0, &outcome).await?;
                proof.outcomes.push(outcome);
            }
            for endpoint in at {
                let check = check.clone();
                waits.push(async move {
                    let result = patience.look(cx, &check, &endpoint).await;
                    (check, endpoint, result)
                });
            }
        }
        if !proof.passed() && patience.ends_with_a_failure() {
            return Ok(proof);
        }
        while let Some((check, endpoint, result)) = waits.next().await {
            let CheckResult { verdict, why, looks, took, mut evidence } = result?;
            if verdict != Verdict::Pass {
                // A check that names its own address does not say whose it is, so each service is
                // a suspect.
                let own = std::slice::from_ref(&endpoint);
                let suspects = if endpoint.service.is_some() { own } else { &endpoints };
                for suspect in suspects.iter().take(MOST_SUSPECTS) {
                    evidence.extend(self.evidence(cx, suspect).await);
                }
            }
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            let outcome = CheckOutcome {
                check: check.name,
                service: check.service,
                verdict,
                severity: check.consequences.severity,
                reaction: check.consequences.reaction(verdict),
                why,
                millis,
                evidence,
            };
            let measured = outcome.evidence.iter().any(Evidence::is_measurement);
            if patience != Patience::Once || outcome.verdict != Verdict::Pass || measured {
                self.tell(log, role, looks, &outcome).await?;
            }
            let decides = outcome.reaction == Some(Reaction::RollBack);
            proof.outcomes.push(outcome);
            if decides && patience.ends_with_a_failure() {
                break;
            }
        }
        Ok(proof)
    }

    /// What the platform knows about a suspect. A log that does not come must not keep a run from
    /// its end.
    async fn evidence(&self, cx: &Context, suspect: &Endpoint) -> Vec<Evidence> {
        let collected = self.deployer.evidence(cx, suspect);
        match tokio::time::timeout(EVIDENCE_LIMIT, collected).await {
            Ok(evidence) => evidence,
            Err(_elapsed) => {
                let text = format!("the platform did not tell within {EVIDENCE_LIMIT:?}");
                vec![Evidence::new(EvidenceKind::Status, suspect.instance.as_str(), text)]
            }
        }
    }

    /// Compares what runs with what `release` says.
    pub(super) async fn compare(&self, cx: &Context, release: &Release) -> Result<CheckOutcome> {
        let current = cx.bounded(self.deployer.current(cx)).await?;
        let mut wrong = Vec::new();
        if let Serving::Release(other) = &current.serving
            && *other != release.id
        {
            wrong.push(format!("release {other} serves"));
        }
        for (name, intended) in &release.services {
            match current.services.get(name) {
                None => wrong.push(format!("{name} does not run")),
                Some(running) if !running.up => {
                    wrong.push(format!("{name} is not up ({})", running.status));
                }
                Some(running) => {
                    let difference = difference(release.origin, intended, running);
                    wrong.extend(difference.map(|difference| format!("{name} {difference}")));
                }
            }
        }
        // What others had started is described as far as it was well: the rest came back, too.
        let is_whole = release.origin == Origin::Sealed;
        let others = current.services.iter().filter(|(_, running)| is_whole && running.up);
        let others = others.filter(|(name, _)| !release.services.contains_key(*name));
        wrong.extend(others.map(|(name, _)| format!("{name} runs and is not of this release")));
        let status = if wrong.is_empty() {
            "every service runs as sealed".to_owned()
        } else {
            wrong.join("; ")
        };
        Ok(CheckOutcome {
            check: "running as intended".to_owned(),
            service: None,
            verdict: if wrong.is_empty() { Verdict::Pass } else { Verdict::Fail },
            severity: Severity::Critical,
            reaction: (!wrong.is_empty()).then_some(Reaction::RollBack),
            why: (!wrong.is_empty()).then(|| status.clone()),
            millis: 0,
            evidence: vec![Evidence::new(EvidenceKind::Status, release.id.as_str(), status)],
        })
    }

    async fn tell(
        &self,
        log: Option<&Recorder>,
        role: Role,
        looks: u32,
        outcome: &CheckOutcome,
    ) -> Result<()> {
        let Some(log) = log else { return Ok(()) };
        log.record(Event::Checked {
            check: outcome.check.clone(),
            role,
            verdict: outcome.verdict,
            looks,
            millis: outcome.millis,
            severity: outcome.severity,
            why: outcome.why.clone(),
            evidence: outcome.evidence.clone(),
        })
        .await
    }
}

fn difference(origin: Origin, intended: &ReleaseService, running: &Running) -> Option<String> {
    // The definition of what others had started was put together from what ran, so it has not the
    // hash that an earlier deploy may have marked it with.
    if origin == Origin::Sealed {
        match &running.spec_hash {
            Some(hash) if *hash == intended.spec_hash => {}
            Some(_) => return Some("runs with another definition".to_owned()),
            None => return Some("was started by others".to_owned()),
        }
    }
    match (&intended.image, &running.image) {
        (Some(wanted), Some(runs)) if wanted.id != runs.id => {
            Some(format!("runs image {} instead of {}", runs.id, wanted.id))
        }
        _ => None,
    }
}
