//! What becomes of what Railway answers, also of what it should not answer.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]

mod calls;
mod canned;
#[path = "../support/mod.rs"]
mod support;

use serde_json::{Value, json};
use ultrai_deploy_core::{Effect, Error, ErrorKind, error::Chain, secret::Secret};
use ultrai_deploy_railway::{
    Refusal, Token,
    model::{Deployment, DeploymentStatus, InstanceStatus, Standing},
};
use ultrai_deploy_testkit::server::{Answer, Server};

use self::{
    canned::{answering, complaint, data, id, shown},
    support::{TOKEN, at, client, client_with, context},
};

fn refusal(error: &Error) -> Refusal {
    let source = std::error::Error::source(error).unwrap();
    source.downcast_ref::<Refusal>().unwrap_or_else(|| panic!("{error:?}")).clone()
}

/// HTTP says 200 to all of these.
#[tokio::test]
async fn an_error_is_of_the_kind_that_it_tells_and_says_what_may_have_changed() {
    use ErrorKind::{Denied, Invalid, NotFound, Unavailable, Unexpected, Unsupported};
    let (internal, input) = (Some("INTERNAL_SERVER_ERROR"), Some("BAD_USER_INPUT"));
    let invalid = Some("GRAPHQL_VALIDATION_FAILED");
    // message, code, kind, and whether a call that changes something certainly did not
    for (message, code, kind, is_nothing_done) in [
        ("Not Authorized", None, Denied, true),
        ("Not Authorized", internal, Denied, true),
        ("Project Token not found", internal, Denied, true),
        ("Two Factor Authentication Required", None, Denied, true),
        ("x", Some("UNAUTHENTICATED"), Denied, true),
        ("Deployment not found", internal, NotFound, true),
        ("Commit not found", input, NotFound, true),
        ("Cannot query field \"x\" on type \"y\".", invalid, Unsupported, true),
        ("Syntax Error", Some("GRAPHQL_PARSE_FAILED"), Unsupported, true),
        ("Variable \"$id\" got invalid value", input, Invalid, true),
        ("Problem processing request", internal, Unavailable, false),
        ("Deployment can not be rolled back", None, Unexpected, false),
        ("No way", Some("SOMETHING_NEW"), Unexpected, false),
    ] {
        let (server, client) = answering(complaint(message, code)).await;
        let error = client.deployment(&context(), &id()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, Effect::None), "{message}: {error}");
        let error = client.rollback(&context(), &id()).await.unwrap_err();
        let effect = if is_nothing_done { Effect::None } else { Effect::Unknown };
        assert_eq!((error.kind(), error.effect()), (kind, effect), "{message}: {error}");
        assert_eq!(error.is_retryable(), kind == Unavailable, "{message}");
        assert_eq!(error.operation(), "roll back to a deployment");
        let refusal = refusal(&error);
        assert_eq!((refusal.message.as_str(), refusal.code.as_deref()), (message, code));
        assert_eq!(refusal.trace_id.as_deref(), Some("trace-7"));
        assert!(Chain(&error).to_string().ends_with("(trace trace-7)"), "{}", Chain(&error));
        assert_eq!(server.requests().len(), 2, "an answer that came is the answer");
    }
}

#[tokio::test]
async fn errors_without_form_are_errors() {
    for errors in [json!([{}]), json!([{ "message": null, "extensions": null, "path": null }])] {
        let body = json!({ "errors": errors, "data": { "deploymentRollback": true } });
        let (_server, client) = answering(Answer::json(200, body.to_string())).await;
        let error = client.rollback(&context(), &id()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::Unknown));
    }
    let errors = json!([{ "message": "bad", "extensions": { "traceId": "inner" } }]);
    let body = json!({ "errors": errors });
    let (_server, client) = answering(Answer::json(400, body.to_string())).await;
    let error = client.rollback(&context(), &id()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None));
    assert_eq!(refusal(&error).trace_id.as_deref(), Some("inner"));
    let body = json!({ "errors": [], "data": { "deploymentRollback": true } });
    let (_server, client) = answering(Answer::json(200, body.to_string())).await;
    client.rollback(&context(), &id()).await.unwrap();
}

