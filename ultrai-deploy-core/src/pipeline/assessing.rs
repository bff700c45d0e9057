//! Whether a deploy could be taken back, asked before it touches anything.

use std::collections::BTreeMap;

use super::{BackupPolicy, DataPolicy, Driver, Parts, ReadinessPolicy};
use crate::{
    context::Context,
    error::{Chain, Result},
    flag::FlagState,
    journal::Event,
    migration::Ledger,
    readiness::{Aspect, Readiness},
    release::Release,
    spec::ReleaseSpec,
};

impl Driver {
    /// Finds out whether a deploy of `spec` could be taken back, and keeps it in the journal.
    ///
    /// The whole of it comes before the backup, which is announced here: its own stage refuses the
    /// run where it cannot be taken and verified.
    ///
    /// # Errors
    /// [`Refused`](crate::ErrorKind::Refused) with every gap, where the policy blocks.
    pub(super) async fn assess(&self, cx: &Context, spec: &ReleaseSpec) -> Result<()> {
        if self.parts.policy.readiness == ReadinessPolicy::Off {
            return Ok(());
        }
        let previous = self.previous().await?;
        let ledger = self.parts.releases.migrations().await?;
        let readiness = self.parts.readiness(cx, spec, previous.as_deref(), &ledger).await?;
        self.log.record(Event::Assessed { readiness: readiness.clone() }).await?;
        if self.parts.policy.readiness == ReadinessPolicy::Block && !readiness.is_ready() {
            return Err(readiness.refusal());
        }
        Ok(())
    }
}

impl Parts {
    /// What speaks for and against going back from a deploy of `spec` to `previous`.
    pub(super) async fn readiness(
        &self,
        cx: &Context,
        spec: &ReleaseSpec,
        previous: Option<&Release>,
        ledger: &Ledger,
    ) -> Result<Readiness> {
        let mut readiness = Readiness::new(previous.map(|release| release.id.clone()));
        if let Some(previous) = previous {
            self.assess_images(cx, previous, &mut readiness).await?;
            self.assess_backup(cx, previous, &mut readiness).await?;
            self.assess_data(&mut readiness);
            assess_migrations(spec, ledger, &mut readiness)?;
        }
        assess_flags(&spec.flags, &mut readiness);
        Ok(readiness)
    }

    async fn assess_images(
        &self,
        cx: &Context,
        previous: &Release,
        readiness: &mut Readiness,
    ) -> Result<()> {
        let Some(images) = &self.images else { return Ok(()) };
        let (mut count, mut gone) = (0, Vec::new());
        for (name, service) in &previous.services {
            let Some(image) = &service.image else { continue };
            count += 1;
            match cx.bounded(images.is_obtainable(cx, image)).await {
                Ok(true) => {}
                Ok(false) => gone.push(format!("{} of {name} ({})", image.reference, image.id)),
                // That it cannot be asked for is a gap, and no failure of a deploy.
                Err(error) => {
                    cx.check()?;
                    gone.push(format!("{} of {name}: {}", image.reference, Chain(&error)));
                }
            }
        }
        if !gone.is_empty() {
            let why = format!("not to be had any more: {}", gone.join(", "));
            readiness.bad(Aspect::Images, why, "pull or load them again");
        } else if count > 0 {
            readiness.good(Aspect::Images, format!("all {count} can be had"));
        }
        Ok(())
    }

    fn assess_data(&self, readiness: &mut Readiness) {
        if self.policy.data != DataPolicy::Restore {
            return;
        }
        if !self.has_data() {
            let why = "it is to go back with the release, and none is declared";
            readiness.bad(Aspect::Data, why, "declare it with [[data]]");
        } else if self.policy.backup == BackupPolicy::Off {
            let why = "it is to go back with the release, and no backup of it is taken";
            readiness.bad(Aspect::Data, why, "set backup = \"required\" in [policy]");
        } else {
            readiness.good(Aspect::Data, "it goes back with the release");
        }
    }

    async fn assess_backup(
        &self,
        cx: &Context,
        previous: &Release,
        readiness: &mut Readiness,
    ) -> Result<()> {
        if self.policy.backup == BackupPolicy::Required {
            readiness.good(Aspect::Backup, "one is taken and verified before anything changes");
            return Ok(());
        }
        let advice = "set backup = \"required\" in [policy]";
        let none = "the policy asks for none, and there is none of what serves";
        let Some(store) = &self.backups else {
            readiness.bad(Aspect::Backup, none, advice);
            return Ok(());
        };
        let newest = async {
            let all = store.list(&self.target).await?;
            let of_it = |backup: &crate::backup::Backup| {
                backup.request.release.as_ref() == Some(&previous.id)
            };
            let Some(newest) = all.into_iter().rev().find(of_it) else { return Ok(None) };
            store.verify(&self.target, &newest.request.id).await?;
            Ok(Some(newest.request.id))
        };
        match cx.bounded(newest).await {
            Ok(Some(id)) => readiness.good(Aspect::Backup, format!("{id} is whole")),
            Ok(None) => readiness.bad(Aspect::Backup, none, advice),
            Err(error) => {
                cx.check()?;
                readiness.bad(Aspect::Backup, Chain(&error).to_string(), advice);
            }
        }
        Ok(())
    }
}

fn assess_migrations(spec: &ReleaseSpec, ledger: &Ledger, readiness: &mut Readiness) -> Result<()> {
    let pending = ledger.pending(&spec.migrations)?;
    let for_ever: Vec<_> = pending.iter().filter(|one| !one.reversible).collect();
    if !for_ever.is_empty() {
        let names: Vec<_> = for_ever.iter().map(|one| format!("`{}`", one.name)).collect();
        readiness.bad(
            Aspect::Migrations,
            format!("not reversible: {}", names.join(", ")),
            "make sure that what serves can live with what they do, and declare them reversible",
        );
    } else if pending.is_empty() {
        readiness.good(Aspect::Migrations, "none is to run");
    } else {
        readiness.good(Aspect::Migrations, "all that are to run are declared reversible");
    }
    Ok(())
}

fn assess_flags(flags: &BTreeMap<String, FlagState>, readiness: &mut Readiness) {
    let missing: Vec<_> = flags
        .iter()
        .filter(|(_, state)| !state.is_configured())
        .map(|(name, state)| format!("{name} is {state}"))
        .collect();
    if !missing.is_empty() {
        let advice = "give each a value in the environment's configuration: true or false";
        readiness.bad(Aspect::Flags, missing.join(", "), advice);
    } else if !flags.is_empty() {
        readiness.good(Aspect::Flags, format!("all {} are switched on or off", flags.len()));
    }
}
