//! Sources of secrets that can be asked.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::Target,
    secret::{Secret, SecretSource as Source},
};
use ultrai_deploy_http::{address::HttpUrl, api::Connection};
use ultrai_deploy_secrets::{
    Age, Chain, Command, Directory, Dotenv, Environment, Format,
    vault::{self, Place},
};

use super::{ENVIRONMENT, From, Key, Login, PROJECT, SecretSource, Vault};

/// Where sources are asked.
pub(in crate::config) struct Around<'a> {
    pub(in crate::config) target: &'a Target,
    /// The variables of the process.
    pub(in crate::config) variables: &'a BTreeMap<String, String>,
    /// Where commands run.
    pub(in crate::config) directory: &'a Path,
}

/// All of `sources` in their order, or the process's variables where there are none.
pub(in crate::config) fn chain<'a>(
    sources: impl Iterator<Item = &'a SecretSource>,
    around: &Around<'_>,
) -> Result<Chain> {
    let mut chain = Chain::default();
    for source in sources {
        chain = chain.with(around.filled(&source.label), around.source(&source.from)?);
    }
    if chain.labels().next().is_none() {
        chain = chain.with("environment", around.environment());
    }
    Ok(chain)
}

impl Around<'_> {
    fn filled(&self, text: &str) -> String {
        let text = text.replace(ENVIRONMENT, self.target.environment.as_str());
        text.replace(PROJECT, self.target.project.as_str())
    }

    fn path(&self, path: &Path) -> PathBuf {
        // It came from a text, so nothing is lost.
        self.filled(&path.to_string_lossy()).into()
    }

    fn environment(&self) -> Arc<dyn Source> {
        Arc::new(Environment::new(self.variables.clone()))
    }

    fn source(&self, from: &From) -> Result<Arc<dyn Source>> {
        Ok(match from {
            From::Environment => self.environment(),
            From::Dotenv { path, absent } => {
                let dotenv = Dotenv::new(self.path(path)).when_absent(*absent);
                Arc::new(dotenv.with_variables(self.variables.clone()))
            }
            From::Directory { path, absent } => {
                Arc::new(Directory::new(self.path(path)).when_absent(*absent))
            }
            From::Command { words, format, only, timeout } => {
                let words = words.iter().map(|word| self.filled(word));
                let command = Command::new(words, self.variables.clone(), self.format(format))?
                    .in_directory(self.directory)
                    .with_timeout(*timeout);
                Arc::new(match only {
                    Some(only) => command.only(only.iter().cloned()),
                    None => command,
                })
            }
            From::Vault(vault) => Arc::new(vault::Vault::new(self.vault(vault)?)?),
            From::Age { path, key, format } => {
                let format = self.format(format);
                let path = self.path(path);
                let age = match key {
                    Key::Identity(identity) => {
                        Age::with_identity(path, self.path(identity), format)
                    }
                    Key::Passphrase(name) => {
                        Age::with_passphrase(path, self.credential(name)?, format)
                    }
                };
                Arc::new(age.with_variables(self.variables.clone()))
            }
        })
    }

    fn format(&self, format: &Format) -> Format {
        match format {
            Format::Json(pointer) => Format::Json(self.filled(pointer)),
            other => other.clone(),
        }
    }

    fn vault(&self, vault: &Vault) -> Result<vault::Config> {
        let login = match &vault.login {
            Login::Token(name) => vault::Login::Token(self.credential(name)?),
            Login::AppRole { role_id, secret_id, mount } => vault::Login::AppRole {
                role_id: self.credential(role_id)?,
                secret_id: self.credential(secret_id)?,
                mount: self.filled(mount),
            },
        };
        let mut connection = Connection::default();
        if let Some(path) = &vault.ca_file {
            let path = self.path(path);
            let pem = std::fs::read(&path).map_err(|source| {
                refused(format!("{} cannot be read", path.display())).with_source(source)
            })?;
            connection = connection.trusting(&pem)?;
        }
        if vault.allows_http {
            connection = connection.allowing_clear_text();
        }
        let mut config = vault::Config::new(HttpUrl::parse(&self.filled(&vault.url))?, login);
        config.connection = connection;
        config.namespace = vault.namespace.as_deref().map(|text| self.filled(text));
        config.mount = self.filled(&vault.mount);
        config.path = vault.path.as_deref().map(|text| self.filled(text));
        let names = vault.names.iter().map(|(name, place)| {
            let place = Place { path: self.filled(&place.path), key: self.filled(&place.key) };
            (name.clone(), place)
        });
        config.names = names.collect();
        Ok(config)
    }

    /// What lets in comes from the process alone.
    fn credential(&self, name: &str) -> Result<Secret> {
        let value = self.variables.get(name).filter(|value| !value.is_empty());
        value.map(|value| Secret::new(value.as_str())).ok_or_else(|| {
            refused(format!("the variable {name} is not set"))
                .with_advice("set it in the environment of ultrai; it is never read from a file")
        })
    }
}

fn refused(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "set up a source of secrets", message).without_effect()
}
