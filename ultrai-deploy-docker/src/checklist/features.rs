//! What a release uses, and an engine or its kernel may not have.

use bollard::models::SystemInfo;
use ultrai_deploy_core::{error::Result, name::ServiceName, spec::ReleaseSpec};

use super::engine::List;
use crate::{
    compose::model::{Network, Resources, Service},
    definition::{read_service, read_shared},
    engine::ApiVersion,
    support,
};

/// A limit: its key, whether it is used, and whether the engine says that it has it.
type Limit = (&'static str, fn(&Resources) -> bool, fn(&SystemInfo) -> Option<bool>);

/// What the kernel's control groups must be able to do.
const LIMITS: [Limit; 6] = [
    (
        "a limit of memory",
        |own| own.memory.is_some() || own.memory_reservation.is_some(),
        |info| info.memory_limit,
    ),
    ("a limit of swap", |own| own.memory_swap.is_some_and(|swap| swap > 0), |info| info.swap_limit),
    ("a limit of processes", |own| own.pids.is_some_and(|pids| pids > 0), |info| info.pids_limit),
    (
        "a limit of processor time",
        |own| own.nano_cpus.is_some() || own.cpu_quota.is_some() || own.cpu_period.is_some(),
        |info| info.cpu_cfs_quota,
    ),
    ("shares of processor time", |own| own.cpu_shares.is_some(), |info| info.cpu_shares),
    ("processors of its own", |own| own.cpuset.is_some(), |info| info.cpu_set),
];

/// The definition of a release, as far as engines differ in what they can do with it.
#[derive(Debug, Default)]
pub(super) struct Features {
    services: Vec<(ServiceName, Service)>,
    networks: Vec<(String, Network)>,
}

impl Features {
    pub(super) fn of(release: &ReleaseSpec) -> Result<Self> {
        let services = release.services.iter();
        let services = services
            .map(|(name, service)| Ok((name.clone(), read_service(name, &service.config)?)))
            .collect::<Result<_>>()?;
        let networks = read_shared(&release.resources)?.networks;
        Ok(Self { services, networks: networks.into_iter().collect() })
    }

    pub(super) fn check(&self, list: &mut List, api: ApiVersion, info: &SystemInfo) {
        for (name, service) in &self.services {
            for (what, is_used, has) in LIMITS {
                // An engine that says nothing of it is taken at its word that all is well.
                if is_used(&service.resources) && has(info) == Some(false) {
                    list.bad(
                        format!("service {name} has {what}, and the engine's kernel has none"),
                        format!("turn the control group on, or leave the limit of {name} out"),
                    );
                }
            }
            refused(list, support::check_service(name, service, api));
            let platform = [info.os_type.as_deref(), info.architecture.as_deref()];
            if let [Some(os), Some(processor)] = platform {
                let own = support::plain_platform(os, processor);
                refused(list, support::check_platform(name, service, &own));
            }
        }
        for (key, network) in &self.networks {
            refused(list, support::check_network(key, network, api));
        }
    }
}

fn refused(list: &mut List, checked: Result<()>) {
    if let Err(error) = checked {
        list.bad(error.message(), error.advice().unwrap_or("update the engine"));
    }
}
