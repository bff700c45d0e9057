use serde_json::{Value, json};
use ultrai_deploy_core::{
    name::ProjectName,
    release::{Image, ReleaseService},
    version::Version,
};

use super::*;

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

/// Services as name, definition, and conditions of what they depend on.
fn release(services: &[(&str, Value, Value)]) -> Release {
    let sealed = services.iter().map(|(own, config, needs)| {
        let needs = needs.as_object().unwrap().keys().map(|needed| name(needed)).collect();
        let image = Image { reference: format!("{own}:1"), id: "sha256:aa".into(), digest: None };
        (name(own), ReleaseService::new(Some(image), config.clone()).with_depends_on(needs))
    });
    let version = Version::parse("1.0.0").unwrap();
    let project = ProjectName::new("shop").unwrap();
    let mut release = Release::new(project, version, sealed.collect()).unwrap();
    let wiring: serde_json::Map<_, _> = services
        .iter()
        .map(|(own, _, needs)| ((*own).to_owned(), json!({ "depends_on": needs })))
        .collect();
    release.resources = json!({
        "services": wiring,
        "networks": {"default": {"name": "shop_default"}},
        "volumes": {"data": {"name": "shop_data"}}
    });
    release
}

fn running(release: &Release) -> Current {
    let services = release.services.iter().map(|(name, service)| {
        let running = Running {
            instances: vec!["c1".into()],
            spec_hash: Some(service.spec_hash.clone()),
            image: service.image.clone(),
            up: true,
            ..Running::default()
        };
        (name.clone(), running)
    });
    Current { serving: Serving::Release(release.id.clone()), services: services.collect() }
}

fn make(current: &Current, release: &Release) -> Plan {
    plan(current, release, None).unwrap()
}

fn actions(plan: &Plan) -> Vec<(&str, Action)> {
    plan.services.iter().map(|(name, change)| (name.as_str(), change.action)).collect()
}

fn started(needed: &str) -> Value {
    json!({needed: {"condition": "service_started"}})
}

fn port(number: &str) -> Value {
    json!({"ports": [{"target": 80, "published": number, "protocol": "tcp"}]})
}

fn with_env(mut config: Value) -> Value {
    config["environment"] = json!({"CHANGED": "1"});
    config
}

#[test]
fn what_runs_as_wanted_is_kept() {
    let release = release(&[("db", json!({}), json!({})), ("web", port("80"), started("db"))]);
    let plan = make(&running(&release), &release);
    assert!(plan.unchanged, "{plan}");
    assert!(plan.not_undoable.is_empty());
}

#[test]
fn a_first_deploy_creates_all_and_names_what_it_makes() {
    let release = release(&[("web", json!({}), json!({}))]);
    let plan = make(&Current::default(), &release);
    assert_eq!(actions(&plan), [("web", Action::Create)]);
    assert_eq!(plan.resources, ["network shop_default", "volume shop_data"]);
    assert!(!plan.unchanged);
}

#[test]
fn only_what_changed_is_replaced_and_only_what_must_stops_first() {
    let old = release(&[
        ("db", json!({}), json!({})),
        ("api", json!({}), started("db")),
        ("web", port("80"), started("api")),
        ("gone", json!({}), json!({})),
    ]);
    let new = release(&[
        ("db", json!({}), json!({})),
        ("api", with_env(json!({})), started("db")),
        ("web", with_env(port("80")), started("api")),
    ]);
    let plan = make(&running(&old), &new);
    assert_eq!(
        actions(&plan),
        [
            ("api", Action::StartFirst),
            ("db", Action::Keep),
            ("gone", Action::Remove),
            ("web", Action::StopFirst)
        ]
    );
    let reason = &plan.services[&name("web")].reason;
    assert_eq!(reason, "changed; it has host port 80");
    let definition = Definition::read(&new).unwrap();
    assert_eq!(staged(&plan, &definition), [name("api")]);
}

#[test]
fn nothing_is_staged_on_what_has_to_stop() {
    let data = json!({"volumes": [{"kind": "volume", "source": "data", "target": "/data"}]});
    let old = release(&[
        ("db", data.clone(), json!({})),
        ("mid", json!({}), started("db")),
        ("web", json!({}), started("mid")),
    ]);
    let new = release(&[
        ("db", with_env(data), json!({})),
        ("mid", json!({}), started("db")),
        ("web", with_env(json!({})), started("db")),
    ]);
    let plan = make(&running(&old), &new);
    assert_eq!(
        actions(&plan),
        [("db", Action::StopFirst), ("mid", Action::Keep), ("web", Action::StopFirst)]
    );
    assert!(staged(&plan, &Definition::read(&new).unwrap()).is_empty());
    assert_eq!(plan.not_undoable, ["what db writes to volume shop_data"]);
}

