//! Render's databases, of which Render keeps what they held at any instant of some days.

mod recover;

use std::time::Duration;

use async_trait::async_trait;
use jiff::Timestamp;
use ultrai_deploy_core::{Context, Error, ErrorKind, Result, name::BackupId};
use ultrai_deploy_hosted::backups::{
    Asked, Begun, Manners, Object, Progress, Snapshot, Snapshots, State,
};

use crate::{
    Client, Config,
    model::{Export, Postgres, PostgresId, RecoveryInfo, RecoveryStatus},
};

/// Begins the id of an instant.
const INSTANT: &str = "instant:";
/// Begins the id of an export.
const EXPORT: &str = "export:";

/// PostgreSQL databases. What is kept of one is an instant by Render's clock, to which Render recovers
/// it within the days that its plan keeps, and nothing has to be made for that. Where Render cannot, an
/// export is made, which people load by hand.
///
/// Restoring makes a new database, and the old one stays as it is: services use the new one when they
/// are pointed at it. Render deletes what it keeps by itself; deleting a backup here deletes nothing
/// there.
///
/// Disks are not kept: Render takes snapshots of them daily, and has no call that takes one.
#[derive(Clone, Debug)]
pub struct Databases {
    client: Client,
    config: Config,
    names: Vec<String>,
}

impl Databases {
    /// The databases that are called so, by name or id (`dpg-…`), in the workspace of `config`.
    ///
    /// # Errors
    /// [`ErrorKind::Unsupported`] for the id of something of which Render takes no backup on request.
    pub fn new(
        client: Client,
        config: Config,
        names: impl IntoIterator<Item = impl Into<String>>,
    ) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        let other = |name: &&String| ["dsk-", "srv-", "red-"].iter().any(|id| name.starts_with(id));
        if let Some(other) = names.iter().find(other) {
            let message = format!("{other} is no PostgreSQL database");
            return Err(Error::new(ErrorKind::Unsupported, "keep backups", message)
                .with_advice(
                    "Render takes snapshots of disks daily and has no call that takes one; of key \
                     value stores it has no backups",
                )
                .without_effect());
        }
        Ok(Self { client, config, names })
    }

    async fn look_for(&self, cx: &Context, name: &str) -> Result<Postgres> {
        if name.starts_with("dpg-") {
            return self.client.postgres(cx, &name.into()).await;
        }
        let mut found =
            self.client.postgres_named(cx, self.config.workspace.as_ref(), name).await?;
        if found.len() == 1
            && let Some(found) = found.pop()
        {
            return Ok(found);
        }
        let (message, advice) = if found.is_empty() {
            let message = format!("no database that the key sees is called {name}");
            (message, "look at its name in the dashboard, or whose the key is".to_owned())
        } else {
            let ids: Vec<_> = found.iter().map(|one| one.id.as_str()).collect();
            let message = format!("{} databases are called {name}", found.len());
            (message, format!("use the id of one of them: {}", ids.join(", ")))
        };
        Err(Error::new(ErrorKind::Invalid, "find a database", message)
            .with_advice(advice)
            .without_effect())
    }

    async fn rest(&self, cx: &Context) -> Result<()> {
        let pause = self.pause();
        let resting = async {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        cx.bounded(resting).await
    }
}

