//! What `docker compose config --format json` prints, turned into the JSON of our model.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use serde_json::{Map, Value, json};

/// The JSON that our project should have.
pub(crate) fn project(config: &Value) -> Value {
    let config = single_dollars(config);
    let name = config["name"].as_str().unwrap().to_owned();
    let each = |key: &str, convert: &dyn Fn(&str, &Value) -> Value| -> Value {
        let entries = config[key].as_object().cloned().unwrap_or_default();
        entries.iter().map(|(key, value)| (key.clone(), convert(key, value))).collect()
    };
    json!({
        "name": name,
        "services": each("services", &|key, value| service(&name, key, value)),
        "networks": each("networks", &|_, value| network(value)),
        "volumes": each("volumes", &|_, value| value.clone()),
        "secrets": each("secrets", &|_, value| json!({"file": value["file"]})),
        "configs": each("configs", &|_, value| json!({"file": value["file"]})),
    })
}

/// Takes out of a service of ours what only the config hash needs.
pub(crate) fn without_marks(service: &mut Value) {
    let service = service.as_object_mut().unwrap();
    service.remove("unhashable");
    if let Some(build) = service.get_mut("build").and_then(Value::as_object_mut) {
        build.remove("unnamed");
    }
    if let Some(resources) = service.get_mut("resources").and_then(Value::as_object_mut) {
        resources.remove("from_deploy");
        if resources.is_empty() {
            service.remove("resources");
        }
    }
    for (list, mark) in [("volumes", "bare"), ("secrets", "written"), ("configs", "written")] {
        for item in service.get_mut(list).and_then(Value::as_array_mut).into_iter().flatten() {
            item.as_object_mut().unwrap().remove(mark);
        }
    }
}

/// `config` writes every dollar twice, so that its output can be read again.
fn single_dollars(value: &Value) -> Value {
    match value {
        Value::String(text) => json!(text.replace("$$", "$")),
        Value::Array(items) => items.iter().map(single_dollars).collect(),
        Value::Object(entries) => {
            let single =
                |(key, value): (&String, _)| (key.replace("$$", "$"), single_dollars(value));
            entries.iter().map(single).collect()
        }
        other => other.clone(),
    }
}

fn service(project: &str, name: &str, given: &Value) -> Value {
    let mut out = Map::new();
    let mut resources = Map::new();
    for (key, value) in given.as_object().unwrap() {
        match key.as_str() {
            "command" | "entrypoint" if value.is_null() => {}
            "build" => drop(out.insert("build".into(), build(value))),
            "pull_policy" => {
                let policy = if value == "if_not_present" { &json!("missing") } else { value };
                out.insert(key.clone(), policy.clone());
            }
            "ports" => drop(out.insert(key.clone(), list(value, port))),
            "expose" => drop(out.insert(key.clone(), expose(value))),
            "volumes" => drop(out.insert(key.clone(), list(value, mount))),
            "secrets" => drop(out.insert(key.clone(), list(value, |v| file(v, "/run/secrets/")))),
            "configs" => drop(out.insert(key.clone(), list(value, |v| file(v, "/")))),
            "healthcheck" => drop(out.insert(key.clone(), health(value))),
            "networks" => {
                let networks = value.as_object().unwrap();
                let attach =
                    |value: &Value| if value.is_null() { json!({}) } else { value.clone() };
                let networks: Map<_, _> =
                    networks.iter().map(|(key, value)| (key.clone(), attach(value))).collect();
                out.insert(key.clone(), networks.into());
            }
            "extra_hosts" => {
                let host = |v: &Value| json!(v.as_str().unwrap().replacen('=', ":", 1));
                out.insert(key.clone(), list(value, host));
            }
            "stop_grace_period" => drop(out.insert(key.clone(), duration(value))),
            "shm_size" => drop(out.insert(key.clone(), number(value))),
            "ulimits" => drop(out.insert(key.clone(), ulimits(value))),
            "restart" => drop(out.insert(key.clone(), restart(value.as_str().unwrap()))),
            // Read, and not part of what a container is made from; or taken up below.
            "deploy" | "develop" | "label_file" | "mac_address" => {}
            "mem_limit" => drop(resources.insert("memory".into(), number(value))),
            "mem_reservation" => {
                resources.insert("memory_reservation".into(), number(value));
            }
            "memswap_limit" => drop(resources.insert("memory_swap".into(), number(value))),
            "mem_swappiness" => drop(resources.insert("memory_swappiness".into(), number(value))),
            "cpus" => drop(resources.insert("nano_cpus".into(), nano(value))),
            "pids_limit" => drop(resources.insert("pids".into(), value.clone())),
            "cpuset" | "cpu_shares" | "cpu_period" | "cpu_quota" | "cpu_rt_period"
            | "cpu_rt_runtime" | "cpu_count" | "cpu_percent" => {
                resources.insert(key.clone(), value.clone());
            }
            _ => drop(out.insert(key.clone(), value.clone())),
        }
    }
    // Compose gives it to the first network.
    if let Some(mac) = given.get("mac_address") {
        let networks = out.get_mut("networks").unwrap().as_object_mut().unwrap();
        let first = networks.values_mut().next().unwrap().as_object_mut().unwrap();
        first.insert("mac_address".into(), mac.clone());
    }
    out.entry("image").or_insert_with(|| json!(format!("{project}-{name}")));
    if let Some(deploy) = given.get("deploy") {
        if let Some(replicas) = deploy.get("replicas") {
            out.insert("scale".into(), replicas.clone());
        }
        if let Some(policy) = deploy.get("restart_policy") {
            out.insert("restart".into(), restart_policy(policy));
        }
        let limits = &deploy["resources"]["limits"];
        if let Some(cpus) = limits.get("cpus") {
            resources.insert("nano_cpus".into(), nano(cpus));
        }
        if let Some(memory) = limits.get("memory") {
            resources.insert("memory".into(), number(memory));
        }
        if let Some(pids) = limits.get("pids") {
            resources.insert("pids".into(), pids.clone());
        }
        if let Some(memory) = deploy["resources"]["reservations"].get("memory") {
            resources.insert("memory_reservation".into(), number(memory));
        }
    }
    if !resources.is_empty() {
        out.insert("resources".into(), resources.into());
    }
    out.into()
}

