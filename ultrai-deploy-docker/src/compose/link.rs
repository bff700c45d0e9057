//! What services use of the project: the default network, and that everything is declared.

use std::collections::HashSet;

use super::{
    field::{Field, Result},
    model::{Attachment, FileObject, FileReference, MountKind, Network, Project},
};

/// The key of the network that services without one share.
pub(super) const DEFAULT_NETWORK: &str = "default";

/// Gives services their default network, checks that what they use is declared, and leaves out
/// what nobody uses, as Compose does: it is neither created nor has it to exist.
pub(super) fn link(project: &mut Project, services: &Field<'_>) -> Result<()> {
    let mut networks = HashSet::new();
    let mut volumes = HashSet::new();
    let mut secrets = HashSet::new();
    let mut configs = HashSet::new();
    for (name, service) in &mut project.services {
        if service.network_mode.is_none() && service.networks.is_empty() {
            service.networks.insert(DEFAULT_NETWORK.to_owned(), Attachment::default());
        }
        for key in service.networks.keys() {
            if key != DEFAULT_NETWORK && !project.networks.contains_key(key) {
                return Err(place(services, name, "networks", key).problem(format!(
                    "network `{key}` is not declared; write it under `networks:`"
                )));
            }
            networks.insert(key.clone());
        }
        for mount in service.volumes.iter().filter(|mount| mount.kind == MountKind::Volume) {
            let Some(source) = &mount.source else { continue };
            if !project.volumes.contains_key(source) {
                return Err(place(services, name, "volumes", source).problem(format!(
                    "volume `{source}` is not declared; write it under `volumes:`, or write \
                     `./{source}` for a directory"
                )));
            }
            volumes.insert(source.clone());
        }
        for (key, used, declared, seen) in [
            ("secrets", &service.secrets, &project.secrets, &mut secrets),
            ("configs", &service.configs, &project.configs, &mut configs),
        ] {
            for file in used {
                check_file(file, declared.get(&file.source), key, || {
                    place(services, name, key, &file.source)
                })?;
                seen.insert(file.source.clone());
            }
        }
    }
    if networks.contains(DEFAULT_NETWORK) && !project.networks.contains_key(DEFAULT_NETWORK) {
        let name = format!("{}_{DEFAULT_NETWORK}", project.name);
        project.networks.insert(DEFAULT_NETWORK.to_owned(), Network { name, ..Network::default() });
    }
    project.networks.retain(|key, _| networks.contains(key));
    project.volumes.retain(|key, _| volumes.contains(key));
    project.secrets.retain(|key, _| secrets.contains(key));
    project.configs.retain(|key, _| configs.contains(key));
    Ok(())
}

fn check_file<'a>(
    file: &FileReference,
    declared: Option<&FileObject>,
    key: &str,
    place: impl Fn() -> Field<'a>,
) -> Result<()> {
    let Some(object) = declared else {
        let message = format!("`{}` is not declared; write it under `{key}:`", file.source);
        return Err(place().problem(message));
    };
    if !object.file.exists() {
        let path = object.file.display();
        let message = format!("`{}` is the file {path}, which does not exist", file.source);
        return Err(place().problem(message));
    }
    Ok(())
}

/// Where a service names something under one of its keys.
fn place<'a>(services: &Field<'a>, service: &str, key: &str, name: &str) -> Field<'a> {
    let service = services.get(service).unwrap_or_else(|| services.clone());
    let Some(part) = service.get(key) else { return service };
    let names = |item: &Field<'_>| {
        let text = item.get("source").as_ref().unwrap_or(item).scalar().unwrap_or_default();
        text == name || text.split_once(':').is_some_and(|(source, _)| source == name)
    };
    let item = part.items().unwrap_or_default().into_iter().find(names);
    item.or_else(|| part.get(name)).unwrap_or(part)
}
