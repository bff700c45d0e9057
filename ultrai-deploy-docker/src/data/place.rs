//! Where a project's data are: its containers and volumes on the engine.

use std::collections::BTreeSet;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
    name::ServiceName,
};

use crate::{
    backend::Backend,
    definition, labels, names,
    snapshot::{Container, Snapshot},
};

/// A container that has a volume mounted.
#[derive(Clone, Debug)]
pub(super) struct Mounted {
    pub(super) id: String,
    pub(super) name: String,
    /// Of this project.
    pub(super) is_own: bool,
    pub(super) is_running: bool,
    pub(super) writes: bool,
    pub(super) image: String,
}

/// The container of a service that serves; one that runs before one that does not.
pub(super) async fn container(
    cx: &Context,
    backend: &Backend,
    service: &ServiceName,
) -> Result<Option<Container>> {
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    crate::current::refuse_foreign(cx, &snapshot)?;
    let of_service = snapshot.live().filter(|one| one.service == *service);
    Ok(of_service.min_by_key(|one| (!one.state.is_up(), one.number)).cloned())
}

/// The name of a volume on the engine; nothing when it is not there.
///
/// # Errors
/// [`ErrorKind::Invalid`] when the project knows no volume of this key.
pub(super) async fn volume(cx: &Context, backend: &Backend, key: &str) -> Result<Option<String>> {
    let project = labels::filter(labels::PROJECT, cx.target().project.as_str());
    let own = labels::filter(labels::VOLUME, key);
    if let [found] = backend.engine.volumes(&[project, own]).await?.as_slice() {
        return Ok(Some(found.name.clone()));
    }
    let Some(current) = backend.releases.current().await? else { return Ok(None) };
    let release = backend.releases.get(&current).await?;
    let shared = definition::read_shared(&release.resources)?;
    let Some(declared) = shared.volumes.get(key) else {
        let known: Vec<_> = shared.volumes.keys().map(String::as_str).collect();
        let message = format!("release {current} has no volume {}", key.escape_default());
        return Err(Error::new(ErrorKind::Invalid, "find a volume", message)
            .with_advice(format!("name one of: {}", known.join(", ")))
            .without_effect());
    };
    Ok(backend.engine.find_volume(&declared.name).await?.map(|found| found.name))
}

/// The containers that have a volume mounted, running or not, helpers left out.
pub(super) async fn mounted(cx: &Context, backend: &Backend, volume: &str) -> Result<Vec<Mounted>> {
    let all = backend.engine.containers(&[]).await?;
    Ok(all.into_iter().filter_map(|one| mounted_by(cx, one, volume)).collect())
}

fn mounted_by(cx: &Context, one: ContainerSummary, volume: &str) -> Option<Mounted> {
    let labels = one.labels.unwrap_or_default();
    if labels.contains_key(super::PART) {
        return None;
    }
    let mount = one.mounts.unwrap_or_default().into_iter().find(|mount| {
        mount.typ.as_deref() == Some("volume") && mount.name.as_deref() == Some(volume)
    })?;
    let project = labels.get(labels::PROJECT).map(String::as_str);
    let name = one.names.unwrap_or_default().into_iter().next().unwrap_or_default();
    Some(Mounted {
        id: one.id?,
        name: names::plain(&name).to_owned(),
        is_own: project == Some(cx.target().project.as_str()),
        is_running: matches!(
            one.state,
            Some(
                ContainerSummaryStateEnum::RUNNING
                    | ContainerSummaryStateEnum::RESTARTING
                    | ContainerSummaryStateEnum::PAUSED
            )
        ),
        writes: mount.rw.unwrap_or(true),
        image: one.image_id?,
    })
}

/// The ids of the images of a project's containers that serve.
pub(super) async fn images(cx: &Context, backend: &Backend) -> Result<BTreeSet<String>> {
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    Ok(snapshot.live().map(|one| one.image.id.clone()).collect())
}
