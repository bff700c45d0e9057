//! Requests: their stored form, and what is sent.

use std::collections::BTreeMap;

use bytes::Bytes;
use http::{HeaderMap, HeaderName as Name, HeaderValue as Value, Method, Request, Uri, header};
use http_body_util::Full;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{Error, ErrorKind, Result, name::SecretName, secret::Secrets};
use ultrai_deploy_http::{
    address::{HttpUrl, UrlPath},
    header::{HeaderName, HeaderValue},
    status::StatusSet,
};

const USER_AGENT: &str = concat!("ultrai-deploy/", env!("CARGO_PKG_VERSION"));
/// Most requests of one kind for one of another.
const MAX_WEIGHT: u32 = 1000;

/// One kind of request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RequestSpec {
    /// The method; GET by default.
    #[serde(default = "get", skip_serializing_if = "is_get")]
    pub method: String,
    /// The path, with a query where needed, below the address.
    pub path: UrlPath,
    /// How many of these are sent for one of weight 1; 1 by default, 1000 at most.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u32,
    /// A body as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// A JSON body, in place of `body`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<serde_json::Value>,
    /// Headers. Credentials do not belong here but in `secret_headers`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<HeaderName, HeaderValue>,
    /// Headers whose values are secrets, by the names of these.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secret_headers: BTreeMap<HeaderName, SecretName>,
    /// The statuses that are fine; 200 to 299 by default.
    #[serde(default, skip_serializing_if = "StatusSet::is_default")]
    pub status: StatusSet,
}

impl RequestSpec {
    /// A GET request.
    pub fn new(path: UrlPath) -> Self {
        Self {
            method: get(),
            path,
            weight: 1,
            body: None,
            json: None,
            headers: BTreeMap::new(),
            secret_headers: BTreeMap::new(),
            status: StatusSet::default(),
        }
    }

    /// What can be told of it without sending it.
    pub(crate) fn validate(&self) -> Result<()> {
        let path = &self.path;
        self.method()?;
        if !(1..=MAX_WEIGHT).contains(&self.weight) {
            return Err(invalid(format!("the weight of {path} is {}", self.weight))
                .with_advice(format!("use 1 to {MAX_WEIGHT}, or leave the request out")));
        }
        if self.body.is_some() && self.json.is_some() {
            return Err(invalid(format!("the request to {path} has two bodies"))
                .with_advice("use either body or json"));
        }
        if let Some(header) = self.headers.keys().find(|header| header.is_credential()) {
            return Err(invalid(format!(
                "the request to {path} stores the credential of header {header} with the release"
            ))
            .with_advice("name the secret that holds its value in secret_headers"));
        }
        Ok(())
    }

    fn method(&self) -> Result<Method> {
        match Method::from_bytes(self.method.as_bytes()) {
            Ok(method) if method != Method::CONNECT => Ok(method),
            _ => Err(invalid(format!("`{}` is no method", self.method.escape_default()))
                .with_advice("use GET, POST, PUT, PATCH, DELETE, HEAD or OPTIONS")),
        }
    }
}

/// All requests of a load, ready to be sent, in their order.
#[derive(Debug)]
pub(crate) struct Requests {
    templates: Vec<Template>,
    /// Which template each request of a round is of.
    round: Vec<usize>,
}

/// One kind of request, ready to be sent.
#[derive(Debug)]
pub(crate) struct Template {
    parts: http::request::Parts,
    body: Bytes,
    pub(crate) status: StatusSet,
}

impl Requests {
    /// The requests of `specs` below `base`, with the values of `secrets`.
    pub(crate) fn new(base: &HttpUrl, specs: &[RequestSpec], secrets: &Secrets) -> Result<Self> {
        let templates =
            specs.iter().map(|spec| Template::new(base, spec, secrets)).collect::<Result<_>>()?;
        Ok(Self { templates, round: round(specs.iter().map(|spec| spec.weight)) })
    }

    /// The request of this number.
    pub(crate) fn of(&self, number: u64) -> &Template {
        let place = usize::try_from(number % self.round.len() as u64).unwrap_or_default();
        &self.templates[self.round[place]]
    }
}

