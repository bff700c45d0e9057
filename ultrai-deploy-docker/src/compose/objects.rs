//! Networks, volumes, secrets and configs of the project, and what services use of them.

use indexmap::IndexMap;

use super::{
    field::{Field, Pair, Result},
    load::Scope,
    model::{FileObject, Ipam, IpamPool, MountKind, Network, Project, Service, Volume},
    problem::Problem,
};

/// The key of the network that services without one share.
pub(super) const DEFAULT_NETWORK: &str = "default";

/// Reads `networks:`.
pub(super) fn networks(field: &Field<'_>, scope: &Scope<'_>) -> Result<IndexMap<String, Network>> {
    let mut networks = IndexMap::new();
    for entry in field.pairs()? {
        check_key(&entry)?;
        let mut network = Network::default();
        let mut name = None;
        for pair in entry.value.pairs_or_null()? {
            let value = &pair.value;
            match pair.key {
                "name" => name = value.set_text()?,
                "external" => network.external = external(value, &mut name)?,
                "driver" => network.driver = value.set_text()?,
                "driver_opts" => network.driver_opts = value.options()?,
                "internal" => network.internal = value.flag()?,
                "attachable" => network.attachable = value.flag()?,
                "enable_ipv4" => network.enable_ipv4 = Some(value.flag()?),
                "enable_ipv6" => network.enable_ipv6 = Some(value.flag()?),
                "labels" => network.labels = value.labels()?,
                "ipam" => network.ipam = Some(ipam(value)?),
                _ if pair.is_extension() => {}
                _ => {
                    return Err(pair.unknown(&[
                        "name",
                        "external",
                        "driver",
                        "driver_opts",
                        "internal",
                        "attachable",
                        "enable_ipv4",
                        "enable_ipv6",
                        "labels",
                        "ipam",
                    ]));
                }
            }
        }
        network.name = resolve(name, network.external, entry.key, scope);
        networks.insert(entry.key.to_owned(), network);
    }
    Ok(networks)
}

/// Reads `volumes:`.
pub(super) fn volumes(field: &Field<'_>, scope: &Scope<'_>) -> Result<IndexMap<String, Volume>> {
    let mut volumes = IndexMap::new();
    for entry in field.pairs()? {
        check_key(&entry)?;
        let mut volume = Volume::default();
        let mut name = None;
        for pair in entry.value.pairs_or_null()? {
            let value = &pair.value;
            match pair.key {
                "name" => name = value.set_text()?,
                "external" => volume.external = external(value, &mut name)?,
                "driver" => volume.driver = value.set_text()?,
                "driver_opts" => volume.driver_opts = value.options()?,
                "labels" => volume.labels = value.labels()?,
                _ if pair.is_extension() => {}
                _ => {
                    return Err(pair.unknown(&[
                        "name",
                        "external",
                        "driver",
                        "driver_opts",
                        "labels",
                    ]));
                }
            }
        }
        volume.name = resolve(name, volume.external, entry.key, scope);
        volumes.insert(entry.key.to_owned(), volume);
    }
    Ok(volumes)
}

/// Reads `secrets:` or `configs:`: files only.
pub(super) fn files(field: &Field<'_>, scope: &Scope<'_>) -> Result<IndexMap<String, FileObject>> {
    let mut files = IndexMap::new();
    for entry in field.pairs()? {
        check_key(&entry)?;
        let mut file = None;
        for pair in entry.value.pairs()? {
            match pair.key {
                "file" => {
                    file = Some(scope.absolute(&pair.value.text()?));
                }
                "environment" | "content" | "external" | "name" | "driver" | "driver_opts"
                | "template_driver" | "labels" => {
                    return Err(pair.unsupported("use `file:`"));
                }
                _ if pair.is_extension() => {}
                _ => return Err(pair.unknown(&["file"])),
            }
        }
        let file = file.ok_or_else(|| entry.value.problem("`file:` is missing"))?;
        files.insert(entry.key.to_owned(), FileObject { file });
    }
    Ok(files)
}

