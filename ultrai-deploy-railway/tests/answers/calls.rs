//! What the methods make of answers that are good, and which calls are sent again.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};
use ultrai_deploy_core::{Effect, Error, ErrorKind, Result, error::Chain, secret::Secret};
use ultrai_deploy_railway::model::{
    BackupId, Deployment, Deploys, LogRange, RegistryCredentials, Variables, VariablesOf,
    VolumeInstanceId,
};
use ultrai_deploy_testkit::server::{Answer, Server};

use crate::{
    canned::{answering, complaint, data, id, shown},
    support::{TOKEN, at, client, context},
};

const VALUE: &str = "hunter2-value-hunter2";

fn page(names: &[&str], cursor: Option<&str>) -> Answer {
    let edge = |id: &&str| json!({ "node": { "id": id, "status": "SUCCESS" } });
    let mut edges = names.iter().map(edge).collect::<Vec<_>>();
    edges.extend([Value::Null, json!({ "node": null })]);
    let info = json!({ "hasNextPage": true, "endCursor": cursor });
    data(&json!({ "deployments": { "edges": edges, "pageInfo": info } }))
}

async fn list(answers: Vec<Answer>, at_most: usize) -> (Vec<Value>, Result<Vec<String>>) {
    let server = Server::queue(answers).await.unwrap();
    let listed = client(&server).deployments(&context(), &at(), at_most).await;
    let sent = server.requests().into_iter().map(|request| {
        serde_json::from_slice::<Value>(&request.body).unwrap()["variables"]["after"].take()
    });
    let ids = |all: Vec<Deployment>| all.into_iter().map(|one| one.id.to_string()).collect();
    (sent.collect(), listed.map(ids))
}

#[tokio::test]
async fn a_list_ends_where_it_is_long_enough() {
    let last =
        data(&json!({ "deployments": { "edges": [{ "node": { "id": "e", "status": "FAILED" } }],
        "pageInfo": { "hasNextPage": false, "endCursor": "3" } } }));
    let pages = || vec![page(&["a", "b"], Some("1")), page(&["c", "d"], Some("2")), last.clone()];
    let (after, listed) = list(pages(), 3).await;
    assert_eq!(listed.unwrap(), ["a", "b", "c"]);
    assert_eq!(after, [Value::Null, json!("1")]);
    let (after, listed) = list(pages(), 99).await;
    assert_eq!(listed.unwrap(), ["a", "b", "c", "d", "e"]);
    assert_eq!(after, [Value::Null, json!("1"), json!("2")]);
}

#[tokio::test]
async fn a_list_that_does_not_end_is_an_error() {
    let circle = vec![page(&["a"], Some("1")), page(&["b"], Some("2")), page(&["a"], Some("1"))];
    let (after, listed) = list(circle, 99).await;
    let error = listed.unwrap_err();
    assert!(error.message().contains("in a circle"), "{error}");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::None));
    assert_eq!(after.len(), 3);

    let (_, listed) = list(vec![page(&["a"], None)], 99).await;
    assert!(listed.unwrap_err().message().contains("nothing tells where"));

    let turn = AtomicUsize::new(0);
    let endless = move |_: &_| page(&[], Some(&turn.fetch_add(1, Ordering::SeqCst).to_string()));
    let server = Server::start(endless).await.unwrap();
    let error = client(&server).deployments(&context(), &at(), 5).await.unwrap_err();
    assert!(error.message().contains("more than 100 pages"), "{error}");
    assert_eq!(server.requests().len(), 100);
}

#[tokio::test]
async fn of_a_log_the_last_lines_are_kept() {
    let line = |n: u32| json!({ "message": format!("line {n}"), "timestamp": null });
    let lines = (0..=3).map(line).collect::<Vec<_>>();
    let answer = json!({ "buildLogs": lines, "deploymentLogs": [] });
    let (_server, client) = answering(data(&answer)).await;
    let log = client.build_logs(&context(), &id(), &LogRange::last(3)).await.unwrap();
    let said = log.iter().map(|line| line.message.as_str()).collect::<Vec<_>>();
    assert_eq!(said, ["line 1", "line 2", "line 3"]);
    assert_eq!(client.deploy_logs(&context(), &id(), &LogRange::last(3)).await.unwrap(), []);
}

#[tokio::test]
async fn a_backup_may_begin_without_telling_its_workflow() {
    let answer = json!({ "volumeInstanceBackupCreate": { "workflowId": null },
        "volumeInstanceBackupRestore": { "workflowId": "w" } });
    let (_server, client) = answering(data(&answer)).await;
    let (volume, backup) = (VolumeInstanceId::new("v"), BackupId::new("b"));
    assert_eq!(client.create_backup(&context(), &volume, "x").await.unwrap(), None);
    let workflow = client.restore_backup(&context(), &volume, &backup).await.unwrap();
    assert_eq!(workflow.unwrap().as_str(), "w");
}

