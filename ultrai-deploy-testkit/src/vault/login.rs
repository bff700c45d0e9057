//! Tokens, and AppRole, which gives them out.

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use super::{Vault, envelope, failure};
use crate::server::Answer;

/// A token of one namespace.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Token {
    /// The namespace in which it is good for anything.
    pub namespace: String,
    /// The beginnings of what it may read: `secret/data/app`.
    pub may_read: Vec<String>,
    /// When it ends, by the clock of the traffic.
    pub ends: Option<Duration>,
    /// How often it may still be used.
    pub uses: Option<u32>,
}

/// A role that programs log in to.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Role {
    /// Its id.
    pub role_id: String,
    /// The ids that go with it, and how often each may be used.
    pub secret_ids: BTreeMap<String, Option<u32>>,
    /// What the tokens may read that it gives out.
    pub may_read: Vec<String>,
    /// How long they are good; for ever without.
    pub ttl: Option<Duration>,
    /// How often they may be used.
    pub uses: Option<u32>,
}

impl Role {
    /// A role with one id that is good for ever, whose tokens are, too.
    pub fn new(role_id: &str, secret_id: &str, may_read: &str) -> Self {
        Self {
            role_id: role_id.to_owned(),
            secret_ids: [(secret_id.to_owned(), None)].into(),
            may_read: vec![may_read.to_owned()],
            ttl: None,
            uses: None,
        }
    }

    /// Sets how long its tokens are good.
    pub fn with_ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// Sets how often its tokens may be used.
    pub fn with_uses(mut self, uses: u32) -> Self {
        self.uses = Some(uses);
        self
    }

    /// Sets how often its secret ids may be used.
    pub fn with_logins(mut self, logins: u32) -> Self {
        self.secret_ids.values_mut().for_each(|left| *left = Some(logins));
        self
    }
}

impl Vault {
    /// Makes a token that is good for ever, for what begins so.
    pub fn token(&mut self, namespace: &str, token: &str, may_read: &str) {
        let (namespace, may_read) = (namespace.to_owned(), vec![may_read.to_owned()]);
        let made = Token { namespace, may_read, ends: None, uses: None };
        self.tokens.insert(token.to_owned(), made);
    }

    /// Makes a role at an AppRole mount.
    pub fn role(&mut self, namespace: &str, mount: &str, role: Role) {
        let mount = (namespace.to_owned(), mount.to_owned());
        self.roles.entry(mount).or_default().push(role);
    }

    /// Ends all tokens.
    pub fn revoke_all(&mut self) {
        self.tokens.clear();
    }

    /// Lets a token in, or does not.
    pub(super) fn admit(
        &mut self,
        token: &str,
        namespace: &str,
        route: &str,
        now: Duration,
    ) -> Result<(), Answer> {
        let Some(known) = self.tokens.get_mut(token) else {
            let both = "2 errors occurred:\n\t* permission denied\n\t* invalid token\n\n";
            return Err(failure(403, &[both]));
        };
        let is_over = known.ends.is_some_and(|end| end <= now) || known.uses == Some(0);
        let may = known.namespace == namespace
            && known.may_read.iter().any(|beginning| route.starts_with(beginning.as_str()));
        if is_over {
            self.tokens.remove(token);
            return Err(failure(403, &["permission denied"]));
        }
        known.uses = known.uses.map(|uses| uses - 1);
        if may {
            Ok(())
        } else {
            Err(failure(403, &["1 error occurred:\n\t* permission denied\n\n"]))
        }
    }

    pub(super) fn log_in(
        &mut self,
        namespace: &str,
        mount: &str,
        body: &[u8],
        now: Duration,
    ) -> Answer {
        let Some(roles) = self.roles.get_mut(&(namespace.to_owned(), mount.to_owned())) else {
            return failure(403, &["permission denied"]);
        };
        let Ok(body) = serde_json::from_slice::<Value>(body) else {
            return failure(400, &["failed to parse JSON input: unexpected EOF"]);
        };
        let field = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
        let (role_id, secret_id) = (field("role_id"), field("secret_id"));
        if role_id.is_empty() {
            return failure(400, &["missing role_id"]);
        }
        let wrong = || failure(400, &["invalid role or secret ID"]);
        let Some(role) = roles.iter_mut().find(|role| role.role_id == role_id) else {
            return wrong();
        };
        match role.secret_ids.get_mut(&secret_id) {
            None | Some(Some(0)) => return wrong(),
            Some(Some(left)) => *left -= 1,
            Some(None) => {}
        }
        self.issued += 1;
        let token = format!("hvs.hunter2-issued-{}", self.issued);
        let ttl = role.ttl;
        let made = Token {
            namespace: namespace.to_owned(),
            may_read: role.may_read.clone(),
            ends: ttl.map(|ttl| now + ttl),
            uses: role.uses,
        };
        self.tokens.insert(token.clone(), made);
        let auth = json!({
            "client_token": token,
            "accessor": "ZxLmFVAAZqGVB3ZnMkUVtwRH",
            "policies": ["app", "default"],
            "token_policies": ["app", "default"],
            "metadata": { "role_name": "app" },
            "lease_duration": ttl.map_or(0, |ttl| ttl.as_secs()),
            "renewable": true,
            "entity_id": "5b1fd0de-4d9f-4bc3-b0c2-1a0e5ed1b5f4",
            "token_type": "service",
            "orphan": true,
            "mfa_requirement": null,
            "num_uses": role.uses.unwrap_or(0),
        });
        Answer::json(200, envelope(&Value::Null, &auth))
    }
}

/// The AppRole mount that a login goes to.
pub(super) fn mount(route: &str) -> Option<&str> {
    route.strip_prefix("auth/")?.strip_suffix("/login")
}
