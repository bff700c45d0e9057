//! Lists are read to their end, and not beyond.

use serde_json::{Value, json};
use ultrai_deploy_core::{Effect, ErrorKind};
use ultrai_deploy_render::model::{DeployFilter, LogQuery};
use ultrai_deploy_testkit::server::Answer;

use crate::rig::{Rig, service};

fn query(path: &str, name: &str) -> Option<String> {
    let (_, query) = path.split_once('?')?;
    let pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.into_iter().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
}

/// A page of so many variables, from a number on.
fn page(from: usize, count: usize) -> String {
    let row = |n: usize| {
        let variable = json!({ "key": format!("K{n}"), "value": "v" });
        json!({ "envVar": variable, "cursor": format!("c{n}") })
    };
    Value::from((from..from + count).map(row).collect::<Vec<_>>()).to_string()
}

#[tokio::test]
async fn lists_are_read_to_their_end() {
    let rig = Rig::queue([Answer::json(200, page(0, 100)), Answer::json(200, page(100, 3))]).await;
    let variables = rig.client.env_vars(&rig.cx, &service()).await.unwrap();
    assert_eq!((variables.len(), variables[102].key.as_str()), (103, "K102"));
    let asked = rig.requests();
    assert_eq!(asked.len(), 2);
    assert_eq!(query(&asked[0].path, "cursor"), None);
    assert_eq!(query(&asked[1].path, "cursor").as_deref(), Some("c99"));

    // No more is asked for than is wanted.
    let row = json!({ "deploy": { "id": "dep-1" }, "cursor": "c" });
    let rig = Rig::always(200, &json!([row, row]).to_string()).await;
    let filter = DeployFilter { at_most: Some(2), ..DeployFilter::default() };
    assert_eq!(rig.client.deploys(&rig.cx, &service(), &filter).await.unwrap().len(), 2);
    assert_eq!(rig.requests().len(), 1);
    assert_eq!(query(&rig.requests()[0].path, "limit").as_deref(), Some("2"));
}

#[tokio::test]
async fn a_list_that_does_not_end_is_an_error() {
    let rig = Rig::always(200, &page(0, 100)).await;
    let error = rig.client.env_vars(&rig.cx, &service()).await.unwrap_err();
    assert!(error.to_string().contains("comes back"), "{error}");
    assert_eq!((error.kind(), error.effect()), (ErrorKind::Unexpected, Effect::None));
    assert_eq!(rig.requests().len(), 2);

    let rows = vec![json!({ "service": { "id": "srv-1" }, "cursor": null }); 100];
    let rig = Rig::always(200, &Value::from(rows).to_string()).await;
    let error = rig.client.services_named(&rig.cx, None, "web").await.unwrap_err();
    assert!(error.to_string().contains("where the next one begins"), "{error}");

    let rig = Rig::answering(|request| {
        let from = query(&request.path, "cursor").map_or(0, |cursor| cursor[1..].parse().unwrap());
        Answer::json(200, page(from + 1, 100))
    })
    .await;
    let error = rig.client.env_vars(&rig.cx, &service()).await.unwrap_err();
    assert!(error.to_string().contains("200 pages"), "{error}");
    assert_eq!(rig.requests().len(), 200);
}

#[tokio::test]
async fn only_the_exact_name_is_found() {
    let row = |name: &str| json!({ "service": { "id": "srv-1", "name": name }, "cursor": "c" });
    let rows = json!([row("web"), row("web-2"), row("Web"), row("web")]);
    let rig = Rig::always(200, &rows.to_string()).await;
    assert_eq!(rig.client.services_named(&rig.cx, None, "web").await.unwrap().len(), 2);
}

#[tokio::test]
async fn logs_are_read_page_by_page() {
    let labels = json!([{ "name": "level", "value": "error" }]);
    let line = |id: &str| json!({ "id": id, "message": id, "labels": labels });
    let first = json!({ "logs": [line("a"), line("b")], "hasMore": true,
        "nextStartTime": "2026-01-01T00:00:00Z", "nextEndTime": "2026-01-01T00:30:00.123456789Z" });
    let second = json!({ "logs": [line("b"), line("c")], "hasMore": false });
    let logs = LogQuery::new("tea-1".into(), "srv-1");
    let answers = [&first, &second].map(|page| Answer::json(200, page.to_string()));
    let rig = Rig::queue(answers).await;
    let lines = rig.client.logs(&rig.cx, &logs, 50).await.unwrap();
    assert_eq!(lines.iter().map(|line| line.id.as_str()).collect::<String>(), "abc");
    assert_eq!(lines[0].label("level"), Some("error"));
    let asked = rig.requests();
    assert_eq!(query(&asked[0].path, "endTime"), None);
    let end = query(&asked[1].path, "endTime");
    assert_eq!(end.as_deref(), Some("2026-01-01T00:30:00.123456789Z"));
    assert_eq!(query(&asked[1].path, "limit").as_deref(), Some("48"));

    let rig = Rig::always(200, &first.to_string()).await;
    assert_eq!(rig.client.logs(&rig.cx, &logs, 2).await.unwrap().len(), 2);
    assert_eq!(rig.requests().len(), 1);
    let error = rig.client.logs(&rig.cx, &logs, 50).await.unwrap_err();
    assert!(error.to_string().contains("where it already was"), "{error}");
}
