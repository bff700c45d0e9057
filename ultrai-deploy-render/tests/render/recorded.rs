//! What Render really answered is read, whatever its description says.

use std::collections::BTreeMap;

use serde_json::Value;
use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_render::model::{AutoDeploy, BuildCache, ServiceChange, Start, Started};
use url::form_urlencoded;

use crate::{
    contract::{self, Contract, OPERATIONS},
    rig::{BASE, Rig},
    tape::{self, Exchange},
};

#[tokio::test]
async fn every_recorded_answer_is_read() {
    if contract::is_left_out() {
        return;
    }
    let contract = Contract::read();
    let (mut counts, mut others) = (BTreeMap::<String, usize>::new(), 0);
    for exchange in tape::exchanges() {
        let path = exchange.path.split('?').next().unwrap();
        let operation = contract.operation(&exchange.method, path);
        let operation = operation.map(|operation| (operation.method, operation.template));
        let ours = OPERATIONS.iter().find(|(method, template)| {
            operation.as_ref().is_some_and(|(m, t)| m == method && t == template)
        });
        let Some((method, template)) = ours else {
            others += 1;
            continue;
        };
        let rig = Rig::always(exchange.status, &exchange.answered).await;
        let shown = call(&rig, template, &exchange).await;
        assert!(
            shown.replace("Other(\"\")", "").split("Other(").count() == 1,
            "{}: a word is not known: {shown}",
            exchange.place
        );
        let request = rig.requests().pop().unwrap();
        let asked = request.path.split('?').next().unwrap();
        assert_eq!(request.method.to_lowercase(), *method, "{}", exchange.place);
        assert_eq!(asked, format!("{BASE}{path}"), "{}", exchange.place);
        *counts.entry(format!("{method} {template} {}", exchange.status)).or_default() += 1;
    }
    for (operation, count) in &counts {
        println!("{count:4} {operation}");
    }
    let read = counts.values().sum::<usize>();
    println!(
        "{read} recorded answers of {} kinds read; {others} of other operations",
        counts.len()
    );
    assert!(read > 0);
}

/// Makes the call that was recorded, compares what came of it with the answer, and shows it.
async fn call(rig: &Rig, template: &str, exchange: &Exchange) -> String {
    let (client, cx, place) = (&rig.client, &rig.cx, &exchange.place);
    let id = exchange.path.split(['/', '?']).nth(2).unwrap_or_default();
    let told: Value = serde_json::from_str(&exchange.answered).unwrap_or_default();
    let rows = told.as_array().map(Vec::as_slice).unwrap_or_default();
    match (exchange.method.as_str(), template) {
        ("get", "/services") => {
            let query = exchange.path.split_once('?').unwrap().1;
            let query: BTreeMap<_, _> = form_urlencoded::parse(query.as_bytes()).collect();
            let owner = query["ownerId"].as_ref().into();
            let found = client.services_named(cx, Some(&owner), &query["name"]).await.unwrap();
            assert_eq!(found.len(), rows.len(), "{place}");
            let told = rows[0]["service"]["ownerId"].as_str();
            assert_eq!(told, Some(found[0].owner_id.as_str()), "{place}");
            format!("{found:?}")
        }
        ("get" | "patch", "/services/{serviceId}") => {
            let change =
                ServiceChange { auto_deploy: Some(AutoDeploy::No), ..ServiceChange::default() };
            let service = match exchange.method.as_str() {
                "get" => client.service(cx, &id.into()).await,
                _ => client.update_service(cx, &id.into(), &change).await,
            };
            let service = service.unwrap();
            assert_eq!(service.id.as_str(), id, "{place}");
            let details = &told["serviceDetails"];
            assert_eq!(told["type"], service.kind.as_str(), "{place}");
            assert_eq!(told["autoDeploy"], service.auto_deploy.as_str(), "{place}");
            assert_eq!(details["url"].as_str(), service.details.url.as_deref(), "{place}");
            assert_eq!(details["region"].as_str(), service.details.region.as_deref(), "{place}");
            let command = details["envSpecificDetails"]["preDeployCommand"].as_str();
            let command = command.filter(|command| !command.is_empty());
            assert_eq!(command, service.pre_deploy_command(), "{place}");
            assert!(service.created_at.is_some() && service.updated_at.is_some(), "{place}");
            format!("{service:?}")
        }
        ("post", "/services/{serviceId}/deploys") => {
            let start = Start::Configured(BuildCache::default());
            match client.start_deploy(cx, &id.into(), &start).await.unwrap() {
                Started::Queued => {
                    assert_eq!(exchange.status, 202, "{place}");
                    String::new()
                }
                Started::Deploy(deploy) => {
                    assert_eq!(exchange.status, 201, "{place}");
                    assert_eq!(told["id"], deploy.id.as_str(), "{place}");
                    assert_eq!(told["status"], deploy.status.as_str(), "{place}");
                    let image = deploy.image.as_ref().map(|image| image.digest.as_str());
                    assert_eq!(told["image"]["sha"].as_str(), image, "{place}");
                    let commit = deploy.commit.as_ref().map(|commit| commit.id.as_str());
                    assert_eq!(told["commit"]["id"].as_str(), commit, "{place}");
                    assert_eq!(deploy.finished_at, None, "{place}");
                    assert!(deploy.created_at.is_some(), "{place}");
                    format!("{deploy:?}")
                }
            }
        }
        ("get" | "put", "/services/{serviceId}/env-vars") => {
            let variables = match exchange.method.as_str() {
                "get" => client.env_vars(cx, &id.into()).await,
                _ => client.replace_all_env_vars(cx, &id.into(), &sent(exchange)).await,
            };
            let read = variables.unwrap();
            let read = read.iter().map(|it| (it.key.as_str(), it.value.expose()));
            let told = rows.iter().map(|row| &row["envVar"]);
            let told = told.map(|it| (it["key"].as_str().unwrap(), it["value"].as_str().unwrap()));
            assert_eq!(read.collect::<Vec<_>>(), told.collect::<Vec<_>>(), "{place}");
            String::new()
        }
        ("get", "/services/{serviceId}/secret-files") => {
            let read = client.secret_files(cx, &id.into()).await.unwrap();
            let read = read.iter().map(|it| (it.name.as_str(), it.content.expose()));
            let told = rows.iter().map(|row| &row["secretFile"]);
            let told =
                told.map(|it| (it["name"].as_str().unwrap(), it["content"].as_str().unwrap()));
            assert_eq!(read.collect::<Vec<_>>(), told.collect::<Vec<_>>(), "{place}");
            String::new()
        }
        ("get", "/postgres/{postgresId}") => {
            let database = client.postgres(cx, &id.into()).await.unwrap();
            assert_eq!(database.id.as_str(), id, "{place}");
            assert_eq!(told["status"], database.status.as_str(), "{place}");
            assert_eq!(told["name"], database.name, "{place}");
            assert_eq!(told["databaseName"], database.database_name, "{place}");
            format!("{database:?}")
        }
        other => panic!("{place}: nobody reads the answer of {other:?}"),
    }
}

/// The variables that were sent with a value; Render can make values up, the client does not ask.
fn sent(exchange: &Exchange) -> BTreeMap<String, Secret> {
    let body: Value = serde_json::from_str(&exchange.sent).unwrap();
    let pairs = body.as_array().into_iter().flatten().filter_map(|it| {
        Some((it["key"].as_str()?.to_owned(), Secret::new(it["value"].as_str()?)))
    });
    pairs.collect()
}
