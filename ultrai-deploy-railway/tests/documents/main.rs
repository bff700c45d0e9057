//! What is sent and what is read, against Railway's own schema.
#![expect(clippy::unwrap_used, reason = "a helper of a test fails with the test")]
#![expect(clippy::print_stdout, reason = "how much was checked is part of the result")]

mod contract;
#[path = "../support/mod.rs"]
mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use serde_json::{Value, json};
use ultrai_deploy_core::{error::Chain, secret::Secret};
use ultrai_deploy_railway::{
    Client,
    documents::{self, Document},
    model::{
        BackupId, DeploymentId, DeploymentStatus, Deploys, EventStep, InstanceStatus, LogRange,
        Patch, PatchStatus, RegistryCredentials, ServicePatch, ServiceUpdate, VariablesOf,
        VolumeInstanceId, VolumeState, Window, WorkflowId, WorkflowStatus, WorkspaceId,
    },
};
use ultrai_deploy_testkit::server::{Answer, Request, Server};

use self::{
    contract::Fill,
    support::{at, client, context},
};

fn sent(request: &Request) -> Value {
    serde_json::from_slice(&request.body).unwrap()
}

fn document_named(name: &str) -> Document {
    let known = documents::ALL.iter().find(|document| document.name() == name);
    *known.unwrap_or_else(|| panic!("`{name}` is in no list"))
}

#[test]
fn every_document_is_valid_and_asks_for_one_thing() {
    if contract::is_left_out() {
        return;
    }
    let schema = contract::schema();
    let mut names = BTreeSet::new();
    let (once, again) = (documents::ALL.iter(), documents::SUBSCRIPTIONS.iter());
    for (known, is_once) in once.map(|one| (one, true)).chain(again.map(|one| (one, false))) {
        let document =
            contract::document(&schema, known.text).unwrap_or_else(|why| panic!("{why}"));
        let operation = contract::operation(&document);
        assert_eq!(operation.name.as_deref(), Some(known.name()));
        assert_eq!(operation.is_mutation(), !known.is_query(), "{}", known.name());
        assert_eq!(operation.is_subscription(), !is_once, "{}", known.name());
        assert_eq!(operation.selection_set.selections.len(), 1, "{}", known.name());
        let answer = contract::answer(&schema, operation, Fill::Everything);
        assert!(answer["data"].pointer(known.answer).is_some(), "{}", known.name());
        assert!(names.insert(known.name()), "{} is there twice", known.name());
    }
    println!("{} documents are valid", names.len());
}

/// The check itself has to see what is wrong.
#[test]
fn a_document_or_variable_that_is_wrong_is_seen() {
    if contract::is_left_out() {
        return;
    }
    let schema = contract::schema();
    for wrong in [
        // As Railway's documentation shows it: it answers a boolean.
        "mutation R($id: String!) { deploymentRollback(id: $id) { id status } }",
        "mutation R($id: String!) { deploymentRollback(id: $id, force: true) }",
        "mutation R($id: Int!) { deploymentRollback(id: $id) }",
        "mutation R { deploymentRollback(id: $id) }",
        "query D($id: String!) { deployment(id: $id) { id phase } }",
        "query D($id: String!) { deployment(id: $id) }",
    ] {
        assert!(contract::document(&schema, wrong).is_err(), "{wrong}");
    }
    let text = document_named("SetAutoDeploy").text;
    let document = contract::document(&schema, text).unwrap();
    let good = json!({
        "projectId": "p", "environmentId": "e", "serviceId": "s", "enabled": true,
    });
    let check = |variables: Value| {
        contract::check_variables(&schema, contract::operation(&document), &variables)
    };
    check(json!({ "input": good })).unwrap();
    assert!(check(json!({})).is_err(), "missing");
    assert!(check(json!({ "input": good, "id": "x" })).is_err(), "not declared");
    let with = |name: &str, value: Value| {
        let mut input = good.clone();
        input[name] = value;
        check(json!({ "input": input }))
    };
    assert!(with("enabled", json!("yes")).is_err(), "another type");
    assert!(with("enabled", Value::Null).is_err(), "null");
    assert!(with("force", json!(true)).is_err(), "an unknown field");
}

