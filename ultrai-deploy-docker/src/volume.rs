//! The named volumes of a release: made when they are missing, never removed.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use serde_json::json;
use ultrai_deploy_core::{context::Context, deployer::Step, error::Result};

use crate::{
    backend::Backend,
    compose::{model::Volume, volume_hash},
    definition::{Definition, Shared},
    drift, labels,
};

/// Refuses what exists and is another volume than the release describes.
///
/// # Errors
/// [`ErrorKind::Conflict`](ultrai_deploy_core::ErrorKind::Conflict) for the first one.
pub(crate) async fn check(backend: &Backend, shared: &Shared) -> Result<()> {
    for (key, volume) in own(shared) {
        if let Some(found) = backend.engine.find_volume(&volume.name).await? {
            drift::check_volume(key, volume, &found.labels)?;
        }
    }
    Ok(())
}

/// Creates the volumes of a release that are not there. Idempotent.
///
/// # Errors
/// As [`check`], but for a release that comes back: that takes what is there.
pub(crate) async fn ensure(
    cx: &Context,
    backend: &Backend,
    definition: &Definition<'_>,
    step: Step,
) -> Result<()> {
    for (key, volume) in own(&definition.shared) {
        let found = backend.engine.find_volume(&volume.name).await?;
        if let Some(found) = found {
            if step != Step::Rollback {
                drift::check_volume(key, volume, &found.labels)?;
            }
            continue;
        }
        let request = request(cx, key, volume, step);
        let detail = json!({ "volume": key });
        cx.effect("create volume", &volume.name, detail, backend.engine.create_volume(request))
            .await?;
    }
    Ok(())
}

/// The names of the volumes that this run has created; a rollback leaves them.
pub(crate) async fn created(cx: &Context, backend: &Backend) -> Result<Vec<String>> {
    let wanted = [
        labels::filter(labels::PROJECT, cx.target().project.as_str()),
        labels::filter(labels::RUN, cx.run().as_str()),
    ];
    let mut names: Vec<_> =
        backend.engine.volumes(&wanted).await?.into_iter().map(|volume| volume.name).collect();
    names.sort();
    Ok(names)
}

/// The labels of the compose file that existing volumes do not have.
pub(crate) async fn missing_labels(backend: &Backend, shared: &Shared) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for (_, volume) in own(shared).filter(|(_, volume)| !volume.labels.is_empty()) {
        let Some(found) = backend.engine.find_volume(&volume.name).await? else { continue };
        for label in drift::missing_labels(&volume.labels, &found.labels) {
            missing.push(format!("{label} of volume {}", volume.name));
        }
    }
    Ok(missing)
}

/// The volumes that a release creates where they are missing.
pub(crate) fn own(shared: &Shared) -> impl Iterator<Item = (&String, &Volume)> {
    shared.volumes.iter().filter(|(_, volume)| !volume.external)
}

fn request(cx: &Context, key: &str, volume: &Volume, step: Step) -> VolumeCreateRequest {
    let mut all: HashMap<_, _> =
        volume.labels.iter().map(|(label, value)| (label.clone(), value.clone())).collect();
    all.extend([
        (labels::PROJECT.to_owned(), cx.target().project.to_string()),
        (labels::VOLUME.to_owned(), key.to_owned()),
        (labels::VERSION.to_owned(), labels::COMPOSE_VERSION.to_owned()),
        (labels::CONFIG_HASH.to_owned(), volume_hash(volume)),
        (labels::DEFINITION_HASH.to_owned(), drift::of_volume(volume)),
    ]);
    all.extend(labels::of_run(cx.key(), cx.target().environment.as_str(), step));
    let options: HashMap<_, _> = volume.driver_opts.clone().into_iter().collect();
    VolumeCreateRequest {
        name: Some(volume.name.clone()),
        driver: volume.driver.clone(),
        driver_opts: (!options.is_empty()).then_some(options),
        labels: Some(all),
        ..VolumeCreateRequest::default()
    }
}
