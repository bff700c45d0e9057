//! What a command keeps, as it is declared.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    name::{SecretName, ServiceName},
};

/// A command in a service that writes its data, and one that reads them again.
///
/// Both run in the service's own container, as its own user, when it runs. An argument is never made
/// from a secret: others on the machine can see it. What they need to know of that kind is in
/// [`environment`](Self::environment).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Dump {
    /// The source's name, unique among those of an environment.
    pub name: String,
    /// The service that the commands run in.
    pub service: ServiceName,
    /// Writes the data to its standard output.
    pub dump: Vec<String>,
    /// Reads what `dump` wrote from its standard input, and puts it in the place of what is there.
    pub restore: Vec<String>,
    /// Variables for both, besides those that the container has.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, Variable>,
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Variable {
    /// It is this text.
    Text(String),
    /// A secret of the release that the container was made for.
    Secret(SecretName),
    /// The first of these variables that the container has a value for; none, and the variable is
    /// not set.
    Container(Vec<String>),
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

    /// Sets a variable; one that a preset set is replaced.
    pub fn with_variable(mut self, name: impl Into<String>, value: Variable) -> Self {
        self.environment.insert(name.into(), value);
        self
    }

    /// The services that must run while it is read or put back.
    pub fn services(&self) -> [&ServiceName; 1] {
        [&self.service]
    }

    /// Checks that it can be run.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty name or command, and a name of a variable that is none.
    pub fn check(&self) -> Result<()> {
        let name = self.name.escape_default();
        if self.name.is_empty() || self.name.contains('/') {
            return Err(invalid(format!("`{name}` is no name: it is empty or has a `/`")));
        }
        for (what, command) in [("dump", &self.dump), ("restore", &self.restore)] {
            if command.first().is_none_or(String::is_empty) {
                return Err(invalid(format!("the command `{what}` of {name} is empty")));
            }
        }
        for variable in self.environment.keys() {
            if variable.is_empty() || variable.contains(['=', '\0']) {
                let variable = variable.escape_default();
                return Err(invalid(format!("`{variable}` of {name} is no variable")));
            }
        }
        Ok(())
    }
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "read what to keep", message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> ServiceName {
        ServiceName::new("db").unwrap()
    }

    #[test]
    fn what_cannot_be_run_is_refused() {
        let good = Dump::new("db", service(), ["cat", "/x"], ["cp", "/dev/stdin"]);
        good.check().unwrap();
        let mut without = good.clone();
        without.restore.clear();
        for (dump, why) in [
            (without, "`restore` of db is empty"),
            (Dump { name: "a/b".into(), ..good.clone() }, "is no name"),
            (good.with_variable("A=B", Variable::Text(String::new())), "is no variable"),
        ] {
            let error = dump.check().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(why), "{error}");
        }
    }

    #[test]
    fn every_preset_can_be_run() {
        for preset in [
            Dump::postgres("db", service()),
            Dump::mongodb("db", service()),
            Dump::redis("db", service()),
        ] {
            preset.check().unwrap();
            let text = serde_json::to_string(&preset).unwrap();
            assert_eq!(serde_json::from_str::<Dump>(&text).unwrap(), preset);
        }
    }
}
