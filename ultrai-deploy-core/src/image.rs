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
    /// goes to `output`.
    ///
    /// # Errors
    /// [`ErrorKind::NotFound`](crate::ErrorKind::NotFound) when it is not to be had.
    async fn resolve(
        &self,
        cx: &Context,
        image: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image>;

    /// Whether an image of a stored release is still there, so that it could be started again.
    async fn is_obtainable(&self, cx: &Context, image: &Image) -> Result<bool>;
}