/// The call was done; only something in its answer may not be seen.
#[tokio::test]
async fn an_error_below_the_root_does_not_claim_that_nothing_was_done() {
    let error = json!({ "message": "Not Authorized", "path": ["deploymentRedeploy", "meta"] });
    let body = json!({ "errors": [error], "data": null });
    let (_server, client) = answering(Answer::json(200, body.to_string())).await;
    let error = client.redeploy(&context(), &id(), true).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Denied, Effect::Unknown));
}

/// What is gone at the second attempt may be gone because of the first.
#[tokio::test]
async fn not_found_after_a_repeated_call_says_nothing_about_its_effect() {
    let answers = [Answer::json(502, "bad gateway"), complaint("Deployment not found", None)];
    let server = Server::queue(answers).await.unwrap();
    let error = client(&server).remove(&context(), &id()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::NotFound, Effect::Unknown));
    assert_eq!(server.requests().len(), 2);
}

#[tokio::test]
async fn a_refused_token_is_named_with_its_header_and_its_reach() {
    let server = Server::start(|_| complaint("Not Authorized", None)).await.unwrap();
    let secret = Secret::new(TOKEN);
    for (token, kind, header, value, advice) in [
        (
            Token::Account(secret.clone()),
            "Railway account token",
            "authorization",
            format!("Bearer {TOKEN}"),
            "member of the workspace",
        ),
        (
            Token::Workspace(secret.clone()),
            "Railway workspace token",
            "authorization",
            format!("Bearer {TOKEN}"),
            "its own workspace only",
        ),
        (
            Token::Project(secret),
            "Railway project token",
            "project-access-token",
            TOKEN.to_owned(),
            "one environment",
        ),
    ] {
        let client = client_with(&server, &token);
        let error = client.workspaces(&context()).await.unwrap_err();
        assert!(error.message().contains(kind), "{error}");
        assert!(error.advice().unwrap().contains(advice), "{error}");
        let request = server.requests().pop().unwrap();
        assert_eq!(request.header(header), Some(value.as_str()));
        let other =
            if header == "authorization" { "project-access-token" } else { "authorization" };
        assert_eq!(request.header(other), None);
        assert!(!shown(&error).contains(TOKEN) && !format!("{client:?}").contains(TOKEN));
    }
}

