//! Pulling, without credentials.

use bollard::{errors::Error as Bollard, query_parameters::CreateImageOptionsBuilder};
use futures_util::StreamExt;
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
    task::TaskOutput,
};

use super::{LONGEST, Reference, Store};

/// Pulls one image.
pub(super) async fn pull(
    store: &Store,
    cx: &Context,
    reference: &str,
    remote: &Reference<'_>,
    output: &dyn TaskOutput,
) -> Result<()> {
    let cx = cx.clone().with_timeout(LONGEST);
    let options = CreateImageOptionsBuilder::default()
        .from_image(remote.repository)
        .tag(remote.version())
        .build();
    let work = async {
        let client = store.engine.patient_client(LONGEST).await?;
        let mut progress = client.create_image(Some(options), None, None);
        while let Some(report) = progress.next().await {
            let report = report.map_err(|source| failed(reference, source))?;
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

/// What a failed pull means. What the registry answered reaches us only as the engine's status;
/// for all that is neither "not there" nor "not allowed" the engine answers 500.
fn failed(reference: &str, source: Bollard) -> Error {
    let (kind, message, advice) = match &source {
        Bollard::DockerResponseServerError { status_code: 400, .. } => (
            ErrorKind::Invalid,
            format!("{reference} is no image reference"),
            "write it as [registry/]repository[:tag]",
        ),
        Bollard::DockerResponseServerError { status_code: 401 | 403, .. } => (
            ErrorKind::Denied,
            format!("the registry does not give {reference} to the public"),
            "`docker pull` it on this engine first: credentials are not used yet",
        ),
        Bollard::DockerResponseServerError { status_code: 404, .. } => (
            ErrorKind::NotFound,
            format!("the registry has no image {reference}, or shows it only to those logged in"),
            "correct the name, `docker pull` or `docker load` it on this engine first, \
             or give the service a `build`",
        ),
        Bollard::RequestTimeoutError => (
            ErrorKind::Timeout,
            format!("the registry does not answer for {reference}"),
            "try again",
        ),
        _ => (
            ErrorKind::Unavailable,
            format!("{reference} could not be fetched from its registry"),
            "check the engine's way to the registry, or `docker load` the image first",
        ),
    };
    let error = Error::new(kind, "pull an image", message).with_advice(advice).without_effect();
    let error = match kind {
        ErrorKind::Unavailable | ErrorKind::Timeout => error.retryable(),
        _ => error,
    };
    error.with_source(source)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_decides_and_nothing_has_changed() {
        for (status_code, kind, retryable) in [
            (400, ErrorKind::Invalid, false),
            (401, ErrorKind::Denied, false),
            (404, ErrorKind::NotFound, false),
            (500, ErrorKind::Unavailable, true),
        ] {
            let source = Bollard::DockerResponseServerError { status_code, message: "m".into() };
            let error = failed("a:1", source);
            assert_eq!((error.kind(), error.is_retryable()), (kind, retryable));
            assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
            assert!(error.message().contains("a:1") && error.advice().is_some());
        }
    }
}
