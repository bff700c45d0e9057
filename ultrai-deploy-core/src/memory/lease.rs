//! A lease in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use async_trait::async_trait;

use crate::{
    error::Result,
    lease::{self, Fence, Holder, Patience, Seen, Wait},
    name::Target,
};

/// Excludes drivers of one program from each other.
///
/// A clone is the same lease as another process sees it: what it takes is its own, and is free
/// again when it is released or when the clone is dropped, as when that process dies.
#[derive(Debug, Default)]
pub struct Lease {
    generations: Arc<Mutex<BTreeMap<Target, Generation>>>,
    process: Arc<Process>,
}

/// Lives as long as the handle that takes leases.
#[derive(Debug, Default)]
struct Process;

#[derive(Debug, Default)]
struct Generation {
    fence: Fence,
    renewals: u64,
    taken: Option<(Holder, Weak<Process>)>,
}

impl Clone for Lease {
    fn clone(&self) -> Self {
        Self { generations: Arc::clone(&self.generations), process: Arc::default() }
    }
}

impl Generation {
    fn holder(&self) -> Option<&Holder> {
        let (holder, process) = self.taken.as_ref()?;
        (process.strong_count() > 0).then_some(holder)
    }

    fn seen(&self) -> Seen {
        Seen { fence: self.fence, renewals: self.renewals }
    }
}

impl Lease {
    fn generations(&self) -> MutexGuard<'_, BTreeMap<Target, Generation>> {
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn attempt(
        &self,
        target: &Target,
        holder: &Holder,
        expired: Option<Seen>,
    ) -> Result<Fence, (Seen, Holder)> {
        let mut generations = self.generations();
        let newest = generations.entry(target.clone()).or_default();
        if let Some(other) = newest.holder()
            && expired != Some(newest.seen())
        {
            return Err((newest.seen(), other.clone()));
        }
        *newest = Generation {
            fence: Fence(newest.fence.0 + 1),
            renewals: 0,
            taken: Some((holder.clone(), Arc::downgrade(&self.process))),
        };
        Ok(newest.fence)
    }
}

#[async_trait]
impl lease::Lease for Lease {
    async fn acquire(&self, target: &Target, holder: &Holder, wait: Wait) -> Result<Fence> {
        let mut patience = Patience::new(wait);
        let mut expired = None;
        loop {
            match self.attempt(target, holder, expired) {
                Ok(fence) => return Ok(fence),
                Err((seen, other)) => expired = patience.wait(seen, Some(&other)).await?,
            }
        }
    }

    async fn renew(&self, target: &Target, fence: Fence) -> Result<()> {
        let mut generations = self.generations();
        let newest = generations.entry(target.clone()).or_default();
        if newest.fence != fence || newest.holder().is_none() {
            return Err(lease::lost(fence, newest.fence, newest.holder()));
        }
        newest.renewals += 1;
        Ok(())
    }

    async fn release(&self, target: &Target, fence: Fence) -> Result<()> {
        let mut generations = self.generations();
        if let Some(newest) = generations.get_mut(target).filter(|newest| newest.fence == fence) {
            newest.taken = None;
        }
        Ok(())
    }

    async fn holder(&self, target: &Target) -> Result<Option<Holder>> {
        Ok(self.generations().get(target).and_then(Generation::holder).cloned())
    }
}
