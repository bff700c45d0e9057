//! Images that are pushed to a registry.

use std::sync::Arc;

use serde_json::json;
use ultrai_deploy_core::{
    ErrorKind, image::ImageStore, journal::Skip, memory, pipeline::DeployRequest, release::Release,
    release_store::ReleaseStore, report::Report, spec::ReleaseSpec, stage::Stage,
};
use ultrai_deploy_testkit::faulty::{Fault, Faulty, Method};

use crate::lab::{Lab, Parts, ended, image, service};

const THERE: &str = "r.io/shop/app:2";

fn built() -> ReleaseSpec {
    let mut spec = image("2.0.0", "app:2", Some(json!({ "context": "." })));
    let web = spec.services.get_mut(&service("web")).unwrap();
    web.image.as_mut().unwrap().push = Some(THERE.to_owned());
    let twin = web.clone();
    spec.with_service(service("twin"), twin)
}

async fn run(parts: Parts, request: DeployRequest) -> Report {
    parts.start().deploy(request).join().await.unwrap()
}

async fn serving(lab: &Lab) -> Arc<Release> {
    lab.releases.get(&lab.serving().await.unwrap()).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn what_was_built_is_pushed_once_and_known_by_its_digest() {
    let lab = Lab::new();
    let images = Arc::new(Faulty::new(Arc::new(memory::Images::new())));
    let parts = || Parts { images: Arc::clone(&images) as Arc<dyn ImageStore>, ..lab.parts() };
    let report = run(parts(), DeployRequest::new(built())).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(images.calls(Method::Push), 1);
    for service in serving(&lab).await.services.values() {
        let image = service.image.clone().unwrap();
        assert_eq!(image.reference, THERE);
        assert!(image.digest.unwrap().starts_with("sha256:"));
    }
    // An image that is only pulled is pushed nowhere.
    let pulled = Parts { images: Arc::new(memory::Images::new().with("app:1")), ..lab.parts() };
    let report = run(pulled, DeployRequest::new(image("2.1.0", "app:1", None))).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(serving(&lab).await.services[&service("web")].image.as_ref().unwrap().digest, None);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_not_built_again_is_pushed_without_a_build() {
    let lab = Lab::new();
    let images = Arc::new(Faulty::new(Arc::new(memory::Images::new().with("app:2"))));
    let parts = Parts { images: Arc::clone(&images) as Arc<dyn ImageStore>, ..lab.parts() };
    let mut request = DeployRequest::new(built());
    request.skips.push(Skip { stage: Stage::Build, why: "--skip-build".into() });
    let pipeline = parts.start();
    let preview = pipeline.plan(&pipeline.look(), &request).await.unwrap();
    assert!(preview.to_string().contains("app:2, pushed"), "{preview}");
    let saved = preview.to_saved().unwrap();
    let report = pipeline.deploy(request.with_plan(saved.clone())).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!((images.calls(Method::Build), images.calls(Method::Push)), (0, 1));
    assert_eq!(
        serving(&lab).await.services[&service("web")].image.as_ref().unwrap().reference,
        THERE
    );
}

#[tokio::test(start_paused = true)]
async fn a_push_that_broke_off_touches_nothing() {
    for fault in
        [Fault::of(Method::Push), Fault::of(Method::Push).after(), Fault::hang(Method::Push)]
    {
        let lab = Lab::new();
        lab.deploy(image("1.0.0", "app:1", None)).await;
        let before = lab.picture().await;
        let images = Faulty::new(Arc::new(memory::Images::new())).with(fault);
        let parts = Parts { images: Arc::new(images), ..lab.parts() };
        let report = run(parts, DeployRequest::new(built())).await;
        assert_eq!(ended(&report), "refused", "{report}");
        assert_eq!(lab.picture().await, before);
        assert_eq!(report.built.len(), 1);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_rollback_has_the_very_image_made_ready_or_is_refused() {
    let lab = Lab::new();
    lab.deploy(image("1.0.0", "app:1", None)).await;
    let first = lab.serving().await.unwrap();
    let images = memory::Images::new().with("app:1").with("app:2");
    let with = |images: memory::Images| Parts { images: Arc::new(images), ..lab.parts() };
    run(with(images), DeployRequest::new(image("2.0.0", "app:2", None))).await;
    // The registry says that it has it, and gives nothing.
    let lies =
        Faulty::new(Arc::new(memory::Images::new().with("app:1"))).with(Fault::of(Method::Resolve));
    let parts = Parts { images: Arc::new(lies), ..lab.parts() };
    let request = ultrai_deploy_core::pipeline::RollbackRequest::new(first.clone());
    let report = parts.start().rollback(request.clone()).join().await.unwrap();
    assert_eq!(ended(&report), "refused", "{report}");
    let report =
        with(memory::Images::new()).start().rollback(request.clone()).join().await.unwrap();
    assert_eq!(report.cause().unwrap().kind, ErrorKind::NotFound, "{report}");
    let images = memory::Images::new().with("app:1");
    let report = with(images).start().rollback(request).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(lab.serving().await, Some(first));
}
