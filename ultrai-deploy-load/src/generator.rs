//! Sends requests when they are due, on as many connections as that needs.
//!
//! The times are fixed before the first request: a server that stalls makes those that became due
//! meanwhile late, and their latency counts from when they were due. A generator that waits for an
//! answer before it sends the next request would leave out just these.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep_until, timeout_at},
};
use ultrai_deploy_core::{Error, ErrorKind, Result};

use crate::{
    connection::{Broken, Connection},
    dialer::Dialer,
    failure::Failure,
    queue::{Came, Next, Queue, Slot},
    request::Requests,
    schedule::Schedule,
    tally::{End, Tally},
};

/// A timer of tokio fires up to two milliseconds late, as it counts whole ones. So requests are sent
/// up to this long before they are due, all that are due by then at once, and one that goes out early
/// counts from then.
const EARLY: Duration = Duration::from_millis(2);
/// How often it is looked whether going on is worth it.
const LOOK: Duration = Duration::from_millis(100);

/// What is sent, where to, when.
#[derive(Debug)]
pub(crate) struct Load {
    pub(crate) dialer: Dialer,
    pub(crate) requests: Requests,
    pub(crate) schedule: Schedule,
    /// Longest time of a request, from when it is due to the end of its answer.
    pub(crate) timeout: Duration,
    /// How many may be open at once.
    pub(crate) max_open: usize,
    /// Whether each request has a connection of its own.
    pub(crate) fresh_connections: bool,
}

/// What came of it.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Of the requests that count.
    pub(crate) tally: Tally,
    /// How many were open at once at most.
    pub(crate) peak_open: usize,
    /// Why it stopped before its time.
    pub(crate) stopped: Option<String>,
}

impl Load {
    /// Sends everything, or until `stop` says why that is of no use any more; it is given what counts
    /// and what warms up. It ends at most the time of a request after the last one is due.
    ///
    /// # Errors
    /// [`ErrorKind::Unexpected`] when a connection's task panics.
    pub(crate) async fn run(
        self,
        mut stop: impl FnMut(&Tally, &Tally) -> Option<String> + Send,
    ) -> Result<Outcome> {
        let began = Instant::now();
        let counts_from =
            began + self.schedule.due(self.schedule.total() - self.schedule.counted());
        let tallies = Mutex::new([Tally::new(), Tally::new()]);
        let shared = Arc::new(Shared { load: self, counts_from, queue: Queue::default(), tallies });
        let (schedule, max_open) = (shared.load.schedule, shared.load.max_open);
        let mut connections = JoinSet::new();
        let (mut next, mut look, mut stopped) = (0, began + LOOK, None);
        while next < schedule.total() && stopped.is_none() {
            let now = Instant::now();
            let mut slots = Vec::new();
            while next < schedule.total() && began + schedule.due(next) <= now + EARLY {
                let since = now.min(began + schedule.due(next));
                slots.push(Slot { number: next, since });
                next += 1;
            }
            let wanted = shared.queue.release(slots);
            let opened = wanted.min(max_open - connections.len());
            shared.queue.opening(opened);
            for _ in 0..opened {
                connections.spawn(connection(Arc::clone(&shared)));
            }
            if now >= look {
                stopped = shared.asked(&mut stop);
                look = now + LOOK;
            }
            sleep_until((began + schedule.due(next)).min(look + EARLY) - EARLY).await;
        }
        shared.queue.end();
        while stopped.is_none() {
            match timeout_at(look, connections.join_next()).await {
                Ok(None) => break,
                Ok(Some(Ok(()))) => {}
                Ok(Some(Err(source))) => {
                    let message = "a connection's task ended in the middle";
                    return Err(Error::new(ErrorKind::Unexpected, "send requests", message)
                        .with_source(source));
                }
                Err(_) => {
                    stopped = shared.asked(&mut stop);
                    look = Instant::now() + LOOK;
                }
            }
        }
        drop(connections);
        let tally = shared.lock()[0].clone();
        Ok(Outcome { tally, peak_open: shared.queue.peak(), stopped })
    }
}

