//! Requests at a steady pace, whether or not the ones before were answered.

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::{Duration, Instant},
};

use super::Shop;

/// Requests a second.
const RATE: u32 = 50;

/// What became of the requests so far.
#[derive(Debug, Default)]
pub struct Load {
    sent: AtomicUsize,
    lost: AtomicUsize,
    over: AtomicBool,
}

/// Requests that were sent, and those of them that got no answer or a bad one.
#[derive(Clone, Copy, Debug)]
pub struct Count {
    pub sent: usize,
    pub lost: usize,
}

impl std::ops::Sub for Count {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { sent: self.sent - before.sent, lost: self.lost - before.lost }
    }
}

/// Ends the load also when the work panics, or its threads would be waited for without end.
struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

impl Load {
    /// Does `work` while `path` at the port of a name is asked for all the time.
    pub fn during<T>(shop: &Shop, port: &str, path: &str, work: impl FnOnce(&Self) -> T) -> T {
        let load = Self::default();
        let address = shop.env[port].clone();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut next = Instant::now();
                while !load.over.load(Ordering::Relaxed) {
                    next += Duration::from_secs(1) / RATE;
                    let (load, address) = (&load, &address);
                    scope.spawn(move || {
                        let answer = super::http(address, path);
                        if answer.is_none_or(|(code, _)| code != 200) {
                            load.lost.fetch_add(1, Ordering::Relaxed);
                        }
                        load.sent.fetch_add(1, Ordering::Relaxed);
                    });
                    std::thread::park_timeout(next.saturating_duration_since(Instant::now()));
                }
            });
            let _end = End(&load.over);
            work(&load)
        })
    }

    /// All that were answered or given up so far.
    pub fn count(&self) -> Count {
        // A lost one is counted first as lost, then as sent.
        let sent = self.sent.load(Ordering::Relaxed);
        Count { sent, lost: self.lost.load(Ordering::Relaxed).min(sent) }
    }
}
