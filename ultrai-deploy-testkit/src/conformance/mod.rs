//! What every backend of a seam must do, as suites that run on any of them.
//!
//! | seam | suite | what it is given |
//! |---|---|---|
//! | `Deployer` | [`deployer`] | a [`Platform`], which gives [`Environment`]s |
//! | `Journal` | [`journal`] | stores by name |
//! | `Lease` | [`lease`], or [`shared_lease`] across hosts | stores by name |
//! | `ReleaseStore` | [`release_store`] | stores by name, and an empty directory |
//! | `BackupStore` | [`backup_store`] | stores by name |
//!
//! A suite sees its backend through `Arc<dyn _>`, as the engine does, panics at the first case that
//! fails, naming it, and returns how many cases ran. What a backend says that it cannot do
//! (`Capabilities`) is not asked of it and not counted.
//!
//! A suite opens stores by name. A name that it has not used before must give an empty store; the
//! same name again must give the same store as another process opens it.

mod backup_store;
mod deployer;
mod journal;
mod lease;
mod release_store;
mod sample;

use std::{
    collections::BTreeMap,
    future::Future,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use ultrai_deploy_core::error::{Chain, ErrorKind, Result};

pub use self::{
    backup_store::backup_store,
    deployer::{DB, Environment, Platform, SIDE, Variant, WEB, deployer},
    journal::journal,
    lease::{lease, shared_lease},
    release_store::release_store,
};

/// Longer than any case takes, by a clock that is paused or not.
const LIMIT: Duration = Duration::from_mins(5);

/// Memory backends by name: their clones share what they keep.
#[derive(Debug, Default)]
pub struct Named<T>(Mutex<BTreeMap<String, T>>);

impl<T: Clone + Default> Named<T> {
    /// The store of this name as another process opens it.
    pub fn open(&self, name: &str) -> T {
        let mut stores = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        stores.entry(name.to_owned()).or_default().clone()
    }
}

/// Runs the cases of a suite and counts them.
#[derive(Debug)]
struct Cases {
    suite: &'static str,
    ran: usize,
}

impl Cases {
    fn new(suite: &'static str) -> Self {
        Self { suite, ran: 0 }
    }

    async fn run(&mut self, name: &str, case: impl Future<Output = ()>) {
        let ended = tokio::time::timeout(LIMIT, case).await;
        assert!(ended.is_ok(), "{}: `{name}` did not end within {LIMIT:?}", self.suite);
        self.ran += 1;
    }
}

/// The value, or a panic with all causes.
#[track_caller]
fn ok<T>(result: Result<T>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{:?}: {}", error.kind(), Chain(&error)),
    }
}

/// Panics unless it failed in this way; returns the error's text.
#[track_caller]
fn fails<T: std::fmt::Debug>(result: Result<T>, kind: ErrorKind) -> String {
    match result {
        Ok(value) => panic!("must fail with {kind:?}, but gave {value:?}"),
        Err(error) => {
            assert_eq!(error.kind(), kind, "{}", Chain(&error));
            Chain(&error).to_string()
        }
    }
}
