//! The generic webhook: the payload of `docs/notifications.md`, signed.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ultrai_deploy_core::{Result, clock::Clock, name::SecretName};

use crate::{
    notice::Notice,
    payload::Payload,
    post::{Plain, Post},
    sender::{Sender, Sent},
    signature,
};

#[derive(Debug)]
pub(crate) struct Webhook {
    pub(crate) post: Post,
    pub(crate) url: SecretName,
    /// Nothing where the receiver does not check who sends.
    pub(crate) signing: Option<SecretName>,
    pub(crate) clock: Arc<dyn Clock>,
}

#[async_trait]
impl Sender for Webhook {
    async fn send(&self, notice: &Notice, left_out: u64, limit: Duration) -> Result<Sent> {
        let url = self.post.url(&self.url, Plain::Allowed).await?;
        let body = Payload::new(notice, left_out).json();
        let mut headers = vec![("ultrai-event", notice.what.name().as_str().to_owned())];
        if let Some(name) = &self.signing {
            let secret = self.post.secret(name).await?;
            headers.push((signature::HEADER, signature::sign(&secret, self.clock.now(), &body)));
        }
        self.post.json(&url, headers, body, limit).await
    }
}
