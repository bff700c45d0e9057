//! Checks that look into a service's containers: a command that is run there, and what the engine
//! says of the container itself.
//!
//! A release carries them in their stored form:
//!
//! ```json
//! {"exec": {"command": ["redis-cli", "ping"], "output_matches": "^PONG$"}}
//! {"container": {"max_restarts": 2, "within": "10m"}}
//! ```

mod container;
mod exec;

use std::sync::Arc;

use serde::{Serialize, de::DeserializeOwned};
use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    health::HealthProbe,
    name::SecretName,
    verification::{CheckSpec, ProbeSource},
};

pub use self::{container::ContainerSpec, exec::ExecSpec};
use crate::{backend::Backend, deployer::Deployer};

/// Makes checks of a service's containers, and has all others made by another source.
#[derive(Clone, Debug)]
pub struct Probes {
    backend: Backend,
    others: Arc<dyn ProbeSource>,
}

impl Probes {
    /// Probes of the containers that `deployer` brings, and those of `others`.
    pub fn new(deployer: &Deployer, others: Arc<dyn ProbeSource>) -> Self {
        Self { backend: deployer.backend().clone(), others }
    }
}

/// Refuses a check of containers that cannot be understood, without an engine; others are fine.
///
/// # Errors
/// [`ErrorKind::Invalid`] when it has a field that is not known or wrong, or names no service.
pub fn validate(check: &CheckSpec) -> Result<()> {
    match Kind::of(check)? {
        Some(Kind::Exec(spec)) => spec.validate(check).map(drop),
        Some(Kind::Container(_)) | None => Ok(()),
    }
}

impl ProbeSource for Probes {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        match Kind::of(check)? {
            Some(Kind::Exec(spec)) => Ok(Arc::new(exec::Probe::new(&self.backend, check, spec)?)),
            Some(Kind::Container(spec)) => Ok(Arc::new(container::Probe::new(&self.backend, spec))),
            None => self.others.probe(check),
        }
    }

    fn secrets(&self, check: &CheckSpec) -> Result<Vec<SecretName>> {
        match Kind::of(check)? {
            // What a command needs is in the container's environment.
            Some(_) => Ok(Vec::new()),
            None => self.others.secrets(check),
        }
    }
}

/// What the probe of a check looks at.
enum Kind {
    Exec(ExecSpec),
    Container(ContainerSpec),
}

impl Kind {
    /// Reads the probe of a check; nothing when it is of another kind.
    fn of(check: &CheckSpec) -> Result<Option<Self>> {
        let kind = match (check.probe.get("exec"), check.probe.get("container")) {
            (Some(stored), None) => Self::Exec(read(check, "exec", stored)?),
            (None, Some(stored)) => Self::Container(read(check, "container", stored)?),
            (None, None) => return Ok(None),
            (Some(_), Some(_)) => return Err(two_kinds(check)),
        };
        if check.probe.as_object().is_some_and(|probe| probe.len() > 1) {
            return Err(two_kinds(check));
        }
        if check.service.is_none() {
            return Err(wrong(check, "looks into containers and names no service")
                .with_advice("name the service"));
        }
        Ok(Some(kind))
    }
}

fn read<T: DeserializeOwned + Serialize>(
    check: &CheckSpec,
    key: &str,
    stored: &serde_json::Value,
) -> Result<T> {
    serde_path_to_error::deserialize(stored)
        .map_err(|source| wrong(check, &format!("is no {key} probe")).with_source(source))
}

fn two_kinds(check: &CheckSpec) -> Error {
    wrong(check, "is of two kinds at once").with_advice("make two checks of it")
}

fn wrong(check: &CheckSpec, why: &str) -> Error {
    let message = format!("the probe of `{}` {why}", check.name);
    Error::new(ErrorKind::Invalid, "read a check", message).without_effect()
}

#[cfg(test)]
mod tests;
