//! Variables, whose values are secrets all of them: Railway does not tell which are.

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{MapAccess, Visitor},
    ser::SerializeMap,
};
use ultrai_deploy_core::secret::Secret;

use super::{
    id::{EnvironmentId, ProjectId, ServiceId},
    place::ServiceAt,
};

/// Whose variables they are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct VariablesOf {
    /// The project.
    pub project: ProjectId,
    /// The environment.
    pub environment: EnvironmentId,
    /// The service; the environment's shared variables without one.
    pub service: Option<ServiceId>,
}

impl From<ServiceAt> for VariablesOf {
    fn from(at: ServiceAt) -> Self {
        Self { project: at.project, environment: at.environment, service: Some(at.service) }
    }
}

/// Variables by name, as they were set: `${{Postgres.URL}}` is still a reference.
///
/// A sealed variable has no value: it can be set, and nobody can read it. So what was read must never
/// replace what is there.
#[derive(Clone, Debug, Default)]
pub struct Variables(pub BTreeMap<String, Option<Secret>>);

impl<'de> Deserialize<'de> for Variables {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Names;

        impl<'de> Visitor<'de> for Names {
            type Value = Variables;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("variables by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Variables, A::Error> {
                let mut variables = BTreeMap::new();
                while let Some((name, value)) = map.next_entry::<String, Option<String>>()? {
                    variables.insert(name, value.map(Secret::new));
                }
                Ok(Variables(variables))
            }
        }

        deserializer.deserialize_map(Names)
    }
}

/// A secret on its way to Railway, the one place where values are written out.
pub(crate) struct Exposed<'a>(pub(crate) &'a Secret);

impl Serialize for Exposed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.expose())
    }
}

/// Secrets by name on their way to Railway.
pub(crate) struct ExposedMap<'a>(pub(crate) &'a BTreeMap<String, Secret>);

impl Serialize for ExposedMap<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in self.0 {
            map.serialize_entry(name, &Exposed(value))?;
        }
        map.end()
    }
}

/// What may pull an image from a registry that is not public.
#[derive(Clone, Debug)]
pub struct RegistryCredentials {
    /// The user.
    pub username: String,
    /// Password or token.
    pub password: Secret,
}

/// Whether services that a change concerns are deployed because of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Deploys {
    /// They are not: whoever makes several changes deploys once, after the last.
    #[default]
    Skipped,
    /// They are, at once, each of them.
    Triggered,
}

impl Deploys {
    pub(crate) fn are_skipped(self) -> bool {
        self == Self::Skipped
    }
}
