//! The containers of a project at one moment, with all that is needed to put them back.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use bollard::models::{
    ContainerInspectResponse, EndpointSettings, HealthConfig, PortMap, RestartPolicy,
    RestartPolicyNameEnum,
};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    deployer::{Step, Work},
    error::Result,
    name::{ProjectName, ReleaseId, RunId, ServiceName},
    release::Image,
};

use crate::{
    claim::{self, Claim},
    compose::model::Condition,
    engine::Engine,
    labels,
    names::{self, Place},
};

/// The engine's own grace period for containers that set none (moby `daemon/stop.go`).
const DEFAULT_GRACE: u64 = 10;
/// How many containers are inspected at the same time.
const INSPECTIONS: usize = 8;

/// A container as the engine describes it. Holds no environment, so it may be journaled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) service: ServiceName,
    pub(crate) number: u32,
    pub(crate) image: Image,
    pub(crate) state: State,
    pub(crate) restart: RestartPolicy,
    /// Its grace period, in seconds.
    pub(crate) grace: u64,
    pub(crate) networks: BTreeMap<String, Attachment>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) claims: Vec<Claim>,
    /// Its anonymous volumes: path in the container → name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) anonymous: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Marks::is_empty")]
    pub(crate) marks: Marks,
    /// Where its ports are reached from here.
    #[serde(skip)]
    pub(crate) addresses: Vec<(u16, SocketAddr)>,
    /// Its effective health check. Not journaled: its command may hold a password.
    #[serde(skip)]
    pub(crate) health: Option<HealthConfig>,
}

/// What a container does.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct State {
    pub(crate) status: String,
    pub(crate) running: bool,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) restarting: bool,
    pub(crate) exit_code: i64,
    /// Empty for a container that was never started.
    pub(crate) started_at: String,
    #[serde(default, skip_serializing_if = "is_false")]
    pub(crate) oom_killed: bool,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) health: String,
}

impl State {
    fn new(found: &ContainerInspectResponse) -> Self {
        let Some(state) = &found.state else { return Self::default() };
        let started = state.started_at.clone().unwrap_or_default();
        Self {
            status: state.status.map(|status| status.to_string()).unwrap_or_default(),
            running: state.running.unwrap_or(false),
            restarting: state.restarting.unwrap_or(false),
            exit_code: state.exit_code.unwrap_or(0),
            // The engine's "never" is Go's zero time.
            started_at: if started.starts_with("0001-") { String::new() } else { started },
            oom_killed: state.oom_killed.unwrap_or(false),
            health: state
                .health
                .as_ref()
                .and_then(|health| health.status)
                .map(|status| status.to_string())
                .unwrap_or_default(),
        }
    }

    /// Whether it runs, and is not just between two attempts.
    pub(crate) fn is_up(&self) -> bool {
        self.running && !self.restarting
    }

    /// Whether it was started once and has ended.
    pub(crate) fn has_exited(&self) -> bool {
        !self.running && !self.restarting && !self.started_at.is_empty()
    }

    /// As people read it: `running (healthy)`, `exited (1)`.
    pub(crate) fn describe(&self) -> String {
        if self.has_exited() {
            let oom = if self.oom_killed { ", out of memory" } else { "" };
            format!("{} ({}{oom})", self.status, self.exit_code)
        } else if matches!(self.health.as_str(), "" | "none") {
            self.status.clone()
        } else {
            format!("{} ({})", self.status, self.health)
        }
    }
}

/// How a container is connected to a network.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Attachment {
    pub(crate) endpoint: EndpointSettings,
    /// Its address there now, if it runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<String>,
}

impl Attachment {
    /// Whether the container has this name on the network.
    pub(crate) fn has_alias(&self, name: &str) -> bool {
        self.endpoint.aliases.iter().flatten().any(|alias| alias == name)
    }

    /// The names that the container has on the network.
    pub(crate) fn names(&self) -> Vec<String> {
        self.endpoint.aliases.clone().unwrap_or_default()
    }

