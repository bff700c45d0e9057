//! The networks of a release: made when they are missing, removed only by the run that made them.

use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest};
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{
    context::Context,
    deployer::{Step, Work},
    error::{Error, ErrorKind, Result},
    name::RunId,
};

use crate::{
    backend::Backend,
    compose::{
        model::{self, Network},
        network_hash,
    },
    definition::{Definition, Shared},
    drift, labels,
};

/// How long containers that are gone may hold a network.
const SETTLE: Duration = Duration::from_secs(3);
/// Pause between attempts to remove it.
const PAUSE: Duration = Duration::from_millis(100);

/// Refuses what exists and is another network than the release describes.
///
/// # Errors
/// [`ErrorKind::Conflict`] for the first one.
pub(crate) async fn check(backend: &Backend, shared: &Shared) -> Result<()> {
    for (key, network) in own(shared) {
        if let Some(found) = backend.engine.find_network(&network.name).await? {
            drift::check_network(key, network, &found.labels.unwrap_or_default())?;
        }
    }
    Ok(())
}

/// Creates the networks of a release that are not there. Idempotent.
///
/// # Errors
/// As [`check`], but for a release that comes back: that takes what is there.
pub(crate) async fn ensure(
    cx: &Context,
    backend: &Backend,
    definition: &Definition<'_>,
    step: Step,
) -> Result<()> {
    for (key, network) in own(&definition.shared) {
        let found = backend.engine.find_network(&network.name).await?;
        if let Some(found) = found {
            if step != Step::Rollback {
                drift::check_network(key, network, &found.labels.unwrap_or_default())?;
            }
            continue;
        }
        let request = request(cx, key, network, step);
        let detail = json!({ "network": key });
        let create = backend.engine.create_network(request);
        cx.effect("create network", &network.name, detail, create).await?;
    }
    Ok(())
}

/// Removes the networks that this run has created. One that others use by now stays. Idempotent.
pub(crate) async fn remove_created(cx: &Context, backend: &Backend, work: &Work<'_>) -> Result<()> {
    let runs: BTreeSet<_> =
        work.inherited.iter().map(|one| &one.run).chain([cx.run()]).cloned().collect();
    for run in runs {
        remove_created_by(cx, backend, &run).await?;
    }
    Ok(())
}

async fn remove_created_by(cx: &Context, backend: &Backend, run: &RunId) -> Result<()> {
    let wanted = [
        labels::filter(labels::PROJECT, cx.target().project.as_str()),
        labels::filter(labels::RUN, run.as_str()),
    ];
    for network in backend.engine.networks(&wanted).await? {
        let step = network.labels.as_ref().and_then(|labels| labels.get(labels::STEP));
        // The release that came back stands on it.
        if step.is_some_and(|step| step == Step::Rollback.as_str()) {
            continue;
        }
        let Some(name) = network.name else { continue };
        let id = network.id.unwrap_or_else(|| name.clone());
        let remove = remove_when_free(backend, &id);
        match cx.effect("remove network", &name, json!({}), remove).await {
            Err(error) if is_in_use(&error) => {
                let why = in_use_by(backend, &id).await?;
                cx.note(&format!("network {name} stays: {why}")).await?;
            }
            result => result?,
        }
    }
    Ok(())
}

/// The engine still counts a container as connected for a moment after it is gone.
async fn remove_when_free(backend: &Backend, id: &str) -> Result<()> {
    let give_up = Instant::now() + SETTLE;
    loop {
        match backend.engine.remove_network(id).await {
            Err(error) if is_in_use(&error) && Instant::now() < give_up => {
                tokio::time::sleep(PAUSE).await;
            }
            ended => return ended,
        }
    }
}

/// Why a network cannot be removed though all containers of ours are gone.
async fn in_use_by(backend: &Backend, id: &str) -> Result<String> {
    let network = backend.engine.find_network(id).await?;
    let containers = network.and_then(|network| network.containers).unwrap_or_default();
    if containers.is_empty() {
        // Engine 20.10 may miscount when containers come and go at the same time.
        let why = "the engine counts connections of containers that are gone; after its next \
                   restart `docker network rm` removes it";
        return Ok(why.to_owned());
    }
    let names: BTreeSet<_> = containers.into_values().filter_map(|one| one.name).collect();
    let names: Vec<_> = names.into_iter().collect();
    Ok(format!("other containers use it: {}", names.join(", ")))
}

/// The engine refuses with the one or the other while containers are connected.
fn is_in_use(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Denied | ErrorKind::Conflict)
}

/// The labels of the compose file that existing networks do not have.
pub(crate) async fn missing_labels(backend: &Backend, shared: &Shared) -> Result<Vec<String>> {
    let mut missing = Vec::new();
    for (_, network) in own(shared).filter(|(_, network)| !network.labels.is_empty()) {
        let found = backend.engine.find_network(&network.name).await?;
        let Some(found) = found.map(|found| found.labels.unwrap_or_default()) else { continue };
        for label in drift::missing_labels(&network.labels, &found) {
            missing.push(format!("{label} of network {}", network.name));
        }
    }
    Ok(missing)
}

/// The networks that a release creates where they are missing.
pub(crate) fn own(shared: &Shared) -> impl Iterator<Item = (&String, &Network)> {
    shared.networks.iter().filter(|(_, network)| !network.external)
}

fn request(cx: &Context, key: &str, network: &Network, step: Step) -> NetworkCreateRequest {
    let mut all: HashMap<_, _> =
        network.labels.iter().map(|(label, value)| (label.clone(), value.clone())).collect();
    all.extend([
        (labels::PROJECT.to_owned(), cx.target().project.to_string()),
        (labels::NETWORK.to_owned(), key.to_owned()),
        (labels::VERSION.to_owned(), labels::COMPOSE_VERSION.to_owned()),
        (labels::CONFIG_HASH.to_owned(), network_hash(network)),
        (labels::DEFINITION_HASH.to_owned(), drift::of_network(network)),
    ]);
    all.extend(labels::of_run(cx.key(), cx.target().environment.as_str(), step));
    let options: HashMap<_, _> = network.driver_opts.clone().into_iter().collect();
    NetworkCreateRequest {
        name: network.name.clone(),
        driver: network.driver.clone(),
        internal: network.internal.then_some(true),
        attachable: network.attachable.then_some(true),
        enable_ipv4: network.enable_ipv4,
        enable_ipv6: network.enable_ipv6,
        ipam: network.ipam.as_ref().map(ipam),
        options: (!options.is_empty()).then_some(options),
        labels: Some(all),
        ..NetworkCreateRequest::default()
    }
}

fn ipam(ipam: &model::Ipam) -> Ipam {
    let config = ipam.config.iter().map(|pool| IpamConfig {
        subnet: pool.subnet.clone(),
        ip_range: pool.ip_range.clone(),
        gateway: pool.gateway.clone(),
        auxiliary_addresses: (!pool.aux_addresses.is_empty())
            .then(|| pool.aux_addresses.clone().into_iter().collect()),
    });
    Ipam {
        driver: ipam.driver.clone(),
        config: (!ipam.config.is_empty()).then(|| config.collect()),
        options: (!ipam.options.is_empty()).then(|| ipam.options.clone().into_iter().collect()),
    }
}
