//! The named volumes of a release: made when they are missing, never removed.

use std::collections::HashMap;

use bollard::models::VolumeCreateRequest;
use serde_json::json;
use ultrai_deploy_core::{context::Context, deployer::Step, error::Result};

use crate::{
    backend::Backend,
    compose::model::Volume,
    definition::{Definition, Shared},
    labels,
};

/// Creates the volumes of a release that are not there. Idempotent.
pub(crate) async fn ensure(
    cx: &Context,
    backend: &Backend,
    definition: &Definition<'_>,
    step: Step,
) -> Result<()> {
    for (key, volume) in own(&definition.shared) {
        if backend.engine.find_volume(&volume.name).await?.is_none() {
            let request = request(cx, key, volume, step);
            let detail = json!({ "volume": key });
            cx.effect("create volume", &volume.name, detail, backend.engine.create_volume(request))
                .await?;
        }
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
