//! Answers that nobody promised.

use std::time::Duration;

use serde_json::{Value, json};
use ultrai_deploy_core::{Effect, ErrorKind, secret::Secret};
use ultrai_deploy_render::model::{
    BuildCache, DeployStatus, EventFilter, LogQuery, MetricQuery, Outcome, PostgresStatus,
    ServiceChange, Start, Started,
};
use ultrai_deploy_testkit::server::Answer;

use crate::rig::{Rig, service};

#[tokio::test]
async fn a_deploy_begins_or_is_queued() {
    let start = Start::Configured(BuildCache::Keep);
    for body in ["", "\n"] {
        let rig = Rig::always(202, body).await;
        let started = rig.client.start_deploy(&rig.cx, &service(), &start).await.unwrap();
        assert_eq!(started, Started::Queued);
    }
    // Render begins to tell what is queued some day: it is taken.
    let rig = Rig::always(202, r#"{"id":"dep-1","status":"queued"}"#).await;
    let started = rig.client.start_deploy(&rig.cx, &service(), &start).await.unwrap();
    assert!(matches!(started, Started::Deploy(deploy) if deploy.status == DeployStatus::Queued));
}

#[tokio::test]
async fn what_starts_something_is_sent_once() {
    let start = Start::LastBuild;
    let rig = Rig::always(500, "{}").await;
    let error = rig.client.start_deploy(&rig.cx, &service(), &start).await.unwrap_err();
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::Unknown));
    rig.client.rollback(&rig.cx, &service(), &"dep-1".into()).await.unwrap_err();
    rig.client.create_job(&rig.cx, &service(), "migrate", None).await.unwrap_err();
    rig.client.start_export(&rig.cx, &"dpg-1".into()).await.unwrap_err();
    rig.client.restart(&rig.cx, &service()).await.unwrap_err();
    assert_eq!(rig.requests().len(), 5);

    let rig = Rig::queue([Answer::json(500, "{}"), Answer::json(202, "")]).await;
    rig.client.scale(&rig.cx, &service(), 2).await.unwrap();
    assert_eq!(rig.requests().len(), 2);
}

#[tokio::test]
async fn every_status_has_its_meaning() {
    let words = [
        ("created", "goes on"),
        ("queued", "goes on"),
        ("build_in_progress", "goes on"),
        ("pre_deploy_in_progress", "goes on"),
        ("update_in_progress", "goes on"),
        ("live", "is live"),
        ("build_failed", "failed"),
        ("pre_deploy_failed", "failed"),
        ("update_failed", "failed"),
        ("canceled", "is over"),
        ("deactivated", "is over"),
        ("warming_up", "goes on"),
        ("", "goes on"),
    ];
    for (word, meaning) in words {
        let rig = Rig::always(200, &json!({ "id": "dep-1", "status": word }).to_string()).await;
        let deploy = rig.client.deploy(&rig.cx, &service(), &"dep-1".into()).await.unwrap();
        let status = deploy.status;
        let told = match (status.is_over(), status.is_live(), status.is_failed()) {
            (false, false, false) => "goes on",
            (true, true, false) => "is live",
            (true, false, true) => "failed",
            (true, false, false) => "is over",
            odd => panic!("{word}: {odd:?}"),
        };
        assert_eq!(told, meaning, "{word}");
        assert_eq!(status.as_str(), word);
    }
    let unknown = DeployStatus::from("warming_up".to_owned());
    assert_eq!(unknown, DeployStatus::Other("warming_up".to_owned()));
}

