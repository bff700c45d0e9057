//! When to look at a deployment again.

use std::time::Duration;

use tokio::time::Instant;
use ultrai_deploy_core::{Context, Error, Result};

use super::{Patience, Subscription};
use crate::model::{Deployment, DeploymentStatus};

/// After how long it is worth a look although nothing was told: one lost message delays a verdict by no
/// more than this.
const LOOK: Duration = Duration::from_mins(1);
/// How often in a row it connects before it is not followed any more: looking costs little beside it.
const ATTEMPTS: u32 = 3;

/// Tells when a deployment may have changed, so that it need not be looked at every few seconds. What
/// it has become is never told: look.
#[derive(Debug)]
pub struct Changes {
    watch: Subscription<Deployment>,
    look: Duration,
    pause: Duration,
    is_broken: bool,
}

impl Changes {
    /// Changes of a deployment; when it cannot be followed any more, one may have come about every
    /// `pause`.
    pub(crate) fn new(watch: Subscription<Deployment>, pause: Duration) -> Self {
        let mut patience = Patience::default();
        patience.again.attempts = ATTEMPTS;
        let watch = watch.with_patience(patience);
        Self { watch, look: LOOK, pause, is_broken: false }
    }

    /// As [`Subscription::with_patience`]; 3 times in a row by default.
    pub fn with_patience(mut self, patience: Patience) -> Self {
        self.watch = self.watch.with_patience(patience);
        self
    }

    /// Sets after how long it is worth a look in any case; 1 minute.
    pub fn with_look(mut self, look: Duration) -> Self {
        self.look = look;
        self
    }

    /// Waits until the deployment may have another status than `seen`. It may be dropped and called
    /// again.
    ///
    /// # Errors
    /// [`Timeout`](ultrai_deploy_core::ErrorKind::Timeout) and
    /// [`Cancelled`](ultrai_deploy_core::ErrorKind::Cancelled) when the context ends. What goes wrong
    /// with following is no error.
    pub async fn after(&mut self, cx: &Context, seen: &DeploymentStatus) -> Result<()> {
        let look = Instant::now() + self.look;
        while !self.is_broken {
            match tokio::time::timeout_at(look, self.watch.next(cx)).await {
                Err(_elapsed) => return Ok(()),
                Ok(Ok(Some(told))) if told.status == *seen => {}
                Ok(Ok(Some(_))) => return Ok(()),
                Ok(Ok(None) | Err(_)) => {
                    cx.check().map_err(Error::without_effect)?;
                    self.is_broken = true;
                }
            }
        }
        let rest = async {
            tokio::time::sleep(self.pause).await;
            Ok(())
        };
        cx.bounded(rest).await.map_err(Error::without_effect)
    }
}
