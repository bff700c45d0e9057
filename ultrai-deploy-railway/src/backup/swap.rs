//! Whether what is staged is the swap of one volume and nothing else. Pure.

use serde_json::Value;

use crate::model::{ServiceId, StagedChanges};

/// The volume that is swapped.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mounted<'a> {
    pub(super) service: &'a ServiceId,
    /// The id of the volume itself.
    pub(super) volume: &'a str,
    pub(super) mount_path: Option<&'a str>,
}

/// The volume that takes the place of the mounted one.
///
/// # Errors
/// What else is staged, or that the swap is not: in either case a commit would do something that
/// nobody asked for.
pub(super) fn new_volume(
    staged: &StagedChanges,
    mounted: Mounted<'_>,
) -> Result<String, Vec<String>> {
    let Mounted { service, volume, mount_path } = mounted;
    let mut rest = staged.clone();
    let mounts = rest.patch.get_mut("services").and_then(|all| all.get_mut(service.as_str()));
    let mounts = mounts.and_then(|service| service.get_mut("volumeMounts"));
    let Some(mounts) = mounts.and_then(Value::as_object_mut) else { return Err(staged.paths()) };
    let is_new = |(id, mount): &(&String, &Value)| *id != volume && mounts_at(mount, mount_path);
    let new: Vec<_> = mounts.iter().filter(is_new).map(|(id, _)| id.clone()).collect();
    let [new] = &new[..] else { return Err(staged.paths()) };
    mounts.remove(new);
    if mounts.get(volume).is_some_and(is_removed) {
        mounts.remove(volume);
    }
    // What the new volume is made with.
    if let Some(volumes) = rest.patch.get_mut("volumes").and_then(Value::as_object_mut)
        && volumes.get(new).is_some_and(|one| one.is_object() && one.get("isDeleted").is_none())
    {
        volumes.remove(new);
    }
    let others = rest.paths();
    if others.is_empty() { Ok(new.clone()) } else { Err(others) }
}

/// The volumes that changes mount.
pub(super) fn mounted(changes: &StagedChanges) -> Vec<String> {
    let services = changes.patch.get("services").and_then(Value::as_object);
    let mounts = services.into_iter().flatten().filter_map(|(_, service)| {
        let mounts = service.get("volumeMounts")?.as_object()?.iter();
        Some(mounts.filter(|(_, mount)| mounts_at(mount, None)).map(|(id, _)| id.clone()))
    });
    mounts.flatten().collect()
}

/// Whether a mount goes away.
fn is_removed(mount: &Value) -> bool {
    let is_null = |mount: &serde_json::Map<_, _>| mount.values().all(Value::is_null);
    mount.is_null() || mount.as_object().is_some_and(is_null)
}

/// Whether a mount is at `path`, and says nothing else.
fn mounts_at(mount: &Value, path: Option<&str>) -> bool {
    let Some(mount) = mount.as_object().filter(|mount| mount.len() == 1) else { return false };
    let at = mount.get("mountPath").and_then(Value::as_str);
    at.is_some_and(|at| path.is_none_or(|path| path == at))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn new(patch: &Value) -> Result<String, Vec<String>> {
        let staged = json!({ "id": "p", "status": "STAGED", "patch": patch });
        let service = &ServiceId::new("s1");
        let mounted = Mounted { service, volume: "old", mount_path: Some("/data") };
        new_volume(&serde_json::from_value(staged).unwrap(), mounted)
    }

    #[test]
    fn a_swap_is_one_new_mount_in_the_place_of_the_old_one() {
        let mount = json!({ "mountPath": "/data" });
        for mounts in [
            json!({ "new": mount }),
            json!({ "new": mount, "old": null }),
            json!({ "new": mount, "old": { "mountPath": null } }),
        ] {
            let swap = json!({ "services": { "s1": { "volumeMounts": mounts } } });
            assert_eq!(new(&swap).unwrap(), "new", "{swap}");
        }
        let swap = json!({
            "services": { "s1": { "volumeMounts": { "new": mount, "old": null } } },
            "volumes": { "new": { "isCreated": true, "region": "x" } },
        });
        assert_eq!(new(&swap).unwrap(), "new");
    }

    #[test]
    fn whatever_stands_beside_it_is_told() {
        let mount = json!({ "mountPath": "/data" });
        let beside = |more: &Value| {
            let mut patch = json!({ "services": { "s1": { "volumeMounts": { "new": mount } } } });
            merge(&mut patch, more);
            new(&patch).unwrap_err()
        };
        for (more, told) in [
            (
                json!({ "services": { "s1": { "variables": { "K": { "value": "v" } } } } }),
                "services.s1.variables.K.value",
            ),
            (json!({ "services": { "s2": { "isDeleted": true } } }), "services.s2.isDeleted"),
            (
                json!({ "services": { "s2": { "volumeMounts": { "x": mount } } } }),
                "services.s2.volumeMounts.x.mountPath",
            ),
            (
                json!({ "services": { "s1": { "volumeMounts": { "old": mount } } } }),
                "services.s1.volumeMounts.old.mountPath",
            ),
            (json!({ "volumes": { "old": { "isDeleted": true } } }), "volumes.old.isDeleted"),
            (json!({ "volumes": { "new": { "isDeleted": true } } }), "volumes.new.isDeleted"),
            (json!({ "sharedVariables": { "K": null } }), "sharedVariables.K"),
        ] {
            assert_eq!(beside(&more), [told], "{more}");
        }
        let two = json!({ "services": { "s1": { "volumeMounts": { "other": mount } } } });
        assert_eq!(beside(&two).len(), 2);
    }

    #[test]
    fn without_a_swap_there_is_nothing_to_commit() {
        for patch in [
            json!({}),
            json!({ "services": { "s1": { "volumeMounts": { "old": null } } } }),
            json!({ "services": { "s1": { "volumeMounts": { "new": { "mountPath": "/tmp" } } } } }),
            json!({ "services": { "s1": { "volumeMounts": { "new": null } } } }),
            json!({ "services": { "s1": { "volumeMounts": {
                "new": { "mountPath": "/data", "isReadOnly": true } } } } }),
            json!({ "services": { "s1": { "volumeMounts": { "new.mountPath": "/data" } } } }),
        ] {
            assert!(new(&patch).is_err(), "{patch}");
        }
    }

    fn merge(into: &mut Value, more: &Value) {
        match (into, more) {
            (Value::Object(into), Value::Object(more)) => {
                for (name, value) in more {
                    merge(into.entry(name.clone()).or_insert(Value::Null), value);
                }
            }
            (into, more) => *into = more.clone(),
        }
    }
}