    fn new(id: &str, settings: EndpointSettings) -> Self {
        let address = settings.ip_address.clone().filter(|address| !address.is_empty());
        // The engine adds the id itself.
        let aliases = settings
            .aliases
            .map(|aliases| aliases.into_iter().filter(|alias| !id.starts_with(alias)).collect());
        let endpoint = EndpointSettings {
            aliases,
            ipam_config: settings.ipam_config,
            links: settings.links,
            driver_opts: settings.driver_opts,
            ..EndpointSettings::default()
        };
        Self { endpoint, address }
    }
}

/// What the labels of a container say.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Marks {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) release: Option<ReleaseId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) run: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) spec_hash: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) environment: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) config_hash: Option<String>,
    /// What must be there before it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) depends_on: BTreeMap<String, Condition>,
    /// The version in the image's own label.
    #[serde(skip)]
    pub(crate) image_version: Option<String>,
}

impl Marks {
    fn new(labels: &std::collections::HashMap<String, String>) -> Self {
        let label = |name: &str| labels.get(name).filter(|value| !value.is_empty()).cloned();
        let depends_on = label(labels::DEPENDS_ON).unwrap_or_default();
        Self {
            release: labels::release(labels),
            version: label(labels::RELEASE_VERSION),
            run: label(labels::RUN),
            step: label(labels::STEP),
            spec_hash: label(labels::SPEC_HASH),
            environment: label(labels::ENVIRONMENT),
            config_hash: label(labels::CONFIG_HASH),
            depends_on: depends_on
                .split(',')
                .filter_map(|one| {
                    let mut parts = one.split(':');
                    let name = parts.next()?.to_owned();
                    Some((name, serde_json::from_value(parts.next()?.into()).ok()?))
                })
                .collect(),
            image_version: label("org.opencontainers.image.version"),
        }
    }

    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl Container {
    /// Reads a container of a compose project; nothing for any other.
    pub(crate) fn new(found: ContainerInspectResponse) -> Option<Self> {
        let state = State::new(&found);
        let config = found.config.unwrap_or_default();
        let labels = config.labels.unwrap_or_default();
        let service = ServiceName::new(labels.get(labels::SERVICE)?.as_str()).ok()?;
        let number = labels.get(labels::NUMBER).and_then(|n| n.parse().ok()).unwrap_or(1);
        let id = found.id?;
        let host = found.host_config.unwrap_or_default();
        let settings = found.network_settings.unwrap_or_default();
        let published = settings.ports.unwrap_or_default();
        let networks: BTreeMap<_, _> = settings
            .networks
            .unwrap_or_default()
            .into_iter()
            .map(|(name, endpoint)| (name, Attachment::new(&id, endpoint)))
            .collect();
        let mut claims = Vec::new();
        for (private, bindings) in host.port_bindings.unwrap_or_default() {
            let protocol = private.split_once('/').map_or("tcp", |(_, protocol)| protocol);
            for binding in bindings.unwrap_or_default() {
                // An empty or zero port lets the engine choose: nobody claims it.
                let port = binding.host_port.as_deref().unwrap_or_default().parse().unwrap_or(0);
                if port != 0 {
                    let ip = binding.host_ip.unwrap_or_default();
                    claims.push(Claim::Port { ip, port, protocol: protocol.to_owned() });
                }
            }
        }
        for (network, attachment) in &networks {
            let address =
                attachment.endpoint.ipam_config.as_ref().and_then(|ipam| ipam.ipv4_address.clone());
            if let Some(address) = address.filter(|address| !address.is_empty()) {
                claims.push(Claim::Address { network: network.clone(), address });
            }
        }
        let anonymous = found
            .mounts
            .unwrap_or_default()
            .into_iter()
            .filter(|mount| mount.typ.as_deref() == Some("volume"))
            .filter_map(|mount| Some((mount.destination?, mount.name?)))
            .filter(|(_, name)| is_anonymous(name))
            .collect();
        Some(Self {
            name: names::plain(&found.name.unwrap_or_default()).to_owned(),
            service,
            number,
            image: Image {
                reference: config.image.unwrap_or_default(),
                id: found.image.unwrap_or_default(),
                digest: None,
            },
            state,
            restart: host.restart_policy.unwrap_or_default(),
            grace: config.stop_timeout.and_then(|t| u64::try_from(t).ok()).unwrap_or(DEFAULT_GRACE),
            addresses: addresses(published, &config.exposed_ports.unwrap_or_default(), &networks),
            networks,
            claims,
            anonymous,
            marks: Marks::new(&labels),
            health: config.healthcheck,
            id,
        })
    }

    /// What it is now, by its name.
    pub(crate) fn place(&self) -> Place<'_> {
        names::place(&self.name)
    }

