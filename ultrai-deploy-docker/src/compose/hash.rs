//! The hash by which `docker compose` tells whether a container is up to date.
//!
//! It is SHA-256 over the JSON of the service as Compose 5 writes it, without what does not make
//! a container (build, pull policy, scale, dependencies). Written into the label
//! `com.docker.compose.config-hash`, it makes a later `docker compose up` leave alone what this
//! tool has deployed. It is a courtesy: our own decisions use our own hash. Where a service has
//! something that this module does not reproduce, there is no hash, and `docker compose up` would
//! replace the container.

mod shared;

use std::{fmt::Write, time::Duration};

use indexmap::IndexMap;
use serde_json::{Value, json};
use ultrai_deploy_core::digest;

pub use self::shared::{network_hash, volume_hash};
use super::model::{
    Attachment, HealthCheck, HealthTest, Mount, MountKind, Port, Resources, Restart, Service,
};

/// The hash of a service, or nothing when it has something that is not reproduced.
///
/// The environment must hold the values that the container gets.
pub fn config_hash(service: &Service) -> Option<String> {
    let mode_of_other =
        |mode: &Option<String>| mode.as_deref().is_some_and(|mode| mode.starts_with("service:"));
    if service.unhashable
        || mode_of_other(&service.network_mode)
        || mode_of_other(&service.pid)
        || mode_of_other(&service.ipc)
    {
        return None;
    }
    Some(digest::sha256(document(service).as_bytes()))
}

/// The JSON, keys in Compose's order (that of its struct, not of the alphabet throughout).
fn document(service: &Service) -> String {
    let mut out = Object::default();
    out.list("cap_add", &service.cap_add);
    out.list("cap_drop", &service.cap_drop);
    let resources = &service.resources;
    if !resources.from_deploy {
        limits(&mut out, resources);
    }
    out.value("command", &json!(service.command));
    out.raw_if(!service.configs.is_empty(), "configs", || files(&service.configs, false));
    out.text("container_name", service.container_name.as_ref());
    if resources.from_deploy {
        out.raw("deploy", &deploy(resources));
    }
    out.list("dns", &service.dns);
    out.list("dns_opt", &service.dns_opt);
    out.list("dns_search", &service.dns_search);
    out.text("domainname", service.domainname.as_ref());
    out.value("entrypoint", &json!(service.entrypoint));
    out.raw_if(!service.environment.is_empty(), "environment", || sorted(&service.environment));
    out.list("expose", &service.expose);
    let hosts: Vec<_> = service.extra_hosts.iter().map(|host| host.replacen(':', "=", 1)).collect();
    out.list("extra_hosts", &hosts);
    out.list("group_add", &service.group_add);
    out.text("hostname", service.hostname.as_ref());
    if let Some(check) = &service.healthcheck {
        out.raw("healthcheck", &health(check));
    }
    // A name that was made up is not part of it.
    let unnamed = service.build.as_ref().is_some_and(|build| build.unnamed);
    out.text("image", service.image.as_ref().filter(|_| !unnamed));
    if let Some(init) = service.init {
        out.value("init", &json!(init));
    }
    out.text("ipc", service.ipc.as_ref());
    out.raw_if(!service.labels.is_empty(), "labels", || sorted(&service.labels));
    if let Some(logging) = &service.logging {
        let mut inner = Object::default();
        inner.text("driver", logging.driver.as_ref());
        inner.raw_if(!logging.options.is_empty(), "options", || sorted_btree(&logging.options));
        out.raw("logging", &inner.finish());
    }
    if !resources.from_deploy {
        memory(&mut out, resources);
    }
    out.raw_if(!service.networks.is_empty(), "networks", || networks(&service.networks));
    out.text("network_mode", service.network_mode.as_ref());
    out.text("pid", service.pid.as_ref());
    if !resources.from_deploy
        && let Some(pids) = resources.pids
    {
        out.value("pids_limit", &json!(pids));
    }
    out.text("platform", service.platform.as_ref());
    out.raw_if(!service.ports.is_empty(), "ports", || ports(&service.ports));
    out.flag("privileged", service.privileged);
    out.flag("read_only", service.read_only);
    if let Some(restart) = service.restart {
        out.value("restart", &json!(restart_text(restart)));
    }
    out.raw_if(!service.secrets.is_empty(), "secrets", || files(&service.secrets, true));
    out.list("security_opt", &service.security_opt);
    if let Some(size) = service.shm_size {
        out.value("shm_size", &json!(size.to_string()));
    }
    out.flag("stdin_open", service.stdin_open);
    if let Some(grace) = service.stop_grace_period {
        out.value("stop_grace_period", &json!(go_duration(grace)));
    }
    out.text("stop_signal", service.stop_signal.as_ref());
    out.raw_if(!service.sysctls.is_empty(), "sysctls", || sorted_btree(&service.sysctls));
    out.list("tmpfs", &service.tmpfs);
    out.flag("tty", service.tty);
    out.raw_if(!service.ulimits.is_empty(), "ulimits", || {
        let mut inner = Object::default();
        for (name, limit) in &service.ulimits {
            if limit.soft == limit.hard {
                inner.value(name, &json!(limit.soft));
            } else {
                inner.raw(name, &format!("{{\"soft\":{},\"hard\":{}}}", limit.soft, limit.hard));
            }
        }
        inner.finish()
    });
    out.text("user", service.user.as_ref());
    out.text("uts", service.uts.as_ref());
    out.raw_if(!service.volumes.is_empty(), "volumes", || mounts(&service.volumes));
    out.text("working_dir", service.working_dir.as_ref());
    out.finish()
}

