//! Removing what was created for tasks.

use std::{collections::HashMap, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
};

use super::labels::is_of_task;
use crate::{
    engine::{Anonymous, Engine},
    labels, names,
};

/// Longest removal of one container after the task's own deadline.
const REMOVAL: Duration = Duration::from_secs(30);

/// Removes all containers with these labels, with their anonymous volumes. Idempotent.
///
/// Works after the deadline or a cancellation too: nothing is left running because of it.
pub(super) async fn sweep(cx: &Context, engine: &Engine, filters: &[String]) -> Result<()> {
    let listed = bounded(engine.containers(filters)).await?;
    let mut failure = None;
    for container in listed {
        let Some(id) = container.id else { continue };
        let name = container.names.unwrap_or_default().into_iter().next().unwrap_or_default();
        let name = if name.is_empty() { id.clone() } else { names::plain(&name).to_owned() };
        // One that stays must not keep the others.
        if let Err(error) = remove(cx, &name, engine.remove(&id, Anonymous::Remove)).await {
            failure.get_or_insert(error);
        }
    }
    failure.map_or(Ok(()), Err)
}

/// Removes the networks that tasks of this run created. One that others use by now stays.
pub(super) async fn networks(cx: &Context, engine: &Engine) -> Result<()> {
    let filters = [
        labels::filter(labels::PROJECT, cx.target().project.as_str()),
        labels::filter(labels::RUN, cx.run().as_str()),
    ];
    for network in bounded(engine.networks(&filters)).await? {
        let key = network.labels.as_ref().and_then(|labels| labels.get(labels::KEY));
        if !key.is_some_and(|key| is_of_task(key, cx.run())) {
            continue;
        }
        let (Some(id), Some(name)) = (network.id, network.name) else { continue };
        if is_used(engine, &id).await? {
            continue;
        }
        remove(cx, &name, engine.remove_network(&id)).await?;
    }
    Ok(())
}

async fn is_used(engine: &Engine, network: &str) -> Result<bool> {
    let found = bounded(engine.find_network(network)).await?;
    let containers: HashMap<_, _> =
        found.and_then(|found| found.containers).unwrap_or_default().into_iter().collect();
    Ok(!containers.is_empty())
}

async fn remove(cx: &Context, name: &str, work: impl Future<Output = Result<()>>) -> Result<()> {
    if cx.check().is_ok() {
        return cx.effect("remove what a task needed", name, json!({}), work).await;
    }
    cx.guard().await?;
    bounded(work).await
}

async fn bounded<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::time::timeout(REMOVAL, work).await.unwrap_or_else(|_elapsed| {
        let message = format!("the engine has not done it within {} s", REMOVAL.as_secs());
        Err(Error::new(ErrorKind::Timeout, "remove what a task needed", message))
    })
}
