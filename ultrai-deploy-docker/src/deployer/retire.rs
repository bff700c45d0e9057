//! Retire: what was kept of the old release is removed. The point of no return.
//!
//! Volumes are no part of it, not even those without a name: they may be all that there is of the
//! data of a service, and nobody has agreed to lose it.

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    deployer::{StepRecord, Work},
    error::Result,
};

use crate::{
    backend::Backend,
    engine::Anonymous,
    guard,
    names::Place,
    record::Record,
    snapshot::{Container, Snapshot},
};

pub(super) async fn retire(
    cx: &Context,
    backend: &Backend,
    work: &Work<'_>,
    record: &StepRecord,
) -> Result<()> {
    let record = Record::before_run(work, record)?;
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    let kept: Vec<Container> = removable(&record, &snapshot).cloned().collect();
    let orphans = orphans(&kept, &snapshot);
    if !orphans.is_empty() {
        let orphans = orphans.join(", ");
        let message = format!(
            "left in place, no service uses it any more: {orphans}; `docker volume rm` deletes it"
        );
        cx.note(&message).await?;
    }
    stream::iter(kept)
        .map(|one| async move {
            let remove = backend.engine.remove(&one.id, anonymous(&one));
            cx.effect("remove", &one.name, json!({ "container": one.id }), remove).await
        })
        .buffer_unordered(backend.config.parallel.max(1))
        .try_collect::<()>()
        .await?;
    guard::release(cx, backend).await
}

/// What has served leaves its volumes; what was only ever staged has nothing in them.
fn anonymous(one: &Container) -> Anonymous {
    match one.place() {
        Place::Staged(_) => Anonymous::Remove,
        _ => Anonymous::Keep,
    }
}

/// The anonymous volumes that stay and that no other container has taken over.
fn orphans(removed: &[Container], snapshot: &Snapshot) -> Vec<String> {
    let stays = |one: &&Container| removed.iter().all(|removed| removed.id != one.id);
    let used: BTreeSet<_> =
        snapshot.containers.values().filter(stays).flat_map(|one| one.anonymous.values()).collect();
    let left = removed.iter().filter(|one| anonymous(one) == Anonymous::Keep).flat_map(|one| {
        let volumes = one.anonymous.iter().filter(|(_, volume)| !used.contains(volume));
        volumes.map(|(at, volume)| format!("volume {volume} of {} ({at})", one.service))
    });
    left.collect::<BTreeSet<_>>().into_iter().collect()
}

/// What the record names and is out of service: kept by this run, or left by earlier ones.
pub(super) fn removable<'a>(
    record: &'a Record,
    snapshot: &'a Snapshot,
) -> impl Iterator<Item = &'a Container> {
    let recorded =
        record.before.iter().map(|one| &one.id).chain(record.leftovers.iter().map(|one| &one.id));
    recorded.filter_map(|id| snapshot.containers.get(id)).filter(|one| one.place() != Place::Live)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(name: &str, volumes: &[(&str, char)]) -> Container {
        let mounts: Vec<_> = volumes
            .iter()
            .map(|(at, digit)| {
                let volume = digit.to_string().repeat(64);
                json!({"Type": "volume", "Name": volume, "Destination": at})
            })
            .collect();
        let found = json!({
            "Id": name, "Name": format!("/{name}"), "Mounts": mounts,
            "Config": {"Labels": {"com.docker.compose.service": "redis"}}
        });
        Container::new(serde_json::from_value(found).unwrap()).unwrap()
    }

    #[test]
    fn volumes_that_nobody_takes_over_are_named_and_kept() {
        let old = container("p-redis-1-kept-0123456789ab", &[("/data", 'a'), ("/conf", 'b')]);
        let staged = container("p-redis-1-new-0123456789ab", &[("/data", 'a'), ("/tmp", 'c')]);
        let heir = container("p-redis-1", &[("/conf", 'b')]);
        let all = [old.clone(), staged.clone(), heir];
        let containers = all.into_iter().map(|one| (one.id.clone(), one)).collect();
        let removed = [old, staged];
        let left = orphans(&removed, &Snapshot { containers });
        assert_eq!(left, [format!("volume {} of redis (/data)", "a".repeat(64))]);
        assert_eq!(removed.map(|one| anonymous(&one)), [Anonymous::Keep, Anonymous::Remove]);
    }
}
