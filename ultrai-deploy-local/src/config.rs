//! A service as a release stores it.

use std::{collections::BTreeMap, fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use serde_json::Value;
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    health::Timing,
    name::{SecretName, ServiceName},
    release::ReleaseService,
    spec::ServiceSpec,
};

use crate::placeholder;

/// How long a process may take to stop before it is killed, unless its service says otherwise.
pub const STOP_GRACE: Duration = Duration::from_secs(10);

/// One service: a command that runs as a process.
///
/// In `command` and in the values of `env`, `{port}` stands for the service's port. In the values
/// of `env`, `{secret:NAME}` stands for the value of a secret; arguments can be seen by every
/// user of the machine, so secrets are refused there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Service {
    /// The program and its arguments. A program with a `/` in its name is looked up among the
    /// service's files, any other in the directories of `PATH`.
    pub command: Vec<String>,
    /// Its environment; nothing else is passed on but `PATH` (a default one, where it is not set
    /// here), `PORT` and `ULTRAI_INSTANCE`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// The port that it listens on.
    #[serde(default, skip_serializing_if = "Port::is_none")]
    pub port: Port,
    /// How its health is looked at; without it, that it runs and goes on running.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
    /// How long it may take to stop after SIGTERM before it is killed; [`STOP_GRACE`] by default.
    #[serde(default = "stop_grace")]
    pub stop_grace: Duration,
}

/// The port of a service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Port {
    /// It has none. The old process stops before the new one starts.
    #[default]
    None,
    /// This one. The old process stops before the new one starts.
    Fixed(u16),
    /// A free one for each process. The new process starts before the old one stops.
    Auto,
}

/// How a service's health is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Health {
    /// What to look at, in the form that the deployer's
    /// [`ProbeSource`](ultrai_deploy_core::verification::ProbeSource) understands.
    pub probe: Value,
    /// How long to wait for it.
    #[serde(default)]
    pub timing: Timing,
}

impl Service {
    /// A service that runs a command, without port and health check.
    pub fn new<T: Into<String>>(command: impl IntoIterator<Item = T>) -> Self {
        Self {
            command: command.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            port: Port::None,
            health: None,
            stop_grace: STOP_GRACE,
        }
    }

    /// Sets an environment variable.
    pub fn with_env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.insert(name.into(), value.into());
        self
    }

    /// Sets an environment variable of a secret's name to its value.
    pub fn with_secret(self, name: &SecretName) -> Self {
        self.with_env(name.as_str(), placeholder::of_secret(name))
    }

    /// Sets the port.
    pub fn with_port(mut self, port: Port) -> Self {
        self.port = port;
        self
    }

    /// Sets how its health is looked at.
    pub fn with_health(mut self, probe: Value, timing: Timing) -> Self {
        self.health = Some(Health { probe, timing });
        self
    }

    /// Sets how long it may take to stop.
    pub fn with_stop_grace(mut self, stop_grace: Duration) -> Self {
        self.stop_grace = stop_grace;
        self
    }

    /// Its part of a release's spec, with the secrets that it refers to; add files and
    /// dependencies there.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for what [`Service::check`] refuses.
    pub fn to_spec(&self, name: &ServiceName) -> Result<ServiceSpec> {
        self.check(name)?;
        let config = serde_json::to_value(self).map_err(|source| {
            invalid(name, "it has no JSON form".to_owned()).with_source(source)
        })?;
        let secrets = self.secrets(name)?;
        Ok(ServiceSpec { config, secrets, ..ServiceSpec::default() })
    }

    /// Checks that it can be run.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty command, placeholders that are not known, secrets
    /// among the arguments, `{port}` or a fixed port 0 without a port.
    pub fn check(&self, name: &ServiceName) -> Result<()> {
        if self.command.first().is_none_or(String::is_empty) {
            return Err(invalid(name, "its command is empty".to_owned()));
        }
        if self.port == Port::Fixed(0) {
            return Err(invalid(name, "0 is no port".to_owned())
                .with_advice("write a number from 1 to 65535, or \"auto\""));
        }
        for text in &self.command {
            if !placeholder::secrets(text).map_err(|why| invalid(name, why))?.is_empty() {
                return Err(invalid(name, "its command holds a secret".to_owned())
                    .with_advice("give the secret in env: arguments can be seen by other users"));
            }
        }
        for (variable, value) in &self.env {
            placeholder::secrets(value).map_err(|why| invalid(name, why))?;
            if variable.is_empty() || variable.contains(['=', '\0']) || value.contains('\0') {
                let variable = variable.escape_default();
                return Err(invalid(name, format!("`{variable}` is no environment variable")));
            }
        }
        let mut texts = self.command.iter().chain(self.env.values());
        if self.port == Port::None && texts.any(|text| placeholder::uses_port(text)) {
            return Err(invalid(name, "it uses {port} and has none".to_owned())
                .with_advice("give it a port, a number or \"auto\""));
        }
        Ok(())
    }

    fn secrets(&self, name: &ServiceName) -> Result<Vec<SecretName>> {
        let mut secrets = Vec::new();
        for value in self.env.values() {
            secrets.extend(placeholder::secrets(value).map_err(|why| invalid(name, why))?);
        }
        secrets.sort();
        secrets.dedup();
        Ok(secrets)
    }

    /// Reads the definition of a sealed service.
    pub(crate) fn of(name: &ServiceName, sealed: &ReleaseService) -> Result<Self> {
        Self::read(name, &sealed.config)
    }

    pub(crate) fn read(name: &ServiceName, config: &Value) -> Result<Self> {
        let service = Self::deserialize(config).map_err(|source| {
            invalid(name, "its definition is not understood".to_owned()).with_source(source)
        })?;
        service.check(name)?;
        Ok(service)
    }
}

