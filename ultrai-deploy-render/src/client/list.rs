//! Lists that come in pages.
//!
//! A page is an array of envelopes, each with a thing and the position after it. The last page is
//! one that is not full.

use std::collections::HashSet;

use serde::{Deserialize, Deserializer, de::DeserializeOwned, de::Error as _};
use serde_json::{Map, Value};
use ultrai_deploy_core::{Context, Error, ErrorKind, Result};
use ultrai_deploy_http::api::{Call, Reply};

use super::Client;
use crate::model::{Deploy, Event, Job, Owner, Postgres, SecretFile, Service, Variable};

/// The largest page that Render gives.
const PAGE: usize = 100;
/// More pages than any list has: 20,000 things. A list that goes on is a server that repeats
/// itself.
const MOST_PAGES: usize = 200;

/// A thing that is listed in envelopes.
pub(super) trait Listed: DeserializeOwned {
    /// What it is called in its envelope.
    const KEY: &'static str;
    /// Whether nothing of an answer that cannot be read may be shown.
    const IS_SECRET: bool = false;
}

impl Listed for Owner {
    const KEY: &'static str = "owner";
}

impl Listed for Service {
    const KEY: &'static str = "service";
}

impl Listed for Deploy {
    const KEY: &'static str = "deploy";
}

impl Listed for Event {
    const KEY: &'static str = "event";
}

impl Listed for Job {
    const KEY: &'static str = "job";
}

impl Listed for Postgres {
    const KEY: &'static str = "postgres";
}

impl Listed for Variable {
    const KEY: &'static str = "envVar";
    const IS_SECRET: bool = true;
}

impl Listed for SecretFile {
    const KEY: &'static str = "secretFile";
    const IS_SECRET: bool = true;
}

/// An envelope.
struct Row<T> {
    cursor: Option<String>,
    thing: T,
}

impl<'de, T: Listed> Deserialize<'de> for Row<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let mut envelope = Map::<String, Value>::deserialize(deserializer)?;
        let cursor = envelope.remove("cursor");
        let cursor = cursor.and_then(|cursor| cursor.as_str().map(str::to_owned));
        let thing = envelope.remove(T::KEY).ok_or_else(|| D::Error::missing_field(T::KEY))?;
        let thing = T::deserialize(thing).map_err(D::Error::custom)?;
        Ok(Self { cursor, thing })
    }
}

impl Client {
    /// The first `at_most` things of a list, or all.
    pub(super) async fn list<T: Listed>(
        &self,
        cx: &Context,
        call: Call,
        at_most: Option<usize>,
    ) -> Result<Vec<T>> {
        let wanted = at_most.unwrap_or(usize::MAX);
        let (mut things, mut seen) = (Vec::new(), HashSet::new());
        let mut cursor: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let limit = PAGE.min(wanted.saturating_sub(things.len()));
            if limit == 0 {
                return Ok(things);
            }
            let mut page = call.clone().with_query("limit", limit.to_string());
            if let Some(cursor) = &cursor {
                page = page.with_query("cursor", cursor);
            }
            let rows: Vec<Row<T>> = rows(call.operation(), &self.send(cx, &page).await?)?;
            let is_last = rows.len() < limit;
            let next = rows.last().and_then(|row| row.cursor.clone());
            things.extend(rows.into_iter().map(|row| row.thing));
            if is_last || things.len() >= wanted {
                return Ok(things);
            }
            let Some(next) = next else {
                return Err(endless(&call, "a full page does not tell where the next one begins"));
            };
            if !seen.insert(next.clone()) {
                return Err(endless(&call, "it comes back to where it was"));
            }
            cursor = Some(next);
        }
        Err(endless(&call, &format!("there is more after {MOST_PAGES} pages")))
    }
}

/// The rows of an answer that is a page, or that is a whole list.
fn rows<T: Listed>(operation: &'static str, reply: &Reply) -> Result<Vec<Row<T>>> {
    let rows: Option<Vec<Row<T>>> =
        if T::IS_SECRET { secret_json(operation, reply)? } else { reply.json()? };
    Ok(rows.unwrap_or_default())
}

/// The things of an answer that is a whole list.
pub(super) fn whole<T: Listed>(operation: &'static str, reply: &Reply) -> Result<Vec<T>> {
    Ok(rows(operation, reply)?.into_iter().map(|row| row.thing).collect())
}

/// Reads an answer that holds values: an error shows nothing of it, and neither does its source.
pub(super) fn secret_json<T: DeserializeOwned>(
    operation: &'static str,
    reply: &Reply,
) -> Result<T> {
    serde_json::from_slice(reply.body()).map_err(|odd| {
        let status = reply.status();
        let place = format!("line {}, column {}", odd.line(), odd.column());
        let message = format!(
            "the answer ({status}) does not have the form that it should at {place}; it may hold \
             secrets and is not shown"
        );
        Error::new(ErrorKind::Unexpected, operation, message)
            .with_advice("look whether the address is that of the API")
    })
}

fn endless(call: &Call, why: &str) -> Error {
    let message = format!("the list does not end: {why}");
    Error::new(ErrorKind::Unexpected, call.operation(), message).without_effect()
}
