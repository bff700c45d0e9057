//! What the platform itself says of a service.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Check, Endpoint, Health, HealthProbe, Timing},
    release::Release,
};

use crate::{
    definition,
    platform::{Artifact, Platform, Status},
};

/// For each service, that its slot serves what the release has for it.
pub(crate) fn checks(platform: &Arc<dyn Platform>, release: &Release) -> Result<Vec<Check>> {
    let checks = release.services.iter().map(|(name, service)| {
        let wanted = definition::artifact(name, service)?;
        let deadline = Some(Duration::from_mins(1));
        let probe = Arc::new(Serves { platform: Arc::clone(platform), wanted });
        let timing = Timing { deadline, ..Timing::default() };
        Ok(Check::new(format!("{name} serves"), Some(name.clone()), probe, timing))
    });
    checks.collect()
}

#[derive(Debug)]
struct Serves {
    platform: Arc<dyn Platform>,
    wanted: Artifact,
}

#[async_trait]
impl HealthProbe for Serves {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let slot = self.platform.find(cx, &endpoint.instance).await?;
        let seen = self.platform.look(cx, &slot).await?;
        let evidence = |text: String| vec![Evidence::new(EvidenceKind::Status, &slot.name, text)];
        let Some(live) = seen.live() else {
            let newest = seen.deploys.first().map(|deploy| &deploy.status);
            let why = match newest {
                _ if seen.is_suspended => "it is suspended".to_owned(),
                Some(Status::UnderWay(word) | Status::Failed(word)) => {
                    format!("its deploy is {word}")
                }
                _ => "nothing serves".to_owned(),
            };
            let evidence = evidence(why.clone());
            return Ok(Health::Unhealthy { why, evidence });
        };
        let runs = live.artifact.as_ref();
        if runs.is_none() || seen.serves(&self.wanted) {
            return Ok(Health::Healthy(evidence(format!(
                "deploy {} serves {}",
                live.id, self.wanted
            ))));
        }
        let runs = runs.map_or_else(|| "something else".to_owned(), Artifact::to_string);
        let why = format!("{runs} serves instead of {}", self.wanted);
        let evidence = evidence(why.clone());
        Ok(Health::Unhealthy { why, evidence })
    }
}
