//! Images are built; each one once, however many services share it.

use std::{collections::BTreeMap, time::Duration};

use super::Definition;
use crate::{context::Context, error::Result, journal::Event, pipeline::Driver, release::Image};

pub(super) const STAGE: Definition = Definition {
    name: "build",
    deadline: |_| Duration::from_hours(1),
    is_self_bounded: false,
    may_be_skipped: true,
    may_be_ignored: false,
    skip: |_, state| state.is_rollback().then_some("the release is stored"),
    run: |driver, cx| Box::pin(driver.build(cx)),
};

impl Driver {
    async fn build(&mut self, cx: &Context) -> Result<()> {
        let Some(images) = self.parts.images.clone() else { return Ok(()) };
        let spec = self.spec()?.clone();
        let mut built: BTreeMap<String, Image> = BTreeMap::new();
        for (name, service) in &spec.services {
            let Some(wanted) = service.image.as_ref().filter(|image| image.build.is_some()) else {
                continue;
            };
            let image = if let Some(image) = built.get(&wanted.reference) {
                image.clone()
            } else {
                let output = self.log.output(name.as_str()).await;
                let built = cx.bounded(images.build(cx, name, wanted, &output)).await;
                built.map_err(|error| error.at(spec.place(name, "build")))?
            };
            built.insert(wanted.reference.clone(), image.clone());
            self.log
                .record(Event::ImageResolved {
                    service: name.clone(),
                    image: image.clone(),
                    built: true,
                })
                .await?;
            self.draft.seal.images.insert(name.clone(), image);
        }
        Ok(())
    }
}
