//! Networks, volumes, secrets and configs of the project.

use indexmap::IndexMap;

use super::{
    field::{Field, Pair, Result},
    load::Scope,
    model::{FileObject, Ipam, IpamPool, Network, Volume},
};

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
