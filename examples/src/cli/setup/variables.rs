//! The configuration of an environment: its layers, and where secrets come from.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    sync::Arc,
};

use async_trait::async_trait;
use ultrai_deploy_config::{Configuration, Layers, PREFIX, Value};
use ultrai_deploy_core::{
    Error, Result,
    name::{EnvironmentName, SecretName, Target},
    secret::{Secret, SecretSource},
    version::Version,
};
use ultrai_deploy_secrets::{Chain, Found};

use super::{absolute, invalid};
use crate::{
    cli::{
        Surroundings,
        progress::{self, say},
    },
    config::{Backend, Config},
};

/// What the command line says of a configuration.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::cli) struct Given<'a> {
    /// `NAME=VALUE`.
    pub(in crate::cli) set: &'a [String],
    /// The version that is deployed.
    pub(in crate::cli) version: Option<&'a Version>,
    /// The compose file, or its directory.
    pub(in crate::cli) compose: Option<&'a Path>,
}

impl Given<'_> {
    /// The layers of an environment, with what secret sources have, and why one of these could not
    /// tell. `finds_all` asks also for what is hidden by other layers and sources.
    pub(in crate::cli) async fn layers(
        &self,
        config: &Config,
        name: &EnvironmentName,
        around: &Surroundings,
        finds_all: bool,
    ) -> Result<(Layers, Option<Error>)> {
        let mut layers = self.without_sources(config, name, around)?;
        let asked = Box::pin(ask(config, name, around, finds_all, &mut layers)).await;
        Ok((layers, asked.err()))
    }

    /// The whole configuration, checked.
    pub(super) async fn load(
        &self,
        config: &Config,
        name: &EnvironmentName,
        around: &Surroundings,
    ) -> Result<Variables> {
        let (layers, failed) = self.layers(config, name, around, false).await?;
        if let Some(failed) = failed {
            return Err(failed);
        }
        let configuration = layers.resolve(&config.declaration)?;
        for warning in &configuration.warnings {
            say(&format!("warning: {warning}"));
        }
        let variables = Variables { configuration, process: around.env.clone(), later: None };
        progress::hide(&variables.secrets());
        Ok(variables)
    }

    /// What can be known without asking anybody and without refusing anything: for commands that
    /// deploy nothing, which must go on also where a file is broken.
    pub(super) fn glance(
        &self,
        config: &Config,
        name: &EnvironmentName,
        around: &Surroundings,
    ) -> Result<Variables> {
        let layers = self.without_sources(config, name, around)?;
        let configuration = layers.glance(&config.declaration);
        // Where a token is missing, whoever needs a secret is told that there is none.
        let later = config.project.clone().and_then(|project| {
            config.secret_sources(name).next()?;
            config.secret_chain(&Target::new(project, name.clone()), &around.env).ok()
        });
        let variables = Variables { configuration, process: around.env.clone(), later };
        progress::hide(&variables.secrets());
        Ok(variables)
    }

    fn without_sources(
        &self,
        config: &Config,
        name: &EnvironmentName,
        around: &Surroundings,
    ) -> Result<Layers> {
        let environment = config.environment(name)?;
        let mut process = around.env.clone();
        // A secret that a CI system does not have is an empty variable, and hides no other layer.
        process.retain(|name, value| {
            let name = name.strip_prefix(PREFIX).unwrap_or(name);
            !(value.is_empty() && config.secrets.iter().any(|secret| secret.as_str() == name))
        });
        let mut layers = config.layers(name, environment).with_process(process);
        if let Some(directory) = self.compose_directory(config)? {
            layers = layers.with_weakest_file(directory.join(".env"));
        }
        for argument in self.set {
            let Some((name, value)) = argument.split_once('=').filter(|(name, _)| !name.is_empty())
            else {
                return Err(
                    invalid("--set has no name and value").with_advice("write --set NAME=VALUE")
                );
            };
            layers = layers.with_argument(name, value);
        }
        if let Some(version) = self.version {
            layers = layers.with_version(version.as_str());
        }
        Ok(layers)
    }

    /// The directory of the compose file, where it is not that of the configuration.
    fn compose_directory(&self, config: &Config) -> Result<Option<PathBuf>> {
        let Backend::Compose { file, .. } = &config.backend else { return Ok(None) };
        let Some(named) = self.compose.or(file.as_deref()) else { return Ok(None) };
        let directory = if named.is_dir() { Some(named) } else { named.parent() };
        let directory = directory.filter(|path| !path.as_os_str().is_empty());
        let directory = absolute(directory.unwrap_or(Path::new(".")))?;
        Ok((directory != absolute(config.directory())?).then_some(directory))
    }
}

