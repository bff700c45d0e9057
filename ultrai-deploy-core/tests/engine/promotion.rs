//! What is proven in one environment goes to another one.

use std::{path::Path, sync::Arc};

use async_trait::async_trait;
use serde_json::json;
use ultrai_deploy_core::{
    Context, Deployer, Effect, Error, ErrorKind, Result,
    image::ImageStore,
    journal::{Event, Kind},
    memory,
    name::{EnvironmentName, RunId, ServiceName, Target},
    pipeline::{DeployRequest, FailureAction, Pipeline, Policy},
    promotion::Promotion,
    release::Image,
    release_store::ReleaseStore,
    report::{Report, StageStatus},
    spec::{ImageSpec, ReleaseSpec, ServiceSpec},
    stage::Stage,
    state::State,
    task::TaskOutput,
    verification::When,
    version::Version,
};
use ultrai_deploy_testkit::faulty::{Faulty, Method};

use crate::lab::{Lab, Parts, SECRET, ended, image, service, target, with_check};

/// Staging, and production beside it, with images of their own.
struct Two {
    staging: Lab,
    production: Lab,
    images: memory::Images,
}

impl Two {
    async fn new() -> Self {
        let two = Self {
            staging: Lab::new(),
            production: Lab::new(),
            images: memory::Images::new().with("app:1"),
        };
        let request = DeployRequest::new(image("1.0.0", "app:1", None));
        let report = two.stage(request).await;
        assert_eq!(ended(&report), "succeeded", "{report}");
        two
    }

    fn at_staging(&self) -> Pipeline {
        Parts { images: Arc::new(self.images.clone()), ..self.staging.parts() }.start()
    }

    async fn stage(&self, request: DeployRequest) -> Report {
        self.at_staging().deploy(request).join().await.unwrap()
    }

    fn at_production(&self, images: Arc<dyn ImageStore>) -> Pipeline {
        let target = Target::new(target().project, EnvironmentName::new("production").unwrap());
        Parts { images, ..self.production.parts() }.build_as(target, SECRET).unwrap()
    }

    async fn proven(&self) -> Promotion {
        self.at_staging().promotion(None).await.unwrap()
    }

    async fn promote(&self, spec: ReleaseSpec) -> Report {
        let request = DeployRequest::promote(self.proven().await, spec).unwrap();
        let pipeline = self.at_production(Arc::new(self.images.clone()));
        pipeline.deploy(request).join().await.unwrap()
    }

    async fn runs_in(&self, lab: &Lab) -> Image {
        let release = lab.releases.get(&lab.serving().await.unwrap()).await.unwrap();
        release.services[&service("web")].image.clone().unwrap()
    }

    /// Somebody moves the tag; the old image is there under its id only.
    async fn move_tag(&self) {
        let old = self.runs_in(&self.staging).await;
        self.images.insert(Image { reference: "old".into(), ..old });
        let id = "sha256:moved".to_owned();
        self.images.insert(Image { reference: "app:1".into(), id, digest: None });
    }
}

/// As production describes it: it would be built there.
fn spec() -> ReleaseSpec {
    image("1.0.0", "app:1", Some(json!({ "context": "." })))
}

async fn refusal(pipeline: &Pipeline, version: Option<&str>) -> Error {
    let version = version.map(|version| Version::parse(version).unwrap());
    let error = pipeline.promotion(version.as_ref()).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None);
    error
}

