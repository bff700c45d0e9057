//! Every request that the client makes is one that Render describes.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde_json::json;
use ultrai_deploy_core::{Context, Result, secret::Secret};
use ultrai_deploy_render::{
    Client,
    model::{
        AutoDeploy, BuildCache, DeployFilter, DeployId, DeployStatus, Direction, EventFilter,
        EventKind, GroupBy, ImageSource, JobFilter, JobId, JobStatus, LogQuery, MaintenanceMode,
        MetricQuery, OwnerId, PostgresId, Recovery, ServiceChange, Start, StartCommand,
    },
};

use crate::{
    contract::{self, Contract, OPERATIONS},
    rig::{BASE, Rig, service},
};

const SERVICE: &str = r#"{"id":"srv-1"}"#;
const DEPLOY: &str = r#"{"id":"dep-1"}"#;
const JOB: &str = r#"{"id":"job-1"}"#;
const DATABASE: &str = r#"{"id":"dpg-1"}"#;

struct Checked {
    contract: Contract,
    problems: Vec<String>,
    requests: usize,
    operations: BTreeSet<(String, String)>,
}

impl Checked {
    fn new() -> Self {
        let (problems, operations) = (Vec::new(), BTreeSet::new());
        Self { contract: Contract::read(), problems, requests: 0, operations }
    }

    /// Makes a call that is answered like this, and looks at what was asked.
    async fn run<T>(
        &mut self,
        status: u16,
        body: &str,
        call: impl AsyncFnOnce(&Client, &Context) -> Result<T>,
    ) {
        let rig = Rig::always(status, body).await;
        call(&rig.client, &rig.cx).await.unwrap();
        let requests = rig.requests();
        assert_eq!(requests.len(), 1);
        for request in requests {
            self.requests += 1;
            self.problems.extend(self.contract.problems(&request));
            let path = request.path.strip_prefix(BASE).unwrap().split('?').next().unwrap();
            let Some(operation) = self.contract.operation(&request.method, path) else {
                continue; // it is among the problems
            };
            if !self.contract.answers(&operation, status) {
                self.problems.push(format!("{path} never answers {status}: the test is wrong"));
            }
            self.operations.insert((operation.method, operation.template));
        }
    }
}

#[tokio::test]
async fn every_request_is_described() {
    if contract::is_left_out() {
        return;
    }
    let mut checked = Checked::new();
    services(&mut checked).await;
    settings(&mut checked).await;
    maintenance(&mut checked).await;
    deploys(&mut checked).await;
    variables(&mut checked).await;
    jobs(&mut checked).await;
    observe(&mut checked).await;
    databases(&mut checked).await;
    assert!(checked.problems.is_empty(), "{:#?}", checked.problems);
    let (requests, operations) = (checked.requests, checked.operations.len());
    println!("{requests} requests of {operations} operations are as Render describes them");
    let own = OPERATIONS.map(|(method, template)| (method.to_owned(), template.to_owned()));
    assert_eq!(checked.operations, own.into(), "not what OPERATIONS says");
}

async fn services(checked: &mut Checked) {
    let id = &service();
    let owner = &OwnerId::from("tea-1");
    checked.run(200, "[]", async |client, cx| client.owners(cx).await).await;
    checked.run(200, "[]", async |client, cx| client.services_named(cx, None, "a b").await).await;
    let named =
        async |client: &Client, cx: &Context| client.services_named(cx, Some(owner), "web").await;
    checked.run(200, "[]", named).await;
    checked.run(200, SERVICE, async |client, cx| client.service(cx, id).await).await;
    checked.run(202, "", async |client, cx| client.suspend(cx, id).await).await;
    checked.run(202, "", async |client, cx| client.resume(cx, id).await).await;
    checked.run(200, "", async |client, cx| client.restart(cx, id).await).await;
    checked.run(202, "", async |client, cx| client.scale(cx, id, 3).await).await;
    checked.run(200, "[]", async |client, cx| client.instances(cx, id).await).await;
}

