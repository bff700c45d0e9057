//! Pinecone: the key is accepted, the index is ready.

use std::time::Duration;

use async_trait::async_trait;
use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Result, health::Endpoint, name::SecretName, secret::Secrets, verification::CheckSpec,
};
use ultrai_deploy_http::address::{HttpUrl, UrlPath};

use crate::{
    asking::{Asking, confidential, credential},
    finding::Finding,
    look::{Look, Looking, value, within},
    source::Resources,
};

/// The version of the API, which every request has to name; what is read of the answer is the same
/// in those before and after it. <https://docs.pinecone.io/reference/api/versioning>
const VERSION: &str = "2025-04";
/// Where the API is.
const BASE: &str = "https://api.pinecone.io";

/// A key that Pinecone accepts, and an index that is ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PineconeSpec {
    /// The secret that holds the key.
    pub key: SecretName,
    /// The index that has to be ready; none by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<String>,
    /// Where the API is; Pinecone's own address by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_url: Option<HttpUrl>,
    /// Whether the key may be sent without TLS to another machine; it may not by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub clear_text: bool,
}

#[derive(Debug)]
pub(crate) struct Pinecone {
    spec: PineconeSpec,
    url: HttpUrl,
    resources: Resources,
    limit: Duration,
}

impl Pinecone {
    pub(crate) fn new(check: &CheckSpec, spec: PineconeSpec, resources: Resources) -> Result<Self> {
        let base = match &spec.base_url {
            Some(url) => url.clone(),
            None => HttpUrl::parse(BASE)?,
        };
        let url = confidential(check, base, spec.clear_text)?.below(&UrlPath::parse("/indexes")?);
        Ok(Self { spec, url, resources, limit: within(check.timing.timeout) })
    }
}

#[async_trait]
impl Look for Pinecone {
    fn secrets(&self) -> Vec<SecretName> {
        vec![self.spec.key.clone()]
    }

    async fn look(&self, _: &Endpoint, secrets: &Secrets, looking: &Looking) -> Result<Finding> {
        looking.waits("Pinecone: no answer");
        let mut headers = HeaderMap::new();
        let key = credential(value(secrets, &self.spec.key)?)?;
        headers.insert(HeaderName::from_static("api-key"), key);
        let version = HeaderValue::from_static(VERSION);
        headers.insert(HeaderName::from_static("x-pinecone-api-version"), version);
        let began = Instant::now();
        let asking = Asking { client: &self.resources.client, looking, limit: self.limit };
        let answer = match asking.json(&self.url, headers).await? {
            Ok(answer) => answer,
            Err(why) => return Ok(Finding::bad(format!("Pinecone: {why}"))),
        };
        let Some(indexes) = answer.get("indexes").and_then(Value::as_array) else {
            return Ok(Finding::bad("Pinecone: its answer is no list of indexes"));
        };
        let took = format!("{:.1?}", began.elapsed());
        let Some(name) = &self.spec.index else {
            let count = indexes.len();
            return Ok(Finding::good(format!(
                "Pinecone: key accepted, {count} indexes after {took}"
            )));
        };
        let named = |index: &&Value| index.get("name").and_then(Value::as_str) == Some(name);
        let Some(index) = indexes.iter().find(named) else {
            let count = indexes.len();
            return Ok(Finding::bad(format!(
                "Pinecone: index `{name}` is not among the {count} of this key's project"
            )));
        };
        let is_ready = index.pointer("/status/ready") == Some(&Value::Bool(true));
        let state = index.pointer("/status/state").and_then(Value::as_str).unwrap_or("unknown");
        let state = looking.said(state.as_bytes());
        Ok(if is_ready {
            Finding::good(format!("Pinecone: index `{name}` is ready ({state}) after {took}"))
        } else if is_coming(index) {
            Finding::not_yet(format!("Pinecone: index `{name}` is not ready yet: {state}"))
        } else {
            Finding::bad(format!("Pinecone: index `{name}` is not ready: {state}"))
        })
    }
}

/// Whether an index that is not ready may become so: it is being made.
fn is_coming(index: &Value) -> bool {
    index.pointer("/status/state").and_then(Value::as_str) == Some("Initializing")
}
