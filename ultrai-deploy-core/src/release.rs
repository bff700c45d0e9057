//! A sealed release: immutable, addressed by its content.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    digest,
    error::{Error, ErrorKind, Result},
    flag::FlagState,
    migration::Migration,
    name::{ProjectName, ReleaseId, SecretName, ServiceName},
    secret::Fingerprint,
    spec::ReleaseSpec,
    verification::Verification,
    version::Version,
};

/// An image that is known exactly.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// The reference it was asked for by.
    pub reference: String,
    /// The id in the engine (`sha256:…`), or what the platform addresses it by.
    pub id: String,
    /// The registry digest, where it was pushed or pulled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// Where a release came from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Origin {
    /// Sealed by a run of this pipeline.
    #[default]
    Sealed,
    /// Found running and taken over; nobody has proven it.
    Adopted,
}

/// One service of a sealed release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReleaseService {
    /// The exact image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<Image>,
    /// The definition in the backend's own form, without secret values.
    #[serde(default)]
    pub config: Value,
    /// Mounted files: name → digest of their content in the release store.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub files: BTreeMap<String, String>,
    /// Services that must be there before this one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub depends_on: Vec<ServiceName>,
    /// Fingerprints of the secrets that it uses.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<SecretName, Fingerprint>,
    /// Digest of everything above: equal means "needs no replacement".
    pub spec_hash: String,
}

/// A sealed release.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Release {
    /// Its id: a digest of all that follows, but for where it came from.
    pub id: ReleaseId,
    /// The application.
    pub project: ProjectName,
    /// The version.
    pub version: Version,
    /// Sealed here, or found running.
    #[serde(default)]
    pub origin: Origin,
    /// The services.
    pub services: BTreeMap<ServiceName, ReleaseService>,
    /// What services share, in the backend's own form.
    #[serde(default)]
    pub resources: Value,
    /// The checks and tests that prove it.
    #[serde(default)]
    pub verification: Verification,
    /// Fingerprints of the secrets that only its checks use: with other ones it is another release,
    /// so that each keeps its own.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub check_secrets: BTreeMap<SecretName, Fingerprint>,
    /// What runs once in each environment before it, in its order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub migrations: Vec<Migration>,
    /// The feature flags that it declares, and what the environment's configuration said of each.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub flags: BTreeMap<String, FlagState>,
    /// Where it was described, in the backend's own form: the same content described in another
    /// directory is the same release. No part of the id.
    #[serde(default, skip_serializing_if = "Value::is_null")]
    pub provenance: Value,
    /// The files that it was described by (compose file, deploy.toml): name → digest of their
    /// content in the release store. Kept for people; no part of the id.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sources: BTreeMap<String, String>,
}

/// What sealing adds to a spec.
#[derive(Clone, Debug, Default)]
pub struct Seal {
    /// The resolved image of every service that has one.
    pub images: BTreeMap<ServiceName, Image>,
    /// The digests of every service's files.
    pub files: BTreeMap<ServiceName, BTreeMap<String, String>>,
    /// Fingerprints of all secrets.
    pub secrets: BTreeMap<SecretName, Fingerprint>,
    /// The digests of the files that describe the deployment.
    pub sources: BTreeMap<String, String>,
}

impl Release {
    /// Seals a spec.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when `seal` lacks the image, a file or a secret of a service.
    pub fn seal(spec: &ReleaseSpec, seal: &Seal) -> Result<Self> {
        let mut services = BTreeMap::new();
        for (name, service) in &spec.services {
            let image = match &service.image {
                None => None,
                Some(wanted) => Some(seal.images.get(name).cloned().ok_or_else(|| {
                    unsealed(format!("image {} of {name} was not resolved", wanted.reference))
                })?),
            };
            let files = seal.files.get(name).cloned().unwrap_or_default();
            if let Some(file) = service.files.keys().find(|file| !files.contains_key(*file)) {
                return Err(unsealed(format!("file {file} of {name} was not stored")));
            }
            let mut secrets = BTreeMap::new();
            for secret in &service.secrets {
                let print = seal
                    .secrets
                    .get(secret)
                    .ok_or_else(|| unsealed(format!("secret {secret} of {name} has no value")))?;
                secrets.insert(secret.clone(), print.clone());
            }
            services.insert(
                name.clone(),
                ReleaseService::new(image, service.config.clone())
                    .with_files(files)
                    .with_depends_on(service.depends_on.clone())
                    .with_secrets(secrets),
            );
        }
        let mut release = Self::new(spec.project.clone(), spec.version.clone(), services)?;
        release.resources = spec.resources.clone();
        release.verification = spec.verification.clone();
        release.check_secrets = seal.secrets.clone();
        release.check_secrets.retain(|name, _| {
            !release.services.values().any(|service| service.secrets.contains_key(name))
        });
        release.migrations.clone_from(&spec.migrations);
        release.flags.clone_from(&spec.flags);
        release.provenance = spec.provenance.clone();
        release.sources = seal.sources.clone();
        release.id = release.content_id()?;
        Ok(release)
    }

