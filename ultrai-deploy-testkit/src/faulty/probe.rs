//! A probe that misbehaves.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Result,
    health::{Endpoint, Health, HealthProbe},
};

use super::{Faulty, Manner, Method, suffer};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<P: HealthProbe + ?Sized> HealthProbe for Faulty<P> {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let fault = self.enter(Method::Check);
        if let Some(Manner::TellHealth(health)) = fault.map(|fault| &fault.manner) {
            return Ok(health.clone());
        }
        suffer(fault, self.inner.check(cx, endpoint)).await
    }
}