/// Gives services their default network, checks that what they use is declared, and leaves out
/// what nobody uses, as Compose does: it is neither created nor has it to exist.
pub(super) fn link(
    project: &mut Project,
    services: &Field<'_>,
) -> std::result::Result<(), Problem> {
    for (name, service) in &mut project.services {
        if service.network_mode.is_none() && service.networks.is_empty() {
            service
                .networks
                .insert(DEFAULT_NETWORK.to_owned(), super::model::Attachment::default());
        }
        let place = services.get(name).unwrap_or_else(|| services.clone());
        let part = |key: &str| place.get(key).unwrap_or_else(|| place.clone());
        for key in service.networks.keys() {
            if key != DEFAULT_NETWORK && !project.networks.contains_key(key) {
                return Err(part("networks").problem(format!(
                    "network `{key}` is not declared; write it under `networks:`"
                )));
            }
        }
        for mount in &service.volumes {
            let Some(source) = mount.source.as_deref().filter(|_| mount.kind == MountKind::Volume)
            else {
                continue;
            };
            if !project.volumes.contains_key(source) {
                return Err(part("volumes").problem(format!(
                    "volume `{source}` is not declared; write it under `volumes:`"
                )));
            }
        }
        let files = service.secrets.iter().map(|file| ("secrets", file, &project.secrets));
        let files = files.chain(service.configs.iter().map(|f| ("configs", f, &project.configs)));
        for (key, file, declared) in files {
            let Some(object) = declared.get(&file.source) else {
                return Err(part(key).problem(format!(
                    "`{}` is not declared; write it under `{key}:`",
                    file.source
                )));
            };
            if !object.file.exists() {
                return Err(part(key).problem(format!(
                    "`{}` is the file {}, which does not exist",
                    file.source,
                    object.file.display()
                )));
            }
        }
    }
    let uses_default =
        project.services.values().any(|service| service.networks.contains_key(DEFAULT_NETWORK));
    if uses_default && !project.networks.contains_key(DEFAULT_NETWORK) {
        let name = format!("{}_{DEFAULT_NETWORK}", project.name);
        project.networks.insert(DEFAULT_NETWORK.to_owned(), Network { name, ..Network::default() });
    }
    let services = &project.services;
    let used = |uses: &dyn Fn(&Service) -> bool| services.values().any(uses);
    project.networks.retain(|key, _| used(&|service| service.networks.contains_key(key)));
    project.volumes.retain(|key, _| {
        used(&|service| service.volumes.iter().any(|mount| mount.source.as_ref() == Some(key)))
    });
    project
        .secrets
        .retain(|key, _| used(&|service| service.secrets.iter().any(|file| file.source == *key)));
    project
        .configs
        .retain(|key, _| used(&|service| service.configs.iter().any(|file| file.source == *key)));
    Ok(())
}

fn check_key(entry: &Pair<'_>) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if entry.key.is_empty() || !entry.key.chars().all(allowed) {
        return Err(entry
            .value
            .problem(format!("`{}` is no key; use letters, digits, `.`, `_` and `-`", entry.key)));
    }
    Ok(())
}

/// `external: true`, or the old form with a name.
fn external(field: &Field<'_>, name: &mut Option<String>) -> Result<bool> {
    if !field.is_mapping() {
        return field.flag();
    }
    if let Some(old) = field.get("name") {
        *name = Some(old.text()?);
    }
    Ok(true)
}

fn resolve(name: Option<String>, external: bool, key: &str, scope: &Scope<'_>) -> String {
    name.unwrap_or_else(
        || {
            if external { key.to_owned() } else { format!("{}_{key}", scope.project) }
        },
    )
}

fn ipam(field: &Field<'_>) -> Result<Ipam> {
    let mut ipam = Ipam::default();
    for pair in field.pairs()? {
        match pair.key {
            "driver" => ipam.driver = pair.value.set_text()?,
            "options" => ipam.options = pair.value.options()?,
            "config" => {
                for item in pair.value.items()? {
                    let mut pool = IpamPool::default();
                    for pair in item.pairs()? {
                        match pair.key {
                            "subnet" => pool.subnet = pair.value.set_text()?,
                            "ip_range" => pool.ip_range = pair.value.set_text()?,
                            "gateway" => pool.gateway = pair.value.set_text()?,
                            "aux_addresses" => pool.aux_addresses = pair.value.options()?,
                            _ if pair.is_extension() => {}
                            _ => {
                                return Err(pair.unknown(&[
                                    "subnet",
                                    "ip_range",
                                    "gateway",
                                    "aux_addresses",
                                ]));
                            }
                        }
                    }
                    ipam.config.push(pool);
                }
            }
            _ if pair.is_extension() => {}
            _ => return Err(pair.unknown(&["driver", "options", "config"])),
        }
    }
    Ok(ipam)
}
