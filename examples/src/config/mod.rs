//! `deploy.toml`: checked whole before anything starts, all problems told at once.
//!
//! The fields are documented in `docs/deploy-toml.md`.
//!
//! ```
//! use std::path::Path;
//!
//! use ultrai_deploy_examples::config::Config;
//!
//! let problems = Config::parse(Path::new("deploy.toml"), "verzion = 1.0\n[policy]\nwatch = 30")
//!     .unwrap_err();
//! assert_eq!(
//!     problems.to_string(),
//!     "deploy.toml:1:1: verzion: unknown field; did you mean `version`?\n\
//!      deploy.toml:3:9: policy.watch: a duration needs a unit; write watch = \"30s\" for seconds"
//! );
//! ```

mod backend;
mod backups;
mod check;
mod consequence;
mod data;
mod depends;
mod direct;
pub(crate) mod duration;
mod environment;
mod expect;
mod files;
mod flag;
pub mod hosted;
mod metrics;
mod migration;
mod notify;
mod policy;
pub mod preflight;
mod problem;
mod read;
mod reader;
mod registries;
mod rule;
mod secret_source;
mod service;
mod source;
mod stored;
mod test;
#[cfg(test)]
mod tests;
mod text;
mod value;
mod variables;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use ultrai_deploy_config::{Declaration, Layers, Spot, suggest};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    flag::FlagState,
    migration::Migration,
    name::{EnvironmentName, ProjectName, SecretName, ServiceName, Target},
    pipeline::Policy,
    verification::Verification,
    version::Version,
};
use ultrai_deploy_docker::registry::Destination;
use ultrai_deploy_secrets::Chain;

pub use self::{
    backend::Backend,
    backups::{Backups, Identity, Location},
    data::{By, Data, Dump, What},
    environment::Environment,
    problem::{Problem, Problems},
    registries::Login,
    secret_source::SecretSource,
    service::{Port, Service},
    source::Place,
    text::{Known, Text},
};

/// Where the template of a dotenv file is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Template {
    /// `.env.template` in the directory of the configuration, if it is there and has anything to
    /// fill in (the default).
    #[default]
    Usual,
    /// This file.
    File(PathBuf),
    /// Nowhere.
    None,
}

