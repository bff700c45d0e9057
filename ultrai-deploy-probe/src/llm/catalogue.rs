//! The list of models of one provider, page by page.

use std::{fmt::Write, time::Duration};

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio::time::Instant;
use ultrai_deploy_core::{Result, verification::CheckSpec};
use ultrai_deploy_http::address::{HttpUrl, UrlPath};

use super::{Provider, ProviderSpec};
use crate::{
    asking::{Asking, confidential, credential},
    finding::said,
};

/// Most pages that are read. A page has 1000 models where the provider lets one ask for that, and
/// providers have hundreds.
const MAX_PAGES: usize = 20;
/// The version of Anthropic's API, which every request has to name.
/// <https://docs.anthropic.com/en/api/versioning>
const ANTHROPIC_VERSION: &str = "2023-06-01";

/// Where one provider lists its models.
#[derive(Debug)]
pub(super) struct Catalogue {
    provider: Provider,
    base: HttpUrl,
}

/// What a provider listed.
#[derive(Debug)]
pub(super) struct Listed {
    /// In words.
    pub(super) what: String,
    /// The longest time of one page.
    pub(super) slowest: Duration,
}

impl Catalogue {
    pub(super) fn new(check: &CheckSpec, spec: &ProviderSpec) -> Result<Self> {
        let own = match spec.provider {
            Provider::Openai => "https://api.openai.com",
            Provider::Anthropic => "https://api.anthropic.com",
            Provider::Cohere => "https://api.cohere.com",
        };
        let base = match &spec.base_url {
            None => HttpUrl::parse(own)?,
            Some(url) => {
                let text = url.to_string();
                let text = text.trim_end_matches('/');
                HttpUrl::parse(text.strip_suffix("/v1").unwrap_or(text))?
            }
        };
        let base = confidential(check, base, spec.clear_text)?;
        Ok(Self { provider: spec.provider, base })
    }

    /// Reads the list, until `model` is found in it; of any model, its first page. Why it is of no use
    /// is a text for people.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the key can be no key; [`ErrorKind::Unsupported`] when this machine
    /// cannot use TLS.
    pub(super) async fn ask(
        &self,
        asking: &Asking<'_>,
        key: &str,
        model: Option<&str>,
    ) -> Result<Result<Listed, String>> {
        let headers = self.headers(key)?;
        let (mut next, mut slowest, mut count) = (None, Duration::ZERO, 0);
        for _ in 0..MAX_PAGES {
            let url = self.base.below(&self.path(next.as_deref())?);
            let began = Instant::now();
            let page = match asking.json(&url, headers.clone()).await? {
                Ok(page) => page,
                Err(why) => return Ok(Err(why)),
            };
            slowest = slowest.max(began.elapsed());
            let Some(names) = self.names(&page) else {
                return Ok(Err("its answer is no list of models".to_owned()));
            };
            count += names.len();
            match model {
                None => return Ok(Ok(Listed { what: "key accepted".to_owned(), slowest })),
                Some(model) if names.contains(&model) => {
                    let what = format!("key accepted, model {} listed", said(model.as_bytes()));
                    return Ok(Ok(Listed { what, slowest }));
                }
                Some(_) => {}
            }
            next = self.next(&page);
            if next.is_none() {
                break;
            }
        }
        let model = said(model.unwrap_or_default().as_bytes());
        let more = if next.is_some() { " read so far, and there are more" } else { "" };
        Ok(Err(format!(
            "model {model} is not among the {count} models that the key gives access to{more}"
        )))
    }

    fn headers(&self, key: &str) -> Result<HeaderMap> {
        let (name, text) = match self.provider {
            Provider::Openai | Provider::Cohere => ("authorization", format!("Bearer {key}")),
            Provider::Anthropic => ("x-api-key", key.to_owned()),
        };
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), credential(&text)?);
        if self.provider == Provider::Anthropic {
            let version = HeaderValue::from_static(ANTHROPIC_VERSION);
            headers.insert(HeaderName::from_static("anthropic-version"), version);
        }
        Ok(headers)
    }

    fn path(&self, next: Option<&str>) -> Result<UrlPath> {
        let (size, after) = match self.provider {
            Provider::Openai => return UrlPath::parse("/v1/models"),
            Provider::Anthropic => ("limit", "after_id"),
            Provider::Cohere => ("page_size", "page_token"),
        };
        let next = next.map(|next| format!("&{after}={}", escaped(next))).unwrap_or_default();
        UrlPath::parse(&format!("/v1/models?{size}=1000{next}"))
    }

    /// The names on a page; nothing when it is none.
    fn names<'a>(&self, page: &'a Value) -> Option<Vec<&'a str>> {
        let (list, name) = match self.provider {
            Provider::Openai | Provider::Anthropic => ("data", "id"),
            Provider::Cohere => ("models", "name"),
        };
        let models = page.get(list)?.as_array()?;
        Some(models.iter().filter_map(|model| model.get(name)?.as_str()).collect())
    }

    /// What the next page is asked for with, where there is one.
    fn next(&self, page: &Value) -> Option<String> {
        let next = match self.provider {
            Provider::Anthropic if page.get("has_more") == Some(&Value::Bool(true)) => {
                page.get("last_id")
            }
            Provider::Openai | Provider::Anthropic => None,
            Provider::Cohere => page.get("next_page_token"),
        };
        next.and_then(Value::as_str).filter(|next| !next.is_empty()).map(str::to_owned)
    }
}

/// What a server gave, as part of a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::new();
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            let _infallible = write!(escaped, "%{byte:02X}");
        }
    }
    escaped
}