#[tokio::test]
async fn no_value_of_a_variable_is_shown() {
    let (cx, of) = (context(), VariablesOf::from(at()));
    let values = BTreeMap::from([("KEY".to_owned(), Secret::new(VALUE))]);
    let said = format!("Variable \"$input\" got invalid value \"{VALUE}\" with {TOKEN}");
    let (_server, client) = answering(complaint(&said, Some("BAD_USER_INPUT"))).await;
    let upsert = client.upsert_variables(&cx, &of, &values, Deploys::Skipped).await.unwrap_err();
    let password = Secret::new(VALUE);
    let credentials = RegistryCredentials { username: "u".to_owned(), password };
    let source = client.set_source_image(&cx, &at(), "repo:1", Some(&credentials)).await;
    for error in [upsert, source.unwrap_err()] {
        let shown = shown(&error);
        assert!(shown.contains("got invalid value"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
    assert!(!format!("{values:?} {credentials:?}").contains("hunter2"));

    // A proxy that fails and shows what it was sent.
    for (status, body) in [(403, said.clone()), (500, said.clone()), (200, format!("<p>{said}"))] {
        let (_server, client) = answering(Answer::text(status, body)).await;
        let error = client.upsert_variables(&cx, &of, &values, Deploys::Skipped).await;
        let shown = shown(&error.unwrap_err());
        assert!(shown.contains("got invalid value"), "{shown}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }

    for body in [
        json!({ "data": { "variables": { "KEY": [VALUE] } } }).to_string(),
        json!({ "data": { "variables": VALUE } }).to_string(),
        json!({ "data": null, "errors": VALUE }).to_string(),
        json!([{ "KEY": VALUE }]).to_string(),
        format!(r#"{{"data":{{"variables":{{"KEY":"{VALUE}"#),
    ] {
        let (_server, client) = answering(Answer::json(200, body.clone())).await;
        let error = client.variables(&cx, &of).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unexpected, "{body}");
        assert!(!shown(&error).contains("hunter2"), "{body}: {}", shown(&error));
    }
}

#[tokio::test]
async fn a_sealed_variable_has_a_name_and_no_value() {
    let answer = json!({ "variables": { "URL": "${{Postgres.URL}}", "SEALED": null } });
    let (_server, client) = answering(data(&answer)).await;
    let Variables(read) = client.variables(&context(), &at().into()).await.unwrap();
    assert_eq!(read["URL"].as_ref().unwrap().expose(), "${{Postgres.URL}}");
    assert!(read["SEALED"].is_none());
    assert_eq!(read.len(), 2);
}

/// Whatever changes something more the second time is sent once.
#[tokio::test]
async fn only_what_may_be_repeated_is() {
    let values = BTreeMap::from([("KEY".to_owned(), Secret::new(VALUE))]);
    let whole = || {
        data(&json!({
            "deployment": { "id": "d", "status": "SUCCESS" },
            "variableCollectionUpsert": true,
            "serviceInstanceDeployV2": "d",
            "deploymentRollback": true,
        }))
    };
    let server = async || {
        let server = Server::queue([Answer::json(502, "bad gateway"), whole()]).await.unwrap();
        let client = client(&server);
        (server, client)
    };
    let (cx, of) = (context(), VariablesOf::from(at()));
    let (_server, client) = server().await;
    client.deployment(&cx, &id()).await.unwrap();
    let (_server, client) = server().await;
    client.upsert_variables(&cx, &of, &values, Deploys::Skipped).await.unwrap();

    let once = |sent: &Server, error: Error| {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
        assert_eq!(sent.requests().len(), 1, "{error}");
    };
    let (sent, client) = server().await;
    let triggered = client.upsert_variables(&cx, &of, &values, Deploys::Triggered).await;
    once(&sent, triggered.unwrap_err());
    let (sent, client) = server().await;
    once(&sent, client.deploy(&cx, &at(), None).await.unwrap_err());
    let (sent, client) = server().await;
    once(&sent, client.rollback(&cx, &id()).await.unwrap_err());
}

#[tokio::test]
async fn a_deploy_without_an_id_cannot_be_followed() {
    let (_server, client) = answering(data(&json!({ "serviceInstanceDeployV2": "" }))).await;
    let error = client.deploy(&context(), &at(), None).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::Unknown));
}

#[tokio::test]
async fn an_archive_is_uploaded_beside_the_graphql_endpoint() {
    let taken = json!({ "deploymentId": "d-1", "url": null, "logsUrl": "https://x/logs" });
    let (server, client) = answering(Answer::json(200, taken.to_string())).await;
    let archive = b"\x1f\x8b not read here".to_vec();
    let uploaded = client.upload(&context(), &at(), archive.clone(), "1.4.0 & more").await.unwrap();
    assert_eq!(uploaded.deployment_id.as_str(), "d-1");
    let request = server.requests().pop().unwrap();
    assert_eq!(
        request.path,
        "/project/project-1/environment/environment-1/up?serviceId=service-1&message=1.4.0+%26+more"
    );
    assert_eq!(request.header("content-type"), Some("application/gzip"));
    assert_eq!(request.header("authorization"), Some(format!("Bearer {TOKEN}").as_str()));
    assert_eq!(request.body, archive);

    for (answer, kind, effect, words) in [
        (Answer::text(413, "too large"), ErrorKind::Invalid, Effect::None, "of 3 bytes"),
        (
            Answer::json(400, r#"{"message":"no Dockerfile"}"#),
            ErrorKind::Invalid,
            Effect::None,
            "no Dockerfile",
        ),
        (Answer::text(502, ""), ErrorKind::Unavailable, Effect::Unknown, "platform failed"),
        (Answer::json(200, "{}"), ErrorKind::Unexpected, Effect::Unknown, "form"),
    ] {
        let (server, client) = answering(answer).await;
        let error = client.upload(&context(), &at(), vec![1, 2, 3], "x").await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, effect), "{error}");
        assert!(Chain(&error).to_string().contains(words), "{words}: {}", Chain(&error));
        assert_eq!(server.requests().len(), 1, "an upload deploys: it is sent once");
    }
}

#[test]
fn variables_show_their_names_only() {
    let variables = Variables([("KEY".to_owned(), Some(Secret::new(VALUE)))].into());
    assert!(!format!("{variables:?}").contains("hunter2"));
    assert!(format!("{variables:?}").contains("KEY"));
}