async fn settings(checked: &mut Checked) {
    let id = &service();
    let image = |registry_credential| ImageSource {
        owner: "tea-1".into(),
        path: "docker.io/library/nginx:1.27".to_owned(),
        registry_credential,
    };
    let maintenance = |enabled, uri: &str| MaintenanceMode { enabled, uri: uri.to_owned() };
    let nothing = ServiceChange::default;
    let start = |runtime: &str| {
        let (runtime, command) = (runtime.to_owned(), "run".to_owned());
        StartCommand { runtime, command }
    };
    let all = ServiceChange {
        image: Some(image(Some("rgc-1".to_owned()))),
        auto_deploy: Some(AutoDeploy::No),
        auto_deploy_trigger: Some("off".to_owned()),
        health_check_path: Some("/health".to_owned()),
        pre_deploy_command: Some("migrate".to_owned()),
        start_command: Some(start("docker")),
        maintenance_mode: Some(maintenance(true, "https://example.com/back-soon")),
        max_shutdown_delay: Some(Duration::from_mins(1)),
    };
    let changes = [
        ServiceChange { image: Some(image(None)), ..nothing() },
        ServiceChange { auto_deploy: Some(AutoDeploy::Yes), ..nothing() },
        ServiceChange { auto_deploy_trigger: Some("checksPass".to_owned()), ..nothing() },
        ServiceChange { health_check_path: Some(String::new()), ..nothing() },
        ServiceChange { pre_deploy_command: Some("migrate".to_owned()), ..nothing() },
        ServiceChange { start_command: Some(start("node")), ..nothing() },
        ServiceChange { start_command: Some(start("image")), ..nothing() },
        ServiceChange { maintenance_mode: Some(maintenance(false, "")), ..nothing() },
        ServiceChange { max_shutdown_delay: Some(Duration::from_mins(5)), ..nothing() },
        all,
    ];
    for change in &changes {
        let update =
            async |client: &Client, cx: &Context| client.update_service(cx, id, change).await;
        checked.run(200, SERVICE, update).await;
    }
}

async fn maintenance(checked: &mut Checked) {
    for (enabled, uri) in [(true, ""), (true, "https://example.com/soon"), (false, "")] {
        let mode = &MaintenanceMode { enabled, uri: uri.to_owned() };
        let answer =
            json!({ "id": "srv-1", "serviceDetails": { "maintenanceMode": mode_of(mode) } });
        let set = async |client: &Client, cx: &Context| {
            client.set_maintenance_mode(cx, &service(), mode).await
        };
        checked.run(200, &answer.to_string(), set).await;
    }
}

fn mode_of(mode: &MaintenanceMode) -> serde_json::Value {
    json!({ "enabled": mode.enabled, "uri": mode.uri })
}

async fn deploys(checked: &mut Checked) {
    let (id, deploy) = (&service(), &DeployId::from("dep-1"));
    let starts = [
        Start::Configured(BuildCache::Keep),
        Start::Configured(BuildCache::Clear),
        Start::Commit("0a1b".to_owned(), BuildCache::Keep),
        Start::Commit("0a1b".to_owned(), BuildCache::Clear),
        Start::Image("docker.io/library/nginx:1.27".to_owned()),
        Start::LastBuild,
    ];
    for start in &starts {
        let run = async |client: &Client, cx: &Context| client.start_deploy(cx, id, start).await;
        checked.run(201, DEPLOY, run).await;
        checked.run(202, "", run).await;
    }
    checked.run(200, DEPLOY, async |client, cx| client.deploy(cx, id, deploy).await).await;
    checked.run(200, DEPLOY, async |client, cx| client.cancel_deploy(cx, id, deploy).await).await;
    checked.run(201, DEPLOY, async |client, cx| client.rollback(cx, id, deploy).await).await;
    let filter = DeployFilter {
        statuses: vec![DeployStatus::Queued, DeployStatus::Live],
        created_after: Some("2026-01-02T03:04:05.000006Z".parse().unwrap()),
        at_most: Some(1),
    };
    for filter in [&filter, &DeployFilter::default()] {
        let list = async |client: &Client, cx: &Context| client.deploys(cx, id, filter).await;
        checked.run(200, "[]", list).await;
    }
}

