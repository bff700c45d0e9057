//! What a deploy changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::{
    Result,
    current::{Current, Serving},
    name::ServiceName,
    plan::{Action, Change, Plan},
    release::Release,
};

use crate::{
    config::{Port, Service},
    ports,
};

pub(crate) fn plan(current: &Current, release: &Release) -> Result<Plan> {
    let mut services = BTreeMap::new();
    // What cannot run before something of the old release has stopped.
    let mut late = BTreeSet::new();
    for name in release.in_dependency_order() {
        let Some(sealed) = release.services.get(name) else { continue };
        let service = Service::of(name, sealed)?;
        let running = current.services.get(name);
        let same = running.is_some_and(|one| one.spec_hash.as_ref() == Some(&sealed.spec_hash));
        let waits = sealed.depends_on.iter().any(|needed| late.contains(needed));
        let taken = match service.port {
            Port::Fixed(port) => holder(current, port).filter(|holder| *holder != name),
            _ => None,
        };
        let (action, reason) = match running {
            None => match taken {
                Some(holder) => (Action::StopFirst, format!("takes over the port of {holder}")),
                None => (Action::Create, String::new()),
            },
            Some(running) if same && running.up => (Action::Keep, String::new()),
            Some(running) => {
                let what = if same {
                    format!("it is not up: {}", running.status)
                } else {
                    "changed".into()
                };
                match service.port {
                    Port::Auto if !waits => (Action::StartFirst, what),
                    Port::Auto => (Action::StopFirst, format!("{what}; it waits for another")),
                    Port::Fixed(port) => (Action::StopFirst, format!("{what}; fixed port {port}")),
                    Port::None => (Action::StopFirst, what),
                }
            }
        };
        if action == Action::StopFirst || (action == Action::Create && waits) {
            late.insert(name);
        }
        services.insert(name.clone(), Change { action, reason });
    }
    for name in current.services.keys().filter(|name| !release.services.contains_key(*name)) {
        let change = Change { action: Action::Remove, reason: String::new() };
        services.insert(name.clone(), change);
    }
    let from = match &current.serving {
        Serving::Release(id) => Some(id.clone()),
        Serving::Unmanaged(found) => Some(found.id.clone()),
        _ => None,
    };
    let unchanged = from.as_ref() == Some(&release.id)
        && services.values().all(|change| change.action == Action::Keep);
    Ok(Plan {
        from,
        to: release.id.clone(),
        services,
        resources: Vec::new(),
        not_undoable: Vec::new(),
        unchanged,
    })
}

/// The service that has a port now.
fn holder(current: &Current, port: u16) -> Option<&ServiceName> {
    let address = ports::address(port).to_string();
    let mut running = current.services.iter();
    running.find(|(_, one)| one.up && one.addresses.contains(&address)).map(|(name, _)| name)
}

/// The services that are started beside the old release, in dependency order: new ones and those
/// with a port of their own, as long as all that they depend on runs by then.
pub(crate) fn staged<'a>(plan: &Plan, release: &'a Release) -> Vec<&'a ServiceName> {
    let mut ready = BTreeSet::new();
    let mut staged = Vec::new();
    for name in release.in_dependency_order() {
        let Some(sealed) = release.services.get(name) else { continue };
        let can = sealed
            .depends_on
            .iter()
            .all(|needed| ready.contains(needed) || !release.services.contains_key(needed));
        match plan.services.get(name).map(|change| change.action) {
            Some(Action::Keep) => {
                ready.insert(name);
            }
            Some(Action::Create | Action::StartFirst) if can => {
                ready.insert(name);
                staged.push(name);
            }
            _ => {}
        }
    }
    staged
}
