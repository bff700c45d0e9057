//! A backup store that misbehaves.

use std::sync::Arc;

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Result,
    backup::{Backup, BackupRequest, BackupSource, BackupStore, Part, Selection},
    name::{BackupId, Target},
};

use super::{Faulty, Method};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: BackupStore + ?Sized> BackupStore for Faulty<S> {
    async fn create(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        self.ask(Method::Create, self.inner.create(cx, request, sources)).await
    }

    async fn list(&self, target: &Target) -> Result<Vec<Backup>> {
        self.ask(Method::List, self.inner.list(target)).await
    }

    async fn ids(&self, target: &Target) -> Result<Vec<BackupId>> {
        self.ask(Method::List, self.inner.ids(target)).await
    }

    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()> {
        self.act(Method::Verify, self.inner.verify(target, id)).await
    }

    fn own_sources(&self, what: &Selection) -> Vec<Arc<dyn BackupSource>> {
        self.inner.own_sources(what)
    }

    async fn restore(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        self.act(Method::Restore, self.inner.restore(cx, what, source)).await
    }

    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()> {
        self.act(Method::Delete, self.inner.delete(target, id)).await
    }
}
