//! Promotion between environments of a hosted platform: the same image by its digest, or the same
//! commit.

use serde_json::json;
use ultrai_deploy_core::{
    Effect, Ending, ErrorKind,
    journal::Kind,
    pipeline::DeployRequest,
    release_store::ReleaseStore as _,
    report::Report,
    spec::{ImageSpec, ReleaseSpec, ServiceSpec},
};
use ultrai_deploy_hosted as hosted;

use crate::{
    lab::{Lab, name, served, spec},
    town::Manners,
};

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
const COMMIT: &str = "c0ffee1c0ffee2c0ffee3c0ffee4c0ffee5c0ffe";

/// With every image by its digest.
fn pinned() -> ReleaseSpec {
    let mut spec = spec("1.0.0", "1.0.0");
    for (name, service) in &mut spec.services {
        service.image = Some(ImageSpec::new(format!("shop/{name}@{DIGEST}")));
    }
    spec
}

fn succeeded(report: &Report) {
    assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{report}");
}

#[tokio::test(start_paused = true)]
async fn an_image_by_its_digest_is_promoted() {
    let (staging, production) = (Lab::new(Manners::default()), Lab::new(Manners::default()));
    succeeded(&staging.deploy(pinned()).await);
    let promotion = staging.process().promotion(None).await.unwrap();
    // Production is described with tags.
    let mut wanted = spec("1.0.0", "latest");
    hosted::promotion::pin(&promotion, &mut wanted).unwrap();
    let request = DeployRequest::promote(promotion, wanted).unwrap();
    let report = production.process().deploy(request).join().await.unwrap();
    succeeded(&report);
    assert!(matches!(report.kind, Some(Kind::Promotion { .. })));
    for slot in ["api", "web"] {
        let reference = format!("shop/{slot}@{DIGEST}");
        assert_eq!(production.town.configured_in(slot), Some(reference), "{slot}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_by_its_tag_is_refused_with_what_to_write() {
    let staging = served(Manners::default()).await;
    let promotion = staging.process().promotion(None).await.unwrap();
    let error = hosted::promotion::pin(&promotion, &mut spec("1.0.0", "1.0.0")).unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unsupported, Effect::None));
    assert!(error.message().contains("api was proven in staging with image shop/api:1.0.0"));
    assert!(error.advice().unwrap().contains("image = \"shop/api@sha256:…\""), "{error}");
}

#[tokio::test(start_paused = true)]
async fn the_commit_that_was_proven_is_promoted() {
    let described = |commit: &str| {
        let mut spec = spec("1.0.0", "1.0.0");
        let config = json!({ "commit": commit });
        spec.services = [(name("api"), ServiceSpec { config, ..ServiceSpec::default() })].into();
        spec
    };
    let mut staging = Lab::new(Manners::default());
    staging.services = vec!["api"];
    let mut production = Lab::new(Manners::default());
    production.services = vec!["api"];
    succeeded(&staging.deploy(described(COMMIT)).await);
    let promotion = staging.process().promotion(None).await.unwrap();
    let mut wanted = described("0123456789012345678901234567890123456789");
    hosted::promotion::pin(&promotion, &mut wanted).unwrap();
    let request = DeployRequest::promote(promotion, wanted).unwrap();
    succeeded(&production.process().deploy(request).join().await.unwrap());
    let release = production.releases.current().await.unwrap().unwrap();
    let release = production.releases.get(&release).await.unwrap();
    assert_eq!(release.services[&name("api")].config["commit"], COMMIT);
}
