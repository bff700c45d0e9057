//! Every kind of login, right, wrong and none.

use std::fs;

use serde_json::json;
use ultrai_deploy_core::{Chain, ErrorKind};
use ultrai_deploy_docker::registry::Registries;
use ultrai_deploy_testkit::registry::{Access, PASSWORD, USER};

use crate::{
    shelf::{Shelf, store_with},
    support,
};

/// base64 of `shop:pa?>~ss-word`.
const AUTH: &str = "c2hvcDpwYT8+fnNzLXdvcmQ=";

#[tokio::test]
async fn an_image_is_pulled_with_the_right_login_only() {
    let shelf = Shelf::new(Access::Login).await;
    let pushed = shelf.pushed().await;
    let host = shelf.registry.host();
    let digest = pushed.digest.clone().unwrap();
    let by_digest = format!("{}@{digest}", shelf.remote().trim_end_matches(":1"));
    let helper = format!(
        "read server; echo \"$server\" >>\"${{0%/*}}/asked\"; echo '{}'",
        json!({ "ServerURL": host, "Username": USER, "Secret": PASSWORD })
    );
    shelf.helper("right", &helper);
    let auths = json!({ "auths": { format!("http://{host}/v2/"): { "auth": AUTH } } });
    for (how, config) in [
        ("explicit", None),
        ("auths", Some(auths)),
        ("helper", Some(json!({ "credHelpers": { &host: "right" } }))),
        ("store", Some(json!({ "credsStore": "right", "auths": { &host: {} } }))),
    ] {
        let registries = config.map_or_else(|| shelf.explicit(PASSWORD), |it| shelf.config(&it));
        for reference in [shelf.remote(), by_digest.clone()] {
            let image = shelf.pull(&store_with(registries.clone()), &reference).await;
            let image = image.unwrap_or_else(|error| panic!("{how}: {}", Chain(&error)));
            assert_eq!((&image.id, &image.digest), (&pushed.id, &pushed.digest), "{how}");
            support::remove_image(&shelf.docker, &image.id).await;
        }
    }
    let asked = fs::read_to_string(shelf.directory.path().join("asked")).unwrap();
    assert_eq!(asked.lines().collect::<Vec<_>>(), [host.as_str(); 4]);
}

#[tokio::test]
async fn a_wrong_login_and_none_are_told_apart() {
    let shelf = Shelf::new(Access::Login).await;
    let pushed = shelf.pushed().await;
    let host = shelf.registry.host();
    let stranger = json!({ "auths": { "elsewhere.io": { "auth": AUTH } } });
    for (registries, says) in [
        (Registries::new(), "none is known"),
        (shelf.config(&stranger), "none is known"),
        (shelf.explicit("wrong-wrong"), "does not accept the credentials"),
    ] {
        let error = shelf.pull(&store_with(registries), &shelf.remote()).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Denied, "{}", Chain(&error));
        assert!(error.message().contains(says), "{error}");
        assert!(error.advice().unwrap().contains(&format!("docker login {host}")), "{error}");
        let text = format!("{} {error:?}", Chain(&error));
        assert!(!text.contains("wrong-wrong") && !text.contains(AUTH), "{text}");
    }
    assert!(!shelf.has(&pushed.id).await);
    let nobody = shelf
        .explicit(PASSWORD)
        .with_secrets(std::sync::Arc::new(ultrai_deploy_core::memory::Secrets::default()));
    let error = shelf.pull(&store_with(nobody), &shelf.remote()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("REGISTRY_PASSWORD"), "{error}");
}
