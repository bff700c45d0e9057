//! A lease that misbehaves.

use async_trait::async_trait;
use ultrai_deploy_core::{
    Result,
    lease::{Fence, Holder, Lease, Wait},
    name::Target,
};

use super::{Faulty, Method};

#[async_trait]
#[deny(clippy::missing_trait_methods)]
impl<L: Lease + ?Sized> Lease for Faulty<L> {
    async fn acquire(&self, target: &Target, holder: &Holder, wait: Wait) -> Result<Fence> {
        self.ask(Method::Acquire, self.inner.acquire(target, holder, wait)).await
    }

    async fn renew(&self, target: &Target, fence: Fence) -> Result<()> {
        self.act(Method::Renew, self.inner.renew(target, fence)).await
    }

    async fn release(&self, target: &Target, fence: Fence) -> Result<()> {
        self.act(Method::Release, self.inner.release(target, fence)).await
    }

    async fn holder(&self, target: &Target) -> Result<Option<Holder>> {
        self.ask(Method::Holder, self.inner.holder(target)).await
    }
}