impl Template {
    fn new(base: &HttpUrl, spec: &RequestSpec, secrets: &Secrets) -> Result<Self> {
        let url = base.below(&spec.path);
        let uri: Uri = url.to_string().parse().map_err(|source: http::uri::InvalidUri| {
            invalid(format!("{url} is no URI")).with_source(source)
        })?;
        let authority = uri.authority().map_or("", http::uri::Authority::as_str);
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, value(authority)?);
        headers.insert(header::USER_AGENT, Value::from_static(USER_AGENT));
        headers.insert(header::ACCEPT, Value::from_static("*/*"));
        if spec.json.is_some() {
            headers.insert(header::CONTENT_TYPE, Value::from_static("application/json"));
        }
        for (own, text) in &spec.headers {
            headers.insert(name(own)?, value(text.as_str())?);
        }
        for (own, secret) in &spec.secret_headers {
            let known = secrets.get(secret);
            let known = known.ok_or_else(|| invalid(format!("secret {secret} has no value")))?;
            let mut text = value(known.expose())?;
            text.set_sensitive(true);
            headers.insert(name(own)?, text);
        }
        let body = match (&spec.body, &spec.json) {
            (Some(text), _) => Bytes::from(text.clone()),
            (None, Some(json)) => Bytes::from(json.to_string()),
            (None, None) => Bytes::new(),
        };
        let (mut parts, ()) = Request::new(()).into_parts();
        parts.method = spec.method()?;
        parts.uri = uri.path_and_query().cloned().map_or_else(Uri::default, Uri::from);
        parts.headers = headers;
        Ok(Self { parts, body, status: spec.status.clone() })
    }

    /// What is sent.
    pub(crate) fn request(&self) -> Request<Full<Bytes>> {
        Request::from_parts(self.parts.clone(), Full::new(self.body.clone()))
    }
}

/// A round in which each kind comes as often as it weighs, evenly spread: each place goes to the kind
/// that is furthest behind (the smooth weighted round-robin of nginx).
fn round(weights: impl Iterator<Item = u32>) -> Vec<usize> {
    let weights: Vec<i64> = weights.map(i64::from).collect();
    let total: i64 = weights.iter().sum();
    let mut behind = vec![0; weights.len()];
    let mut next = || {
        behind.iter_mut().zip(&weights).for_each(|(behind, weight)| *behind += weight);
        let most = (0..weights.len()).rev().max_by_key(|kind| behind[*kind])?;
        behind[most] -= total;
        Some(most)
    };
    (0..total).map_while(|_| next()).collect()
}

fn name(name: &HeaderName) -> Result<Name> {
    Name::from_bytes(name.as_str().as_bytes())
        .map_err(|source| invalid(format!("`{name}` is no header name")).with_source(source))
}

fn value(text: &str) -> Result<Value> {
    Value::from_str(text).map_err(|source| {
        invalid("the value of a header holds a line break or a control character")
            .with_source(source)
    })
}

fn get() -> String {
    "GET".to_owned()
}

fn is_get(method: &String) -> bool {
    method == "GET"
}

fn one() -> u32 {
    1
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_one(weight: &u32) -> bool {
    *weight == 1
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::Invalid, "make a request", message).without_effect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_has_each_kind_as_often_as_it_weighs_and_spreads_it() {
        assert_eq!(round([1].into_iter()), [0]);
        assert_eq!(round([5, 1, 1].into_iter()), [0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn a_request_as_it_is_sent() {
        let base = HttpUrl::parse("http://127.0.0.1:81/base/").unwrap();
        let spec = RequestSpec {
            method: "POST".into(),
            json: Some(serde_json::json!({"a": 1})),
            ..RequestSpec::new(UrlPath::parse("/x?y=1").unwrap())
        };
        let requests = Requests::new(&base, &[spec], &Secrets::new()).unwrap();
        let request = requests.of(7).request();
        assert_eq!(
            (request.method(), request.uri().to_string()),
            (&Method::POST, "/base/x?y=1".into())
        );
        assert_eq!(request.headers()["host"], "127.0.0.1:81");
        assert_eq!(request.headers()["content-type"], "application/json");
        assert_eq!(requests.of(7).body, r#"{"a":1}"#);
    }

    #[test]
    fn what_cannot_be_sent_is_refused_with_advice() {
        let plain = || RequestSpec::new(UrlPath::parse("/").unwrap());
        let open = HeaderName::new("Authorization").unwrap();
        let open = BTreeMap::from([(open, HeaderValue::new("Bearer hunter2").unwrap())]);
        for bad in [
            RequestSpec { method: "G T".into(), ..plain() },
            RequestSpec { method: "CONNECT".into(), ..plain() },
            RequestSpec { weight: 0, ..plain() },
            RequestSpec { body: Some("a".into()), json: Some(1.into()), ..plain() },
            RequestSpec { headers: open, ..plain() },
        ] {
            let error = bad.validate().unwrap_err();
            assert!(error.advice().is_some() && !error.to_string().contains("hunter2"), "{error}");
        }
    }
}
