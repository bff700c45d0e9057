//! The checklist of deploy.toml, as items of a pipeline.

use std::sync::Arc;

use ultrai_deploy_core::{
    Result,
    pipeline::PipelineBuilder,
    preflight::{BackupCheck, PreflightCheck},
    secret::SecretSource,
    spec::ReleaseSpec,
    verification::When,
};
use ultrai_deploy_docker::{
    Engine,
    checklist::{ClockCheck, EngineCheck, RegistryCheck},
    registry::Registries,
};
use ultrai_deploy_http::{Client, Config, prometheus::Ping, spec::ProbeSpec};

use super::{Home, Plan};
use crate::config::preflight::Look;

impl Plan<'_> {
    /// Adds what every backend has.
    ///
    /// # Errors
    /// When the HTTP library refuses its settings.
    pub(super) fn checklist(
        &self,
        state: &Home,
        secrets: &Arc<dyn SecretSource>,
        mut builder: PipelineBuilder,
    ) -> Result<PipelineBuilder> {
        for item in &self.config.preflight {
            let check: Arc<dyn PreflightCheck> = match &item.what {
                Look::Disk(disk) => Arc::new(disk.clone()),
                Look::Memory(memory) => Arc::new(memory.clone()),
                Look::Command(command) => Arc::new(command.clone()),
                Look::Clock(clock) => clock.clone().with_client(Client::new(Config::default())?),
                Look::Backup(max_age) => {
                    let (store, target) = (Arc::clone(&state.backups), state.target.clone());
                    Arc::new(BackupCheck::new(store, target, *max_age))
                }
                Look::Docker(_) | Look::EngineClock(_) | Look::Registry(_) => continue,
            };
            builder = builder.preflight(check, item.severity);
        }
        self.monitoring(secrets, builder)
    }

    /// Adds that every Prometheus which a check will ask is there and understands its query: found out
    /// after the switch, that would take a good release back.
    fn monitoring(
        &self,
        secrets: &Arc<dyn SecretSource>,
        mut builder: PipelineBuilder,
    ) -> Result<PipelineBuilder> {
        let Some(version) = &self.version else { return Ok(builder) };
        for check in self.config.verification(&self.environment, version)?.checks {
            if check.when == When::Preflight {
                continue;
            }
            let ProbeSpec::Prometheus(spec) = (match check.probe.get("prometheus") {
                Some(_) => ProbeSpec::of(&check)?,
                None => continue,
            }) else {
                continue;
            };
            let client = Client::new(Config::default())?;
            let ping = Ping::new(&check.name, *spec, client, Some(Arc::clone(secrets)))?;
            builder = builder.preflight(Arc::new(ping), check.consequences.severity);
        }
        Ok(builder)
    }

    /// Adds what is asked of an engine.
    pub(super) fn checklist_of_engine(
        &self,
        engine: &Engine,
        registries: &Registries,
        spec: Option<&ReleaseSpec>,
        mut builder: PipelineBuilder,
    ) -> Result<PipelineBuilder> {
        for item in &self.config.preflight {
            let engine = engine.clone();
            let check: Arc<dyn PreflightCheck> = match &item.what {
                Look::Docker(asked) => {
                    let mut check = EngineCheck::new(engine, asked.clone());
                    if let Some(spec) = spec {
                        check = check.with_release(spec)?;
                    }
                    Arc::new(check)
                }
                Look::EngineClock(asked) => Arc::new(ClockCheck::new(engine, asked.clone())),
                Look::Registry(asked) => {
                    Arc::new(RegistryCheck::new(engine, registries.clone(), asked.clone())?)
                }
                _ => continue,
            };
            builder = builder.preflight(check, item.severity);
        }
        Ok(builder)
    }
}
