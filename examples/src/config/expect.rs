//! What an HTTP answer must be, and how long a check is waited for: shared by `[[check]]` and a
//! service's `health`.

use std::{collections::BTreeMap, time::Duration};

use ultrai_deploy_core::{health::Timing, name::SecretName, version::Version};
use ultrai_deploy_http::{
    body::Body,
    header::{HeaderName, HeaderValue},
    json_path::{ExpectFound, JsonPath},
    method::Method,
    pattern::Pattern,
    pointer::Pointer,
    spec::{Expect, ExpectVersion, HttpAt, HttpSpec, ProbeSpec},
    status::StatusSet,
};

use super::reader::{Field, Table};

/// A request and what its answer must be, but for where it goes.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Request {
    method: Method,
    body: Option<Body>,
    headers: BTreeMap<HeaderName, HeaderValue>,
    secret_headers: BTreeMap<HeaderName, SecretName>,
    expect: Expect,
    version_at: Option<Pointer>,
}

impl Request {
    /// Reads the fields, and tells the first that was set.
    pub(super) fn read(table: &mut Table<'_>) -> (Self, Option<&'static str>) {
        let mut first = None;
        let mut take = |name| {
            let field = table.take(name);
            if field.is_some() {
                first.get_or_insert(name);
            }
            field
        };
        let mut request = Self::default();
        if let Some(method) = take("method").and_then(|field| field.parse(Method::parse)) {
            request.method = method;
        }
        request.body = body(take("json_body"), take("body"), request.method);
        if let Some(field) = take("status") {
            request.expect.status = status(&field);
        }
        if let Some(field) = take("json") {
            for field in fields(&field) {
                let (at, value) = (field.parse_name(|text| Pointer::new(text)), field.json());
                request.expect.json.extend(at.zip(value));
            }
        }
        if let Some(field) = take("json_exists") {
            let items = field.items("[\"/uptime\"]");
            request.expect.json_exists =
                items.iter().filter_map(|item| item.parse(|text| Pointer::new(text))).collect();
        }
        if let Some(field) = take("json_path") {
            let items = field.items("[{ path = \"$.items[*]\", at_least = 1 }]");
            request.expect.json_path = items.iter().filter_map(found).collect();
        }
        request.expect.body_matches =
            take("body_matches").and_then(|field| field.parse(Pattern::new));
        request.version_at =
            take("version_at").and_then(|field| field.parse(|text| Pointer::new(text)));
        if let Some(field) = take("header") {
            request.expect.header = headers(&field);
        }
        if let Some(field) = take("header_exists") {
            let items = field.items("[\"x-request-id\"]");
            request.expect.header_exists =
                items.iter().filter_map(|item| item.parse(HeaderName::new)).collect();
        }
        if let Some(field) = take("header_matches") {
            for field in fields(&field) {
                let name = field.parse_name(HeaderName::new);
                request.expect.header_matches.extend(name.zip(field.parse(Pattern::new)));
            }
        }
        request.expect.max_latency = take("max_latency").and_then(|field| field.some_duration());
        if let Some(field) = take("request_headers") {
            request.headers = request_headers(&field);
        }
        if let Some(field) = take("secret_headers") {
            for field in fields(&field) {
                let name = field.parse_name(HeaderName::new);
                let secret = field.parse(|text| SecretName::new(text));
                request.secret_headers.extend(name.zip(secret));
            }
        }
        (request, first)
    }

    /// The probe of a release of `version`.
    pub(super) fn probe(&self, at: HttpAt, version: &Version) -> ProbeSpec {
        let mut spec = HttpSpec::new(at).with_expect(self.expect.clone());
        (spec.method, spec.body) = (self.method, self.body.clone());
        spec.request_headers.clone_from(&self.headers);
        spec.secret_headers.clone_from(&self.secret_headers);
        spec.expect.version =
            self.version_at.clone().map(|at| ExpectVersion { at, is: version.clone() });
        ProbeSpec::Http(Box::new(spec))
    }

