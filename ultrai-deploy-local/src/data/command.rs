//! What a command writes that runs with a service's environment.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result, name::ServiceName};

use crate::{deployer::Deployer, placeholder};

/// A command that writes a service's data, and one that reads them again.
///
/// Both run as processes of this machine with the service's files and environment, in a directory of
/// their own, while the service runs. `{port}` stands for its port in both commands and in
/// [`environment`](Self::environment), and `{secret:NAME}` for a secret of its release in the latter only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Dump {
    /// The source's name, unique among those of an environment.
    pub name: String,
    /// The service whose data they are.
    pub service: ServiceName,
    /// Writes the data to its standard output.
    pub dump: Vec<String>,
    /// Reads what `dump` wrote from its standard input, and puts it in the place of what is there.
    pub restore: Vec<String>,
    /// Variables for both, besides those of the service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Dump {
    /// Two commands, without variables.
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        service: ServiceName,
        dump: impl IntoIterator<Item = T>,
        restore: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            service,
            dump: dump.into_iter().map(Into::into).collect(),
            restore: restore.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
        }
    }

    /// Sets a variable.
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// The services that must run while it is read or put back.
    pub fn services(&self) -> [&ServiceName; 1] {
        [&self.service]
    }

    /// Checks that it can be run.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty name or command, a secret in one, placeholders that are not
    /// known, and a name of a variable that is none.
    pub fn check(&self) -> Result<()> {
        let name = self.name.escape_default();
        if self.name.is_empty() || self.name.contains('/') {
            return Err(invalid(format!("`{name}` is no name: it is empty or has a `/`")));
        }
        for (what, command) in [("dump", &self.dump), ("restore", &self.restore)] {
            if command.first().is_none_or(String::is_empty) {
                return Err(invalid(format!("the command `{what}` of {name} is empty")));
            }
            for text in command {
                if !placeholder::secrets(text).map_err(invalid)?.is_empty() {
                    return Err(invalid(format!("the command `{what}` of {name} holds a secret"))
                        .with_advice("give it in environment: arguments can be seen by others"));
                }
            }
        }
        for (variable, value) in &self.environment {
            placeholder::secrets(value).map_err(invalid)?;
            if variable.is_empty() || variable.contains(['=', '\0']) || value.contains('\0') {
                let variable = variable.escape_default();
                return Err(invalid(format!("`{variable}` of {name} is no variable")));
            }
        }
        Ok(())
    }
}

/// What a command writes; one part, `dump`.
#[derive(Clone, Debug)]
pub struct Command {
    deployer: Deployer,
    dump: Dump,
}

impl Command {
    /// Commands in the environment of a deployer.
    pub fn new(deployer: Deployer, dump: Dump) -> Self {
        Self { deployer, dump }
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "read what to keep", message).without_effect()
}
