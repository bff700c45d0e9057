//! What can be known before anything changes. Looks only.

use std::{collections::BTreeSet, io, net::IpAddr};

use bollard::models::{ContainerSummary, PortSummaryTypeEnum};
use serde::Deserialize;
use tokio::net::{TcpListener, UdpSocket};
use ultrai_deploy_core::{
    context::Context,
    error::{Error, ErrorKind, Result},
    name::ServiceName,
    spec::ReleaseSpec,
};

use crate::{
    backend::Backend,
    claim::{Claim, is_any},
    compose::model::{Build, Service},
    current,
    definition::{Shared, fixed, read_service, read_shared},
    guard, image, labels, names, network,
    snapshot::Snapshot,
    support, volume,
};

/// Looks whether a deploy of `spec` can work.
///
/// # Errors
/// The first reason why it cannot.
pub(crate) async fn check(cx: &Context, backend: &Backend, spec: &ReleaseSpec) -> Result<()> {
    let shared = read_shared(&spec.resources)?;
    let mut services = Vec::new();
    for (name, service) in &spec.services {
        if let Some(build) = service.image.as_ref().and_then(|image| image.build.as_ref()) {
            let build = Build::deserialize(build).map_err(|source| {
                refuse(ErrorKind::Invalid, format!("`build` of {name} cannot be read"))
                    .with_source(source)
            })?;
            image::check_build(name.as_str(), &build)?;
        }
        services.push((name, read_service(name, &service.config)?));
    }
    let api = backend.engine.api().await?;
    let platform = backend.engine.platform().await?;
    for (name, service) in &services {
        support::check_service(name, service, api)?;
        support::check_platform(name, service, platform)?;
    }
    for (key, network) in &shared.networks {
        support::check_network(key, network, api)?;
    }
    if !backend.engine.is_local()
        && let Some((name, _)) = spec.services.iter().find(|(_, service)| !service.files.is_empty())
    {
        return Err(refuse(
            ErrorKind::Unsupported,
            format!("{name} mounts files of the project, which a remote engine does not have"),
        )
        .with_advice("put them into the image, or deploy on the engine's host"));
    }
    guard::refuse_foreign(cx, backend).await?;
    let snapshot = Snapshot::read(&backend.engine, &cx.target().project).await?;
    current::refuse_foreign(cx, &snapshot)?;
    external(backend, &shared).await?;
    network::check(backend, &shared).await?;
    volume::check(backend, &shared).await?;
    container_names(cx, backend, &services).await?;
    ports(cx, backend, spec, &shared, &services).await
}

async fn external(backend: &Backend, shared: &Shared) -> Result<()> {
    for (key, network) in shared.networks.iter().filter(|(_, network)| network.external) {
        if backend.engine.find_network(&network.name).await?.is_none() {
            return Err(refuse(
                ErrorKind::NotFound,
                format!("external network {} ({key}) does not exist", network.name),
            )
            .with_advice(format!("create it: docker network create {}", network.name)));
        }
    }
    for (key, volume) in shared.volumes.iter().filter(|(_, volume)| volume.external) {
        if backend.engine.find_volume(&volume.name).await?.is_none() {
            return Err(refuse(
                ErrorKind::NotFound,
                format!("external volume {} ({key}) does not exist", volume.name),
            )
            .with_advice(format!("create it: docker volume create {}", volume.name)));
        }
    }
    Ok(())
}

/// Names that the release needs and that containers outside the project have.
async fn container_names(
    cx: &Context,
    backend: &Backend,
    services: &[(&ServiceName, Service)],
) -> Result<()> {
    let project = &cx.target().project;
    let mut taken = BTreeSet::new();
    for (name, service) in services {
        let own = service.container_name.clone();
        let numbers = 1..=service.replicas();
        for wanted in
            numbers.map(|number| own.clone().unwrap_or_else(|| names::live(project, name, number)))
        {
            if !taken.insert(wanted.clone()) {
                return Err(refuse(
                    ErrorKind::Invalid,
                    format!("two containers would have the name {wanted}"),
                )
                .with_advice("a service with a container_name has one container"));
            }
            let Some(found) = backend.engine.find_container(&wanted).await? else { continue };
            let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
            if labels.get(labels::PROJECT).map(String::as_str) != Some(project.as_str()) {
                return Err(refuse(
                    ErrorKind::Conflict,
                    format!("service {name} needs the name {wanted}, which another container has"),
                )
                .with_advice("rename or remove that container"));
            }
        }
    }
    Ok(())
}

async fn ports(
    cx: &Context,
    backend: &Backend,
    spec: &ReleaseSpec,
    shared: &Shared,
    services: &[(&ServiceName, Service)],
) -> Result<()> {
    let containers = backend.engine.containers(&[]).await?;
    let (own, others): (Vec<_>, Vec<_>) = containers.iter().partition(|one| {
        let labels = one.labels.as_ref();
        let project = labels.and_then(|labels| labels.get(labels::PROJECT));
        project.map(String::as_str) == Some(cx.target().project.as_str())
    });
    for (name, service) in services {
        let place = spec.place(name, "ports");
        for claim in fixed(service, shared) {
            let Claim::Port { ip, port, protocol } = &claim else { continue };
            if let Some(holder) = others.iter().find(|one| holds(one, &claim)) {
                let holder = holder.names.iter().flatten().next();
                let holder = holder.map_or("another container", |name| names::plain(name));
                return Err(port_taken(name, *port, protocol, holder).at(place));
            }
            if own.iter().any(|one| holds(one, &claim)) || !backend.engine.is_local() {
                continue;
            }
            match bind(ip, *port, protocol).await {
                Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                    return Err(port_taken(name, *port, protocol, "a program on this host")
                        .at(place)
                        .with_source(error));
                }
                Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                    return Err(refuse(
                        ErrorKind::Invalid,
                        format!("service {name} publishes on {ip}, which this host does not have"),
                    )
                    .at(place)
                    .with_source(error));
                }
                // A port that only the engine may take.
                Ok(()) | Err(_) => {}
            }
        }
    }
    Ok(())
}

fn holds(container: &ContainerSummary, claim: &Claim) -> bool {
    container.ports.iter().flatten().any(|port| {
        let protocol = match port.typ {
            Some(PortSummaryTypeEnum::UDP) => "udp",
            Some(PortSummaryTypeEnum::SCTP) => "sctp",
            _ => "tcp",
        };
        port.public_port.is_some_and(|number| {
            let ip = port.ip.clone().unwrap_or_default();
            claim.excludes(&Claim::Port { ip, port: number, protocol: protocol.to_owned() })
        })
    })
}

/// Takes the port for a moment.
async fn bind(ip: &str, port: u16, protocol: &str) -> io::Result<()> {
    let ip = if is_any(ip) { "0.0.0.0" } else { ip.trim_matches(['[', ']']) };
    let Ok(ip) = ip.parse::<IpAddr>() else { return Ok(()) };
    match protocol {
        "tcp" => TcpListener::bind((ip, port)).await.map(drop),
        "udp" => UdpSocket::bind((ip, port)).await.map(drop),
        _ => Ok(()),
    }
}

fn port_taken(service: &ServiceName, port: u16, protocol: &str, holder: &str) -> Error {
    refuse(
        ErrorKind::Conflict,
        format!("service {service} publishes port {port}/{protocol}, which {holder} has"),
    )
    .with_advice("stop it, or publish another port")
}

fn refuse(kind: ErrorKind, message: String) -> Error {
    Error::new(kind, "deploy", message).without_effect()
}
