//! What a probe saw, in a form that may be kept and shown.

use ultrai_deploy_core::{
    evidence::{Evidence, EvidenceKind},
    redact::Redactor,
    secret::{Secret, Secrets},
};

use crate::{
    client::{Answer, BodyEnd},
    expect::rounded,
};

/// How much of a body is kept, in bytes.
pub(crate) const MAX_BODY: usize = 2 * 1024;
/// How much of what an error says stands in a reason, in bytes: a line of a terminal or two.
const MAX_SAID: usize = 160;
/// Longest header value that is kept, in bytes.
const MAX_HEADER: usize = 200;
/// The headers that tell something about a failure. No other is kept: an answer's other headers
/// may hold sessions and tokens under any name.
const KEPT: [&str; 5] = ["content-type", "content-length", "location", "retry-after", "server"];

/// Evidence of the answer to what was asked (`GET http://…`): status, latency, the telling headers, the beginning of the body.
pub(crate) fn answer(check: &str, asked: &str, answer: &Answer, redactor: &Redactor) -> Evidence {
    let mut lines = vec![format!("{asked}: {} after {:?}", answer.status, rounded(answer.latency))];
    for name in KEPT {
        for value in answer.headers.get_all(name) {
            let value = String::from_utf8_lossy(value.as_bytes());
            // The query of a redirect may hold a token.
            let value = if name == "location" {
                value.split(['?', '#']).next().unwrap_or_default()
            } else {
                &value
            };
            lines.push(format!("{name}: {}", beginning(value, MAX_HEADER)));
        }
    }
    let body = redactor.text(&String::from_utf8_lossy(&answer.body));
    if !body.is_empty() {
        lines.push(String::new());
        lines.push(beginning(&body, MAX_BODY));
    }
    let note = match &answer.end {
        BodyEnd::Whole => None,
        BodyEnd::Cut => Some("(the body goes on)"),
        BodyEnd::Late(_) => Some("(the body had not ended in time)"),
        BodyEnd::Broken(_) => Some("(the body broke off)"),
    };
    lines.extend(note.map(str::to_owned));
    Evidence::new(EvidenceKind::Probe, check, redactor.text(&lines.join("\n")))
}

/// What an answer of an error says of it, for the end of a reason: `: {"error":"no database"}`. Nothing
/// of a page for browsers, whose beginning tells nothing.
pub(crate) fn said(answer: &Answer, redactor: &Redactor) -> String {
    if answer.status < 400 {
        return String::new();
    }
    // Before it is cut: a part of a value would not be found any more.
    let body = redactor.text(&String::from_utf8_lossy(&answer.body));
    if body.trim_start().starts_with('<') || body.trim().is_empty() {
        return String::new();
    }
    let body = beginning(&body, MAX_BODY);
    let words: Vec<_> = body.split_whitespace().collect();
    format!(": {}", beginning(&words.join(" "), MAX_SAID))
}

/// What cuts the values of `secrets` out of texts. A value such as `Bearer abc` is two words, of
/// which the last is the credential, so that goes by itself, too.
pub(crate) fn redactor(secrets: &Secrets) -> Redactor {
    let last_words = secrets
        .iter()
        .filter_map(|(name, value)| {
            let last = value.expose().split_whitespace().next_back()?;
            Some((name.clone(), Secret::new(last)))
        })
        .collect();
    let mut redactor = Redactor::new(secrets);
    redactor.extend(Redactor::new(&last_words));
    redactor
}

/// The beginning of a text, without characters that would steer a terminal.
pub(crate) fn beginning(text: &str, most: usize) -> String {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let mut kept: String = text[..end]
        .chars()
        .map(|c| if c.is_control() && !matches!(c, '\n' | '\t') { '\u{fffd}' } else { c })
        .collect();
    if end < text.len() {
        kept.push('…');
    }
    kept
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use reqwest::header::HeaderMap;
    use ultrai_deploy_core::name::SecretName;

    use super::*;

    fn seen(headers: &[(&'static str, &str)], body: &str, secret: &str) -> String {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| {
                (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
            })
            .collect();
        let latency = Duration::from_micros(1_234);
        let body = body.as_bytes().to_vec();
        let secrets = Secrets::from([(SecretName::new("S").unwrap(), Secret::new(secret))]);
        answer(
            "c",
            "GET http://127.0.0.1:1/x",
            &Answer { status: 503, headers, body, end: BodyEnd::Whole, latency },
            &redactor(&secrets),
        )
        .text
    }

    #[test]
    fn status_latency_and_body_are_kept() {
        let text = seen(&[("content-type", "text/plain")], "no database", "");
        assert_eq!(
            text,
            "GET http://127.0.0.1:1/x: 503 after 1.2ms\ncontent-type: text/plain\n\nno database"
        );
    }

    #[test]
    fn an_error_says_why_in_one_line() {
        let redactor = Redactor::new(&Secrets::from([(
            SecretName::new("S").unwrap(),
            Secret::new("hunter2"),
        )]));
        let long = format!("{}hunter2 and more", "x".repeat(MAX_SAID - 4));
        for (status, body, told) in [
            (503, "{\"error\":\n  \"no database\"}\n", ": {\"error\": \"no database\"}"),
            (500, "you sent hunter2", ": you sent ***"),
            (500, "\u{1b}[2Jx", ": \u{fffd}[2Jx"),
            (503, "<!doctype html><h1>503</h1>", ""),
            (503, "", ""),
            (200, "well", ""),
        ] {
            let (headers, body) = (HeaderMap::new(), body.as_bytes().to_vec());
            let latency = Duration::ZERO;
            let answer = Answer { status, headers, body, end: BodyEnd::Whole, latency };
            assert_eq!(said(&answer, &redactor), told);
        }
        let (headers, body) = (HeaderMap::new(), long.into_bytes());
        let latency = Duration::ZERO;
        let answer = Answer { status: 500, headers, body, end: BodyEnd::Whole, latency };
        let said = said(&answer, &redactor);
        assert!(!said.contains("hun") && said.ends_with('…'), "{said}");
    }

    #[test]
    fn credentials_are_not_kept() {
        let headers = [
            ("set-cookie", "session=hunter2"),
            ("authorization", "Bearer hunter2"),
            ("x-session", "hunter2"),
            ("location", "/login?token=hunter2"),
        ];
        let text = seen(&headers, "you sent: hunter2", "Bearer hunter2");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("location: /login\n"), "{text}");
    }

    #[test]
    fn a_secret_across_the_cut_is_not_kept_in_part() {
        let body = format!("{}hunter2", "x".repeat(MAX_BODY - 3));
        let text = seen(&[], &body, "hunter2");
        assert!(!text.contains("hun"), "{text}");
    }

    #[test]
    fn bodies_are_bounded_and_steer_no_terminal() {
        let text = seen(&[], &format!("\u{1b}[2J{}", "ä".repeat(MAX_BODY)), "");
        assert!(text.len() < MAX_BODY + 200, "{}", text.len());
        assert!(!text.contains('\u{1b}') && text.ends_with('…'));
    }
}