impl Port {
    #[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
    fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl Serialize for Port {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::None => serializer.serialize_none(),
            Self::Fixed(port) => serializer.serialize_u16(*port),
            Self::Auto => serializer.serialize_str("auto"),
        }
    }
}

impl<'de> Deserialize<'de> for Port {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let number = value.as_u64().and_then(|number| u16::try_from(number).ok());
        match (&value, number) {
            (Value::Null, _) => Ok(Self::None),
            (_, Some(port)) => Ok(Self::Fixed(port)),
            (Value::String(text), _) if text == "auto" => Ok(Self::Auto),
            _ => Err(de::Error::custom(format!("{value} is no port: write a number or \"auto\""))),
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Fixed(port) => write!(f, "{port}"),
            Self::Auto => f.write_str("auto"),
        }
    }
}

fn stop_grace() -> Duration {
    STOP_GRACE
}

fn invalid(name: &ServiceName, why: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Invalid, "read a service", format!("{name}: {why}")).without_effect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn name(text: &str) -> ServiceName {
        ServiceName::new(text).unwrap()
    }

    #[test]
    fn it_is_stored_and_read() {
        let secret = SecretName::new("TOKEN").unwrap();
        let service = Service::new(["./web", "--port", "{port}"])
            .with_port(Port::Auto)
            .with_secret(&secret)
            .with_health(json!({"tcp": {}}), Timing::default());
        let spec = service.to_spec(&name("web")).unwrap();
        assert_eq!(spec.secrets, [secret]);
        assert_eq!(spec.config["port"], "auto");
        assert_eq!(Service::read(&name("web"), &spec.config).unwrap(), service);
    }

    #[test]
    fn what_cannot_run_is_refused() {
        for (config, why) in [
            (json!({"command": []}), "empty"),
            (json!({"command": ["x"], "port": "any"}), "not understood"),
            (json!({"command": ["x"], "port": 0}), "no port"),
            (json!({"command": ["x"], "ports": [1]}), "not understood"),
            (json!({"command": ["x", "{port}"]}), "has none"),
            (json!({"command": ["x", "{secret:A}"]}), "holds a secret"),
            (json!({"command": ["x"], "env": {"A": "{secret:}"}}), "`{secret:}`"),
            (json!({"command": ["x"], "env": {"A=B": ""}}), "environment variable"),
        ] {
            let error = Service::read(&name("web"), &config).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Invalid);
            assert!(error.to_string().contains(why), "{config}: {error}");
        }
    }
}
