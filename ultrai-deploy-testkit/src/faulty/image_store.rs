//! An image store that misbehaves.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Result, image::ImageStore, name::ServiceName, release::Image, spec::ImageSpec,
    task::TaskOutput,
};

use super::{Faulty, Method};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<S: ImageStore + ?Sized> ImageStore for Faulty<S> {
    async fn build(
        &self,
        cx: &Context,
        service: &ServiceName,
        image: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        self.ask(Method::Build, self.inner.build(cx, service, image, output)).await
    }

    async fn resolve(
        &self,
        cx: &Context,
        image: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        self.ask(Method::Resolve, self.inner.resolve(cx, image, output)).await
    }

    async fn push(
        &self,
        cx: &Context,
        service: &ServiceName,
        spec: &ImageSpec,
        image: &Image,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        self.ask(Method::Push, self.inner.push(cx, service, spec, image, output)).await
    }

    async fn is_obtainable(&self, cx: &Context, image: &Image) -> Result<bool> {
        self.ask(Method::IsObtainable, self.inner.is_obtainable(cx, image)).await
    }
}
