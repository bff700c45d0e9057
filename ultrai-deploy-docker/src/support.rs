//! What an engine of a given age cannot do, refused by name.

use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    name::ServiceName,
};

use crate::{
    compose::model::{Network, Service},
    engine::ApiVersion,
};

/// Refuses a service that needs a newer engine.
///
/// # Errors
/// [`ErrorKind::Unsupported`], naming the key.
pub(crate) fn check_service(name: &ServiceName, service: &Service, api: ApiVersion) -> Result<()> {
    let health = service.healthcheck.as_ref();
    let attachments = || service.networks.values();
    let needs = [
        (
            "healthcheck.start_interval",
            health.is_some_and(|check| check.start_interval.is_some()),
            ApiVersion::new(1, 44),
        ),
        (
            "networks.mac_address",
            attachments().any(|one| one.mac_address.is_some()),
            ApiVersion::new(1, 44),
        ),
        (
            "networks.gw_priority",
            attachments().any(|one| one.gw_priority.is_some()),
            ApiVersion::new(1, 48),
        ),
        (
            "volumes.volume.subpath",
            service.volumes.iter().any(|mount| mount.subpath.is_some()),
            ApiVersion::new(1, 45),
        ),
    ];
    first_missing(&format!("service {name}"), &needs, api)
}

/// Refuses a network that needs a newer engine.
///
/// # Errors
/// [`ErrorKind::Unsupported`], naming the key.
pub(crate) fn check_network(key: &str, network: &Network, api: ApiVersion) -> Result<()> {
    let needs = [("enable_ipv4", network.enable_ipv4.is_some(), ApiVersion::new(1, 48))];
    first_missing(&format!("network {key}"), &needs, api)
}

fn first_missing(subject: &str, needs: &[(&str, bool, ApiVersion)], api: ApiVersion) -> Result<()> {
    match needs.iter().find(|(_, used, least)| *used && api < *least) {
        None => Ok(()),
        Some((key, _, least)) => Err(Error::new(
            ErrorKind::Unsupported,
            "carry out the compose file",
            format!("{key} of {subject} needs engine API {least}, this engine has {api}"),
        )
        .with_advice("leave it out or update the engine")
        .without_effect()),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::compose::model::{HealthCheck, HealthTest};

    #[test]
    fn what_is_too_new_is_refused_by_name() {
        let service = Service {
            healthcheck: Some(HealthCheck {
                test: HealthTest::Inherit,
                interval: None,
                timeout: None,
                retries: None,
                start_period: Some(Duration::from_secs(9)),
                start_interval: Some(Duration::from_secs(1)),
            }),
            ..Service::default()
        };
        let name = ServiceName::new("web").unwrap();
        let error = check_service(&name, &service, ApiVersion::new(1, 43)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unsupported);
        assert!(error.to_string().contains("start_interval of service web"), "{error}");
        check_service(&name, &service, ApiVersion::new(1, 44)).unwrap();
    }
}
