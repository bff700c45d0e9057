//! The headers of a request, of which some have values that only the moment of sending knows.

use std::collections::BTreeMap;

use reqwest::header::{self, HeaderMap};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    name::SecretName,
    secret::{SecretSource, Secrets},
};

use crate::header::{HeaderName, HeaderValue};

/// Refuses what `check` cannot send, or must not be stored with.
///
/// # Errors
/// [`ErrorKind::Invalid`] for a credential in the open, and for a secret that nothing could give.
pub(crate) fn check(
    check: &str,
    open: &BTreeMap<HeaderName, HeaderValue>,
    secret: &BTreeMap<HeaderName, SecretName>,
    has_source: bool,
) -> Result<()> {
    if let Some(header) = open.keys().find(|header| header.is_credential()) {
        return Err(invalid(format!(
            "`{check}` stores the credential of header {header} with the release"
        ))
        .with_advice("name the secret that holds its value in secret_headers"));
    }
    match secret.values().next() {
        Some(secret) if !has_source => {
            Err(invalid(format!("`{check}` needs secret {secret}, and there is no source")))
        }
        _ => Ok(()),
    }
}

/// The headers with the values of their secrets, and what these are.
///
/// # Errors
/// [`ErrorKind::Invalid`] when a secret has no value, or one that no header can have; what the source
/// fails with.
pub(crate) async fn resolve(
    check: &str,
    open: &BTreeMap<HeaderName, HeaderValue>,
    secret: &BTreeMap<HeaderName, SecretName>,
    cx: &Context,
    source: Option<&dyn SecretSource>,
) -> Result<(HeaderMap, Secrets)> {
    let mut headers = HeaderMap::new();
    let mut used = Secrets::new();
    for (name, value) in open {
        headers.insert(header_name(name)?, header_value(value.as_str())?);
    }
    for (name, secret) in secret {
        let value = match (cx.secret(secret), source) {
            (Some(own), _) => Some(own.clone()),
            (None, Some(source)) => source.get(secret).await?,
            (None, None) => None,
        }
        .ok_or_else(|| invalid(format!("secret {secret} of `{check}` has no value")))?;
        let mut text = header_value(value.expose())?;
        text.set_sensitive(true);
        headers.insert(header_name(name)?, text);
        used.insert(secret.clone(), value);
    }
    Ok((headers, used))
}

fn header_name(name: &HeaderName) -> Result<header::HeaderName> {
    header::HeaderName::from_bytes(name.as_str().as_bytes())
        .map_err(|source| invalid(format!("`{name}` is no header name")).with_source(source))
}

fn header_value(text: &str) -> Result<header::HeaderValue> {
    header::HeaderValue::from_str(text).map_err(|source| {
        invalid("the value of a header holds a line break or a control character")
            .with_source(source)
    })
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "make a check", message).without_effect()
}
