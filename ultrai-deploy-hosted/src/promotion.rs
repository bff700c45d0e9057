//! What a promotion means for a hosted platform: the same commit, the same source, or the same image
//! by its digest.

use serde_json::json;
use ultrai_deploy_core::{
    Error, ErrorKind, Result, name::ServiceName, promotion::Promotion, spec::ReleaseSpec,
};

use crate::{
    definition::{Definition, artifact},
    platform::Artifact,
};

/// Pins onto the spec of the target what [`DeployRequest::promote`] cannot know: the commits. Images
/// and sources it pins itself, but only an image with a digest is the same when the platform pulls it
/// again.
///
/// [`DeployRequest::promote`]: ultrai_deploy_core::pipeline::DeployRequest::promote
///
/// # Errors
/// [`ErrorKind::Unsupported`] for an image that is known by its tag only, naming its service.
pub fn pin(promotion: &Promotion, spec: &mut ReleaseSpec) -> Result<()> {
    for (name, released) in &promotion.release().services {
        match artifact(name, released)? {
            Artifact::Image { digest: None, reference } => {
                return Err(only_by_tag(promotion, name, &reference));
            }
            Artifact::Commit(commit) => {
                let Some(service) = spec.services.get_mut(name) else { continue };
                let mut definition = Definition::read(name, &service.config)?;
                definition.commit = Some(commit);
                service.config = json!(definition);
            }
            Artifact::Image { .. } | Artifact::Source(_) => {}
        }
    }
    Ok(())
}

fn only_by_tag(promotion: &Promotion, name: &ServiceName, reference: &str) -> Error {
    let from = promotion.from();
    let message = format!(
        "{name} was proven in {from} with image {reference}: what is behind that tag now may be \
         another one"
    );
    let repository = crate::reference::pinned(reference, "sha256:…");
    Error::new(ErrorKind::Unsupported, "promote the release", message)
        .with_advice(format!(
            "deploy it to {from} with image = \"{repository}\", then promote that"
        ))
        .without_effect()
}
