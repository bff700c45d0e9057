//! What the memory deployer changes. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::behaviour::Behaviour;
use crate::{
    current::{Current, Serving},
    error::Result,
    name::ServiceName,
    plan::{Action, Change, Plan},
    release::Release,
};

pub(super) fn plan(current: &Current, release: &Release) -> Result<Plan> {
    let mut services = BTreeMap::new();
    // What cannot run before something of the old release has stopped.
    let mut late = BTreeSet::new();
    for name in release.in_dependency_order() {
        let Some(service) = release.services.get(name) else { continue };
        let running = current.services.get(name);
        let same = running.is_some_and(|one| one.spec_hash.as_ref() == Some(&service.spec_hash));
        let waits = service.depends_on.iter().any(|needed| late.contains(needed));
        let (action, reason) = match running {
            None => (Action::Create, ""),
            Some(running) if same && running.up => (Action::Keep, ""),
            Some(running) => {
                let stops = waits || Behaviour::read(&service.config)?.has_fixed_port();
                let action = if stops { Action::StopFirst } else { Action::StartFirst };
                let reason = match running.spec_hash {
                    None => "started by others",
                    Some(_) if same => "not running",
                    Some(_) => "changed",
                };
                (action, reason)
            }
        };
        if action == Action::StopFirst || (action == Action::Create && waits) {
            late.insert(name);
        }
        services.insert(name.clone(), Change { action, reason: reason.to_owned() });
    }
    for name in current.services.keys().filter(|name| !release.services.contains_key(*name)) {
        let change = Change { action: Action::Remove, reason: String::new() };
        services.insert(name.clone(), change);
    }
    let from = match &current.serving {
        Serving::Release(id) => Some(id.clone()),
        Serving::Unmanaged(found) => Some(found.id.clone()),
        Serving::Nothing => None,
    };
    let mut plan = Plan {
        unchanged: false,
        from,
        to: release.id.clone(),
        services,
        resources: Vec::new(),
        not_undoable: Vec::new(),
    };
    plan.unchanged = plan.from.as_ref() == Some(&release.id) && plan.keeps_all_services();
    Ok(plan)
}

/// The services that can run beside the old release, in dependency order: they and what they
/// depend on wait for nothing to stop.
pub(super) fn staged<'a>(plan: &Plan, release: &'a Release) -> Vec<&'a ServiceName> {
    let mut ready = BTreeSet::new();
    let mut staged = Vec::new();
    for name in release.in_dependency_order() {
        let Some(service) = release.services.get(name) else { continue };
        let action = plan.services.get(name).map(|change| change.action);
        let can = service
            .depends_on
            .iter()
            .all(|needed| ready.contains(needed) || !release.services.contains_key(needed));
        match action {
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

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::{current::Running, name::ProjectName, release::ReleaseService, version::Version};

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn release(services: &[(&str, Value, &[&str])]) -> Release {
        let services = services.iter().map(|(own, config, needs)| {
            let needs = needs.iter().map(|needed| name(needed)).collect();
            (name(own), ReleaseService::new(None, config.clone()).with_depends_on(needs))
        });
        let version = Version::parse("1.0.0").unwrap();
        Release::new(ProjectName::new("p").unwrap(), version, services.collect()).unwrap()
    }

    fn running(release: &Release) -> Current {
        let services = release.services.iter().map(|(name, service)| {
            let spec_hash = Some(service.spec_hash.clone());
            (name.clone(), Running { spec_hash, up: true, ..Running::default() })
        });
        Current { serving: Serving::Release(release.id.clone()), services: services.collect() }
    }

    fn actions(plan: &Plan) -> Vec<(&str, Action)> {
        plan.services.iter().map(|(name, change)| (name.as_str(), change.action)).collect()
    }

    #[test]
    fn what_depends_on_a_stop_stops_first_too_and_is_not_staged() {
        let old = release(&[
            ("db", json!({"port": "fixed"}), &[]),
            ("web", json!({}), &["db"]),
            ("gone", json!({}), &[]),
        ]);
        let new = release(&[
            ("db", json!({"port": "fixed", "n": 2}), &[]),
            ("web", json!({"n": 2}), &["mid"]),
            ("mid", json!({}), &["db"]),
            ("free", json!({}), &[]),
        ]);
        let plan = plan(&running(&old), &new).unwrap();
        assert_eq!(
            actions(&plan),
            [
                ("db", Action::StopFirst),
                ("free", Action::Create),
                ("gone", Action::Remove),
                ("mid", Action::Create),
                ("web", Action::StopFirst),
            ]
        );
        assert_eq!(staged(&plan, &new), [&name("free")]);
    }

    #[test]
    fn the_same_release_changes_nothing_unless_something_is_down() {
        let release = release(&[("web", json!({}), &[])]);
        let mut current = running(&release);
        assert!(plan(&current, &release).unwrap().unchanged);
        current.services.get_mut(&name("web")).unwrap().up = false;
        let plan = plan(&current, &release).unwrap();
        assert!(!plan.unchanged);
        assert_eq!(actions(&plan), [("web", Action::StartFirst)]);
    }
}
