//! The variables of a process.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};

use crate::file::{Access, SecretFile, without_line_end};

/// What stands before names that are meant for this program alone.
const PREFIX: &str = "ULTRAI_";

/// Secrets in the variables of a process.
///
/// For a secret `NAME`, the first of these that is set wins: `ULTRAI_NAME`, `ULTRAI_NAME_FILE`,
/// `NAME`, `NAME_FILE`. The ones with `_FILE` name a file that holds the value, as Docker's images
/// do it; one line end at the end of the file is no part of the value. As with those images, an empty
/// variable counts as none, and a variable that is set together with its `_FILE` is an error.
#[derive(Clone)]
pub struct Environment {
    variables: BTreeMap<String, Secret>,
}

impl Environment {
    /// A source of these variables.
    pub fn new(variables: impl IntoIterator<Item = (String, String)>) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name, Secret::new(value)));
        Self { variables: variables.collect() }
    }

    fn variable(&self, name: &str) -> Option<&Secret> {
        self.variables.get(name).filter(|value| !value.expose().is_empty())
    }

    async fn at(&self, name: &str) -> Result<Option<Secret>> {
        let in_file = format!("{name}_FILE");
        match (self.variable(name), self.variable(&in_file)) {
            (Some(_), Some(_)) => {
                let message = format!("{name} and {in_file} are both set");
                Err(Error::new(ErrorKind::Invalid, "read a secret from the environment", message)
                    .with_advice(format!("unset {name} or {in_file}"))
                    .without_effect())
            }
            (Some(value), None) => Ok(Some(value.clone())),
            (None, Some(path)) => {
                let file = SecretFile::new(path.expose(), Access::Any);
                let text = file.text().await?.ok_or_else(|| {
                    file.missing().with_advice(format!("it is what {in_file} names"))
                })?;
                Ok(Some(Secret::new(without_line_end(&text))))
            }
            (None, None) => Ok(None),
        }
    }
}

#[async_trait]
impl SecretSource for Environment {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        if let Some(value) = self.at(&format!("{PREFIX}{name}")).await? {
            return Ok(Some(value));
        }
        self.at(name.as_str()).await
    }
}

impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Environment({} variables)", self.variables.len())
    }
}
