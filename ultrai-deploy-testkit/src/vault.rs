//! HashiCorp Vault that is not one: its KV engine, version 2, AppRole, tokens and namespaces, with
//! the answers that Vault gives.
//!
//! [`Vault`] is a [`World`]: a [`Server`](crate::hosted::Server) gives it an address, and its traffic
//! lets calls go wrong. Its time is the traffic's clock.

mod login;

use std::{collections::BTreeMap, time::Duration};

use serde_json::{Value, json};

use crate::{
    hosted::{Call, Left, Traffic, World},
    server::{Answer, Request},
};

pub use self::login::{Role, Token};

/// What a node of Vault is up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Node {
    /// It serves.
    #[default]
    Active,
    /// It was not unsealed since it started.
    Sealed,
    /// It stands by, and sends whoever comes to the node at this address.
    Standby(String),
    /// It stands by, and there is nobody to send anybody to.
    Leaderless,
}

/// One version of a document.
#[derive(Clone, Debug)]
struct Version {
    data: Value,
    state: Kept,
}

/// What is left of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kept {
    Whole,
    Deleted,
    Destroyed,
}

type Documents = BTreeMap<String, Vec<Version>>;

/// A Vault with a memory. Namespaces are named without slashes at their ends, the root one is empty.
#[derive(Debug, Default)]
pub struct Vault {
    /// The calls that it gets.
    pub traffic: Traffic,
    /// What it is up to.
    pub node: Node,
    mounts: BTreeMap<(String, String), Documents>,
    pub(crate) tokens: BTreeMap<String, Token>,
    pub(crate) roles: BTreeMap<(String, String), Vec<Role>>,
    pub(crate) issued: u32,
}

impl Vault {
    /// One that serves, with a KV engine of version 2 at `secret` in the root namespace.
    pub fn new() -> Self {
        let mut vault = Self::default();
        vault.mount("", "secret");
        vault
    }

    /// Mounts a KV engine of version 2.
    pub fn mount(&mut self, namespace: &str, mount: &str) {
        self.mounts.entry((namespace.to_owned(), mount.to_owned())).or_default();
    }

    /// Writes a version of a document, and mounts what it needs.
    pub fn put(&mut self, namespace: &str, mount: &str, path: &str, data: Value) {
        self.mount(namespace, mount);
        let versions = self.versions(namespace, mount, path);
        versions.push(Version { data, state: Kept::Whole });
    }

    /// Deletes the newest version of a document; it can be brought back.
    pub fn delete(&mut self, namespace: &str, mount: &str, path: &str) {
        self.keep(namespace, mount, path, Kept::Deleted);
    }

    /// Destroys the newest version of a document; it cannot be brought back.
    pub fn destroy(&mut self, namespace: &str, mount: &str, path: &str) {
        self.keep(namespace, mount, path, Kept::Destroyed);
    }

    /// How many calls were about this: a part of `GET secret/data/app`.
    pub fn count(&self, part: &str) -> usize {
        self.traffic.calls.iter().filter(|Call { what, .. }| what.contains(part)).count()
    }

    fn keep(&mut self, namespace: &str, mount: &str, path: &str, state: Kept) {
        if let Some(version) = self.versions(namespace, mount, path).last_mut() {
            version.state = state;
        }
    }

    fn versions(&mut self, namespace: &str, mount: &str, path: &str) -> &mut Vec<Version> {
        let mount = (namespace.to_owned(), mount.to_owned());
        self.mounts.entry(mount).or_default().entry(path.to_owned()).or_default()
    }

