//! Keeping what a run changes and no release knows, until it is of no use any more.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    deployer::Work,
    name::{ReleaseId, RunId, ServiceName},
    release::Release,
    secret::{Fingerprint, Secret, Secrets},
};

use super::{Deployer, target};
use crate::{
    definition::Definition,
    kept::{self, Kind},
    platform::{Change, Slot},
    snapshot::{Print, Snapshot},
};

impl Deployer {
    /// Keeps what is about to be changed and that the release that served does not know.
    pub(super) async fn keep(
        &self,
        cx: &Context,
        work: &Work<'_>,
        name: &ServiceName,
        slot: &Slot,
        kind: Kind,
        (now, change): (&BTreeMap<String, Secret>, &Change),
    ) -> Result<()> {
        let to = target(work)?;
        let known = definition_of(work.from, name)?.unwrap_or_default();
        let known: BTreeSet<_> = known.names(kind).collect();
        let changed = change.set.keys().chain(&change.remove);
        let lost: Vec<_> = changed
            .filter(|name| !known.contains(name))
            .filter_map(|name| Some((name, now.get(name)?)))
            .collect();
        self.keep_with(cx, to, slot, kind.as_str(), &lost).await?;
        let unread = |name: &&String| !known.contains(name) && !now.contains_key(*name);
        let unread: Vec<_> = change.set.keys().filter(unread).collect();
        match kind {
            Kind::Variable if !unread.is_empty() => self.mark_sealed(cx, to, slot, &unread).await,
            _ => Ok(()),
        }
    }

    /// Remembers those of `names` that have a value which cannot be kept, so that a rollback tells of
    /// them.
    async fn mark_sealed(
        &self,
        cx: &Context,
        to: &Release,
        slot: &Slot,
        names: &[&String],
    ) -> Result<()> {
        let sealed = self.platform.sealed(cx, slot).await?;
        // No value of anything is hidden for being equal to it.
        let mark = Secret::new("");
        let marks: Vec<_> = names.iter().filter(|name| sealed.contains(**name)).collect();
        let marks: Vec<_> = marks.into_iter().map(|name| (*name, &mark)).collect();
        self.keep_with(cx, to, slot, kept::SEALED, &marks).await
    }

    /// Keeps values with a release of the run.
    pub(super) async fn keep_with(
        &self,
        cx: &Context,
        release: &Release,
        slot: &Slot,
        kind: &str,
        values: &[(&String, &Secret)],
    ) -> Result<()> {
        if values.is_empty() {
            return Ok(());
        }
        let mut secrets = self.releases.secrets(&release.id).await?;
        let known = secrets.len();
        for (name, value) in values {
            // The first one is what was there before.
            let key = kept::key(cx.run(), &slot.id, kind, name)?;
            secrets.entry(key).or_insert_with(|| Secret::clone(value));
        }
        if secrets.len() > known { self.releases.put(release, &secrets).await } else { Ok(()) }
    }

    /// Drops all that was kept with a release.
    pub(super) async fn drop_kept(&self, release: &Release) -> Result<()> {
        let mut secrets = self.releases.secrets(&release.id).await?;
        if kept::drop_all(&mut secrets) {
            self.releases.put(release, &secrets).await?;
        }
        Ok(())
    }

    /// The definitions of a service whose names are no person's: that of the release which the step
    /// leaves, and those of all others that the run has met, such as one that was held.
    pub(super) async fn formers(
        &self,
        work: &Work<'_>,
        name: &ServiceName,
    ) -> Result<Vec<Definition>> {
        let mut formers: Vec<_> = definition_of(work.from, name)?.into_iter().collect();
        let is_known = |id: &ReleaseId| {
            [work.from, work.to].into_iter().flatten().any(|release| release.id == *id)
        };
        for id in Snapshot::releases(work)?.iter().filter(|id| !is_known(id)) {
            match self.releases.get(id).await {
                Ok(release) => formers.extend(definition_of(Some(&release), name)?),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(formers)
    }

    /// What this run kept, and those whose place it took.
    pub(super) async fn kept(&self, cx: &Context, work: &Work<'_>) -> Result<Kept> {
        let held = work.inherited.iter().map(|one| &one.run);
        let mut runs: Vec<_> = held.chain([cx.run()]).cloned().collect();
        runs.dedup();
        let mut values = Secrets::new();
        let mut releases = Snapshot::releases(work)?;
        releases.extend(work.from.map(|from| from.id.clone()));
        for id in &releases {
            match self.releases.secrets(id).await {
                Ok(secrets) => values.extend(secrets),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        let print = Print::new(&self.releases.fingerprint_key().await?)?;
        Ok(Kept { runs, values, print })
    }
}

/// What runs kept of what was set before them.
pub(super) struct Kept {
    /// Oldest first: it was there before all others.
    runs: Vec<RunId>,
    values: Secrets,
    pub(super) print: Print,
}

impl Kept {
    /// Whether a variable whose value nobody could read may have been overwritten.
    pub(super) fn was_sealed(&self, slot: &Slot, name: &str) -> Result<bool> {
        for run in &self.runs {
            if self.values.contains_key(&kept::key(run, &slot.id, kept::SEALED, name)?) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub(super) fn value(
        &self,
        slot: &Slot,
        kind: &str,
        name: &str,
        was: &Fingerprint,
    ) -> Result<Option<&Secret>> {
        for run in &self.runs {
            let value = self.values.get(&kept::key(run, &slot.id, kind, name)?);
            if let Some(value) = value.filter(|value| self.print.of(value) == *was) {
                return Ok(Some(value));
            }
        }
        Ok(None)
    }
}

fn definition_of(release: Option<&Release>, name: &ServiceName) -> Result<Option<Definition>> {
    let service = release.and_then(|release| release.services.get(name));
    service.map(|service| Definition::read(name, &service.config)).transpose()
}
