//! The checklist that is gone through before anything is touched.

use std::{collections::BTreeMap, fmt, sync::Arc};

use futures_util::{StreamExt, future::Either, stream::FuturesUnordered};
use serde::Serialize;

use super::{Driver, Parts, Pipeline};
use crate::{
    consequence::{Reaction, Severity},
    context::Context,
    error::{Chain, Error, ErrorKind, Result},
    health::{Check, Endpoint, Role, Verdict},
    journal::Event,
    preflight::Found,
    redact::Redactor,
    secret::Secrets,
    spec::ReleaseSpec,
    verification::{CheckSpec, When},
    waiting::wait_until_healthy,
};

/// An item of the checklist, looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Prepared {
    /// Which.
    pub check: String,
    /// How bad it is when it is not as it should be.
    pub severity: Severity,
    /// What was found.
    pub found: Found,
}

impl Prepared {
    /// Whether it is as it should be.
    pub fn is_good(&self) -> bool {
        self.found.verdict == Verdict::Pass
    }

    /// Whether a deploy is refused for it.
    pub fn refuses(&self) -> bool {
        !self.is_good() && Reaction::from(self.severity) > Reaction::Note
    }
}

impl fmt::Display for Prepared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mark = match (self.found.verdict, self.refuses()) {
            (Verdict::Pass, _) => "ok",
            (_, true) => "NOT READY",
            (_, false) => "warning",
        };
        write!(f, "{}: {mark}: {}", self.check, self.found.what)?;
        match self.found.remedy.as_ref().filter(|_| !self.is_good()) {
            Some(remedy) => write!(f, " ({remedy})"),
            None => Ok(()),
        }
    }
}

impl Pipeline {
    /// Goes through the checklist for a deploy of `spec`, without a run. Nothing is changed.
    ///
    /// # Errors
    /// When a check of `spec` is not understood, or a secret that it needs cannot be had; what is
    /// not as it should be is a value.
    pub async fn prepare(&self, cx: &Context, spec: Option<&ReleaseSpec>) -> Result<Vec<Prepared>> {
        let (checks, secrets) = match spec {
            Some(spec) => {
                let found = self.parts.find_secrets(cx, spec).await?;
                (spec.verification.checks.as_slice(), found.secrets)
            }
            None => (&[][..], Secrets::new()),
        };
        let redactor = Redactor::new(&secrets);
        let mut prepared = self.parts.prepare(&cx.clone().with_secrets(secrets), checks).await?;
        for Prepared { found, .. } in &mut prepared {
            found.what = redactor.text(&found.what);
            found.remedy = found.remedy.as_deref().map(|remedy| redactor.text(remedy));
        }
        Ok(prepared)
    }
}

impl Driver {
    /// Goes through the checklist and records it.
    ///
    /// # Errors
    /// [`ErrorKind::Refused`] with all that is not as it should be, and what to do about it.
    pub(super) async fn prepare(
        &self,
        cx: &Context,
        spec: &ReleaseSpec,
        secrets: Secrets,
    ) -> Result<()> {
        let checks = &spec.verification.checks;
        let prepared = self.parts.prepare(&cx.clone().with_secrets(secrets), checks).await?;
        for Prepared { check, severity, found } in prepared.clone() {
            self.log.record(Event::Prepared { check, severity, found }).await?;
        }
        let (mut gaps, mut advice) = (Vec::new(), Vec::new());
        for item in prepared.into_iter().filter(Prepared::refuses) {
            gaps.push(format!("{}: {}", item.check, item.found.what));
            advice.extend(item.found.remedy);
        }
        if gaps.is_empty() {
            return Ok(());
        }
        let error = Error::new(ErrorKind::Refused, "begin", gaps.join("; ")).without_effect();
        Err(if advice.is_empty() { error } else { error.with_advice(advice.join("; ")) })
    }
}

impl Parts {
    /// Looks at every item side by side, in the order in which they were given.
    async fn prepare(&self, cx: &Context, checks: &[CheckSpec]) -> Result<Vec<Prepared>> {
        let cx = &cx.clone().with_turns(Arc::clone(&self.turns));
        let mut looks = FuturesUnordered::new();
        for (number, (item, severity)) in self.checklist.iter().enumerate() {
            let look = async move {
                let found = match cx.bounded(item.check(cx)).await {
                    Ok(found) => found,
                    Err(error) => {
                        cx.check()?;
                        blind(Chain(&error).to_string())
                    }
                };
                Ok((number, Prepared { check: item.name().to_owned(), severity: *severity, found }))
            };
            looks.push(Either::Left(look));
        }
        let named = checks.iter().filter(|check| check.when == When::Preflight);
        for (number, spec) in named.enumerate() {
            let probe = self.probes.probe(spec)?;
            let check = Check::new(&spec.name, spec.service.clone(), probe, spec.timing.clone());
            let severity = spec.consequences.severity;
            let look = async move {
                let result = wait_until_healthy(cx, &check, &Endpoint::none(Role::Live)).await?;
                let found = match (result.verdict, result.why) {
                    (Verdict::Pass, _) => {
                        let seen = result.evidence.first().map(|seen| seen.text.as_str());
                        let line = seen.and_then(|text| text.lines().next());
                        Found::good(line.unwrap_or("as declared"))
                    }
                    (verdict, why) => {
                        let what = why.unwrap_or_else(|| "it did not pass".to_owned());
                        Found { verdict, what, remedy: None }
                    }
                };
                let number = self.checklist.len() + number;
                Ok((number, Prepared { check: check.name, severity, found }))
            };
            looks.push(Either::Right(look));
        }
        let mut prepared = BTreeMap::new();
        while let Some(looked) = looks.next().await {
            let (number, item): (usize, Prepared) = looked?;
            prepared.insert(number, item);
        }
        Ok(prepared.into_values().collect())
    }
}

/// What could not be looked at.
fn blind(why: String) -> Found {
    Found { verdict: Verdict::Error, what: why, remedy: None }
}
