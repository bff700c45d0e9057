//! What Render describes is read whole.
//!
//! Types that accept everything also accept a field whose name is misspelt here. So every answer is
//! made from its description, with all that it may hold, and then nothing that was read is empty.
//! Most operations were never recorded: this is all there is for them.

use serde_json::{Map, Value, json};
use ultrai_deploy_core::{Context, Result};
use ultrai_deploy_render::{
    Client,
    model::{
        AutoDeploy, DeployFilter, DeployStatus, EventFilter, JobFilter, JobStatus, LogQuery,
        MetricQuery, Outcome, OwnerKind, PostgresStatus, RecoveryStatus, ServiceKind, Suspension,
        Trigger,
    },
};

use crate::{
    contract::{self, Contract},
    rig::{Rig, service},
    schema::Schemas,
};

const TIME: &str = "2026-01-02T03:04:05Z";
const TEXT: &str = "text";

impl Schemas {
    /// A value with everything that a schema describes; with the properties of all alternatives.
    fn sample(&self, schema: &Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(word) = schema.pointer("/enum/0") {
            return word.clone();
        }
        if let Some(arms) = schema.get("oneOf").or(schema.get("anyOf")) {
            let mut all = Map::new();
            for arm in arms.as_array().unwrap() {
                match self.sample(arm) {
                    Value::Object(properties) => all.extend(properties),
                    other => return other,
                }
            }
            return all.into();
        }
        match schema["type"].as_str() {
            Some("string") if schema["format"] == "date-time" => json!(TIME),
            Some("string") => json!(TEXT),
            Some("boolean") => json!(true),
            Some("integer") => json!(7),
            Some("number") => json!(7.5),
            Some("array") => json!([self.sample(&schema["items"])]),
            _ => {
                let properties = schema["properties"].as_object().into_iter().flatten();
                let sampled = properties.map(|(name, rule)| (name.clone(), self.sample(rule)));
                Value::Object(sampled.collect())
            }
        }
    }
}

/// Told on the wire, and not described.
const RECORDED_ONLY: &str = "auto_deploy_trigger: \"\", ";

struct Described {
    contract: Contract,
    read: usize,
}

impl Described {
    /// Reads the described answer of an operation and shows it.
    async fn shown<T: std::fmt::Debug>(
        &mut self,
        operation: (&str, &str, u16),
        read: impl AsyncFnOnce(&Client, &Context) -> Result<T>,
    ) -> String {
        let (method, path, status) = operation;
        let schema = self.contract.answer(method, path, status);
        let answer = self.contract.schemas().sample(schema);
        let rig = Rig::always(status, &answer.to_string()).await;
        self.read += 1;
        format!("{:?}", read(&rig.client, &rig.cx).await.unwrap())
    }

    /// Fails when anything is empty that the description fills.
    async fn whole<T: std::fmt::Debug>(
        &mut self,
        operation: (&str, &str, u16),
        read: impl AsyncFnOnce(&Client, &Context) -> Result<T>,
    ) {
        let shown = self.shown(operation, read).await.replace(RECORDED_ONLY, "");
        for empty in ["None", "\"\"", "[]", "Other(", "false"] {
            assert!(!shown.contains(empty), "{operation:?}: something is {empty} in {shown}");
        }
    }
}

#[tokio::test]
async fn every_described_answer_is_read_whole() {
    if contract::is_left_out() {
        return;
    }
    let mut all = Described { contract: Contract::read(), read: 0 };
    let id = &service();
    let of = |rest: &str| format!("/services/{{serviceId}}{rest}");

    all.whole(("get", "/owners", 200), async |c, cx| c.owners(cx).await).await;
    let named = async |c: &Client, cx: &Context| c.services_named(cx, None, TEXT).await;
    all.whole(("get", "/services", 200), named).await;
    all.whole(("get", &of(""), 200), async |c, cx| c.service(cx, id).await).await;
    let instances = async |c: &Client, cx: &Context| c.instances(cx, id).await;
    all.whole(("get", &of("/instances"), 200), instances).await;

    let filter = &DeployFilter { at_most: Some(1), ..DeployFilter::default() };
    let deploys = async |c: &Client, cx: &Context| c.deploys(cx, id, filter).await;
    all.whole(("get", &of("/deploys"), 200), deploys).await;
    let deploy = async |c: &Client, cx: &Context| c.deploy(cx, id, &"dep-1".into()).await;
    all.whole(("get", &of("/deploys/{deployId}"), 200), deploy).await;
    let cancel = async |c: &Client, cx: &Context| c.cancel_deploy(cx, id, &"dep-1".into()).await;
    all.whole(("post", &of("/deploys/{deployId}/cancel"), 200), cancel).await;
    let rollback = async |c: &Client, cx: &Context| c.rollback(cx, id, &"dep-1".into()).await;
    all.whole(("post", &of("/rollback"), 201), rollback).await;

    let variables = async |c: &Client, cx: &Context| {
        let read = c.env_vars(cx, id).await?;
        assert_eq!(read[0].value.expose(), TEXT);
        Ok(read)
    };
    all.whole(("get", &of("/env-vars"), 200), variables).await;
    let files = async |c: &Client, cx: &Context| {
        let read = c.secret_files(cx, id).await?;
        assert_eq!(read[0].content.expose(), TEXT);
        Ok(read)
    };
    all.whole(("get", &of("/secret-files"), 200), files).await;

    let create = async |c: &Client, cx: &Context| c.create_job(cx, id, "x", None).await;
    all.whole(("post", &of("/jobs"), 201), create).await;
    let filter = &JobFilter { at_most: Some(1), ..JobFilter::default() };
    let jobs = async |c: &Client, cx: &Context| c.jobs(cx, id, filter).await;
    all.whole(("get", &of("/jobs"), 200), jobs).await;
    let job = async |c: &Client, cx: &Context| c.job(cx, id, &"job-1".into()).await;
    all.whole(("get", &of("/jobs/{jobId}"), 200), job).await;
    let cancel = async |c: &Client, cx: &Context| c.cancel_job(cx, id, &"job-1".into()).await;
    all.whole(("post", &of("/jobs/{jobId}/cancel"), 200), cancel).await;

    let logs = LogQuery::new("tea-1".into(), "srv-1");
    let page = async |c: &Client, cx: &Context| c.log_page(cx, &logs, 1).await;
    all.whole(("get", "/logs", 200), page).await;
    let metrics = MetricQuery::new("srv-1");
    let counts = async |c: &Client, cx: &Context| c.http_requests(cx, &metrics, None).await;
    all.whole(("get", "/metrics/http-requests", 200), counts).await;
    let times = async |c: &Client, cx: &Context| c.http_latency(cx, &metrics, 0.9).await;
    all.whole(("get", "/metrics/http-latency", 200), times).await;

    let named = async |c: &Client, cx: &Context| c.postgres_named(cx, None, TEXT).await;
    all.whole(("get", "/postgres", 200), named).await;
    let database = "dpg-1".into();
    let read = async |c: &Client, cx: &Context| c.postgres(cx, &database).await;
    all.whole(("get", "/postgres/{postgresId}", 200), read).await;
    let exports = async |c: &Client, cx: &Context| c.exports(cx, &database).await;
    all.whole(("get", "/postgres/{postgresId}/export", 200), exports).await;
    let info = async |c: &Client, cx: &Context| c.recovery_info(cx, &database).await;
    all.whole(("get", "/postgres/{postgresId}/recovery", 200), info).await;
    println!("{} described answers are read whole", all.read);
}

