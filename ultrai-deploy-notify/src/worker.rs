//! Drives all lanes side by side.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::future::{BoxFuture, join_all};
use tokio::sync::watch;

use crate::{
    counts::{Counters, Counts},
    lane::Lane,
};

/// How long a program should wait at its end for what is not sent yet: 5 s.
pub const FINISH: Duration = Duration::from_secs(5);

/// Sends what [`Notifications`](crate::Notifications) were told. The program drives it beside its
/// work: with [`Worker::beside`], or as the future that it is.
pub struct Worker {
    lanes: BoxFuture<'static, ()>,
    close: watch::Sender<bool>,
    counters: Arc<Counters>,
    is_done: bool,
}

impl Worker {
    pub(crate) fn new(
        lanes: Vec<Lane>,
        close: watch::Sender<bool>,
        counters: Arc<Counters>,
    ) -> Self {
        let is_done = lanes.is_empty();
        let lanes = Box::pin(async {
            join_all(lanes.into_iter().map(Lane::run)).await;
        });
        Self { lanes, close, counters, is_done }
    }

    /// Sends while `work` goes on, and then what is left, for at most `limit`.
    ///
    /// Its time is that of `work` and at most `limit`. Dropping it drops both.
    pub async fn beside<T>(mut self, limit: Duration, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        let result = loop {
            tokio::select! {
                biased;
                result = &mut work => break result,
                () = &mut self, if !self.is_done => {}
            }
        };
        self.finish(limit).await;
        result
    }

    /// Sends what is left, for at most `limit`; what comes from now on is dropped. What is on its way
    /// when the time is over is cut off, and counted as failed with all that waits behind it.
    pub async fn finish(mut self, limit: Duration) -> Counts {
        self.close.send_replace(true);
        if !self.is_done && tokio::time::timeout(limit, &mut self.lanes).await.is_err() {
            self.counters.cut_off();
            tracing::warn!("not all notifications could be sent within {limit:?}");
        }
        self.counters.read()
    }
}

impl Future for Worker {
    type Output = ();

    /// Ready when all [`Notifications`](crate::Notifications) are dropped and all is sent.
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_done {
            return Poll::Ready(());
        }
        let polled = self.lanes.as_mut().poll(cx);
        self.is_done = polled.is_ready();
        polled
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Worker").field("is_done", &self.is_done).finish_non_exhaustive()
    }
}
