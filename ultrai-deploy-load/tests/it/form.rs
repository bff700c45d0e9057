//! The stored forms. Stored releases hold them: changing one makes them unreadable.

use serde_json::{Value, json};
use ultrai_deploy_core::{
    ErrorKind,
    name::SecretName,
    verification::{CheckSpec, NoProbes, ProbeSource as _},
};
use ultrai_deploy_load::{
    Probes,
    k6::K6Spec,
    spec::{LoadSpec, TrafficSpec},
};

use crate::{check, probe};

fn whole_load() -> Value {
    json!({"load": {
        "port": 8000,
        "requests": [
            {"path": "/api/models"},
            {
                "method": "POST", "path": "/api/chat", "weight": 3, "json": {"text": "hi"},
                "headers": {"x-trace": "gate"}, "secret_headers": {"authorization": "API_AUTH"},
                "status": [200, 401],
            },
        ],
        "rate": 50.0, "timeout": "5s", "max_open": 64, "fresh_connections": true,
        "duration": "10s", "warm_up": "1s",
        "require": ["error_rate < 1%", "p95_latency < 3s"],
        "at_most_worse": {"p95_latency": "20%", "error_rate": "1%"},
        "min_requests": 400,
    }})
}

fn traffic() -> Value {
    json!({"traffic": {
        "url": "http://127.0.0.1:1/", "path": "/", "rate": 5.0, "timeout": "10s", "max_open": 256,
        "window": "1m", "slice": "2s", "fails_when": "error_rate > 0.05", "min_requests": 20,
    }})
}

fn k6() -> Value {
    json!({"k6": {
        "script": "export default () => {}", "name": "smoke.js", "url": "http://127.0.0.1:1/",
        "env": {"USERS": "5"}, "secret_env": {"TOKEN": "API_AUTH"}, "duration_limit": "30s",
    }})
}

fn merged(spec: &(impl serde::Serialize, impl serde::Serialize)) -> Value {
    let (mut common, own) = (json!(spec.0), json!(spec.1));
    common.as_object_mut().unwrap().extend(own.as_object().unwrap().clone());
    common
}

#[test]
fn the_forms_are_read_and_written_alike() {
    let mut compares = check(whole_load());
    compares.compares = true;
    let load = LoadSpec::of(&compares).unwrap().unwrap();
    assert_eq!(merged(&(load.requesting, load.gate)), whole_load()["load"]);
    let rule = TrafficSpec::of(&check(traffic())).unwrap().unwrap();
    assert_eq!(merged(&(rule.requesting, rule.rule)), traffic()["traffic"]);
    let script = K6Spec::of(&check(k6())).unwrap().unwrap();
    assert_eq!(json!(script), k6()["k6"]);

    let probes = Probes::new(std::sync::Arc::new(NoProbes));
    let auth = vec![SecretName::new("API_AUTH").unwrap()];
    for (check, secrets) in
        [(&compares, auth.clone()), (&check(k6()), auth), (&check(traffic()), Vec::new())]
    {
        assert_eq!(probes.secrets(check).unwrap(), secrets);
    }
}

/// Changes one field of a form; `null` takes it away.
fn with(mut form: Value, field: &str, value: Value) -> Value {
    let fields = form.as_object_mut().unwrap().values_mut().next().unwrap();
    let fields = fields.as_object_mut().unwrap();
    match value {
        Value::Null => fields.remove(field),
        value => fields.insert(field.to_owned(), value),
    };
    form
}

#[test]
fn what_is_wrong_is_known_before_anything_is_sent() {
    let load = || {
        json!({"load": {
            "url": "http://127.0.0.1:1", "path": "/", "rate": 50, "duration": "10s",
            "require": ["error_rate < 1%"],
        }})
    };
    let strict = || with(traffic(), "fails_when", json!("error_rate > 1%"));
    assert!(probe(&check(load())).is_ok());
    for (form, told) in [
        (with(load(), "durations", json!("10s")), "durations"),
        (with(load(), "duration", json!("soon")), "load.duration"),
        (with(load(), "requests", json!([{"path": "models"}])), "load.requests[0].path"),
        (with(load(), "rate", json!("many")), "load.rate"),
        (with(load(), "rate", json!(0)), "rate"),
        (with(load(), "max_open", json!(0)), "max_open"),
        (with(load(), "duration", json!("1s")), "means something of 300"),
        (with(load(), "duration", json!("2m")), "timeout"),
        (with(load(), "path", Value::Null), "either path or requests"),
        (with(load(), "requests", json!([{"path": "/"}])), "either path or requests"),
        (with(load(), "port", json!(1)), "both url and port"),
        (with(load(), "require", json!([])), "asks for nothing"),
        (with(load(), "require", json!(["error_rate > 1%"])), "no good service"),
        (with(load(), "require", json!(["latency < 1s"])), "latency"),
        (with(load(), "at_most_worse", json!({"p95_latency": "20%"})), "compares with nothing"),
        (with(traffic(), "fails_when", json!("error_rate < 5%")), "a good service"),
        (with(strict(), "min_requests", Value::Null), "means something of 300"),
        (with(traffic(), "slice", json!("2m")), "traffic"),
        (with(k6(), "script", json!(" ")), "empty script"),
        (with(k6(), "secret_env", json!({"USERS": "X"})), "USERS"),
        (with(k6(), "duration_limit", json!("2m")), "timeout"),
    ] {
        let told_error = probe(&check(form.clone())).unwrap_err();
        assert_eq!(told_error.kind(), ErrorKind::Invalid, "{form}");
        let text = told_error.to_string();
        assert!(text.contains(told) || told == "traffic", "{form}: {text}");
    }
    let nowhere = CheckSpec::new("gate", with(load(), "url", Value::Null));
    assert!(probe(&nowhere).unwrap_err().to_string().contains("names none"));
}
