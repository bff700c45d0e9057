//! `railway.json` and `railway.toml`, read and never written.
//!
//! Railway reads such a file of existing services until 2026-12-01, and of new services not at all.
//! As long as it does, what stands in the file beats the settings of the service for the deploy of
//! that commit, and is not written back: the service's own `healthcheckPath` may not be what was
//! used.

mod forms;
mod toml;

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use ultrai_deploy_yaml::{
    Broken, Kind, Node, Position, Problem, Problems, Scalar,
    form::{self, Findings},
};

/// What everybody who has such a file should know.
const END: &str = "Railway stops reading this file on 2026-12-01, and does not read it for new \
                   services: put what it says into the settings of the service";

/// A railway.json or railway.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConfigFile {
    /// What holds in every environment that has nothing else.
    pub settings: Settings,
    /// What single environments have instead, by name; `pr` is every one of a pull request.
    pub environments: BTreeMap<String, Settings>,
    /// What is not wrong and should be known, the end of these files first.
    pub warnings: Vec<Problem>,
}

/// What such a file says. What is not set, or null, is as the service has it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Settings {
    /// What builds it: `RAILPACK`, `DOCKERFILE`.
    pub builder: Option<String>,
    /// Which changes call for a deploy.
    pub watch_patterns: Option<Vec<String>>,
    /// What builds it, instead of what was found out.
    pub build_command: Option<String>,
    /// Where its Dockerfile is.
    pub dockerfile_path: Option<String>,
    /// What starts it.
    pub start_command: Option<String>,
    /// The commands before each deploy.
    pub pre_deploy_command: Option<Vec<String>>,
    /// What Railway asks until it answers 200.
    pub healthcheck_path: Option<String>,
    /// How long Railway asks it.
    pub healthcheck_timeout: Option<Duration>,
    /// When it is started again: `ON_FAILURE`, `ALWAYS`, `NEVER`.
    pub restart_policy: Option<String>,
    /// How often it is started again.
    pub restart_retries: Option<u64>,
    /// When it runs, where it does not run always.
    pub cron_schedule: Option<String>,
    /// How many instances it has, in one region.
    pub replicas: Option<u64>,
    /// How many instances it has, by region; nothing for as many as there are.
    pub regions: Option<BTreeMap<String, Option<u64>>>,
    /// How long the old one stays after the new one serves.
    pub overlap: Option<Duration>,
    /// How long the old one may take to end.
    pub draining: Option<Duration>,
    /// Whether it sleeps while nobody asks for it.
    pub sleeps: Option<bool>,
    /// Where its volume has to be mounted.
    pub required_mount_path: Option<String>,
}

impl ConfigFile {
    /// Reads a text: TOML for a `file` that ends with `.toml`, JSON otherwise. `file` is named in
    /// what is wrong with it.
    ///
    /// Keys and words that are not known are warnings: Railway may know them.
    ///
    /// # Errors
    /// Everything that is wrong: what is no JSON or TOML, and values of another type.
    pub fn read(file: impl Into<PathBuf>, text: &str) -> Result<Self, Problems> {
        let mut findings = Findings::new(file);
        findings.warning(None, "", END);
        let is_toml = findings.file.extension().is_some_and(|extension| extension == "toml");
        let tree = match if is_toml { toml::parse(text) } else { json(text) } {
            Ok(tree) => tree,
            Err(broken) => {
                findings.problem(Some(broken.at), "", broken.message);
                return Err(Problems(findings.problems));
            }
        };
        form::check(&tree, forms::FILE, "", &mut findings);
        if !findings.problems.is_empty() {
            findings.problems.sort_by_key(|problem| problem.position);
            return Err(Problems(findings.problems));
        }
        let environments = match tree.get("environments").map(|node| &node.kind) {
            Some(Kind::Mapping(entries)) => entries.as_slice(),
            _ => &[],
        };
        let environments =
            environments.iter().map(|entry| (entry.key.clone(), Settings::of(&entry.value)));
        Ok(Self {
            settings: Settings::of(&tree),
            environments: environments.collect(),
            warnings: findings.warnings,
        })
    }

    /// What it says for an environment: what that has of its own, and what holds for all otherwise.
    pub fn in_environment(&self, name: &str) -> Settings {
        let own = self.environments.get(name).cloned().unwrap_or_default();
        own.over(self.settings.clone())
    }
}

