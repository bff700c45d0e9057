//! A service of a hosted platform in its stored form: `ReleaseService::config`.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::{SecretName, ServiceName},
    release::{Release, ReleaseService},
    secret::{Secret, Secrets},
    spec::ServiceSpec,
};

use crate::{
    kept::Kind,
    platform::{Artifact, Change, Login, Platform, Setting, Wanted},
};

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
    /// Files whose contents are secrets, by the names of these.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_files: BTreeMap<String, SecretName>,
    /// Settings of the slot; those that are not named stay as they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<Setting, String>,
    /// Whether a page is shown instead of the service while it is deployed, for a migration that no
    /// request may see.
    #[serde(skip_serializing_if = "is_not")]
    pub maintenance: bool,
    /// What the image is pulled with, where the slot does not know it already.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_not(is: &bool) -> bool {
    !*is
}

/// What an image is pulled with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Registry {
    /// The user.
    pub username: String,
    /// The secret that is the password.
    pub password: SecretName,
}

/// The name of the archive among the files of a service that is built from its source, a tar.gz.
pub const SOURCE: &str = "source.tar.gz";

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

    /// The names of all its variables, or of all its files.
    pub(crate) fn names(&self, kind: Kind) -> Box<dyn Iterator<Item = &String> + Send + '_> {
        match kind {
            Kind::Variable => Box::new(self.variables.keys().chain(self.secret_variables.keys())),
            Kind::File => Box::new(self.secret_files.keys()),
        }
    }

    /// What has to change so that a slot that has the variables or files `now` has these, and none
    /// of `formers` that are not among them.
    pub(crate) fn change(
        &self,
        kind: Kind,
        now: &BTreeMap<String, Secret>,
        formers: &[Self],
        secrets: &Secrets,
    ) -> Result<Change> {
        let former = formers.iter().flat_map(|former| former.names(kind));
        if let Kind::File = kind {
            let wanted = self.secret_files.iter().map(|(name, of)| Ok((name, value(secrets, of)?)));
            return difference(now, wanted, former);
        }
        let plain =
            self.variables.iter().map(|(name, value)| Ok((name, Secret::new(value.as_str()))));
        let secret = self.secret_variables.iter().map(|(name, of)| Ok((name, value(secrets, of)?)));
        difference(now, plain.chain(secret), former)
    }

    /// What the image is pulled with.
    pub(crate) fn login(&self, secrets: &Secrets) -> Result<Option<Login>> {
        let login = self.registry.as_ref().map(|registry| {
            let password = value(secrets, &registry.password)?;
            Ok(Login { username: registry.username.clone(), password })
        });
        login.transpose()
    }
}

fn value(secrets: &Secrets, name: &SecretName) -> Result<Secret> {
    secrets.get(name).cloned().ok_or_else(|| {
        let message = format!("secret {name} has no value in the release");
        Error::new(ErrorKind::Corrupt, "set variables", message).without_effect()
    })
}

fn difference<'a>(
    now: &BTreeMap<String, Secret>,
    wanted: impl Iterator<Item = Result<(&'a String, Secret)>>,
    former: impl Iterator<Item = &'a String>,
) -> Result<Change> {
    let mut change = Change::default();
    let mut own = BTreeSet::new();
    for pair in wanted {
        let (name, value) = pair?;
        own.insert(name);
        if now.get(name).map(Secret::expose) != Some(value.expose()) {
            change.set.insert(name.clone(), value);
        }
    }
    let gone = former.filter(|name| !own.contains(name) && now.contains_key(*name));
    change.remove.extend(gone.cloned());
    Ok(change)
}

/// What a service of a release runs.
pub(crate) fn artifact(name: &ServiceName, service: &ReleaseService) -> Result<Artifact> {
    let definition = Definition::read(name, &service.config)?;
    match (&service.image, definition.commit, service.files.get(SOURCE)) {
        (Some(image), None, None) => {
            Ok(Artifact::Image { reference: image.reference.clone(), digest: image.digest.clone() })
        }
        (None, Some(commit), None) => Ok(Artifact::Commit(commit)),
        (None, None, Some(digest)) => Ok(Artifact::Source(digest.clone())),
        _ => Err(not_one(name)),
    }
}

/// Fails for a spec that a hosted platform cannot be asked for.
pub(crate) fn check(
    platform: &dyn Platform,
    name: &ServiceName,
    service: &ServiceSpec,
) -> Result<Definition> {
    let definition = Definition::read(name, &service.config)?;
    let is_upload = service.files.contains_key(SOURCE);
    let sources = [service.image.is_some(), definition.commit.is_some(), is_upload];
    if sources.into_iter().filter(|is_given| *is_given).count() != 1 {
        return Err(not_one(name));
    }
    if definition.registry.is_some() && service.image.is_none() {
        let message = format!("{name} has a registry's login and no image");
        return Err(Error::new(ErrorKind::Invalid, "read a service", message)
            .with_advice("leave the login out, or name the image")
            .without_effect());
    }
    let clash =
        definition.variables.keys().find(|name| definition.secret_variables.contains_key(*name));
    if let Some(clash) = clash {
        let message = format!("variable {clash} of {name} is both a secret and none");
        return Err(Error::new(ErrorKind::Invalid, "read a service", message)
            .with_advice("leave it out of one of the two")
            .without_effect());
    }
    platform.check(name, &Wanted::new(is_upload, &definition))?;
    Ok(definition)
}

pub(crate) fn of<'a>(release: &'a Release, name: &ServiceName) -> Result<&'a ReleaseService> {
    release.services.get(name).ok_or_else(|| {
        let message = format!("release {} has no service {name}", release.id);
        Error::new(ErrorKind::Invalid, "find a service", message).without_effect()
    })
}

fn not_one(name: &ServiceName) -> Error {
    let message = format!("{name} needs exactly one of an image, a commit and a source");
    Error::new(ErrorKind::Invalid, "read a service", message)
        .with_advice(
            "name the image to deploy, the commit of the connected repository, or what to upload",
        )
        .without_effect()
}
