//! Blueprints: `render.yaml`, read and checked, never written.
//!
//! What is wrong is found all at once, each with its line and what to write instead. The keys are
//! those of [the schema that Render publishes](https://render.com/schema/render.yaml.json); where
//! this is stricter or laxer, [`Blueprint::read`] says so.

mod forms;
mod reading;
mod service;

use std::{collections::BTreeMap, path::PathBuf};

use ultrai_deploy_yaml::{
    Kind, Node, Position, Problem, Problems,
    form::{self, Findings},
};

pub use self::service::{Disk, Pushes, Service, Start, Variable};

/// A render.yaml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Blueprint {
    /// The services, those of projects included.
    pub services: Vec<Service>,
    /// The names of the databases, those of projects included.
    pub databases: Vec<String>,
    /// What is not wrong and should be known: keys that are out of use, or that do nothing.
    pub warnings: Vec<Problem>,
}

impl Blueprint {
    /// Reads a text. `file` is named in what is wrong with it.
    ///
    /// Stricter than the published schema: two services of one environment may not have the same
    /// name, a key may stand once, and what the schema gives properties without saying that it is
    /// an object has to be one (`envVarGroups`, `registryCredential`). Laxer in one thing: `env` is
    /// taken for `runtime`, its name of today, with a warning.
    ///
    /// # Errors
    /// Everything that is wrong.
    pub fn read(file: impl Into<PathBuf>, text: &str) -> Result<Self, Problems> {
        let mut findings = Findings::new(file);
        let Some(mut tree) = tree(text, &mut findings) else {
            return Err(Problems(findings.problems));
        };
        rename_runtimes(&mut tree, "", &mut findings);
        form::check(&tree, forms::FILE, "", &mut findings);
        check_names(&tree, &mut findings);
        if !findings.problems.is_empty() {
            findings.problems.sort_by_key(|problem| problem.position);
            return Err(Problems(findings.problems));
        }
        let mut blueprint = Self { warnings: findings.warnings, ..Self::default() };
        for (place, node) in places(&tree) {
            blueprint.services.extend(reading::services(node, place.as_ref()));
            let databases = reading::list(node, "databases").iter();
            blueprint.databases.extend(databases.filter_map(|one| reading::text(one, "name")));
        }
        Ok(blueprint)
    }

    /// The service with this name, where there is exactly one.
    pub fn service(&self, name: &str) -> Option<&Service> {
        let mut found = self.services.iter().filter(|service| service.name == name);
        found.next().filter(|_| found.next().is_none())
    }
}

fn tree(text: &str, findings: &mut Findings) -> Option<Node> {
    let mut documents = match ultrai_deploy_yaml::parse(text) {
        Ok(documents) => documents,
        Err(broken) => {
            findings.problem(Some(broken.at), "", broken.message);
            return None;
        }
    };
    match documents.len() {
        1 => documents.pop(),
        0 => {
            let begin = Position { line: 1, column: 1 };
            findings.problem(Some(begin), "", "the file is empty; write `services:`");
            None
        }
        _ => {
            let at = documents.get(1).map(|second| second.at);
            findings.problem(at, "", "there is a second document; only one is read");
            None
        }
    }
}

/// Takes `env` of each service for `runtime`.
fn rename_runtimes(node: &mut Node, path: &str, findings: &mut Findings) {
    let Kind::Mapping(entries) = &mut node.kind else { return };
    for entry in entries {
        let at = if path.is_empty() { entry.key.clone() } else { format!("{path}.{}", entry.key) };
        match (&mut entry.value.kind, entry.key.as_str()) {
            (Kind::Sequence(items), "services") => {
                for (index, service) in items.iter_mut().enumerate() {
                    rename_runtime(service, &format!("{at}[{index}]"), findings);
                }
            }
            (Kind::Sequence(items), "projects" | "environments") => {
                for (index, item) in items.iter_mut().enumerate() {
                    rename_runtimes(item, &format!("{at}[{index}]"), findings);
                }
            }
            (Kind::Mapping(_), "ungrouped") => rename_runtimes(&mut entry.value, &at, findings),
            _ => {}
        }
    }
}

fn rename_runtime(service: &mut Node, path: &str, findings: &mut Findings) {
    if service.get("runtime").is_some() {
        return;
    }
    let Kind::Mapping(entries) = &mut service.kind else { return };
    if let Some(entry) = entries.iter_mut().find(|entry| entry.key == "env") {
        "runtime".clone_into(&mut entry.key);
        let message = "Render calls it `runtime` now: write that";
        findings.warning(Some(entry.at), &format!("{path}.env"), message);
    }
}

/// The tree and the environments in it, with their places.
fn places(tree: &Node) -> Vec<(Option<(String, String)>, &Node)> {
    let mut places = vec![(None, tree)];
    places.extend(tree.get("ungrouped").map(|node| (None, node)));
    for project in reading::list(tree, "projects") {
        let name = reading::text(project, "name").unwrap_or_default();
        for environment in reading::list(project, "environments") {
            let own = reading::text(environment, "name").unwrap_or_default();
            places.push((Some((name.clone(), own)), environment));
        }
    }
    places
}

/// A service is found by its name.
fn check_names(tree: &Node, findings: &mut Findings) {
    let mut seen = BTreeMap::new();
    for (place, node) in places(tree) {
        for service in reading::list(node, "services") {
            let Some(name) = reading::text(service, "name") else { continue };
            let at = service.get("name").map(|name| name.at);
            if let Some(first) = seen.insert((place.clone(), name.clone()), at) {
                let line = first.map_or(0, |first: Position| first.line);
                let message = format!("another service is called `{name}` in line {line}");
                findings.problem(at, "services", message);
            }
        }
    }
}
