//! Where a value comes from.

use std::fmt;

use crate::declaration::Spot;

/// The layer that a value comes from, and the place in it. The order is that of the layers: a later
/// one wins.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Origin {
    /// The default of its declaration.
    Default(Option<Spot>),
    /// A line of a dotenv file.
    File(Spot),
    /// A line of the template of a dotenv file.
    Template(Spot),
    /// The variables of the environment in the configuration file.
    Table(Spot),
    /// A source of secrets, by its label.
    Source(String),
    /// A variable of the process, by the name that it has there.
    Process(String),
    /// The command line.
    CommandLine,
    /// The version that is deployed.
    Version,
}

impl Origin {
    /// The line that it was written in, if it was.
    pub fn spot(&self) -> Option<&Spot> {
        match self {
            Self::Default(spot) => spot.as_ref(),
            Self::File(spot) | Self::Template(spot) | Self::Table(spot) => Some(spot),
            Self::Source(_) | Self::Process(_) | Self::CommandLine | Self::Version => None,
        }
    }

    /// Whether it belongs to the call and not to the environment: another call may not have it.
    pub fn is_of_call(&self) -> bool {
        matches!(self, Self::Process(_) | Self::CommandLine | Self::Version)
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default(None) => f.write_str("default"),
            Self::Default(Some(spot)) => write!(f, "default at {spot}"),
            Self::File(spot) | Self::Table(spot) => write!(f, "{spot}"),
            Self::Template(spot) => write!(f, "template {spot}"),
            Self::Source(label) => write!(f, "secret source {label}"),
            Self::Process(name) => write!(f, "process variable {name}"),
            Self::CommandLine => f.write_str("command line"),
            Self::Version => f.write_str("the version that is deployed"),
        }
    }
}
