//! Render's public API, one method for each operation.

mod deploys;
mod jobs;
mod list;
mod observe;
mod postgres;
mod services;
mod variables;

use jiff::Timestamp;
use serde::de::DeserializeOwned;
use ultrai_deploy_core::{Context, Error, ErrorKind, Result, secret::Secret};
use ultrai_deploy_http::{
    address::HttpUrl,
    api::{Api, Call, Credential, Limits, Reply},
};

/// Calls that share the limit of ten a minute: starting a deploy, changing and scaling a service.
const DEPLOY: &str = "deploy";
/// Calls that share the limit of reading logs.
const LOG: &str = "log";

/// Render's API, as one account sees it. Clones share connections and what is known of Render's
/// limits.
///
/// # Errors
/// Every method fails as [`Api::send`] does: with [`ErrorKind::NotFound`] for an id that the key
/// does not see, with [`ErrorKind::Denied`] for a key that may not, with [`ErrorKind::Unavailable`]
/// and [`ErrorKind::Timeout`] when no usable answer came. An answer of another form than expected
/// is [`ErrorKind::Unexpected`]. Only what fails in further ways says so.
#[derive(Clone, Debug)]
pub struct Client {
    api: Api,
}

impl Client {
    /// Where Render's API is.
    pub const BASE: &'static str = "https://api.render.com/v1";

    /// The API below `base`, called with an API key.
    ///
    /// # Errors
    /// As [`Api::new`] and [`Credential::bearer`].
    pub fn new(base: HttpUrl, key: &Secret, limits: Limits) -> Result<Self> {
        let credential = Credential::bearer("Render API key", key)?;
        Ok(Self { api: Api::new(base, credential, limits)? })
    }

    /// What makes the calls; [`Api::spread`] tells how often one may look.
    pub fn api(&self) -> &Api {
        &self.api
    }

    async fn send(&self, cx: &Context, call: &Call) -> Result<Reply> {
        self.api.send(cx, call).await
    }

    async fn read<T: DeserializeOwned>(&self, cx: &Context, call: &Call) -> Result<T> {
        self.send(cx, call).await?.json()
    }

    /// For what answers with nothing that is of use.
    async fn done(&self, cx: &Context, call: &Call) -> Result<()> {
        self.send(cx, call).await.map(drop)
    }
}

/// Adds a pair to the query where there is a value.
fn with_some(call: Call, name: &str, value: Option<impl ToString>) -> Call {
    match value {
        Some(value) => call.with_query(name, value.to_string()),
        None => call,
    }
}

/// Adds the two ends of a span of time.
fn with_span(call: Call, start: Option<Timestamp>, end: Option<Timestamp>) -> Call {
    with_some(with_some(call, "startTime", start), "endTime", end)
}

/// Fails for what never makes sense, before anything is sent.
fn refused(operation: &'static str, message: &str) -> Error {
    Error::new(ErrorKind::Invalid, operation, message).without_effect()
}
