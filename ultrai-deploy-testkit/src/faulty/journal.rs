//! A journal that misbehaves.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Result,
    journal::{Journal, Record},
    name::RunId,
};

use super::{Faulty, Method};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<J: Journal + ?Sized> Journal for Faulty<J> {
    async fn append(&self, run: &RunId, record: &Record) -> Result<()> {
        self.act(Method::Append, self.inner.append(run, record)).await
    }

    async fn load(&self, run: &RunId) -> Result<Vec<Record>> {
        self.ask(Method::Load, self.inner.load(run)).await
    }

    async fn repair(&self, run: &RunId) -> Result<()> {
        self.act(Method::Repair, self.inner.repair(run)).await
    }

    async fn remove(&self, run: &RunId) -> Result<()> {
        self.act(Method::Remove, self.inner.remove(run)).await
    }

    async fn runs(&self) -> Result<Vec<RunId>> {
        self.ask(Method::Runs, self.inner.runs()).await
    }
}