    /// A release made from services, for backends that find one running.
    ///
    /// # Errors
    /// None in practice: an id made of hex digits is a name.
    pub fn new(
        project: ProjectName,
        version: Version,
        services: BTreeMap<ServiceName, ReleaseService>,
    ) -> Result<Self> {
        let mut release = Self {
            id: ReleaseId::new("0")?,
            project,
            version,
            origin: Origin::Sealed,
            services,
            resources: Value::Null,
            verification: Verification::default(),
            check_secrets: BTreeMap::new(),
            migrations: Vec::new(),
            flags: BTreeMap::new(),
            provenance: Value::Null,
            sources: BTreeMap::new(),
        };
        release.id = release.content_id()?;
        Ok(release)
    }

    /// Marks it as found running rather than sealed.
    ///
    /// # Errors
    /// As [`Release::new`].
    pub fn adopted(mut self) -> Result<Self> {
        self.origin = Origin::Adopted;
        self.id = self.content_id()?;
        Ok(self)
    }

    /// The names of all secrets that it uses.
    pub fn secret_names(&self) -> BTreeSet<&SecretName> {
        let of_services = self.services.values().flat_map(|service| service.secrets.keys());
        of_services.chain(self.check_secrets.keys()).collect()
    }

    /// The secrets that have another value than in `former`, of those that both use.
    pub(crate) fn secrets_changed_since(&self, former: &Self) -> Vec<SecretName> {
        let (is, was) = (self.fingerprints(), former.fingerprints());
        let differs = |name: &&&SecretName| was.get(*name).is_some_and(|was| *was != is[*name]);
        is.keys().filter(differs).copied().cloned().collect()
    }

    fn fingerprints(&self) -> BTreeMap<&SecretName, &Fingerprint> {
        let of_services = self.services.values().flat_map(|service| &service.secrets);
        of_services.chain(&self.check_secrets).collect()
    }

    /// Whether the id is that of the content: false for a file that was changed by hand.
    pub fn is_intact(&self) -> bool {
        self.content_id().is_ok_and(|id| id == self.id)
            && self.services.values().all(|service| service.spec_hash == service.content_hash())
    }

    /// The same release with the images of `services` as `other` has them.
    ///
    /// # Errors
    /// As [`Release::new`].
    pub(crate) fn with_images_of(
        mut self,
        other: &Self,
        services: &BTreeSet<ServiceName>,
    ) -> Result<Self> {
        for name in services {
            if let (Some(own), Some(other)) =
                (self.services.get_mut(name), other.services.get(name))
            {
                own.image.clone_from(&other.image);
                own.spec_hash = own.content_hash();
            }
        }
        self.id = self.content_id()?;
        Ok(self)
    }

    /// Services in dependency order: each after those it depends on; by name where free.
    pub fn in_dependency_order(&self) -> Vec<&ServiceName> {
        let mut order: Vec<&ServiceName> = Vec::with_capacity(self.services.len());
        while order.len() < self.services.len() {
            let before = order.len();
            for (name, service) in &self.services {
                let ready = service
                    .depends_on
                    .iter()
                    .all(|needed| order.contains(&needed) || !self.services.contains_key(needed));
                if ready && !order.contains(&name) {
                    order.push(name);
                }
            }
            if order.len() == before {
                // A cycle, which loaders refuse: what is left goes by name rather than for ever.
                let left: Vec<_> =
                    self.services.keys().filter(|name| !order.contains(name)).collect();
                order.extend(left);
            }
        }
        order
    }

    fn content_id(&self) -> Result<ReleaseId> {
        let mut value = digest::json(self);
        if let Some(map) = value.as_object_mut() {
            map.remove("id");
            map.remove("provenance");
            map.remove("sources");
        }
        let digest = digest::of_json(&value);
        ReleaseId::new(&digest[..16])
    }
}

