//! How the release before is, looked at before it is replaced: whether it is well at all, and what
//! checks that compare need to know of it.

use std::{sync::Arc, time::Duration};

use super::{Driver, Parts, proof::Patience, recorder::Recorder};
use crate::{
    context::Context,
    error::{Chain, Result},
    health::Role,
    release::Release,
    verification::{CheckSpec, When},
};

/// How long looking at the release before may take: it is about to be replaced, and a platform that does
/// not answer is met again soon enough.
const LIMIT: Duration = Duration::from_secs(30);

impl Driver {
    /// Looks once at what serves, and keeps what does not pass: a rollback to it is none, and a
    /// release that mends it must not be measured by it.
    ///
    /// That it cannot be looked at is noted and stops nothing.
    pub(super) async fn look_before(&self, cx: &Context) -> Result<()> {
        // What is held is not what a rollback would lead to.
        if self.log.state().await.supersedes().is_some() {
            return Ok(());
        }
        let Some(previous) = self.previous().await? else { return Ok(()) };
        let brief = cx.clone().with_timeout(LIMIT);
        match self.parts.look_before(&brief, &previous, &self.log).await {
            Err(error) if !self.log.is_broken().await => {
                cx.check()?;
                let why = Chain(&error).to_string();
                self.note(format!("what serves could not be looked at: {why}")).await
            }
            looked => looked,
        }
    }

    /// Measures the release before with those checks of the new one that compare with it, unless that
    /// is done.
    pub(super) async fn measure_before(&self, cx: &Context, release: &Release) -> Result<()> {
        let (is_measured, supersedes) = {
            let state = self.log.state().await;
            (!state.measured().is_empty(), state.supersedes().is_some())
        };
        if is_measured || supersedes {
            return Ok(());
        }
        let Some(previous) = self.previous().await? else { return Ok(()) };
        let mut checks = self.parts.named_checks(release, |check| check.compares)?;
        checks.retain(|check| {
            check.service.as_ref().is_none_or(|service| previous.services.contains_key(service))
        });
        if checks.is_empty() {
            return Ok(());
        }
        let looked = self.parts.look_at(
            cx,
            checks,
            Role::Previous,
            &previous,
            Patience::Once,
            Some(&self.log),
        );
        match looked.await {
            Err(error) if !self.log.is_broken().await => {
                cx.check()?;
                let why = Chain(&error).to_string();
                self.note(format!("the release before could not be measured: {why}")).await
            }
            looked => looked.map(drop),
        }
    }

    /// `cx` with what was measured of the release before.
    pub(super) async fn with_measured(&self, cx: &Context) -> Context {
        let measured = self.log.state().await.measured().clone();
        if measured.is_empty() { cx.clone() } else { cx.clone().with_measured(measured) }
    }
}

impl Parts {
    async fn look_before(
        &self,
        cx: &Context,
        previous: &Arc<Release>,
        log: &Recorder,
    ) -> Result<()> {
        let mut checks = self.deployer.declared_checks(previous)?;
        let verify = |check: &CheckSpec| {
            // A gate is for what is new, and takes its time.
            matches!(check.when, When::Verify | When::Post) && !check.is_gate()
        };
        checks.extend(self.named_checks(previous, verify)?);
        let patience = Patience::Once;
        self.look_at(cx, checks, Role::Previous, previous, patience, Some(log)).await.map(drop)
    }
}
