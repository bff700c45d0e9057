//! The guard: a container that is never started, named after the project. The engine refuses a
//! second one, so two state directories cannot both work on a project.

use std::collections::HashMap;

use bollard::models::{ContainerCreateBody, ContainerInspectResponse, HostConfig};
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    deployer::Step,
    error::{Error, ErrorKind, Result},
    release::Release,
};

use crate::{backend::Backend, engine::Anonymous, labels, names};

/// Takes the guard for this state, or finds that it has it.
///
/// `releases` give the image that the container needs; which one does not matter.
///
/// # Errors
/// [`ErrorKind::Fenced`] when another state has it.
pub(crate) async fn take(
    cx: &Context,
    backend: &Backend,
    releases: &[Option<&Release>],
) -> Result<()> {
    let name = names::guard(&cx.target().project);
    let state = backend.state_id().await?;
    if let Some(found) = backend.engine.find_container(&name).await? {
        return check(&name, &state, &found);
    }
    let images = releases
        .iter()
        .flatten()
        .flat_map(|release| release.services.values())
        .filter_map(|service| service.image.as_ref());
    for image in images {
        let body = body(cx, backend, &image.id, &state);
        let detail = json!({ "run": cx.run() });
        let created = cx.effect("guard", &name, detail, backend.engine.create(&name, body)).await;
        match created {
            Ok(_id) => return Ok(()),
            // The image of an old release may be gone; any other one will do.
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) if error.kind() == ErrorKind::Conflict => {
                return match backend.engine.find_container(&name).await? {
                    Some(found) => check(&name, &state, &found),
                    None => Err(error),
                };
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives the guard up, if this state has it. Idempotent.
pub(crate) async fn release(cx: &Context, backend: &Backend) -> Result<()> {
    let name = names::guard(&cx.target().project);
    let Some(found) = backend.engine.find_container(&name).await? else { return Ok(()) };
    if check(&name, &backend.state_id().await?, &found).is_err() {
        return Ok(());
    }
    cx.effect("release guard", &name, json!({}), backend.engine.remove(&name, Anonymous::Remove))
        .await
}

/// Refuses a guard that another state holds.
///
/// # Errors
/// [`ErrorKind::Fenced`].
pub(crate) async fn refuse_foreign(cx: &Context, backend: &Backend) -> Result<()> {
    let name = names::guard(&cx.target().project);
    match backend.engine.find_container(&name).await? {
        Some(found) => check(&name, &backend.state_id().await?, &found),
        None => Ok(()),
    }
}

fn check(name: &str, state: &str, found: &ContainerInspectResponse) -> Result<()> {
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    let label = |name: &str| labels.and_then(|labels| labels.get(name)).map(String::as_str);
    if label(labels::STATE) == Some(state) {
        return Ok(());
    }
    let root = label(labels::STATE_ROOT).unwrap_or("an unknown state directory");
    let run = label(labels::RUN).unwrap_or("unknown");
    Err(Error::new(
        ErrorKind::Fenced,
        "take the project",
        format!("container {name} shows that run {run} with its state in {root} is at work on it"),
    )
    .with_advice(format!(
        "finish or undo that run from there; if its state is lost for good, look at what runs and \
         remove the container {name}"
    ))
    .without_effect())
}

fn body(cx: &Context, backend: &Backend, image: &str, state: &str) -> ContainerCreateBody {
    let root = backend.releases.root().map(|root| root.display().to_string());
    let environment = cx.target().environment.as_str();
    let mut all: HashMap<_, _> =
        labels::of_run(cx.key(), environment, Step::Stage).into_iter().collect();
    all.insert(labels::GUARD.to_owned(), cx.target().project.to_string());
    all.insert(labels::STATE.to_owned(), state.to_owned());
    all.extend(root.map(|root| (labels::STATE_ROOT.to_owned(), root)));
    ContainerCreateBody {
        image: Some(image.to_owned()),
        // An image without a command of its own could not be created from otherwise.
        cmd: Some(vec!["never-started".to_owned()]),
        labels: Some(all),
        host_config: Some(HostConfig {
            network_mode: Some("none".to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    }
}
