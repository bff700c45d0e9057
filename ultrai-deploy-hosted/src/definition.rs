//! A service of a hosted platform in its stored form: `ReleaseService::config`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::{SecretName, ServiceName},
    release::{Release, ReleaseService},
    secret::{Secret, Secrets},
    spec::ServiceSpec,
};

use crate::platform::{Artifact, Change};

/// What a slot shall run, and with which variables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Definition {
    /// The slot's name or id on the platform; the service's own name when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub slot: Option<String>,
    /// The commit that is deployed, for a slot without an image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// Variables, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
    /// Variables whose values are secrets, by the names of these.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_variables: BTreeMap<String, SecretName>,
}

impl Definition {
    /// Reads the definition of `service`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it has another form.
    pub fn read(service: &ServiceName, config: &Value) -> Result<Self> {
        if config.is_null() {
            return Ok(Self::default());
        }
        Self::deserialize(config).map_err(|source| {
            let message = format!("the definition of {service} is not that of a hosted service");
            Error::new(ErrorKind::Invalid, "read a service", message)
                .without_effect()
                .with_source(source)
        })
    }

    /// The slot's name.
    pub fn slot<'a>(&'a self, service: &'a ServiceName) -> &'a str {
        self.slot.as_deref().unwrap_or(service.as_str())
    }

    /// The names of all its variables.
    pub(crate) fn names(&self) -> impl Iterator<Item = &String> {
        self.variables.keys().chain(self.secret_variables.keys())
    }

    /// What has to change so that a slot that has `now` has these variables, and none of `former`
    /// that are not among them.
    pub(crate) fn change(
        &self,
        now: &BTreeMap<String, Secret>,
        former: Option<&Self>,
        secrets: &Secrets,
    ) -> Result<Change> {
        let plain =
            self.variables.iter().map(|(name, value)| Ok((name, Secret::new(value.as_str()))));
        let secret = self.secret_variables.iter().map(|(name, secret)| {
            let value = secrets.get(secret).ok_or_else(|| {
                let message = format!("secret {secret} has no value in the release");
                Error::new(ErrorKind::Corrupt, "set variables", message).without_effect()
            })?;
            Ok((name, value.clone()))
        });
        let mut change = Change::default();
        for pair in plain.chain(secret) {
            let (name, value) = pair?;
            if now.get(name).map(Secret::expose) != Some(value.expose()) {
                change.set.insert(name.clone(), value);
            }
        }
        let own: Vec<_> = self.names().collect();
        let former = former.into_iter().flat_map(Self::names);
        let gone = former.filter(|name| !own.contains(name) && now.contains_key(*name));
        change.remove.extend(gone.cloned());
        Ok(change)
    }
}

/// What a service of a release runs.
pub(crate) fn artifact(name: &ServiceName, service: &ReleaseService) -> Result<Artifact> {
    let definition = Definition::read(name, &service.config)?;
    match (&service.image, definition.commit) {
        (Some(image), None) => {
            Ok(Artifact::Image { reference: image.reference.clone(), digest: image.digest.clone() })
        }
        (None, Some(commit)) => Ok(Artifact::Commit(commit)),
        _ => Err(neither(name)),
    }
}

/// Fails for a spec that a hosted platform cannot be asked for.
pub(crate) fn check(name: &ServiceName, service: &ServiceSpec) -> Result<Definition> {
    let definition = Definition::read(name, &service.config)?;
    if service.image.is_some() == definition.commit.is_some() {
        return Err(neither(name));
    }
    let clash =
        definition.variables.keys().find(|name| definition.secret_variables.contains_key(*name));
    if let Some(clash) = clash {
        let message = format!("variable {clash} of {name} is both a secret and none");
        return Err(Error::new(ErrorKind::Invalid, "read a service", message)
            .with_advice("leave it out of one of the two")
            .without_effect());
    }
    Ok(definition)
}

pub(crate) fn of<'a>(release: &'a Release, name: &ServiceName) -> Result<&'a ReleaseService> {
    release.services.get(name).ok_or_else(|| {
        let message = format!("release {} has no service {name}", release.id);
        Error::new(ErrorKind::Invalid, "find a service", message).without_effect()
    })
}

fn neither(name: &ServiceName) -> Error {
    let message = format!("{name} needs either an image or a commit");
    Error::new(ErrorKind::Invalid, "read a service", message)
        .with_advice("name the image to deploy, or the commit of the connected repository")
        .without_effect()
}
