//! Dependencies between services: read, and checked to exist and to have no circle.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::{
    field::{Field, Result},
    model::{Condition, Dependency, Project},
};

/// Reads `depends_on:`.
pub(super) fn read(field: &Field<'_>) -> Result<IndexMap<String, Dependency>> {
    let mut dependencies = IndexMap::new();
    if !field.is_mapping() {
        for item in field.items()? {
            let dependency =
                Dependency { condition: Condition::Started, restart: false, required: true };
            if dependencies.insert(item.text()?, dependency).is_some() {
                return Err(item.problem("it is in the list twice; remove one of them"));
            }
        }
        return Ok(dependencies);
    }
    for entry in field.pairs()? {
        let mut dependency =
            Dependency { condition: Condition::Started, restart: false, required: true };
        for pair in entry.value.pairs()? {
            match pair.key {
                "condition" => {
                    dependency.condition = pair.value.one_of(&[
                        ("service_started", Condition::Started),
                        ("service_healthy", Condition::Healthy),
                        ("service_completed_successfully", Condition::Completed),
                    ])?;
                }
                "restart" => dependency.restart = pair.value.flag()?,
                "required" => dependency.required = pair.value.flag()?,
                _ if pair.is_extension() => {}
                _ => return Err(pair.unknown(&["condition", "restart", "required"])),
            }
        }
        if entry.value.get("condition").is_none() {
            let message = "`condition:` is missing; write service_started, service_healthy or \
                           service_completed_successfully";
            return Err(entry.value.problem(message));
        }
        dependencies.insert(entry.key.to_owned(), dependency);
    }
    Ok(dependencies)
}

/// Checks that dependencies exist and have no cycle.
pub(super) fn check(project: &Project, services: &Field<'_>) -> Result<()> {
    for (name, service) in &project.services {
        for (needed, dependency) in &service.depends_on {
            if !project.services.contains_key(needed) {
                // For Compose, too: what may be missing is a service that a profile switches off.
                let optional = if dependency.required { "" } else { " (`required: false` or not)" };
                return Err(place(services, name, needed).problem(format!(
                    "`{needed}` is no service of this file{optional}; write it, or remove this \
                     dependency"
                )));
            }
        }
    }
    let Some(circle) = circle(project) else { return Ok(()) };
    let Some((first, second)) = circle.first().zip(circle.get(1)) else { return Ok(()) };
    let lines: Vec<_> = circle
        .windows(2)
        .map(|edge| place(services, edge[0], edge[1]).node.at.line.to_string())
        .collect();
    Err(place(services, first, second).problem(format!(
        "the services depend on each other in a circle: {} (lines {}); remove one of these \
         dependencies",
        circle.join(" -> "),
        lines.join(", ")
    )))
}

/// What of the dependencies has less effect than Compose gives it.
///
/// Compose goes on without an optional dependency that fails. A release with a service that fails
/// is never proven, so that going on would only lead to a later end.
pub(super) fn warnings(project: &Project) -> Vec<String> {
    let optional = project.services.iter().flat_map(|(name, service)| {
        let needed = service.depends_on.iter().filter(|(_, dependency)| !dependency.required);
        needed.map(move |(needed, _)| (name, needed))
    });
    let warning = |(name, needed)| {
        format!(
            "services.{name}.depends_on.{needed}: a deploy fails when {needed} does, in spite of \
             `required: false`; only test commands go without it"
        )
    };
    optional.map(warning).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Never,
    OnPath,
    Done,
}

/// A circle, its first service repeated at the end. Without recursion: a chain may be as long as
/// a file.
fn circle(project: &Project) -> Option<Vec<&str>> {
    let mut seen: BTreeMap<&str, Seen> =
        project.services.keys().map(|name| (name.as_str(), Seen::Never)).collect();
    let needs = |name: &str| {
        project.services.get(name).into_iter().flat_map(|s| s.depends_on.keys()).map(String::as_str)
    };
    for start in project.services.keys() {
        if seen.get(start.as_str()) != Some(&Seen::Never) {
            continue;
        }
        seen.insert(start, Seen::OnPath);
        let mut path = vec![(start.as_str(), needs(start).collect::<Vec<_>>())];
        while let Some((name, open)) = path.last_mut() {
            let Some(next) = open.pop() else {
                seen.insert(*name, Seen::Done);
                path.pop();
                continue;
            };
            match seen.get(next).copied() {
                Some(Seen::OnPath) => {
                    let names = path.iter().map(|(name, _)| *name);
                    return Some(names.skip_while(|name| *name != next).chain([next]).collect());
                }
                Some(Seen::Never) => {
                    seen.insert(next, Seen::OnPath);
                    path.push((next, needs(next).collect()));
                }
                Some(Seen::Done) | None => {}
            }
        }
    }
    None
}

/// Where it is written that `name` depends on `needed`.
fn place<'a>(services: &Field<'a>, name: &str, needed: &str) -> Field<'a> {
    let service = services.get(name).unwrap_or_else(|| services.clone());
    if let Some(depends) = service.get("depends_on") {
        let items = depends.items().unwrap_or_default();
        let item = items.into_iter().find(|item| item.text().is_ok_and(|text| text == needed));
        if let Some(found) = item.or_else(|| depends.get(needed)) {
            return found;
        }
    }
    ["network_mode", "pid", "ipc"]
        .iter()
        .filter_map(|key| service.get(key))
        .find(|field| field.text().is_ok_and(|text| text == format!("service:{needed}")))
        .unwrap_or(service)
}
