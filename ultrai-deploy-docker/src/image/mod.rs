//! Images on the engine: built by its own builder, pulled, found.
//!
//! Building and pulling change nothing but the engine's image store, so their errors have no
//! effect on what is deployed.

mod build;
mod pull;
mod push;
mod reference;
mod trouble;

use std::{sync::Arc, time::Duration};

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

pub(crate) use self::{build::check as check_build, reference::Reference};
use crate::{
    engine::{Engine, ignore_missing},
    registry::Registries,
};

/// Longest build or pull where the context sets no earlier deadline.
const LONGEST: Duration = Duration::from_hours(1);

/// The images of an engine.
#[derive(Clone, Debug)]
pub struct Store {
    engine: Engine,
    registries: Arc<Registries>,
}

impl Store {
    /// The images of `engine`, and of registries that want no login.
    pub fn new(engine: Engine) -> Self {
        Self { engine, registries: Arc::default() }
    }

    /// Logs in to registries with these.
    pub fn with_registries(mut self, registries: Registries) -> Self {
        self.registries = Arc::new(registries);
        self
    }

    /// The image behind `reference` if the engine has it.
    async fn local(&self, reference: &str) -> Result<Option<Image>> {
        let found = ignore_missing(self.engine.image(reference).await.map(Some))?;
        Ok(found.and_then(|inspect| image(reference, &inspect)))
    }

    /// The very image of a release: the engine has it, or it is pulled by its digest. No tag is
    /// looked at.
    async fn exactly(
        &self,
        cx: &Context,
        wanted: &Image,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        if self.local(&wanted.id).await?.is_some() {
            return Ok(wanted.clone());
        }
        let Some(pinned) = pinned(wanted) else {
            let message = format!(
                "the engine has no image {} of {}, and no registry's digest of it is known",
                wanted.id, wanted.reference
            );
            return Err(absent(message).with_advice(
                "`docker load` it, or deploy it once more with a `registry` in deploy.toml, \
                 to which it is pushed",
            ));
        };
        if let Some(remote) = Reference::parse(&pinned) {
            pull::pull(self, cx, &pinned, &remote, output).await?;
        }
        let found = self.local(&pinned).await?;
        let found = found.ok_or_else(|| absent(format!("the engine has no image {pinned}")))?;
        Ok(Image { id: found.id, ..wanted.clone() })
    }

    /// The image that a spec's build was last tagged with; as it was pushed, if it was.
    async fn built(&self, spec: &ImageSpec) -> Result<Option<Image>> {
        let Some(found) = self.engine.image(&spec.reference).await.map(Some).or_else(|error| {
            if error.kind() == ErrorKind::NotFound { Ok(None) } else { Err(error) }
        })?
        else {
            return Ok(None);
        };
        let pushed = spec.push.as_ref().and_then(|to| image(to, &found));
        Ok(pushed
            .filter(|pushed| pushed.digest.is_some())
            .or_else(|| image(&spec.reference, &found)))
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
        if let Some(wanted) = &image.exact {
            return Box::pin(self.exactly(cx, wanted, output)).await;
        }
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
        let found = if built { self.built(image).await? } else { self.local(reference).await? };
        found.ok_or_else(|| {
            let advice = if built {
                "it is built here: deploy once without `--skip-build`"
            } else {
                "`docker pull` or `docker load` it first, or allow it to be pulled"
            };
            let message = format!("the engine has no image {reference}");
            absent(message).with_advice(advice)
        })
    }

    async fn push(
        &self,
        cx: &Context,
        _service: &ServiceName,
        spec: &ImageSpec,
        image: &Image,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        Box::pin(push::push(self, cx, spec, image, output)).await
    }

    /// Only the very image counts: one that was built or tagged again under another id is not what
    /// the release was proven with. The registry has it when it has its digest.
    async fn is_obtainable(&self, cx: &Context, image: &Image) -> Result<bool> {
        if self.local(&image.id).await?.is_some() {
            return Ok(true);
        }
        let Some(pinned) = pinned(image) else { return Ok(false) };
        Ok(pull::digest(self, cx, &pinned).await?.is_some())
    }
}

/// How its registry is asked for exactly this image; nothing where no digest is known.
fn pinned(image: &Image) -> Option<String> {
    let (reference, digest) = (Reference::parse(&image.reference)?, image.digest.as_ref()?);
    Some(format!("{}@{digest}", reference.repository))
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
