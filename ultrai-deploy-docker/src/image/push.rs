//! Pushing what was built.

use bollard::query_parameters::PushImageOptionsBuilder;
use futures_util::StreamExt;
use serde_json::json;
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
    release::Image,
    spec::ImageSpec,
    task::TaskOutput,
};

use super::{LONGEST, Reference, Store, build, pinned, pull, trouble::Trouble};
use crate::registry::{Credentials, Redacted};

/// Pushes `image` to where `spec` says, unless it was pushed there before and still is there.
pub(super) async fn push(
    store: &Store,
    cx: &Context,
    spec: &ImageSpec,
    image: &Image,
    output: &dyn TaskOutput,
) -> Result<Image> {
    let Some(to) = &spec.push else { return Ok(image.clone()) };
    let remote = Reference::parse(to).filter(|remote| remote.digest.is_none());
    let remote = remote.ok_or_else(|| {
        let message = format!("{} is no place to push to", to.escape_default());
        Error::new(ErrorKind::Invalid, "push an image", message).without_effect()
    })?;
    let cx = cx.clone().with_timeout(LONGEST);
    if image.reference == *to
        && let Some(pinned) = pinned(image)
        && pull::digest(store, &cx, &pinned).await?.is_some()
    {
        return Ok(image.clone());
    }
    let login = pull::login(store, &cx, &remote).await?;
    let redactor = pull::redactor(login.as_ref());
    let output = Redacted { output, redactor: &redactor };
    let work = async {
        build::tag(store, &image.id, to).await?;
        let options = PushImageOptionsBuilder::default().tag(remote.version()).build();
        let client = store.engine.patient_client(LONGEST).await?;
        let credentials = login.as_ref().map(Credentials::to_docker);
        let mut progress = client.push_image(remote.repository, Some(options), credentials);
        let mut said = None;
        while let Some(report) = progress.next().await {
            let report = report.map_err(|source| {
                let trouble = Trouble::of(&source);
                redactor.error(trouble.error("push an image", to, login.is_some(), source))
            })?;
            let counts = report.progress_detail.is_some_and(|detail| detail.current.is_some());
            if let Some(status) = report.status.filter(|_| !counts) {
                said = digest_in(&status).or(said);
                output.line(&status);
            }
        }
        let digest = digest(store, &remote, &image.id, said).await?;
        Ok(Image { reference: to.clone(), id: image.id.clone(), digest: Some(digest) })
    };
    cx.effect("push an image", to, json!({ "id": image.id }), cx.bounded(work)).await
}

/// The digest that the registry answered, as the engine keeps it. A repository may have several of
/// one image; then it is the one that was said.
async fn digest(
    store: &Store,
    remote: &Reference<'_>,
    id: &str,
    said: Option<String>,
) -> Result<String> {
    let known = store.engine.image(id).await?.repo_digests.unwrap_or_default();
    let known: Vec<_> = known
        .iter()
        .filter_map(|digest| Reference::parse(digest))
        .filter(|digest| digest.is_of(remote))
        .filter_map(|digest| digest.digest)
        .collect();
    let said = said.filter(|said| known.contains(&said.as_str()));
    let only = match known.as_slice() {
        [only] => Some((*only).to_owned()),
        _ => None,
    };
    said.or(only).ok_or_else(|| {
        let message = format!("{} was pushed, but no digest of it came back", remote.repository);
        Error::new(ErrorKind::Unexpected, "push an image", message).without_effect()
    })
}

/// The digest in `TAG: digest: sha256:… size: N`.
fn digest_in(status: &str) -> Option<String> {
    let (_, rest) = status.split_once("digest: ")?;
    rest.split_whitespace().next().filter(|digest| digest.starts_with("sha256:")).map(str::to_owned)
}
