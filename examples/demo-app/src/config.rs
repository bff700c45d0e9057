//! What the service reads from its environment.

use std::{collections::HashMap, fmt, str::FromStr, time::Duration};

use crate::Faults;

/// Which half of the sample application the process is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// The API, on port 8085 unless `PORT` says otherwise.
    Backend,
    /// The page in front of it, on port 80.
    Frontend,
}

/// Host and port of a service that the backend depends on, with what its URI says besides.
#[derive(Clone, PartialEq, Eq)]
pub struct Address {
    /// Name or address of the host.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// The part after the host, such as the number of a Redis database; empty when there is none.
    pub path: String,
    password: Option<String>,
}

/// A provider of language models and whether its key was given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// Name in the answer of `/health/llm-providers`.
    pub name: &'static str,
    /// Whether the environment holds a key that is not empty.
    pub available: bool,
}

/// Everything the service is told before it starts.
#[derive(Debug, Clone)]
pub struct Config {
    /// `ROLE`: `backend` (default) or `frontend`.
    pub role: Role,
    /// `PORT`: where it listens, on all addresses.
    pub port: u16,
    /// `APP_VERSION`: the answer of `/api/v1/version`.
    pub version: String,
    /// `REDIS_URI`.
    pub redis: Option<Address>,
    /// `MONGODB_URI`.
    pub database: Option<Address>,
    /// `OPENAI_API_KEY`, `CLAUDE_API_KEY`, `COHERE_API_KEY`: only whether each is there.
    pub providers: Vec<Provider>,
    /// The `DEMO_*` variables.
    pub faults: Faults,
}

/// A variable whose value makes no sense.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    variable: String,
    expected: &'static str,
}

impl Config {
    /// Reads the configuration from variables, such as those of the process.
    pub fn from_vars(
        vars: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, ConfigError> {
        let vars = Vars(vars.into_iter().filter(|(_, value)| !value.is_empty()).collect());
        let role = match vars.text("ROLE") {
            None | Some("backend") => Role::Backend,
            Some("frontend") => Role::Frontend,
            Some(_) => return Err(ConfigError::new("ROLE", "`backend` or `frontend`")),
        };
        let default_port = match role {
            Role::Backend => 8085,
            Role::Frontend => 80,
        };
        let provider = |name, variable| Provider { name, available: vars.text(variable).is_some() };
        Ok(Self {
            role,
            port: vars.number("PORT")?.unwrap_or(default_port),
            version: vars.text("APP_VERSION").unwrap_or("0.0.0").to_owned(),
            redis: vars.address("REDIS_URI", "redis", 6379)?,
            database: vars.address("MONGODB_URI", "mongodb", 27017)?,
            providers: vec![
                provider("openai", "OPENAI_API_KEY"),
                provider("claude", "CLAUDE_API_KEY"),
                provider("cohere", "COHERE_API_KEY"),
            ],
            faults: Faults {
                slow_start: vars.number("DEMO_SLOW_START")?.map(Duration::from_secs),
                never_healthy: vars.switch("DEMO_NEVER_HEALTHY"),
                crash_after: vars.number("DEMO_CRASH_AFTER")?.map(Duration::from_secs),
                fail_every: vars.number("DEMO_FAIL_EVERY")?,
                fail_path: vars.text("DEMO_FAIL_PATH").map(str::to_owned),
                slow_answers: vars.number("DEMO_SLOW_ANSWERS")?.map(Duration::from_millis),
                ignore_sigterm: vars.switch("DEMO_IGNORE_SIGTERM"),
                wrong_version: vars.switch("DEMO_WRONG_VERSION"),
            },
        })
    }
}

impl Address {
    /// `user:password@host:port/path` without the scheme; a list of hosts counts as its first.
    fn parse(rest: &str, default_port: u16) -> Option<Self> {
        let rest = rest.split('?').next()?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user, hosts) = match authority.rsplit_once('@') {
            Some((user, hosts)) => (Some(user), hosts),
            None => (None, authority),
        };
        let first = hosts.split(',').next()?;
        let (host, port) = match first.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().ok()?),
            None => (first, default_port),
        };
        if host.is_empty() {
            return None;
        }
        let password = user
            .map(|user| user.split_once(':').map_or(user, |(_, password)| password))
            .filter(|password| !password.is_empty())
            .map(str::to_owned);
        Some(Self { host: host.to_owned(), port, path: path.to_owned(), password })
    }

    pub(crate) fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}/{}", self.host, self.port, self.path)
    }
}

impl ConfigError {
    fn new(variable: &str, expected: &'static str) -> Self {
        Self { variable: variable.to_owned(), expected }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} must be {}", self.variable, self.expected)
    }
}

impl std::error::Error for ConfigError {}

struct Vars(HashMap<String, String>);

impl Vars {
    fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// On unless it is missing, empty, `0`, `false` or `no`.
    fn switch(&self, name: &str) -> bool {
        self.text(name).is_some_and(|value| !matches!(value, "0" | "false" | "no"))
    }

    fn number<T: FromStr>(&self, name: &str) -> Result<Option<T>, ConfigError> {
        self.text(name)
            .map(|value| {
                value.parse().map_err(|_| ConfigError::new(name, "a whole number above zero"))
            })
            .transpose()
    }

    fn address(
        &self,
        name: &str,
        scheme: &str,
        default_port: u16,
    ) -> Result<Option<Address>, ConfigError> {
        let Some(uri) = self.text(name) else { return Ok(None) };
        uri.strip_prefix(scheme)
            .and_then(|rest| rest.strip_prefix("://"))
            .and_then(|rest| Address::parse(rest, default_port))
            .map(Some)
            .ok_or_else(|| ConfigError::new(name, "a URI such as scheme://host:port/name"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(vars: &[(&str, &str)]) -> Result<Config, ConfigError> {
        Config::from_vars(vars.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())))
    }

    #[test]
    fn reads_addresses_and_hides_the_password() {
        let config = config(&[
            ("REDIS_URI", "redis://:s3cret@cache:6380/2"),
            ("MONGODB_URI", "mongodb://admin:pw@a:27017,b:27018/ultrai?replicaSet=x"),
        ])
        .unwrap();
        let redis = config.redis.clone().unwrap();
        assert_eq!((redis.host.as_str(), redis.port, redis.path.as_str()), ("cache", 6380, "2"));
        assert_eq!(redis.password(), Some("s3cret"));
        assert_eq!(config.database.as_ref().unwrap().host, "a");
        assert!(!format!("{config:?}").contains("s3cret"));
    }

    #[test]
    fn an_empty_key_makes_no_provider_available() {
        let config = config(&[("OPENAI_API_KEY", ""), ("CLAUDE_API_KEY", "k")]).unwrap();
        let available: Vec<_> =
            config.providers.iter().filter(|p| p.available).map(|p| p.name).collect();
        assert_eq!(available, ["claude"]);
    }

    #[test]
    fn nonsense_is_named() {
        let error = config(&[("DEMO_FAIL_EVERY", "often")]).unwrap_err();
        assert_eq!(error.to_string(), "DEMO_FAIL_EVERY must be a whole number above zero");
        assert!(config(&[("REDIS_URI", "http://x")]).is_err());
        assert!(config(&[("ROLE", "middle")]).is_err());
    }
}
