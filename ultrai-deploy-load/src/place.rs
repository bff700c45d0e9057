//! Where a load goes, and with which secrets.

use std::sync::Arc;

use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health},
    name::SecretName,
    redact::Redactor,
    secret::{Secret, SecretSource, Secrets},
};
use ultrai_deploy_http::address::{HttpUrl, Located, UrlPath, locate};

/// A place, or why there is none yet.
pub(crate) enum Place {
    At(HttpUrl),
    Nowhere(Health),
}

/// The URL below which requests go.
pub(crate) fn place(
    url: Option<&HttpUrl>,
    port: Option<u16>,
    endpoint: &Endpoint,
) -> Result<Place> {
    if let Some(url) = url {
        return Ok(Place::At(url.clone()));
    }
    if let (None, Some(url)) = (port, &endpoint.url) {
        return Ok(Place::At(HttpUrl::parse(url)?));
    }
    Ok(match locate(endpoint, port)? {
        Located::At(address) => Place::At(HttpUrl::of_address(address, &UrlPath::parse("/")?)?),
        Located::Nowhere(why) => Place::Nowhere(Health::Pending { why, evidence: Vec::new() }),
    })
}

/// The values of secrets: the release's own, else those of `source`.
pub(crate) async fn secrets(
    cx: &Context,
    source: Option<&Arc<dyn SecretSource>>,
    names: impl IntoIterator<Item = SecretName>,
) -> Result<Secrets> {
    let mut secrets = Secrets::new();
    for name in names {
        let value = match (cx.secret(&name), source) {
            (Some(own), _) => Some(own.clone()),
            (None, Some(source)) => source.get(&name).await?,
            (None, None) => None,
        };
        let value = value.ok_or_else(|| {
            Error::new(ErrorKind::Invalid, "make a request", format!("secret {name} has no value"))
                .with_advice("set it in one of the environment's secret sources")
                .without_effect()
        })?;
        secrets.insert(name, value);
    }
    Ok(secrets)
}

/// What cuts `secrets` out of texts. Of a value such as `Bearer abc` the last word is the credential,
/// so that goes by itself, too.
pub(crate) fn redactor(secrets: &Secrets) -> Redactor {
    let last_word = |value: &Secret| value.expose().split_whitespace().next_back().map(Secret::new);
    let words = secrets.iter().filter_map(|(name, value)| Some((name.clone(), last_word(value)?)));
    let mut redactor = Redactor::new(secrets);
    redactor.extend(Redactor::new(&words.collect()));
    redactor
}

/// What cannot be reached is sick.
pub(crate) fn silent(check: &str, why: String) -> Health {
    let evidence = vec![Evidence::new(EvidenceKind::Probe, check, &why)];
    Health::Unhealthy { why, evidence }
}
