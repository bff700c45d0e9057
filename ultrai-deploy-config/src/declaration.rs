//! Which variables there are: their types, defaults, where they are required, what they mean.

use std::{collections::BTreeMap, fmt, path::PathBuf};

use crate::kind::{Kind, Limits};

/// A place in a file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// The file, as it was named.
    pub file: PathBuf,
    /// The line, from 1.
    pub line: usize,
    /// The column, from 1, where it is known.
    pub column: Option<usize>,
}

impl Spot {
    /// A line of a file.
    pub fn line(file: impl Into<PathBuf>, line: usize) -> Self {
        Self { file: file.into(), line, column: None }
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file.display(), self.line)?;
        self.column.map_or(Ok(()), |column| write!(f, ":{column}"))
    }
}

/// Where a variable has to be set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Required {
    /// In every environment.
    Everywhere,
    /// In these.
    In(Vec<String>),
    /// Nowhere.
    Nowhere,
}

impl Required {
    /// Whether it has to be set in `environment`.
    pub fn is_in(&self, environment: &str) -> bool {
        match self {
            Self::Everywhere => true,
            Self::In(names) => names.iter().any(|name| name == environment),
            Self::Nowhere => false,
        }
    }
}

/// One variable, as declared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// What its value must look like.
    pub kind: Kind,
    /// What its value must be beyond that.
    pub limits: Limits,
    /// Where it has to be set. A variable with a default always is.
    pub required: Required,
    /// Whether its value is secret.
    pub secret: bool,
    /// Its value where no layer sets it; never of a secret.
    pub default: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// A value to show to people.
    pub example: Option<String>,
    /// Where it is declared.
    pub spot: Option<Spot>,
}

impl Default for Variable {
    /// Any text, which has to be set everywhere.
    fn default() -> Self {
        Self {
            kind: Kind::Text,
            limits: Limits::default(),
            required: Required::Everywhere,
            secret: false,
            default: None,
            description: None,
            example: None,
            spot: None,
        }
    }
}

impl Variable {
    /// A secret that has to be set everywhere.
    pub fn secret() -> Self {
        Self { secret: true, ..Self::default() }
    }

    /// What is wrong with a value: what it must be. Nothing when it is fine.
    pub fn fault(&self, value: &str) -> Option<String> {
        self.limits.fault(self.kind, value)
    }

    /// Whether it has to be set in `environment`, by a layer above its declaration.
    pub fn is_required_in(&self, environment: &str) -> bool {
        self.default.is_none() && self.required.is_in(environment)
    }
}

/// What becomes of variables in files that nobody declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Undeclared {
    /// They are refused where any variable is declared (the default): most are misspelt.
    #[default]
    Refuse,
    /// They are told and used.
    Warn,
    /// They are used.
    Allow,
}

/// All variables of an application.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Declaration {
    /// By name.
    pub variables: BTreeMap<String, Variable>,
    /// What becomes of others.
    pub undeclared: Undeclared,
}

impl Declaration {
    /// Adds a variable, or declares it anew.
    pub fn with(mut self, name: impl Into<String>, variable: Variable) -> Self {
        self.variables.insert(name.into(), variable);
        self
    }

    /// Makes sure that `name` counts as secret, whether it was declared or not. A secret that is
    /// only named is not required here: whoever uses it asks for it.
    pub fn add_secret(&mut self, name: &str) {
        let undeclared = || Variable { required: Required::Nowhere, ..Variable::secret() };
        self.variables.entry(name.to_owned()).or_insert_with(undeclared).secret = true;
    }

    /// Makes sure that `name` counts as declared. One that is only named is required nowhere.
    pub fn add_optional(&mut self, name: &str) {
        let undeclared = || Variable { required: Required::Nowhere, ..Variable::default() };
        self.variables.entry(name.to_owned()).or_insert_with(undeclared);
    }

    /// Whether the value of `name` is declared to be secret.
    pub fn is_secret(&self, name: &str) -> bool {
        self.variables.get(name).is_some_and(|variable| variable.secret)
    }

    /// Whether people have said which variables there are; a list of secrets alone does not.
    pub fn is_complete(&self) -> bool {
        self.variables.values().any(|variable| variable.spot.is_some())
    }
}
