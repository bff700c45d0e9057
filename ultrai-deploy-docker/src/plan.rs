//! What has to change to get from what runs to a release. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::{
    current::{Current, Running, Serving},
    error::Result,
    name::ServiceName,
    plan::{Action, Change, Plan},
    release::{Release, ReleaseService},
};

use crate::{
    claim::Claim,
    compose::model::{MountKind, Service},
    definition::{self, Definition},
    engine::ApiVersion,
    network, support, volume,
};

/// The plan; `api` is that of the engine, once it is known.
///
/// # Errors
/// [`ErrorKind::Unsupported`](ultrai_deploy_core::ErrorKind::Unsupported) for what the engine
/// cannot carry out.
pub(crate) fn plan(current: &Current, release: &Release, api: Option<ApiVersion>) -> Result<Plan> {
    let definition = Definition::read(release)?;
    if let Some(api) = api {
        for (name, service) in &definition.services {
            support::check_service(name, service, api)?;
        }
        for (key, network) in &definition.shared.networks {
            support::check_network(key, network, api)?;
        }
    }
    let services = changes(current, &definition)?;
    let from = match &current.serving {
        Serving::Release(id) => Some(id.clone()),
        Serving::Unmanaged(found) => Some(found.id.clone()),
        _ => None,
    };
    let resources = if current.services.is_empty() { resources(&definition) } else { Vec::new() };
    let mut plan = Plan {
        from,
        to: release.id.clone(),
        not_undoable: not_undoable(current, &definition, &services),
        services,
        resources,
        unchanged: false,
    };
    plan.unchanged = plan.from.as_ref() == Some(&release.id) && plan.keeps_all_services();
    Ok(plan)
}

fn changes(
    current: &Current,
    definition: &Definition<'_>,
) -> Result<BTreeMap<ServiceName, Change>> {
    let mut changes: BTreeMap<ServiceName, Change> = BTreeMap::new();
    for name in definition.release.in_dependency_order() {
        let service = definition.service(name)?;
        let Some(sealed) = definition.release.services.get(name) else { continue };
        let change = match current.services.get(name) {
            None => Change { action: Action::Create, reason: String::new() },
            Some(running) => {
                let needed: Vec<_> = definition
                    .depends_on(name)
                    .filter_map(|(needed, dependency)| {
                        let action = changes.get(needed)?.action;
                        Some((needed, dependency.restart, action))
                    })
                    .collect();
                let replaced_with = needed.iter().find(|(_, restart, action)| {
                    *restart && matches!(action, Action::StartFirst | Action::StopFirst)
                });
                let why = difference(running, sealed, service).or_else(|| {
                    replaced_with.map(|(needed, ..)| format!("restarts with {needed}"))
                });
                match why {
                    None => Change { action: Action::Keep, reason: String::new() },
                    Some(why) => {
                        let late = needed
                            .iter()
                            .find(|(_, _, action)| *action == Action::StopFirst)
                            .map(|(needed, ..)| format!("it depends on {needed}, which stops"));
                        replace(why, late, definition, name, service, running)
                    }
                }
            }
        };
        changes.insert(name.clone(), change);
    }
    for (name, running) in &current.services {
        changes.entry(name.clone()).or_insert_with(|| {
            let data = running.takes_over.iter().map(|what| format!("; its {what} stays"));
            let reason = format!("not in the compose file any more{}", data.collect::<String>());
            Change { action: Action::Remove, reason }
        });
    }
    Ok(changes)
}

/// Why a service cannot be kept as it runs.
fn difference(running: &Running, sealed: &ReleaseService, service: &Service) -> Option<String> {
    let count = usize::try_from(service.replicas()).unwrap_or(usize::MAX);
    match &running.spec_hash {
        None => Some("started by others".to_owned()),
        Some(hash) if *hash == sealed.spec_hash => {
            if !running.up {
                Some(format!("not up ({})", running.status))
            } else if running.instances.len() != count {
                Some(format!("{} of {count} containers", running.instances.len()))
            } else {
                None
            }
        }
        Some(_) => {
            let image = running.image.as_ref().map(|image| &image.id);
            let same = image == sealed.image.as_ref().map(|image| &image.id);
            Some(if same { "changed" } else { "new image" }.to_owned())
        }
    }
}

fn replace(
    why: String,
    late: Option<String>,
    definition: &Definition<'_>,
    name: &ServiceName,
    service: &Service,
    running: &Running,
) -> Change {
    let stops = late.or_else(|| {
        if definition.completes(name) {
            // Its old container has ended, so there is nothing that it could run beside.
            return None;
        }
        if !running.up {
            return Some("the old one is down".to_owned());
        }
        definition::only_once(service, &definition.shared)
            .or_else(|| running.takes_over.first().map(|what| format!("it takes over its {what}")))
    });
    match stops {
        None => Change { action: Action::StartFirst, reason: why },
        Some(stops) => Change { action: Action::StopFirst, reason: format!("{why}; {stops}") },
    }
}

/// The services that can be started before anything stops, in dependency order: what they depend
/// on is kept or staged itself, and nothing reaches them from outside.
pub(crate) fn staged(plan: &Plan, definition: &Definition<'_>) -> Vec<ServiceName> {
    let mut ready = BTreeSet::new();
    let mut staged = Vec::new();
    for name in definition.release.in_dependency_order() {
        let Some(change) = plan.services.get(name) else { continue };
        let can = definition.depends_on(name).all(|(needed, _)| ready.contains(needed));
        match change.action {
            Action::Keep => {
                ready.insert(name);
            }
            Action::Create | Action::StartFirst if can && !has_host_port(definition, name) => {
                ready.insert(name);
                staged.push(name.clone());
            }
            _ => {}
        }
    }
    staged
}

fn has_host_port(definition: &Definition<'_>, name: &ServiceName) -> bool {
    definition.claims(name).iter().any(|claim| matches!(claim, Claim::Port { .. }))
}

fn resources(definition: &Definition<'_>) -> Vec<String> {
    let networks = network::own(&definition.shared).map(|(_, one)| format!("network {}", one.name));
    let volumes = volume::own(&definition.shared).map(|(_, one)| format!("volume {}", one.name));
    networks.chain(volumes).collect()
}

fn not_undoable(
    current: &Current,
    definition: &Definition<'_>,
    changes: &BTreeMap<ServiceName, Change>,
) -> Vec<String> {
    let mut lost = BTreeSet::new();
    for (name, service) in &definition.services {
        if changes.get(*name).is_none_or(|change| change.action == Action::Keep) {
            continue;
        }
        for mount in service.volumes.iter().filter(|mount| !mount.read_only) {
            match (mount.kind, &mount.source) {
                (MountKind::Volume, Some(key)) => {
                    let volume = definition.shared.volumes.get(key);
                    let volume = volume.map_or(key, |volume| &volume.name);
                    lost.insert(format!("what {name} writes to volume {volume}"));
                }
                (MountKind::Bind, Some(source)) => {
                    lost.insert(format!("what {name} writes to {source}"));
                }
                _ => {}
            }
        }
        for taken in current.services.get(*name).iter().flat_map(|running| &running.takes_over) {
            lost.insert(format!("what {name} writes to its {taken}"));
        }
        if definition.completes(name) {
            lost.insert(format!("what {name} does when it runs"));
        }
    }
    lost.into_iter().collect()
}

#[cfg(test)]
mod tests;
