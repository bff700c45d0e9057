//! Images on a real engine: built, cached, refused, found, not to be had.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::{fs, path::Path, time::Duration};

use serde_json::json;
use tempfile::TempDir;
use ultrai_deploy_core::{
    Cancel, Chain, Context, Effect, ErrorKind, Result,
    image::ImageStore,
    name::ServiceName,
    release::Image,
    spec::{ImageSpec, PullPolicy},
    task::NoOutput,
};
use ultrai_deploy_docker::{bollard::Docker, image::Store, labels};

use self::support::{BUSYBOX, Output};

struct Bench {
    cx: Context,
    docker: Docker,
    store: Store,
    output: Output,
    directory: TempDir,
}

impl Bench {
    async fn new() -> Self {
        let engine = support::engine();
        let output = Output::default();
        Self {
            cx: support::context(),
            docker: support::busybox(&engine).await,
            store: Store::new(engine),
            output,
            directory: TempDir::new().unwrap(),
        }
    }

    fn write(&self, path: &str, content: &str) {
        let path = self.directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, content).unwrap();
    }

    fn reference(&self) -> String {
        format!("{}-web:test", self.cx.target().project)
    }

    fn spec(&self, mut build: serde_json::Value) -> ImageSpec {
        build["context"] = json!(self.directory.path());
        ImageSpec {
            reference: self.reference(),
            build: Some(build),
            pull: PullPolicy::Missing,
            ..ImageSpec::default()
        }
    }

    async fn build(&self, build: serde_json::Value) -> Result<Image> {
        self.output.clear();
        let service = ServiceName::new("web").unwrap();
        self.store.build(&self.cx, &service, &self.spec(build), &self.output).await
    }
}

#[tokio::test]
async fn a_context_is_built_and_built_again_from_the_cache() {
    let bench = Bench::new().await;
    bench.write(".dockerignore", "*\n!kept\n");
    bench.write("ignored", "ignored");
    bench.write("kept/a", "a");
    bench.write(
        "Dockerfile",
        &format!(
            "FROM {BUSYBOX}\nARG GREETING\nCOPY . /context\nRUN echo $GREETING && ls -R /context\n"
        ),
    );
    let build = json!({ "args": { "GREETING": "good morning" }, "labels": { "own": "label" } });
    let first = bench.build(build.clone()).await.unwrap();

    let output = bench.output.text();
    assert!(output.contains("Step 1/"), "{output}");
    assert!(output.contains("good morning"), "{output}");
    assert!(output.contains("kept") && !output.contains("ignored"), "{output}");
    assert!(output.contains("build context: 4 entries"), "{output}");

    let inspect = bench.docker.inspect_image(&bench.reference()).await.unwrap();
    assert_eq!(inspect.id.as_deref(), Some(first.id.as_str()));
    assert_eq!(first.reference, bench.reference());
    let found = inspect.config.unwrap().labels.unwrap();
    assert_eq!(found[labels::PROJECT], bench.cx.target().project.as_str());
    assert_eq!(found[labels::SERVICE], "web");
    assert_eq!(found["own"], "label");

    let second = bench.build(build).await.unwrap();
    assert_eq!(second, first, "the same inputs give the same image");
    assert!(bench.output.text().contains("Using cache"), "{}", bench.output.text());

    assert!(bench.store.is_obtainable(&bench.cx, &first).await.unwrap());
    assert_eq!(
        bench.store.resolve(&bench.cx, &bench.spec(json!({})), &NoOutput).await.unwrap(),
        first
    );
    support::remove_image(&bench.docker, &first.id).await;
    assert!(!bench.store.is_obtainable(&bench.cx, &first).await.unwrap());
}

#[tokio::test]
async fn a_dockerfile_from_elsewhere_is_not_in_the_image() {
    let bench = Bench::new().await;
    bench.write("a", "a");
    let dockerfile = format!(
        "FROM {BUSYBOX} AS one\nCOPY . /context\nRUN ls -A /context\nFROM one\nRUN false\n"
    );
    let build = json!({ "dockerfile_inline": dockerfile, "target": "one", "tags": ["ut-extra:1"] });
    let image = bench.build(build).await.unwrap();
    let output = bench.output.text();
    assert!(output.lines().any(|line| line == "a"), "{output}");
    assert!(!output.lines().any(|line| line.starts_with(".docker")), "{output}");
    let tagged = bench.docker.inspect_image("ut-extra:1").await.unwrap();
    assert_eq!(tagged.id, Some(image.id.clone()));
    support::remove_image(&bench.docker, &image.id).await;
}

