//! An engine that repeats what it was told, credentials included.

use serde_json::json;
use ultrai_deploy_core::{
    Chain, Context,
    image::ImageStore,
    memory,
    name::SecretName,
    release::Image,
    secret::Secret,
    spec::{ImageSpec, PullPolicy},
};
use ultrai_deploy_docker::{Config, Engine, image::Store, registry::Registries};
use ultrai_deploy_testkit::server::{Answer, Request, Server};

use crate::{
    shelf::service,
    support::{self, Output},
};

const PASSWORD: &str = "canary?>~canary";

fn answer(request: &Request) -> Answer {
    if request.path.ends_with("/version") {
        let version = json!({ "ApiVersion": "1.41", "MinAPIVersion": "1.12" });
        return Answer::json(200, version.to_string());
    }
    let Some(auth) = request.header("x-registry-auth") else {
        return Answer::text(201, "");
    };
    assert!(!auth.contains(['+', '/']), "{auth}");
    let echo = format!("{auth} {PASSWORD} c2hvcDpjYW5hcnk/Pn5jYW5hcnk=");
    if request.path.contains("/distribution/") {
        return Answer::json(401, json!({ "message": echo }).to_string());
    }
    let lines = [json!({ "status": echo }), json!({ "errorDetail": { "message": echo } })];
    Answer::text(200, lines.map(|line| line.to_string()).join("\n"))
}

async fn look(cx: &Context, store: &Store, output: &Output) -> Vec<ultrai_deploy_core::Error> {
    let image = Image {
        reference: "r.io/web:1".into(),
        id: "sha256:1".into(),
        digest: Some("sha256:2".into()),
    };
    let spec = ImageSpec { push: Some("r.io/web:2".into()), ..ImageSpec::new("web:1") };
    let pull = ImageSpec { pull: PullPolicy::Always, ..ImageSpec::new("r.io/web:1") };
    vec![
        store.push(cx, &service(), &spec, &image, output).await.unwrap_err(),
        store.resolve(cx, &pull, output).await.unwrap_err(),
        store
            .push(
                cx,
                &service(),
                &ImageSpec { push: Some("r.io/web:1".into()), ..spec },
                &image,
                output,
            )
            .await
            .unwrap_err(),
    ]
}

#[tokio::test]
async fn an_echo_of_the_credentials_is_shown_to_nobody() {
    let server = Server::start(answer).await.unwrap();
    let engine = Engine::new(&Config::at(format!("tcp://{}", server.address())));
    let name = SecretName::new("PASSWORD").unwrap();
    let secrets: memory::Secrets = [(name.clone(), Secret::new(PASSWORD))].into_iter().collect();
    let registries = Registries::new()
        .with_login("https://r.io/v2/", "shop", name)
        .with_secrets(std::sync::Arc::new(secrets));
    let store = Store::new(engine).with_registries(registries);
    let output = Output::default();
    let mut told: Vec<_> = look(&support::context(), &store, &output)
        .await
        .iter()
        .map(|error| format!("{} {error:?} {:?}", Chain(error), error.evidence()))
        .collect();
    told.push(output.text());
    let sent: Vec<_> = server.requests();
    let auth = sent.iter().find_map(|request| request.header("x-registry-auth")).unwrap();
    for text in &told {
        assert!(text.contains("***"), "{text}");
        assert!(!text.contains("canary") && !text.contains("Y2FuYXJ5"), "{text}");
        assert!(!text.contains(auth.trim_end_matches('=')), "{text}");
        assert!(!text.contains("c2hvcDpjYW5hcnk"), "{text}");
    }
}
