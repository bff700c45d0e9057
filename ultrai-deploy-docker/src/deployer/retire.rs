//! Retire: what was kept of the old release is removed. The point of no return.

use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    deployer::{StepRecord, Work},
    error::Result,
};

use crate::{
    backend::Backend,
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
    stream::iter(kept)
        .map(|one| async move {
            let remove = backend.engine.remove(&one.id);
            cx.effect("remove", &one.name, json!({ "container": one.id }), remove).await
        })
        .buffer_unordered(backend.config.parallel.max(1))
        .try_collect::<()>()
        .await?;
    guard::release(cx, backend).await
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
