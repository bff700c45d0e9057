//! What went wrong, in the words of those who run a Vault.

use std::error::Error as _;

use serde_json::Value;
use ultrai_deploy_core::{Error, ErrorKind};
use ultrai_deploy_http::api::Refused;

use super::Config;
use crate::document::{Json, kind};

/// Why a document was not read.
pub(super) fn of_read(error: Error, config: &Config, path: &str) -> Error {
    let route = format!("{}/data/{path}", config.mount);
    let (message, advice) = match status(&error) {
        Some(400) => (
            "Vault does not understand what it is asked".to_owned(),
            "look at mount, path and namespace".to_owned(),
        ),
        Some(403) => (
            format!("the token may not read {route}{}", inside(config)),
            format!(
                "look whether it is still good (vault token lookup) and a policy of it has: \
                 path \"{route}\" {{ capabilities = [\"read\"] }}"
            ),
        ),
        other => return of_node(error, other, config),
    };
    told(error, message, advice)
}

/// Why there is no token.
pub(super) fn of_login(error: Error, config: &Config, mount: &str) -> Error {
    let (message, advice) = match status(&error) {
        Some(400) => (
            format!("AppRole at auth/{mount} does not accept role id and secret id"),
            "look whether both are complete and of one role, and make a new secret id if this one \
             is used up: vault write -f auth/…/role/ROLE/secret-id"
                .to_owned(),
        ),
        Some(403 | 404) => (
            format!("nobody can log in at auth/{mount}{}", inside(config)),
            "look where AppRole is mounted (vault auth list), and in which namespace".to_owned(),
        ),
        other => return of_node(error, other, config),
    };
    // An id that may be used once may be used up now.
    told(error, message, advice)
}

/// What has nothing to do with what was asked.
fn of_node(error: Error, status: Option<u16>, config: &Config) -> Error {
    let (message, advice) = match status {
        Some(300..=399) => (
            "it stands by, and sends away whoever asks",
            "write the address of the active node, or of what leads to it, as url",
        ),
        Some(412) => ("it does not have the newest state yet", "try again"),
        Some(429) => {
            ("it allows no more calls for now", "try again later, or look at its rate limit quotas")
        }
        Some(472) => (
            "it stands by for disaster recovery, and answers nothing",
            "write the address of the primary cluster as url",
        ),
        Some(473) => (
            "it is a performance standby that answers nothing",
            "write the address of the active node, or of what leads to it, as url",
        ),
        Some(501) => ("it is not initialised", "initialise it: vault operator init"),
        Some(503) => (
            "it is sealed, or in maintenance",
            "look with: vault status; unseal it with: vault operator unseal",
        ),
        Some(500 | 502 | 504) => ("it failed", "look with: vault status; and try again"),
        Some(_) => ("it refuses", "look with: vault status"),
        None => ("it could not be asked", "look whether the address is right and it runs"),
    };
    told(error, format!("Vault at {}: {message}", config.url), advice.to_owned())
}

/// The error under a message of our own; what is decided on stays.
fn told(error: Error, message: String, advice: String) -> Error {
    let mut outer =
        Error::new(error.kind(), error.operation(), message).with_advice(advice).without_effect();
    if error.is_retryable() {
        outer = outer.retryable();
    }
    outer.with_source(error)
}

fn status(error: &Error) -> Option<u16> {
    error.source()?.downcast_ref::<Refused>().map(|refused| refused.status)
}

fn inside(config: &Config) -> String {
    match &config.namespace {
        Some(namespace) => format!(" in namespace {namespace}"),
        None => String::new(),
    }
}

/// Why there is nothing at a path; `answer` comes with 404.
pub(super) fn missing(answer: &Json, config: &Config, path: &str) -> Error {
    let mount = &config.mount;
    let version = answer.at("/data/metadata/version").and_then(Value::as_u64);
    let is_destroyed = answer.at("/data/metadata/destroyed").and_then(Value::as_bool);
    let errors = answer.at("/errors").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let (message, advice) = match (version, is_destroyed) {
        (Some(version), Some(true)) => (
            format!("version {version} of {path} is destroyed"),
            format!("write a new one: vault kv put -mount={mount} {path} …"),
        ),
        (Some(version), _) => (
            format!("version {version} of {path} is deleted"),
            format!("bring it back: vault kv undelete -mount={mount} -versions={version} {path}"),
        ),
        // It says why when there is no engine, and nothing when there is no document.
        (None, _) if errors.is_empty() => (
            format!("there is no document {path} at {mount}{}", inside(config)),
            format!(
                "look with: vault kv list -mount={mount}; the path is without mount and `data/`, \
                 and the engine has to be version 2"
            ),
        ),
        (None, _) => (
            format!("there is no KV engine at {mount}{}", inside(config)),
            "look with: vault secrets list".to_owned(),
        ),
    };
    Error::new(ErrorKind::NotFound, "read a document of Vault", message)
        .with_advice(advice)
        .without_effect()
}

/// An answer without a document in it.
pub(super) fn no_document(answer: &Json, config: &Config, path: &str) -> Error {
    let found = answer.at("/data/data").or_else(|| answer.at("/data"));
    let found = found.map_or("nothing", kind);
    let message = format!("the answer for {path} has {found} where the document should be");
    Error::new(ErrorKind::Unexpected, "read a document of Vault", message)
        .with_advice(format!(
            "look whether url is that of a Vault, and {} a KV engine of version 2",
            config.mount
        ))
        .without_effect()
}

/// An answer that is no JSON.
pub(super) fn senseless(operation: &'static str, status: u16) -> Error {
    Error::new(ErrorKind::Unexpected, operation, format!("the answer ({status}) makes no sense"))
        .with_advice("look whether url is that of a Vault")
        .without_effect()
}

/// A login without a token.
pub(super) fn no_token(answer: &Json) -> Error {
    let needs_more = answer.at("/auth/mfa_requirement").is_some_and(|more| !more.is_null());
    let (kind, message) = if needs_more {
        (ErrorKind::Denied, "a second factor is asked for, which a program does not have")
    } else {
        (ErrorKind::Unexpected, "the answer has no token in it")
    };
    Error::new(kind, "log in to Vault", message)
        .with_advice("look whether url is that of a Vault, and at the role")
        .without_effect()
}