#[tokio::test(start_paused = true)]
async fn the_very_image_is_promoted_wherever_its_tag_points_by_now() {
    let two = Two::new().await;
    two.move_tag().await;
    let promotion = two.proven().await;
    let (from, run) = (promotion.release().id.clone(), promotion.run().clone());
    let request = DeployRequest::promote(promotion, spec()).unwrap();
    let images = Arc::new(Faulty::new(Arc::new(two.images.clone())));
    let pipeline = two.at_production(Arc::clone(&images) as Arc<dyn ImageStore>);
    let preview = pipeline.plan(&pipeline.look(), &request).await.unwrap();
    assert!(preview.release.is_some(), "all is known before: {preview}");
    let report = pipeline.deploy(request).join().await.unwrap();

    assert_eq!(ended(&report), "succeeded", "{report}");
    assert_eq!(two.runs_in(&two.production).await, two.runs_in(&two.staging).await);
    assert_eq!(images.calls(Method::Build) + images.calls(Method::Push), 0);
    let build = report.stages.iter().find(|stage| stage.stage == Stage::Build).unwrap();
    assert_eq!(build.status, StageStatus::Skipped);
    assert_eq!(build.why.as_deref(), Some("promoted from staging"));
    let environment = EnvironmentName::new("staging").unwrap();
    let kind = Kind::Promotion { from: environment, release: from.clone(), run: run.clone() };
    assert_eq!(report.kind, Some(kind.clone()));
    let text = report.to_string();
    assert!(text.contains("promotion of 1.0.0 from staging to shop/production"), "{text}");
    assert!(text.contains(&format!("release {from} of staging, which run {run}")), "{text}");

    let records = two.production.records(&report.run).await;
    assert!(matches!(&records[0].event, Event::Created { kind: told, .. } if *told == kind));
    assert!(!State::replay(&records).unwrap().is_rollback());
    // It is proven here now, and nothing is left to do.
    let again = two.promote(spec()).await;
    assert_eq!(ended(&again), "succeeded, nothing changed");
    assert_eq!(pipeline.proven().await.unwrap(), [two.production.serving().await.unwrap()]);
    two.production.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn only_what_is_proven_is_promoted() {
    let empty = Lab::new().process();
    assert!(refusal(&empty, None).await.message().contains("nothing serves in shop/staging"));
    let never = refusal(&empty, Some("3.0.0")).await;
    assert!(never.message().contains("no run has brought it"), "{never}");

    let two = Two::new().await;
    // What fails and is taken back.
    let probe = json!({ "healthy": false });
    two.images.insert(Image { reference: "app:2".into(), id: "sha256:2".into(), digest: None });
    let sick = with_check(image("2.0.0", "app:2", None), When::Verify, probe);
    let report = two.stage(DeployRequest::new(sick.clone())).await;
    assert_eq!(ended(&report), "rolled back");
    let error = refusal(&two.at_staging(), Some("2.0.0")).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    let told = format!("2.0.0 is not proven in shop/staging: run {} is rolled back", report.run);
    assert!(error.message().contains(&told), "{error}");
    assert_eq!(two.proven().await.release().version.as_str(), "1.0.0");

    // What is held serves, and nobody has accepted it.
    let mut policy = Policy::default();
    policy.failure_actions.insert(Stage::Verify, FailureAction::Hold);
    let images = Arc::new(two.images.clone());
    let parts = Parts { images, policy, ..two.staging.parts() };
    let mut request = DeployRequest::new(sick);
    request.allow_failed = Some(Version::parse("2.0.0").unwrap());
    let held = parts.start().deploy(request).join().await.unwrap();
    assert!(held.held_until.is_some(), "{held}");
    let error = refusal(&two.at_staging(), None).await;
    assert!(error.message().contains(held.run.as_str()), "{error}");
}

#[tokio::test(start_paused = true)]
async fn services_that_only_one_of_both_has_are_named() {
    let two = Two::new().await;
    let web = spec().services[&service("web")].clone();
    let refused = |spec: ReleaseSpec| {
        let promotion = two.proven();
        async move {
            let error = DeployRequest::promote(promotion.await, spec).unwrap_err();
            assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::None));
            error.to_string()
        }
    };
    let more = refused(spec().with_service(service("worker"), web)).await;
    assert!(more.contains("staging has no worker"), "{more}");
    let mut other = spec();
    let web = other.services.remove(&service("web")).unwrap();
    other = other.with_service(service("site"), web);
    let other = refused(other).await;
    assert!(other.contains("staging has no site; only staging has web"), "{other}");
    let bare =
        refused(image("1.0.0", "app:1", None).with_service(service("web"), ServiceSpec::default()))
            .await;
    assert!(bare.contains("only one of both runs an image for web"), "{bare}");

    let new = spec().with_service(service("cron"), ServiceSpec::default());
    let report = two.promote(new).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    assert!(report.notes.contains(&"cron is new: it was not proven in staging".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn what_describes_the_release_otherwise_by_now_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let (compose, config) = (write("compose.yaml", "a"), write("app.conf", "a"));
    let described = |mut spec: ReleaseSpec, compose: &Path, config: &Path| {
        spec.sources = vec![compose.to_owned()];
        let web = spec.services.get_mut(&service("web")).unwrap();
        web.files.insert("/etc/app.conf".into(), config.to_owned());
        spec
    };
    let two = Two::new().await;
    let staged = described(image("1.1.0", "app:1", None), &compose, &config);
    assert_eq!(ended(&two.stage(DeployRequest::new(staged)).await), "succeeded");
    let same = two.promote(described(spec(), &compose, &config)).await;
    assert_eq!((ended(&same), same.notes.as_slice()), ("succeeded", &[][..]), "{same}");
    write("compose.yaml", "b");
    write("app.conf", "b");
    let other = two.promote(described(spec(), &compose, &config)).await;
    assert_eq!(ended(&other), "succeeded", "{other}");
    assert_eq!(
        other.notes,
        [
            "warning: compose.yaml is not as it was when the release was sealed in staging",
            "warning: file /etc/app.conf of web is not the one that was proven in staging",
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn an_image_that_is_not_to_be_had_is_refused_before_anything_is_begun() {
    let two = Two::new().await;
    let request = DeployRequest::promote(two.proven().await, spec()).unwrap();
    let pipeline = two.at_production(Arc::new(memory::Images::new()));
    let report = pipeline.deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "refused");
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::NotFound);
    assert!(
        cause.message.contains("of web") && cause.message.contains("write `registry`"),
        "{cause}"
    );
    assert!(two.production.holder().await.is_none());
}

/// Gives another image than it was asked for.
#[derive(Debug)]
struct Swapping(memory::Images);

#[async_trait]
impl ImageStore for Swapping {
    async fn build(
        &self,
        cx: &Context,
        name: &ServiceName,
        spec: &ImageSpec,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        self.0.build(cx, name, spec, output).await
    }
    async fn resolve(&self, _: &Context, _: &ImageSpec, _: &dyn TaskOutput) -> Result<Image> {
        Ok(Image { reference: "app:1".into(), id: "sha256:swapped".into(), digest: None })
    }
    async fn push(
        &self,
        cx: &Context,
        name: &ServiceName,
        spec: &ImageSpec,
        image: &Image,
        output: &dyn TaskOutput,
    ) -> Result<Image> {
        self.0.push(cx, name, spec, image, output).await
    }
    async fn is_obtainable(&self, cx: &Context, image: &Image) -> Result<bool> {
        self.0.is_obtainable(cx, image).await
    }
}

#[tokio::test(start_paused = true)]
async fn another_image_than_the_proven_one_is_noticed() {
    let two = Two::new().await;
    let request = DeployRequest::promote(two.proven().await, spec()).unwrap();
    let pipeline = two.at_production(Arc::new(Swapping(two.images.clone())));
    let report = pipeline.deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "refused");
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Conflict);
    assert!(cause.message.contains("web would run sha256:swapped"), "{cause}");
    assert_eq!(two.production.world.live(), []);
}