impl Settings {
    /// What `node` says below `build` and `deploy`.
    fn of(node: &Node) -> Self {
        let build = |key| set(node, "build", key);
        let deploy = |key| set(node, "deploy", key);
        let seconds = |node| whole(node).map(Duration::from_secs);
        Self {
            builder: build("builder").and_then(text),
            watch_patterns: build("watchPatterns").map(texts),
            build_command: build("buildCommand").and_then(text),
            dockerfile_path: build("dockerfilePath").and_then(text),
            start_command: deploy("startCommand").and_then(text),
            pre_deploy_command: deploy("preDeployCommand").map(texts),
            healthcheck_path: deploy("healthcheckPath").and_then(text),
            healthcheck_timeout: deploy("healthcheckTimeout").and_then(seconds),
            restart_policy: deploy("restartPolicyType").and_then(text),
            restart_retries: deploy("restartPolicyMaxRetries").and_then(whole),
            cron_schedule: deploy("cronSchedule").and_then(text),
            replicas: deploy("numReplicas").and_then(whole),
            regions: deploy("multiRegionConfig").map(|node| match &node.kind {
                Kind::Mapping(regions) => {
                    let count = |node: &Node| node.get("numReplicas").and_then(whole);
                    regions.iter().map(|one| (one.key.clone(), count(&one.value))).collect()
                }
                _ => BTreeMap::new(),
            }),
            overlap: deploy("overlapSeconds").and_then(seconds),
            draining: deploy("drainingSeconds").and_then(seconds),
            sleeps: deploy("sleepApplication")
                .map(|node| node.scalar() == Some(Scalar::Truth(true))),
            required_mount_path: deploy("requiredMountPath").and_then(text),
        }
    }

    /// These, and `base` where these say nothing.
    fn over(self, base: Self) -> Self {
        Self {
            builder: self.builder.or(base.builder),
            watch_patterns: self.watch_patterns.or(base.watch_patterns),
            build_command: self.build_command.or(base.build_command),
            dockerfile_path: self.dockerfile_path.or(base.dockerfile_path),
            start_command: self.start_command.or(base.start_command),
            pre_deploy_command: self.pre_deploy_command.or(base.pre_deploy_command),
            healthcheck_path: self.healthcheck_path.or(base.healthcheck_path),
            healthcheck_timeout: self.healthcheck_timeout.or(base.healthcheck_timeout),
            restart_policy: self.restart_policy.or(base.restart_policy),
            restart_retries: self.restart_retries.or(base.restart_retries),
            cron_schedule: self.cron_schedule.or(base.cron_schedule),
            replicas: self.replicas.or(base.replicas),
            regions: self.regions.or(base.regions),
            overlap: self.overlap.or(base.overlap),
            draining: self.draining.or(base.draining),
            sleeps: self.sleeps.or(base.sleeps),
            required_mount_path: self.required_mount_path.or(base.required_mount_path),
        }
    }
}

/// JSON is YAML but for tabs, and there are none in its texts.
fn json(text: &str) -> Result<Node, Broken> {
    let mut documents = ultrai_deploy_yaml::parse(&text.replace('\t', " ")).map_err(|broken| {
        let message = broken.message.replace("not YAML", "not JSON");
        Broken { message, ..broken }
    })?;
    let at = Position { line: 1, column: 1 };
    let message = "this is not one JSON object".to_owned();
    match documents.pop() {
        Some(only) if documents.is_empty() => Ok(only),
        _ => Err(Broken { at, message }),
    }
}

/// A value that is there and not null.
fn set<'a>(node: &'a Node, part: &str, key: &str) -> Option<&'a Node> {
    node.get(part)?.get(key).filter(|node| !node.is_null())
}

fn text(node: &Node) -> Option<String> {
    match &node.kind {
        Kind::Scalar { text, .. } => Some(text.clone()),
        _ => None,
    }
}

/// One text or several.
fn texts(node: &Node) -> Vec<String> {
    match &node.kind {
        Kind::Sequence(items) => items.iter().filter_map(text).collect(),
        _ => text(node).into_iter().collect(),
    }
}

/// A number, also one in quotes.
fn whole(node: &Node) -> Option<u64> {
    match node.scalar()? {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked: whole, and 0 or more"
        )]
        Scalar::Number(number) => Some(number as u64),
        Scalar::Text(text) => text.parse().ok(),
        _ => None,
    }
}
