//! The mounts of a container: volumes, directories, memory, and the release's own files.

use std::collections::HashMap;

use bollard::models::{Mount, MountBindOptions, MountTmpfsOptions, MountType, MountVolumeOptions};
use ultrai_deploy_core::{error::Result, release::ReleaseService};

use super::Request;
use crate::compose::model::{self, MountKind, Service};

/// Mounts in the three forms that the engine takes.
#[derive(Debug, Default)]
pub(super) struct Mounts {
    /// `source:target:options`, which creates a missing source.
    pub(super) binds: Vec<String>,
    /// With everything spelt out.
    pub(super) typed: Vec<Mount>,
    /// Path in the container → options.
    pub(super) tmpfs: HashMap<String, String>,
}

impl Mounts {
    pub(super) fn new(
        request: &Request<'_>,
        service: &Service,
        sealed: Option<&ReleaseService>,
    ) -> Result<Self> {
        let mut all = Self::default();
        for mount in &service.volumes {
            match (mount.kind, &mount.source) {
                (MountKind::Bind, Some(source)) => all.bind(mount, source),
                // A file of the release: added below.
                (MountKind::Bind, None) => {}
                (MountKind::Volume, source) => all.volume(request, mount, source.as_deref()),
                (MountKind::Tmpfs, _) => all.typed.push(tmpfs(mount)),
            }
        }
        for entry in &service.tmpfs {
            let (target, options) = entry.split_once(':').unwrap_or((entry, ""));
            all.tmpfs.insert(target.to_owned(), options.to_owned());
        }
        for (target, digest) in sealed.map(|sealed| &sealed.files).into_iter().flatten() {
            let path = request
                .files
                .get(digest)
                .ok_or_else(|| request.invalid(&format!("the file for {target} is not stored")))?;
            all.typed.push(Mount {
                typ: Some(MountType::BIND),
                source: Some(path.display().to_string()),
                target: Some(target.clone()),
                read_only: Some(true),
                ..Mount::default()
            });
        }
        for (target, volume) in request.inherited {
            if service.volumes.iter().all(|mount| mount.target != *target) {
                all.typed.push(named_volume(volume, target));
            }
        }
        Ok(all)
    }

    fn bind(&mut self, mount: &model::Mount, source: &str) {
        if mount.create_host_path || mount.selinux.is_some() {
            let mut options: Vec<&str> = Vec::new();
            if mount.read_only {
                options.push("ro");
            }
            options.extend(mount.selinux.as_deref());
            options.extend(mount.propagation.as_deref());
            let options = if options.is_empty() { "rw".to_owned() } else { options.join(",") };
            self.binds.push(format!("{source}:{}:{options}", mount.target));
            return;
        }
        let propagation = mount.propagation.as_ref().and_then(|mode| mode.parse().ok());
        self.typed.push(Mount {
            typ: Some(MountType::BIND),
            source: Some(source.to_owned()),
            target: Some(mount.target.clone()),
            read_only: mount.read_only.then_some(true),
            bind_options: propagation
                .map(|mode| MountBindOptions { propagation: Some(mode), ..Default::default() }),
            ..Mount::default()
        });
    }

    fn volume(&mut self, request: &Request<'_>, mount: &model::Mount, key: Option<&str>) {
        let volumes = &request.definition.shared.volumes;
        let name = match key {
            Some(key) => Some(volumes.get(key).map_or(key, |volume| volume.name.as_str())),
            None => request.inherited.get(&mount.target).map(String::as_str),
        };
        let options = MountVolumeOptions {
            no_copy: mount.nocopy.then_some(true),
            subpath: mount.subpath.clone(),
            ..MountVolumeOptions::default()
        };
        self.typed.push(Mount {
            typ: Some(MountType::VOLUME),
            source: name.map(ToOwned::to_owned),
            target: Some(mount.target.clone()),
            read_only: mount.read_only.then_some(true),
            volume_options: (options != MountVolumeOptions::default()).then_some(options),
            ..Mount::default()
        });
    }
}

fn named_volume(name: &str, target: &str) -> Mount {
    Mount {
        typ: Some(MountType::VOLUME),
        source: Some(name.to_owned()),
        target: Some(target.to_owned()),
        ..Mount::default()
    }
}

fn tmpfs(mount: &model::Mount) -> Mount {
    Mount {
        typ: Some(MountType::TMPFS),
        target: Some(mount.target.clone()),
        read_only: mount.read_only.then_some(true),
        tmpfs_options: Some(MountTmpfsOptions {
            size_bytes: mount.tmpfs_size,
            mode: mount.tmpfs_mode.map(i64::from),
            ..MountTmpfsOptions::default()
        }),
        ..Mount::default()
    }
}
