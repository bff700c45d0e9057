//! Labels: those of `docker compose`, so that its commands go on working, and our own, by which
//! everything that a run created is found again.
//!
//! A label never holds a secret.

use std::collections::HashMap;

use ultrai_deploy_core::{context::Key, deployer::Step, name::ReleaseId};

/// The compose project.
pub const PROJECT: &str = "com.docker.compose.project";
/// The key of the service in the compose file.
pub const SERVICE: &str = "com.docker.compose.service";
/// The number of the container among those of its service, from 1.
pub const NUMBER: &str = "com.docker.compose.container-number";
/// `True` for a container of a single command, `False` otherwise.
pub const ONEOFF: &str = "com.docker.compose.oneoff";
/// The hash of the service's configuration as compose makes it.
pub const CONFIG_HASH: &str = "com.docker.compose.config-hash";
/// The id of the image.
pub const IMAGE: &str = "com.docker.compose.image";
/// `service:condition:restart`, separated by commas.
pub const DEPENDS_ON: &str = "com.docker.compose.depends_on";
/// The project's directory.
pub const WORKING_DIR: &str = "com.docker.compose.project.working_dir";
/// The compose files, separated by commas.
pub const CONFIG_FILES: &str = "com.docker.compose.project.config_files";
/// The version of compose whose labels these are.
pub const VERSION: &str = "com.docker.compose.version";
/// The key of a network in the compose file.
pub const NETWORK: &str = "com.docker.compose.network";
/// The key of a volume in the compose file.
pub const VOLUME: &str = "com.docker.compose.volume";
/// The line of compose that the labels follow.
pub const COMPOSE_VERSION: &str = "5.6.1";

/// The environment.
pub const ENVIRONMENT: &str = "dev.ultrai.environment";
/// The release that something was created for.
pub const RELEASE: &str = "dev.ultrai.release";
/// The version of that release, as it was given.
pub const RELEASE_VERSION: &str = "dev.ultrai.version";
/// The run that created it.
pub const RUN: &str = "dev.ultrai.run";
/// The step that created it.
pub const STEP: &str = "dev.ultrai.step";
/// The idempotency key: run/step/attempt.
pub const KEY: &str = "dev.ultrai.key";
/// The digest of what runs: image, definition, files, secrets.
pub const SPEC_HASH: &str = "dev.ultrai.spec-hash";
/// The digest of what a network or volume is.
pub const DEFINITION_HASH: &str = "dev.ultrai.definition-hash";
/// The state that a guard belongs to.
pub const STATE: &str = "dev.ultrai.state";
/// Where that state lies, for people.
pub const STATE_ROOT: &str = "dev.ultrai.state-root";
/// The project that a guard guards.
pub const GUARD: &str = "dev.ultrai.guard";

/// The labels of whatever a step creates.
pub(crate) fn of_run(key: &Key, environment: &str, step: Step) -> Vec<(String, String)> {
    [
        (ENVIRONMENT, environment.to_owned()),
        (RUN, key.run.to_string()),
        (STEP, step.as_str().to_owned()),
        (KEY, key.to_string()),
    ]
    .map(|(label, value)| (label.to_owned(), value))
    .into()
}

/// A filter for one label's value.
pub(crate) fn filter(label: &str, value: &str) -> String {
    format!("{label}={value}")
}

/// The release in a set of labels.
pub(crate) fn release(labels: &HashMap<String, String>) -> Option<ReleaseId> {
    labels.get(RELEASE).and_then(|id| ReleaseId::new(id.as_str()).ok())
}
