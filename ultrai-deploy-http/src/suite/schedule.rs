//! Which test may run when. Pure.

use std::collections::{BTreeSet, HashMap};

use super::{
    spec::{SuiteSpec, TestAt, TestSpec},
    variables::{VariableName, names, names_in_json},
};
use crate::body::Body;

/// A place in a test where a variable stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    Path,
    Header,
    Body,
    Expected,
}

impl TestSpec {
    /// The variables that it uses, and where.
    pub(super) fn uses(&self) -> Vec<(&str, Place)> {
        let mut used = Vec::new();
        let path = match &self.at {
            TestAt::Path(path) => Some(path.as_str()),
            TestAt::Url(_) => None,
        };
        used.extend(path.into_iter().flat_map(names).map(|name| (name, Place::Path)));
        let headers = self.request_headers.values().flat_map(|value| names(value.as_str()));
        used.extend(headers.map(|name| (name, Place::Header)));
        let in_body = match &self.body {
            Some(Body::Json(json)) => names_in_json(json),
            Some(Body::Text(text)) => names(text).collect(),
            Some(Body::Upload(_)) | None => Vec::new(),
        };
        used.extend(in_body.into_iter().map(|name| (name, Place::Body)));
        let expected = self.expect.json.values().flat_map(names_in_json);
        used.extend(expected.map(|name| (name, Place::Expected)));
        used
    }

    pub(super) fn captures(&self) -> impl Iterator<Item = &str> {
        self.capture.keys().chain(self.secret_capture.keys()).map(VariableName::as_str)
    }
}

impl SuiteSpec {
    /// What each test needs: the tests that it names, and those that capture what it uses.
    pub(super) fn needs(&self) -> Vec<BTreeSet<usize>> {
        let by_name: HashMap<&str, usize> = self
            .tests
            .iter()
            .enumerate()
            .map(|(index, test)| (test.name.as_str(), index))
            .collect();
        let by_variable: HashMap<&str, usize> = self
            .tests
            .iter()
            .enumerate()
            .flat_map(|(index, test)| test.captures().map(move |name| (name, index)))
            .collect();
        let needs = |test: &TestSpec| {
            let named = test.needs.iter().filter_map(|name| by_name.get(name.as_str()));
            let used = test.uses().into_iter().filter_map(|(name, _)| by_variable.get(name));
            named.chain(used).copied().collect()
        };
        self.tests.iter().map(needs).collect()
    }
}

/// What is known of a test.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting,
    Running,
    Passed,
    Failed,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// Run this test.
    Run(usize),
    /// Do not run this test, since the other one, which it needs, did not pass.
    Skip(usize, usize),
    /// Nothing before another test has ended.
    Wait,
    /// Nothing at all.
    End,
}

/// Tells which test is next.
#[derive(Debug)]
pub(super) struct Schedule {
    needs: Vec<BTreeSet<usize>>,
    states: Vec<State>,
    parallel: usize,
}

impl Schedule {
    pub(super) fn new(suite: &SuiteSpec) -> Self {
        let states = vec![State::Waiting; suite.tests.len()];
        Self { needs: suite.needs(), states, parallel: suite.parallel }
    }

    /// The next thing to be done; what it says is taken as begun.
    pub(super) fn next(&mut self) -> Next {
        let running = self.states.iter().filter(|state| **state == State::Running).count();
        for index in 0..self.states.len() {
            if self.states[index] != State::Waiting {
                continue;
            }
            let states = &self.states;
            let needed = |wanted| {
                self.needs[index].iter().copied().filter(move |need| states[*need] == wanted)
            };
            if let Some(cause) = needed(State::Failed).next() {
                self.states[index] = State::Failed;
                return Next::Skip(index, cause);
            }
            let ready = needed(State::Passed).count() == self.needs[index].len();
            if ready && running < self.parallel {
                self.states[index] = State::Running;
                return Next::Run(index);
            }
        }
        if running > 0 { Next::Wait } else { Next::End }
    }

    /// That a test ended.
    pub(super) fn ended(&mut self, index: usize, passed: bool) {
        self.states[index] = if passed { State::Passed } else { State::Failed };
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn suite(parallel: usize) -> SuiteSpec {
        let test = |name: &str, path: &str, more: serde_json::Value| {
            let mut test = json!({"name": name, "at": {"path": path}});
            test.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            test
        };
        let tests = [
            test("upload", "/upload", json!({"capture": {"id": {"json": "/id"}}})),
            test("health", "/health", json!({})),
            test("show", "/items/{{id}}", json!({})),
            test("list", "/items", json!({"needs": ["show"]})),
            test("last", "/", json!({})),
        ];
        let url = "http://x/";
        serde_json::from_value(json!({"at": {"url": url}, "parallel": parallel, "tests": tests}))
            .unwrap()
    }

    #[test]
    fn one_after_the_other_in_the_order_of_the_file() {
        let mut schedule = Schedule::new(&suite(1));
        for index in 0..5 {
            assert_eq!(schedule.next(), Next::Run(index));
            assert_eq!(schedule.next(), Next::Wait);
            schedule.ended(index, true);
        }
        assert_eq!(schedule.next(), Next::End);
    }

    #[test]
    fn side_by_side_but_never_before_what_is_needed() {
        let mut schedule = Schedule::new(&suite(3));
        let begun = [schedule.next(), schedule.next(), schedule.next(), schedule.next()];
        assert_eq!(begun, [Next::Run(0), Next::Run(1), Next::Run(4), Next::Wait]);
        schedule.ended(4, true);
        assert_eq!(schedule.next(), Next::Wait, "`show` uses what `upload` captures");
        schedule.ended(0, true);
        assert_eq!([schedule.next(), schedule.next()], [Next::Run(2), Next::Wait]);
    }

    #[test]
    fn what_needs_a_failed_test_is_left_out_and_the_rest_is_run() {
        let mut schedule = Schedule::new(&suite(1));
        assert_eq!(schedule.next(), Next::Run(0));
        schedule.ended(0, false);
        assert_eq!(schedule.next(), Next::Run(1));
        schedule.ended(1, true);
        let left_out = [schedule.next(), schedule.next(), schedule.next()];
        assert_eq!(left_out, [Next::Skip(2, 0), Next::Skip(3, 2), Next::Run(4)]);
    }
}
