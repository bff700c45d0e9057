//! From a checked tree to services.

use std::time::Duration;

use ultrai_deploy_yaml::{Kind, Node, Scalar};

use super::service::{Disk, Pushes, Service, Variable};
use crate::model::MaintenanceMode;

/// The services below `node`, which are in `place`.
pub(super) fn services(node: &Node, place: Option<&(String, String)>) -> Vec<Service> {
    let services = list(node, "services").iter();
    services.map(|node| Service { place: place.cloned(), ..service(node) }).collect()
}

/// The entries of a list.
pub(super) fn list<'a>(node: &'a Node, key: &str) -> &'a [Node] {
    match node.get(key).map(|node| &node.kind) {
        Some(Kind::Sequence(items)) => items,
        _ => &[],
    }
}

/// A scalar as it was written.
pub(super) fn text(node: &Node, key: &str) -> Option<String> {
    match &node.get(key)?.kind {
        Kind::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}

fn service(node: &Node) -> Service {
    let image = node.get("image");
    let credential = |image: &Node| text(image.get("creds")?.get("fromRegistryCreds")?, "name");
    Service {
        name: text(node, "name").unwrap_or_default(),
        kind: text(node, "type").unwrap_or_default(),
        runtime: text(node, "runtime"),
        place: None,
        image: image.and_then(|image| text(image, "url")),
        image_credential: image.and_then(credential),
        repo: text(node, "repo"),
        branch: text(node, "branch"),
        plan: text(node, "plan"),
        region: text(node, "region"),
        health_check_path: text(node, "healthCheckPath"),
        pre_deploy_command: text(node, "preDeployCommand"),
        deploys: pushes(node),
        variables: list(node, "envVars").iter().filter_map(variable).collect(),
        disk: node.get("disk").map(|disk| Disk {
            name: text(disk, "name").unwrap_or_default(),
            mount_path: text(disk, "mountPath").unwrap_or_default(),
            size_gb: whole(disk, "sizeGB"),
        }),
        instances: whole(node, "numInstances").and_then(|number| number.try_into().ok()),
        schedule: text(node, "schedule"),
        max_shutdown_delay: whole(node, "maxShutdownDelaySeconds").map(Duration::from_secs),
        maintenance_mode: node.get("maintenanceMode").map(|mode| MaintenanceMode {
            enabled: truth(mode, "enabled").unwrap_or_default(),
            uri: text(mode, "uri").unwrap_or_default(),
        }),
    }
}

/// The newer key wins.
fn pushes(node: &Node) -> Pushes {
    match (text(node, "autoDeployTrigger").as_deref(), truth(node, "autoDeploy")) {
        (Some("off"), _) | (None, Some(false)) => Pushes::None,
        (Some("checksPass"), _) => Pushes::Checked,
        (Some(_), _) | (None, Some(true)) => Pushes::All,
        (None, None) => Pushes::Unsaid,
    }
}

fn variable(node: &Node) -> Option<Variable> {
    if let Some(group) = text(node, "fromGroup") {
        return Some(Variable::FromGroup(group));
    }
    let name = text(node, "key")?;
    if let Some(from) = node.get("fromDatabase") {
        let (database, property) = (text(from, "name")?, text(from, "property")?);
        return Some(Variable::FromDatabase { name, database, property });
    }
    if let Some(from) = node.get("fromService") {
        let what = text(from, "property").or_else(|| text(from, "envVarKey")).unwrap_or_default();
        return Some(Variable::FromService { name, service: text(from, "name")?, what });
    }
    Some(match text(node, "value") {
        Some(value) => Variable::Plain { name, value },
        None if truth(node, "generateValue") == Some(true) => Variable::Generated(name),
        None => Variable::ByHand(name),
    })
}

fn truth(node: &Node, key: &str) -> Option<bool> {
    match node.get(key)?.scalar()? {
        Scalar::Truth(truth) => Some(truth),
        _ => None,
    }
}

fn whole(node: &Node, key: &str) -> Option<u64> {
    match node.get(key)?.scalar()? {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: whole, and 1 or more"
        )]
        Scalar::Number(number) => Some(number as u64),
        _ => None,
    }
}