#[tokio::test]
async fn a_failing_build_shows_its_last_lines() {
    let bench = Bench::new().await;
    bench.write("Dockerfile", &format!("FROM {BUSYBOX}\nRUN echo the cause && exit 7\n"));
    let error = bench.build(json!({})).await.unwrap_err();
    assert_eq!(error.effect(), Effect::None);
    assert!(error.evidence()[0].text.contains("\nthe cause\n"), "{:?}", error.evidence());
    assert!(Chain(&error).to_string().contains("returned a non-zero code: 7"), "{}", Chain(&error));
}

#[tokio::test]
async fn a_dockerfile_that_means_nothing_is_refused() {
    let bench = Bench::new().await;
    bench.write("Dockerfile", "FORM scratch\n");
    let error = bench.build(json!({})).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None));
    assert!(Chain(&error).to_string().contains("FORM"), "{}", Chain(&error));
}

#[tokio::test]
async fn what_the_builder_cannot_do_is_refused_before_anything_is_sent() {
    let bench = Bench::new().await;
    let error =
        bench.build(json!({ "unsupported": ["ssh"], "cache_to": ["x"] })).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);
    assert!(error.message().contains("ssh, cache_to"), "{error}");
    assert_eq!(bench.output.text(), "");
}

#[tokio::test]
async fn a_build_ends_with_its_deadline_and_with_a_cancellation() {
    let bench = Bench::new().await;
    bench.write("Dockerfile", &format!("FROM {BUSYBOX}\nRUN sleep 600\n"));
    let service = ServiceName::new("web").unwrap();
    let spec = bench.spec(json!({ "no_cache": true }));
    let cx = bench.cx.clone().with_timeout(Duration::from_secs(1));
    let error = bench.store.build(&cx, &service, &spec, &bench.output).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);

    let cancel = Cancel::new();
    let cx = bench.cx.clone().with_cancel(cancel.clone());
    bench.output.clear();
    let building = bench.store.build(&cx, &service, &spec, &bench.output);
    let stop = async {
        support::until("the build has begun", || async {
            bench.output.text().contains("sleep 600").then_some(())
        })
        .await;
        cancel.cancel();
    };
    let (built, ()) = tokio::join!(building, stop);
    assert_eq!(built.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[tokio::test]
async fn an_image_that_nobody_has_is_told_with_what_to_do() {
    let bench = Bench::new().await;
    let spec = |reference: &str, pull| ImageSpec {
        reference: reference.into(),
        build: None,
        pull,
        ..ImageSpec::default()
    };
    let resolve = async |reference: &str, pull| {
        bench.store.resolve(&bench.cx, &spec(reference, pull), &NoOutput).await
    };

    let error = resolve("ultrai-test/nowhere:1", PullPolicy::Never).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::NotFound, Effect::None));
    assert!(error.advice().unwrap().contains("docker pull"));

    let built = bench.spec(json!({}));
    let error = bench.store.resolve(&bench.cx, &built, &NoOutput).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.advice().unwrap().contains("--skip-build"));

    // A registry on a port where nothing listens: no name is looked up, nothing leaves the host.
    let error = resolve("127.0.0.1:1/nowhere:1", PullPolicy::Missing).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert!(error.is_retryable() && error.message().contains("127.0.0.1:1/nowhere:1"), "{error}");

    let error = resolve("NOT a reference", PullPolicy::Missing).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{}", Chain(&error));
}

#[tokio::test]
async fn an_image_on_the_engine_is_not_pulled() {
    let bench = Bench::new().await;
    let id = bench.docker.inspect_image(BUSYBOX).await.unwrap().id.unwrap();
    for (reference, pull) in [
        (BUSYBOX, PullPolicy::Missing),
        (BUSYBOX, PullPolicy::Never),
        (id.as_str(), PullPolicy::Missing),
        (id.as_str(), PullPolicy::Always),
    ] {
        let spec =
            ImageSpec { reference: reference.into(), build: None, pull, ..ImageSpec::default() };
        let image = bench.store.resolve(&bench.cx, &spec, &NoOutput).await.unwrap();
        assert_eq!(image, Image { reference: reference.into(), id: id.clone(), digest: None });
    }
}