    /// Whether this run created it to bring the new release.
    pub(crate) fn is_brought_by(&self, run: &RunId) -> bool {
        self.is_made_by(run) && self.marks.step.as_deref() != Some(Step::Rollback.as_str())
    }

    /// Whether this run created it, for whatever purpose.
    pub(crate) fn is_made_by(&self, run: &RunId) -> bool {
        self.marks.run.as_deref() == Some(run.as_str())
    }

    /// Its grace period.
    pub(crate) fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }

    /// Whether the engine starts it again when it ends.
    pub(crate) fn restarts(&self) -> bool {
        !matches!(
            self.restart.name,
            None | Some(RestartPolicyNameEnum::EMPTY | RestartPolicyNameEnum::NO)
        )
    }

    /// What only it can have while it runs, its name included.
    pub(crate) fn claims(&self) -> impl Iterator<Item = Claim> {
        self.claims.iter().cloned().chain([Claim::Name(self.name.clone())])
    }
}

/// The containers of one project.
#[derive(Clone, Debug, Default)]
pub(crate) struct Snapshot {
    /// By id.
    pub(crate) containers: BTreeMap<String, Container>,
}

impl Snapshot {
    /// Reads the project's containers, running or not, without those of single commands.
    pub(crate) async fn read(engine: &Engine, project: &ProjectName) -> Result<Self> {
        let wanted = [
            labels::filter(labels::PROJECT, project.as_str()),
            labels::SERVICE.to_owned(),
            labels::NUMBER.to_owned(),
        ];
        let listed = engine.containers(&wanted).await?;
        let ids = listed
            .into_iter()
            .filter(|one| {
                let labels = one.labels.as_ref();
                labels.and_then(|labels| labels.get(labels::ONEOFF)).is_none_or(|it| it != "True")
            })
            .filter_map(|one| one.id);
        let found: Vec<_> = stream::iter(ids)
            .map(|id| async move { engine.find_container(&id).await })
            .buffer_unordered(INSPECTIONS)
            .try_collect()
            .await?;
        let containers = found.into_iter().flatten().filter_map(Container::new);
        Ok(Self { containers: containers.map(|one| (one.id.clone(), one)).collect() })
    }

    /// Those that serve by their name, running or not.
    pub(crate) fn live(&self) -> impl Iterator<Item = &Container> {
        self.containers.values().filter(|one| one.place() == Place::Live)
    }

    /// Those that `run` created to bring the new release.
    pub(crate) fn brought(&self, run: &RunId) -> impl Iterator<Item = &Container> {
        self.containers.values().filter(move |one| one.is_brought_by(run))
    }

    /// Those that go with a rollback of `run`: it brought them, or a run whose place it took.
    pub(crate) fn to_take_back<'a>(
        &'a self,
        run: &'a RunId,
        work: &'a Work<'_>,
    ) -> impl Iterator<Item = &'a Container> {
        let inherited = || work.inherited.iter().map(|one| &one.run);
        self.containers.values().filter(move |one| {
            one.is_brought_by(run) || inherited().any(|by| one.is_brought_by(by))
        })
    }

    /// The one that `run` brought for a service's number.
    pub(crate) fn brought_for(
        &self,
        run: &RunId,
        service: &ServiceName,
        number: u32,
    ) -> Option<&Container> {
        self.containers
            .values()
            .find(|one| one.is_brought_by(run) && one.service == *service && one.number == number)
    }

    /// Services that others wait for to complete, so that having ended well is being up.
    pub(crate) fn completing(&self) -> BTreeSet<String> {
        self.containers
            .values()
            .flat_map(|one| &one.marks.depends_on)
            .filter(|(_, condition)| **condition == Condition::Completed)
            .map(|(name, _)| name.clone())
            .collect()
    }
}

