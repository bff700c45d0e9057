//! Secrets from a map.

use std::collections::BTreeMap;

use async_trait::async_trait;

use crate::{
    error::Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};

/// Has the secrets that it was made with.
#[derive(Clone, Debug, Default)]
pub struct Secrets(BTreeMap<SecretName, Secret>);

impl Secrets {
    /// A source of these values.
    pub fn new(values: BTreeMap<SecretName, Secret>) -> Self {
        Self(values)
    }
}

impl FromIterator<(SecretName, Secret)> for Secrets {
    fn from_iter<I: IntoIterator<Item = (SecretName, Secret)>>(values: I) -> Self {
        Self(values.into_iter().collect())
    }
}

#[async_trait]
impl SecretSource for Secrets {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        Ok(self.0.get(name).cloned())
    }
}
