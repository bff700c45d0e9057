//! Containers that somebody else started, described as a release, so that they can be kept and
//! brought back.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use serde_json::Value;
use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    name::{ProjectName, ServiceName},
    release::{Release, ReleaseService},
    version::Version,
};

use crate::{
    compose::model::{Dependency, HealthCheck, HealthTest, Service},
    current::is_well,
    definition::{Shared, Wiring},
    snapshot::{Container, Snapshot},
};

/// The version of what has none that can be read.
const UNKNOWN: &str = "0.0.0";

/// The release that runs, as far as it can be told: images, health checks, dependencies. Not the
/// environment, which may hold secrets: it stays in the containers, and they are what comes back.
///
/// A service that is down is left out, or no rollback could ever be proven.
pub(crate) fn release(project: &ProjectName, snapshot: &Snapshot) -> Result<Release> {
    let completing = snapshot.completing();
    let mut groups: BTreeMap<&ServiceName, Vec<&Container>> = BTreeMap::new();
    for container in snapshot.live() {
        groups.entry(&container.service).or_default().push(container);
    }
    groups.retain(|name, group| {
        let completes = completing.contains(name.as_str());
        group.iter().all(|one| is_well(one, completes))
    });
    let mut services = BTreeMap::new();
    let mut wiring = BTreeMap::new();
    for (name, group) in &groups {
        let Some(first) = group.first() else { continue };
        let depends_on: IndexMap<_, _> = first
            .marks
            .depends_on
            .iter()
            .map(|(needed, condition)| {
                let condition = *condition;
                (needed.clone(), Dependency { condition, restart: false, required: false })
            })
            .collect();
        let names = depends_on
            .keys()
            .filter_map(|needed| ServiceName::new(needed.as_str()).ok())
            .filter(|needed| groups.contains_key(needed))
            .collect();
        let service = Service {
            healthcheck: health(first),
            scale: u32::try_from(group.len()).ok().filter(|count| *count != 1),
            ..Service::default()
        };
        services.insert(
            (*name).clone(),
            ReleaseService::new(Some(first.image.clone()), json(&service)?).with_depends_on(names),
        );
        wiring.insert((*name).clone(), Wiring { depends_on, ..Wiring::default() });
    }
    let mut release = Release::new(project.clone(), version(snapshot)?, services)?;
    release.resources = json(&Shared { services: wiring, ..Shared::default() })?;
    release.adopted()
}

/// When it counts as healthy; what is asked is in the container itself.
fn health(container: &Container) -> Option<HealthCheck> {
    let check = container.health.as_ref()?;
    check.test.as_ref().filter(|test| !test.is_empty())?;
    let duration = |nanoseconds: Option<i64>| {
        let nanoseconds = u64::try_from(nanoseconds?).ok().filter(|it| *it != 0)?;
        Some(std::time::Duration::from_nanos(nanoseconds))
    };
    let off = check.test.as_deref() == Some(&["NONE".to_owned()]);
    Some(HealthCheck {
        test: if off { HealthTest::None } else { HealthTest::Inherit },
        interval: duration(check.interval),
        timeout: duration(check.timeout),
        retries: check.retries.and_then(|it| u32::try_from(it).ok()).filter(|it| *it != 0),
        start_period: duration(check.start_period),
        start_interval: None,
    })
}

/// The version that most containers agree on: by our own label, by that of the image, by its tag.
fn version(snapshot: &Snapshot) -> Result<Version> {
    let own = |one: &Container| one.marks.version.clone();
    let tag = |one: &Container| one.image.reference.rsplit_once(':').map(|(_, tag)| tag.to_owned());
    let labelled = |one: &Container| one.marks.image_version.clone();
    let found = most_common(snapshot, &own)
        .or_else(|| most_common(snapshot, &tag))
        .or_else(|| most_common(snapshot, &labelled));
    found.map_or_else(|| Version::parse(UNKNOWN), Ok)
}

fn most_common(
    snapshot: &Snapshot,
    read: &dyn Fn(&Container) -> Option<String>,
) -> Option<Version> {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for text in snapshot.live().filter_map(read) {
        if Version::parse(&text).is_ok() {
            *counts.entry(text).or_default() += 1;
        }
    }
    let (text, _) = counts.into_iter().max_by_key(|(_, count)| *count)?;
    Version::parse(&text).ok()
}

fn json<T: serde::Serialize>(value: &T) -> Result<Value> {
    serde_json::to_value(value).map_err(|source| {
        Error::new(ErrorKind::Unexpected, "describe what runs", "it has no JSON form")
            .without_effect()
            .with_source(source)
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::definition::Definition;

    fn container(service: &str, image: &str, running: bool, code: i64, needs: &str) -> Container {
        let found = json!({
            "Id": service, "Name": format!("/shop-{service}-1"), "Image": "sha256:aa",
            "State": {"Status": "running", "Running": running, "ExitCode": code, "StartedAt": "t"},
            "Config": {
                "Image": image, "Env": ["PASSWORD=hunter2"],
                "Healthcheck": {
                    "Test": ["CMD-SHELL", "redis-cli -a hunter2 ping"],
                    "Interval": 5_000_000_000_i64
                },
                "Labels": {
                    "com.docker.compose.service": service,
                    "com.docker.compose.depends_on": needs
                }
            }
        });
        Container::new(serde_json::from_value(found).unwrap()).unwrap()
    }

    fn adopted() -> Release {
        let all = [
            container(
                "web",
                "shop/web:v1.1.0",
                true,
                0,
                "job:service_completed_successfully:false",
            ),
            container("api", "shop/api:v1.1.0", true, 0, ""),
            container("redis", "redis:6.2.1", true, 0, ""),
            container("job", "shop/job:latest", false, 0, ""),
            container("broken", "x", false, 1, ""),
        ];
        let containers = all.into_iter().map(|one| (one.id.clone(), one)).collect();
        release(&ProjectName::new("shop").unwrap(), &Snapshot { containers }).unwrap()
    }

    #[test]
    fn what_is_well_is_described_without_its_secrets() {
        let release = adopted();
        assert_eq!(release.origin, ultrai_deploy_core::release::Origin::Adopted);
        let names: Vec<_> = release.services.keys().map(ServiceName::as_str).collect();
        assert_eq!(names, ["api", "job", "redis", "web"]);
        assert_eq!(release.version.as_str(), "v1.1.0");
        assert!(release.is_intact());
        let text = serde_json::to_string(&release).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        let definition = Definition::read(&release).unwrap();
        assert!(definition.completes(&ServiceName::new("job").unwrap()));
    }

    #[test]
    fn the_same_containers_are_the_same_release() {
        assert_eq!(adopted().id, adopted().id);
    }
}
