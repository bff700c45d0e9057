//! The stored forms, and what follows from what the engine says.

use std::time::Duration;

use serde_json::{Value, json};
use ultrai_deploy_core::{health::Health, memory, name::ServiceName, verification::NoProbes};

use super::*;
use crate::{Config, snapshot::Container};

fn probes() -> Probes {
    let releases = Arc::new(memory::ReleaseStore::default());
    Probes::new(&Deployer::connect(Config::default(), releases), Arc::new(NoProbes))
}

fn check(probe: Value) -> CheckSpec {
    CheckSpec::new("cache answers", probe).of(ServiceName::new("redis").unwrap())
}

#[test]
fn the_stored_form_stays_as_it_is() {
    for stored in [
        json!({"command": ["redis-cli", "ping"]}),
        json!({"command": ["true"], "expect_code": 3, "output_matches": "^PONG$"}),
    ] {
        let spec: ExecSpec = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), stored);
    }
    for stored in [json!({}), json!({"max_restarts": 2, "within": "10m"})] {
        let spec: ContainerSpec = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(serde_json::to_value(&spec).unwrap(), stored);
    }
}

#[test]
fn what_cannot_be_a_check_is_refused_with_its_reason() {
    for (probe, says) in [
        (json!({"exec": {"command": []}}), "has no command"),
        (json!({"exec": {"command": ["true"], "output_matches": "("}}), "output_matches"),
        (json!({"exec": {"command": ["true"], "code": 1}}), "unknown field `code`"),
        (json!({"exec": {}}), "missing field `command`"),
        (json!({"container": {"within": "soon"}}), "is no container probe"),
        (json!({"container": {}, "exec": {"command": ["true"]}}), "two kinds"),
        (json!({"container": {}, "http": {}}), "two kinds"),
    ] {
        let error = probes().probe(&check(probe.clone())).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid, "{probe}");
        let text = ultrai_deploy_core::Chain(&error).to_string();
        assert!(text.contains(says) && text.contains("cache answers"), "{probe}: {text}");
    }
    let nobody = CheckSpec::new("cache answers", json!({"container": {}}));
    let error = probes().probe(&nobody).unwrap_err();
    assert_eq!(error.advice(), Some("name the service"));
}

#[test]
fn other_kinds_are_handed_on() {
    let error = probes().probe(&check(json!({"http": {}}))).unwrap_err();
    assert!(error.message().contains("there are none"), "{error}");
    assert_eq!(probes().secrets(&check(json!({"http": {}}))).unwrap(), []);
    probes().probe(&check(json!({"container": {}}))).unwrap();
}

#[test]
fn what_the_engine_says_of_a_container_decides() {
    let container = |state: Value| {
        let found = json!({
            "Id": "1", "Name": "/p-redis-1", "State": state,
            "Config": {"Labels": {"com.docker.compose.service": "redis"}}
        });
        Container::new(serde_json::from_value(found).unwrap()).unwrap()
    };
    let running = json!({"Status": "running", "Running": true, "StartedAt": "t"});
    let paused = json!({"Status": "paused", "Running": true, "Paused": true, "StartedAt": "t"});
    let killed = json!({"Status": "exited", "ExitCode": 137, "OOMKilled": true, "StartedAt": "t"});
    let again = json!({
        "Status": "restarting", "Running": true, "Restarting": true, "ExitCode": 1, "StartedAt": "t"
    });
    let never = ContainerSpec::default();
    let lately = ContainerSpec { max_restarts: 1, within: Some(Duration::from_mins(1)) };
    let ran = |seconds| Some(Duration::from_secs(seconds));
    for (spec, state, restarts, runs_for, verdict, says) in [
        (&never, &running, 0, None, "healthy", ""),
        (&never, &running, 1, None, "dead", "restarted it 1 times, 0 are allowed"),
        (&never, &paused, 0, None, "unhealthy", "paused"),
        (&never, &killed, 0, None, "dead", "exit code 137, out of memory"),
        (&never, &again, 1, None, "dead", "it last ended with exit code 1"),
        (&lately, &running, 1, None, "healthy", ""),
        (&lately, &again, 1, None, "unhealthy", "is started again"),
        (&lately, &running, 2, ran(59), "unhealthy", "less than 60s ago"),
        (&lately, &running, 2, ran(61), "healthy", ""),
        (&lately, &running, 2, None, "unhealthy", "2 times"),
    ] {
        let (found, why) = match spec.judge(&container(state.clone()), restarts, runs_for) {
            Health::Healthy(_) => ("healthy", String::new()),
            Health::Unhealthy { why, .. } => ("unhealthy", why),
            Health::Dead { why, .. } => ("dead", why),
            other => panic!("{other:?}"),
        };
        assert_eq!(found, verdict, "{state} {restarts} {runs_for:?}: {why}");
        assert!(why.contains(says), "{why}");
    }
}
