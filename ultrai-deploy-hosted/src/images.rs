//! Images that the platform pulls itself.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result, image::ImageStore, name::ServiceName, release::Image,
    spec::ImageSpec, task::TaskOutput,
};

use crate::reference;

/// Takes references as they are: only the platform looks at the registry. A reference with a digest
/// names exactly one image; one with a tag is what the platform finds behind it when it pulls.
#[derive(Clone, Copy, Debug, Default)]
pub struct Images;

#[async_trait]
impl ImageStore for Images {
    async fn build(
        &self,
        _cx: &Context,
        service: &ServiceName,
        _image: &ImageSpec,
        _output: &dyn TaskOutput,
    ) -> Result<Image> {
        let message = format!("the image of {service} cannot be built here for a hosted platform");
        Err(Error::new(ErrorKind::Unsupported, "build an image", message)
            .with_advice("build and push it before, and name the image that was pushed")
            .without_effect())
    }

    async fn resolve(
        &self,
        _cx: &Context,
        image: &ImageSpec,
        _output: &dyn TaskOutput,
    ) -> Result<Image> {
        if let Some(exact) = &image.exact {
            return Ok(exact.clone());
        }
        let reference = image.reference.clone();
        let digest = reference::digest(&reference).map(str::to_owned);
        Ok(Image { id: digest.clone().unwrap_or_else(|| reference.clone()), reference, digest })
    }

    async fn push(
        &self,
        _cx: &Context,
        service: &ServiceName,
        _spec: &ImageSpec,
        _image: &Image,
        _output: &dyn TaskOutput,
    ) -> Result<Image> {
        let message = format!("the image of {service} cannot be pushed from here");
        Err(Error::new(ErrorKind::Unsupported, "push an image", message)
            .with_advice("push it before, and name the image that was pushed")
            .without_effect())
    }

    /// Nobody but the platform knows: it tells when it goes back.
    async fn is_obtainable(&self, _cx: &Context, _image: &Image) -> Result<bool> {
        Ok(true)
    }
}
