//! One look at a container: does it run, and does its own health check pass.
//!
//! The engine runs health checks at their own interval, 30 s by default. We do not wait for it:
//! the same command is run by us, in the container. That is dear, so while the ports of something
//! that boots refuse connections, those are tried often and the command seldom; and where the engine
//! has run it itself since the look before, and it passed, that counts.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use bollard::models::{ContainerConfig, ContainerInspectResponse, HealthcheckResult};
use futures_util::future;
use tokio::{net::TcpStream, time::Instant};
use ultrai_deploy_core::{
    context::Context,
    error::{Chain, ErrorKind, Result},
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    redact::Redactor,
};

use crate::{
    backend::Backend,
    command::{Commands, Ran},
    labels,
    snapshot::Container,
};

/// How long ports that do not accept may hold back the first command, which costs far more. Not
/// longer: what is published need not be what the health check asks.
const CHEAP_FOR: Duration = Duration::from_secs(2);
/// Shortest and longest time between two commands while they do not; a tenth of the time since the
/// first look.
const SELDOM: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(5)];
/// Longest time of one attempt to connect.
const CONNECT: Duration = Duration::from_millis(200);
/// After so many restarts by the engine a container is taken for one that will not come up. The
/// engine doubles its pause from 100 ms, so that this many take about 3 s besides the runs.
const CRASH_LOOP: i64 = 5;

/// What a service is expected to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// To run, and to pass its health check where it has one.
    Serve,
    /// To end with exit code 0.
    Complete,
}

/// Looks at containers of one service.
#[derive(Debug)]
pub(crate) struct Probe {
    backend: Backend,
    expect: Expect,
    commands: Commands,
    seen: Mutex<HashMap<String, Seen>>,
}

/// What earlier looks saw of a container.
#[derive(Clone, Debug)]
struct Seen {
    first_look: Instant,
    started_at: String,
    /// When the engine itself last began its health check.
    engine_s: Option<String>,
    /// When the command was last run by us.
    command: Option<Instant>,
    /// Whether it has ever passed.
    passed: bool,
}

impl Seen {
    /// Whether ports that refuse connections may be taken for an answer.
    fn may_hold_back(&self) -> bool {
        let since = self.first_look.elapsed();
        let [least, most] = SELDOM;
        !self.passed
            && match self.command {
                None => since < CHEAP_FOR,
                Some(at) => at.elapsed() < (since / 10).clamp(least, most),
            }
    }
}

impl Probe {
    pub(crate) fn shared(backend: &Backend, expect: Expect) -> Arc<dyn HealthProbe> {
        let commands = Commands::default();
        Arc::new(Self { backend: backend.clone(), expect, commands, seen: Mutex::default() })
    }

    /// Notes this look and returns what was seen before; nothing at the first one.
    fn note(&self, id: &str, started_at: &str, engine_s: Option<String>) -> Option<Seen> {
        let mut seen = self.lock();
        let before = seen.get(id).cloned();
        let now = Seen {
            first_look: before.as_ref().map_or_else(Instant::now, |before| before.first_look),
            started_at: started_at.to_owned(),
            engine_s,
            command: before.as_ref().and_then(|before| before.command),
            passed: before.as_ref().is_some_and(|before| before.passed),
        };
        seen.insert(id.to_owned(), now);
        before
    }

