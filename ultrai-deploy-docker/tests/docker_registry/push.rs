//! Pushing, and finding again what was pushed.

use serde_json::json;
use ultrai_deploy_core::{
    Chain, Effect, ErrorKind, image::ImageStore, release::Image, spec::ImageSpec, task::NoOutput,
};
use ultrai_deploy_docker::registry::Registries;
use ultrai_deploy_testkit::registry::Access;

use crate::{
    shelf::{Shelf, project, service, store_with},
    support,
};

#[tokio::test]
async fn what_is_built_is_pushed_and_known_by_the_digest_of_the_registry() {
    let shelf = Shelf::new(Access::Open).await;
    let store = store_with(Registries::new());
    let built = shelf.build(&store).await;
    let pushed = shelf.push(&store, &built).await.unwrap();
    assert_eq!((&pushed.reference, &pushed.id), (&shelf.remote(), &built.id));
    let told = shelf.docker.inspect_registry_image(&shelf.remote(), None).await.unwrap();
    assert_eq!(pushed.digest, told.descriptor.digest);
    assert!(shelf.output.text().contains("digest: sha256:"), "{}", shelf.output.text());

    // What is there is found as it was pushed, and not sent again.
    let found = store.resolve(&shelf.cx, &shelf.spec(), &NoOutput).await.unwrap();
    assert_eq!(found, pushed);
    shelf.output.clear();
    assert_eq!(shelf.push(&store, &found).await.unwrap(), pushed);
    assert_eq!(shelf.output.text(), "");
    // What was built again is, so that its tag is there.
    assert_eq!(shelf.push(&store, &built).await.unwrap(), pushed);
    assert!(shelf.output.text().contains("digest: sha256:"), "{}", shelf.output.text());
    // A registry that was emptied gets it again.
    shelf.registry.forget(&format!("{}/web", project(&shelf.cx)));
    assert_eq!(shelf.push(&store, &found).await.unwrap(), pushed);
    assert!(store.is_obtainable(&shelf.cx, &pushed).await.unwrap());
    support::remove_image(&shelf.docker, &built.id).await;
}

#[tokio::test]
async fn an_image_that_the_engine_has_no_more_comes_back_by_its_digest() {
    let shelf = Shelf::new(Access::Login).await;
    let pushed = shelf.pushed().await;
    let store = shelf.right();
    assert!(!shelf.has(&pushed.id).await);
    assert!(store.is_obtainable(&shelf.cx, &pushed).await.unwrap());
    let stranger = store_with(Registries::new());
    let error = stranger.is_obtainable(&shelf.cx, &pushed).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied, "{}", Chain(&error));

    // Another image has its tag by now.
    let other = shelf.docker.inspect_image(support::BUSYBOX).await.unwrap().id.unwrap();
    let other = Image { reference: support::BUSYBOX.into(), id: other, digest: None };
    let moved = shelf.push(&store, &other).await.unwrap();
    assert_ne!(moved.digest, pushed.digest);

    let exact = ImageSpec { exact: Some(pushed.clone()), ..ImageSpec::new("nothing:1") };
    let found = store.resolve(&shelf.cx, &exact, &shelf.output).await.unwrap();
    assert_eq!(found, pushed);
    assert!(shelf.has(&pushed.id).await);

    support::remove_image(&shelf.docker, &pushed.id).await;
    shelf.registry.forget(&format!("{}/web", project(&shelf.cx)));
    assert!(!store.is_obtainable(&shelf.cx, &pushed).await.unwrap());
    let error = store.resolve(&shelf.cx, &exact, &shelf.output).await.unwrap_err();
    let told = Chain(&error).to_string();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::NotFound, Effect::None), "{told}");
    let never_pushed = Image { digest: None, ..pushed };
    assert!(!store.is_obtainable(&shelf.cx, &never_pushed).await.unwrap());
    let exact = ImageSpec { exact: Some(never_pushed), ..ImageSpec::new("nothing:1") };
    let error = store.resolve(&shelf.cx, &exact, &shelf.output).await.unwrap_err();
    assert!(error.advice().unwrap().contains("`registry` in deploy.toml"), "{error}");
}

#[tokio::test]
async fn an_image_is_built_from_one_that_wants_a_login() {
    let shelf = Shelf::new(Access::Login).await;
    let base = shelf.pushed().await;
    let dockerfile = format!("FROM {}\nLABEL more=1\n", shelf.remote());
    let recipe = json!({ "context": shelf.directory.path(), "dockerfile_inline": dockerfile });
    let spec = ImageSpec { build: Some(recipe), push: None, ..shelf.spec() };
    let strangers = [Registries::new(), shelf.config(&json!({ "credsStore": "absent" }))];
    for registries in strangers {
        let refused =
            store_with(registries).build(&shelf.cx, &service(), &spec, &shelf.output).await;
        assert_eq!(refused.unwrap_err().effect(), Effect::None);
    }
    let warned = shelf.output.text();
    assert!(warned.contains("warning: no login for 127.0.0.1"), "{warned}");
    let image = shelf.right().build(&shelf.cx, &service(), &spec, &shelf.output).await.unwrap();
    support::remove_image(&shelf.docker, &image.id).await;
    support::remove_image(&shelf.docker, &base.id).await;
}

#[tokio::test]
async fn a_push_that_fails_changes_nothing_and_says_what_to_do() {
    let shelf = Shelf::new(Access::Login).await;
    let store = shelf.right();
    let built = shelf.build(&store).await;
    for (registries, says) in [
        (Registries::new(), "none is known"),
        (shelf.explicit("wrong-wrong"), "does not accept the credentials"),
    ] {
        let error = shelf.push(&store_with(registries), &built).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::None));
        assert!(error.message().contains(says), "{}", Chain(&error));
        assert!(error.advice().unwrap().contains("docker login"), "{error}");
        assert!(!Chain(&error).to_string().contains("wrong-wrong"), "{}", Chain(&error));
    }
    // Nothing listens there.
    let nowhere = ImageSpec { push: Some("127.0.0.1:1/web:1".into()), ..shelf.spec() };
    let error =
        store.push(&shelf.cx, &service(), &nowhere, &built, &shelf.output).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    assert!(error.is_retryable() && error.message().contains("127.0.0.1:1"), "{error}");

    assert_eq!(shelf.push(&store, &built).await.unwrap().id, built.id);
    support::remove_image(&shelf.docker, &built.id).await;
}
