//! Images on the engine: built by its own builder, pulled, found.
//!
//! Building and pulling change nothing but the engine's image store, so their errors have no
//! effect on what is deployed.

mod build;
mod pull;
mod reference;

use std::time::Duration;

use async_trait::async_trait;
use bollard::models::ImageInspect;
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
    image::ImageStore,
    name::ServiceName,
    release::Image,
    spec::{ImageSpec, PullPolicy},
    task::TaskOutput,
};

pub(crate) use self::build::check as check_build;
use self::reference::Reference;
use crate::engine::{Engine, ignore_missing};

/// Longest build or pull where the context sets no earlier deadline.
const LONGEST: Duration = Duration::from_hours(1);

/// The images of an engine.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
}

impl Store {
    /// The images of `engine`.
    pub fn new(engine: Engine) -> Self {
        Self { engine }
    }

    /// The image behind `reference` if the engine has it.
    async fn local(&self, reference: &str) -> Result<Option<Image>> {
        let found = ignore_missing(self.engine.image(reference).await.map(Some))?;
        Ok(found.and_then(|inspect| image(reference, &inspect)))
    }
}

#[async_trait]
impl ImageStore for Store {
    async fn build(
        &self,
        cx: &Context,
        service: &ServiceName,
        image: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        Box::pin(build::build(self, cx, service, image, output)).await
    }

    async fn resolve(
        &self,
        cx: &Context,
        image: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        let reference = image.reference.as_str();
        // An image that is built here is never looked for in a registry: its name there may be
        // somebody else's. An id is in no registry at all.
        let built = image.build.is_some();
        let pull = if built { PullPolicy::Never } else { image.pull };
        let remote = Reference::parse(reference);
        match (pull, remote) {
            (PullPolicy::Always, Some(remote)) => {
                pull::pull(self, cx, reference, &remote, output).await?;
            }
            (PullPolicy::Never, _) | (_, None) => {}
            (_, Some(remote)) => {
                if let Some(found) = self.local(reference).await? {
                    return Ok(found);
                }
                pull::pull(self, cx, reference, &remote, output).await?;
            }
        }
        self.local(reference).await?.ok_or_else(|| {
            let advice = if built {
                "it is built here: deploy once without `--skip-build`"
            } else {
                "`docker pull` or `docker load` it first, or allow it to be pulled"
            };
            let message = format!("the engine has no image {reference}");
            absent(message).with_advice(advice)
        })
    }

    /// Only the very image counts: one that was pulled again under another id is not what the
    /// release was proven with.
    async fn is_obtainable(&self, _cx: &Context, image: &Image) -> Result<bool> {
        Ok(self.local(&image.id).await?.is_some())
    }
}

/// What the engine tells about an image, in the form that releases keep; nothing without an id.
fn image(reference: &str, inspect: &ImageInspect) -> Option<Image> {
    let wanted = Reference::parse(reference);
    let digests = inspect.repo_digests.iter().flatten();
    let digest = digests.filter_map(|digest| Reference::parse(digest)).find_map(|known| {
        wanted.as_ref().is_some_and(|wanted| wanted.is_of(&known)).then_some(known.digest?)
    });
    Some(Image {
        reference: reference.to_owned(),
        id: inspect.id.clone()?,
        digest: digest.map(ToOwned::to_owned),
    })
}

fn absent(message: String) -> Error {
    Error::new(ErrorKind::NotFound, "find an image", message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_that_of_the_wanted_repository() {
        let inspect = ImageInspect {
            id: Some("sha256:1".into()),
            repo_digests: Some(vec!["mirror/redis@sha256:a".into(), "redis@sha256:b".into()]),
            ..ImageInspect::default()
        };
        let digest = |reference| image(reference, &inspect).unwrap().digest;
        assert_eq!(digest("redis:6"), Some("sha256:b".to_owned()));
        assert_eq!(digest("docker.io/library/redis"), Some("sha256:b".to_owned()));
        assert_eq!(digest("other:1"), None);
        assert_eq!(digest("sha256:1"), None);
        assert!(image("redis", &ImageInspect::default()).is_none());
    }
}