fn limits(out: &mut Object, resources: &Resources) {
    let numbers = [
        ("cpu_count", resources.cpu_count),
        ("cpu_percent", resources.cpu_percent),
        ("cpu_period", resources.cpu_period),
        ("cpu_quota", resources.cpu_quota),
        ("cpu_rt_period", resources.cpu_rt_period),
        ("cpu_rt_runtime", resources.cpu_rt_runtime),
    ];
    for (name, number) in numbers {
        if let Some(number) = number {
            out.value(name, &json!(number));
        }
    }
    if let Some(nano) = resources.nano_cpus {
        out.raw("cpus", &cpus(nano));
    }
    out.text("cpuset", resources.cpuset.as_ref());
    if let Some(shares) = resources.cpu_shares {
        out.value("cpu_shares", &json!(shares));
    }
}

fn memory(out: &mut Object, resources: &Resources) {
    if let Some(size) = resources.memory {
        out.value("mem_limit", &json!(size.to_string()));
    }
    if let Some(size) = resources.memory_reservation {
        out.value("mem_reservation", &json!(size.to_string()));
    }
    if let Some(size) = resources.memory_swap {
        out.value("memswap_limit", &json!(size.to_string()));
    }
    if let Some(percent) = resources.memory_swappiness {
        out.value("mem_swappiness", &json!(percent.to_string()));
    }
}

fn deploy(resources: &Resources) -> String {
    let mut limits = Object::default();
    if let Some(nano) = resources.nano_cpus {
        limits.raw("cpus", &cpus(nano));
    }
    if let Some(size) = resources.memory {
        limits.value("memory", &json!(size.to_string()));
    }
    if let Some(pids) = resources.pids {
        limits.value("pids", &json!(pids));
    }
    let mut inner = Object::default();
    inner.raw_if(!limits.0.is_empty(), "limits", || limits.finish());
    if let Some(size) = resources.memory_reservation {
        inner.raw("reservations", &format!("{{\"memory\":\"{size}\"}}"));
    }
    format!("{{\"resources\":{},\"placement\":{{}}}}", inner.finish())
}

fn cpus(nano: i64) -> String {
    #[expect(clippy::cast_precision_loss, reason = "processors are few")]
    let cpus = nano as f64 / 1e9;
    cpus.to_string()
}

