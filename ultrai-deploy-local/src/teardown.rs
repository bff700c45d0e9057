//! Ending an environment, for those who bring one up for a while only: demonstrations, tests.

use ultrai_deploy_core::{Context, Result};

use crate::deployer::Deployer;

impl Deployer {
    /// Stops whatever serves, each process with its own grace period. The releases stay stored,
    /// so that a later deploy or rollback can bring them up again. Idempotent.
    ///
    /// # Errors
    /// When a process cannot be stopped or the state cannot be read.
    pub async fn stop_all(&self, cx: &Context) -> Result<()> {
        for (service, instance) in self.host.live()? {
            cx.effect("stop", &instance.id, serde_json::json!({}), async {
                self.host.unpublish(&service).await?;
                self.host.stop(&instance.id).await
            })
            .await?;
        }
        Ok(())
    }
}
