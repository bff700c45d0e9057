//! The seam to images: built, pulled, known exactly.

use std::fmt;

use async_trait::async_trait;

use crate::{
    context::Context, error::Result, name::ServiceName, release::Image, spec::ImageSpec,
    task::TaskOutput,
};

/// Where images are built and found.
#[async_trait]
pub trait ImageStore: fmt::Debug + Send + Sync + 'static {
    /// Builds the image of `service`, which has a `build`. Idempotent: building again with the
    /// same inputs gives an image with the same behaviour. What the builder prints goes to
    /// `output`, which takes secrets out of it.
    async fn build(
        &self,
        cx: &Context,
        service: &ServiceName,
        image: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image>;

    /// Finds the exact image behind a reference, pulling it as its policy says. What a pull prints
    /// goes to `output`. Where the spec names the very image
    /// ([`exact`](crate::spec::ImageSpec::exact)), that one is made ready, by its id or its digest,
    /// and whatever its reference means now does not matter.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is not to be had.
    async fn resolve(
        &self,
        cx: &Context,
        image: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image>;

    /// Pushes `image`, which was built for `service` or found in place of being built, to where the
    /// spec says ([`push`](crate::spec::ImageSpec::push)), and returns it as it is known there: by
    /// that reference, with the digest that the registry answered. Idempotent: what the registry has
    /// already is not sent again. Changes nothing of what is deployed, however it ends.
    async fn push(
        &self,
        cx: &Context,
        service: &ServiceName,
        spec: &ImageSpec,
        image: &Image,
        output: &dyn TaskOutput,
    ) -> Result<Image>;

    /// Whether an image of a stored release is still to be had, here or from its registry by its
    /// digest, so that it could be started again.
    ///
    /// # Errors
    /// When that cannot be found out.
    async fn is_obtainable(&self, cx: &Context, image: &Image) -> Result<bool>;
}
