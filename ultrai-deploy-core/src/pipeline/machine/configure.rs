//! Files and secrets of the new release are gathered.

use std::time::Duration;

use super::Definition;
use crate::{
    context::Context,
    error::Result,
    pipeline::{
        Driver,
        seal::{Draft, named},
    },
    release::Seal,
};

pub(super) const STAGE: Definition = Definition {
    name: "configure",
    deadline: |_| Duration::from_mins(10),
    is_self_bounded: false,
    may_be_skipped: false,
    may_be_ignored: false,
    skip: |_, state| state.is_rollback().then_some("the release is stored"),
    run: |driver, cx| Box::pin(driver.configure(cx)),
};

impl Driver {
    /// Gathers files and secrets.
    async fn configure(&mut self, cx: &Context) -> Result<()> {
        let spec = self.spec()?;
        let secrets = self.secrets_of(cx, spec).await?;
        let prints = self.parts.fingerprints(&secrets).await?;
        let mut seal = Seal { secrets: prints, ..Seal::default() };
        for (name, service) in &spec.services {
            if !service.files.is_empty() {
                cx.check()?;
                let stored = self.parts.releases.put_files(&service.files).await?;
                seal.files.insert(name.clone(), stored);
            }
        }
        seal.sources = self.parts.releases.put_files(&named(&spec.sources)).await?;
        let told = self.promotion().map(|from| from.differences(&seal.sources, &seal.files));
        for message in told.unwrap_or_default() {
            self.note(message).await?;
        }
        self.draft = Draft { seal, secrets };
        Ok(())
    }
}