fn health(check: &HealthCheck) -> String {
    let mut out = Object::default();
    let mut disabled = false;
    match &check.test {
        HealthTest::Inherit => {}
        HealthTest::None => disabled = true,
        HealthTest::Command(words) => {
            let mut test = vec!["CMD".to_owned()];
            test.extend(words.iter().cloned());
            out.list("test", &test);
        }
        HealthTest::Shell(line) => out.list("test", &["CMD-SHELL".to_owned(), line.clone()]),
    }
    for (name, duration) in [("timeout", check.timeout), ("interval", check.interval)] {
        if let Some(duration) = duration {
            out.value(name, &json!(go_duration(duration)));
        }
    }
    if let Some(retries) = check.retries {
        out.value("retries", &json!(retries));
    }
    for (name, duration) in
        [("start_period", check.start_period), ("start_interval", check.start_interval)]
    {
        if let Some(duration) = duration {
            out.value(name, &json!(go_duration(duration)));
        }
    }
    out.flag("disable", disabled);
    out.finish()
}

fn networks(networks: &IndexMap<String, Attachment>) -> String {
    let mut names: Vec<_> = networks.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    let mut out = Object::default();
    for (name, attachment) in names {
        if *attachment == Attachment::default() {
            out.value(name, &Value::Null);
            continue;
        }
        let mut inner = Object::default();
        inner.list("aliases", &attachment.aliases);
        inner.raw_if(!attachment.driver_opts.is_empty(), "driver_opts", || {
            sorted_btree(&attachment.driver_opts)
        });
        if let Some(priority) = attachment.gw_priority {
            inner.value("gw_priority", &json!(priority));
        }
        inner.text("ipv4_address", attachment.ipv4_address.as_ref());
        inner.text("ipv6_address", attachment.ipv6_address.as_ref());
        inner.list("link_local_ips", &attachment.link_local_ips);
        inner.text("mac_address", attachment.mac_address.as_ref());
        if let Some(priority) = attachment.priority {
            inner.value("priority", &json!(priority));
        }
        out.raw(name, &inner.finish());
    }
    out.finish()
}

fn ports(ports: &[Port]) -> String {
    let items = ports.iter().map(|port| {
        let mut out = Object::default();
        out.value("mode", &json!("ingress"));
        out.text("host_ip", port.host_ip.as_ref());
        out.value("target", &json!(port.target));
        out.text("published", port.published.as_ref());
        out.value("protocol", &json!(port.protocol));
        out.finish()
    });
    array(items)
}

fn mounts(mounts: &[Mount]) -> String {
    let items = mounts.iter().map(|mount| {
        let mut out = Object::default();
        let kind = match mount.kind {
            MountKind::Volume => "volume",
            MountKind::Bind => "bind",
            MountKind::Tmpfs => "tmpfs",
        };
        out.value("type", &json!(kind));
        out.text("source", mount.source.as_ref());
        out.value("target", &json!(mount.target));
        out.flag("read_only", mount.read_only);
        if mount.bare {
            return out.finish();
        }
        let mut inner = Object::default();
        match mount.kind {
            MountKind::Bind => {
                inner.text("selinux", mount.selinux.as_ref());
                inner.text("propagation", mount.propagation.as_ref());
                if !mount.create_host_path {
                    inner.value("create_host_path", &json!(false));
                }
            }
            MountKind::Volume => {
                inner.flag("nocopy", mount.nocopy);
                inner.text("subpath", mount.subpath.as_ref());
            }
            MountKind::Tmpfs => {
                if let Some(size) = mount.tmpfs_size {
                    inner.value("size", &json!(size.to_string()));
                }
                if let Some(mode) = mount.tmpfs_mode {
                    inner.value("mode", &json!(mode));
                }
                if inner.0.is_empty() {
                    return out.finish();
                }
            }
        }
        out.raw(kind, &inner.finish());
        out.finish()
    });
    array(items)
}

