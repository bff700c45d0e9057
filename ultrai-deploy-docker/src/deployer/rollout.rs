//! Bringing the containers of a release: created, started, waited for. Every part is safe to
//! repeat: what is there already is found by its labels and used.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::try_join_all;
use serde_json::json;
use ultrai_deploy_core::{
    Cancel,
    context::Context,
    deployer::Step,
    error::{Error, ErrorKind, Result},
    health::{Endpoint, Role},
    name::ServiceName,
    secret::Secrets,
    waiting::wait_until_healthy,
};

use crate::{
    backend::Backend,
    checks,
    container::endpoints,
    definition::Definition,
    engine::ApiVersion,
    evidence,
    names::Place,
    snapshot::{Container, Snapshot},
};

/// The containers of one release, being brought by one step.
#[derive(Debug)]
pub(super) struct Rollout<'a> {
    pub(super) cx: &'a Context,
    pub(super) backend: &'a Backend,
    pub(super) definition: &'a Definition<'a>,
    pub(super) step: Step,
    pub(super) api: ApiVersion,
    pub(super) secrets: Secrets,
    pub(super) files: BTreeMap<String, PathBuf>,
    instances: Mutex<BTreeMap<(ServiceName, u32), String>>,
}

impl<'a> Rollout<'a> {
    /// Reads what creating containers needs, and which are there already.
    pub(super) async fn new(
        cx: &'a Context,
        backend: &'a Backend,
        definition: &'a Definition<'a>,
        step: Step,
        snapshot: &Snapshot,
    ) -> Result<Self> {
        let release = definition.release;
        let mut files = BTreeMap::new();
        for digest in release.services.values().flat_map(|service| service.files.values()) {
            if let Some(path) = backend.releases.file_path(digest) {
                files.insert(digest.clone(), path);
            }
        }
        let own = snapshot
            .containers
            .values()
            .filter(|one| one.is_made_by(cx.run()) && is_for(one, definition, step));
        let instances =
            own.map(|one| ((one.service.clone(), one.number), one.id.clone())).collect();
        Ok(Self {
            cx,
            backend,
            definition,
            step,
            api: backend.engine.api().await?,
            secrets: backend.secrets(Some(&release.id)).await?,
            files,
            instances: Mutex::new(instances),
        })
    }