    fn read(&mut self, namespace: &str, route: &str) -> Answer {
        let of_namespace = self.mounts.iter().filter(|((own, _), _)| own == namespace);
        let mut found = None;
        for ((_, mount), documents) in of_namespace {
            let below = route.strip_prefix(mount.as_str()).and_then(|rest| rest.strip_prefix('/'));
            found = below.map(|below| (documents, below)).or(found);
        }
        let Some((documents, below)) = found else {
            let text = format!("no handler for route \"{route}\". route entry not found.");
            return failure(404, &[&text]);
        };
        let Some(path) = below.strip_prefix("data/") else {
            let warning = "Invalid path for a versioned K/V secrets engine. See the API docs for \
                           the appropriate API endpoints to use.";
            let body = json!({ "errors": [], "warnings": [warning] });
            return Answer::json(404, body.to_string());
        };
        let Some((number, version)) =
            documents.get(path).and_then(|all| Some((all.len(), all.last()?)))
        else {
            return failure(404, &[]);
        };
        let metadata = json!({
            "created_time": "2026-03-01T12:00:00.123456789Z",
            "custom_metadata": null,
            "deletion_time": if version.state == Kept::Deleted { "2026-03-02T12:00:00.5Z" } else { "" },
            "destroyed": version.state == Kept::Destroyed,
            "version": number,
        });
        let data = if version.state == Kept::Whole { &version.data } else { &Value::Null };
        let status = if version.state == Kept::Whole { 200 } else { 404 };
        Answer::json(status, envelope(&json!({ "data": data, "metadata": metadata }), &Value::Null))
    }
}

impl World for Vault {
    fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    fn class(&self, _: &Request) -> &'static str {
        "any"
    }

    fn purpose(&self, request: &Request) -> String {
        let route = route(request).unwrap_or(&request.path);
        match namespace(request).as_str() {
            "" => format!("{} {route}", request.method),
            namespace => format!("{} {namespace}: {route}", request.method),
        }
    }

    fn act(&mut self, request: &Request) -> Answer {
        match &self.node {
            Node::Active => {}
            Node::Sealed => return failure(503, &["Vault is sealed"]),
            Node::Standby(active) => {
                let location = format!("{active}{}", request.path);
                return Answer::text(307, "").with_header("Location", &location);
            }
            Node::Leaderless => {
                return failure(500, &["local node not active but active cluster node not found"]);
            }
        }
        let Some(route) = route(request) else { return failure(404, &[]) };
        let (namespace, now) = (namespace(request), self.traffic.clock.now());
        if let Some(mount) = login::mount(route) {
            return match request.method.as_str() {
                "POST" | "PUT" => self.log_in(&namespace, mount, &request.body, now),
                _ => failure(405, &["unsupported operation"]),
            };
        }
        let token = request.header("x-vault-token").unwrap_or_default().to_owned();
        if let Err(denied) = self.admit(&token, &namespace, route, now) {
            return denied;
        }
        match request.method.as_str() {
            "GET" => self.read(&namespace, route),
            _ => failure(405, &["unsupported operation"]),
        }
    }

    fn tell(&self, answer: Answer, left: Left) -> Answer {
        let seconds = left.resets_in.max(Duration::from_secs(1)).as_secs().to_string();
        if left.remaining.is_some() { answer } else { answer.with_header("Retry-After", &seconds) }
    }
}

/// The form of all answers of Vault that are no failures.
fn envelope(data: &Value, auth: &Value) -> String {
    json!({
        "request_id": "2b7f1c4e-5f0e-4e5b-9b1a-7c2f6a1d9e10",
        "lease_id": "",
        "renewable": false,
        "lease_duration": 0,
        "data": data,
        "wrap_info": null,
        "warnings": null,
        "auth": auth,
        "mount_type": "kv",
    })
    .to_string()
}

fn failure(status: u16, errors: &[&str]) -> Answer {
    Answer::json(status, json!({ "errors": errors }).to_string())
}

/// What stands behind `/v1/`.
fn route(request: &Request) -> Option<&str> {
    let path = request.path.split('?').next()?;
    path.strip_prefix("/v1/")
}

fn namespace(request: &Request) -> String {
    request.header("x-vault-namespace").unwrap_or_default().trim_matches('/').to_owned()
}