/// A configuration that was checked.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The application; nothing when its name follows from elsewhere.
    pub project: Option<ProjectName>,
    /// The version that is deployed when no other is named.
    pub version: Option<Version>,
    /// What releases run on.
    pub backend: Backend,
    /// Where built images are pushed, in environments that say nothing else.
    pub registry: Option<Destination>,
    /// Who logs in to registries, by their names.
    pub registries: BTreeMap<String, Login>,
    /// Where journal, lease, releases and backups are kept.
    pub state: Option<Location>,
    /// Where backups are kept, if elsewhere, and how.
    pub backups: Backups,
    /// What users of the application made, as it is kept in backups.
    pub data: Vec<Data>,
    /// All names whose values are secret.
    pub secrets: BTreeSet<SecretName>,
    /// The variables of the application; all secrets among them.
    pub declaration: Declaration,
    /// The template of a dotenv file.
    pub template: Template,
    /// The known environments.
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// Files of a release in which `{{NAME}}` is filled in, each with where it is named.
    pub rendered_files: Vec<(PathBuf, Place)>,
    /// What the engine does differently from its defaults, in every environment.
    pub policy: Policy,
    /// Longest wait for the first success of a check that sets no deadline of its own.
    pub health_deadline: Option<Duration>,
    /// The checklist that is gone through before each deploy.
    pub preflight: Vec<preflight::Item>,
    /// Who is told what becomes of deploys.
    pub notify: Vec<ultrai_deploy_notify::Config>,
    checks: Vec<check::Check>,
    rules: Vec<rule::Rule>,
    tests: Vec<test::Test>,
    secret_sources: Vec<SecretSource>,
    migrations: Vec<migration::Migration>,
    flags: BTreeMap<String, flag::Flag>,
    root: files::Root,
}

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it does not exist, cannot be read, or anything in it is wrong.
    pub fn load(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).map_err(|source| {
            let (what, advice) = match source.kind() {
                std::io::ErrorKind::NotFound => (
                    "it does not exist",
                    "create it, an empty file is enough, or name another with --config",
                ),
                std::io::ErrorKind::InvalidData => ("it is not UTF-8", "save it as UTF-8"),
                _ => ("it cannot be read", "make it readable"),
            };
            Error::new(
                ErrorKind::Invalid,
                "use the configuration",
                format!("{}: {what}", file.display()),
            )
            .with_advice(advice)
            .without_effect()
            .with_source(source)
        })?;
        Ok(Self::parse(file, &text)?)
    }

    /// Checks the text of `file`, whose directory is where relative paths start.
    ///
    /// # Errors
    /// All that is wrong.
    pub fn parse(file: &Path, text: &str) -> Result<Self, Problems> {
        read::config(file, text)
    }

    /// The directory where relative paths start.
    pub fn directory(&self) -> &Path {
        self.root.as_path()
    }

    /// A known environment, whose dotenv files exist.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when it is not known, or a file of it does not exist.
    pub fn environment(&self, name: &EnvironmentName) -> Result<&Environment> {
        let Some(environment) = self.environments.get(name) else {
            let known = || self.environments.keys().map(EnvironmentName::as_str);
            let meant = suggest::nearest(name.as_str(), known())
                .map(|meant| format!("did you mean {meant}? "))
                .unwrap_or_default();
            let list = known().collect::<Vec<_>>().join(", ");
            return Err(Error::new(
                ErrorKind::Invalid,
                "use the configuration",
                format!("{} has no environment {name}", self.file.display()),
            )
            .with_advice(format!("{meant}known: {list}; add [environments.{name}] for a new one"))
            .without_effect());
        };
        let missing: Vec<_> = environment
            .env_files
            .iter()
            .filter(|(path, _)| !path.is_file())
            .map(|(path, place)| Problem {
                place: *place,
                field: format!("environments.{name}.env_files"),
                what: format!("file {} does not exist", path.display()),
                remedy: "create it, or take it out of the list".to_owned(),
            })
            .collect();
        self.refuse(missing)?;
        Ok(environment)
    }

    /// The layers of an environment's configuration that are written in files.
    pub fn layers(&self, name: &EnvironmentName, environment: &Environment) -> Layers {
        let files = environment.env_files().cloned();
        let mut layers = Layers::new(name.as_str()).with_files(self.directory(), files);
        if let Some(template) = self.template_file() {
            layers = layers.with_template(template);
        }
        for (variable, value, place) in environment.variables() {
            let spot =
                Spot { file: self.file.clone(), line: place.line, column: Some(place.column) };
            layers = layers.with_variable(variable, value, spot);
        }
        layers
    }

    fn template_file(&self) -> Option<PathBuf> {
        match &self.template {
            Template::None => None,
            Template::File(file) => Some(file.clone()),
            Template::Usual => {
                let file = self.root.path(".env.template");
                let text = std::fs::read(&file).ok()?;
                // Many have one to copy by hand, with nothing to fill in.
                text.windows(2).any(|two| two == b"{{").then_some(file)
            }
        }
    }

    /// The environment variables of processes, with what is known in place of `${NAME}`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every value that cannot be filled in.
    pub fn filled_env(
        &self,
        services: &BTreeMap<ServiceName, Service>,
        known: &Known<'_>,
    ) -> Result<BTreeMap<ServiceName, BTreeMap<String, String>>> {
        let (mut filled, mut problems) = (BTreeMap::new(), Vec::new());
        for (name, service) in services {
            match service.filled_env(known) {
                Ok(env) => {
                    filled.insert(name.clone(), env);
                }
                Err(wrong) => problems.extend(wrong),
            }
        }
        self.refuse(problems)?;
        Ok(filled)
    }

    /// The declared sources of secrets that are used in an environment, in their order.
    pub fn secret_sources(
        &self,
        environment: &EnvironmentName,
    ) -> impl Iterator<Item = &SecretSource> {
        self.secret_sources.iter().filter(move |source| source.is_used_in(environment))
    }

    /// The sources of secrets of an environment in their order; the variables of the process where
    /// none is declared for it. `variables` are those of the process: commands get them, and what
    /// Vault and passphrases ask for is among them. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a variable is not set that lets in somewhere, or what is declared
    /// makes no sense with the names of the project and the environment in it.
    pub fn secret_chain(
        &self,
        target: &Target,
        variables: &BTreeMap<String, String>,
    ) -> Result<Chain> {
        let around = secret_source::Around { target, variables, directory: self.root.as_path() };
        secret_source::chain(self.secret_sources(&target.environment), &around)
    }

    /// What the engine does differently in an environment.
    pub fn policy_of(&self, environment: &Environment) -> Policy {
        Policy { pre_releases: environment.pre_releases, ..self.policy.clone() }
    }

    /// The checks and tests of a release of `version` in an environment.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a check that gives only a path where the environment is none of
    /// this configuration and has no base URL.
    pub fn verification(
        &self,
        environment: &Environment,
        version: &Version,
    ) -> Result<Verification> {
        let mut verification = Verification::default();
        let base = environment.base_url.as_ref();
        for check in &self.checks {
            verification.tasks.extend(check.tasks(version)?);
            if !check.has_look(version, base)? {
                continue;
            }
            let Some(spec) = check.spec(version, base)? else {
                return Err(self
                    .problems(vec![read::no_base_url(check, "the environment")])
                    .into());
            };
            verification.checks.push(spec);
        }
        for rule in &self.rules {
            verification.checks.extend(rule.specs(&self.checks, version, base)?);
        }
        verification.tasks.extend(self.tests.iter().map(|test| test.task.clone()));
        Ok(verification)
    }

    /// The migrations, in their order.
    pub fn migrations(&self) -> Vec<Migration> {
        self.migrations.iter().map(|one| one.declared.clone()).collect()
    }

    /// The flags that an environment must configure, and what `lookup` knows of each.
    pub fn flags(
        &self,
        environment: &EnvironmentName,
        lookup: &dyn Fn(&str) -> Option<String>,
    ) -> BTreeMap<String, FlagState> {
        let flags = self.flags.iter().filter(|(_, flag)| flag.is_for(environment));
        flags.map(|(name, _)| (name.clone(), FlagState::read(lookup(name).as_deref()))).collect()
    }

    /// Refuses checks, tests and migrations of services that do not exist; for services that are declared
    /// elsewhere, such as in a compose file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every place that names an unknown service.
    pub fn require_services<'a>(
        &self,
        known: impl IntoIterator<Item = &'a ServiceName>,
    ) -> Result<()> {
        let known: BTreeSet<&ServiceName> = known.into_iter().collect();
        let unknown = read::named_services(
            &self.checks,
            &self.rules,
            &self.tests,
            &self.migrations,
            &self.data,
        )
        .filter(|(_, (name, _))| !known.contains(name))
        .map(|(field, (name, place))| Problem {
            place: *place,
            field,
            what: format!("there is no service `{name}`"),
            remedy: depends::unknown(name, || known.iter().map(|name| name.as_str())),
        })
        .collect();
        self.refuse(unknown)
    }

    fn refuse(&self, problems: Vec<Problem>) -> Result<()> {
        if problems.is_empty() { Ok(()) } else { Err(self.problems(problems).into()) }
    }

    fn problems(&self, mut problems: Vec<Problem>) -> Problems {
        problems.sort();
        Problems { file: self.file.clone(), problems }
    }
}
