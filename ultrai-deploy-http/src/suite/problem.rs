//! What makes a suite unfit to be run: all of it at once. Pure.

use std::collections::HashMap;

use ultrai_deploy_core::{Error, ErrorKind, Result};

use super::{
    schedule::Place,
    spec::{SuiteSpec, TestAt, TestSpec},
    variables::names,
};
use crate::{body::Body, headers};

/// Most tests of a suite: every one of them is told of in the release's record.
pub(super) const MAX_TESTS: usize = 200;
/// Most tests side by side: more is load, and that is measured by other means.
pub(super) const MAX_PARALLEL: usize = 32;
/// All files that a suite sends, in bytes: they are stored with every release.
const MAX_UPLOADS: usize = 1024 * 1024;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Problem {
    /// Of which test; nothing for the suite as a whole.
    pub(super) test: Option<usize>,
    /// Of which of its fields, by the name that it has in a `checks.toml`; empty for all of it.
    pub(super) field: &'static str,
    pub(super) what: String,
    pub(super) remedy: String,
}

impl SuiteSpec {
    /// Refuses what could not be run.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`]: no tests or too many; two of one name; a variable that nothing captures
    /// before, or that two do; a need that does not stand before; a path without an address; a
    /// credential in the open; files that are too large together.
    pub fn check(&self) -> Result<()> {
        let Some(problem) = self.problems().into_iter().next() else { return Ok(()) };
        let what = match problem.test.and_then(|index| self.tests.get(index)) {
            Some(test) => format!("test `{}`: {}", test.name, problem.what),
            None => problem.what,
        };
        Err(Error::new(ErrorKind::Invalid, "read a suite", what)
            .with_advice(problem.remedy)
            .without_effect())
    }

    /// All that is wrong with it.
    pub(super) fn problems(&self) -> Vec<Problem> {
        let mut problems = Vec::new();
        let mut whole = |field, what: String, remedy: &str| {
            problems.push(Problem { test: None, field, what, remedy: remedy.to_owned() });
        };
        if self.tests.len() > MAX_TESTS {
            let what = format!("there are {} tests, more than {MAX_TESTS}", self.tests.len());
            whole("", what, "make several suites of them");
        }
        if self.tests.is_empty() {
            whole("", "there is no test".to_owned(), "write at least one [[test]]");
        }
        if !(1..=MAX_PARALLEL).contains(&self.parallel) {
            let what = format!("{} tests cannot run side by side", self.parallel);
            whole("parallel", what, "write a number from 1 to 32");
        }
        let uploads: usize = self.tests.iter().map(uploaded).sum();
        if uploads > MAX_UPLOADS {
            let what = format!("the files that are sent have {uploads} bytes together");
            whole("", what, "send at most 1 MiB in all: they are stored with every release");
        }
        let mut before = Before::default();
        for (index, test) in self.tests.iter().enumerate() {
            let mut wrong = |field, what: String, remedy: String| {
                problems.push(Problem { test: Some(index), field, what, remedy });
            };
            self.problems_of(test, &before, &mut wrong);
            before.add(test);
        }
        problems
    }

    fn problems_of(
        &self,
        test: &TestSpec,
        before: &Before<'_>,
        wrong: &mut dyn FnMut(&'static str, String, String),
    ) {
        if before.names.contains(&test.name.as_str()) {
            wrong(
                "name",
                "an earlier test has the same name".to_owned(),
                "give it another name: reports tell them apart by it".to_owned(),
            );
        }
        if self.at.is_none() && matches!(test.at, TestAt::Path(_)) {
            wrong(
                "path",
                "it gives only a path, and nothing says of what".to_owned(),
                "write base_url = \"http://…\", service = \"…\" in [suite], or url in the test"
                    .to_owned(),
            );
        }
        if test.body.is_some() && test.method.is_safe() {
            wrong(
                "method",
                format!("{} requests send nothing", test.method),
                "write method = \"POST\"".to_owned(),
            );
        }
        for name in &test.needs {
            if !before.names.contains(&name.as_str()) {
                wrong(
                    "needs",
                    format!("no test before it is named `{name}`"),
                    "name tests that stand above it".to_owned(),
                );
            }
        }
        for name in test.captures() {
            if before.variables.contains_key(name) {
                wrong(
                    "capture",
                    format!("variable `{name}` is captured by an earlier test, too"),
                    "give it another name".to_owned(),
                );
            }
        }
        if let Some(name) = test.capture.keys().find(|name| test.secret_capture.contains_key(*name))
        {
            wrong(
                "capture",
                format!("variable `{name}` is captured twice"),
                "keep it in secret_capture only".to_owned(),
            );
        }
        for (name, place) in test.uses() {
            let field = match place {
                Place::Path => "path",
                Place::Header => "request_headers",
                Place::Body => "body",
                Place::Expected => "json",
            };
            match before.variables.get(name) {
                None => wrong(
                    field,
                    format!("nothing before it captures `{name}`"),
                    format!("write capture = {{ {name} = \"/…\" }} in a test above it"),
                ),
                Some(true) if matches!(place, Place::Path | Place::Expected) => wrong(
                    field,
                    format!("`{name}` is secret, and would be shown here"),
                    "use it in request_headers or in what is sent".to_owned(),
                ),
                Some(_) => {}
            }
        }
        // What only holds variables is no credential yet.
        let mut open = test.request_headers.clone();
        open.retain(|_, value| names(value.as_str()).next().is_none());
        if let Err(error) = headers::check(&test.name, &open, &test.secret_headers, true) {
            wrong(
                "request_headers",
                error.message().to_owned(),
                error.advice().unwrap_or_default().to_owned(),
            );
        }
    }
}

/// What stands before a test.
#[derive(Default)]
struct Before<'a> {
    names: Vec<&'a str>,
    /// Whether each variable is secret.
    variables: HashMap<&'a str, bool>,
}

