//! The one client that everybody sends requests with.

use std::{error::Error as _, sync::Arc, time::Duration};

use reqwest::{
    ClientBuilder,
    header::{CONTENT_TYPE, HeaderMap},
    redirect,
};
use tokio::time::Instant;
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::{address::HttpUrl, body::Body, config::Config, method::Method};

pub(crate) const USER_AGENT: &str = concat!("ultrai-deploy/", env!("CARGO_PKG_VERSION"));

/// Sends requests under one policy; clones share it.
///
/// Every request has a time limit and a `User-Agent`, bodies are bounded, redirects leave no
/// origin. Neither proxies nor anything else is taken from the process's environment. Each
/// request opens its own connection: a kept one may lead to the release before.
#[derive(Clone, Debug)]
pub struct Client {
    config: Config,
    plain: reqwest::Client,
    /// A machine without trusted certificates can still talk plain HTTP.
    tls: Result<reqwest::Client, Arc<reqwest::Error>>,
}

impl Client {
    /// A client under `config`.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when the HTTP library refuses the settings. That the machine has
    /// no trusted certificates is an error of the first `https` request only.
    pub fn new(config: Config) -> Result<Self> {
        let plain = builder(&config).tls_certs_only([]).build().map_err(|source| {
            Error::new(ErrorKind::Unexpected, "make an HTTP client", "its settings were refused")
                .without_effect()
                .with_source(source)
        })?;
        let tls = builder(&config).https_only(true).build().map_err(Arc::new);
        Ok(Self { config, plain, tls })
    }

    pub(crate) fn limit(&self) -> Duration {
        self.config.timeout
    }

    /// Sends a request, once, and reads the answer up to the body limit, all within `timeout` and the
    /// configuration's own limit.
    ///
    /// An answer whose body breaks off is an answer: see [`Answer::end`].
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] when there was no answer: no connection, or something that is
    /// not HTTP; [`ErrorKind::Timeout`]; [`ErrorKind::Unsupported`] for `https` on a machine
    /// without trusted certificates.
    pub async fn send(&self, request: Request, timeout: Duration) -> Result<Answer> {
        let Request { method, url, headers, body } = request;
        let client = self.for_url(&url)?;
        let timeout = timeout.min(self.config.timeout);
        let began = Instant::now();
        let mut outgoing = client.request(method.into(), url.url().clone()).timeout(timeout);
        if let Some(body) = body {
            let (kind, bytes) = body.sent();
            outgoing = outgoing.header(CONTENT_TYPE, kind).body(bytes);
        }
        // After the body: a content type among these is the one that counts.
        let sent = outgoing.headers(headers).send().await;
        let mut response = sent.map_err(|error| unanswered(method, &url, error, timeout))?;
        let mut body = Vec::new();
        let end = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.config.body_limit => {
                    body.extend(chunk.iter().take(self.config.body_limit - body.len()));
                    break BodyEnd::Cut;
                }
                Ok(Some(chunk)) => body.extend_from_slice(&chunk),
                Ok(None) => break BodyEnd::Whole,
                Err(error) if error.is_timeout() => break BodyEnd::Late(timeout),
                Err(error) => break BodyEnd::Broken(deepest(&error)),
            }
        };
        Ok(Answer {
            status: response.status().as_u16(),
            headers: std::mem::take(response.headers_mut()),
            body,
            end,
            latency: began.elapsed(),
        })
    }

    fn for_url(&self, url: &HttpUrl) -> Result<&reqwest::Client> {
        self.for_scheme(url.url().scheme(), url)
    }

    /// What sends requests of a scheme; `shown` is what an error calls the receiver.
    pub(crate) fn for_scheme(
        &self,
        scheme: &str,
        shown: &dyn std::fmt::Display,
    ) -> Result<&reqwest::Client> {
        if scheme != "https" {
            return Ok(&self.plain);
        }
        self.tls.as_ref().map_err(|source| {
            Error::new(
                ErrorKind::Unsupported,
                "send a request",
                format!("{shown} needs TLS, and this machine trusts no certificates"),
            )
            .with_advice("install the system's CA certificates (package ca-certificates)")
            .without_effect()
            .with_source(Arc::clone(source))
        })
    }
}

/// What is sent.
#[derive(Clone, Debug)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Where to.
    pub url: HttpUrl,
    /// The headers.
    pub headers: HeaderMap,
    /// What is sent with it.
    pub body: Option<Body>,
}

impl Request {
    /// A GET request without anything else.
    pub fn get(url: HttpUrl) -> Self {
        Self { method: Method::Get, url, headers: HeaderMap::new(), body: None }
    }
}

/// An answer, as far as it came.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers.
    pub headers: HeaderMap,
    /// The body, at most [`Config::body_limit`] bytes.
    pub body: Vec<u8>,
    /// How the body ended.
    pub end: BodyEnd,
    /// From the beginning of the request to the last byte that was read.
    pub latency: Duration,
}

/// How a body ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BodyEnd {
    /// It was read whole.
    Whole,
    /// It is longer than [`Config::body_limit`].
    Cut,
    /// It had not ended when the time was over.
    Late(Duration),
    /// The connection broke or the body was malformed; why, for people.
    Broken(String),
}

fn builder(config: &Config) -> ClientBuilder {
    let most = config.redirects;
    let same_origin = redirect::Policy::custom(move |attempt| {
        let origin = attempt.previous().first().map(reqwest::Url::origin);
        if attempt.previous().len() > most || origin != Some(attempt.url().origin()) {
            attempt.stop()
        } else {
            attempt.follow()
        }
    });
    reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(config.connect_timeout)
        .timeout(config.timeout)
        .redirect(same_origin)
        .referer(false)
        .no_proxy()
        .pool_max_idle_per_host(0)
}

fn unanswered(method: Method, url: &HttpUrl, error: reqwest::Error, timeout: Duration) -> Error {
    let (kind, what) = if error.is_timeout() && !error.is_connect() {
        (ErrorKind::Timeout, format!("no answer within {timeout:?}"))
    } else if error.is_timeout() {
        (ErrorKind::Unavailable, "no connection in time".to_owned())
    } else if error.is_connect() {
        (ErrorKind::Unavailable, format!("could not connect: {}", deepest(&error)))
    } else {
        (ErrorKind::Unavailable, format!("no HTTP answer: {}", deepest(&error)))
    };
    let never_sent = error.is_connect();
    let error = Error::new(kind, "get an answer", format!("{method} {url}: {what}"))
        .with_source(error.without_url());
    if never_sent || method.is_safe() { error.without_effect().retryable() } else { error }
}

/// The last cause: the one that says what happened, such as "Connection refused".
pub(crate) fn deepest(error: &reqwest::Error) -> String {
    let mut cause = error.source();
    while let Some(below) = cause.and_then(std::error::Error::source) {
        cause = Some(below);
    }
    cause.map_or_else(|| "the connection broke".to_owned(), ToString::to_string)
}
