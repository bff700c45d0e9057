//! Providers of language models: the key is accepted, the model is there, in time; at least so many
//! of several.

mod catalogue;

use std::{fmt, num::NonZeroU32, time::Duration};

use async_trait::async_trait;
use futures_util::future::join_all;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use ultrai_deploy_core::{
    Result, health::Endpoint, name::SecretName, secret::Secrets, verification::CheckSpec,
};
use ultrai_deploy_http::address::HttpUrl;

use self::catalogue::Catalogue;
use crate::{
    asking::Asking,
    finding::Finding,
    look::{Look, Looking, value, within},
    source::{Resources, wrong},
};

/// At least so many of these providers are available.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LlmSpec {
    /// The providers; all are asked, side by side.
    pub any: Vec<ProviderSpec>,
    /// How many of them have to be available; 1 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at_least: Option<NonZeroU32>,
    /// Longest time of one answer; a provider that takes longer is not available. The time of the
    /// check bounds all answers in any case.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
    )]
    pub max_latency: Option<Duration>,
}

/// One provider, with one key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProviderSpec {
    /// Which one.
    pub provider: Provider,
    /// The secret that holds the key.
    pub key: SecretName,
    /// A model that the key has to give access to, by its name in the provider's list, where it has
    /// no aliases; any are fine by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// Where the provider's API is, with or without a `/v1` at the end; the provider's own address by
    /// default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<HttpUrl>,
    /// Whether the key may be sent without TLS to another machine, such as a gateway in the same
    /// network; it may not by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear_text: bool,
}

/// A provider of language models.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Provider {
    /// OpenAI, or whatever else speaks its API.
    Openai,
    /// Anthropic.
    Anthropic,
    /// Cohere.
    Cohere,
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Openai => "OpenAI",
            Self::Anthropic => "Anthropic",
            Self::Cohere => "Cohere",
        })
    }
}

#[derive(Debug)]
pub(crate) struct Llm {
    spec: LlmSpec,
    catalogues: Vec<Catalogue>,
    resources: Resources,
    limit: Duration,
}

impl Llm {
    pub(crate) fn new(check: &CheckSpec, spec: LlmSpec, resources: Resources) -> Result<Self> {
        if spec.any.is_empty() {
            return Err(wrong(check, "names no provider").with_advice("list providers in any"));
        }
        if least(&spec) > spec.any.len() {
            return Err(wrong(check, "wants more providers than it names")
                .with_advice("lower at_least, or list more in any"));
        }
        if spec.max_latency.is_some_and(|latency| latency > within(check.timing.timeout)) {
            return Err(wrong(check, "allows answers to take longer than the check")
                .with_advice("raise the check's timeout above max_latency"));
        }
        let catalogues =
            spec.any.iter().map(|one| Catalogue::new(check, one)).collect::<Result<_>>()?;
        Ok(Self { spec, catalogues, resources, limit: within(check.timing.timeout) })
    }

    /// What was seen of one provider; why it is not available, where it is not.
    async fn ask(
        &self,
        spec: &ProviderSpec,
        catalogue: &Catalogue,
        key: &str,
        looking: &Looking,
    ) -> Result<Answer> {
        let began = Instant::now();
        // Each ends by itself before the look does, so that one that hangs does not hide the others.
        let limit = self.limit * 9 / 10;
        let asking = Asking { client: &self.resources.client, looking, limit };
        let asked = catalogue.ask(&asking, key, spec.model.as_deref());
        let asked = match tokio::time::timeout(limit, asked).await {
            Ok(asked) => asked?,
            Err(_elapsed) => Err(format!("no whole list of models within {limit:?}")),
        };
        let took = began.elapsed();
        let who = spec.provider;
        Ok(match asked {
            Ok(listed) => match self.spec.max_latency {
                Some(most) if listed.slowest > most => Err(format!(
                    "{who}: answered after {:.1?}, longer than {most:?}",
                    listed.slowest
                )),
                _ => Ok(format!("{who}: available, {} after {took:.1?}", listed.what)),
            },
            Err(why) => Err(format!("{who}: {why}")),
        })
    }
}

/// What was seen of a provider that is available, or why it is not.
type Answer = Result<String, String>;

fn least(spec: &LlmSpec) -> usize {
    spec.at_least.map_or(1, |least| usize::try_from(least.get()).unwrap_or(usize::MAX))
}

#[async_trait]
impl Look for Llm {
    fn secrets(&self) -> Vec<SecretName> {
        self.spec.any.iter().map(|one| one.key.clone()).collect()
    }

    async fn look(&self, _: &Endpoint, secrets: &Secrets, looking: &Looking) -> Result<Finding> {
        let asked = self.spec.any.iter().zip(&self.catalogues).map(async |(one, catalogue)| {
            self.ask(one, catalogue, value(secrets, &one.key)?, looking).await
        });
        let answers: Vec<Answer> = join_all(asked).await.into_iter().collect::<Result<_>>()?;
        let available = answers.iter().filter(|answer| answer.is_ok()).count();
        let lines = answers.iter().map(|answer| match answer {
            Ok(text) | Err(text) => text.as_str(),
        });
        let seen = lines.collect::<Vec<_>>().join("\n");
        let least = least(&self.spec);
        if available >= least {
            return Ok(Finding::good(seen));
        }
        let reasons: Vec<&str> =
            answers.iter().filter_map(|answer| answer.as_ref().err().map(String::as_str)).collect();
        let why = format!(
            "{available} of {} providers available, {least} wanted: {}",
            answers.len(),
            reasons.join("; ")
        );
        Ok(Finding::bad(why).with_evidence(seen))
    }
}
