//! Mounts of a service.

use super::{
    field::{Field, Result},
    load::Scope,
    model::{Mount, MountKind},
    references,
};

/// Reads `volumes:` of a service; a later mount of the same path replaces an earlier one.
pub(super) fn read(field: &Field<'_>, scope: &Scope<'_>) -> Result<Vec<Mount>> {
    let mut mounts: Vec<Mount> = Vec::new();
    for item in field.items()? {
        let mount = if item.is_scalar() { short(&item, scope)? } else { long(&item, scope)? };
        if !mount.target.starts_with('/') {
            return Err(
                item.problem(format!("`{}` is no absolute path in the container", mount.target))
            );
        }
        match mounts.iter_mut().find(|known| known.target == mount.target) {
            Some(known) => *known = mount,
            None => mounts.push(mount),
        }
    }
    Ok(mounts)
}

fn blank(kind: MountKind) -> Mount {
    Mount {
        kind,
        source: None,
        target: String::new(),
        read_only: false,
        create_host_path: false,
        propagation: None,
        selinux: None,
        nocopy: false,
        subpath: None,
        tmpfs_size: None,
        tmpfs_mode: None,
        bare: false,
    }
}

/// `[source:]target[:options]`.
fn short(field: &Field<'_>, scope: &Scope<'_>) -> Result<Mount> {
    let text = field.text()?;
    let mut parts = text.split(':');
    let (first, second, options, more) = (parts.next(), parts.next(), parts.next(), parts.next());
    let first = first.unwrap_or_default();
    if more.is_some() || first.is_empty() || second == Some("") || options == Some("") {
        return Err(field.problem(format!(
            "`{text}` is no mount; write for example ./data:/data:ro or volume:/data"
        )));
    }
    let Some(second) = second else {
        return Ok(Mount { target: first.to_owned(), ..blank(MountKind::Volume) });
    };
    if first.len() == 1 && first.starts_with(|c: char| c.is_ascii_alphabetic()) {
        return Err(field.problem(format!(
            "`{first}` looks like a Windows drive to Compose; give the volume a longer name"
        )));
    }
    let is_path = first.starts_with(['.', '/', '~']);
    let mut mount = blank(if is_path { MountKind::Bind } else { MountKind::Volume });
    second.clone_into(&mut mount.target);
    mount.source = Some(if is_path {
        scope.absolute(first).to_string_lossy().into_owned()
    } else {
        first.to_owned()
    });
    mount.create_host_path = is_path;
    for option in options.into_iter().flat_map(|options| options.split(',')) {
        match option {
            "ro" => mount.read_only = true,
            "z" | "Z" => mount.selinux = Some(option.to_owned()),
            "nocopy" => mount.nocopy = true,
            "private" | "rprivate" | "shared" | "rshared" | "slave" | "rslave" => {
                mount.propagation = Some(option.to_owned());
            }
            // Compose ignores options that it does not know; `rw` is what happens anyway.
            _ => {}
        }
    }
    Ok(mount)
}

fn long(field: &Field<'_>, scope: &Scope<'_>) -> Result<Mount> {
    let kind = match field.get("type") {
        Some(kind) => match kind.text()?.as_str() {
            "volume" => MountKind::Volume,
            "bind" => MountKind::Bind,
            "tmpfs" => MountKind::Tmpfs,
            other @ ("image" | "npipe" | "cluster") => {
                return Err(kind.problem(format!(
                    "mounts of type `{other}` are not supported yet; use volume, bind or tmpfs"
                )));
            }
            other => {
                return Err(kind.problem(format!(
                    "`{other}` is no type of mount; write volume, bind or tmpfs"
                )));
            }
        },
        None => return Err(field.problem("`type:` is missing; write volume, bind or tmpfs")),
    };
    let mut mount = blank(kind);
    // Compose's default in the long form, too, since v5.
    mount.create_host_path = kind == MountKind::Bind;
    for pair in field.pairs()? {
        let value = &pair.value;
        match pair.key {
            "source" => mount.source = value.set_text()?,
            "target" => mount.target = value.text()?,
            "read_only" => mount.read_only = value.flag()?,
            "type" | "consistency" => {}
            "bind" => {
                for pair in value.pairs()? {
                    match pair.key {
                        "propagation" => mount.propagation = pair.value.set_text()?,
                        "create_host_path" => mount.create_host_path = pair.value.flag()?,
                        "selinux" => mount.selinux = pair.value.set_text()?,
                        "recursive" => return Err(pair.unsupported("remove it")),
                        _ if pair.is_extension() => {}
                        _ => {
                            let known = ["propagation", "create_host_path", "selinux"];
                            return Err(pair.unknown(&known));
                        }
                    }
                }
            }
            "volume" => {
                for pair in value.pairs()? {
                    match pair.key {
                        "nocopy" => mount.nocopy = pair.value.flag()?,
                        "subpath" => mount.subpath = pair.value.set_text()?,
                        "labels" => return Err(pair.unsupported("label the volume itself")),
                        _ if pair.is_extension() => {}
                        _ => return Err(pair.unknown(&["nocopy", "subpath"])),
                    }
                }
            }
            "tmpfs" => {
                for pair in value.pairs()? {
                    match pair.key {
                        "size" => mount.tmpfs_size = Some(pair.value.size()?),
                        "mode" => mount.tmpfs_mode = Some(references::mode(&pair.value)?),
                        _ if pair.is_extension() => {}
                        _ => return Err(pair.unknown(&["size", "mode"])),
                    }
                }
            }
            "image" => return Err(pair.unsupported("use a volume")),
            _ if pair.is_extension() => {}
            _ => {
                return Err(pair.unknown(&[
                    "type",
                    "source",
                    "target",
                    "read_only",
                    "bind",
                    "volume",
                    "tmpfs",
                    "consistency",
                ]));
            }
        }
    }
    mount.bare = match kind {
        MountKind::Bind => field.get("bind").is_none(),
        MountKind::Volume => field.get("volume").is_none(),
        MountKind::Tmpfs => false,
    };
    match (kind, &mount.source) {
        (MountKind::Bind, Some(source)) => {
            mount.source = Some(scope.absolute(source).to_string_lossy().into_owned());
        }
        (MountKind::Bind, None) => return Err(field.problem("`source:` is missing")),
        _ => {}
    }
    if mount.target.is_empty() {
        return Err(field.problem("`target:` is missing"));
    }
    Ok(mount)
}