async fn variables(checked: &mut Checked) {
    let (id, value) = (&service(), &Secret::new("hunter2"));
    checked.run(200, "[]", async |client, cx| client.env_vars(cx, id).await).await;
    let set = async |client: &Client, cx: &Context| client.set_env_var(cx, id, "A", value).await;
    checked.run(200, "{}", set).await;
    let delete = async |client: &Client, cx: &Context| client.delete_env_var(cx, id, "A").await;
    checked.run(204, "", delete).await;
    let all = BTreeMap::from([("A", value), ("B", value)].map(|(k, v)| (k.to_owned(), v.clone())));
    for variables in [&all, &BTreeMap::new()] {
        let replace = async |client: &Client, cx: &Context| {
            client.replace_all_env_vars(cx, id, variables).await
        };
        checked.run(200, "[]", replace).await;
    }
    checked.run(200, "[]", async |client, cx| client.secret_files(cx, id).await).await;
    let put =
        async |client: &Client, cx: &Context| client.put_secret_file(cx, id, "a.json", value).await;
    checked.run(201, "{}", put).await;
    let delete =
        async |client: &Client, cx: &Context| client.delete_secret_file(cx, id, "a.json").await;
    checked.run(204, "", delete).await;
}

async fn jobs(checked: &mut Checked) {
    let (id, job) = (&service(), &JobId::from("job-cph1rs3idesc73a2b2mg"));
    for plan in [None, Some("plan-srv-004")] {
        let create =
            async |client: &Client, cx: &Context| client.create_job(cx, id, "migrate", plan).await;
        checked.run(201, JOB, create).await;
    }
    let filter = JobFilter {
        statuses: vec![JobStatus::Pending, JobStatus::Running],
        created_after: Some("2026-01-02T03:04:05Z".parse().unwrap()),
        at_most: Some(5),
    };
    for filter in [&filter, &JobFilter::default()] {
        let list = async |client: &Client, cx: &Context| client.jobs(cx, id, filter).await;
        checked.run(200, "[]", list).await;
    }
    checked.run(200, JOB, async |client, cx| client.job(cx, id, job).await).await;
    checked.run(200, JOB, async |client, cx| client.cancel_job(cx, id, job).await).await;
}

async fn observe(checked: &mut Checked) {
    let id = &service();
    let start = Some("2026-01-02T03:04:05Z".parse().unwrap());
    let end = Some("2026-01-02T03:05:05Z".parse().unwrap());
    let little = LogQuery::new("tea-1".into(), "srv-1");
    let mut much = little.clone();
    much.resources.push("job-1".to_owned());
    (much.start, much.end, much.direction) = (start, end, Direction::Forward);
    much.types = vec!["build".to_owned(), "app".to_owned()];
    much.levels = vec!["error".to_owned()];
    much.text = Some("a & b".to_owned());
    for query in [&little, &much] {
        let page = async |client: &Client, cx: &Context| client.log_page(cx, query, 1000).await;
        checked.run(200, "{}", page).await;
        let lines = async |client: &Client, cx: &Context| client.logs(cx, query, 20).await;
        checked.run(200, "{}", lines).await;
    }
    let little = MetricQuery::new("srv-1");
    let mut much = little.clone();
    (much.start, much.end, much.resolution) = (start, end, Some(Duration::from_mins(1)));
    (much.host, much.path) = (Some("example.com".to_owned()), Some("/a?b".to_owned()));
    for (query, by) in
        [(&little, None), (&much, Some(GroupBy::StatusCode)), (&much, Some(GroupBy::Host))]
    {
        let run = async |client: &Client, cx: &Context| client.http_requests(cx, query, by).await;
        checked.run(200, "[]", run).await;
        let run = async |client: &Client, cx: &Context| client.http_latency(cx, query, 0.95).await;
        checked.run(200, "[]", run).await;
    }
    let kinds = [
        EventKind::BuildStarted,
        EventKind::BuildEnded,
        EventKind::PreDeployStarted,
        EventKind::PreDeployEnded,
        EventKind::DeployStarted,
        EventKind::DeployEnded,
        EventKind::ImagePullFailed,
        EventKind::ServerFailed,
        EventKind::ServerAvailable,
        EventKind::ServerRestarted,
        EventKind::JobRunEnded,
    ];
    let filters = kinds.map(|kind| EventFilter { kind: Some(kind), start, end, at_most: Some(5) });
    for filter in filters.iter().chain([&EventFilter::default()]) {
        let list = async |client: &Client, cx: &Context| client.events(cx, id, filter).await;
        checked.run(200, "[]", list).await;
    }
}

