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

/// Refuses a service for another platform than the engine's own: pulling, building and running
/// would take the engine's.
///
/// # Errors
/// [`ErrorKind::Unsupported`], naming both.
pub(crate) fn check_platform(name: &ServiceName, service: &Service, own: &str) -> Result<()> {
    let Some(wanted) = service.platform.as_deref().filter(|wanted| !is_platform(wanted, own))
    else {
        return Ok(());
    };
    Err(Error::new(
        ErrorKind::Unsupported,
        "carry out the compose file",
        format!(
            "platform of service {name} is {wanted}, but the engine's own is {own}; another one \
             is not supported yet"
        ),
    )
    .with_advice(format!("remove `platform:` of {name}, or deploy to an engine of that platform"))
    .without_effect())
}

/// Whether `wanted` is another way to write `own`, which has an operating system and a processor.
fn is_platform(wanted: &str, own: &str) -> bool {
    let parts = |text: &str| text.split('/').map(plain).collect::<Vec<_>>();
    let (wanted, own) = (parts(wanted), parts(own));
    match wanted.as_slice() {
        [one] => own.contains(one),
        [_, processor, variant] => {
            let is_default =
                matches!((processor.as_str(), variant.as_str()), ("amd64", "v1") | ("arm64", "v8"));
            is_default && wanted[..2] == own[..]
        }
        _ => wanted == own,
    }
}

/// Part of a platform as Go writes it.
fn plain(part: &str) -> String {
    match part.to_lowercase().as_str() {
        "x86_64" | "x86-64" => "amd64".to_owned(),
        "aarch64" => "arm64".to_owned(),
        other => other.to_owned(),
    }
}

/// A platform as the engine's version tells it, from how its information does: `x86_64` of `linux`.
pub(crate) fn plain_platform(os: &str, processor: &str) -> String {
    format!("{}/{}", plain(os), plain(processor))
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

    #[test]
    fn another_platform_than_the_engine_s_is_refused_by_name() {
        let check = |wanted: &str, own: &str| {
            let service = Service { platform: Some(wanted.to_owned()), ..Service::default() };
            check_platform(&ServiceName::new("web").unwrap(), &service, own)
        };
        for same in ["linux/amd64", "linux/x86_64", "Linux/AMD64", "linux/amd64/v1", "amd64"] {
            check(same, "linux/amd64").unwrap();
        }
        check("linux/arm64/v8", "linux/arm64").unwrap();
        for other in ["linux/arm64", "windows/amd64", "linux/amd64/v3", "linux/arm/v7", "arm64"] {
            let error = check(other, "linux/amd64").unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Unsupported);
            assert!(error.to_string().contains(&format!("service web is {other}")), "{error}");
            assert!(error.advice().unwrap().contains("`platform:` of web"));
        }
    }
}