    /// Notes that the command was run just now.
    fn note_command(&self, id: &str, health: &Health) {
        if let Some(seen) = self.lock().get_mut(id) {
            seen.command = Some(Instant::now());
            seen.passed |= matches!(health, Health::Healthy(_));
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn health_check(
        &self,
        id: &str,
        service: &str,
        command: Vec<String>,
        redactor: &Redactor,
    ) -> Result<Health> {
        let evidence =
            |text: String| vec![Evidence::new(EvidenceKind::Probe, service, redactor.text(&text))];
        match self.commands.run(&self.backend.engine, id, command).await {
            Ok(Ran::Ended(end)) if end.exit_code == 0 => Ok(Health::Healthy(evidence(end.output))),
            Ok(Ran::Hangs) => Ok(Health::Unhealthy {
                why: "its health check hangs: the one of an earlier look still runs".to_owned(),
                evidence: Vec::new(),
            }),
            Ok(Ran::Ended(end)) => Ok(Health::Unhealthy {
                why: format!("its health check ended with exit code {}", end.exit_code),
                evidence: evidence(end.output),
            }),
            // It ended or was paused in this moment: the next look will tell.
            Err(error) if matches!(error.kind(), ErrorKind::Conflict | ErrorKind::NotFound) => {
                Ok(Health::Pending {
                    why: "it does not run any more".to_owned(),
                    evidence: Vec::new(),
                })
            }
            Err(error) if error.kind() == ErrorKind::Invalid => Ok(Health::Unhealthy {
                why: "its health check cannot be run".to_owned(),
                evidence: evidence(Chain(&error).to_string()),
            }),
            Err(error) => Err(error),
        }
    }
}

#[async_trait]
impl HealthProbe for Probe {
    async fn check(&self, _cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let Some(found) = self.backend.engine.find_container(&endpoint.instance).await? else {
            return Ok(Health::Dead {
                why: format!("there is no container {}", endpoint.instance),
                evidence: Vec::new(),
            });
        };
        let service = endpoint.service.as_ref().map_or("", |name| name.as_str()).to_owned();
        let id = found.id.clone().unwrap_or_else(|| endpoint.instance.clone());
        let restarts = found.restart_count.unwrap_or(0);
        let addresses = addresses(&found);
        let own = last_result(&found);
        let config = found.config.clone().unwrap_or_default();
        let Some(container) = Container::new(found) else {
            return Ok(Health::Dead {
                why: format!("{id} is no container of a service"),
                evidence: Vec::new(),
            });
        };
        let engine_s = own.as_ref().and_then(|result| result.start.clone());
        let before = self.note(&id, &container.state.started_at, engine_s.clone());
        let started_before =
            before.as_ref().map_or(&container.state.started_at, |it| &it.started_at);
        if let Some(verdict) = self.expect.judge(&container, restarts, started_before) {
            return Ok(verdict);
        }
        let Some(command) = command(&config) else { return Ok(Health::Healthy(Vec::new())) };
        let passed = own.filter(|result| result.exit_code == Some(0));
        let passed = passed.filter(|_| before.as_ref().is_some_and(|it| it.engine_s != engine_s));
        if passed.is_none()
            && before.is_none_or(|before| before.may_hold_back())
            && self.backend.engine.is_local()
            && refused(&addresses).await
        {
            return Ok(Health::Pending {
                why: "it does not accept connections yet".to_owned(),
                evidence: Vec::new(),
            });
        }
        let labels = config.labels.clone().unwrap_or_default();
        let redactor = self.backend.redactor(labels::release(&labels).as_ref()).await?;
        if let Some(result) = passed {
            let output = redactor.text(result.output.as_deref().unwrap_or_default().trim());
            let health =
                Health::Healthy(vec![Evidence::new(EvidenceKind::Probe, &service, output)]);
            self.note_command(&id, &health);
            return Ok(health);
        }
        let health = self.health_check(&id, &service, command, &redactor).await?;
        self.note_command(&id, &health);
        Ok(health)
    }
}

impl Expect {
    /// What the state alone tells; nothing when it runs and its health check has the word.
    fn judge(self, container: &Container, restarts: i64, started_before: &str) -> Option<Health> {
        let state = &container.state;
        let evidence = || vec![status(container)];
        if self == Self::Complete && state.has_exited() && state.exit_code == 0 {
            return Some(Health::Healthy(evidence()));
        }
        if restarts >= CRASH_LOOP {
            return Some(Health::Dead {
                why: format!(
                    "it ended {restarts} times, the last time with exit code {}",
                    state.exit_code
                ),
                evidence: evidence(),
            });
        }
        if state.restarting {
            return Some(Health::Unhealthy {
                why: format!("it ended with exit code {} and is started again", state.exit_code),
                evidence: evidence(),
            });
        }
        if state.has_exited() {
            let oom = if state.oom_killed { ", out of memory" } else { "" };
            return Some(Health::Dead {
                why: format!("it ended with exit code {}{oom}", state.exit_code),
                evidence: evidence(),
            });
        }
        if !state.running {
            return Some(Health::Pending {
                why: "it was not started yet".to_owned(),
                evidence: evidence(),
            });
        }
        if self == Self::Complete {
            return Some(Health::Pending {
                why: "it has not completed yet".to_owned(),
                evidence: evidence(),
            });
        }
        if state.started_at != started_before {
            return Some(Health::Unhealthy {
                why: "it ended and was started again".to_owned(),
                evidence: evidence(),
            });
        }
        None
    }
}

/// The state of a container as evidence.
pub(crate) fn status(container: &Container) -> Evidence {
    Evidence::new(EvidenceKind::Status, container.service.as_str(), container.state.describe())
}

/// The command of a container's effective health check, from the compose file or the image.
fn command(config: &ContainerConfig) -> Option<Vec<String>> {
    let test = config.healthcheck.as_ref()?.test.as_deref()?;
    let (form, rest) = test.split_first()?;
    match form.as_str() {
        "CMD" if !rest.is_empty() => Some(rest.to_vec()),
        "CMD-SHELL" => {
            let shell = config.shell.clone().filter(|shell| !shell.is_empty());
            let mut command = shell.unwrap_or_else(|| vec!["/bin/sh".to_owned(), "-c".to_owned()]);
            command.extend(rest.iter().cloned());
            Some(command)
        }
        _ => None,
    }
}

/// The last result of the health check that the engine itself has run.
fn last_result(found: &ContainerInspectResponse) -> Option<HealthcheckResult> {
    found.state.as_ref()?.health.as_ref()?.log.as_ref()?.last().cloned()
}

/// Where the ports that an image or a compose file names are found on the engine's host.
fn addresses(found: &ContainerInspectResponse) -> Vec<SocketAddr> {
    let ip = found
        .network_settings
        .iter()
        .filter_map(|settings| settings.networks.as_ref())
        .flat_map(|networks| networks.values())
        .find_map(|endpoint| endpoint.ip_address.as_ref()?.parse::<IpAddr>().ok());
    let ports = found.config.iter().filter_map(|config| config.exposed_ports.as_ref()).flatten();
    let Some(ip) = ip else { return Vec::new() };
    ports
        .filter_map(|port| port.strip_suffix("/tcp"))
        .filter_map(|port| Some(SocketAddr::new(ip, port.parse().ok()?)))
        .collect()
}

/// Whether every one of the addresses refuses connections. Not being able to tell is a no.
async fn refused(addresses: &[SocketAddr]) -> bool {
    let attempts = addresses.iter().map(|address| async move {
        match tokio::time::timeout(CONNECT, TcpStream::connect(address)).await {
            Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
            Ok(Ok(_)) | Err(_) => false,
        }
    });
    !addresses.is_empty() && future::join_all(attempts).await.into_iter().all(|refused| refused)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn container(state: &serde_json::Value, restart: &str) -> Container {
        let found = json!({
            "Id": "1", "Name": "/p-web-1", "State": state,
            "Config": {"Labels": {"com.docker.compose.service": "web"}},
            "HostConfig": {"RestartPolicy": {"Name": restart}}
        });
        Container::new(serde_json::from_value(found).unwrap()).unwrap()
    }

    fn state(status: &str, code: i64) -> serde_json::Value {
        json!({
            "Status": status, "Running": matches!(status, "running" | "restarting"),
            "Restarting": status == "restarting", "ExitCode": code, "StartedAt": "t"
        })
    }

    fn judge(expect: Expect, state: &serde_json::Value) -> Option<Health> {
        expect.judge(&container(state, "no"), 0, "t")
    }

    #[test]
    fn an_exit_ends_the_wait() {
        let dead = judge(Expect::Serve, &state("exited", 3));
        assert!(matches!(dead, Some(Health::Dead { why, .. }) if why.contains("exit code 3")));
        let dead = judge(Expect::Complete, &state("exited", 1));
        assert!(matches!(dead, Some(Health::Dead { .. })));
    }

    #[test]
    fn a_job_is_well_when_it_has_ended_well() {
        assert!(matches!(judge(Expect::Complete, &state("exited", 0)), Some(Health::Healthy(_))));
        assert!(matches!(
            judge(Expect::Complete, &state("running", 0)),
            Some(Health::Pending { .. })
        ));
    }

    #[test]
    fn a_restart_between_two_looks_is_noticed() {
        let running = container(&state("running", 0), "always");
        assert_eq!(Expect::Serve.judge(&running, 0, "t"), None);
        let judged = Expect::Serve.judge(&running, 1, "earlier");
        assert!(matches!(judged, Some(Health::Unhealthy { .. })));
        let judged = Expect::Serve.judge(&container(&state("restarting", 1), "always"), 1, "t");
        assert!(matches!(judged, Some(Health::Unhealthy { .. })));
    }

    #[test]
    fn a_crash_loop_is_dead() {
        let running = container(&state("running", 1), "always");
        let judged = Expect::Serve.judge(&running, CRASH_LOOP, "t");
        assert!(matches!(judged, Some(Health::Dead { .. })));
    }

    #[test]
    fn a_shell_command_runs_in_the_image_s_shell() {
        let config = |value| serde_json::from_value::<ContainerConfig>(value).unwrap();
        let shell = config(json!({
            "Healthcheck": {"Test": ["CMD-SHELL", "true && true"]}, "Shell": ["/bin/bash", "-c"]
        }));
        assert_eq!(command(&shell).unwrap(), ["/bin/bash", "-c", "true && true"]);
        let plain = config(json!({"Healthcheck": {"Test": ["CMD", "true"]}}));
        assert_eq!(command(&plain).unwrap(), ["true"]);
        let off = config(json!({"Healthcheck": {"Test": ["NONE"]}}));
        assert_eq!(command(&off), None);
    }
}