#[tokio::test]
async fn every_described_event_is_read_whole() {
    if contract::is_left_out() {
        return;
    }
    let contract = Contract::read();
    let list = contract.answer("get", "/services/{serviceId}/events", 200);
    let event = contract.schemas().sample(list);
    let row = "/components/schemas/serviceEventWithCursor/properties/event/properties";
    let schema = contract.schemas().document().pointer(row).unwrap();
    let kinds = contract.schemas().resolve(&schema["type"])["enum"].as_array().unwrap();
    let mut ends = 0;
    for kind in kinds.iter().filter_map(Value::as_str) {
        let title = kind.replace('_', " ");
        let arms = schema["details"]["oneOf"].as_array().unwrap();
        let arm = arms.iter().find(|arm| arm["title"].as_str().unwrap().to_lowercase() == title);
        let mut event = event.clone();
        event[0]["event"]["type"] = json!(kind);
        if let Some(arm) = arm {
            event[0]["event"]["details"] = contract.schemas().sample(arm);
        }
        let rig = Rig::always(200, &event.to_string()).await;
        let filter = EventFilter { at_most: Some(1), ..EventFilter::default() };
        let events = rig.client.events(&rig.cx, &service(), &filter).await.unwrap();
        assert_eq!(events[0].kind.as_str(), kind);
        assert!(events[0].timestamp.is_some() && events[0].id == TEXT);
        let Some(ended) = events[0].ended() else { continue };
        ends += 1;
        assert_eq!(ended.outcome, Outcome::Succeeded, "{kind}");
        let shown = format!("{:?}", ended.reason);
        assert!(!shown.contains("None") && !shown.contains("false"), "{kind}: {shown}");
        assert_eq!(ended.deploy.is_some(), kind != "build_ended");
    }
    assert_eq!(ends, 3);
    println!("{} described kinds of events are read", kinds.len());
}

#[test]
fn every_described_word_is_known() {
    if contract::is_left_out() {
        return;
    }
    let contract = Contract::read();
    let mut checked = 0;
    let mut known = |pointer: &str, is_known: &dyn Fn(String) -> bool| {
        let words = contract.schemas().document().pointer(&format!("{pointer}/enum"));
        for word in words.unwrap().as_array().unwrap().iter().filter_map(Value::as_str) {
            // Render has a word for what it has no word for.
            assert!(is_known(word.to_owned()) || word == "other", "{pointer}: {word}");
            checked += 1;
        }
    };
    macro_rules! known {
        ($pointer:literal, $words:ident) => {
            known(concat!("/components/schemas/", $pointer), &|word| {
                !matches!($words::from(word), $words::Other(_))
            });
        };
    }
    known!("deployStatus", DeployStatus);
    known!("deploy/properties/trigger", Trigger);
    known!("serviceType", ServiceKind);
    known!("autoDeploy", AutoDeploy);
    known!("service/properties/suspended", Suspension);
    known!("owner/properties/type", OwnerKind);
    known!("databaseStatus", PostgresStatus);
    let jobs = "/paths/~1services~1{serviceId}~1jobs/get/parameters/2/schema/items";
    known(jobs, &|word| !matches!(JobStatus::from(word), JobStatus::Other(_)));
    let recovery = "/paths/~1postgres~1{postgresId}~1recovery/get/responses/200/content\
                    /application~1json/schema/properties/recoveryStatus";
    known(recovery, &|word| !matches!(RecoveryStatus::from(word), RecoveryStatus::Other(_)));
    println!("{checked} described words are known");
}
