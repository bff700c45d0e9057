//! Recovering a database to an instant, which makes a new one.

use jiff::Timestamp;
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{Context, Effect, Error, ErrorKind, Result, name::BackupId};
use ultrai_deploy_hosted::backups::Object;

use super::Databases;
use crate::model::{OwnerId, Postgres, PostgresId, PostgresStatus, Recovery};

const RECOVER: &str = "recover a database";
/// How many times its lag a database is looked for whose beginning was not answered.
const PATIENCE: u32 = 6;

impl Databases {
    pub(super) async fn recover(
        &self,
        cx: &Context,
        object: &Object,
        at: Timestamp,
        backup: &BackupId,
    ) -> Result<String> {
        let old = self.client.postgres(cx, &object.id.as_str().into()).await?;
        let owner = old.owner.map(|owner| owner.id).or_else(|| self.config.workspace.clone());
        let name = format!("{}-{backup}", object.name);
        let new = match self.made_before(cx, owner.as_ref(), &name).await? {
            Some(new) => new,
            None => self.begin_recovery(cx, object, owner.as_ref(), at, &name).await?,
        };
        let id = new.id.clone();
        self.comes_up(cx, new).await?;
        Ok(format!(
            "what database {} held at {at} is in the new database {name} ({id}); the old one is as it \
             was, and services use it until they are pointed at the new one",
            object.name
        ))
    }

    /// The database of this name, which an earlier call began.
    async fn made_before(
        &self,
        cx: &Context,
        owner: Option<&OwnerId>,
        name: &str,
    ) -> Result<Option<Postgres>> {
        let mut found = self.client.postgres_named(cx, owner, name).await?;
        if found.len() > 1 {
            let ids: Vec<_> = found.iter().map(|one| one.id.as_str()).collect();
            let message = format!("several databases are called {name}: {}", ids.join(", "));
            return Err(Error::new(ErrorKind::Conflict, RECOVER, message)
                .with_advice("rename or delete all but one of them")
                .without_effect());
        }
        Ok(found.pop())
    }

    async fn begin_recovery(
        &self,
        cx: &Context,
        object: &Object,
        owner: Option<&OwnerId>,
        at: Timestamp,
        name: &str,
    ) -> Result<Postgres> {
        let mut recovery = Recovery::new(at);
        recovery.name = Some(name.to_owned());
        let database = PostgresId::from(object.id.as_str());
        let mut made = None;
        let beginning = async {
            let answer = self.client.recover(cx, &database, &recovery).await?;
            Ok(made.insert(answer).id.as_str().to_owned())
        };
        let detail = json!({ "at": at, "name": name });
        match (cx.effect(RECOVER, &object.name, detail, beginning).await, made) {
            (Ok(_), Some(made)) => Ok(made),
            (Ok(_), None) => Err(Error::new(ErrorKind::Unexpected, RECOVER, "nothing was made")),
            (Err(error), _) if error.effect() == Effect::Unknown => {
                self.appears(cx, owner, name).await?.ok_or(error)
            }
            (Err(error), _) => Err(error),
        }
    }

    /// What came of a call whose answer is lost.
    async fn appears(
        &self,
        cx: &Context,
        owner: Option<&OwnerId>,
        name: &str,
    ) -> Result<Option<Postgres>> {
        let end = Instant::now() + PATIENCE * self.config.lag;
        loop {
            let found = self.made_before(cx, owner, name).await?;
            if found.is_some() || Instant::now() >= end {
                return Ok(found);
            }
            self.rest(cx).await?;
        }
    }

    /// Waits until it can be used. A status that is not known is one on the way.
    async fn comes_up(&self, cx: &Context, mut new: Postgres) -> Result<()> {
        loop {
            match &new.status {
                PostgresStatus::Available => return Ok(()),
                PostgresStatus::RecoveryFailed => {
                    let message = format!("the recovery into {} ({}) failed", new.name, new.id);
                    return Err(Error::new(ErrorKind::Unavailable, RECOVER, message).with_advice(
                        "delete that database in Render's dashboard before trying again",
                    ));
                }
                _ => self.rest(cx).await?,
            }
            new = match self.client.postgres(cx, &new.id).await {
                Ok(found) => found,
                // Not seen everywhere yet: the deadline of the context ends this.
                Err(error) if error.kind() == ErrorKind::NotFound => new,
                Err(error) => return Err(error),
            };
        }
    }
}
