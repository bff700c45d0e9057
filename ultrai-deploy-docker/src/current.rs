//! What serves now, read from the engine.

use std::collections::BTreeMap;

use ultrai_deploy_core::{
    context::Context,
    current::{Current, Running, Serving},
    error::{Error, ErrorKind, Result},
    name::ServiceName,
};

use crate::{
    adopt,
    backend::Backend,
    snapshot::{Container, Snapshot},
};

/// Reads what serves.
///
/// # Errors
/// [`ErrorKind::Conflict`] when the project's containers belong to another environment.
pub(crate) async fn read(cx: &Context, backend: &Backend) -> Result<Current> {
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    refuse_foreign(cx, &snapshot)?;
    let mut groups: BTreeMap<&ServiceName, Vec<&Container>> = BTreeMap::new();
    for container in snapshot.live() {
        groups.entry(&container.service).or_default().push(container);
    }
    let completing = snapshot.completing();
    let services = groups
        .iter()
        .map(|(name, group)| ((*name).clone(), running(group, completing.contains(name.as_str()))))
        .collect();
    let marked = snapshot.live().any(|one| one.marks.release.is_some());
    let serving = match backend.releases.current().await? {
        _ if groups.is_empty() => Serving::Nothing,
        Some(release) if marked => Serving::Release(release),
        _ => Serving::Unmanaged(Box::new(adopt::release(&cx.target().project, &snapshot)?)),
    };
    Ok(Current { serving, services })
}

/// Whether a container is up, or has done what it was there for.
pub(crate) fn is_well(container: &Container, completes: bool) -> bool {
    let state = &container.state;
    state.is_up() || (completes && state.has_exited() && state.exit_code == 0)
}

/// Refuses containers of another environment: they have the names that this one's would need.
pub(crate) fn refuse_foreign(cx: &Context, snapshot: &Snapshot) -> Result<()> {
    let target = cx.target();
    let foreign = snapshot.containers.values().find_map(|one| {
        let environment = one.marks.environment.as_deref()?;
        (environment != target.environment.as_str()).then_some((one, environment))
    });
    let Some((container, environment)) = foreign else { return Ok(()) };
    Err(Error::new(
        ErrorKind::Conflict,
        "work on the project",
        format!(
            "container {} of project {} belongs to environment {environment}, not to {}",
            container.name, target.project, target.environment
        ),
    )
    .with_advice("give each environment on one engine a project name of its own (`name:`)")
    .without_effect())
}

fn running(group: &[&Container], completes: bool) -> Running {
    let first_hash = group.first().and_then(|one| one.marks.spec_hash.clone());
    let same = group.iter().all(|one| one.marks.spec_hash == first_hash);
    let mut statuses: Vec<_> = group.iter().map(|one| one.state.describe()).collect();
    statuses.dedup();
    let takes_over =
        group.iter().flat_map(|one| one.anonymous.keys()).map(|at| format!("volume at {at}"));
    Running {
        instances: group.iter().map(|one| one.id.clone()).collect(),
        image: group.first().map(|one| one.image.clone()),
        spec_hash: first_hash.filter(|_| same),
        up: group.iter().all(|one| is_well(one, completes)),
        started_at: group
            .iter()
            .map(|one| one.state.started_at.clone())
            .filter(|at| !at.is_empty())
            .max(),
        status: statuses.join(", "),
        addresses: group
            .iter()
            .flat_map(|one| &one.addresses)
            .map(|(_, address)| address.to_string())
            .collect(),
        takes_over: takes_over.collect(),
        ..Running::default()
    }
}
