//! Dependencies between services: they exist, and none goes round in a circle.

use std::collections::BTreeMap;

use super::{field::Field, model::Project, problem::Problem};

/// Checks that dependencies exist and have no cycle.
pub(super) fn check(project: &Project, services: &Field<'_>) -> Result<(), Problem> {
    for (name, service) in &project.services {
        for needed in service.depends_on.keys() {
            if !project.services.contains_key(needed) {
                return Err(place(services, name, needed)
                    .problem(format!("`{needed}` is no service of this file")));
            }
        }
    }
    let Some(circle) = circle(project) else { return Ok(()) };
    let Some((first, second)) = circle.first().zip(circle.get(1)) else { return Ok(()) };
    let path: Vec<_> = circle
        .windows(2)
        .map(|edge| {
            let line = place(services, edge[0], edge[1]).node.at.line;
            format!("{} -> {} (line {line})", edge[0], edge[1])
        })
        .collect();
    Err(place(services, first, second).problem(format!(
        "the services depend on each other in a circle: {}; remove one of these dependencies",
        path.join(", ")
    )))
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
