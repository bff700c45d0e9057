//! The lease as objects that are created once.
//!
//! ```text
//! lease/0000000007            who took it: created once, so one of many at once is first
//! lease/0000000007.renewals   a counter that only its holder writes
//! lease/0000000007.released   it was given up
//! ```
//! Nobody's wall clock is trusted: one who waits watches the counter by its own clock, and takes
//! over when it has not changed for the [time to live](ultrai_deploy_core::lease::TIME_TO_LIVE). So a
//! lease whose process is gone is free only to one who waits that long.

use std::{
    collections::BTreeSet,
    future::Future,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use object_store::{ObjectStore, path::Path};
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    lease::{self, Fence, Holder, Patience, Seen, TIME_TO_LIVE, Wait},
    name::Target,
};

use crate::{
    envelope,
    keys::{Created, Keys},
    register::numbered,
};

const ACQUIRE: &str = "take the lease";
const RENEW: &str = "renew the lease";
const RELEASE: &str = "give up the lease";
const LOOK: &str = "read the lease";
const DIRECTORY: &str = "lease";
/// Generations that stay, for people.
const KEPT: u64 = 4;
/// A renewal that takes longer counts as failed: it must not say that the lease is held when its time
/// to live may have passed meanwhile.
const RENEWAL_LIMIT: Duration = Duration::from_secs(4);

/// Excludes drivers on any host from an environment.
#[derive(Debug)]
pub struct Lease {
    store: Arc<dyn ObjectStore>,
    prefix: Path,
    /// The taking that this value holds.
    held: Mutex<Option<Held>>,
}

#[derive(Clone, Debug)]
struct Held {
    target: Target,
    fence: Fence,
    renewals: u64,
}

#[derive(Debug, Serialize, Deserialize)]
struct Generation {
    fence: Fence,
    holder: Holder,
}

/// What is in the directory.
#[derive(Debug, Default)]
struct Listing {
    names: Vec<String>,
    generations: BTreeSet<u64>,
}

impl Listing {
    /// The newest generation; 0 when there was none.
    fn newest(&self) -> Fence {
        Fence(self.generations.last().copied().unwrap_or_default())
    }

    fn is_released(&self) -> bool {
        let released = format!("{:010}.released", self.newest().0);
        self.names.contains(&released)
    }
}

impl Lease {
    /// The leases of the environments below `prefix`.
    ///
    /// What one value takes is its own: another one, also in the same process, is another driver.
    pub fn new(store: Arc<dyn ObjectStore>, prefix: &Path) -> Self {
        Self { store, prefix: prefix.clone(), held: Mutex::default() }
    }

    fn keys(&self, target: &Target) -> Keys {
        Keys::new(Arc::clone(&self.store), &self.prefix, target)
    }

    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn renew_now(&self, target: &Target, fence: Fence) -> Result<()> {
        let keys = self.keys(target);
        let renewals = {
            let mut held = self.held();
            let own = held.as_mut().filter(|held| held.fence == fence && held.target == *target);
            own.map(|own| {
                own.renewals += 1;
                own.renewals
            })
        };
        if let Some(renewals) = renewals {
            let counter = Bytes::from(renewals.to_string());
            keys.put(&renewals_of(fence), counter, RENEW).await?;
        }
        // Last, so that it was the newest after all else was done.
        let listing = list(&keys, RENEW).await?;
        let newest = listing.newest();
        if renewals.is_some() && newest == fence && !listing.is_released() {
            return Ok(());
        }
        // Who took over is told where it can be read.
        let holder = match read(&keys, newest, RENEW).await {
            Ok(holder) => holder.filter(|_| newest > fence),
            Err(_) => None,
        };
        Err(lease::lost(fence, newest, holder.as_ref()))
    }
}

#[async_trait]
impl lease::Lease for Lease {
    async fn acquire(&self, target: &Target, holder: &Holder, wait: Wait) -> Result<Fence> {
        let keys = self.keys(target);
        let mut patience = Patience::new(wait);
        let mut expired = None;
        loop {
            let listing = list(&keys, ACQUIRE).await?;
            let newest = listing.newest();
            if newest > Fence(0) && !listing.is_released() {
                let seen = Seen { fence: newest, renewals: count(&keys, newest).await? };
                if expired != Some(seen) {
                    // One that cannot be read still holds.
                    let other = readable(read(&keys, newest, ACQUIRE).await)?;
                    let waited = patience.wait(seen, other.as_ref()).await;
                    expired = waited.map_err(advise)?;
                    continue;
                }
            }
            if let Some(fence) = take(&keys, Fence(newest.0 + 1), holder).await? {
                *self.held() = Some(Held { target: target.clone(), fence, renewals: 0 });
                return Ok(fence);
            }
        }
    }

