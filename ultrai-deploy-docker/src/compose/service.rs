//! One service: every key is read, refused by name, or unknown.

use std::collections::BTreeMap;

use ultrai_deploy_core::secret::Secret;

use super::{
    attach, build, command, depends, environment,
    field::{Field, Pair, Result},
    health, limits, link,
    load::Scope,
    model::{Condition, Dependency, Logging, PullPolicy, Restart, Service},
    mounts, ports, references, unhashed,
};

/// Keys that Compose knows and that are refused by name.
const UNSUPPORTED: &[(&str, &str)] = &[
    ("extends", "write the keys into this service"),
    ("profiles", "put the service into a file of its own"),
    ("links", "use `networks:` and the service's name"),
    ("external_links", "use an external network"),
    ("volumes_from", "name the volumes in both services"),
    ("devices", "remove it"),
    ("device_cgroup_rules", "remove it"),
    ("gpus", "remove it"),
    ("models", "remove it"),
    ("provider", "remove it"),
    ("post_start", "use a service that others depend on"),
    ("pre_stop", "handle the stop signal in the application"),
    ("pre_start", "use a service that others depend on"),
    ("use_api_socket", "mount the socket"),
    ("cgroup", "remove it"),
    ("cgroup_parent", "remove it"),
    ("userns_mode", "remove it"),
    ("storage_opt", "remove it"),
    ("blkio_config", "remove it"),
    ("oom_kill_disable", "remove it"),
    ("oom_score_adj", "remove it"),
    ("runtime", "remove it"),
    ("isolation", "remove it"),
    ("credential_spec", "remove it"),
    ("annotations", "use `labels:`"),
    ("attach", "remove it"),
    ("volume_driver", "name a volume with a driver"),
];

/// Keys that are read.
const KNOWN: &[&str] = &[
    "image",
    "build",
    "pull_policy",
    "platform",
    "container_name",
    "scale",
    "command",
    "entrypoint",
    "environment",
    "env_file",
    "labels",
    "label_file",
    "ports",
    "expose",
    "volumes",
    "tmpfs",
    "secrets",
    "configs",
    "depends_on",
    "healthcheck",
    "restart",
    "networks",
    "network_mode",
    "logging",
    "init",
    "user",
    "group_add",
    "working_dir",
    "hostname",
    "domainname",
    "extra_hosts",
    "dns",
    "dns_search",
    "dns_opt",
    "shm_size",
    "ulimits",
    "stop_signal",
    "stop_grace_period",
    "read_only",
    "privileged",
    "stdin_open",
    "tty",
    "cap_add",
    "cap_drop",
    "security_opt",
    "sysctls",
    "pid",
    "ipc",
    "uts",
    "deploy",
    "mem_limit",
    "mem_reservation",
    "memswap_limit",
    "mem_swappiness",
    "cpus",
    "cpu_shares",
    "cpu_period",
    "cpu_quota",
    "cpu_rt_period",
    "cpu_rt_runtime",
    "cpu_count",
    "cpu_percent",
    "cpuset",
    "pids_limit",
    "mac_address",
];

/// Reads a service. Secret values of its env files go to `secrets`.
pub(super) fn read(
    name: &str,
    field: &Field<'_>,
    scope: &Scope<'_>,
    secrets: &mut BTreeMap<String, Secret>,
) -> Result<Service> {
    check_name(name, field)?;
    let environment = environment::read(field, scope, secrets)?;
    let mut service = Service { environment, ..Service::default() };
    if let Some(files) = field.get("label_file") {
        service.labels = environment::label_files(&files, scope)?;
    }
    for pair in field.pairs()? {
        read_key(&mut service, &pair, scope)?;
    }
    limits::read(&mut service, field)?;
    service.unhashable = unhashed::has_any(field);
    if let Some(place) = field.get("mac_address")
        && let Some(mac) = place.set_text()?
    {
        if service.network_mode.is_some() {
            return Err(place.problem("it needs a network; remove it or `network_mode`"));
        }
        if service.networks.is_empty() {
            let default = link::DEFAULT_NETWORK.to_owned();
            service.networks.insert(default, super::model::Attachment::default());
        }
        if let Some((_, first)) = service.networks.first_mut() {
            first.mac_address.get_or_insert(mac);
        }
    }
    if service.image.is_none() {
        let Some(build) = &mut service.build else {
            return Err(field.problem("it has neither `image:` nor `build:`; write one of them"));
        };
        build.unnamed = true;
        service.image = Some(format!("{}-{name}", scope.project));
    }
    if service.container_name.is_some() && service.replicas() > 1 {
        return Err(field.problem(
            "a service with `container_name` can have one container only; remove one of them",
        ));
    }
    if service.network_mode.is_some() && !service.networks.is_empty() {
        return Err(field.problem("`network_mode` and `networks` exclude each other"));
    }
    Ok(service)
}

