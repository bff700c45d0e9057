//! The form in which channels are configured: `[[notify]]`.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    clock::SystemClock,
    consequence::Severity,
    name::{EnvironmentName, SecretName},
    secret::SecretSource,
};
use ultrai_deploy_http::{Client, address::HttpUrl};

use crate::{
    channel::{Channel, Filter, Limits},
    command::Command,
    notice::Name,
    pagerduty::{self, PagerDuty},
    post::Post,
    sender::Sender,
    slack::Slack,
    webhook::Webhook,
};

/// Longest time that one attempt may be given: a minute.
const LONGEST_TIMEOUT: Duration = Duration::from_mins(1);

/// A channel, as a person writes it.
///
/// Which of `url`, `signing_secret`, `routing_key`, `base_url` and `command` it has depends on its
/// kind; one that its kind does not know is refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// What kind of receiver it is.
    pub kind: Kind,
    /// What warnings call it; the kind where nothing is said. Two channels of a kind need names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// The secret whose value is the URL (Slack, webhook).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<SecretName>,
    /// The secret that payloads are signed with; without it they are not signed (webhook).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signing_secret: Option<SecretName>,
    /// The secret whose value is the integration key (PagerDuty).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub routing_key: Option<SecretName>,
    /// Where events are sent; `https://events.pagerduty.com` where nothing is said (PagerDuty).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<HttpUrl>,
    /// The program and its arguments (command).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// What it is told; where nothing is said everything but `started`, and for PagerDuty everything
    /// that begins or ends an incident but `refused`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<BTreeSet<Name>>,
    /// How bad it has to be; `minor` where nothing is said, `critical` for PagerDuty's alerts. What
    /// is not bad at all, such as a success, is left out by `on` only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_severity: Option<Severity>,
    /// Where it has to happen; everywhere where nothing is said.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub environments: BTreeSet<EnvironmentName>,
    /// Longest time of one attempt: 3 s, at most a minute.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
    )]
    pub timeout: Option<Duration>,
}

/// What kind of receiver a channel is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Kind {
    /// A Slack incoming webhook.
    Slack,
    /// A webhook with the payload of `docs/notifications.md`.
    Webhook,
    /// PagerDuty's Events API v2.
    PagerDuty,
    /// A program on this machine.
    Command,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Slack => "slack",
            Self::Webhook => "webhook",
            Self::PagerDuty => "pagerduty",
            Self::Command => "command",
        }
    }

    /// What it can have, and what it must.
    fn fields(self) -> (&'static [&'static str], &'static str) {
        match self {
            Self::Slack => (&["url"], "url"),
            Self::Webhook => (&["url", "signing_secret"], "url"),
            Self::PagerDuty => (&["routing_key", "base_url"], "routing_key"),
            Self::Command => (&["command"], "command"),
        }
    }
}

impl Config {
    /// A channel of a kind with nothing said.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            name: None,
            url: None,
            signing_secret: None,
            routing_key: None,
            base_url: None,
            command: Vec::new(),
            on: None,
            min_severity: None,
            environments: BTreeSet::new(),
            timeout: None,
        }
    }

    /// What warnings call it.
    pub fn name(&self) -> &str {
        self.name.as_deref().unwrap_or_else(|| self.kind.as_str())
    }

    /// The secrets that it needs.
    pub fn secrets(&self) -> Vec<SecretName> {
        [&self.url, &self.signing_secret, &self.routing_key]
            .into_iter()
            .flatten()
            .cloned()
            .collect()
    }

    /// Whether it is told anything about this environment.
    pub fn applies_to(&self, environment: &EnvironmentName) -> bool {
        self.environments.is_empty() || self.environments.contains(environment)
    }

    /// Checks all that can be known without asking anybody.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when something is missing, or is said that its kind does not know.
    pub fn check(&self) -> Result<()> {
        let kind = self.kind.as_str();
        let (known, needed) = self.kind.fields();
        let given = [
            ("url", self.url.is_some()),
            ("signing_secret", self.signing_secret.is_some()),
            ("routing_key", self.routing_key.is_some()),
            ("base_url", self.base_url.is_some()),
            ("command", self.command.first().is_some_and(|program| !program.is_empty())),
        ];
        let given: Vec<_> =
            given.iter().filter(|(_, is_given)| *is_given).map(|(name, _)| *name).collect();
        if let Some(alien) = given.iter().find(|name| !known.contains(name)) {
            let message = format!("a notification of kind {kind} has no `{alien}`");
            return Err(invalid(message, format!("it has {}", known.join(" and "))));
        }
        if !given.contains(&needed) {
            let advice = match self.kind {
                Kind::Slack | Kind::Webhook => "name the secret whose value is the receiver's URL",
                Kind::PagerDuty => "name the secret whose value is the integration key",
                Kind::Command => {
                    "write the program and its arguments: [\"notify-send\", \"deploy\"]"
                }
            };
            return Err(invalid(format!("a notification of kind {kind} needs `{needed}`"), advice));
        }
        if self.on.as_ref().is_some_and(BTreeSet::is_empty) {
            return Err(invalid(
                "`on` is empty, so nothing would be told",
                "leave it out, or name events",
            ));
        }
        if self.timeout.is_some_and(|timeout| timeout.is_zero() || timeout > LONGEST_TIMEOUT) {
            return Err(invalid("`timeout` is not between 1ms and 1m", "leave it out for 3s"));
        }
        Ok(())
    }

    fn filter(&self) -> Filter {
        let usual = || {
            let is_incident = |name: &Name| {
                self.kind != Kind::PagerDuty
                    || !matches!(
                        name,
                        Name::Refused | Name::Cancelled | Name::Abandoned | Name::Superseded
                    )
            };
            Filter::default().on.into_iter().filter(is_incident).collect()
        };
        Filter {
            on: self.on.clone().unwrap_or_else(usual),
            min_severity: self.min_severity.unwrap_or(Severity::Minor),
            environments: self.environments.clone(),
        }
    }
}

