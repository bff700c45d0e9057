//! Takes notices without ever waiting.

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicU64, Ordering},
};

use tokio::sync::{mpsc, watch};
use ultrai_deploy_core::{
    clock::{Clock, SystemClock},
    journal::Record,
    name::RunId,
    observer::Observer,
    redact::SharedRedactor,
};

use crate::{
    channel::{Channel, Filter},
    counts::{Counters, Counts, count},
    lane::Lane,
    ledger::Ledger,
    notice::Notice,
    recent::Recent,
    story::Stories,
    worker::Worker,
};

/// Hands notices to the channels that want them. Clones are one.
///
/// As an [`Observer`] it tells what becomes of runs; of one that another process began, only after
/// [`Notifications::catch_up`] has read what it is about.
#[derive(Clone, Debug)]
pub struct Notifications(pub(crate) Arc<Inner>);

#[derive(Debug)]
pub(crate) struct Inner {
    queues: Vec<Queue>,
    counters: Arc<Counters>,
    pub(crate) ledger: Option<Arc<Ledger>>,
    pub(crate) clock: Arc<dyn Clock>,
    redactor: SharedRedactor,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    stories: Stories,
    recent: Recent,
}

/// The way into one lane.
#[derive(Debug)]
struct Queue {
    channel: String,
    filter: Filter,
    sender: mpsc::Sender<Notice>,
    /// How many did not fit since the last message.
    dropped: Arc<AtomicU64>,
}

/// What [`Notifications`] are made of, besides the channels.
#[derive(Debug)]
pub struct Parts {
    /// What remembers which endings were told; nothing: they are told by the process that saw them,
    /// or not at all.
    pub ledger: Option<Ledger>,
    /// Cuts secrets out of notices. Records come without any; alerts may quote what was seen.
    pub redactor: SharedRedactor,
    /// What tells how long ago a run ended.
    pub clock: Arc<dyn Clock>,
}

impl Default for Parts {
    fn default() -> Self {
        Self { ledger: None, redactor: SharedRedactor::default(), clock: Arc::new(SystemClock) }
    }
}

impl Notifications {
    /// Notifications to `channels` that remember nothing, and the worker that sends them.
    pub fn new(channels: impl IntoIterator<Item = Channel>) -> (Self, Worker) {
        Self::with(channels, Parts::default())
    }

    /// The same with more parts.
    pub fn with(channels: impl IntoIterator<Item = Channel>, parts: Parts) -> (Self, Worker) {
        let counters = Arc::<Counters>::default();
        let ledger = parts.ledger.map(Arc::new);
        let (close, closing) = watch::channel(false);
        let (mut queues, mut lanes) = (Vec::new(), Vec::new());
        for channel in channels {
            let (sender, receiver) = mpsc::channel(channel.limits.queue.max(1));
            let dropped = Arc::<AtomicU64>::default();
            queues.push(Queue {
                channel: channel.name.clone(),
                filter: channel.filter.clone(),
                sender,
                dropped: Arc::clone(&dropped),
            });
            let (counters, ledger) = (Arc::clone(&counters), ledger.clone());
            lanes.push(Lane::new(channel, receiver, closing.clone(), counters, dropped, ledger));
        }
        let inner = Inner {
            queues,
            counters: Arc::clone(&counters),
            ledger,
            clock: parts.clock,
            redactor: parts.redactor,
            seen: Mutex::default(),
        };
        (Self(Arc::new(inner)), Worker::new(lanes, close, counters))
    }

    /// Tells something, unless it was told already. Never waits and never fails.
    pub fn notify(&self, notice: Notice) {
        let notice = notice.redacted(&self.0.redactor.current());
        if self.0.seen().recent.is_new(&notice) {
            self.0.queues.iter().for_each(|queue| self.0.offer(queue, &notice));
        }
    }

    /// What became of notices so far.
    pub fn counts(&self) -> Counts {
        self.0.counters.read()
    }
}

impl Inner {
    /// The notice of a record that was not told by this program.
    pub(crate) fn read(&self, run: &RunId, record: &Record) -> Option<Notice> {
        self.seen().stories.tell(run, record)
    }

    /// Tells what another process should have, to the channels that were not told.
    pub(crate) fn tell_late(&self, notice: Notice, is_settled: impl Fn(&str) -> bool) -> bool {
        let notice = notice.redacted(&self.redactor.current());
        let missing = |queue: &&Queue| queue.filter.wants(&notice) && !is_settled(&queue.channel);
        let queues: Vec<_> = self.queues.iter().filter(missing).collect();
        if queues.is_empty() || !self.seen().recent.is_new(&notice) {
            return false;
        }
        for queue in queues {
            self.offer(queue, &notice);
        }
        true
    }

    fn offer(&self, queue: &Queue, notice: &Notice) {
        if !queue.filter.wants(notice) {
            return;
        }
        if queue.sender.try_send(notice.clone()).is_ok() {
            count(&self.counters.queued);
        } else {
            queue.dropped.fetch_add(1, Ordering::Relaxed);
            count(&self.counters.dropped);
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for Notifications {
    fn on_record(&self, run: &RunId, record: &Record) {
        let notice = self.0.seen().stories.tell(run, record);
        if let Some(notice) = notice {
            self.notify(notice);
        }
    }

    fn on_output(&self, _run: &RunId, _subject: &str, _line: &str) {}
}