#[test]
fn what_restarts_with_another_one_is_replaced_with_it() {
    let restarts = json!({"db": {"condition": "service_started", "restart": true}});
    let old = release(&[("db", json!({}), json!({})), ("web", json!({}), restarts.clone())]);
    let new = release(&[("db", with_env(json!({})), json!({})), ("web", json!({}), restarts)]);
    let plan = make(&running(&old), &new);
    assert_eq!(plan.services[&name("web")].reason, "restarts with db");
    assert_eq!(plan.services[&name("web")].action, Action::StartFirst);
}

#[test]
fn a_service_that_joins_another_one_is_replaced_with_it() {
    let joined = json!({"network_mode": "service:vpn"});
    let services =
        |vpn: Value| release(&[("vpn", vpn, json!({})), ("web", joined.clone(), started("vpn"))]);
    let old = services(json!({}));
    let plan = make(&running(&old), &services(with_env(json!({}))));
    assert_eq!(actions(&plan), [("vpn", Action::StartFirst), ("web", Action::StopFirst)]);
}

#[test]
fn what_is_down_or_unknown_or_incomplete_is_replaced() {
    let release = release(&[("web", json!({}), json!({}))]);
    let mut current = running(&release);
    current.services.get_mut(&name("web")).unwrap().up = false;
    let plan = make(&current, &release);
    assert_eq!(actions(&plan), [("web", Action::StopFirst)]);
    assert!(!plan.unchanged);
    let mut current = running(&release);
    current.services.get_mut(&name("web")).unwrap().spec_hash = None;
    let plan = make(&current, &release);
    assert_eq!(plan.services[&name("web")].reason, "started by others");
    let mut current = running(&release);
    current.services.get_mut(&name("web")).unwrap().instances.clear();
    assert_eq!(actions(&make(&current, &release)), [("web", Action::StartFirst)]);
}

#[test]
fn an_anonymous_volume_is_taken_over_by_one_container_at_a_time() {
    let old = release(&[("redis", json!({}), json!({}))]);
    let new = release(&[("redis", with_env(json!({})), json!({}))]);
    let mut current = running(&old);
    let redis = current.services.get_mut(&name("redis")).unwrap();
    redis.takes_over = vec!["volume at /data".into()];
    let plan = make(&current, &new);
    assert_eq!(actions(&plan), [("redis", Action::StopFirst)]);
    assert_eq!(plan.not_undoable, ["what redis writes to its volume at /data"]);
}

#[test]
fn an_anonymous_volume_of_a_removed_service_stays() {
    let old = release(&[("redis", json!({}), json!({})), ("web", json!({}), json!({}))]);
    let new = release(&[("web", json!({}), json!({}))]);
    let mut current = running(&old);
    let redis = current.services.get_mut(&name("redis")).unwrap();
    redis.takes_over = vec!["volume at /data".into()];
    let plan = make(&current, &new);
    assert_eq!(actions(&plan), [("redis", Action::Remove), ("web", Action::Keep)]);
    let reason = &plan.services[&name("redis")].reason;
    assert_eq!(reason, "not in the compose file any more; its volume at /data stays");
}

#[test]
fn a_job_runs_again_only_when_it_changed() {
    let waits = json!({"job": {"condition": "service_completed_successfully"}});
    let old = release(&[("job", json!({}), json!({})), ("web", json!({}), waits.clone())]);
    assert!(make(&running(&old), &old).unchanged);
    let new = release(&[("job", with_env(json!({})), json!({})), ("web", json!({}), waits)]);
    let plan = make(&running(&old), &new);
    assert_eq!(actions(&plan), [("job", Action::StartFirst), ("web", Action::Keep)]);
    assert_eq!(plan.not_undoable, ["what job does when it runs"]);
}

#[test]
fn what_the_engine_cannot_do_is_refused() {
    let release = release(&[(
        "web",
        json!({"healthcheck": {"test": "inherit", "start_interval": {"secs": 1, "nanos": 0}}}),
        json!({}),
    )]);
    let error = plan(&Current::default(), &release, Some(ApiVersion::OLDEST)).unwrap_err();
    assert_eq!(error.kind(), ultrai_deploy_core::ErrorKind::Unsupported);
}
