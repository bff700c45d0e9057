//! What came of a suite, in a form that may be kept and shown. Pure.

use std::{fmt::Write as _, time::Duration};

use ultrai_deploy_core::{
    consequence::Severity,
    evidence::{Evidence, EvidenceKind, MAX_EVIDENCE},
    health::Health,
    redact::Redactor,
};

use super::spec::{SuiteSpec, TestSpec};
use crate::{client::Answer, expect::rounded, seen};

/// Answers of failed tests that are kept: causes come first, and the rest follows from them.
const MAX_ANSWERS: usize = 3;
/// Names of further failed tests that the reason lists.
const MAX_NAMES: usize = 5;
/// Longest reason of one test, in characters.
const MAX_WHY: usize = 600;

/// What came of one test.
#[derive(Debug)]
pub(super) struct Outcome {
    pub(super) end: End,
    /// How often it was tried.
    pub(super) attempts: u32,
    /// From the beginning of its first attempt.
    pub(super) took: Duration,
    /// What was asked, and the last answer.
    pub(super) answer: Option<(String, Answer)>,
}

/// How a test ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    Passed,
    Failed(String),
    NotRun(String),
}

impl Outcome {
    pub(super) fn not_run(why: impl Into<String>) -> Self {
        Self { end: End::NotRun(why.into()), attempts: 0, took: Duration::ZERO, answer: None }
    }

    pub(super) fn passed(&self) -> bool {
        self.end == End::Passed
    }
}

/// The health that the outcomes of all tests mean.
pub(super) fn health(
    check: &str,
    suite: &SuiteSpec,
    outcomes: &[Outcome],
    redactor: &Redactor,
) -> Health {
    let all: Vec<_> = suite.tests.iter().zip(outcomes).collect();
    let mut evidence = lines(check, &all, redactor);
    let failed = || all.iter().filter(|(_, outcome)| matches!(outcome.end, End::Failed(_)));
    evidence.extend(failed().take(MAX_ANSWERS).filter_map(|(test, outcome)| {
        let (asked, answer) = outcome.answer.as_ref()?;
        let subject = format!("{check}: {}", test.name);
        // What a secret would be captured from is not shown: it may never have been captured.
        let answer = if test.secret_capture.is_empty() {
            answer
        } else {
            &Answer { body: Vec::new(), ..answer.clone() }
        };
        Some(seen::answer(&subject, asked, answer, redactor))
    }));
    match why(&all, redactor) {
        None => Health::Healthy(evidence),
        Some(why) => Health::Unhealthy { why: redactor.text(&why), evidence },
    }
}

/// A line for each test, in pieces of evidence none of which is cut.
fn lines(check: &str, all: &[(&TestSpec, &Outcome)], redactor: &Redactor) -> Vec<Evidence> {
    let mut pieces = vec![String::new()];
    for (test, outcome) in all {
        let line = redactor.text(&line(test, outcome));
        match pieces.last_mut() {
            Some(piece) if piece.len() + line.len() < MAX_EVIDENCE => {
                piece.push('\n');
                piece.push_str(&line);
            }
            _ => pieces.push(line),
        }
    }
    let evidence = |text: String| {
        Evidence::new(EvidenceKind::Probe, check, seen::beginning(text.trim(), MAX_EVIDENCE))
    };
    pieces.into_iter().map(evidence).collect()
}

fn line(test: &TestSpec, outcome: &Outcome) -> String {
    let word = match outcome.end {
        End::Passed => "passed",
        End::Failed(_) => "FAILED",
        End::NotRun(_) => "not run",
    };
    let mut line = format!("{word:7}  {}", test.name);
    if test.severity != Severity::Critical {
        let _infallible = write!(line, " ({})", test.severity.as_str());
    }
    if let Some((_, answer)) = &outcome.answer {
        let _infallible = write!(line, "  {} {:?}", answer.status, rounded(answer.latency));
    }
    if outcome.attempts > 1 {
        let (attempts, took) = (outcome.attempts, rounded(outcome.took));
        let _infallible = write!(line, "  {attempts} attempts in {took:?}");
    }
    if let End::Failed(why) | End::NotRun(why) = &outcome.end {
        let _infallible = write!(line, "  {}", bounded(why));
    }
    line
}

