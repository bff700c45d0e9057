//! Documents of HashiCorp Vault's KV engine, version 2.
//!
//! A document is read once and kept as long as the source lives, or until the lease ends that comes
//! with it. A secret is the value of the key of its name in one document, or wherever
//! [`Config::names`] says. With AppRole it is logged in when something is asked for, again when the
//! token's time is over, and once when Vault does not accept the token any more.

mod ask;
mod config;
mod failure;
mod login;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use tokio::{sync::Mutex, time::Instant};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};

pub use self::config::{Config, Login, Place};

use self::{ask::Asking, login::Session};
use crate::document::Document;

/// Secrets in a Vault.
///
/// A document that is named and is not there is an error, and so is a key that [`Config::names`]
/// names; a key that is looked for by a secret's own name may be missing.
pub struct Vault {
    config: Config,
    asking: Asking,
    /// Held while something is asked: what several wait for is read once.
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    session: Option<Session>,
    documents: BTreeMap<String, Kept>,
}

struct Kept {
    document: Document,
    /// When its lease ends.
    ends: Option<Instant>,
}

impl Vault {
    /// A source over `config`. Nothing is asked yet.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for a path or name of no use, and for a token that would leave this
    /// machine without TLS; [`ErrorKind::Unsupported`] when there is no TLS to be had.
    pub fn new(config: Config) -> Result<Self> {
        config.check()?;
        let asking = Asking::new(&config)?;
        Ok(Self { config, asking, state: Mutex::default() })
    }

    /// Reads a document, and logs in for that where it takes a login.
    async fn read(&self, session: &mut Option<Session>, path: &str) -> Result<Kept> {
        let had_one = session.as_ref().is_some_and(Session::goes_on);
        let current = self.asking.session(session, &self.config).await?;
        let read = self.asking.read(current, &self.config, path).await;
        let is_refused = matches!(&read, Err(error) if error.kind() == ErrorKind::Denied);
        let (document, ends) = if is_refused && had_one && self.config.login.can_be_repeated() {
            *session = None;
            let current = self.asking.session(session, &self.config).await?;
            self.asking.read(current, &self.config, path).await?
        } else {
            read?
        };
        Ok(Kept { document, ends })
    }
}

#[async_trait]
impl SecretSource for Vault {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        let declared = self.config.names.get(name);
        let of_name = || Some((self.config.path.as_deref()?, name.as_str()));
        let of_place = declared.map(|place| (place.path.as_str(), place.key.as_str()));
        let Some((path, key)) = of_place.or_else(of_name) else { return Ok(None) };
        let what = format!("the document {path} in Vault");
        let mut state = self.state.lock().await;
        let State { session, documents } = &mut *state;
        let is_over = |kept: &Kept| kept.ends.is_some_and(|end| end <= Instant::now());
        if documents.get(path).is_none_or(is_over) {
            let kept = self.read(session, path).await?;
            documents.insert(path.to_owned(), kept);
        }
        let Some(kept) = documents.get(path) else { return Ok(None) };
        let value = kept.document.get(key, &what)?;
        if value.is_none() && declared.is_some() {
            let message = format!("{what} has no key {key}");
            return Err(Error::new(ErrorKind::NotFound, "read a secret of Vault", message)
                .with_advice(format!("look with: vault kv get -mount={} {path}", self.config.mount))
                .without_effect());
        }
        Ok(value)
    }
}

impl fmt::Debug for Vault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Vault").field("config", &self.config).finish_non_exhaustive()
    }
}
