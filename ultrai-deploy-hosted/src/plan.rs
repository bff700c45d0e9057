//! What has to change. Pure.

use std::collections::BTreeMap;

use ultrai_deploy_core::{
    current::{Current, Serving},
    plan::{Action, Change, Plan},
    release::Release,
};

pub(crate) fn plan(current: &Current, release: &Release) -> Plan {
    let mut services = BTreeMap::new();
    for (name, service) in &release.services {
        let (action, reason) = match current.services.get(name) {
            None => (Action::Create, ""),
            Some(running) if running.spec_hash.as_ref() == Some(&service.spec_hash) => {
                (Action::Keep, "")
            }
            Some(running) => {
                let is_exclusive = !running.takes_over.is_empty();
                let action = if is_exclusive { Action::StopFirst } else { Action::StartFirst };
                let is_ours = running.spec_hash.is_some();
                (action, if is_ours { "changed" } else { "deployed by others" })
            }
        };
        services.insert(name.clone(), Change { action, reason: reason.to_owned() });
    }
    for name in current.services.keys().filter(|name| !release.services.contains_key(*name)) {
        services.insert(
            name.clone(),
            Change { action: Action::Remove, reason: "suspended".to_owned() },
        );
    }
    let from = match &current.serving {
        Serving::Release(id) => Some(id.clone()),
        Serving::Unmanaged(found) => Some(found.id.clone()),
        _ => None,
    };
    let mut plan = Plan {
        from,
        to: release.id.clone(),
        services,
        resources: Vec::new(),
        not_undoable: Vec::new(),
        unchanged: false,
    };
    plan.unchanged = plan.from.as_ref() == Some(&plan.to) && plan.keeps_all_services();
    plan
}