fn list(value: &Value, convert: impl Fn(&Value) -> Value) -> Value {
    value.as_array().unwrap().iter().map(convert).collect()
}

fn build(value: &Value) -> Value {
    let mut build = value.as_object().unwrap().clone();
    if build.get("dockerfile") == Some(&json!("Dockerfile")) {
        build.remove("dockerfile");
    }
    let mut unsupported = Vec::new();
    for key in ["secrets", "ssh", "additional_contexts", "privileged", "entitlements"] {
        if build.remove(key).is_some() {
            unsupported.push(key);
        }
    }
    if !unsupported.is_empty() {
        unsupported.sort_unstable();
        build.insert("unsupported".into(), json!(unsupported));
    }
    if let Some(size) = build.get_mut("shm_size") {
        *size = number(size);
    }
    if let Some(limits) = build.get_mut("ulimits") {
        *limits = ulimits(limits);
    }
    if let Some(hosts) = build.get_mut("extra_hosts") {
        *hosts = list(hosts, |v| json!(v.as_str().unwrap().replacen('=', ":", 1)));
    }
    build.into()
}

fn port(value: &Value) -> Value {
    let mut port = value.as_object().unwrap().clone();
    for key in ["mode", "name", "app_protocol"] {
        port.remove(key);
    }
    port.into()
}

fn expose(value: &Value) -> Value {
    let mut ports = Vec::new();
    for item in value.as_array().unwrap() {
        let text = item.as_str().unwrap();
        let (range, protocol) = match text.split_once('/') {
            None | Some((_, "tcp")) => (text.trim_end_matches("/tcp"), String::new()),
            Some((range, protocol)) => (range, format!("/{protocol}")),
        };
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        for port in first.parse::<u16>().unwrap()..=last.parse().unwrap() {
            ports.push(format!("{port}{protocol}"));
        }
    }
    json!(ports)
}

