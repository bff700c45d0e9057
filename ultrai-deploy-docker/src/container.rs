//! The body of a container-create request. Pure.

pub(crate) mod host;
mod mount;

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BTreeSet, HashMap},
    path::PathBuf,
};

use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HealthConfig, NetworkingConfig,
};
use ultrai_deploy_core::{
    context::Key,
    deployer::Step,
    error::{Error, ErrorKind, Result},
    name::{EnvironmentName, ServiceName},
    secret::Secrets,
};

use crate::{
    compose::{
        model::{Attachment, Condition, HealthCheck, HealthTest, Service},
        secret,
    },
    definition::Definition,
    engine::ApiVersion,
    labels,
};

/// Everything that a container is made from.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    pub(crate) definition: &'a Definition<'a>,
    pub(crate) name: &'a ServiceName,
    /// Its number among those of its service, from 1.
    pub(crate) number: u32,
    pub(crate) key: &'a Key,
    /// The step that creates it.
    pub(crate) step: Step,
    pub(crate) environment: &'a EnvironmentName,
    pub(crate) api: ApiVersion,
    /// What to call its image: the reference where it still means the same, else the id.
    pub(crate) image: &'a str,
    pub(crate) secrets: &'a Secrets,
    /// Where the release's files lie: digest → path.
    pub(crate) files: &'a BTreeMap<String, PathBuf>,
    /// The containers of services whose namespaces it joins.
    pub(crate) joined: &'a BTreeMap<ServiceName, String>,
    /// Anonymous volumes that it takes over: path in the container → name.
    pub(crate) inherited: &'a BTreeMap<String, String>,
    /// The only name that it has on its networks, while an old one has the service's.
    pub(crate) hidden_as: Option<&'a str>,
}

/// What is to be created.
#[derive(Debug)]
pub(crate) struct Created {
    pub(crate) body: ContainerCreateBody,
    /// All its networks, in order; those that the body does not have are connected afterwards.
    pub(crate) networks: Vec<(String, EndpointSettings)>,
}

impl Request<'_> {
    /// The request's body.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a secret, a file or a joined service is missing.
    pub(crate) fn create(&self) -> Result<Created> {
        let service = self.definition.service(self.name)?;
        let networks = self.networks(service);
        // Before API 1.44 a container is created on one network at most.
        let at_once = if self.api >= ApiVersion::MANY_NETWORKS { networks.len() } else { 1 };
        let endpoints: HashMap<_, _> = networks.iter().take(at_once).cloned().collect();
        let exposed = service
            .ports
            .iter()
            .map(|port| format!("{}/{}", port.target, port.protocol))
            .chain(service.expose.iter().map(|port| with_protocol(port)));
        let body = ContainerCreateBody {
            hostname: service.hostname.clone(),
            domainname: service.domainname.clone(),
            user: service.user.clone(),
            exposed_ports: some(exposed.collect::<BTreeSet<_>>().into_iter().collect()),
            tty: service.tty.then_some(true),
            open_stdin: service.stdin_open.then_some(true),
            env: some(self.environment(service)?),
            cmd: self.filled_in(service.command.as_deref())?,
            entrypoint: self.filled_in(service.entrypoint.as_deref())?,
            healthcheck: service
                .healthcheck
                .as_ref()
                .map(|check| self.health(check))
                .transpose()?,
            image: Some(self.image.to_owned()),
            working_dir: service.working_dir.clone(),
            labels: Some(self.labels(service)),
            stop_signal: service.stop_signal.clone(),
            stop_timeout: service.stop_grace_period.map(whole_seconds),
            host_config: Some(self.host_config(service, &networks)?),
            networking_config: (!endpoints.is_empty())
                .then_some(NetworkingConfig { endpoints_config: Some(endpoints) }),
            ..ContainerCreateBody::default()
        };
        Ok(Created { body, networks })
    }

    fn environment(&self, service: &Service) -> Result<Vec<String>> {
        service
            .environment
            .iter()
            .map(|(name, value)| match value {
                Some(value) => Ok(format!("{name}={}", self.fill_in(value)?)),
                // The engine unsets what the image sets.
                None => Ok(name.clone()),
            })
            .collect()
    }

    fn health(&self, check: &HealthCheck) -> Result<HealthConfig> {
        let test = match &check.test {
            HealthTest::Inherit => None,
            HealthTest::None => Some(vec!["NONE".to_owned()]),
            HealthTest::Command(command) => {
                let mut test = vec!["CMD".to_owned()];
                for word in command {
                    test.push(self.fill_in(word)?);
                }
                Some(test)
            }
            HealthTest::Shell(line) => Some(vec!["CMD-SHELL".to_owned(), self.fill_in(line)?]),
        };
        Ok(HealthConfig {
            test,
            interval: check.interval.map(nanoseconds),
            timeout: check.timeout.map(nanoseconds),
            retries: check.retries.map(i64::from),
            start_period: check.start_period.map(nanoseconds),
            start_interval: check.start_interval.map(nanoseconds),
        })
    }

    fn labels(&self, service: &Service) -> HashMap<String, String> {
        let release = self.definition.release;
        let shared = &self.definition.shared;
        let sealed = release.services.get(self.name);
        let spec_hash = sealed.map(|service| service.spec_hash.clone()).unwrap_or_default();
        let wiring = shared.services.get(self.name);
        let provenance = &self.definition.provenance;
        let config_hash = provenance.config_hashes.get(self.name).cloned();
        let files: Vec<_> =
            provenance.config_files.iter().map(|file| file.display().to_string()).collect();
        let depends_on: Vec<_> = wiring
            .into_iter()
            .flat_map(|wiring| &wiring.depends_on)
            .map(|(name, needed)| {
                format!("{name}:{}:{}", condition(needed.condition), needed.restart)
            })
            .collect();
        let image = sealed.and_then(|service| service.image.as_ref());
        let mut all: HashMap<String, String> =
            service.labels.iter().map(|(label, value)| (label.clone(), value.clone())).collect();
        let own = [
            (labels::PROJECT, release.project.to_string()),
            (labels::SERVICE, self.name.to_string()),
            (labels::NUMBER, self.number.to_string()),
            (labels::ONEOFF, "False".to_owned()),
            // Without this label a container is invisible to compose.
            (labels::CONFIG_HASH, config_hash.unwrap_or_else(|| spec_hash.clone())),
            (labels::IMAGE, image.map(|image| image.id.clone()).unwrap_or_default()),
            (labels::DEPENDS_ON, depends_on.join(",")),
            (labels::WORKING_DIR, provenance.working_dir.display().to_string()),
            (labels::CONFIG_FILES, files.join(",")),
            (labels::VERSION, labels::COMPOSE_VERSION.to_owned()),
            (labels::RELEASE, release.id.to_string()),
            (labels::RELEASE_VERSION, release.version.to_string()),
            (labels::SPEC_HASH, spec_hash),
        ];
        all.extend(own.map(|(label, value)| (label.to_owned(), value)));
        all.extend(labels::of_run(self.key, self.environment.as_str(), self.step));
        all
    }

    /// How it is connected: hidden under a name of its own, or as compose does it.
    fn networks(&self, service: &Service) -> Vec<(String, EndpointSettings)> {
        endpoints(self.definition, self.name, service, self.number, self.hidden_as)
    }

    fn filled_in(&self, words: Option<&[String]>) -> Result<Option<Vec<String>>> {
        words.map(|words| words.iter().map(|word| self.fill_in(word)).collect()).transpose()
    }

    /// A text with its secrets: only for what leaves for the engine.
    fn fill_in(&self, text: &str) -> Result<String> {
        let value = |name: &str| {
            let found = self.secrets.iter().find(|(own, _)| own.as_str() == name);
            found.map(|(_, secret)| secret.expose().to_owned())
        };
        secret::substitute(text, value)
            .map_err(|name| self.invalid(&format!("secret {name} has no value")))
    }

    fn invalid(&self, message: &str) -> Error {
        Error::new(
            ErrorKind::Invalid,
            "create a container",
            format!("service {}: {message}", self.name),
        )
        .without_effect()
    }
}

