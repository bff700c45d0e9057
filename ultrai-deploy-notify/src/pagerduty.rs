//! PagerDuty's Events API v2: <https://developer.pagerduty.com/docs/events-api-v2/trigger-events/>.
//!
//! One incident for all deploys of an environment, and one for each check of a watch: what goes wrong
//! triggers it, and the next run that succeeds, or the check that recovers, resolves it. A rollback
//! leaves it open: what was to be brought is not there.

use std::time::Duration;

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Error, ErrorKind, Result, consequence::Severity, name::SecretName, secret::Secret,
};
use ultrai_deploy_http::{address::HttpUrl, delivery::SecretUrl};

use crate::{
    notice::{Name, Notice, shortened},
    payload::Payload,
    post::Post,
    sender::{Sender, Sent},
};

/// Where events are sent unless something else is said.
pub(crate) const BASE: &str = "https://events.pagerduty.com";
/// Longest summary, in characters, of those that PagerDuty takes.
const LONGEST_SUMMARY: usize = 1023;
/// Longest key of an incident, in bytes, that PagerDuty takes.
const LONGEST_KEY: usize = 255;

#[derive(Debug)]
pub(crate) struct PagerDuty {
    post: Post,
    /// Where events go. No secret itself, but the key goes there.
    url: SecretUrl,
    routing_key: SecretName,
    /// How bad an alert has to be.
    from: Severity,
}

impl PagerDuty {
    /// Events go to `base` under the key in `routing_key`; alerts only from `from` on, critical ones
    /// where nothing is said.
    pub(crate) fn new(
        post: Post,
        base: &HttpUrl,
        routing_key: SecretName,
        from: Option<Severity>,
    ) -> Result<Self> {
        let base = base.to_string();
        let url = Secret::new(format!("{}/v2/enqueue", base.trim_end_matches('/')));
        let url = SecretUrl::parse(&url)?;
        if !url.is_private() {
            let message = format!("the integration key would be sent to {base}, which has no TLS");
            return Err(Error::new(ErrorKind::Invalid, "read a notification channel", message)
                .with_advice("use an https URL")
                .without_effect());
        }
        Ok(Self { post, url, routing_key, from: from.unwrap_or(Severity::Critical) })
    }

    /// What a notice does to an incident; nothing where none begins or ends.
    fn action(&self, notice: &Notice) -> Option<&'static str> {
        let is_for_people =
            |severity: Option<Severity>| severity.is_none_or(|one| one >= self.from);
        match notice.what.name() {
            Name::Alert | Name::Recovered if !is_for_people(notice.what.severity()) => None,
            Name::Refused
            | Name::Failed
            | Name::RolledBack
            | Name::Stuck
            | Name::ApprovalNeeded
            | Name::Alert => Some("trigger"),
            Name::Succeeded | Name::Recovered => Some("resolve"),
            Name::Started | Name::Cancelled | Name::Abandoned | Name::Superseded => None,
        }
    }
}

#[async_trait]
impl Sender for PagerDuty {
    async fn send(&self, notice: &Notice, left_out: u64, limit: Duration) -> Result<Sent> {
        let Some(action) = self.action(notice) else { return Ok(Sent::Accepted) };
        let routing_key = self.post.secret(&self.routing_key).await?;
        let event = event(notice, left_out, action, &routing_key);
        let body = event.to_string().into_bytes();
        self.post.json(&self.url, Vec::new(), body, limit).await
    }
}

fn event(notice: &Notice, left_out: u64, action: &str, routing_key: &Secret) -> Value {
    let mut key = notice.incident();
    while key.len() > LONGEST_KEY {
        key.pop();
    }
    let mut event = json!({
        "routing_key": routing_key.expose(),
        "event_action": action,
        "dedup_key": key,
    });
    if action == "trigger" {
        let severity = match notice.what.severity() {
            Some(Severity::Critical) => "critical",
            Some(Severity::Major) => "error",
            _ => "warning",
        };
        event["client"] = json!("ultrai-deploy");
        event["payload"] = json!({
            "summary": shortened(&notice.summary(), LONGEST_SUMMARY),
            "source": notice.target.to_string(),
            "severity": severity,
            "timestamp": notice.at.to_string(),
            "group": notice.target.project,
            "class": notice.what.name(),
            "custom_details": Payload::new(notice, left_out),
        });
    }
    event
}