    async fn renew(&self, target: &Target, fence: Fence) -> Result<()> {
        limited(self.renew_now(target, fence)).await
    }

    async fn release(&self, target: &Target, fence: Fence) -> Result<()> {
        let is_ours = |held: &Held| held.fence == fence && held.target == *target;
        if !self.held().as_ref().is_some_and(is_ours) {
            return Ok(());
        }
        let name = format!("{}.released", numbered(DIRECTORY, fence.0));
        self.keys(target).put(&name, Bytes::new(), RELEASE).await?;
        self.held().take_if(|held| is_ours(held));
        Ok(())
    }

    /// Also one whose process is gone, until another has taken over.
    async fn holder(&self, target: &Target) -> Result<Option<Holder>> {
        let keys = self.keys(target);
        let listing = list(&keys, LOOK).await?;
        if listing.is_released() || listing.newest() == Fence(0) {
            return Ok(None);
        }
        read(&keys, listing.newest(), LOOK).await
    }
}

fn renewals_of(fence: Fence) -> String {
    format!("{}.renewals", numbered(DIRECTORY, fence.0))
}

async fn list(keys: &Keys, operation: &'static str) -> Result<Listing> {
    let (names, _) = keys.list(DIRECTORY, operation).await?;
    let generations = names.iter().filter_map(|name| name.parse().ok()).collect();
    Ok(Listing { names, generations })
}

async fn read(keys: &Keys, fence: Fence, operation: &'static str) -> Result<Option<Holder>> {
    let name = numbered(DIRECTORY, fence.0);
    let Some(bytes) = keys.get(&name, operation).await? else { return Ok(None) };
    let what = keys.describe(&name);
    let json = envelope::open(&bytes, None, operation, &what)?;
    let generation: Generation = serde_json::from_slice(&json)
        .map_err(|error| envelope::damaged(operation, &what, error))?;
    Ok(Some(generation.holder))
}

fn readable(read: Result<Option<Holder>>) -> Result<Option<Holder>> {
    match read {
        Err(error) if matches!(error.kind(), ErrorKind::Corrupt | ErrorKind::Unsupported) => {
            Ok(None)
        }
        read => read,
    }
}

async fn count(keys: &Keys, fence: Fence) -> Result<u64> {
    let bytes = keys.get(&renewals_of(fence), ACQUIRE).await?.unwrap_or_default();
    Ok(std::str::from_utf8(&bytes).ok().and_then(|text| text.parse().ok()).unwrap_or_default())
}

/// Creates a generation; nothing when another one is newer.
async fn take(keys: &Keys, fence: Fence, holder: &Holder) -> Result<Option<Fence>> {
    let generation = Generation { fence, holder: holder.clone() };
    let json = serde_json::to_vec(&generation).map_err(|source| {
        Error::new(ErrorKind::Unexpected, ACQUIRE, "the holder has no JSON").with_source(source)
    })?;
    let bytes = envelope::close(&json, None)?.into();
    if let Created::Anothers(_) =
        keys.create(&numbered(DIRECTORY, fence.0), &bytes, ACQUIRE).await?
    {
        return Ok(None);
    }
    let listing = list(keys, ACQUIRE).await?;
    // Only where this one was so slow that its number was used and swept meanwhile.
    if listing.newest() != fence {
        return Ok(None);
    }
    let is_old = |name: &&String| {
        let number = name.split('.').next().and_then(|number| number.parse::<u64>().ok());
        number.is_some_and(|number| number + KEPT <= fence.0)
    };
    let old: Vec<_> =
        listing.names.iter().filter(is_old).map(|name| format!("{DIRECTORY}/{name}")).collect();
    // What stays is removed by the next taker.
    let _swept_later = keys.delete(&old, ACQUIRE).await;
    Ok(Some(fence))
}

async fn limited(renewal: impl Future<Output = Result<()>>) -> Result<()> {
    tokio::time::timeout(RENEWAL_LIMIT, renewal).await.unwrap_or_else(|_elapsed| {
        let message = format!("the store took longer than {} s", RENEWAL_LIMIT.as_secs());
        Err(Error::new(ErrorKind::Timeout, RENEW, message).retryable())
    })
}

fn advise(error: Error) -> Error {
    if error.kind() != ErrorKind::Fenced {
        return error;
    }
    error.with_advice(format!(
        "wait for it to end, or ask it to stop; where its process is gone, wait for {} s",
        TIME_TO_LIVE.as_secs() + 1
    ))
}
