//! The part of a create request that concerns the host.

use std::collections::HashMap;

use bollard::models::{
    EndpointSettings, HostConfig, HostConfigLogConfig, PortBinding, PortMap, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};
use ultrai_deploy_core::error::Result;

use super::{Request, mount, some, some_map};
use crate::compose::model::{Restart, Service};

impl Request<'_> {
    pub(super) fn host_config(
        &self,
        service: &Service,
        networks: &[(String, EndpointSettings)],
    ) -> Result<HostConfig> {
        let sealed = self.definition.release.services.get(self.name);
        let mounts = mount::Mounts::new(self, service, sealed)?;
        let limits = &service.resources;
        let network_mode = match &service.network_mode {
            Some(mode) => Some(self.namespace(mode)?),
            None => networks.first().map(|(network, _)| network.clone()),
        };
        let namespace =
            |mode: &Option<String>| mode.as_ref().map(|mode| self.namespace(mode)).transpose();
        Ok(HostConfig {
            network_mode,
            pid_mode: namespace(&service.pid)?,
            ipc_mode: namespace(&service.ipc)?,
            uts_mode: service.uts.clone(),
            binds: some(mounts.binds),
            mounts: some(mounts.typed),
            tmpfs: some_map(mounts.tmpfs),
            port_bindings: ports(service),
            restart_policy: service.restart.map(restart),
            log_config: service.logging.as_ref().map(|logging| HostConfigLogConfig {
                typ: logging.driver.clone(),
                config: some_map(logging.options.clone().into_iter().collect()),
            }),
            init: service.init,
            group_add: some(service.group_add.clone()),
            extra_hosts: some(service.extra_hosts.clone()),
            dns: some(service.dns.clone()),
            dns_search: some(service.dns_search.clone()),
            dns_options: some(service.dns_opt.clone()),
            shm_size: service.shm_size,
            ulimits: some(
                service
                    .ulimits
                    .iter()
                    .map(|(name, limit)| ResourcesUlimits {
                        name: Some(name.clone()),
                        soft: Some(limit.soft),
                        hard: Some(limit.hard),
                    })
                    .collect(),
            ),
            readonly_rootfs: service.read_only.then_some(true),
            privileged: service.privileged.then_some(true),
            cap_add: some(service.cap_add.clone()),
            cap_drop: some(service.cap_drop.clone()),
            security_opt: some(service.security_opt.clone()),
            sysctls: some_map(service.sysctls.clone().into_iter().collect()),
            nano_cpus: limits.nano_cpus,
            memory: limits.memory,
            memory_reservation: limits.memory_reservation,
            memory_swap: limits.memory_swap,
            memory_swappiness: limits.memory_swappiness,
            pids_limit: limits.pids,
            cpu_shares: limits.cpu_shares,
            cpu_period: limits.cpu_period,
            cpu_quota: limits.cpu_quota,
            cpu_realtime_period: limits.cpu_rt_period,
            cpu_realtime_runtime: limits.cpu_rt_runtime,
            cpuset_cpus: limits.cpuset.clone(),
            cpu_count: limits.cpu_count,
            cpu_percent: limits.cpu_percent,
            ..HostConfig::default()
        })
    }

    /// A namespace mode with `service:x` replaced by that service's container.
    fn namespace(&self, mode: &str) -> Result<String> {
        let Some(service) = mode.strip_prefix("service:") else { return Ok(mode.to_owned()) };
        let found = self.joined.iter().find(|(name, _)| name.as_str() == service);
        found
            .map(|(_, id)| format!("container:{id}"))
            .ok_or_else(|| self.invalid(&format!("service {service}, which it joins, has none")))
    }
}

/// A restart policy as the engine takes it.
pub(crate) fn restart(policy: Restart) -> RestartPolicy {
    let (name, most) = match policy {
        Restart::No => (RestartPolicyNameEnum::NO, None),
        Restart::Always => (RestartPolicyNameEnum::ALWAYS, None),
        Restart::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        Restart::OnFailure(most) => (RestartPolicyNameEnum::ON_FAILURE, most.map(i64::from)),
    };
    RestartPolicy { name: Some(name), maximum_retry_count: most }
}

fn ports(service: &Service) -> Option<PortMap> {
    let mut map: PortMap = HashMap::new();
    for port in &service.ports {
        let bindings = map.entry(format!("{}/{}", port.target, port.protocol)).or_default();
        bindings
            .get_or_insert_default()
            .push(PortBinding { host_ip: port.host_ip.clone(), host_port: port.published.clone() });
    }
    (!map.is_empty()).then_some(map)
}