impl Channel {
    /// The channel that a person has configured. Secrets are asked for at each send, so that one that
    /// was exchanged is used.
    ///
    /// # Errors
    /// As [`Config::check`].
    pub fn from_config(
        config: &Config,
        client: Client,
        secrets: Arc<dyn SecretSource>,
    ) -> Result<Self> {
        config.check()?;
        let post = Post { client, secrets };
        let missing = || invalid("a notification names no secret", "see its kind");
        let sender: Arc<dyn Sender> = match config.kind {
            Kind::Slack => Arc::new(Slack { post, url: config.url.clone().ok_or_else(missing)? }),
            Kind::Webhook => Arc::new(Webhook {
                post,
                url: config.url.clone().ok_or_else(missing)?,
                signing: config.signing_secret.clone(),
                clock: Arc::new(SystemClock),
            }),
            Kind::PagerDuty => {
                let base =
                    config.base_url.clone().map_or_else(|| HttpUrl::parse(pagerduty::BASE), Ok)?;
                let routing_key = config.routing_key.clone().ok_or_else(missing)?;
                Arc::new(PagerDuty::new(post, &base, routing_key, config.min_severity)?)
            }
            Kind::Command => Arc::new(Command { words: config.command.clone() }),
        };
        let usual = Limits::default();
        let limits = Limits { timeout: config.timeout.unwrap_or(usual.timeout), ..usual };
        let patience = usual.patience.max(limits.timeout);
        let channel = Self::new(config.name(), sender).with_filter(config.filter());
        Ok(channel.with_limits(Limits { patience, ..limits }))
    }
}

fn invalid(message: impl Into<String>, advice: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "read a notification channel", message)
        .with_advice(advice)
        .without_effect()
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::memory;

    use super::*;

    fn read(json: &str) -> Result<Channel> {
        let config: Config = serde_json::from_str(json).unwrap();
        let client = Client::new(ultrai_deploy_http::Config::default()).unwrap();
        Channel::from_config(&config, client, Arc::new(memory::Secrets::default()))
    }

    #[test]
    fn the_form_is_a_promise() {
        let json = r#"{"kind":"pagerduty","name":"oncall","routing_key":"PAGER_KEY","base_url":"http://127.0.0.1:1/","on":["failed","stuck","recovered"],"min_severity":"critical","environments":["production"],"timeout":"2s"}"#;
        let config: Config = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), json);
        assert_eq!(config.secrets(), [SecretName::new("PAGER_KEY").unwrap()]);
        let bare = r#"{"kind":"command","command":["mail","ops"]}"#;
        let config: Config = serde_json::from_str(bare).unwrap();
        assert_eq!(serde_json::to_string(&config).unwrap(), bare);
        let typo = serde_json::from_str::<Config>(r#"{"kind":"slack","ulr":"X"}"#).unwrap_err();
        assert!(typo.to_string().contains("ulr"), "{typo}");
    }

    #[test]
    fn what_a_kind_does_not_know_or_needs_is_refused() {
        for (json, says) in [
            (r#"{"kind":"slack"}"#, "kind slack needs `url`"),
            (r#"{"kind":"slack","url":"A","signing_secret":"B"}"#, "has no `signing_secret`"),
            (r#"{"kind":"webhook","url":"A","command":["x"]}"#, "has no `command`"),
            (r#"{"kind":"pagerduty","url":"A"}"#, "has no `url`"),
            (r#"{"kind":"pagerduty"}"#, "needs `routing_key`"),
            (r#"{"kind":"pagerduty","routing_key":"A","base_url":"http://x.example/"}"#, "no TLS"),
            (r#"{"kind":"command","command":[""]}"#, "needs `command`"),
            (r#"{"kind":"slack","url":"A","on":[]}"#, "`on` is empty"),
            (r#"{"kind":"slack","url":"A","timeout":"2m"}"#, "`timeout`"),
        ] {
            let error = read(json).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid, "{json}");
            assert!(error.to_string().contains(says), "{error}");
            assert!(error.advice().is_some(), "{json}");
        }
    }

    #[test]
    fn usual_filters() {
        let slack = read(r#"{"kind":"slack","url":"A"}"#).unwrap();
        assert!(!slack.filter.on.contains(&Name::Started) && slack.filter.on.len() == 11);
        let pager = read(r#"{"kind":"pagerduty","routing_key":"A","name":"oncall"}"#).unwrap();
        assert!(pager.filter.on.contains(&Name::Succeeded), "it ends incidents");
        assert!(!pager.filter.on.contains(&Name::Refused));
        assert_eq!((slack.name(), pager.name()), ("slack", "oncall"));
    }
}
