//! What is due and not sent yet, and the connections that wait for it.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::{sync::Notify, time::Instant};

/// One request that is due.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) number: u64,
    /// Since when its latency counts.
    pub(crate) since: Instant,
}

/// Due requests, oldest first. The connection that waits for the shortest time gets the next one, so
/// that no more of them are open than are needed.
#[derive(Debug, Default)]
pub(crate) struct Queue(Mutex<Inner>);

#[derive(Debug, Default)]
struct Inner {
    due: VecDeque<Slot>,
    idle: Vec<Arc<Notify>>,
    /// Connections that were called and did not come yet.
    coming: usize,
    busy: usize,
    peak: usize,
    has_ended: bool,
}

/// What a connection gets when it asks.
#[derive(Debug)]
pub(crate) enum Next {
    Send(Slot),
    /// Nothing yet: wait to be called, and say [`Came::Called`] then.
    Wait,
    End,
}

/// Why a connection asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Came {
    /// It was opened for a due request, or called.
    Called,
    /// It got its answer.
    Answered,
}

impl Queue {
    /// Adds due requests and calls connections for them; gives how many more connections would have
    /// something to do.
    pub(crate) fn release(&self, slots: impl IntoIterator<Item = Slot>) -> usize {
        let mut inner = self.lock();
        inner.due.extend(slots);
        let mut wanted = inner.due.len().saturating_sub(inner.coming);
        while wanted > 0
            && let Some(idle) = inner.idle.pop()
        {
            idle.notify_one();
            inner.coming += 1;
            wanted -= 1;
        }
        wanted
    }

    /// Says that so many connections are opened, which ask as [`Came::Called`].
    pub(crate) fn opening(&self, count: usize) {
        self.lock().coming += count;
    }

    /// What the connection that listens to `call` does next.
    pub(crate) fn next(&self, call: &Arc<Notify>, came: Came) -> Next {
        let mut inner = self.lock();
        match came {
            Came::Called => inner.coming = inner.coming.saturating_sub(1),
            Came::Answered => inner.busy = inner.busy.saturating_sub(1),
        }
        if let Some(slot) = inner.due.pop_front() {
            inner.busy += 1;
            inner.peak = inner.peak.max(inner.busy);
            return Next::Send(slot);
        }
        if inner.has_ended {
            return Next::End;
        }
        inner.idle.push(Arc::clone(call));
        Next::Wait
    }

    /// Says that nothing more becomes due.
    pub(crate) fn end(&self) {
        let mut inner = self.lock();
        inner.has_ended = true;
        for idle in std::mem::take(&mut inner.idle) {
            idle.notify_one();
        }
    }

    /// How many requests were open at once at most.
    pub(crate) fn peak(&self) -> usize {
        self.lock().peak
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slots(numbers: std::ops::Range<u64>) -> Vec<Slot> {
        let since = Instant::now();
        numbers.map(|number| Slot { number, since }).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn no_more_connections_are_asked_for_than_have_something_to_do() {
        let (queue, call) = (Queue::default(), Arc::new(Notify::new()));
        assert_eq!(queue.release(slots(0..3)), 3);
        queue.opening(3);
        assert_eq!(queue.release(slots(3..4)), 1, "three are coming already");
        for number in 0..3 {
            let Next::Send(slot) = queue.next(&call, Came::Called) else { panic!("nothing") };
            assert_eq!(slot.number, number);
        }
        assert!(matches!(queue.next(&call, Came::Answered), Next::Send(Slot { number: 3, .. })));
        assert!(matches!(queue.next(&call, Came::Answered), Next::Wait));
        assert_eq!(queue.release(slots(4..5)), 0, "one waits");
        call.notified().await;
        assert!(matches!(queue.next(&call, Came::Called), Next::Send(Slot { number: 4, .. })));
        queue.end();
        assert!(matches!(queue.next(&call, Came::Answered), Next::End));
        assert_eq!(queue.peak(), 3);
    }
}
