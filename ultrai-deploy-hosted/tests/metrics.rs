//! Checks of what a platform measures: their stored form, and what is asked when.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use jiff::Timestamp;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    clock::Clock,
    health::{Endpoint, Health, Role},
    name::{EnvironmentName, ProjectName, RunId, ServiceName, Target},
    verification::{CheckSpec, NoProbes, ProbeSource},
};
use ultrai_deploy_hosted::metrics::{Measured, Metrics, MetricsSpec, Probes};

#[derive(Debug)]
struct Told {
    since: Option<Timestamp>,
    fails: bool,
    asked: Mutex<Vec<(Timestamp, Timestamp)>>,
}

#[async_trait]
impl Metrics for Told {
    async fn serves_since(&self, _: &Context, slot: &str) -> Result<Option<Timestamp>> {
        assert_eq!(slot, "srv-1");
        Ok(self.since)
    }

    async fn measure(
        &self,
        _: &Context,
        _: &str,
        start: Timestamp,
        end: Timestamp,
    ) -> Result<Measured> {
        self.asked.lock().unwrap().push((start, end));
        if self.fails {
            return Err(Error::new(ErrorKind::Unavailable, "measure", "502"));
        }
        Ok(Measured { requests: 100.0, errors: 50.0, p95: None })
    }
}

#[derive(Debug)]
struct Noon;

impl Clock for Noon {
    fn now(&self) -> Timestamp {
        at("12:00")
    }
}

fn at(time: &str) -> Timestamp {
    format!("2026-11-21T{time}:00Z").parse().unwrap()
}

fn check(probe: Value) -> CheckSpec {
    CheckSpec::new("errors", probe).of(ServiceName::new("web").unwrap())
}

fn told(since: Option<&str>, fails: bool) -> Arc<Told> {
    Arc::new(Told { since: since.map(at), fails, asked: Mutex::default() })
}

async fn look(told: &Arc<Told>) -> Result<Health> {
    let source = Probes::new(Arc::clone(told) as _, Arc::new(NoProbes)).with_clock(Arc::new(Noon));
    let probe = source.probe(&check(json!({ "platform_metrics": { "max_error_share": 0.1 } })));
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    let cx = Context::detached(target, RunId::generate());
    let endpoint = Endpoint::new(Role::Live, ServiceName::new("web").unwrap(), "srv-1");
    probe.unwrap().check(&cx, &endpoint).await
}

#[tokio::test]
async fn nothing_before_the_deploy_is_looked_at() {
    for (since, start) in [("09:00", "11:55"), ("11:58", "11:58")] {
        let told = told(Some(since), false);
        assert!(matches!(look(&told).await.unwrap(), Health::Unhealthy { .. }));
        assert_eq!(*told.asked.lock().unwrap(), [(at(start), at("12:00"))]);
    }
    // What went live in the future has no requests.
    let ahead = told(Some("12:01"), false);
    assert!(matches!(look(&ahead).await.unwrap(), Health::Healthy(_)));
    assert!(ahead.asked.lock().unwrap().is_empty());
    assert!(matches!(look(&told(None, false)).await.unwrap(), Health::Pending { .. }));
}

#[tokio::test]
async fn a_platform_that_cannot_be_asked_is_no_verdict() {
    let error = look(&told(Some("09:00"), true)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
}

/// Stored releases hold this form: changing it makes them unreadable.
#[test]
fn the_stored_form() {
    let stored = json!({
        "window": { "secs": 300, "nanos": 0 }, "min_requests": 60, "max_error_share": 0.02,
        "max_p95": { "secs": 1, "nanos": 0 },
    });
    let spec: MetricsSpec = serde_json::from_value(stored.clone()).unwrap();
    assert_eq!((spec.window, spec.min_requests), (Duration::from_mins(5), 60));
    assert_eq!(serde_json::to_value(&spec).unwrap(), stored);
    let least: MetricsSpec = serde_json::from_value(json!({ "max_error_share": 0.5 })).unwrap();
    assert_eq!(least, MetricsSpec { max_error_share: Some(0.5), ..MetricsSpec::default() });
}

#[test]
fn what_makes_no_sense_is_refused_and_what_is_of_another_kind_is_handed_on() {
    let source = Probes::new(told(None, false), Arc::new(NoProbes));
    for (probe, why) in [
        (json!({ "platform_metrics": {} }), "asks for nothing"),
        (json!({ "platform_metrics": { "max_errors": 1 } }), "is no platform_metrics probe"),
        (json!({ "platform_metrics": { "max_error_share": 2 } }), "is no share"),
        (
            json!({ "platform_metrics": { "max_error_share": 0.1, "window": { "secs": 59, "nanos": 0 } } }),
            "less than a minute",
        ),
        (json!({ "platform_metrics": { "max_error_share": 0.1 }, "http": {} }), "two kinds"),
        // The other source's own words.
        (json!({ "http": {} }), "there are none"),
    ] {
        let error = source.probe(&check(probe)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        assert!(error.to_string().contains(why), "{error}");
    }
    let nameless = CheckSpec {
        service: None,
        ..check(json!({ "platform_metrics": { "max_error_share": 0.1 } }))
    };
    let error = source.probe(&nameless).unwrap_err();
    assert!(error.to_string().contains("names none"), "{error}");
}
