//! The calls of Railway's API, one method each.

mod deployment;
#[cfg(feature = "subscriptions")]
mod follow;
mod observe;
mod place;
mod service;
mod upload;
mod variable;
mod volume;

use std::time::Duration;

use ultrai_deploy_core::Result;
use ultrai_deploy_http::{
    address::{HttpUrl, UrlPath},
    api::{Api, Limits},
};

use crate::{
    graphql::{self, Graphql},
    token::{Token, TokenKind},
};

/// Where Railway is.
pub const ADDRESS: &str = "https://backboard.railway.com";

/// Railway, as one token sees it. Clones share connections and what is known of the limits.
///
/// # Errors
/// All methods fail in the same ways:
/// - [`Denied`](ultrai_deploy_core::ErrorKind::Denied) when Railway does not accept the token, or the
///   token may not do this: it does not tell which. The advice says what to look at for this kind of
///   token.
/// - [`NotFound`](ultrai_deploy_core::ErrorKind::NotFound) when there is no such thing, or the token does
///   not see it.
/// - [`Invalid`](ultrai_deploy_core::ErrorKind::Invalid) when Railway refuses what was sent.
/// - [`Unsupported`](ultrai_deploy_core::ErrorKind::Unsupported) when it does not know the call any
///   more.
/// - [`Unavailable`](ultrai_deploy_core::ErrorKind::Unavailable) and
///   [`Timeout`](ultrai_deploy_core::ErrorKind::Timeout) when it failed or no answer came. What changes
///   something may then be done or not.
/// - [`Unexpected`](ultrai_deploy_core::ErrorKind::Unexpected) when the answer makes no sense, or tells
///   an error of no known kind.
///
/// Where Railway told an error, a [`Refusal`](crate::Refusal) with its words and trace id is the source.
/// Those calls are sent again, within the limits, that change nothing or nothing more.
#[derive(Clone, Debug)]
pub struct Client {
    graphql: Graphql,
    /// Uploads do not go below the GraphQL endpoint.
    root: Api,
}

impl Client {
    /// Railway at `address`, which is [`ADDRESS`] but for tests, let in with `token`.
    ///
    /// # Errors
    /// [`Invalid`](ultrai_deploy_core::ErrorKind::Invalid) when the token is empty or no header can hold
    /// it, or would leave this machine without TLS.
    pub fn new(address: &HttpUrl, token: &Token, limits: Limits) -> Result<Self> {
        let endpoint = address.below(&UrlPath::parse("/graphql/v2")?);
        let uploads = upload::limits(&limits);
        let api = Api::new(endpoint, token.credential()?, limits)?;
        let root = Api::new(address.clone(), token.credential()?, uploads)?;
        Ok(Self { graphql: Graphql { api, token: token.kind() }, root })
    }

    /// The kind of the token.
    pub fn token_kind(&self) -> TokenKind {
        self.graphql.token
    }

    /// The pause between two looks at something that takes its time: `wanted`, or longer where the plan
    /// allows so few calls that looking that often would use them up.
    pub fn spread(&self, wanted: Duration) -> Duration {
        self.graphql.api.spread(graphql::CLASS, wanted)
    }
}
