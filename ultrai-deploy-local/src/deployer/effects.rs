//! The single effects that steps are made of, each done only where it is still to be done.

use std::cmp::Reverse;

use serde_json::json;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result, deployer::Step, name::ServiceName, release::Release,
};

use super::Deployer;
use crate::{
    config::{Port, Service},
    host::sealed,
    instance::Instance,
    probe,
};

impl Deployer {
    /// Has this run's instance of a service running, made if it is not there.
    pub(super) async fn bring(
        &self,
        cx: &Context,
        step: Step,
        release: &Release,
        name: &ServiceName,
    ) -> Result<Instance> {
        let id = Instance::id_of(cx, Some(step), name);
        let definition = self.host.definition(release, name).await?;
        match self.host.instances.get(&id)? {
            Some(there) if there.is_up() && there.started_at().is_some() => Ok(there),
            _ => {
                let detail = json!({ "instance": id, "release": release.id });
                let work = self.host.create(cx, Some(step), definition);
                self.effect(cx, "start", name, detail, work).await
            }
        }
    }

    /// Starts an instance that was stopped or has ended.
    pub(super) async fn start_again(
        &self,
        cx: &Context,
        release: &Release,
        instance: Instance,
    ) -> Result<Instance> {
        if instance.is_up() {
            return Ok(instance);
        }
        let name = instance.service.clone();
        let definition = self.host.definition(release, &name).await?;
        let detail = json!({ "instance": instance.id });
        let work = self.host.start(instance, definition);
        self.effect(cx, "start again", &name, detail, work).await
    }

    /// One effect whose output is an instance, which the journal does not need.
    async fn effect(
        &self,
        cx: &Context,
        action: &str,
        name: &ServiceName,
        detail: serde_json::Value,
        work: impl Future<Output = Result<Instance>>,
    ) -> Result<Instance> {
        let mut made = None;
        cx.effect(action, name.as_str(), detail, async {
            made = Some(work.await?);
            Ok(())
        })
        .await?;
        made.ok_or_else(|| Error::new(ErrorKind::Unexpected, "start a process", "no instance"))
    }

    pub(super) async fn publish(&self, cx: &Context, instance: &Instance) -> Result<()> {
        let service = &instance.service;
        let ports = self.host.traffic.read()?;
        let published = ports.0.get(service);
        if published.is_some_and(|one| one.instance == instance.id && one.port == instance.port) {
            return Ok(());
        }
        let detail = json!({ "port": instance.port });
        cx.effect("give traffic", &instance.id, detail, self.host.publish(instance)).await
    }

    pub(super) async fn unpublish(
        &self,
        cx: &Context,
        service: &ServiceName,
        id: &str,
    ) -> Result<()> {
        if self.host.traffic.read()?.instance(service) != Some(id) {
            return Ok(());
        }
        cx.effect("take traffic", id, json!({}), self.host.unpublish(service)).await
    }

    pub(super) async fn stop(&self, cx: &Context, id: &str) -> Result<()> {
        match self.host.instances.get(id)? {
            Some(instance) if instance.is_up() => {
                cx.effect("stop", id, json!({}), self.host.stop(id)).await
            }
            _ => Ok(()),
        }
    }

    pub(super) async fn remove(&self, cx: &Context, id: &str) -> Result<()> {
        cx.effect("remove", id, json!({}), self.host.remove(id)).await
    }

    /// Stops what else holds a fixed port: an old process of a service that is replaced later or
    /// removed.
    pub(super) async fn free_port(
        &self,
        cx: &Context,
        release: &Release,
        name: &ServiceName,
    ) -> Result<()> {
        let Port::Fixed(port) = Service::of(name, sealed(release, name)?)?.port else {
            return Ok(());
        };
        for instance in self.host.instances.all()? {
            if instance.port == Some(port) && !instance.is_brought_by(cx.run()) {
                self.stop(cx, &instance.id).await?;
            }
        }
        Ok(())
    }

    /// Waits for what a service needs, so that it finds it when it starts.
    pub(super) async fn wait_for_needed(
        &self,
        cx: &Context,
        release: &Release,
        name: &ServiceName,
    ) -> Result<()> {
        for needed in &sealed(release, name)?.depends_on {
            let Some(wanted) = release.services.get(needed) else { continue };
            let mut there = self.host.instances.all()?;
            there.retain(|one| {
                one.service == *needed && one.spec_hash == wanted.spec_hash && one.is_up()
            });
            // What this run brought counts more than what still has the traffic.
            there.sort_by_key(|one| Reverse(one.is_brought_by(cx.run())));
            let Some(instance) = there.first() else {
                let message = format!("{needed}, which {name} needs, does not run");
                return Err(Error::new(ErrorKind::Unhealthy, "start a process", message));
            };
            probe::wait_for(cx, &self.host, self.probes.as_ref(), release, instance).await?;
        }
        Ok(())
    }

    pub(super) async fn serve(&self, cx: &Context, release: Option<&Release>) -> Result<()> {
        let id = release.map(|release| &release.id);
        if self.host.releases.current().await?.as_ref() == id {
            return Ok(());
        }
        let object = id.map_or("nothing", |id| id.as_str());
        cx.effect("make current", object, json!({}), async {
            if let Some(id) = id {
                for (service, instance) in self.host.live()? {
                    self.host.link(id, &service, &instance.id)?;
                }
            }
            self.host.releases.set_current(id).await
        })
        .await
    }
}