/// Calls every method, with and without what is optional.
async fn call_everything(client: &Client) {
    let (cx, at, shared) = (&context(), &at(), &VariablesOf { service: None, ..at().into() });
    let own: &VariablesOf = &at.clone().into();
    let (project, environment) = (&at.project, &at.environment);
    let deployment = &DeploymentId::new("deployment-1");
    let (volume, backup) = (&VolumeInstanceId::new("volume-1"), &BackupId::new("backup-1"));
    let values = &BTreeMap::from([("KEY".to_owned(), Secret::new("value"))]);
    let credentials = RegistryCredentials { username: "u".into(), password: Secret::new("p") };
    let patched = ServicePatch {
        removed_variables: vec!["OLD".to_owned()],
        image: Some("repo:1".to_owned()),
        variables: values.clone(),
        healthcheck_path: Some("/health".to_owned()),
        start_command: Some("run".to_owned()),
        num_replicas: Some(2),
    };
    let patch = &Patch {
        services: [(at.service.clone(), patched)].into(),
        shared_variables: values.clone(),
    };
    let update = ServiceUpdate {
        image: Some("repo:1".to_owned()),
        credentials: Some(credentials.clone()),
        healthcheck_path: Some(Some("/health".to_owned())),
        pre_deploy_command: Some(Some("migrate".to_owned())),
        start_command: Some(Some("run".to_owned())),
    };
    let cleared = ServiceUpdate {
        healthcheck_path: Some(None),
        pre_deploy_command: Some(None),
        start_command: Some(None),
        ..ServiceUpdate::default()
    };
    let (start, end) =
        ("2026-11-21T11:00:00Z".parse().unwrap(), "2026-11-21T12:00:00Z".parse().unwrap());
    let window = &Window { start, end, step_seconds: Some(60) };
    let coarse = &Window { start, end, step_seconds: None };
    let range = &LogRange { since: Some(start), until: Some(end), ..LogRange::last(10) };
    macro_rules! calls {
        ($($method:ident($($argument:expr),*);)*) => {$(
            match client.$method(cx, $($argument),*).await {
                Ok(_) => {}
                Err(error) => panic!("{}: {}", stringify!($method), Chain(&error)),
            }
        )*};
    }
    calls! {
        token_scope();
        workspaces();
        projects(&WorkspaceId::new("workspace-1"));
        project_tree(project);
        service_instance(at);
        set_source_image(at, "repo:1", None);
        set_source_image(at, "repo:1", Some(&credentials));
        update_service(at, &update);
        update_service(at, &cleared);
        auto_deploy(at);
        set_auto_deploy(at, true);
        deploy(at, None);
        deploy(at, Some("0123abcd"));
        commit_patch(environment, patch, "message");
        commit_patch(environment, &Patch::default(), "message");
        commit_staged_changes(environment, "message", Deploys::Triggered);
        staged_changes(environment);
        past_changes(environment, 10);
        variables(own);
        variables(shared);
        upsert_variables(own, values, Deploys::Skipped);
        upsert_variables(shared, values, Deploys::Triggered);
        replace_all_variables(own, values, Deploys::default());
        delete_variable(own, "KEY");
        delete_variable(shared, "KEY");
        deployment(deployment);
        deployments(at, 5);
        deployment_events(deployment);
        build_logs(deployment, range);
        deploy_logs(deployment, &LogRange::default());
        http_by_status(at, window);
        http_by_status(at, coarse);
        http_durations(at, coarse);
        rollback(deployment);
        cancel(deployment);
        remove(deployment);
        stop(deployment);
        restart(deployment);
        redeploy(deployment, true);
        approve(deployment);
        volumes(project, environment);
        backups(volume);
        create_backup(volume, "before 1.4.0");
        lock_backup(volume, backup);
        delete_backup(volume, backup);
        restore_backup(volume, backup);
        workflow(&WorkflowId::new("workflow-1"));
    }
}