/// Why the suite failed, the first failure first; nothing where all that failed is minor.
fn why(all: &[(&TestSpec, &Outcome)], redactor: &Redactor) -> Option<String> {
    let counts = |(test, outcome): &&(&TestSpec, &Outcome)| {
        !outcome.passed() && test.severity != Severity::Minor
    };
    let (mut failed, mut left_out) = (Vec::new(), Vec::new());
    for (test, outcome) in all.iter().filter(counts) {
        match &outcome.end {
            End::Failed(why) => failed.push((test, outcome, why)),
            End::NotRun(why) => left_out.push((test, outcome, why)),
            End::Passed => {}
        }
    }
    // A test may be left out for one that is minor itself.
    let (first, verb, rest) = match (failed.first(), left_out.first()) {
        (Some(first), _) => (first, "failed", &failed[1..]),
        (None, Some(first)) => (first, "was not run", &[][..]),
        (None, None) => return None,
    };
    let (test, outcome, cause) = first;
    let answer = outcome.answer.as_ref().filter(|_| test.secret_capture.is_empty());
    let said = answer.map(|(_, answer)| seen::said(answer, redactor)).unwrap_or_default();
    let mut why = format!("`{}` {verb}: {}{said}", test.name, bounded(cause));
    if !rest.is_empty() {
        let _infallible =
            write!(why, "; {} of {} tests failed, also {}", failed.len(), all.len(), names(rest));
    }
    if verb == "failed" && !left_out.is_empty() {
        let _infallible = write!(why, "; not run: {}", names(&left_out));
    }
    Some(why)
}

fn names(tests: &[(&&TestSpec, &&Outcome, &String)]) -> String {
    let names: Vec<_> =
        tests.iter().take(MAX_NAMES).map(|(test, ..)| format!("`{}`", test.name)).collect();
    let more = tests.len().saturating_sub(MAX_NAMES);
    let list = names.join(", ");
    if more > 0 { format!("{list} and {more} more") } else { list }
}

fn bounded(why: &str) -> String {
    match why.char_indices().nth(MAX_WHY) {
        None => why.replace('\n', " "),
        Some((end, _)) => format!("{}…", why[..end].replace('\n', " ")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn judged(severities: &[(&str, &str, End)]) -> Health {
        let tests: Vec<_> = severities
            .iter()
            .map(|(name, severity, _)| {
                json!({"name": name, "at": {"path": "/"}, "severity": severity})
            })
            .collect();
        let suite: SuiteSpec = serde_json::from_value(json!({"tests": tests})).unwrap();
        let outcomes: Vec<_> = severities
            .iter()
            .map(|(_, _, end)| Outcome { end: end.clone(), ..Outcome::not_run("") })
            .collect();
        health("smoke", &suite, &outcomes, &Redactor::default())
    }

    fn failed(why: &str) -> End {
        End::Failed(why.to_owned())
    }

    fn not_run(why: &str) -> End {
        End::NotRun(why.to_owned())
    }

    #[test]
    fn the_first_failure_comes_first_and_a_minor_one_fails_nothing() {
        for (outcomes, told) in [
            (vec![("a", "critical", End::Passed)], None),
            (vec![("a", "minor", failed("no")), ("b", "critical", End::Passed)], None),
            (
                vec![("a", "minor", failed("no")), ("b", "major", failed("answered 500"))],
                Some("`b` failed: answered 500"),
            ),
            (
                vec![
                    ("a", "critical", End::Passed),
                    ("b", "critical", failed("answered 500")),
                    ("c", "critical", failed("answered 404")),
                    ("d", "critical", not_run("`b` did not pass")),
                ],
                Some("`b` failed: answered 500; 2 of 4 tests failed, also `c`; not run: `d`"),
            ),
            (
                vec![("a", "minor", failed("no")), ("b", "critical", not_run("`a` did not pass"))],
                Some("`b` was not run: `a` did not pass"),
            ),
        ] {
            let health = judged(&outcomes);
            match told {
                None => assert!(matches!(health, Health::Healthy(_)), "{health:?}"),
                Some(told) => {
                    let Health::Unhealthy { why, .. } = health else { panic!("{health:?}") };
                    assert_eq!(why, told);
                }
            }
        }
    }

    #[test]
    fn every_test_has_its_line_however_many_there_are() {
        let long = "ä".repeat(2000);
        let names: Vec<_> = (0..200).map(|number| format!("test {number}")).collect();
        let outcomes: Vec<_> =
            names.iter().map(|name| (name.as_str(), "critical", failed(&long))).collect();
        let Health::Unhealthy { why, evidence } = judged(&outcomes) else { panic!() };
        assert!(why.len() < 2000, "{}", why.len());
        assert!(why.contains("200 of 200 tests failed, also `test 1`") && why.ends_with("more"));
        assert!(evidence.iter().all(|piece| piece.text.len() <= MAX_EVIDENCE + 3));
        let lines: Vec<_> = evidence.iter().flat_map(|piece| piece.text.lines()).collect();
        assert_eq!(lines.len(), 200);
        assert!(lines[199].starts_with("FAILED   test 199  ää"), "{}", lines[199]);
    }
}
