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
mod check;
mod depends;
pub(crate) mod duration;
mod environment;
mod expect;
mod files;
pub mod hosted;
mod metrics;
mod policy;
mod problem;
mod read;
mod reader;
mod registries;
mod service;
mod source;
mod suggest;
mod test;
#[cfg(test)]
mod tests;
mod value;

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::{EnvironmentName, ProjectName, SecretName, ServiceName},
    pipeline::Policy,
    verification::Verification,
    version::Version,
};
use ultrai_deploy_docker::registry::Destination;

pub use self::{
    backend::Backend,
    environment::Environment,
    problem::{Problem, Problems},
    registries::Login,
    service::{Port, Service},
    source::Place,
};

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
    /// Where journal, releases and backups are kept; absolute.
    pub state: Option<PathBuf>,
    /// All names whose values are secret.
    pub secrets: BTreeSet<SecretName>,
    /// The known environments.
    pub environments: BTreeMap<EnvironmentName, Environment>,
    /// What the engine does differently from its defaults.
    pub policy: Policy,
    /// Longest wait for the first success of a check that sets no deadline of its own.
    pub health_deadline: Option<Duration>,
    checks: Vec<check::Check>,
    tests: Vec<test::Test>,
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
        for check in &self.checks {
            let Some(spec) = check.spec(version, environment.base_url.as_ref())? else {
                return Err(self
                    .problems(vec![read::no_base_url(check, "the environment")])
                    .into());
            };
            verification.checks.push(spec);
        }
        verification.tasks = self.tests.iter().map(|test| test.task.clone()).collect();
        Ok(verification)
    }

    /// Refuses checks and tests of services that do not exist; for services that are declared
    /// elsewhere, such as in a compose file.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] with every place that names an unknown service.
    pub fn require_services<'a>(
        &self,
        known: impl IntoIterator<Item = &'a ServiceName>,
    ) -> Result<()> {
        let known: BTreeSet<&ServiceName> = known.into_iter().collect();
        let unknown = read::named_services(&self.checks, &self.tests)
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
