//! Pulling, and asking a registry what it has.

use bollard::query_parameters::CreateImageOptionsBuilder;
use futures_util::StreamExt;
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    error::{ErrorKind, Result},
    redact::Redactor,
    task::TaskOutput,
};

use super::{LONGEST, Reference, Store, trouble::Trouble};
use crate::registry::{Credentials, Redacted, host_of};

/// Pulls one image.
pub(super) async fn pull(
    store: &Store,
    cx: &Context,
    reference: &str,
    remote: &Reference<'_>,
    output: &dyn TaskOutput,
) -> Result<()> {
    let cx = cx.clone().with_timeout(LONGEST);
    let login = login(store, &cx, remote).await?;
    let redactor = redactor(login.as_ref());
    let output = Redacted { output, redactor: &redactor };
    let options = CreateImageOptionsBuilder::default()
        .from_image(remote.repository)
        .tag(remote.version())
        .build();
    let work = async {
        let client = store.engine.patient_client(LONGEST).await?;
        let credentials = login.as_ref().map(Credentials::to_docker);
        let mut progress = client.create_image(Some(options), None, credentials);
        while let Some(report) = progress.next().await {
            let report = report.map_err(|source| {
                let trouble = Trouble::of(&source);
                redactor.error(trouble.error("pull an image", reference, login.is_some(), source))
            })?;
            // Those with figures come many times a second.
            let counts = report.progress_detail.is_some_and(|detail| detail.current.is_some());
            if let Some(status) = report.status.filter(|_| !counts) {
                match report.id {
                    Some(layer) => output.line(&format!("{layer}: {status}")),
                    None => output.line(&status),
                }
            }
        }
        Ok(())
    };
    cx.effect("pull an image", reference, json!({}), cx.bounded(work)).await
}

/// The digest that the registry has behind `reference`; nothing when it has no such image.
pub(super) async fn digest(store: &Store, cx: &Context, reference: &str) -> Result<Option<String>> {
    let Some(remote) = Reference::parse(reference) else { return Ok(None) };
    let login = login(store, cx, &remote).await?;
    // Without any, the engine would take the header that is missing for a fault.
    let credentials = login.as_ref().map(Credentials::to_docker).unwrap_or_default();
    let client = store.engine.client().await?;
    let asked = async {
        client.inspect_registry_image(reference, Some(credentials)).await.map_err(|source| {
            let trouble = Trouble::of(&source);
            let error = trouble.error("ask the registry", reference, login.is_some(), source);
            redactor(login.as_ref()).error(error)
        })
    };
    match cx.bounded(asked).await {
        Ok(found) => Ok(found.descriptor.digest),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// What to log in with, for the registry of `remote`.
pub(super) async fn login(
    store: &Store,
    cx: &Context,
    remote: &Reference<'_>,
) -> Result<Option<Credentials>> {
    cx.bounded(store.registries.credentials(&host_of(remote.repository))).await
}

pub(super) fn redactor(login: Option<&Credentials>) -> Redactor {
    login.map(Credentials::redactor).unwrap_or_default()
}
