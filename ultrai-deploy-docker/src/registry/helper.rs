//! Credential helpers: programs `docker-credential-NAME` that keep logins.
//!
//! `get` takes the registry on standard input and answers JSON on standard output.

use std::{collections::BTreeMap, process::Stdio, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Command,
};
use ultrai_deploy_core::{
    error::{Error, ErrorKind, Result},
    secret::Secret,
};

use super::{Credentials, host, invalid};

/// Longest answer, in bytes. Tokens of clouds have some thousand.
const LONGEST: u64 = 64 << 10;
/// What all helpers say when they do not know a registry (docker-credential-helpers).
const NOT_FOUND: &str = "credentials not found in native keychain";
/// The user name that stands for an identity token.
const TOKEN: &str = "<token>";

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Answer {
    username: String,
    secret: String,
}

/// Asks a helper; nothing when it does not know the registry. The helper ends with the future.
pub(super) async fn get(
    name: &str,
    registry: &str,
    env: Option<&BTreeMap<String, String>>,
    patience: Duration,
) -> Result<Option<Credentials>> {
    // It becomes part of the name of a program, which is looked for in PATH only.
    if !name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c)) {
        let name = name.escape_default();
        return Err(invalid(format!("\"{name}\" is no name of a credential helper")));
    }
    let program = format!("docker-credential-{name}");
    let asked = tokio::time::timeout(patience, ask(&program, host::to_key(registry), env)).await;
    let (success, answer) = asked.unwrap_or_else(|_late| {
        let message = format!("{program} gave no answer for {registry} within {patience:?}");
        Err(failed(ErrorKind::Timeout, message, &program, registry))
    })?;
    if !success {
        // What it says may be anything: only the one sentence that means something is looked for.
        if String::from_utf8_lossy(&answer).trim() == NOT_FOUND {
            return Ok(None);
        }
        let message = format!("{program} failed for {registry}");
        return Err(failed(ErrorKind::Unavailable, message, &program, registry));
    }
    // The parser's own words may quote the secret.
    let answer: Answer = serde_json::from_slice(&answer).map_err(|_quotes| {
        let message = format!("what {program} says of {registry} is not of the expected form");
        failed(ErrorKind::Invalid, message, &program, registry)
    })?;
    let secret = Secret::new(answer.secret);
    if answer.username.is_empty() && secret.expose().is_empty() {
        return Ok(None);
    }
    Ok(Some(if answer.username == TOKEN {
        Credentials::identity(registry, secret)
    } else {
        Credentials::password(registry, &answer.username, secret)
    }))
}

async fn ask(
    program: &str,
    server: &str,
    env: Option<&BTreeMap<String, String>>,
) -> Result<(bool, Vec<u8>)> {
    let mut command = Command::new(program);
    command.arg("get").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.kill_on_drop(true);
    if let Some(env) = env {
        command.env_clear().envs(env);
    }
    let mut child = command.spawn().map_err(|source| {
        invalid(format!("{program}, which keeps the login of {server}, cannot be started"))
            .with_advice("install it, or take it out of Docker's configuration")
            .with_source(source)
    })?;
    if let Some(mut input) = child.stdin.take() {
        // One that does not read has its reasons; its answer tells.
        let _unread = input.write_all(format!("{server}\n").as_bytes()).await;
    }
    let mut answer = Vec::new();
    if let Some(output) = child.stdout.take() {
        let read = output.take(LONGEST + 1).read_to_end(&mut answer).await;
        read.map_err(|source| unusable(program, server).with_source(source))?;
    }
    if answer.len() as u64 > LONGEST {
        return Err(unusable(program, server));
    }
    let status =
        child.wait().await.map_err(|source| unusable(program, server).with_source(source))?;
    Ok((status.success(), answer))
}

fn unusable(program: &str, server: &str) -> Error {
    let message = format!("the answer of {program} cannot be read or is too long");
    failed(ErrorKind::Unavailable, message, program, server)
}

fn failed(kind: ErrorKind, message: String, program: &str, registry: &str) -> Error {
    let server = host::to_key(registry);
    Error::new(kind, "log in to the registry", message)
        .with_advice(format!("see what `echo {server} | {program} get` says"))
        .without_effect()
}