/// The published address of every TCP port; for one that is not published, that in the network.
fn addresses(
    published: PortMap,
    exposed: &[String],
    networks: &BTreeMap<String, Attachment>,
) -> Vec<(u16, SocketAddr)> {
    let port = |text: &str| text.strip_suffix("/tcp")?.parse::<u16>().ok();
    let inner = networks.values().find_map(|one| one.address.as_ref()?.parse::<IpAddr>().ok());
    let mut addresses = BTreeMap::new();
    for number in exposed.iter().filter_map(|text| port(text)) {
        if let Some(ip) = inner {
            addresses.insert(number, SocketAddr::new(ip, number));
        }
    }
    for (private, bindings) in published {
        let Some(private) = port(&private) else { continue };
        let outer = bindings.unwrap_or_default().into_iter().find_map(|binding| {
            let port = binding.host_port?.parse().ok()?;
            let ip = binding.host_ip.filter(|ip| !claim::is_any(ip));
            let ip = ip.map_or(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)), |ip| ip.parse().ok())?;
            Some(SocketAddr::new(ip, port))
        });
        addresses.extend(outer.map(|address| (private, address)));
    }
    addresses.into_iter().collect()
}

/// The engine names volumes that nobody named with 64 hex digits.
fn is_anonymous(name: &str) -> bool {
    name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it with a reference")]
fn is_false(value: &bool) -> bool {
    !value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn inspected() -> ContainerInspectResponse {
        serde_json::from_value(serde_json::json!({
            "Id": "0123456789abcdef",
            "Name": "/shop-web-1",
            "Image": "sha256:aa",
            "State": {
                "Status": "exited", "Running": false, "ExitCode": 3,
                "StartedAt": "2026-01-01T00:00:00Z"
            },
            "Config": {
                "Image": "web:1",
                "Env": ["PASSWORD=hunter2"],
                "Labels": {
                    "com.docker.compose.service": "web",
                    "com.docker.compose.container-number": "2",
                    "com.docker.compose.depends_on":
                        "db:service_healthy:false,job:service_completed_successfully:false",
                    "dev.ultrai.run": "r1", "dev.ultrai.step": "switch"
                }
            },
            "HostConfig": {
                "PortBindings": {
                    "80/tcp": [{"HostIp": "", "HostPort": "8080"}],
                    "81/tcp": [{"HostIp": "", "HostPort": ""}]
                },
                "RestartPolicy": {"Name": "unless-stopped", "MaximumRetryCount": 0}
            },
            "Mounts": [
                {"Type": "volume", "Name": "a".repeat(64), "Destination": "/data"},
                {"Type": "volume", "Name": "shop_named", "Destination": "/named"}
            ],
            "NetworkSettings": {"Networks": {"shop_default": {
                "Aliases": ["web", "0123456789ab"], "IPAddress": "",
                "IPAMConfig": {"IPv4Address": "10.0.0.9"}
            }}}
        }))
        .unwrap()
    }

    #[test]
    fn all_that_is_needed_to_put_it_back_is_read() {
        let container = Container::new(inspected()).unwrap();
        assert_eq!((container.name.as_str(), container.number), ("shop-web-1", 2));
        assert!(container.restarts());
        assert_eq!(container.state.describe(), "exited (3)");
        assert_eq!(container.anonymous, BTreeMap::from([("/data".into(), "a".repeat(64))]));
        assert_eq!(
            container.networks["shop_default"].endpoint.aliases.as_deref(),
            Some(["web".to_owned()].as_slice())
        );
        assert_eq!(container.claims.len(), 2, "{:?}", container.claims);
        assert_eq!(container.marks.depends_on["db"], Condition::Healthy);
        assert_eq!(container.marks.depends_on["job"], Condition::Completed);
        assert!(container.is_brought_by(&RunId::new("r1").unwrap()));
    }

    #[test]
    fn a_record_of_it_holds_no_environment() {
        let container = Container::new(inspected()).unwrap();
        let text = serde_json::to_string(&container).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(serde_json::from_str::<Container>(&text).unwrap(), container);
    }

    #[test]
    fn a_container_of_nobody_is_left_out() {
        let mut other = inspected();
        other.config.as_mut().unwrap().labels.as_mut().unwrap().remove(labels::SERVICE);
        assert_eq!(Container::new(other), None);
    }
}