fn mount(value: &Value) -> Value {
    let mut mount = Map::new();
    for (key, value) in value.as_object().unwrap() {
        match (key.as_str(), value) {
            ("type", kind) => drop(mount.insert("kind".into(), kind.clone())),
            ("bind" | "volume" | "tmpfs", Value::Object(part)) => {
                for (key, value) in part {
                    match (key.as_str(), value) {
                        ("create_host_path", _) => {}
                        ("size", value) => drop(mount.insert("tmpfs_size".into(), number(value))),
                        ("mode", mode) => drop(mount.insert("tmpfs_mode".into(), mode.clone())),
                        (_, value) => drop(mount.insert(key.clone(), value.clone())),
                    }
                }
            }
            ("consistency", _) => {}
            (_, value) => drop(mount.insert(key.clone(), value.clone())),
        }
    }
    if value["type"] == "bind" && value["bind"]["create_host_path"] != json!(false) {
        mount.insert("create_host_path".into(), json!(true));
    }
    mount.into()
}

fn file(value: &Value, directory: &str) -> Value {
    let mut file = value.as_object().unwrap().clone();
    let target = file.get("target").unwrap_or(&file["source"]).as_str().unwrap();
    if !target.starts_with('/') {
        let target = format!("{directory}{target}");
        file.insert("target".into(), json!(target));
    }
    if let Some(mode) = file.get_mut("mode") {
        *mode = json!(u32::from_str_radix(mode.as_str().unwrap(), 8).unwrap());
    }
    file.into()
}

fn health(value: &Value) -> Value {
    let mut health = value.as_object().unwrap().clone();
    for key in ["interval", "timeout", "start_period", "start_interval"] {
        if let Some(value) = health.get_mut(key) {
            *value = duration(value);
        }
    }
    let words: Vec<String> = health
        .get("test")
        .map(|test| serde_json::from_value(test.clone()).unwrap())
        .unwrap_or_default();
    let test = match words.first().map(String::as_str) {
        _ if health.remove("disable") == Some(json!(true)) => json!("none"),
        None => json!("inherit"),
        Some("NONE") => json!("none"),
        Some("CMD") => json!({"command": words[1..]}),
        Some(_) => json!({"shell": words[1]}),
    };
    health.insert("test".into(), test);
    health.into()
}

fn restart(text: &str) -> Value {
    match text.split_once(':') {
        Some((_, most)) => json!({"on_failure": most.parse::<u32>().unwrap()}),
        None if text == "on-failure" => json!({"on_failure": null}),
        None => json!(text.replace('-', "_")),
    }
}

fn restart_policy(policy: &Value) -> Value {
    match policy["condition"].as_str() {
        Some("none") => json!("no"),
        Some("on-failure") => json!({"on_failure": policy.get("max_attempts")}),
        _ => json!("always"),
    }
}

fn network(value: &Value) -> Value {
    let mut network = value.as_object().unwrap().clone();
    if network.get("ipam") == Some(&json!({})) {
        network.remove("ipam");
    }
    network.into()
}

fn ulimits(value: &Value) -> Value {
    let both = |value: &Value| match value {
        Value::Number(_) => json!({"soft": value, "hard": value}),
        other => other.clone(),
    };
    let limits = value.as_object().unwrap();
    limits.iter().map(|(key, value)| (key.clone(), both(value))).collect()
}

/// Bytes are printed as text.
fn number(value: &Value) -> Value {
    match value.as_str() {
        Some(text) => json!(text.parse::<i64>().unwrap()),
        None => value.clone(),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "small numbers of processors")]
fn nano(value: &Value) -> Value {
    json!((value.as_f64().unwrap() * 1e9).round() as i64)
}

/// A duration as Go prints it, `1h0m1.5s`, in the form that serde gives one.
fn duration(value: &Value) -> Value {
    let mut nanos = 0_u64;
    let mut rest = value.as_str().unwrap();
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap();
        let (number, after) = rest.split_at(digits);
        let unit = after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len());
        let factor = match &after[..unit] {
            "h" => 3_600_000_000_000,
            "m" => 60_000_000_000,
            "s" => 1_000_000_000,
            "ms" => 1_000_000,
            "µs" => 1_000,
            "ns" => 1,
            other => panic!("unit {other}"),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        nanos += whole.parse::<u64>().unwrap() * factor;
        if !fraction.is_empty() {
            let scale = 10_u64.pow(u32::try_from(fraction.len()).unwrap());
            nanos += fraction.parse::<u64>().unwrap() * factor / scale;
        }
        rest = &after[unit..];
    }
    json!({"secs": nanos / 1_000_000_000, "nanos": nanos % 1_000_000_000})
}
