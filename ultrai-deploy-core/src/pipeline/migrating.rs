//! Migrations: each begun between a durable intent and its result, and run once.
//!
//! Two documents say what became of one. The journal tells what this run did; the ledger of the
//! environment, in the release store, tells it for ever. The ledger says `unknown` from before the
//! command starts until its end is known, so a killed run finds in it whether the command can have
//! begun at all, and whether its end was seen.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    Driver, Parts, Pipeline,
    deadline::{GRACE, cut_off},
};
use crate::{
    backup::Selection,
    context::{Cancel, Context},
    error::{Effect, Error, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    journal::Event,
    lease::Wait,
    migration::{Entry, Ledger, Migration, Status},
    name::{RunId, ServiceName},
    release::Release,
    spec::ServiceSpec,
};

impl Driver {
    /// Runs the migrations of the release that this environment has not seen, in their order. What
    /// their dependencies needed is gone before the release itself comes.
    pub(super) async fn migrate(&self, cx: &Context) -> Result<()> {
        let state = self.log.state().await;
        if state.is_rollback() || !state.attempts().is_empty() {
            return Ok(());
        }
        let release = self.release().await?;
        if release.migrations.is_empty() {
            return Ok(());
        }
        self.settle_migrations().await?;
        if let Some(name) = self.log.state().await.failed_migration() {
            return Err(failed(name, "and the run was interrupted right after it"));
        }
        let ledger = self.parts.releases.migrations().await?;
        let pending = ledger.pending(&release.migrations)?;
        if !pending.is_empty() {
            // What is held would be gone back past, if this run failed now.
            Box::pin(self.inherit()).await?;
        }
        for migration in pending {
            Box::pin(self.apply_migration(cx, &release, migration)).await?;
        }
        if self.log.state().await.has_begun_migrations() {
            self.clean_tasks().await?;
        }
        Ok(())
    }

    /// Finds out what became of a migration that was left without a result: the ledger is written
    /// right before it starts and right after its end, and nothing was begun where it says nothing.
    pub(super) async fn settle_migrations(&self) -> Result<()> {
        let state = self.log.state().await;
        let Some(open) = state.open_migration() else { return Ok(()) };
        let ledger = self.parts.releases.migrations().await?;
        // What an earlier run left is not what this one began; what a person said since counts.
        let own = ledger
            .migrations
            .get(open)
            .filter(|entry| entry.user.is_some() || entry.run.as_ref() == Some(self.run()));
        let found = own.map_or(Status::Pending, |entry| entry.status);
        self.log.record(Event::MigrationFound { migration: open.to_owned(), status: found }).await
    }

    async fn apply_migration(
        &self,
        cx: &Context,
        release: &Release,
        migration: &Migration,
    ) -> Result<()> {
        let Some(runner) = &self.parts.tasks else { return Ok(()) };
        cx.check()?;
        let name = &migration.name;
        self.log
            .record(Event::MigrationStarted {
                migration: name.clone(),
                reversible: migration.reversible,
            })
            .await?;
        let before = self.parts.releases.migrations().await?;
        self.note_migration(name, Status::Unknown).await?;

        // One that has begun is not stopped half-way because somebody wants the run to stop: that is
        // heard right after it.
        let own = cx.for_step("migrate", 1).with_cancel(Cancel::never());
        let own = own.with_timeout(migration.timeout);
        let output = self.log.output(name).await;
        let task = migration.task();
        let ended = cut_off(&own, GRACE, runner.run(&own, release, &task, &output)).await;
        let end = match ended {
            Ok(end) => end,
            Err(error) => {
                let status = if error.effect() == Effect::None {
                    self.write_ledger(&before).await?;
                    Status::Pending
                } else {
                    Status::Unknown
                };
                self.log.record(Event::MigrationFound { migration: name.clone(), status }).await?;
                return Err(unanswered(migration, status, error));
            }
        };
        let (exit_code, tail) = (end.exit_code, end.tail);
        let status = if exit_code == 0 { Status::Applied } else { Status::Failed };
        self.note_migration(name, status).await?;
        let ended =
            Event::MigrationEnded { migration: name.clone(), exit_code, tail: tail.clone() };
        self.log.record(ended).await?;
        if exit_code == 0 {
            return Ok(());
        }
        Err(failed(name, &format!("with exit code {exit_code}")).with_evidence([Evidence::new(
            EvidenceKind::Log,
            name,
            tail,
        )]))
    }

    /// Data of `at` is back: what migrations did to it since may be undone with it, or not, where it is
    /// in data of another kind. Nobody knows but people, so the next deploy that has one asks.
    pub(super) async fn doubt_migrations(&self, what: &Selection, at: Timestamp) -> Result<()> {
        let mut ledger = self.parts.releases.migrations().await?;
        if what.from != self.parts.target {
            if !ledger.migrations.is_empty() {
                let message =
                    format!("which migrations the data of {} has seen is not known", what.from);
                self.note(message).await?;
            }
            return Ok(());
        }
        let mut doubtful = Vec::new();
        for (name, entry) in &mut ledger.migrations {
            if entry.at > at && matches!(entry.status, Status::Applied | Status::Failed) {
                entry.status = Status::Unknown;
                doubtful.push(format!("`{name}`"));
            }
        }
        if doubtful.is_empty() {
            return Ok(());
        }
        self.write_ledger(&ledger).await?;
        let message = format!(
            "the data is of before {}: whether its changes are undone with it is not known; look, and \
             say so with `ultrai migrations --mark 'NAME=pending'` or `=applied`",
            doubtful.join(", ")
        );
        self.note(message).await
    }

    async fn note_migration(&self, name: &str, status: Status) -> Result<()> {
        let version = {
            let state = self.log.state().await;
            state.facts().and_then(|facts| facts.version.clone())
        };
        let entry = Entry::of_run(status, self.run().clone(), version, self.parts.clock.now());
        let mut ledger = self.parts.releases.migrations().await?;
        ledger.migrations.insert(name.to_owned(), entry);
        self.write_ledger(&ledger).await
    }

    async fn write_ledger(&self, ledger: &Ledger) -> Result<()> {
        self.log.renew().await?;
        self.parts.releases.set_migrations(ledger).await
    }
}

/// No verdict on the release: what a migration fails at is often in the data.
fn failed(name: &str, how: &str) -> Error {
    let message = format!("migration `{name}` failed {how}");
    Error::new(ErrorKind::Unexpected, "run the migrations", message)
        .with_advice("mend what it says, and deploy again: it is run again then")
}

/// The end of a migration was not seen, or it could not be begun.
fn unanswered(migration: &Migration, status: Status, error: Error) -> Error {
    let name = &migration.name;
    let evidence = error.evidence().to_vec();
    let told = match (status, migration.repeatable) {
        (Status::Unknown, false) => Error::new(
            error.kind(),
            "run the migrations",
            format!("nobody knows whether migration `{name}` took effect"),
        )
        .with_advice(format!(
            "look at the data, and say what became of it: `ultrai migrations --mark \
             '{name}=applied'`, or `=pending` to have the next deploy run it"
        )),
        (Status::Unknown, true) => Error::new(
            error.kind(),
            "run the migrations",
            format!("migration `{name}` may have taken effect; the next deploy runs it again"),
        ),
        _ => Error::new(
            error.kind(),
            "run the migrations",
            format!("migration `{name}` could not be begun"),
        ),
    };
    told.with_evidence(evidence).with_source(error)
}

impl Parts {
    /// What is wrong with the migrations of a spec, and whether they can be run at all.
    pub(super) fn check_migrations(
        &self,
        migrations: &[Migration],
        services: &BTreeMap<ServiceName, ServiceSpec>,
    ) -> Result<()> {
        for (at, migration) in migrations.iter().enumerate() {
            let name = &migration.name;
            let wrong = |message: String| {
                Error::new(ErrorKind::Invalid, "check the migrations", message).without_effect()
            };
            if migrations[..at].iter().any(|other| other.name == *name) {
                return Err(wrong(format!("two migrations are called `{name}`")));
            }
            if !services.contains_key(&migration.service) {
                let message =
                    format!("`{name}` is to run in {}, which is no service", migration.service);
                return Err(wrong(message));
            }
            let advice = format!(
                "have the platform run it in the new build, as the pre-deploy command of {}",
                migration.service
            );
            let Some(runner) = &self.tasks else {
                let message = "it has migrations, but this backend runs no commands";
                return Err(Error::new(ErrorKind::Unsupported, "check the release", message)
                    .with_advice(advice)
                    .without_effect());
            };
            runner.check(&migration.task()).map_err(|error| match error.kind() {
                ErrorKind::Unsupported => error.with_advice(advice),
                _ => error,
            })?;
        }
        Ok(())
    }
}

impl Pipeline {
    /// What became of the migrations of the environment.
    ///
    /// # Errors
    /// When the release store cannot be read.
    pub async fn migrations(&self) -> Result<Ledger> {
        self.parts.releases.migrations().await
    }

    /// Keeps what a person says of a migration: [`Status::Applied`] or [`Status::Pending`].
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for another status; [`ErrorKind::Fenced`] while a run has the
    /// environment.
    pub async fn mark_migration(&self, name: &str, status: Status) -> Result<Ledger> {
        if !matches!(status, Status::Applied | Status::Pending) {
            let message = format!("a migration cannot be marked as {status}");
            return Err(
                Error::new(ErrorKind::Invalid, "mark a migration", message).without_effect()
            );
        }
        let holder = self.parts.holder(&RunId::generate());
        let fence = self.parts.acquire(&holder, Wait::No).await?;
        let marked = async {
            let mut ledger = self.parts.releases.migrations().await?;
            let user = self.parts.initiator.user.clone();
            let entry = Entry::of_person(status, user, self.parts.clock.now());
            ledger.migrations.insert(name.to_owned(), entry);
            self.parts.releases.set_migrations(&ledger).await?;
            Ok(ledger)
        }
        .await;
        let released = self.parts.lease.release(&self.parts.target, fence).await;
        let ledger = marked?;
        released?;
        Ok(ledger)
    }
}
