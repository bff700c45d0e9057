//! Sends to one channel, one notice after the other.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};
use ultrai_deploy_core::{Chain, Error, ErrorKind, Result};

use crate::{
    bucket::Bucket,
    channel::Channel,
    counts::{Counters, count},
    ledger::Ledger,
    notice::{Notice, What},
    sender::Sent,
};

#[derive(Debug)]
pub(crate) struct Lane {
    channel: Channel,
    queue: mpsc::Receiver<Notice>,
    closing: watch::Receiver<bool>,
    counters: Arc<Counters>,
    ledger: Option<Arc<Ledger>>,
    bucket: Bucket,
    /// Alerts that were left out, so that nobody is told of their end.
    untold: BTreeSet<String>,
    /// How many were left out since the last message.
    left_out: u64,
    /// How many of those that did not fit into the queue are told already.
    dropped: Arc<std::sync::atomic::AtomicU64>,
}

/// What became of one attempt.
enum Attempt {
    Accepted,
    Again { after: Option<Duration>, error: Error },
    GivenUp(Error),
}

impl Lane {
    pub(crate) fn new(
        channel: Channel,
        queue: mpsc::Receiver<Notice>,
        closing: watch::Receiver<bool>,
        counters: Arc<Counters>,
        dropped: Arc<std::sync::atomic::AtomicU64>,
        ledger: Option<Arc<Ledger>>,
    ) -> Self {
        let bucket = Bucket::new(channel.limits.burst, channel.limits.every);
        let untold = BTreeSet::new();
        Self { channel, queue, closing, counters, ledger, bucket, untold, left_out: 0, dropped }
    }

    /// Sends what comes until nothing can come any more.
    pub(crate) async fn run(mut self) {
        while let Some(notice) = self.next().await {
            if self.leaves_out(&notice) {
                self.left_out += 1;
                count(&self.counters.limited);
                continue;
            }
            self.deliver(&notice).await;
        }
    }

    async fn next(&mut self) -> Option<Notice> {
        if !*self.closing.borrow() {
            tokio::select! {
                notice = self.queue.recv() => return notice,
                // An error is the end of whoever could close it, which is the same.
                _ = self.closing.wait_for(|closing| *closing) => {}
            }
        }
        self.queue.close();
        self.queue.recv().await
    }

    /// Whether there are too many. An end is left out exactly with its alert.
    fn leaves_out(&mut self, notice: &Notice) -> bool {
        let incident = notice.incident();
        if let What::Recovered { .. } = notice.what {
            return self.untold.remove(&incident);
        }
        if notice.what.name().ends_run() || self.bucket.take(Instant::now()) {
            self.untold.remove(&incident);
            return false;
        }
        if let What::Alert { .. } = notice.what {
            self.untold.insert(incident);
        }
        true
    }

    async fn deliver(&mut self, notice: &Notice) {
        use std::sync::atomic::Ordering;
        let dropped = self.dropped.swap(0, Ordering::Relaxed);
        self.left_out += dropped;
        match self.send(notice).await {
            Ok(()) => {
                self.left_out = 0;
                count(&self.counters.delivered);
                self.settle(notice).await;
            }
            Err(error) => {
                self.left_out += 1;
                count(&self.counters.failed);
                let channel = &self.channel.name;
                tracing::warn!(%channel, key = notice.key, error = %Chain(&error), "a notification was not delivered");
                if !error.is_retryable() {
                    // It would be refused the next time, too.
                    self.settle(notice).await;
                }
            }
        }
    }

    async fn send(&self, notice: &Notice) -> Result<()> {
        let limits = &self.channel.limits;
        let end = Instant::now() + limits.patience;
        let (mut pause, mut made) = (limits.pause, 0);
        loop {
            made += 1;
            let (after, error) = match self.attempt(notice, end).await {
                Attempt::Accepted => return Ok(()),
                Attempt::GivenUp(error) => return Err(error),
                Attempt::Again { after, error } => (after, error),
            };
            let wait = after.unwrap_or_default().max(pause);
            if made >= limits.attempts || Instant::now() + wait >= end {
                return Err(error);
            }
            sleep(wait).await;
            pause *= 2;
        }
    }

    async fn attempt(&self, notice: &Notice, end: Instant) -> Attempt {
        let limit = self.channel.limits.timeout.min(end - Instant::now());
        let sending = self.channel.sender.send(notice, self.left_out, limit);
        match timeout(limit, sending).await {
            Ok(Ok(Sent::Accepted)) => Attempt::Accepted,
            Ok(Ok(Sent::Later { after, why })) => {
                let error = Error::new(ErrorKind::Unavailable, "send a notification", why);
                Attempt::Again { after, error: error.retryable() }
            }
            Ok(Err(error)) if error.is_retryable() => Attempt::Again { after: None, error },
            Ok(Err(error)) => Attempt::GivenUp(error),
            Err(_elapsed) => {
                let why = format!("no answer within {limit:?}");
                let error = Error::new(ErrorKind::Timeout, "send a notification", why);
                Attempt::Again { after: None, error: error.retryable() }
            }
        }
    }

    async fn settle(&self, notice: &Notice) {
        let Some(ledger) = self.ledger.as_ref().filter(|_| notice.what.name().ends_run()) else {
            return;
        };
        if let Err(error) = ledger.settle(&self.channel.name, &notice.key).await {
            tracing::warn!(error = %Chain(&error), "it was not kept that a notification was sent");
        }
    }
}
