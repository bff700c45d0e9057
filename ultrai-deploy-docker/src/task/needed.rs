//! Which dependencies a test lacks. Pure.

use ultrai_deploy_core::name::ServiceName;

use crate::{compose::model::Condition, definition::Definition, snapshot::Snapshot};

/// The services to create for a test, each after those that it depends on.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Needed {
    pub(super) create: Vec<ServiceName>,
    /// Those that should have completed and are not run, since the project's own data is in use.
    pub(super) skipped: Vec<ServiceName>,
}

impl Needed {
    /// What `service` needs, directly or not, that does not run now. What only something that runs
    /// needs is not looked at, nor what need not be there (`required: false`).
    pub(super) fn new(definition: &Definition<'_>, service: &ServiceName, now: &Snapshot) -> Self {
        let mut needed = Self::default();
        let mut wanted = vec![service];
        let mut seen = vec![service];
        let mut missing = Vec::new();
        while let Some(of) = wanted.pop() {
            for (name, dependency) in definition.depends_on(of) {
                if seen.contains(&name) || !dependency.required || runs(now, name) {
                    continue;
                }
                seen.push(name);
                if dependency.condition == Condition::Completed && is_in_use(now) {
                    needed.skipped.push(name.clone());
                    continue;
                }
                missing.push(name);
                wanted.push(name);
            }
        }
        let order = definition.release.in_dependency_order();
        needed.create = order.into_iter().filter(|name| missing.contains(name)).cloned().collect();
        needed.skipped.sort();
        needed
    }
}

fn runs(now: &Snapshot, service: &ServiceName) -> bool {
    now.live().any(|one| one.service == *service && one.state.is_up())
}

fn is_in_use(now: &Snapshot) -> bool {
    now.live().any(|one| one.state.is_up())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;
    use ultrai_deploy_core::{
        name::ProjectName,
        release::{Release, ReleaseService},
        version::Version,
    };

    use super::*;
    use crate::snapshot::Container;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn names(texts: &[&str]) -> Vec<ServiceName> {
        texts.iter().copied().map(name).collect()
    }

    /// web → api → db, api → migrate (completed) → db, api → cache (not required).
    fn release() -> Release {
        let edges: &[(&str, &[&str])] = &[
            ("web", &["api"]),
            ("api", &["db", "migrate", "cache"]),
            ("migrate", &["db"]),
            ("db", &[]),
            ("cache", &[]),
        ];
        let services: BTreeMap<_, _> = edges
            .iter()
            .map(|(of, needed)| {
                (name(of), ReleaseService::new(None, json!({})).with_depends_on(names(needed)))
            })
            .collect();
        let mut release = Release::new(
            ProjectName::new("p").unwrap(),
            Version::parse("1.0.0").unwrap(),
            services,
        )
        .unwrap();
        let on = |condition: &str, required| json!({"condition": condition, "required": required});
        release.resources = json!({"services": {
            "web": {"depends_on": {"api": on("service_healthy", true)}},
            "api": {"depends_on": {
                "db": on("service_healthy", true),
                "migrate": on("service_completed_successfully", true),
                "cache": on("service_started", false),
            }},
            "migrate": {"depends_on": {"db": on("service_healthy", true)}},
        }});
        release
    }

    fn needed(of: &str, running: &[&str]) -> Needed {
        let release = release();
        let definition = Definition::read(&release).unwrap();
        let containers = running.iter().map(|service| {
            let found = json!({
                "Id": service, "Name": format!("/p-{service}-1"),
                "State": {"Status": "running", "Running": true, "StartedAt": "t"},
                "Config": {"Labels": {"com.docker.compose.service": service}},
            });
            let one = Container::new(serde_json::from_value(found).unwrap()).unwrap();
            (one.id.clone(), one)
        });
        Needed::new(&definition, &name(of), &Snapshot { containers: containers.collect() })
    }

    #[test]
    fn all_that_is_missing_in_order() {
        let all = Needed { create: names(&["db", "migrate", "api"]), skipped: vec![] };
        assert_eq!(needed("web", &[]), all);
        assert_eq!(needed("db", &[]), Needed::default());
    }

    #[test]
    fn what_runs_is_used() {
        assert_eq!(needed("web", &["api"]), Needed::default());
    }

    #[test]
    fn nothing_is_migrated_while_something_runs() {
        let beside = Needed { create: names(&["api"]), skipped: names(&["migrate"]) };
        assert_eq!(needed("web", &["db"]), beside);
    }
}