impl ReleaseService {
    /// A service with its exact image and definition.
    pub fn new(image: Option<Image>, config: Value) -> Self {
        let mut service = Self {
            image,
            config,
            files: BTreeMap::new(),
            depends_on: Vec::new(),
            secrets: BTreeMap::new(),
            spec_hash: String::new(),
        };
        service.spec_hash = service.content_hash();
        service
    }

    /// Sets the mounted files.
    pub fn with_files(mut self, files: BTreeMap<String, String>) -> Self {
        self.files = files;
        self.spec_hash = self.content_hash();
        self
    }

    /// Sets what must be there before.
    pub fn with_depends_on(mut self, depends_on: Vec<ServiceName>) -> Self {
        self.depends_on = depends_on;
        self.spec_hash = self.content_hash();
        self
    }

    /// Sets the fingerprints of its secrets.
    pub fn with_secrets(mut self, secrets: BTreeMap<SecretName, Fingerprint>) -> Self {
        self.secrets = secrets;
        self.spec_hash = self.content_hash();
        self
    }

    /// Digest of what runs: the image's id, not its tag; not the order of starting.
    fn content_hash(&self) -> String {
        digest::of_json(&serde_json::json!({
            "image": self.image.as_ref().map(|image| &image.id),
            "config": self.config,
            "files": self.files,
            "secrets": self.secrets,
        }))
    }
}

fn unsealed(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "seal the release", message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::{ImageSpec, PullPolicy, ServiceSpec};

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    fn spec() -> ReleaseSpec {
        let image = ImageSpec {
            reference: "web:1".into(),
            build: None,
            pull: PullPolicy::Missing,
            ..ImageSpec::default()
        };
        ReleaseSpec::new(ProjectName::new("p").unwrap(), Version::parse("1.0.0").unwrap())
            .with_service(
                name("web"),
                ServiceSpec {
                    image: Some(image),
                    config: serde_json::json!({"port": 80}),
                    depends_on: vec![name("db")],
                    ..ServiceSpec::default()
                },
            )
            .with_service(name("db"), ServiceSpec::default())
    }

    fn seal(id: &str) -> Seal {
        let image = Image { reference: "web:1".into(), id: id.into(), digest: None };
        Seal { images: BTreeMap::from([(name("web"), image)]), ..Seal::default() }
    }

    #[test]
    fn the_id_follows_the_content() {
        let a = Release::seal(&spec(), &seal("sha256:a")).unwrap();
        let b = Release::seal(&spec(), &seal("sha256:b")).unwrap();
        assert_eq!(a, Release::seal(&spec(), &seal("sha256:a")).unwrap());
        assert_ne!(a.id, b.id);
        assert_ne!(a.services[&name("web")].spec_hash, b.services[&name("web")].spec_hash);
        assert_eq!(a.services[&name("db")].spec_hash, b.services[&name("db")].spec_hash);
        assert!(a.is_intact());
    }

    #[test]
    fn the_id_is_the_same_wherever_it_was_described() {
        let mut elsewhere = spec();
        elsewhere.provenance = serde_json::json!({"working_dir": "/builds/2"});
        let sources = BTreeMap::from([("compose.yaml".to_owned(), "d1".to_owned())]);
        let there = Seal { sources, ..seal("sha256:a") };
        let a = Release::seal(&spec(), &seal("sha256:a")).unwrap();
        let b = Release::seal(&elsewhere, &there).unwrap();
        assert_eq!(a.id, b.id);
        assert_eq!(b.provenance, elsewhere.provenance);
        assert!(b.is_intact());
        // As it was stored before there were these.
        let stored = serde_json::to_string(&a).unwrap();
        assert!(!["provenance", "migrations", "flags"].iter().any(|name| stored.contains(name)));
    }

    #[test]
    fn a_changed_file_is_noticed() {
        let mut release = Release::seal(&spec(), &seal("sha256:a")).unwrap();
        release.services.get_mut(&name("web")).unwrap().config = serde_json::json!({"port": 81});
        assert!(!release.is_intact());
    }

    #[test]
    fn dependencies_come_first() {
        let release = Release::seal(&spec(), &seal("sha256:a")).unwrap();
        assert_eq!(release.in_dependency_order(), [&name("db"), &name("web")]);
    }

    #[test]
    fn an_unresolved_image_is_refused() {
        let error = Release::seal(&spec(), &Seal::default()).unwrap_err();
        assert!(error.to_string().contains("image web:1 of web"), "{error}");
    }
}