fn check_name(name: &str, field: &Field<'_>) -> Result<()> {
    if name.is_empty()
        || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-'))
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    {
        return Err(field.problem(format!(
            "`{name}` is no service name; use letters, digits, `.`, `_` and `-`"
        )));
    }
    Ok(())
}

fn read_key(service: &mut Service, pair: &Pair<'_>, scope: &Scope<'_>) -> Result<()> {
    let value = &pair.value;
    match pair.key {
        "image" => {
            let image = value.text()?;
            if image.is_empty() || image.contains(char::is_whitespace) {
                return Err(value.problem(format!("`{image}` is no image reference")));
            }
            service.image = Some(image);
        }
        "build" => service.build = Some(build::read(value, scope)?),
        "pull_policy" => {
            service.pull_policy = Some(value.one_of(&[
                ("always", PullPolicy::Always),
                ("never", PullPolicy::Never),
                ("missing", PullPolicy::Missing),
                ("if_not_present", PullPolicy::Missing),
                ("build", PullPolicy::Build),
            ])?);
        }
        "platform" => service.platform = value.set_text()?,
        "container_name" => service.container_name = Some(container_name(value)?),
        "scale" => service.scale = Some(limits::replicas(value)?),
        "command" => service.command = command::read(value)?,
        "entrypoint" => service.entrypoint = command::read(value)?,
        "labels" => service.labels.extend(value.labels()?),
        "ports" => service.ports = ports::read(value)?,
        "expose" => service.expose = ports::exposed(value)?,
        "volumes" => service.volumes = mounts::read(value, scope)?,
        "tmpfs" => service.tmpfs = value.text_or_texts()?,
        "secrets" => service.secrets = references::read(value, "/run/secrets/")?,
        "configs" => service.configs = references::read(value, "/")?,
        "depends_on" => {
            // A namespace of another service may have added a dependency already.
            for (name, dependency) in depends::read(value)? {
                service.depends_on.insert(name, dependency);
            }
        }
        "healthcheck" => service.healthcheck = Some(health::read(value)?),
        "restart" => service.restart = restart(value)?,
        "networks" => service.networks = attach::read(value)?,
        "network_mode" => service.network_mode = namespace(service, value)?,
        "logging" => service.logging = Some(logging(value)?),
        "init" => service.init = Some(value.flag()?),
        "user" => service.user = value.set_text()?,
        "group_add" => service.group_add = value.scalars()?,
        "working_dir" => service.working_dir = value.set_text()?,
        "hostname" => service.hostname = value.set_text()?,
        "domainname" => service.domainname = value.set_text()?,
        "extra_hosts" => service.extra_hosts = extra_hosts(value)?,
        "dns" => service.dns = value.text_or_texts()?,
        "dns_search" => service.dns_search = value.text_or_texts()?,
        "dns_opt" => service.dns_opt = value.texts()?,
        "shm_size" => service.shm_size = Some(value.size()?).filter(|size| *size != 0),
        "ulimits" => service.ulimits = limits::ulimits(value)?,
        "stop_signal" => service.stop_signal = value.set_text()?,
        "stop_grace_period" => service.stop_grace_period = Some(value.duration()?),
        "read_only" => service.read_only = value.flag()?,
        "privileged" => service.privileged = value.flag()?,
        "stdin_open" => service.stdin_open = value.flag()?,
        "tty" => service.tty = value.flag()?,
        "cap_add" => service.cap_add = value.texts()?,
        "cap_drop" => service.cap_drop = value.texts()?,
        "security_opt" => service.security_opt = security(value, scope)?,
        "sysctls" => service.sysctls = value.labels()?.into_iter().collect(),
        "pid" => service.pid = namespace(service, value)?,
        "ipc" => service.ipc = namespace(service, value)?,
        "uts" => service.uts = value.set_text()?,
        "develop" => {}
        known if KNOWN.contains(&known) => {}
        _ if pair.is_extension() => {}
        key => {
            return Err(match UNSUPPORTED.iter().find(|(name, _)| *name == key) {
                Some((_, advice)) => pair.unsupported(advice),
                None => pair.unknown(KNOWN),
            });
        }
    }
    Ok(())
}

