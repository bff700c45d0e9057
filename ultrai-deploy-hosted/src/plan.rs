//! What has to change. Pure.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::{
    Result,
    current::{Current, Running, Serving},
    name::ServiceName,
    plan::{Action, Change, Plan},
    release::Release,
};

use crate::{definition::Definition, kept::Kind, platform::Setting};

pub(crate) fn plan(current: &Current, release: &Release) -> Result<Plan> {
    let mut services = BTreeMap::new();
    let mut not_undoable = Vec::new();
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
        if action != Action::Keep {
            let definition = Definition::read(name, &service.config)?;
            not_undoable.extend(lost(name, current.services.get(name), &definition));
        }
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
        not_undoable,
        unchanged: false,
    };
    plan.unchanged = plan.from.as_ref() == Some(&plan.to) && plan.keeps_all_services();
    Ok(plan)
}

/// What going back does not bring back of a service that is created or replaced.
fn lost(name: &ServiceName, running: Option<&Running>, definition: &Definition) -> Vec<String> {
    let mut lost = Vec::new();
    let command = definition.settings.get(&Setting::PreDeployCommand);
    if let Some(command) = command.filter(|command| !command.trim().is_empty()) {
        lost.push(format!("what `{command}` of {name} does when it runs"));
    }
    let Some(running) = running else { return lost };
    if let Some(image) = running.image.as_ref().filter(|_| running.is_by_tag) {
        lost.push(format!(
            "the very image of {name} that is behind {} now: when the platform has it no more, going \
             back pulls what the registry has there then",
            image.reference
        ));
    }
    let brought: BTreeSet<_> = definition.names(Kind::Variable).collect();
    let sealed = running.unreadable.iter().filter(|sealed| brought.contains(sealed));
    lost.extend(sealed.map(|sealed| format!("the value of {sealed} of {name}, which is sealed")));
    lost
}