fn files(references: &[super::model::FileReference], secrets: bool) -> String {
    let items = references.iter().map(|file| {
        let mut out = Object::default();
        out.value("source", &json!(file.source));
        if let Some(written) = file.written.as_ref() {
            out.value("target", &json!(written));
        } else if secrets {
            out.value("target", &json!(file.target));
        }
        out.text("uid", file.uid.as_ref());
        out.text("gid", file.gid.as_ref());
        if let Some(mode) = file.mode {
            out.value("mode", &json!(format!("{mode:04o}")));
        }
        out.finish()
    });
    array(items)
}

fn restart_text(restart: Restart) -> String {
    match restart {
        Restart::No => "no".to_owned(),
        Restart::Always => "always".to_owned(),
        Restart::UnlessStopped => "unless-stopped".to_owned(),
        Restart::OnFailure(None) => "on-failure".to_owned(),
        Restart::OnFailure(Some(most)) => format!("on-failure:{most}"),
    }
}

/// A duration as Go prints one: `1h30m0s`, `1.5s`, `250ms`.
fn go_duration(duration: Duration) -> String {
    let nanos = duration.as_nanos();
    if nanos == 0 {
        return "0s".to_owned();
    }
    let fraction = |number: u128, unit: u128, name: &str| {
        let (whole, rest) = (number / unit, number % unit);
        let digits = unit.ilog10() as usize;
        let rest = format!("{rest:0digits$}");
        let rest = rest.trim_end_matches('0');
        if rest.is_empty() { format!("{whole}{name}") } else { format!("{whole}.{rest}{name}") }
    };
    if nanos < 1_000 {
        return format!("{nanos}ns");
    }
    if nanos < 1_000_000 {
        return fraction(nanos, 1_000, "µs");
    }
    if nanos < 1_000_000_000 {
        return fraction(nanos, 1_000_000, "ms");
    }
    let seconds = duration.as_secs();
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    let below = fraction(nanos % 60_000_000_000, 1_000_000_000, "s");
    match (hours, minutes) {
        (0, 0) => below,
        (0, minutes) => format!("{minutes}m{below}"),
        (hours, minutes) => format!("{hours}h{minutes}m{below}"),
    }
}

/// A JSON object whose keys stay in order.
#[derive(Default)]
struct Object(String);

impl Object {
    fn raw(&mut self, key: &str, json: &str) {
        if !self.0.is_empty() {
            self.0.push(',');
        }
        let _infallible = write!(self.0, "{}:{json}", escaped(&json!(key)));
    }

    fn raw_if(&mut self, present: bool, key: &str, json: impl FnOnce() -> String) {
        if present {
            self.raw(key, &json());
        }
    }

    fn value(&mut self, key: &str, value: &Value) {
        self.raw(key, &escaped(value));
    }

    fn text(&mut self, key: &str, value: Option<&String>) {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            self.value(key, &json!(value));
        }
    }

    fn list(&mut self, key: &str, items: &[String]) {
        if !items.is_empty() {
            self.value(key, &json!(items));
        }
    }

    fn flag(&mut self, key: &str, on: bool) {
        if on {
            self.value(key, &json!(true));
        }
    }

    fn finish(self) -> String {
        format!("{{{}}}", self.0)
    }
}

fn array(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.collect::<Vec<_>>().join(","))
}

fn sorted<T: serde::Serialize>(map: &IndexMap<String, T>) -> String {
    let mut keys: Vec<_> = map.iter().collect();
    keys.sort_by_key(|(key, _)| *key);
    let mut out = Object::default();
    for (key, value) in keys {
        out.value(key, &json!(value));
    }
    out.finish()
}

fn sorted_btree(map: &std::collections::BTreeMap<String, String>) -> String {
    let mut out = Object::default();
    for (key, value) in map {
        out.value(key, &json!(value));
    }
    out.finish()
}

/// JSON as Go writes it: `<`, `>` and `&` escaped, and the two line separators of Unicode.
fn escaped(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_print_as_go_prints_them() {
        for (millis, expected) in
            [(0, "0s"), (250, "250ms"), (1_500, "1.5s"), (90_000, "1m30s"), (86_400_000, "24h0m0s")]
        {
            assert_eq!(go_duration(Duration::from_millis(millis)), expected);
        }
    }
}
