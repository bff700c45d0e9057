//! Health of processes.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind, MAX_EVIDENCE},
    health::{Check, Endpoint, Health, HealthProbe, Role, Timing},
    name::ServiceName,
    release::Release,
    verification::{CheckSpec, ProbeSource},
    waiting::wait_until_healthy,
};

use crate::{
    config::Service,
    disk,
    host::{Host, sealed},
    instance::{Instance, Instances},
    ports,
};

/// How long a service without a health check must go on running.
const STABILITY: Duration = Duration::from_secs(1);

/// Looks whether the process runs, and then at what its service declares.
#[derive(Debug)]
struct Probe {
    instances: Instances,
    declared: Option<Arc<dyn HealthProbe>>,
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let Some(instance) = self.instances.get(&endpoint.instance)? else {
            let why = format!("{} is gone", endpoint.instance);
            return Ok(Health::Dead { why, evidence: Vec::new() });
        };
        if !instance.is_up() {
            let evidence = evidence(&self.instances, &instance);
            let why = format!("its process {}", self.instances.status(&instance));
            return Ok(Health::Dead { why, evidence });
        }
        match &self.declared {
            Some(declared) => declared.check(cx, endpoint).await,
            None => Ok(Health::Healthy(vec![status(&self.instances, &instance)])),
        }
    }
}

/// The checks that a release declares.
pub(crate) fn declared(
    instances: &Instances,
    probes: &dyn ProbeSource,
    release: &Release,
) -> Result<Vec<Check>> {
    let checks = release.services.keys().map(|name| check(instances, probes, release, name));
    checks.collect()
}

fn check(
    instances: &Instances,
    probes: &dyn ProbeSource,
    release: &Release,
    name: &ServiceName,
) -> Result<Check> {
    let service = Service::of(name, sealed(release, name)?)?;
    let own = format!("{name} health");
    let (declared, timing) = match service.health {
        None => (None, Timing { stability: STABILITY, ..Timing::default() }),
        Some(health) => {
            let spec = CheckSpec::new(&own, health.probe)
                .of(name.clone())
                .with_timing(health.timing.clone());
            (Some(probes.probe(&spec)?), health.timing)
        }
    };
    let probe = Arc::new(Probe { instances: instances.clone(), declared });
    Ok(Check::new(own, Some(name.clone()), probe, timing))
}

/// Waits until an instance of a service that others need is as it declares; for one that declares
/// nothing, only looks whether it runs.
///
/// # Errors
/// [`ErrorKind::Unhealthy`] with what was last seen.
pub(crate) async fn wait_for(
    cx: &Context,
    host: &Host,
    probes: &dyn ProbeSource,
    release: &Release,
    instance: &Instance,
) -> Result<()> {
    let mut check = check(&host.instances, probes, release, &instance.service)?;
    check.timing.stability = Duration::ZERO;
    let cx = &cx.clone().with_secrets(host.secrets_of(release).await?);
    let result = wait_until_healthy(cx, &check, &endpoint(Role::Staged, instance)).await?;
    if result.passed() {
        return Ok(());
    }
    let why = result.why.unwrap_or_else(|| "it did not get well".to_owned());
    let mut seen = result.evidence;
    seen.extend(evidence(&host.instances, instance));
    let message = format!("{}, which others need: {why}", instance.service);
    Err(Error::new(ErrorKind::Unhealthy, "start what depends on it", message).with_evidence(seen))
}

/// Where probes find an instance.
pub(crate) fn endpoint(role: Role, instance: &Instance) -> Endpoint {
    let endpoint = Endpoint::new(role, instance.service.clone(), &instance.id);
    match instance.port {
        Some(port) => endpoint.with_address(port, ports::address(port)),
        None => endpoint,
    }
}

/// What can be seen of an instance: its state and the end of its log.
pub(crate) fn evidence(instances: &Instances, instance: &Instance) -> Vec<Evidence> {
    let mut seen = vec![status(instances, instance)];
    let log = disk::tail(&instances.log(&instance.id), MAX_EVIDENCE as u64);
    if let Some(log) = log.ok().filter(|log| !log.is_empty()) {
        seen.push(Evidence::new(EvidenceKind::Log, &instance.id, log));
    }
    seen
}

fn status(instances: &Instances, instance: &Instance) -> Evidence {
    Evidence::new(EvidenceKind::Status, &instance.id, instances.status(instance))
}