impl<'a> Before<'a> {
    fn add(&mut self, test: &'a TestSpec) {
        self.names.push(&test.name);
        self.variables.extend(test.capture.keys().map(|name| (name.as_str(), false)));
        self.variables.extend(test.secret_capture.keys().map(|name| (name.as_str(), true)));
    }
}

fn uploaded(test: &TestSpec) -> usize {
    match &test.body {
        Some(Body::Upload(upload)) => upload.content.as_bytes().len(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn problems(tests: &Value) -> Vec<String> {
        let suite: SuiteSpec =
            serde_json::from_value(json!({"at": {"url": "http://x/"}, "tests": tests})).unwrap();
        suite
            .problems()
            .into_iter()
            .map(|problem| format!("{}: {}", problem.field, problem.what))
            .collect()
    }

    #[test]
    fn what_could_not_be_run_is_refused() {
        let login = json!({"name": "login", "at": {"path": "/login"},
            "capture": {"id": {"json": "/id"}}, "secret_capture": {"token": {"header": "x-t"}}});
        let test = |more: Value| {
            let mut test = json!({"name": "next", "at": {"path": "/"}});
            test.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            test
        };
        for (more, told) in [
            (json!({"at": {"path": "/{{id}}"}}), None),
            (json!({"request_headers": {"authorization": "Bearer {{token}}"}}), None),
            (json!({"expect": {"json": {"/id": "{{id}}"}}}), None),
            (
                json!({"at": {"path": "/{{other}}"}}),
                Some("path: nothing before it captures `other`"),
            ),
            (
                json!({"at": {"path": "/{{token}}"}}),
                Some("path: `token` is secret, and would be shown here"),
            ),
            (
                json!({"expect": {"json": {"/t": "{{token}}"}}}),
                Some("json: `token` is secret, and would be shown here"),
            ),
            (json!({"name": "login"}), Some("name: an earlier test has the same name")),
            (json!({"needs": ["next"]}), Some("needs: no test before it is named `next`")),
            (
                json!({"capture": {"id": {"json": "/id"}}}),
                Some("capture: variable `id` is captured by an earlier test, too"),
            ),
            (json!({"body": {"text": "x"}}), Some("method: GET requests send nothing")),
            (
                json!({"method": "PUT", "body": {"json": {"a": ["{{none}}"]}}}),
                Some("body: nothing before it captures `none`"),
            ),
            (
                json!({"request_headers": {"authorization": "Bearer abc"}}),
                Some(
                    "request_headers: `next` stores the credential of header authorization with the release",
                ),
            ),
        ] {
            let found = problems(&json!([login, test(more.clone())]));
            assert_eq!(found, told.into_iter().collect::<Vec<_>>(), "{more}");
        }
        assert_eq!(problems(&json!([])), [": there is no test"]);
    }

    #[test]
    fn all_is_told_at_once_and_sizes_are_bounded() {
        let file = |name: &str| {
            json!({"name": name, "at": {"path": "/"}, "method": "POST",
            "body": {"upload": {"field": "f", "name": "n", "content_type": "text/plain",
                "content": String::from(crate::body::Content::new(vec![0; 250_000]).unwrap())}}})
        };
        let found =
            problems(&json!([file("a"), file("b"), file("c"), file("d"), file("e"), file("e")]));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].contains("1500000 bytes"), "{found:?}");
        let many: Vec<_> =
            (0..201).map(|n| json!({"name": n.to_string(), "at": {"path": "/"}})).collect();
        assert!(problems(&json!(many))[0].contains("201 tests"));
        let suite: SuiteSpec = serde_json::from_value(json!({"parallel": 33, "tests": [
            {"name": "a", "at": {"path": "/"}},
        ]}))
        .unwrap();
        assert_eq!(suite.problems().len(), 2);
        assert!(suite.check().unwrap_err().to_string().contains("side by side"));
    }
}
