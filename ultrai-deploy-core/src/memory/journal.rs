//! A journal in memory.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;

use crate::{
    error::Result,
    journal::{self, End, Record},
    name::RunId,
};

/// Keeps records in memory. A clone is the same journal as another process opens it.
#[derive(Clone, Debug, Default)]
pub struct Journal(Arc<Mutex<BTreeMap<RunId, Vec<Record>>>>);

impl Journal {
    fn runs(&self) -> MutexGuard<'_, BTreeMap<RunId, Vec<Record>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl journal::Journal for Journal {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        let mut runs = self.runs();
        End::of(runs.get(run).map_or(&[], Vec::as_slice)).check(run, record)?;
        runs.entry(run.clone()).or_default().push(record.clone());
        Ok(())
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.runs().get(run).cloned().ok_or_else(|| journal::unknown(run, "read the journal"))
    }

    async fn repair(&self, run: &RunId) -> Result<()> {
        if self.runs().contains_key(run) {
            return Ok(());
        }
        Err(journal::unknown(run, "repair the journal"))
    }

    async fn remove(&self, run: &RunId) -> Result<()> {
        self.runs().remove(run);
        Ok(())
    }

    async fn runs(&self) -> Result<Vec<RunId>> {
        Ok(Self::runs(self).keys().cloned().collect())
    }
}