/// A run that was promoted and killed is taken over like any other.
#[tokio::test(start_paused = true)]
async fn a_promotion_that_was_interrupted_is_finished() {
    let two = Two::new().await;
    let request = DeployRequest::promote(two.proven().await, spec()).unwrap();
    let images = Arc::new(two.images.clone());
    let hangs = Arc::new(
        Faulty::new(two.production.deployer())
            .with(ultrai_deploy_testkit::faulty::Fault::hang(Method::Switch).after()),
    );
    let target = Target::new(target().project, EnvironmentName::new("production").unwrap());
    let parts = Parts { deployer: hangs as Arc<dyn Deployer>, images, ..two.production.parts() };
    let run = parts.build_as(target, SECRET).unwrap().deploy(request);
    let id: RunId = run.id().clone();
    let mut states = run.watch();
    tokio::select! {
        _ = run.join() => panic!("it hangs"),
        _ = states.wait_for(|state| state.open_attempt().is_some_and(|open| {
            open.step == ultrai_deploy_core::deployer::Step::Switch
        })) => {}
    }
    let pipeline = two.at_production(Arc::new(two.images.clone()));
    let run = pipeline.resume(false, ultrai_deploy_core::lease::Wait::No).await.unwrap().unwrap();
    let report = run.join().await.unwrap();
    assert_eq!((&report.run, ended(&report)), (&id, "succeeded"), "{report}");
    assert!(matches!(report.kind, Some(Kind::Promotion { .. })));
}