    pub(super) fn secrets(&self) -> impl Iterator<Item = &SecretName> {
        self.secret_headers.values()
    }
}

/// Reads how long a check is waited for; `deadline` is the one of the policy.
pub(super) fn timing(table: &mut Table<'_>, deadline: Option<Duration>) -> Timing {
    let mut some = |name| table.take(name).and_then(|field| field.some_duration());
    let timeout = some("timeout").unwrap_or(Duration::from_secs(5));
    let interval = some("interval").unwrap_or(Duration::from_secs(2));
    let deadline = some("deadline").or(deadline);
    let retries = table.take("retries").and_then(|field| field.number(1..=1000));
    let rise = table.take("rise").and_then(|field| field.number(1..=1000));
    let start_period = table.take("start_period").and_then(|field| field.duration());
    Timing {
        interval,
        timeout,
        retries: retries.unwrap_or(3),
        rise: rise.unwrap_or(1),
        start_period: start_period.unwrap_or_default(),
        deadline,
        ..Timing::default()
    }
}

fn status(field: &Field<'_>) -> StatusSet {
    let items = field.items("[200]");
    let statuses: Vec<u16> = items.iter().filter_map(|item| item.number(200..=599)).collect();
    StatusSet::new(statuses)
        .map_err(|error| field.problem(error.message(), error.advice().unwrap_or_default()))
        .unwrap_or_default()
}

fn body(json: Option<Field<'_>>, text: Option<Field<'_>>, method: Method) -> Option<Body> {
    if let (Some(_), Some(text)) = (&json, &text) {
        text.name_problem("it sends two things", "keep one of json_body and body");
    }
    let field = json.as_ref().or(text.as_ref())?;
    if method.is_safe() {
        field.name_problem(format!("{method} requests send nothing"), "write method = \"POST\"");
    }
    match json {
        Some(json) => json.json().map(Body::Json),
        None => text?.text().map(|text| Body::Text(text.to_owned())),
    }
}

/// An item of `json_path`.
fn found(item: &Field<'_>) -> Option<ExpectFound> {
    let mut table = item.table()?;
    let path = table
        .require("path", "write path = \"$.providers[?@.status == 'available']\"")
        .and_then(|field| field.parse(|text| JsonPath::new(text)));
    let exists = table.take("exists").and_then(|field| field.switch());
    let equals = table.take("equals").and_then(|field| field.json());
    let matches = table.take("matches").and_then(|field| field.parse(Pattern::new));
    let at_least = table.take("at_least").and_then(|field| field.number(1..=1_000_000));
    let at_least = at_least.and_then(|number: u32| usize::try_from(number).ok());
    if exists == Some(false) && (equals.is_some() || matches.is_some() || at_least.is_some()) {
        table.problem("nothing can be said of what must not exist", "keep exists = false alone");
    }
    table.finish();
    Some(ExpectFound { exists, equals, matches, at_least, ..ExpectFound::new(path?) })
}

fn headers(field: &Field<'_>) -> BTreeMap<HeaderName, HeaderValue> {
    let read = |field: &Field<'_>| {
        let (name, value) = (field.parse_name(HeaderName::new), field.parse(HeaderValue::new));
        name.zip(value)
    };
    fields(field).iter().filter_map(read).collect()
}

fn request_headers(field: &Field<'_>) -> BTreeMap<HeaderName, HeaderValue> {
    for field in fields(field) {
        if HeaderName::new(&field.name).is_ok_and(|name| name.is_credential()) {
            field.name_problem(
                "its value is a credential and would be stored with the release",
                format!("write secret_headers = {{ {} = \"NAME_OF_A_SECRET\" }}", field.name),
            );
        }
    }
    headers(field)
}

fn fields<'a>(field: &Field<'a>) -> Vec<Field<'a>> {
    field.table().map(|mut table| table.take_all()).unwrap_or_default()
}