/// A service's networks on the engine, by priority and name as compose connects them, with the
/// names that a container has there: the container's own, the service's and its further aliases,
/// or only `hidden_as`.
pub(crate) fn endpoints(
    definition: &Definition<'_>,
    name: &ServiceName,
    service: &Service,
    number: u32,
    hidden_as: Option<&str>,
) -> Vec<(String, EndpointSettings)> {
    let mut networks: Vec<_> = service.networks.iter().collect();
    networks.sort_by_key(|(key, attachment)| (Reverse(attachment.priority.unwrap_or(0)), *key));
    networks
        .into_iter()
        .map(|(key, attachment)| {
            let network = definition.shared.networks.get(key);
            let aliases = if let Some(alias) = hidden_as {
                vec![alias.to_owned()]
            } else {
                let mut names = vec![definition.live_name(name, number), name.to_string()];
                names.extend(attachment.aliases.iter().cloned());
                names
            };
            let network = network.map_or(key, |network| &network.name);
            (network.clone(), endpoint(attachment, aliases))
        })
        .collect()
}

fn endpoint(attachment: &Attachment, aliases: Vec<String>) -> EndpointSettings {
    let static_address = attachment.ipv4_address.is_some()
        || attachment.ipv6_address.is_some()
        || !attachment.link_local_ips.is_empty();
    EndpointSettings {
        aliases: some(aliases),
        ipam_config: static_address.then(|| EndpointIpamConfig {
            ipv4_address: attachment.ipv4_address.clone(),
            ipv6_address: attachment.ipv6_address.clone(),
            link_local_ips: some(attachment.link_local_ips.clone()),
        }),
        mac_address: attachment.mac_address.clone(),
        gw_priority: attachment.gw_priority,
        driver_opts: some_map(attachment.driver_opts.clone().into_iter().collect()),
        ..EndpointSettings::default()
    }
}

fn condition(condition: Condition) -> &'static str {
    match condition {
        Condition::Started => "service_started",
        Condition::Healthy => "service_healthy",
        Condition::Completed => "service_completed_successfully",
    }
}

fn with_protocol(port: &str) -> String {
    if port.contains('/') { port.to_owned() } else { format!("{port}/tcp") }
}

fn some<T>(list: Vec<T>) -> Option<Vec<T>> {
    (!list.is_empty()).then_some(list)
}

fn some_map(map: HashMap<String, String>) -> Option<HashMap<String, String>> {
    (!map.is_empty()).then_some(map)
}

fn nanoseconds(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX)
}

/// The engine takes whole seconds; a started one counts.
fn whole_seconds(duration: std::time::Duration) -> i64 {
    let started = u64::from(duration.subsec_nanos() > 0);
    i64::try_from(duration.as_secs() + started).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