#[async_trait]
impl Snapshots for Databases {
    fn name(&self) -> &'static str {
        "render-postgres"
    }

    async fn objects(&self, cx: &Context) -> Result<Vec<Object>> {
        let mut objects = Vec::new();
        for name in &self.names {
            let Postgres { id, name, .. } = self.look_for(cx, name).await?;
            objects.push(Object { id: id.as_str().to_owned(), name });
        }
        Ok(objects)
    }

    async fn begin(&self, cx: &Context, object: &Object, asked: &Asked<'_>) -> Result<Begun> {
        let database = PostgresId::from(object.id.as_str());
        let (info, clock) = self.client.recovery_info_with_time(cx, &database).await?;
        // Render's own clock, or what a clock that is ahead calls now would hold what comes after.
        let now = clock.unwrap_or(asked.at);
        if reaches(&info, now) {
            return Ok(Begun::Whole(instant(now)));
        }
        let message = format!(
            "{} cannot be recovered to an instant now ({}): it is exported instead, and loading an \
             export is left to people",
            object.name,
            info.status.as_str()
        );
        cx.note(&message).await?;
        self.client.start_export(cx, &database).await?;
        Ok(Begun::Work { handle: None, since: clock })
    }

    /// Render tells no handle.
    async fn progress(&self, _cx: &Context, _handle: &str) -> Result<Progress> {
        Ok(Progress::Unknown)
    }

    async fn list(&self, cx: &Context, object: &Object) -> Result<Vec<Snapshot>> {
        let exports = self.client.exports(cx, &object.id.as_str().into()).await?;
        Ok(exports.iter().map(export).collect())
    }

    async fn find(&self, cx: &Context, object: &Object, id: &str) -> Result<Option<Snapshot>> {
        let Some(at) = instant_of(id) else {
            return Ok(self.list(cx, object).await?.into_iter().find(|one| one.id == id));
        };
        let info = self.client.recovery_info(cx, &object.id.as_str().into()).await?;
        Ok(reaches(&info, at).then(|| instant(at)))
    }

    /// Nothing here tells when it goes.
    async fn keep(&self, _cx: &Context, _object: &Object, _snapshot: &Snapshot) -> Result<()> {
        let message = "Render keeps backups for as long as its plans say";
        Err(Error::new(ErrorKind::Unsupported, "keep a backup", message).without_effect())
    }

    fn restorable(&self, object: &Object, snapshot: &Snapshot) -> Result<()> {
        restored_to(object, snapshot).map(drop)
    }

    /// Makes a new database, called as the old one and the backup; one of that name is taken for what
    /// an earlier call began.
    async fn restore(
        &self,
        cx: &Context,
        object: &Object,
        snapshot: &Snapshot,
        id: &BackupId,
    ) -> Result<String> {
        let at = restored_to(object, snapshot)?;
        self.recover(cx, object, at, id).await
    }

    /// Render has no call for it: what it keeps goes by itself.
    async fn delete(&self, _cx: &Context, _object: &Object, _id: &str) -> Result<()> {
        Ok(())
    }

    fn manners(&self) -> Manners {
        Manners { has_labels: false, restoring_deletes_newer: false, lag: self.config.lag }
    }

    fn pause(&self) -> Duration {
        self.client.api().spread("read", self.config.pause)
    }
}

/// Whether a database can be recovered to an instant.
fn reaches(info: &RecoveryInfo, at: Timestamp) -> bool {
    info.status == RecoveryStatus::Available && info.starts_at.is_none_or(|start| start <= at)
}

fn instant(at: Timestamp) -> Snapshot {
    Snapshot {
        id: format!("{INSTANT}{at}"),
        label: None,
        state: State::Whole,
        taken: Some(at),
        expires: None,
        bytes: None,
    }
}

/// The instant that a database is restored to; of an export there is none.
fn restored_to(object: &Object, snapshot: &Snapshot) -> Result<Timestamp> {
    instant_of(&snapshot.id).ok_or_else(|| {
        let export = snapshot.id.trim_start_matches(EXPORT);
        let message = format!("of {} there is an export ({export})", object.name);
        Error::new(ErrorKind::Unsupported, "restore a database", message)
            .with_advice("download it from Render's dashboard and load it with pg_restore")
            .without_effect()
    })
}

fn instant_of(id: &str) -> Option<Timestamp> {
    id.strip_prefix(INSTANT)?.parse().ok()
}

/// Its link is no part of it: whoever knows that can download everything.
fn export(export: &Export) -> Snapshot {
    Snapshot {
        id: format!("{EXPORT}{}", export.id),
        label: None,
        state: if export.url.is_some() { State::Whole } else { State::Partial },
        taken: export.created_at,
        expires: None,
        bytes: None,
    }
}