    /// Takes containers that stay as they are for those of their services.
    pub(super) fn use_existing<'b>(&self, containers: impl Iterator<Item = &'b Container>) {
        for container in containers {
            self.note(&container.service, container.number, container.id.clone());
        }
    }

    /// The containers of a service: number and id.
    pub(super) fn instances(&self, name: &ServiceName) -> Vec<(u32, String)> {
        let all = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        all.iter()
            .filter(|((of, _), _)| of == name)
            .map(|((_, number), id)| (*number, id.clone()))
            .collect()
    }

    pub(super) fn note(&self, name: &ServiceName, number: u32, id: String) {
        let mut all = self.instances.lock().unwrap_or_else(PoisonError::into_inner);
        all.insert((name.clone(), number), id);
    }

    /// Gives a container the names of its service on all networks. It has no traffic yet, so that
    /// it may lose its connections for a moment.
    pub(super) async fn reveal(&self, stop: &Cancel, name: &ServiceName) -> Result<()> {
        let service = self.definition.service(name)?;
        for (number, id) in self.instances(name) {
            let Some(container) = self.find(&id).await? else { return Err(gone(name, &id)) };
            for (network, endpoint) in endpoints(self.definition, name, service, number, None) {
                check(stop)?;
                let attached = container.networks.get(&network);
                if attached.is_some_and(|attached| attached.has_alias(name.as_str())) {
                    continue;
                }
                let is_attached = attached.is_some();
                let reconnect = async {
                    if is_attached {
                        self.backend.engine.disconnect(&network, &id).await?;
                    }
                    self.backend.engine.connect(&network, &id, endpoint).await
                };
                let detail = json!({ "network": network, "names": "of the service" });
                self.cx.effect("reconnect", &container.name, detail, reconnect).await?;
            }
        }
        Ok(())
    }

    /// Gives the containers of a service the names that they serve under.
    pub(super) async fn rename(&self, stop: &Cancel, name: &ServiceName) -> Result<()> {
        for (number, id) in self.instances(name) {
            let Some(container) = self.find(&id).await? else { return Err(gone(name, &id)) };
            if container.place() == Place::Live {
                continue;
            }
            check(stop)?;
            let live = self.definition.live_name(name, number);
            let rename = self.backend.engine.rename(&id, &live);
            self.cx.effect("rename", &container.name, json!({ "to": live }), rename).await?;
        }
        Ok(())
    }

    /// Starts the containers of a service that were never started. One that has ended stays so: it
    /// failed, or its work is done. Tells whether there was one to start.
    pub(super) async fn start(&self, stop: &Cancel, name: &ServiceName) -> Result<bool> {
        let mut started = false;
        for (_, id) in self.instances(name) {
            let Some(container) = self.find(&id).await? else { return Err(gone(name, &id)) };
            if container.state.started_at.is_empty() && !container.state.running {
                check(stop)?;
                let start = self.backend.engine.start(&id);
                self.cx.effect("start", &container.name, json!({}), start).await?;
                started = true;
            }
        }
        Ok(started)
    }

    /// Waits until the declared check of a service passes on all its containers.
    ///
    /// # Errors
    /// [`ErrorKind::Unhealthy`] with what was seen.
    pub(super) async fn wait(
        &self,
        stop: &Cancel,
        name: &ServiceName,
        role: Role,
        patience: Patience,
    ) -> Result<()> {
        let mut check = checks::of(self.backend, self.definition, name)?;
        if patience == Patience::OnePass {
            check.timing.stability = Duration::ZERO;
        }
        let waits = self.instances(name).into_iter().map(|(_, id)| {
            let check = &check;
            async move {
                let endpoint = Endpoint::new(role, name.clone(), id);
                let result = tokio::select! {
                    result = wait_until_healthy(self.cx, check, &endpoint) => result?,
                    () = stop.cancelled() => return Err(stopped()),
                };
                if result.passed() {
                    return Ok(());
                }
                let seen = evidence::collect(self.backend, &endpoint).await;
                Err(result.into_error(check).with_evidence(seen))
            }
        });
        try_join_all(waits).await.map(|_passed| ())
    }

    /// Fails when a container of a service has ended although it is there to serve.
    pub(super) async fn check_running(&self, name: &ServiceName) -> Result<()> {
        for (_, id) in self.instances(name) {
            let Some(container) = self.find(&id).await? else { return Err(gone(name, &id)) };
            let state = &container.state;
            let done = self.definition.completes(name) && state.exit_code == 0;
            if state.has_exited() && !done {
                let endpoint = Endpoint::new(Role::Live, name.clone(), id);
                let seen = evidence::collect(self.backend, &endpoint).await;
                return Err(Error::new(
                    ErrorKind::Unhealthy,
                    "start the release",
                    format!("{name} ended with exit code {}", state.exit_code),
                )
                .with_evidence(seen));
            }
        }
        Ok(())
    }

    pub(super) async fn find(&self, id: &str) -> Result<Option<Container>> {
        Ok(self.backend.engine.find_container(id).await?.and_then(Container::new))
    }
}

/// How long a check must pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Patience {
    /// As it says.
    Declared,
    /// Once: it has passed for long enough before.
    OnePass,
}

/// Whether a container of this run belongs to what `step` brings.
pub(super) fn is_for(container: &Container, definition: &Definition<'_>, step: Step) -> bool {
    let undone = container.marks.step.as_deref() == Some(Step::Rollback.as_str());
    let sealed = definition.release.services.get(&container.service);
    undone == (step == Step::Rollback)
        && sealed
            .is_some_and(|sealed| container.marks.spec_hash.as_ref() == Some(&sealed.spec_hash))
}

/// Fails when another part of the step has failed, so that no further effect begins.
pub(super) fn check(stop: &Cancel) -> Result<()> {
    if stop.is_cancelled() { Err(stopped()) } else { Ok(()) }
}

/// Lets what is about to go serve for a moment more, so that whoever asks it can notice what took its
/// place.
pub(super) async fn drain(cx: &Context, backend: &Backend, stop: &Cancel) {
    tokio::select! {
        () = tokio::time::sleep(backend.config.drain) => {}
        () = stop.cancelled() => {}
        () = cx.cancel().cancelled() => {}
    }
}

fn stopped() -> Error {
    Error::new(ErrorKind::Cancelled, "go on", "another service has failed")
}

fn gone(name: &ServiceName, id: &str) -> Error {
    Error::new(
        ErrorKind::NotFound,
        "bring the release",
        format!("container {id} of {name} was removed by somebody else"),
    )
}
