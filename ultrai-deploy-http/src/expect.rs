//! Compares an answer with what it must be. Pure.

use serde_json::Value;
use ultrai_deploy_core::version::Version;

use crate::{
    client::{Answer, BodyEnd},
    header::HeaderName,
    pointer::Pointer,
    spec::{Expect, ExpectVersion},
};

/// Longest piece of an answer that is quoted in a reason.
const MAX_QUOTE: usize = 120;

impl Expect {
    /// All that is wrong with `answer`, for people; empty when it is as declared.
    pub fn differences(&self, answer: &Answer) -> Vec<String> {
        let mut found = Vec::new();
        if !self.status.contains(answer.status) {
            found.push(format!("answered {}, not {}", answer.status, self.status));
        }
        self.differences_in_headers(answer, &mut found);
        if let Some(most) = self.max_latency.filter(|most| answer.latency > *most) {
            found.push(format!("took {:?}, longer than {most:?}", rounded(answer.latency)));
        }
        match &answer.end {
            BodyEnd::Whole | BodyEnd::Cut => {}
            BodyEnd::Late(limit) => {
                found.push(format!("the body had not ended after {limit:?}"));
                return found;
            }
            BodyEnd::Broken(why) => {
                let length = answer.body.len();
                found.push(format!("the body broke off after {length} bytes: {why}"));
                return found;
            }
        }
        if self.looks_at_json() || self.body_matches.is_some() {
            self.differences_in_body(answer, &mut found);
        }
        found
    }

    fn differences_in_headers(&self, answer: &Answer, found: &mut Vec<String>) {
        for (name, wanted) in &self.header {
            let equal = |value: &[u8]| value == wanted.as_str().as_bytes();
            found.extend(header_difference(answer, name, &quote(wanted.as_str()), equal));
        }
        for name in &self.header_exists {
            found.extend(header_difference(answer, name, "", |_| true));
        }
        for (name, pattern) in &self.header_matches {
            let matching = |value: &[u8]| pattern.matches(&String::from_utf8_lossy(value));
            let wanted = format!("what matches {pattern}");
            found.extend(header_difference(answer, name, &wanted, matching));
        }
    }

    fn looks_at_json(&self) -> bool {
        !self.json.is_empty()
            || !self.json_exists.is_empty()
            || !self.json_path.is_empty()
            || self.version.is_some()
    }

    fn differences_in_body(&self, answer: &Answer, found: &mut Vec<String>) {
        if answer.end == BodyEnd::Cut {
            found.push(format!("the body is longer than {} bytes", answer.body.len()));
            return;
        }
        if let Some(pattern) = &self.body_matches {
            let text = String::from_utf8_lossy(&answer.body);
            if !pattern.matches(&text) {
                found.push(format!("the body does not match {pattern}: {}", quote(&text)));
            }
        }
        if self.looks_at_json() {
            self.differences_in_json(answer, found);
        }
    }

    fn differences_in_json(&self, answer: &Answer, found: &mut Vec<String>) {
        let body: Value = match serde_json::from_slice(&answer.body) {
            Ok(body) => body,
            Err(error) => {
                found.push(format!("the body is not JSON: {error}"));
                return;
            }
        };
        for (at, wanted) in &self.json {
            match body.pointer(at.as_str()) {
                None => found.push(missing(at)),
                Some(is) if !same(is, wanted) => found.push(format!(
                    "{at} is {}, not {}",
                    shorten(&is.to_string()),
                    shorten(&wanted.to_string())
                )),
                Some(_) => {}
            }
        }
        for at in &self.json_exists {
            if body.pointer(at.as_str()).is_none() {
                found.push(missing(at));
            }
        }
        found.extend(self.json_path.iter().filter_map(|expected| expected.difference(&body)));
        if let Some(version) = &self.version {
            found.extend(version.difference(&body));
        }
    }
}

impl ExpectVersion {
    fn difference(&self, body: &Value) -> Option<String> {
        let Some(value) = body.pointer(self.at.as_str()) else {
            return Some(missing(&self.at));
        };
        match value.as_str().map(Version::parse) {
            Some(Ok(version)) if version == self.is => None,
            Some(Ok(version)) => Some(format!("{} is version {version}, not {}", self.at, self.is)),
            Some(Err(_)) | None => Some(format!(
                "{} is {}, which is no semantic version; {} was expected",
                self.at,
                shorten(&value.to_string()),
                self.is
            )),
        }
    }
}

fn header_difference(
    answer: &Answer,
    name: &HeaderName,
    wanted: &str,
    holds: impl Fn(&[u8]) -> bool,
) -> Option<String> {
    let values = answer.headers.get_all(name.as_str());
    if values.iter().any(|value| holds(value.as_bytes())) {
        return None;
    }
    Some(match values.iter().next() {
        None => format!("header {name} is missing"),
        Some(_) if name.is_credential() => format!("header {name} is another"),
        Some(value) => {
            let is = quote(&String::from_utf8_lossy(value.as_bytes()));
            format!("header {name} is {is}, not {wanted}")
        }
    })
}

/// Latency to the tenth of a millisecond: what is below is noise.
pub(crate) fn rounded(latency: std::time::Duration) -> std::time::Duration {
    std::time::Duration::from_micros(
        u64::try_from(latency.as_micros() / 100 * 100).unwrap_or(u64::MAX),
    )
}

fn missing(at: &Pointer) -> String {
    format!("{at} is missing in the body")
}

