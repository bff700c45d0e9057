//! The layers of an environment's configuration, in their fixed order.
//!
//! From the weakest to the strongest:
//!
//! 1. defaults of declarations,
//! 2. dotenv files: `.env`, `env.<environment>`, `.env.<environment>`, files that the configuration
//!    lists, `.env.api_keys`,
//! 3. the template of a dotenv file,
//! 4. variables of the environment in the configuration file,
//! 5. sources of secrets,
//! 6. variables of the process: `NAME`, then `ULTRAI_NAME`,
//! 7. the command line,
//! 8. the version that is deployed, as `VERSION`.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Path, PathBuf},
};

use ultrai_deploy_core::secret::Secret;

use crate::{
    configuration::Configuration,
    declaration::{Declaration, Spot},
    origin::Origin,
    problem::Problems,
    resolve::Resolving,
};

/// What stands before the names of variables of the process that are meant for this program and
/// the applications that it deploys.
pub const PREFIX: &str = "ULTRAI_";

/// The variable that holds the version that is deployed.
pub const VERSION: &str = "VERSION";

/// Variables of this program itself, without [`PREFIX`]: they set nothing in an application.
const OWN: [&str; 1] = ["LOG"];

/// The layers of one environment.
#[derive(Clone, Default)]
pub struct Layers {
    pub(crate) environment: String,
    pub(crate) files: Vec<Source>,
    pub(crate) template: Option<PathBuf>,
    pub(crate) table: BTreeMap<String, (String, Spot)>,
    pub(crate) sources: BTreeMap<String, (Secret, Vec<String>)>,
    pub(crate) process: BTreeMap<String, String>,
    pub(crate) command_line: BTreeMap<String, String>,
    pub(crate) version: Option<String>,
}

/// A dotenv file.
#[derive(Clone, Debug)]
pub(crate) struct Source {
    pub(crate) path: PathBuf,
    /// Whether it is an error when it is not there.
    pub(crate) must_exist: bool,
    /// Whether all its values are secret.
    pub(crate) is_secret: bool,
}

impl Layers {
    /// No layers but the declarations.
    pub fn new(environment: impl Into<String>) -> Self {
        Self { environment: environment.into(), ..Self::default() }
    }

    /// Adds the usual dotenv files of a directory, those that are there, with `listed` ones, which
    /// must be there, before `.env.api_keys`, whose values are all secret.
    pub fn with_files(
        mut self,
        directory: &Path,
        listed: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        let environment = &self.environment;
        let usual =
            [".env".to_owned(), format!("env.{environment}"), format!(".env.{environment}")];
        let optional = |name: &str| Source {
            path: below(directory, name),
            must_exist: false,
            is_secret: false,
        };
        let listed: Vec<_> = listed.into_iter().collect();
        let usual = usual.iter().map(|name| optional(name));
        self.files.extend(usual.filter(|file| !listed.contains(&file.path)));
        self.files.extend(listed.into_iter().map(|path| Source {
            is_secret: path.file_name().is_some_and(|name| name == ".env.api_keys"),
            path,
            must_exist: true,
        }));
        let keys = Source { is_secret: true, ..optional(".env.api_keys") };
        if !self.files.iter().any(|file| file.path == keys.path) {
            self.files.push(keys);
        }
        self
    }

    /// Adds a dotenv file that may be missing, weaker than all others.
    pub fn with_weakest_file(mut self, path: PathBuf) -> Self {
        if !self.files.iter().any(|file| file.path == path) {
            self.files.insert(0, Source { path, must_exist: false, is_secret: false });
        }
        self
    }

    /// What comes out, whatever is wrong with it: what cannot be read is left out.
    pub fn glance(&self, declaration: &Declaration) -> Configuration {
        Resolving::new(self, declaration).run().0
    }

    /// Sets the template of a dotenv file. Its values win over those of files; `{{NAME}}` in them
    /// stands for what all layers together say.
    pub fn with_template(mut self, path: PathBuf) -> Self {
        self.template = Some(path);
        self
    }

    /// Adds a variable of the configuration file.
    pub fn with_variable(mut self, name: &str, value: &str, spot: Spot) -> Self {
        self.table.insert(name.to_owned(), (value.to_owned(), spot));
        self
    }