fn container_name(field: &Field<'_>) -> Result<String> {
    let name = field.text()?;
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    if name.len() < 2
        || !name.starts_with(|c: char| c.is_ascii_alphanumeric())
        || !name.chars().all(allowed)
    {
        return Err(field.problem(format!(
            "`{name}` is no container name; use two or more letters, digits, `_`, `.` and `-`"
        )));
    }
    Ok(name)
}

/// A namespace mode; `service:x` makes the service depend on x.
fn namespace(service: &mut Service, field: &Field<'_>) -> Result<Option<String>> {
    let mode = field.set_text()?;
    if let Some(other) = mode.as_ref().and_then(|mode| mode.strip_prefix("service:")) {
        let dependency =
            Dependency { condition: Condition::Started, restart: true, required: true };
        service.depends_on.entry(other.to_owned()).or_insert(dependency);
    }
    Ok(mode)
}

/// Reads a restart policy as `restart:` has it.
fn restart(field: &Field<'_>) -> Result<Option<Restart>> {
    let Some(text) = field.set_text()? else { return Ok(None) };
    Ok(Some(match text.as_str() {
        "no" => Restart::No,
        "always" => Restart::Always,
        "unless-stopped" => Restart::UnlessStopped,
        "on-failure" => Restart::OnFailure(None),
        other => match other.strip_prefix("on-failure:").map(str::parse) {
            Some(Ok(most)) => Restart::OnFailure(Some(most)),
            _ => {
                return Err(field.problem(format!(
                    "`{other}` is no restart policy; write \"no\", always, unless-stopped, \
                     on-failure or on-failure:5"
                )));
            }
        },
    }))
}

fn logging(field: &Field<'_>) -> Result<Logging> {
    let mut logging = Logging::default();
    for pair in field.pairs()? {
        match pair.key {
            "driver" => logging.driver = pair.value.set_text()?,
            "options" => logging.options = pair.value.options()?,
            _ if pair.is_extension() => {}
            _ => return Err(pair.unknown(&["driver", "options"])),
        }
    }
    Ok(logging)
}

/// `host:address`, `host=address`, or a mapping; the engine takes the first form.
pub(super) fn extra_hosts(field: &Field<'_>) -> Result<Vec<String>> {
    let mut hosts = Vec::new();
    if field.is_mapping() {
        for pair in field.pairs()? {
            for address in pair.value.text_or_texts()? {
                hosts.push(format!("{}:{}", pair.key, bare(&address)));
            }
        }
        return Ok(hosts);
    }
    for item in field.items()? {
        let text = item.text()?;
        let (host, address) = text
            .split_once('=')
            .or_else(|| text.split_once(':'))
            .filter(|(host, address)| !host.trim().is_empty() && !address.trim().is_empty())
            .ok_or_else(|| item.problem("write `host=address`"))?;
        hosts.push(format!("{}:{}", host.trim(), bare(address.trim())));
    }
    Ok(hosts)
}

/// An IPv6 address without its brackets.
fn bare(address: &str) -> &str {
    address.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(address)
}

/// Security options; a seccomp profile is a file whose content is sent to the engine.
fn security(field: &Field<'_>, scope: &Scope<'_>) -> Result<Vec<String>> {
    let mut options = Vec::new();
    for item in field.items()? {
        let text = item.text()?;
        let profile = text.strip_prefix("seccomp:").or_else(|| text.strip_prefix("seccomp="));
        let Some(profile) = profile.filter(|profile| *profile != "unconfined") else {
            options.push(text);
            continue;
        };
        let path = scope.absolute(profile);
        let content = std::fs::read_to_string(&path).map_err(|error| {
            item.problem(format!("the profile {} cannot be read: {error}", path.display()))
        })?;
        let value: serde_json::Value = serde_json::from_str(&content).map_err(|error| {
            item.problem(format!("the profile {} is not JSON: {error}", path.display()))
        })?;
        options.push(format!("seccomp={value}"));
    }
    Ok(options)
}