pub(crate) fn same(is: &Value, wanted: &Value) -> bool {
    match (is, wanted) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len()
                && a.iter().all(|(key, a)| b.get(key).is_some_and(|wanted| same(a, wanted)))
        }
        (a, b) => a == b,
    }
}

pub(crate) fn quote(text: &str) -> String {
    // A body may be a megabyte, of which no more is shown than this.
    let beginning: String = text.chars().take(MAX_QUOTE + 1).collect();
    shorten(&format!("\"{}\"", beginning.escape_debug()))
}

pub(crate) fn shorten(text: &str) -> String {
    match text.char_indices().nth(MAX_QUOTE) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        let mut headers = HeaderMap::new();
        headers.insert("content-type", "application/json".parse().unwrap());
        headers.insert("set-cookie", "session=hunter2".parse().unwrap());
        Answer {
            status,
            headers,
            body: body.as_bytes().to_vec(),
            end: BodyEnd::Whole,
            latency: Duration::from_millis(20),
        }
    }

    fn expect(value: Value) -> Expect {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn each_difference_is_told() {
        let body = r#"{"status":"starting","n":1.0,"v":"v1.1.0","x":null,"list":[{"a":1}]}"#;
        for (wanted, told) in [
            (json!({}), None),
            (json!({"status": [200, 401]}), None),
            (json!({"status": [204]}), Some("answered 200, not 204")),
            (json!({"json": {"/n": 1, "/list": [{"a": 1.0}]}}), None),
            (
                json!({"json": {"/status": "healthy"}}),
                Some(r#"/status is "starting", not "healthy""#),
            ),
            (json!({"json": {"/list/1": 1}}), Some("/list/1 is missing in the body")),
            (json!({"json_exists": ["/x", "/list/0/a"]}), None),
            (json!({"json_exists": ["/y"]}), Some("/y is missing in the body")),
            (json!({"version": {"at": "/v", "is": "1.1.0"}}), None),
            (
                json!({"version": {"at": "/v", "is": "1.2.0"}}),
                Some("/v is version v1.1.0, not 1.2.0"),
            ),
            (
                json!({"version": {"at": "/n", "is": "1.2.0"}}),
                Some("/n is 1.0, which is no semantic version; 1.2.0 was expected"),
            ),
            (json!({"header": {"Content-Type": "application/json"}}), None),
            (
                json!({"header": {"content-type": "text/html"}}),
                Some(r#"header content-type is "application/json", not "text/html""#),
            ),
            (json!({"header": {"x-a": "1"}}), Some("header x-a is missing")),
            (json!({"header": {"set-cookie": "a=b"}}), Some("header set-cookie is another")),
            (json!({"header_exists": ["content-type"]}), None),
            (json!({"header_exists": ["x-a"]}), Some("header x-a is missing")),
            (json!({"header_matches": {"content-type": "^application/"}}), None),
            (
                json!({"header_matches": {"content-type": "^text/"}}),
                Some(r#"header content-type is "application/json", not what matches /^text//"#),
            ),
            (json!({"header_matches": {"set-cookie": "^x"}}), Some("header set-cookie is another")),
            (json!({"body_matches": "\"start(ing|ed)\""}), None),
            (json!({"json_path": [{"path": "$.list[?@.a == 1]"}]}), None),
            (json!({"json_path": [{"path": "$.none"}]}), Some("$.none finds nothing in the body")),
            (json!({"max_latency": {"secs": 1, "nanos": 0}}), None),
            (
                json!({"max_latency": {"secs": 0, "nanos": 1_000_000}}),
                Some("took 20ms, longer than 1ms"),
            ),
        ] {
            let found = expect(wanted.clone()).differences(&answer(200, body));
            assert_eq!(found, told.into_iter().collect::<Vec<_>>(), "{wanted}");
        }
    }

    #[test]
    fn a_body_that_does_not_match_is_quoted() {
        let wanted = json!({"body_matches": "^Welcome$"});
        let found = expect(wanted).differences(&answer(200, "<h1>It works!</h1>"));
        assert_eq!(found, [r#"the body does not match /^Welcome$/: "<h1>It works!</h1>""#]);
    }

    #[test]
    fn all_differences_are_told_at_once() {
        let wanted = json!({"status": [204], "json": {"/a": 1}, "header": {"x-a": "1"}});
        assert_eq!(expect(wanted).differences(&answer(200, "{}")).len(), 3);
    }

    #[test]
    fn a_body_that_was_not_read_whole_proves_nothing() {
        let wanted = expect(json!({"json_exists": [""]}));
        for (end, told) in [
            (BodyEnd::Cut, "the body is longer than 2 bytes"),
            (BodyEnd::Broken("eof".into()), "the body broke off after 2 bytes: eof"),
            (BodyEnd::Late(Duration::from_secs(1)), "the body had not ended after 1s"),
        ] {
            let answer = Answer { end, ..answer(200, "{}") };
            assert_eq!(wanted.differences(&answer), [told]);
        }
        let cut = Answer { end: BodyEnd::Cut, ..answer(200, "{}") };
        assert!(Expect::default().differences(&cut).is_empty(), "nobody asked for the body");
    }

    #[test]
    fn long_values_are_quoted_in_part() {
        let body = format!(r#"{{"a":"{}"}}"#, "ä".repeat(10_000));
        let found = expect(json!({"json": {"/a": 1}})).differences(&answer(200, &body));
        assert!(found[0].len() < 400, "{}", found[0].len());
    }
}