    /// Adds what a source of secrets has, with the labels of weaker sources that have it, too.
    pub fn with_secret(
        mut self,
        name: &str,
        secret: Secret,
        label: &str,
        weaker: &[String],
    ) -> Self {
        let labels = std::iter::once(label.to_owned()).chain(weaker.iter().cloned());
        self.sources.insert(name.to_owned(), (secret, labels.collect()));
        self
    }

    /// Sets the variables of the process. Only those count that something else names, too.
    pub fn with_process(mut self, variables: BTreeMap<String, String>) -> Self {
        self.process = variables;
        self
    }

    /// Adds a variable of the command line.
    pub fn with_argument(mut self, name: &str, value: &str) -> Self {
        self.command_line.insert(name.to_owned(), value.to_owned());
        self
    }

    /// Sets the version that is deployed.
    pub fn with_version(mut self, version: &str) -> Self {
        self.version = Some(version.to_owned());
        self
    }

    /// Puts the layers over each other and checks what comes out.
    ///
    /// # Errors
    /// Everything that is wrong: files that cannot be read, are not understood, or hold secrets and
    /// are open to others; variables that are missing, have a wrong value, or were not declared.
    pub fn resolve(&self, declaration: &Declaration) -> Result<Configuration, Problems> {
        let (configuration, problems) = Resolving::new(self, declaration).run();
        Problems::or(problems, configuration)
    }

    /// Whether a layer above the sources of secrets has a variable, so that none has to be asked.
    pub fn overrides(&self, name: &str) -> bool {
        self.command_line.contains_key(name) || self.of_process(name).is_some()
    }

    /// A variable of the process, with the name that it has there.
    pub(crate) fn of_process(&self, name: &str) -> Option<(&str, String)> {
        self.prefixed(name).or_else(|| Some((self.process.get(name)?.as_str(), name.to_owned())))
    }

    /// The same, with our prefix.
    pub(crate) fn prefixed(&self, name: &str) -> Option<(&str, String)> {
        let prefixed = format!("{PREFIX}{name}");
        if OWN.contains(&name) {
            return None;
        }
        Some((self.process.get(&prefixed)?.as_str(), prefixed))
    }

    /// The names of variables of the process that have our prefix, without it.
    pub(crate) fn prefixed_names(&self) -> impl Iterator<Item = &str> {
        let names = self.process.keys().filter_map(|name| name.strip_prefix(PREFIX));
        names.filter(|name| !name.is_empty() && !OWN.contains(name))
    }

    /// What the layers above files say of a variable; the weakest first.
    pub(crate) fn above(&self, name: &str) -> Vec<(String, Origin, bool)> {
        let mut found = Vec::new();
        if let Some((value, spot)) = self.table.get(name) {
            found.push((value.clone(), Origin::Table(spot.clone()), false));
        }
        if let Some((secret, labels)) = self.sources.get(name) {
            // What weaker sources have is not looked at: only where is told.
            let value = secret.expose();
            let sources = labels.iter().rev();
            found.extend(
                sources.map(|label| (value.to_owned(), Origin::Source(label.clone()), true)),
            );
        }
        if let Some(value) = self.process.get(name) {
            found.push((value.clone(), Origin::Process(name.to_owned()), false));
        }
        if let Some((value, there)) = self.prefixed(name) {
            found.push((value.to_owned(), Origin::Process(there), false));
        }
        if let Some(value) = self.command_line.get(name) {
            found.push((value.clone(), Origin::CommandLine, false));
        }
        if let Some(version) = self.version.as_ref().filter(|_| name == VERSION) {
            found.push((version.clone(), Origin::Version, false));
        }
        found
    }
}

impl fmt::Debug for Layers {
    /// Shows names and no values: any of them may be secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layers")
            .field("environment", &self.environment)
            .field("files", &self.files)
            .field("template", &self.template)
            .field("table", &self.table.keys())
            .field("sources", &self.sources.keys())
            .field("command_line", &self.command_line.keys())
            .finish_non_exhaustive()
    }
}

fn below(directory: &Path, name: &str) -> PathBuf {
    if directory == Path::new(".") { PathBuf::from(name) } else { directory.join(name) }
}