#[tokio::test]
async fn what_is_no_answer_is_told_as_such() {
    let html = "<!DOCTYPE html><title>error code: 1015</title>";
    for (answer, words) in [
        (Answer::text(200, html).with_header("Content-Type", "text/html"), "HTML page"),
        (Answer::text(400, html), "HTML page"),
        (Answer::text(200, ""), "is empty"),
        (Answer::json(200, "7"), "form"),
        (Answer::json(200, "{}"), "neither data nor errors"),
        (Answer::json(200, r#"{"data":null}"#), "neither data nor errors"),
        (Answer::json(200, r#"{"data":null,"errors":[]}"#), "neither data nor errors"),
        (Answer::json(200, r#"{"data":{}}"#), "nothing at /deployment"),
        (
            Answer::json(200, r#"{"data":{"deployment":null,"deploymentRollback":null}}"#),
            "nothing at /deployment",
        ),
        (
            Answer::json(200, r#"{"data":{"deployment":7,"deploymentRollback":7}}"#),
            "is of another form",
        ),
        (Answer::json(400, r#"{"data":{"deploymentRollback":true}}"#), "tells no error"),
    ] {
        let (_server, client) = answering(answer).await;
        let error = client.deployment(&context(), &id()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::None));
        assert!(error.message().contains(words), "{words}: {error}");
        let error = client.rollback(&context(), &id()).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::Unknown));
        assert!(error.message().contains(words), "{words}: {error}");
    }
}

#[tokio::test]
async fn a_rollback_that_is_refused_is_no_rollback() {
    let (_server, client) = answering(data(&json!({ "deploymentRollback": false }))).await;
    let error = client.rollback(&context(), &id()).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Conflict, Effect::Unknown));
    let body = json!({
        "data": { "deploymentRollback": true },
        "errors": [{ "message": "Deployment image was deleted" }],
    });
    let (_server, client) = answering(Answer::json(200, body.to_string())).await;
    let error = client.rollback(&context(), &id()).await.unwrap_err();
    assert!(Chain(&error).to_string().contains("Deployment image was deleted"), "{error}");
    let (_server, client) = answering(data(&json!({ "deploymentRollback": true }))).await;
    client.rollback(&context(), &id()).await.unwrap();
}

#[tokio::test]
async fn auto_deploy_that_stays_as_it_was_is_an_error() {
    let answer = json!({ "serviceInstanceAutoDeployUpdate": { "enabled": true } });
    let (_server, client) = answering(data(&answer)).await;
    client.set_auto_deploy(&context(), &at(), true).await.unwrap();
    let error = client.set_auto_deploy(&context(), &at(), false).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict);
}

#[tokio::test]
async fn what_is_missing_null_or_new_is_read() {
    let read = async |deployment: Value| -> Deployment {
        let (_server, client) = answering(data(&json!({ "deployment": deployment }))).await;
        client.deployment(&context(), &id()).await.unwrap()
    };
    let bare = read(json!({ "id": "d", "status": "CANCELLED" })).await;
    assert_eq!(bare.status, DeploymentStatus::Other("CANCELLED".to_owned()));
    assert_eq!(bare.status.standing(), Standing::Unknown);
    assert_eq!((bare.image(), bare.created_at, bare.can_rollback), (None, None, false));

    let nulls = read(json!({
        "id": "d", "status": "SUCCESS", "createdAt": null, "canRollback": null, "meta": null,
        "instances": null, "url": null,
    }));
    assert_eq!(nulls.await.instances, []);

    let odd = read(json!({
        "id": "d", "status": "SLEEPING", "createdAt": "yesterday", "new": { "field": 1 },
        "meta": { "image": "repo:1", "commitHash": "0123" },
        "instances": [{ "id": "i", "status": "HIBERNATING" }],
    }));
    let odd = odd.await;
    assert_eq!(odd.created_at, None);
    assert_eq!((odd.image(), odd.commit()), (Some("repo:1"), Some("0123")));
    assert_eq!(odd.instances[0].status, InstanceStatus::Other("HIBERNATING".to_owned()));

    let without_id = data(&json!({ "deployment": { "status": "SUCCESS" } }));
    let (_server, client) = answering(without_id).await;
    let error = client.deployment(&context(), &id()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unexpected, "what has no id is nothing");
}

/// No decision rests on a number, and none keeps a service from being read.
#[tokio::test]
async fn numbers_that_make_no_sense_are_not_known() {
    let instance = json!({
        "id": "instance-1", "serviceId": "service-1", "environmentId": "environment-1",
        "numReplicas": -1, "healthcheckTimeout": 300.0, "overlapSeconds": 1.5,
        "drainingSeconds": "30",
        "domains": { "serviceDomains": [{ "id": "d", "domain": "shop.example.com", "targetPort": -61 }] },
    });
    let answer = Answer::json(200, json!({ "data": { "serviceInstance": instance } }).to_string());
    let (_server, client) = answering(answer).await;
    let read = client.service_instance(&context(), &at()).await.unwrap();
    assert_eq!((read.num_replicas, read.healthcheck_timeout), (None, Some(300)));
    assert_eq!((read.overlap_seconds, read.draining_seconds), (None, None));
    assert_eq!(read.domains.service_domains[0].target_port, None);
}
