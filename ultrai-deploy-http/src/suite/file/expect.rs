//! What an answer must be: the fields of a `[[check]]` in a `deploy.toml`.

use super::reader::{Field, Table};
use crate::{
    header::{HeaderName, HeaderValue},
    json_path::{ExpectFound, JsonPath},
    pattern::Pattern,
    pointer::Pointer,
    spec::Expect,
    status::StatusSet,
};

/// The fields of an item of `json_path`.
pub(super) const FOUND: &[&str] = &["path", "exists", "equals", "matches", "at_least"];

/// Reads the fields; where the version stands is told apart, as it is not known here what it must be.
pub(super) fn read(table: &mut Table<'_>) -> (Expect, Option<Pointer>) {
    let mut expect = Expect::default();
    if let Some(field) = table.take("status") {
        let items = field.items("[200]");
        let statuses = items.iter().filter_map(|item| item.number(200..=599)).collect();
        expect.status = StatusSet::new(statuses).unwrap_or_default();
    }
    for field in entries(table, "json") {
        let value = field.json();
        expect.json.extend(field.parse_name(|text| Pointer::new(text)).zip(value));
    }
    for item in items(table, "json_exists", "[\"/uptime\"]") {
        expect.json_exists.extend(item.parse(|text| Pointer::new(text)));
    }
    for item in items(table, "json_path", "[{ path = \"$.items[*]\", at_least = 1 }]") {
        expect.json_path.extend(found(&item));
    }
    expect.body_matches = table.take("body_matches").and_then(|field| field.parse(Pattern::new));
    for field in entries(table, "header") {
        let value = field.parse(HeaderValue::new);
        expect.header.extend(field.parse_name(HeaderName::new).zip(value));
    }
    for item in items(table, "header_exists", "[\"x-request-id\"]") {
        expect.header_exists.extend(item.parse(HeaderName::new));
    }
    for field in entries(table, "header_matches") {
        let pattern = field.parse(Pattern::new);
        expect.header_matches.extend(field.parse_name(HeaderName::new).zip(pattern));
    }
    expect.max_latency = table.take("max_latency").and_then(|field| field.duration());
    let version_at =
        table.take("version_at").and_then(|field| field.parse(|text| Pointer::new(text)));
    (expect, version_at)
}

fn found(item: &Field<'_>) -> Option<ExpectFound> {
    let mut table = item.table(FOUND)?;
    let path = table
        .require("path", "write path = \"$.providers[?@.status == 'available']\"")
        .and_then(|field| field.parse(|text| JsonPath::new(text)));
    let exists = table.take("exists").and_then(|field| field.switch());
    let equals = table.take("equals").and_then(|field| field.json());
    let matches = table.take("matches").and_then(|field| field.parse(Pattern::new));
    let at_least = table.take("at_least").and_then(|field| field.number(1..=1_000_000));
    if exists == Some(false) && (equals.is_some() || matches.is_some() || at_least.is_some()) {
        table.problem("nothing can be said of what must not exist", "keep exists = false alone");
    }
    table.finish();
    Some(ExpectFound { exists, equals, matches, at_least, ..ExpectFound::new(path?) })
}

fn entries<'a>(table: &mut Table<'a>, name: &'static str) -> Vec<Field<'a>> {
    table.take(name).map(|field| field.entries()).unwrap_or_default()
}

fn items<'a>(table: &mut Table<'a>, name: &'static str, example: &str) -> Vec<Field<'a>> {
    table.take(name).map(|field| field.items(example)).unwrap_or_default()
}