/// What all connections have in common.
#[derive(Debug)]
struct Shared {
    load: Load,
    counts_from: Instant,
    queue: Queue,
    /// What counts, and what warms up.
    tallies: Mutex<[Tally; 2]>,
}

/// Sends what is due, one after the other, until nothing is.
async fn connection(shared: Arc<Shared>) {
    let (call, mut came) = (Arc::new(Notify::new()), Came::Called);
    let mut open = None;
    loop {
        match shared.queue.next(&call, came) {
            Next::Send(slot) => {
                shared.request(slot, &mut open).await;
                came = Came::Answered;
            }
            Next::Wait => {
                called(&call, &mut open).await;
                came = Came::Called;
            }
            Next::End => return,
        }
    }
}

/// Waits for a call, and meanwhile notices when the server closes.
async fn called(call: &Notify, open: &mut Option<Connection>) {
    if let Some(connection) = open {
        tokio::select! {
            biased;
            () = call.notified() => return,
            () = connection.closed() => {}
        }
        *open = None;
    }
    call.notified().await;
}

impl Shared {
    async fn request(&self, slot: Slot, open: &mut Option<Connection>) {
        let (deadline, sent) = (slot.since + self.load.timeout, Instant::now());
        let mut phase = Phase::Waiting;
        let end = if sent >= deadline {
            None
        } else {
            timeout_at(deadline, self.exchange(slot.number, open, &mut phase)).await.ok()
        };
        let end = end.unwrap_or_else(|| {
            *open = None;
            let limit = self.load.timeout;
            match phase {
                Phase::Waiting => {
                    let most = self.load.max_open;
                    let text = format!("not sent within {limit:?}, as {most} others were open");
                    End::Failed(Failure::Timeout, text)
                }
                Phase::Connecting => {
                    End::Failed(Failure::Connect, format!("no connection within {limit:?}"))
                }
                Phase::Asking => {
                    End::Failed(Failure::Timeout, format!("no answer within {limit:?}"))
                }
            }
        });
        let (latency, until) = (slot.since.elapsed(), sent.duration_since(self.counts_from));
        let which = usize::from(!self.load.schedule.counts(slot.number));
        self.lock()[which].add(end, latency, until);
    }

    async fn exchange(&self, number: u64, open: &mut Option<Connection>, phase: &mut Phase) -> End {
        let template = self.load.requests.of(number);
        let mut request = template.request();
        // A server may close a kept connection at any time, so the first try may meet one.
        for _ in 0..2 {
            *open = open.take().filter(|open| open.is_open() && !self.load.fresh_connections);
            let connection = if let Some(connection) = open {
                connection
            } else {
                *phase = Phase::Connecting;
                match Connection::open(&self.load.dialer).await {
                    Ok(connection) => open.insert(connection),
                    Err(text) => return End::Failed(Failure::Connect, text),
                }
            };
            *phase = Phase::Asking;
            match connection.exchange(request).await {
                Ok(answer) => {
                    let is_fine = template.status.contains(answer.status);
                    return End::Answered { status: answer.status, is_fine, bytes: answer.bytes };
                }
                Err(Broken::Failed(failure, text)) => {
                    *open = None;
                    return End::Failed(failure, text);
                }
                Err(Broken::NotSent(unsent)) => {
                    *open = None;
                    request = *unsent;
                }
            }
        }
        End::Failed(Failure::Closed, "closed before the request was sent".to_owned())
    }

    fn asked(&self, stop: &mut impl FnMut(&Tally, &Tally) -> Option<String>) -> Option<String> {
        let tallies = self.lock();
        stop(&tallies[0], &tallies[1])
    }

    fn lock(&self) -> MutexGuard<'_, [Tally; 2]> {
        self.tallies.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How far a request came.
#[derive(Clone, Copy, Debug)]
enum Phase {
    Waiting,
    Connecting,
    Asking,
}
