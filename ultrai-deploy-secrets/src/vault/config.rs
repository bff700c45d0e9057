//! Where a Vault is, what is read there, and who reads it.

use std::{collections::BTreeMap, fmt, str::FromStr, time::Duration};

use ultrai_deploy_core::{Error, ErrorKind, Result, name::SecretName, secret::Secret};
use ultrai_deploy_http::{
    address::HttpUrl,
    api::{Connection, Limits},
};

/// What a [`Vault`](super::Vault) reads, and how.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where it is, without `/v1`: `https://vault.example.com:8200`.
    pub url: HttpUrl,
    /// Who reads.
    pub login: Login,
    /// The namespace (Vault Enterprise); none by default, which is the root one.
    pub namespace: Option<String>,
    /// Where the KV engine is mounted; `secret` by default.
    pub mount: String,
    /// The document with the secrets that [`names`](Self::names) does not place; without, there are
    /// no others.
    pub path: Option<String>,
    /// Secrets that are elsewhere, or under another key.
    pub names: BTreeMap<SecretName, Place>,
    /// How it is reached; over TLS by default, with what the machine trusts.
    pub connection: Connection,
    /// What calls obey; by default they take at most 10 s each and a minute with all attempts, and
    /// answers have at most 1 MiB.
    pub limits: Limits,
}

impl Config {
    /// The engine at `secret`, of which nothing is read yet.
    pub fn new(url: HttpUrl, login: Login) -> Self {
        let limits = Limits {
            connect_timeout: Duration::from_secs(5),
            timeout: Duration::from_secs(10),
            deadline: Duration::from_mins(1),
            body_limit: 1024 * 1024,
            attempts: 4,
            pause: Duration::from_millis(250),
            longest_pause: Duration::from_secs(5),
            ..Limits::default()
        };
        Self {
            url,
            login,
            namespace: None,
            mount: "secret".to_owned(),
            path: None,
            names: BTreeMap::new(),
            connection: Connection::default(),
            limits,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        let places = self.names.values().map(|place| ("path", place.path.as_str()));
        let login = match &self.login {
            Login::AppRole { mount, .. } => Some(("login mount", mount.as_str())),
            Login::Token(_) => None,
        };
        let path = self.path.as_deref().map(|path| ("path", path));
        let namespace = self.namespace.as_deref().map(|namespace| ("namespace", namespace));
        let mount = std::iter::once(("mount", self.mount.as_str()));
        for (what, text) in mount.chain(login).chain(path).chain(namespace).chain(places) {
            check_path(what, text)?;
        }
        Ok(())
    }
}

/// How one is let in. `Debug` shows no value.
#[derive(Clone)]
#[non_exhaustive]
pub enum Login {
    /// With a token that is good as long as it is.
    Token(Secret),
    /// As a program, which gets tokens when it needs them.
    AppRole {
        /// The id of the role.
        role_id: Secret,
        /// The id that goes with it.
        secret_id: Secret,
        /// Where the method is mounted below `auth/`; usually `approle`.
        mount: String,
    },
}

impl Login {
    pub(super) fn can_be_repeated(&self) -> bool {
        matches!(self, Self::AppRole { .. })
    }
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Token(_) => f.write_str("Token"),
            Self::AppRole { mount, .. } => write!(f, "AppRole({mount})"),
        }
    }
}

/// A key of a document: `path#key`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The document, below the mount.
    pub path: String,
    /// The key in it.
    pub key: String,
}

impl FromStr for Place {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.rsplit_once('#') {
            Some((path, key)) if !key.is_empty() => {
                check_path("path", path)?;
                Ok(Self { path: path.to_owned(), key: key.to_owned() })
            }
            _ => Err(invalid(format!("`{}` names no key", text.escape_default()))
                .with_advice("write path#key, for example \"team/app#password\"")),
        }
    }
}

/// A path goes into a URL segment by segment.
fn check_path(what: &str, text: &str) -> Result<()> {
    let is_odd = |segment: &str| {
        matches!(segment, "" | "." | "..") || segment.chars().any(|c| c.is_control() || c == '#')
    };
    if text.split('/').any(is_odd) {
        return Err(invalid(format!("`{}` is no {what}", text.escape_default()))
            .with_advice("write names with single slashes between them, and none around them"));
    }
    Ok(())
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "set Vault up", message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_path_and_a_key() {
        let place: Place = "team/app#a.b".parse().unwrap();
        assert_eq!((place.path.as_str(), place.key.as_str()), ("team/app", "a.b"));
        for bad in ["", "app", "app#", "#key", "/app#k", "app/#k", "a//b#k", "a/../b#k", "a#b#c"] {
            assert!(bad.parse::<Place>().is_err(), "{bad}");
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let url = HttpUrl::parse("https://vault.example.com").unwrap();
        let login = Login::AppRole {
            role_id: Secret::new("hunter2"),
            secret_id: Secret::new("hunter2"),
            mount: "approle".to_owned(),
        };
        for login in [login, Login::Token(Secret::new("hunter2"))] {
            let config = Config::new(url.clone(), login);
            assert!(!format!("{config:?}").contains("hunter2"));
            for bad in ["", "/x", "x/", "a\nb"] {
                let wrong = Config { path: Some(bad.to_owned()), ..config.clone() };
                assert!(wrong.check().is_err(), "{bad:?}");
                let wrong = Config { mount: bad.to_owned(), ..config.clone() };
                assert!(wrong.check().is_err(), "{bad:?}");
            }
            config.check().unwrap();
        }
    }
}
