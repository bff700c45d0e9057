//! PostgreSQL databases, their exports and their recovery.

use jiff::Timestamp;
use serde_json::json;
use ultrai_deploy_core::{Context, Result};
use ultrai_deploy_http::api::Call;

use super::{Client, list, with_some};
use crate::model::{Export, OwnerId, Postgres, PostgresId, Recovery, RecoveryInfo};

impl Client {
    /// The databases with exactly this name, in one workspace or in all. There may be none, one, or
    /// several.
    pub async fn postgres_named(
        &self,
        cx: &Context,
        owner: Option<&OwnerId>,
        name: &str,
    ) -> Result<Vec<Postgres>> {
        let call = Call::get("find a database", ["postgres"]).with_query("name", name);
        let call = with_some(call, "ownerId", owner);
        let mut databases: Vec<Postgres> = self.list(cx, call, None).await?;
        databases.retain(|database| database.name == name);
        Ok(databases)
    }

    /// A database.
    pub async fn postgres(&self, cx: &Context, id: &PostgresId) -> Result<Postgres> {
        self.read(cx, &Call::get("read a database", ["postgres", id.as_str()])).await
    }

    /// Begins an export of a database. Render does not tell its id: it is the one among
    /// [`Client::exports`] that was not there before.
    ///
    /// It is never sent twice.
    pub async fn start_export(&self, cx: &Context, id: &PostgresId) -> Result<()> {
        let call = Call::post("export a database", ["postgres", id.as_str(), "export"]);
        self.done(cx, &call).await
    }

    /// The exports of a database.
    ///
    /// # Errors
    /// An answer that cannot be read shows nothing of itself: it holds links that anybody can use.
    pub async fn exports(&self, cx: &Context, id: &PostgresId) -> Result<Vec<Export>> {
        let call = Call::get("list exports of a database", ["postgres", id.as_str(), "export"]);
        let reply = self.send(cx, &call).await?;
        let exports: Option<Vec<Export>> = list::secret_json(call.operation(), &reply)?;
        Ok(exports.unwrap_or_default())
    }

    /// From when on a database can be recovered, and whether it can.
    pub async fn recovery_info(&self, cx: &Context, id: &PostgresId) -> Result<RecoveryInfo> {
        Ok(self.recovery_info_with_time(cx, id).await?.0)
    }

    /// The same, and when it was the case by Render's clock: an instant that belongs before all that is
    /// done afterwards. Nothing where Render does not tell.
    pub async fn recovery_info_with_time(
        &self,
        cx: &Context,
        id: &PostgresId,
    ) -> Result<(RecoveryInfo, Option<Timestamp>)> {
        let segments = ["postgres", id.as_str(), "recovery"];
        let call = Call::get("read how a database can be recovered", segments);
        let reply = self.send(cx, &call).await?;
        Ok((reply.json()?, reply.date()))
    }

    /// Begins to make a new database from what an old one held at an instant, and gives the new
    /// one. The old one stays as it is.
    ///
    /// It is never sent twice.
    pub async fn recover(
        &self,
        cx: &Context,
        id: &PostgresId,
        recovery: &Recovery,
    ) -> Result<Postgres> {
        let mut body = json!({ "restoreTime": recovery.time.to_string() });
        let more = [
            ("restoreName", &recovery.name),
            ("plan", &recovery.plan),
            ("environmentId", &recovery.environment),
        ];
        for (name, value) in more {
            if let Some(value) = value {
                body[name] = json!(value);
            }
        }
        let call = Call::post("recover a database", ["postgres", id.as_str(), "recovery"]);
        self.read(cx, &call.with_json(&body)?).await
    }
}
