//! Dependencies between services: they exist, and none goes round in a circle.

use super::{field::Field, model::Project, problem::Problem};

/// Checks that dependencies exist and have no cycle.
pub(super) fn check(project: &Project, services: &Field<'_>) -> Result<(), Problem> {
    for (name, service) in &project.services {
        for (needed, dependency) in &service.depends_on {
            if !project.services.contains_key(needed) && dependency.required {
                let field = place(services, name);
                return Err(field.problem(format!(
                    "it depends on `{needed}`, which is no service of this file"
                )));
            }
        }
    }
    let mut done = Vec::new();
    for name in project.services.keys() {
        visit(project, services, name, &mut Vec::new(), &mut done)?;
    }
    Ok(())
}

fn visit<'a>(
    project: &'a Project,
    services: &Field<'_>,
    name: &'a str,
    path: &mut Vec<&'a str>,
    done: &mut Vec<&'a str>,
) -> Result<(), Problem> {
    if done.contains(&name) {
        return Ok(());
    }
    if let Some(start) = path.iter().position(|known| *known == name) {
        let mut circle: Vec<_> = path[start..].to_vec();
        circle.push(name);
        return Err(place(services, name).problem(format!(
            "the services depend on each other in a circle: {}; remove one of the dependencies",
            circle.join(" -> ")
        )));
    }
    path.push(name);
    if let Some(service) = project.services.get(name) {
        for needed in service.depends_on.keys() {
            visit(project, services, needed, path, done)?;
        }
    }
    path.pop();
    done.push(name);
    Ok(())
}

/// Where a service's dependencies are written.
fn place<'a>(services: &Field<'a>, name: &str) -> Field<'a> {
    let service = services.get(name).unwrap_or_else(|| services.clone());
    service.get("depends_on").unwrap_or(service)
}
