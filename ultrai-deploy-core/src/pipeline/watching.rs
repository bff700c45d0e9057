//! Watching a release that already serves, and taking it back when it gets sick.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::Duration,
};

use tokio::time::Instant;

use super::{CheckOutcome, Pipeline, Proof, RollbackRequest, proof::Patience};
use crate::{
    consequence::Reaction,
    context::Cancel,
    current::Serving,
    ending::Ending,
    error::{Error, ErrorKind, Result},
    health::{Check, Role},
    lease::Wait,
    name::{ReleaseId, RunId},
    redact::Redactor,
    release::Release,
    report::Report,
    verification::{CheckSpec, When},
};

/// How long a round is: a time box is opened, an end of trouble is seen, and another release is noticed
/// at the end of one at the latest. What asks for a rollback ends it at once.
const ROUND: Duration = Duration::from_secs(15);

/// How long to watch, and whether to act.
#[derive(Clone, Debug)]
pub struct WatchRequest {
    /// For how long; nothing until it is cancelled.
    pub window: Option<Duration>,
    /// Whether it goes back by itself; otherwise it only tells.
    pub acts: bool,
    /// Ends the watch. A rollback that has begun has a cancellation of its own.
    pub cancel: Cancel,
}

impl Default for WatchRequest {
    /// Until it is cancelled, and acting.
    fn default() -> Self {
        Self { window: None, acts: true, cancel: Cancel::new() }
    }
}

/// Who is told what a watch sees. Must not block.
pub trait Watcher: fmt::Debug + Send + Sync {
    /// Something changed for the worse or the better.
    fn told(&self, told: &Told);
}

/// What a watch tells.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Told {
    /// A check that passed does not any more.
    Alert(CheckOutcome),
    /// It passes again.
    Recovered {
        /// Which.
        check: String,
    },
    /// A major check does not pass: when that is still so after this time, it goes back.
    Boxed {
        /// How long a fix may take.
        within: Duration,
        /// Why.
        why: String,
    },
    /// What was wrong is over before its time was.
    Unboxed,
    /// It goes back now.
    GoingBack {
        /// To which release.
        to: ReleaseId,
        /// The run that does it.
        run: RunId,
        /// Why.
        why: String,
    },
}

/// How a watch ended.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Watched {
    /// The time was over, or it was cancelled; what did not pass at the end.
    Over(Vec<CheckOutcome>),
    /// Another release serves now, or none does.
    Replaced {
        /// Which.
        by: Option<ReleaseId>,
    },
    /// It went back; the report of that run.
    WentBack(Box<Report>),
    /// It should have gone back, and there was nothing to go back to, or it was not to act.
    Unwell {
        /// What did not pass.
        outcomes: Vec<CheckOutcome>,
        /// Why it did not go back; nothing when it was not to act.
        refusal: Option<String>,
    },
}

/// What is known between rounds.
#[derive(Debug, Default)]
struct Watch {
    /// The checks that do not pass.
    failing: BTreeSet<String>,
    /// When the time box that is open ends, and why it was opened.
    boxed: Option<(Instant, String)>,
}

impl Pipeline {
    /// Watches the release that serves with all its checks, those for watching included.
    ///
    /// What fails critically is gone back from at once, to the release before, by a run of its own that
    /// is journaled, proven and reported like any other. What fails majorly opens a time box of
    /// [`Policy::hold`](super::Policy::hold): when another release takes the place of this one, or
    /// everything passes again, nothing happens; otherwise it goes back at its end. The time box is this
    /// call's own: who begins to watch again begins it again. While another run has the environment
    /// it goes on watching.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`] when no release of this engine serves; when what serves cannot be read,
    /// and as [`Run::join`](super::Run::join).
    pub async fn watch(&self, request: &WatchRequest, watcher: &dyn Watcher) -> Result<Watched> {
        let end = request.window.map(|window| Instant::now() + window);
        let Some(release) = self.serving().await? else {
            let message = format!("no release serves in {}", self.parts.target);
            return Err(Error::new(ErrorKind::NotFound, "watch", message)
                .with_advice("deploy something first")
                .without_effect());
        };
        let redactor = Redactor::new(&self.parts.releases.secrets(&release).await?);
        let whole = self.parts.releases.get(&release).await?;
        // Made once: what they have seen so far counts in the next round, too.
        let mut checks = self.parts.deployer.declared_checks(&whole)?;
        let is_watched = |when| matches!(when, When::Verify | When::Post | When::Watch);
        let named = |check: &CheckSpec| is_watched(check.when) && !check.is_gate();
        checks.extend(self.parts.named_checks(&whole, named)?);
        let mut watch = Watch::default();
        loop {
            let left = end.map_or(ROUND, |end| end.saturating_duration_since(Instant::now()));
            let round = self.round(request, &whole, &checks, left.min(ROUND)).await;
            let Some(mut proof) = round.map_err(|error| redactor.error(error))? else {
                return Ok(Watched::Over(Vec::new()));
            };
            proof.redact(&redactor);
            let outcomes = proof.outcomes;
            let by = self.serving().await?;
            if by.as_ref() != Some(&release) {
                return Ok(Watched::Replaced { by });
            }
            let (reaction, why) = watch.take(&outcomes, self.parts.policy.hold, watcher);
            if reaction == Some(Reaction::RollBack) {
                match self.take_back(request, &release, &why, watcher).await? {
                    Back::Went(report) => return Ok(Watched::WentBack(report)),
                    Back::Cannot(refusal) => {
                        let outcomes = against(outcomes);
                        return Ok(Watched::Unwell { outcomes, refusal });
                    }
                    // The next round sees what came of it.
                    Back::Busy => {}
                }
            } else if request.cancel.is_cancelled() || end.is_some_and(|end| Instant::now() >= end)
            {
                return Ok(Watched::Over(against(outcomes)));
            }
        }
    }

