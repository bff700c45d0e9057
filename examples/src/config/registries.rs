//! `registry` and `[registries."HOST"]`: where built images are pushed, and who logs in.

use std::collections::BTreeMap;

use ultrai_deploy_core::{Result, name::SecretName};
use ultrai_deploy_docker::registry::Destination;

use super::{
    backend::{Kind, invalid},
    reader::{Field, Table},
};

/// Who logs in to a registry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Login {
    /// The user.
    pub username: String,
    /// The secret that is the password.
    pub password: SecretName,
}

/// Takes `registry`.
pub(super) fn destination(kind: Option<Kind>, table: &mut Table<'_>) -> Option<Destination> {
    Kind::take_own(kind, table, "registry", &[Kind::Compose])?.parse(Destination::parse)
}

/// Takes `registries`.
pub(super) fn logins(kind: Option<Kind>, table: &mut Table<'_>) -> BTreeMap<String, Login> {
    let Some(field) = Kind::take_own(kind, table, "registries", &[Kind::Compose]) else {
        return BTreeMap::new();
    };
    let fields = field.table().map(|mut table| table.take_all()).unwrap_or_default();
    let read = |field: &Field<'_>| {
        let host = field.parse_name(host);
        let login = field.table().and_then(login);
        Some((host?, login?))
    };
    fields.iter().filter_map(read).collect()
}

fn login(mut table: Table<'_>) -> Option<Login> {
    let remedy = "write username = \"…\" and password = \"NAME_OF_A_SECRET\"";
    let username = table.require("username", remedy).and_then(|field| field.parse(user));
    let password = table.require("password", remedy);
    let password = password.and_then(|field| field.parse(|text| SecretName::new(text)));
    table.finish();
    Some(Login { username: username?, password: password? })
}

fn host(text: &str) -> Result<String> {
    let is_host = !text.contains('/') && Destination::parse(text).is_ok();
    if is_host {
        return Ok(text.to_owned());
    }
    Err(invalid(format!("\"{}\" is no registry", text.escape_default())).with_advice(
        "write [registries.\"registry.example.com\"], with the port if it has its own",
    ))
}

fn user(text: &str) -> Result<String> {
    if text.trim().is_empty() {
        return Err(invalid("it is empty".to_owned()).with_advice("write who logs in"));
    }
    Ok(text.to_owned())
}