/// A server that answers as the schema promises, and refuses to know what is in no list.
async fn railway(fill: Fill) -> Server {
    let schema = Arc::new(contract::schema());
    Server::start(move |request| {
        let name = sent(request)["operationName"].as_str().unwrap().to_owned();
        let document = contract::document(&schema, document_named(&name).text).unwrap();
        let answer = contract::answer(&schema, contract::operation(&document), fill);
        Answer::json(200, answer.to_string())
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn every_request_is_what_its_document_declares() {
    if contract::is_left_out() {
        return;
    }
    let schema = contract::schema();
    let server = railway(Fill::Everything).await;
    call_everything(&client(&server)).await;
    let requests = server.requests();
    let mut seen = BTreeSet::new();
    for request in &requests {
        let body = sent(request);
        let name = body["operationName"].as_str().unwrap();
        let known = document_named(name);
        assert_eq!(request.method, "POST");
        assert_eq!(request.path, format!("/graphql/v2?op={name}"));
        assert_eq!(body["query"], known.text);
        let document = contract::document(&schema, known.text).unwrap();
        let operation = contract::operation(&document);
        contract::check_variables(&schema, operation, &body["variables"])
            .unwrap_or_else(|why| panic!("{name}: {why}\n{}", body["variables"]));
        seen.insert(known.name());
    }
    let all = documents::ALL.iter().map(Document::name).collect::<BTreeSet<_>>();
    assert_eq!(seen, all, "a document that no method sends is not checked");
    println!("{} requests of {} documents are as declared", requests.len(), seen.len());
}

/// What the schema allows to be null is null, in everything at once.
#[tokio::test]
async fn every_answer_of_the_schema_is_read_also_without_what_is_optional() {
    if contract::is_left_out() {
        return;
    }
    let server = railway(Fill::OnlyWhatIsRequired).await;
    call_everything(&client(&server)).await;
    println!("{} answers with nulls are read", server.requests().len());
}

#[tokio::test]
async fn variables_are_merged_and_deploy_nothing_unless_asked_to() {
    if contract::is_left_out() {
        return;
    }
    let server = railway(Fill::Everything).await;
    call_everything(&client(&server)).await;
    let bodies = server.requests().iter().map(sent).collect::<Vec<_>>();
    let upserts = bodies.iter().filter(|body| body["operationName"] == "UpsertVariables");
    let upserts = upserts.map(|body| {
        let input = &body["variables"]["input"];
        (input["replace"].clone(), input["skipDeploys"].clone(), input["serviceId"].clone())
    });
    let (own, shared) = (json!("service-1"), Value::Null);
    assert_eq!(
        upserts.collect::<Vec<_>>(),
        [
            (json!(false), json!(true), own.clone()),
            (json!(false), json!(false), shared),
            (json!(true), json!(true), own),
        ]
    );
}

#[tokio::test]
async fn a_patch_has_the_form_of_the_official_cli() {
    if contract::is_left_out() {
        return;
    }
    let server = railway(Fill::Everything).await;
    call_everything(&client(&server)).await;
    let bodies = server.requests().iter().map(sent).collect::<Vec<_>>();
    let patches = bodies.iter().filter(|body| body["operationName"] == "CommitPatch");
    let patches = patches.map(|body| body["variables"]["patch"].clone()).collect::<Vec<_>>();
    let full = json!({
        "services": { "service-1": {
            "source": { "image": "repo:1" },
            "variables": { "KEY": { "value": "value" }, "OLD": null },
            "deploy": { "healthcheckPath": "/health", "startCommand": "run", "numReplicas": 2 },
        } },
        "sharedVariables": { "KEY": { "value": "value" } },
    });
    assert_eq!(patches, [full, json!({})]);
}

#[test]
fn enums_know_every_value_of_the_schema() {
    if contract::is_left_out() {
        return;
    }
    let schema = contract::schema();
    let check = |name: &str, known: Vec<&str>| {
        let of = schema.get_enum(name).unwrap();
        let theirs = of.values.keys().map(apollo_compiler::Name::as_str).collect::<BTreeSet<_>>();
        assert_eq!(known.into_iter().collect::<BTreeSet<_>>(), theirs, "{name}");
    };
    macro_rules! values {
        ($of:ident) => {
            $of::KNOWN.iter().map($of::as_str).collect()
        };
    }
    check("DeploymentStatus", values!(DeploymentStatus));
    check("DeploymentInstanceStatus", values!(InstanceStatus));
    check("DeploymentEventStep", values!(EventStep));
    check("WorkflowStatus", values!(WorkflowStatus));
    check("EnvironmentPatchStatus", values!(PatchStatus));
    check("VolumeState", values!(VolumeState));
}