    async fn serving(&self) -> Result<Option<ReleaseId>> {
        let cx = self.look();
        Ok(match cx.bounded(self.parts.deployer.current(&cx)).await?.serving {
            Serving::Release(id) => Some(id),
            Serving::Nothing | Serving::Unmanaged(_) => None,
        })
    }

    /// Looks for a while; nothing when it was cancelled.
    async fn round(
        &self,
        request: &WatchRequest,
        release: &Release,
        checks: &[Check],
        time: Duration,
    ) -> Result<Option<Proof>> {
        let cx = self.look().with_cancel(request.cancel.clone());
        let proof = async {
            let compared = self.parts.compare(&cx, release).await?;
            let patience = Patience::Watch(time);
            let checks = checks.to_vec();
            let mut proof =
                self.parts.look_at(&cx, checks, Role::Live, release, patience, None).await?;
            proof.outcomes.insert(0, compared);
            Ok::<_, Error>(proof)
        };
        match proof.await {
            Ok(proof) => Ok(Some(proof)),
            Err(error) if request.cancel.is_cancelled() && error.kind() == ErrorKind::Cancelled => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    async fn take_back(
        &self,
        request: &WatchRequest,
        release: &ReleaseId,
        why: &str,
        watcher: &dyn Watcher,
    ) -> Result<Back> {
        if !request.acts {
            return Ok(Back::Cannot(None));
        }
        if self.parts.lease.holder(&self.parts.target).await?.is_some() {
            return Ok(Back::Busy);
        }
        let to = match self.release_before(&self.look()).await {
            Ok(to) => to,
            Err(error) if error.kind() == ErrorKind::Invalid => {
                return Ok(Back::Cannot(Some(error.message().to_owned())));
            }
            Err(error) => return Err(error),
        };
        let mut rollback = RollbackRequest::new(to.clone());
        rollback.reason = Some(format!("watching {release}: {why}"));
        rollback.wait = Wait::No;
        let run = self.rollback(rollback);
        watcher.told(&Told::GoingBack { to, run: run.id().clone(), why: why.to_owned() });
        let report = run.join().await?;
        Ok(match &report.ending {
            // Another run was quicker; it may well be the fix.
            Some(Ending::Refused { cause }) if cause.kind == ErrorKind::Fenced => Back::Busy,
            Some(Ending::Refused { cause }) => Back::Cannot(Some(cause.to_string())),
            _ => Back::Went(Box::new(report)),
        })
    }
}

/// What came of going back.
enum Back {
    Went(Box<Report>),
    Cannot(Option<String>),
    Busy,
}

impl Watch {
    /// Takes the outcomes of a round in, tells what changed, and says what is to be done and why.
    fn take(
        &mut self,
        outcomes: &[CheckOutcome],
        hold: Duration,
        watcher: &dyn Watcher,
    ) -> (Option<Reaction>, String) {
        let mut now = BTreeMap::new();
        for outcome in outcomes {
            let fails = outcome.reaction.is_some();
            *now.entry(outcome.check.as_str()).or_insert(false) |= fails;
            if fails && self.failing.insert(outcome.check.clone()) {
                watcher.told(&Told::Alert(outcome.clone()));
            }
        }
        self.failing.retain(|check| {
            // One that was not decided, as another ended the round, is as it was.
            let passes = now.get(check.as_str()) == Some(&false);
            if passes {
                watcher.told(&Told::Recovered { check: check.clone() });
            }
            !passes
        });
        let worst = outcomes.iter().max_by_key(|outcome| outcome.reaction);
        let reaction = worst.and_then(|worst| worst.reaction);
        let why = worst.map(|worst| {
            let why = worst.why.as_deref().unwrap_or("it did not pass");
            format!("check `{}`: {why}", worst.check)
        });
        let why = why.unwrap_or_default();
        match (reaction, &self.boxed) {
            (Some(Reaction::Hold), None) => {
                watcher.told(&Told::Boxed { within: hold, why: why.clone() });
                self.boxed = Some((Instant::now() + hold, why.clone()));
                (reaction, why)
            }
            (Some(Reaction::Hold), Some((until, first))) if Instant::now() >= *until => {
                (Some(Reaction::RollBack), format!("{why} (not mended in time; at first {first})"))
            }
            (None | Some(Reaction::Note), Some(_)) => {
                self.boxed = None;
                watcher.told(&Told::Unboxed);
                (reaction, why)
            }
            _ => (reaction, why),
        }
    }
}

fn against(mut outcomes: Vec<CheckOutcome>) -> Vec<CheckOutcome> {
    outcomes.retain(|outcome| outcome.reaction.is_some());
    outcomes
}
