//! Scripts, run by the real k6. `ULTRAI_K6` says where it is; scripts/k6 finds it.

use std::{path::PathBuf, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;
use ultrai_deploy_core::{
    Chain, Error, ErrorKind, Result,
    health::{Endpoint, Health, Role},
    name::SecretName,
    secret::{Secret, Secrets},
    verification::{NoProbes, ProbeSource as _},
};
use ultrai_deploy_load::{Probes, k6::K6};

use crate::{
    check, context,
    keeping::{Act, Server},
    measured, why,
};

fn k6() -> K6 {
    let program: PathBuf = std::env::var_os("ULTRAI_K6")
        .expect("set ULTRAI_K6 to what `scripts/k6 --install` prints")
        .into();
    K6::at(program)
}

async fn run(k6: K6, url: &str, script: &str, limit: &str) -> Result<Health> {
    let form: Value = json!({"k6": {
        "script": script, "url": url, "env": {"COUNT": "20"},
        "secret_env": {"TOKEN": "API_TOKEN"}, "duration_limit": limit,
    }});
    let probe = Probes::new(Arc::new(NoProbes)).with_k6(k6).probe(&check(form))?;
    let name = SecretName::new("API_TOKEN").unwrap();
    let cx = context().with_secrets(Secrets::from([(name, Secret::new("hunter2-hunter2"))]));
    probe.check(&cx, &Endpoint::none(Role::Live)).await
}

fn script(thresholds: &str, last: &str) -> String {
    format!(
        "import http from 'k6/http';
         export const options = {{ iterations: Number(__ENV.COUNT), thresholds: {{ {thresholds} }} }};
         export default function () {{ http.get(__ENV.BASE_URL + '/x?t=' + __ENV.TOKEN); {last} }}"
    )
}

#[tokio::test]
async fn thresholds_that_are_kept_and_that_are_crossed() {
    let server = Server::start(|number| Act::Status(if number % 4 == 0 { 500 } else { 200 })).await;
    let kept = script("http_req_failed: ['rate<0.5'], http_reqs: ['count==20']", "");
    let health = run(k6(), &server.url(), &kept, "30s").await.unwrap();
    let Health::Healthy(evidence) = &health else { panic!("{health:?}") };
    assert!(evidence[0].text.contains("20 requests"), "{evidence:?}");
    assert_eq!(measured(&health)["k6"]["http_reqs"]["values"]["count"], 20);

    let crossed = script("http_req_failed: ['rate<0.1', 'rate<0.9']", "");
    let health = run(k6(), &server.url(), &crossed, "30s").await.unwrap();
    assert!(matches!(health, Health::Unhealthy { .. }), "{health:?}");
    let told = "http_req_failed: rate<0.1 was asked, it is 0.25;";
    assert!(why(&health).starts_with(told), "{}", why(&health));
    assert!(!why(&health).contains("rate<0.9"), "{}", why(&health));
}

fn shown(error: &Error) -> String {
    format!("{} {:?}", Chain(error), error.evidence())
}

#[tokio::test]
async fn what_cannot_be_measured_is_an_error_that_shows_no_secret() {
    let server = Server::start(|_| Act::Status(200)).await;
    let broken = "throw new Error('cannot use ' + __ENV.TOKEN);";
    let error = run(k6(), &server.url(), broken, "30s").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected);
    let text = shown(&error);
    assert!(text.contains("exit code 107") && text.contains("cannot use ***"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");

    let began = Instant::now();
    let endless = script("", "while (true) { http.get(__ENV.BASE_URL); }");
    let error = run(k6(), &server.url(), &endless, "1s").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    assert!(error.advice().unwrap().contains("duration_limit"), "{error}");
}

#[tokio::test]
async fn without_a_k6_it_says_what_to_do() {
    let empty = tempfile::tempdir().unwrap();
    let error = run(K6::on_path(empty.path()), "http://127.0.0.1:1", "x", "1s").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.advice().unwrap().contains("install"), "{error}");
}