#[tokio::test]
async fn nulls_are_nothing() {
    let deploy = r#"{"id":"dep-1","commit":null,"image":null,"status":null,"trigger":null,
        "createdAt":null,"startedAt":null,"updatedAt":"soon","finishedAt":null,"new":[1]}"#;
    let rig = Rig::always(200, deploy).await;
    let deploy = rig.client.deploy(&rig.cx, &service(), &"dep-1".into()).await.unwrap();
    assert!(!deploy.status.is_over());
    assert_eq!((deploy.updated_at, deploy.finished_at), (None, None));

    for details in [
        json!(null),
        json!({}),
        json!({ "url": null, "numInstances": null, "disk": null, "maintenanceMode": null,
            "envSpecificDetails": null }),
        json!({ "disk": { "sizeGB": null, "name": null }, "maintenanceMode": { "uri": null } }),
    ] {
        let answer = json!({ "id": "srv-1", "name": null, "type": null, "suspenders": null,
            "autoDeploy": null, "imagePath": null, "serviceDetails": details });
        let rig = Rig::always(200, &answer.to_string()).await;
        let service = rig.client.service(&rig.cx, &service()).await.unwrap();
        assert_eq!(service.pre_deploy_command(), None);
    }

    let rig = Rig::always(200, "null").await;
    assert!(rig.client.owners(&rig.cx).await.unwrap().is_empty());
    assert!(rig.client.env_vars(&rig.cx, &service()).await.unwrap().is_empty());
    assert!(rig.client.instances(&rig.cx, &service()).await.unwrap().is_empty());
    assert!(rig.client.exports(&rig.cx, &"dpg-1".into()).await.unwrap().is_empty());
    let metrics = MetricQuery::new("srv-1");
    assert!(rig.client.http_requests(&rig.cx, &metrics, None).await.unwrap().is_empty());

    let rig =
        Rig::always(200, r#"[{"labels":null,"values":null,"unit":null},{"values":[{}]}]"#).await;
    assert_eq!(rig.client.http_latency(&rig.cx, &metrics, 0.5).await.unwrap().len(), 2);
    let rig = Rig::always(200, r#"{"logs":null,"hasMore":null}"#).await;
    let logs = LogQuery::new("tea-1".into(), "srv-1");
    assert!(rig.client.logs(&rig.cx, &logs, 10).await.unwrap().is_empty());
    let rig = Rig::always(200, r#"{"id":"dpg-1","status":"on_holiday","owner":null}"#).await;
    let database = rig.client.postgres(&rig.cx, &"dpg-1".into()).await.unwrap();
    assert_eq!(database.status, PostgresStatus::Other("on_holiday".to_owned()));
}

#[tokio::test]
async fn what_is_gone_is_deleted() {
    let rig = Rig::always(404, r#"{"message":"not found"}"#).await;
    rig.client.delete_env_var(&rig.cx, &service(), "A").await.unwrap();
    rig.client.delete_secret_file(&rig.cx, &service(), "a.json").await.unwrap();
    let error = rig.client.set_env_var(&rig.cx, &service(), "A", &Secret::new("x")).await;
    assert_eq!(error.unwrap_err().kind(), ErrorKind::NotFound);
    let rig = Rig::always(403, "{}").await;
    let error = rig.client.delete_env_var(&rig.cx, &service(), "A").await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Denied);
}

#[tokio::test]
async fn an_event_tells_why_a_deploy_ended() {
    let event = |details: Value| {
        json!([{ "cursor": "c", "event": { "id": "evt-1", "type": "deploy_ended",
        "timestamp": "2026-01-01T00:00:00Z", "serviceId": "srv-1", "details": details } }])
    };
    let ended = async |details: Value| {
        let rig = Rig::always(200, &event(details).to_string()).await;
        let events = rig.client.events(&rig.cx, &service(), &EventFilter::default()).await.unwrap();
        events[0].ended().unwrap()
    };
    let failure = json!({ "evicted": false, "nonZeroExit": 1, "unhealthy": "503" });
    let told = ended(json!({ "deployId": "dep-1", "deployStatus": "failed", "status": 3,
        "reason": { "failure": failure } }))
    .await;
    assert_eq!(told.deploy, Some("dep-1".into()));
    assert_eq!(told.outcome, Outcome::Failed);
    assert_eq!(told.reason.failure.unwrap().to_string(), "exit code 1; unhealthy: 503");
    let told = ended(json!({ "deployId": "dep-1", "deployStatus": "canceled",
        "reason": { "newDeploy": { "id": "dep-2" } } }))
    .await;
    assert_eq!(told.reason.new_deploy.unwrap().id, "dep-2");
    for odd in [json!(null), json!({}), json!({ "reason": 7, "deployStatus": "melted" })] {
        assert_eq!(ended(odd).await.deploy, None);
    }
}

#[tokio::test]
async fn what_makes_no_sense_is_not_sent() {
    let rig = Rig::always(200, "{}").await;
    let (client, cx, id) = (&rig.client, &rig.cx, &service());
    let mut fine = MetricQuery::new("srv-1");
    fine.resolution = Some(Duration::from_secs(29));
    let errors = [
        client.update_service(cx, id, &ServiceChange::default()).await.unwrap_err(),
        client.http_latency(cx, &MetricQuery::new("srv-1"), 95.0).await.unwrap_err(),
        client.http_latency(cx, &MetricQuery::new("srv-1"), f64::NAN).await.unwrap_err(),
        client.http_requests(cx, &fine, None).await.unwrap_err(),
        client.service(cx, &"".into()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Invalid, Effect::None));
    }
    assert_eq!(rig.requests().len(), 0);
}

/// Ten deploys a minute are all: looking goes on when they are used up.
#[tokio::test]
async fn calls_of_one_limit_do_not_stop_others() {
    let rig = Rig::answering(|request| {
        let answer =
            Answer::json(if request.method == "GET" { 200 } else { 201 }, r#"{"id":"dep-1"}"#);
        let is_deploy = request.method == "POST";
        let (limit, remaining) = if is_deploy { ("10", "0") } else { ("400", "399") };
        answer
            .with_header("Ratelimit-Limit", limit)
            .with_header("Ratelimit-Remaining", remaining)
            .with_header("Ratelimit-Reset", "3000")
    })
    .await;
    let (client, cx, id) = (&rig.client, &rig.cx, &service());
    client.start_deploy(cx, id, &Start::LastBuild).await.unwrap();
    client.deploy(cx, id, &"dep-1".into()).await.unwrap();
    client.set_env_var(cx, id, "A", &Secret::new("x")).await.unwrap();
    let change =
        ServiceChange { health_check_path: Some("/".to_owned()), ..ServiceChange::default() };
    let errors = [
        client.start_deploy(cx, id, &Start::LastBuild).await.unwrap_err(),
        client.update_service(cx, id, &change).await.unwrap_err(),
        client.scale(cx, id, 2).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.effect()), (ErrorKind::Unavailable, Effect::None));
    }
    assert_eq!(rig.requests().len(), 3);
}