/// Adds what secret sources have to `layers`.
async fn ask(
    config: &Config,
    name: &EnvironmentName,
    around: &Surroundings,
    finds_all: bool,
    layers: &mut Layers,
) -> Result<()> {
    if config.secret_sources(name).next().is_none() {
        let process = ultrai_deploy_secrets::Environment::new(around.env.clone());
        for secret in &config.secrets {
            let value = process.get(secret).await?;
            // Variables are a layer of their own; what is left are files that they name.
            if let Some(value) = value.filter(|_| !layers.overrides(secret.as_str())) {
                *layers =
                    std::mem::take(layers).with_secret(secret.as_str(), value, "environment", &[]);
            }
        }
        return Ok(());
    }
    let project = config.project.clone().ok_or_else(|| {
        invalid("secret sources belong to a project, and it has no name")
            .with_advice("write `project` into deploy.toml")
    })?;
    let chain = config.secret_chain(&Target::new(project, name.clone()), &around.env)?;
    // A source that fails may tell what it was given, and programs get the whole environment.
    progress::hide(&secrets_of(&layers.glance(&config.declaration)));
    for secret in &config.secrets {
        let found = match finds_all {
            true => chain.find(secret).await?,
            false if layers.overrides(secret.as_str()) => continue,
            false => chain.first(secret).await?,
        };
        if let Some(Found { value, label, shadowed, .. }) = found {
            progress::hide(&[(secret.clone(), value.clone())].into());
            *layers = std::mem::take(layers).with_secret(secret.as_str(), value, &label, &shadowed);
        }
    }
    Ok(())
}

/// The secrets of a configuration, but for those whose names no secret can have.
fn secrets_of(configuration: &Configuration) -> BTreeMap<SecretName, Secret> {
    let secrets = configuration.secrets();
    secrets.filter_map(|(name, value)| Some((SecretName::new(name).ok()?, value.clone()))).collect()
}

/// What is known of the variables of an environment. `Debug` shows no values of the process.
pub(super) struct Variables {
    configuration: Configuration,
    /// The variables of the process, which texts may refer to, too.
    process: BTreeMap<String, String>,
    /// Sources of secrets that were not asked yet, and are only when one is needed.
    later: Option<Chain>,
}

/// Secrets that are known, and sources for others.
#[derive(Debug)]
struct Secrets {
    known: BTreeMap<SecretName, Secret>,
    later: Option<Chain>,
}

#[async_trait]
impl SecretSource for Secrets {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        match (self.known.get(name), &self.later) {
            (Some(known), _) => Ok(Some(known.clone())),
            (None, Some(later)) => later.get(name).await,
            (None, None) => Ok(None),
        }
    }
}

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Variables")
            .field("configuration", &self.configuration)
            .field("process", &self.process.keys())
            .field("later", &self.later)
            .finish()
    }
}

impl Variables {
    /// A source of `known` secrets, and of those that are found when somebody asks for them.
    pub(super) fn source(&self, known: BTreeMap<SecretName, Secret>) -> Arc<dyn SecretSource> {
        Arc::new(Secrets { known, later: self.later.clone() })
    }

    /// What texts may refer to: variables of the process, those of the configuration over them.
    pub(super) fn all(&self) -> BTreeMap<String, String> {
        let mut all = self.process.clone();
        for (name, setting) in &self.configuration.settings {
            all.insert(name.clone(), setting.value.expose().to_owned());
        }
        all
    }

    /// The value of a variable, also of a secret.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let own = self.configuration.get(name).map(Value::expose);
        own.or_else(|| self.process.get(name).map(String::as_str))
    }

    /// The names of all that is secret.
    pub(super) fn names_of_secrets(&self, config: &Config) -> BTreeSet<String> {
        let declared = config.secrets.iter().map(ToString::to_string);
        declared.chain(self.configuration.secrets().map(|(name, _)| name.to_owned())).collect()
    }

    /// All secrets that have a value. Those with a name that no secret can have are left out: a
    /// deploy is refused for them, and whoever deploys nothing must go on.
    pub(super) fn secrets(&self) -> BTreeMap<SecretName, Secret> {
        secrets_of(&self.configuration)
    }
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_config::Declaration;

    use super::*;

    #[test]
    fn values_of_the_process_are_not_shown() {
        let process = [("RENDER_API_KEY".to_owned(), "hunter2".to_owned())].into();
        let configuration = Layers::new("production").glance(&Declaration::default());
        let variables = Variables { configuration, process, later: None };
        let shown = format!("{variables:?}");
        assert!(shown.contains("RENDER_API_KEY") && !shown.contains("hunter2"), "{shown}");
    }
}