async fn databases(checked: &mut Checked) {
    let (id, owner) = (&PostgresId::from("dpg-1"), &OwnerId::from("tea-1"));
    let named =
        async |client: &Client, cx: &Context| client.postgres_named(cx, Some(owner), "db").await;
    checked.run(200, "[]", named).await;
    checked.run(200, DATABASE, async |client, cx| client.postgres(cx, id).await).await;
    checked.run(202, "", async |client, cx| client.start_export(cx, id).await).await;
    checked.run(200, "[]", async |client, cx| client.exports(cx, id).await).await;
    checked.run(200, "{}", async |client, cx| client.recovery_info(cx, id).await).await;
    let little = Recovery::new("2026-01-02T03:04:05Z".parse().unwrap());
    let mut much = little.clone();
    much.name = Some("copy".to_owned());
    much.plan = Some("pro_4gb".to_owned());
    much.environment = Some("evm-1".to_owned());
    for recovery in [&little, &much] {
        let recover = async |client: &Client, cx: &Context| client.recover(cx, id, recovery).await;
        checked.run(200, DATABASE, recover).await;
    }
}

/// The check above fails for what Render would refuse, and for what it would ignore.
#[tokio::test]
async fn a_wrong_request_is_found() {
    if contract::is_left_out() {
        return;
    }
    let contract = Contract::read();
    let rig = Rig::always(200, SERVICE).await;
    let change = ServiceChange { auto_deploy: Some(AutoDeploy::No), ..ServiceChange::default() };
    rig.client.update_service(&rig.cx, &service(), &change).await.unwrap();
    let right = rig.requests().pop().unwrap();
    assert_eq!(contract.problems(&right), Vec::<String>::new());
    let with_body = |body: serde_json::Value| {
        let mut request = right.clone();
        request.body = serde_json::to_vec(&body).unwrap();
        request
    };
    let with = |method: &str, path: &str, body: &[u8]| {
        let mut request = right.clone();
        (request.method, request.path) = (method.to_owned(), format!("{BASE}{path}"));
        request.body = body.to_vec();
        request
    };
    let wrong = [
        with_body(json!({ "autoDeploy": "off" })),
        with_body(json!({ "autoDeploy": true })),
        with_body(json!({ "autodeploy": "no" })),
        with_body(json!({ "image": { "imagePath": "nginx" } })),
        with_body(json!({ "serviceDetails": { "maintenanceMode": { "enabled": true } } })),
        with_body(json!({ "serviceDetails": { "maxShutdownDelaySeconds": 301 } })),
        with_body(json!({ "serviceDetails": { "healthCheck": "/" } })),
        with_body(json!([])),
        with("PATCH", "/services/srv-1", b"{"),
        with("PATCH", "/service/srv-1", b"{}"),
        with("GET", "/services/srv-1/jobs/job-1", b""),
        with("GET", "/services?limit=101", b""),
        with("GET", "/services?limit=many", b""),
        with("GET", "/services?title=web", b""),
        with("GET", "/services?name=a&name=b", b""),
        with("GET", "/services?type=web", b""),
        with("GET", "/services/srv-1/deploys?createdAfter=yesterday", b""),
        with("GET", "/logs?ownerId=tea-1", b""),
        with("GET", "/metrics/http-requests?resolutionSeconds=29", b""),
        with("POST", "/services/srv-1/suspend", b"{}"),
        with("POST", "/services/srv-1/rollback", b"{}"),
    ];
    for request in &wrong {
        let body = String::from_utf8_lossy(&request.body);
        let problems = contract.problems(request);
        assert_eq!(problems.len().min(1), 1, "{} {} {body}", request.method, request.path);
    }
    println!("{} wrong requests are found", wrong.len());
}
