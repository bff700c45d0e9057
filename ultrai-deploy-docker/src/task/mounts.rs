//! What containers of tests mount: never something new on the host, and dependencies never data
//! that exists. Pure but for reading what exists.

use std::collections::{BTreeMap, BTreeSet};

use ultrai_deploy_core::error::Result;

use crate::{
    compose::model::{Mount, MountKind, Service},
    definition::Shared,
    engine::Engine,
};

/// What exists of the sources of a service's mounts.
#[derive(Debug, Default)]
pub(super) struct Existing {
    /// Volumes, by key.
    volumes: BTreeSet<String>,
    /// Paths of this host; empty when the engine runs on another one.
    paths: BTreeMap<String, Path>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Path {
    Missing,
    Directory,
    /// A file, a socket, a device.
    Other,
}

impl Existing {
    pub(super) async fn read(engine: &Engine, shared: &Shared, service: &Service) -> Result<Self> {
        let mut existing = Self::default();
        for mount in &service.volumes {
            match (mount.kind, &mount.source) {
                (MountKind::Volume, Some(key)) => {
                    let name = shared.volumes.get(key).map_or(key, |volume| &volume.name);
                    if engine.find_volume(name).await?.is_some() {
                        existing.volumes.insert(key.clone());
                    }
                }
                (MountKind::Bind, Some(path)) if engine.is_local() => {
                    let found = match tokio::fs::metadata(path).await {
                        Ok(metadata) if metadata.is_dir() => Path::Directory,
                        Ok(_) => Path::Other,
                        Err(_) => Path::Missing,
                    };
                    existing.paths.insert(path.clone(), found);
                }
                _ => {}
            }
        }
        Ok(existing)
    }
}

/// For the test itself: what exists as declared, what does not as an anonymous volume.
pub(super) fn of_test(service: &mut Service, existing: &Existing) {
    for mount in &mut service.volumes {
        let missing = match (mount.kind, &mount.source) {
            (MountKind::Volume, Some(key)) => !existing.volumes.contains(key),
            (MountKind::Bind, Some(path)) => {
                mount.create_host_path && existing.paths.get(path) == Some(&Path::Missing)
            }
            _ => false,
        };
        if missing {
            *mount = anonymous(mount);
        }
    }
}

/// For a dependency: nothing that exists can be written to.
pub(super) fn of_dependency(service: &mut Service, existing: &Existing) {
    for mount in &mut service.volumes {
        match (mount.kind, &mount.source) {
            (MountKind::Volume, Some(key)) if mount.read_only && existing.volumes.contains(key) => {
            }
            (MountKind::Volume, Some(_)) => *mount = anonymous(mount),
            (MountKind::Bind, Some(path)) => match existing.paths.get(path) {
                Some(Path::Directory) if mount.read_only => {}
                Some(Path::Other) => mount.read_only = true,
                // What cannot be looked at may be a directory with data.
                Some(Path::Directory | Path::Missing) | None => *mount = anonymous(mount),
            },
            _ => {}
        }
    }
}

fn anonymous(mount: &Mount) -> Mount {
    Mount {
        kind: MountKind::Volume,
        source: None,
        target: mount.target.clone(),
        read_only: false,
        create_host_path: false,
        propagation: None,
        selinux: None,
        nocopy: mount.nocopy,
        subpath: None,
        tmpfs_size: None,
        tmpfs_mode: None,
        bare: false,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn existing() -> Existing {
        Existing {
            volumes: BTreeSet::from(["data".to_owned()]),
            paths: BTreeMap::from([
                ("/srv/data".to_owned(), Path::Directory),
                ("/run/docker.sock".to_owned(), Path::Other),
                ("/srv/new".to_owned(), Path::Missing),
            ]),
        }
    }

    fn service() -> Service {
        let mount = |kind: &str, source: &str, read_only| {
            json!({
                "kind": kind, "source": source, "target": source, "read_only": read_only,
                "create_host_path": true
            })
        };
        serde_json::from_value(json!({"volumes": [
            mount("volume", "data", false), mount("volume", "data", true),
            mount("volume", "new", false),
            mount("bind", "/srv/data", false), mount("bind", "/srv/data", true),
            mount("bind", "/run/docker.sock", false), mount("bind", "/srv/new", false),
            {"kind": "tmpfs", "target": "/tmp"},
        ]}))
        .unwrap()
    }

    /// `source` or `source:ro` of every mount; `-` for an anonymous volume.
    fn sources(service: &Service) -> Vec<String> {
        service
            .volumes
            .iter()
            .filter(|mount| mount.kind != MountKind::Tmpfs)
            .map(|mount| match (&mount.source, mount.read_only) {
                (None, _) => "-".to_owned(),
                (Some(source), false) => source.clone(),
                (Some(source), true) => format!("{source}:ro"),
            })
            .collect()
    }

    #[test]
    fn a_test_makes_nothing_on_the_host() {
        let mut service = service();
        of_test(&mut service, &existing());
        let expected =
            ["data", "data:ro", "-", "/srv/data", "/srv/data:ro", "/run/docker.sock", "-"];
        assert_eq!(sources(&service), expected);
    }

    #[test]
    fn a_dependency_writes_to_nothing_that_exists() {
        let mut service = service();
        of_dependency(&mut service, &existing());
        let expected = ["-", "data:ro", "-", "-", "/srv/data:ro", "/run/docker.sock:ro", "-"];
        assert_eq!(sources(&service), expected);
        of_dependency(&mut service, &Existing::default());
        assert_eq!(sources(&service), ["-"; 7], "on another host nothing is known");
    }
}
