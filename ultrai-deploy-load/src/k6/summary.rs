//! What k6 writes with `--summary-export`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use ultrai_deploy_core::{Error, ErrorKind, Result, evidence::MAX_EVIDENCE};

/// The summary of a run.
#[derive(Debug, Deserialize)]
pub(super) struct Summary {
    #[serde(default)]
    metrics: BTreeMap<String, Metric>,
}

/// A metric: its values by their names, and whether each threshold was crossed.
#[derive(Debug, Deserialize)]
struct Metric {
    #[serde(default)]
    thresholds: BTreeMap<String, bool>,
    #[serde(flatten)]
    values: Map<String, Value>,
}

impl Summary {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self> {
        serde_json::from_slice(bytes).map_err(|source| {
            Error::new(ErrorKind::Unexpected, "run k6", "its summary is not understood")
                .with_advice("use k6 of version 1")
                .without_effect()
                .with_source(source)
        })
    }

    /// The thresholds that were crossed, each with what was measured.
    pub(super) fn crossed(&self) -> Vec<String> {
        let mut crossed = Vec::new();
        for (name, metric) in &self.metrics {
            // In this form `true` says that it was crossed, not that it was kept.
            for (threshold, _) in metric.thresholds.iter().filter(|(_, crossed)| **crossed) {
                let value = metric.value_of(threshold);
                let value = value.map_or_else(String::new, |value| format!(", it is {value}"));
                crossed.push(format!("{name}: {threshold} was asked{value}"));
            }
        }
        crossed
    }

    /// One line for people.
    pub(super) fn line(&self) -> String {
        let value = |metric: &str, value: &str| {
            self.metrics.get(metric).and_then(|metric| metric.values.get(value)?.as_f64())
        };
        let mut parts = Vec::new();
        if let Some(count) = value("http_reqs", "count") {
            parts.push(format!("{count} requests"));
        }
        if let Some(p95) = value("http_req_duration", "p(95)") {
            parts.push(format!("p95 {p95:.1}ms"));
        }
        if let Some(failed) = value("http_req_failed", "value") {
            parts.push(format!("failed {:.2}%", failed * 100.0));
        }
        if let Some(iterations) = value("iterations", "count") {
            parts.push(format!("{iterations} iterations"));
        }
        parts.join(", ")
    }

    /// All values, or those that have a threshold where all are too many to be kept.
    pub(super) fn text(&self) -> String {
        let all = |with_thresholds: bool| {
            let kept = self.metrics.iter();
            let kept = kept.filter(|(_, metric)| !with_thresholds || !metric.thresholds.is_empty());
            let kept: Map<_, _> = kept
                .map(|(name, metric)| {
                    let (values, crossed) = (&metric.values, &metric.thresholds);
                    (name.clone(), json!({"values": values, "crossed": crossed}))
                })
                .collect();
            json!({ "k6": kept }).to_string()
        };
        let (first, second) = (all(false), all(true));
        let fits = |text: &String| text.len() <= MAX_EVIDENCE;
        let none = || r#"{"k6":{}}"#.to_owned();
        [first, second].into_iter().find(fits).unwrap_or_else(none)
    }
}

impl Metric {
    /// The value that a threshold such as `p(95)<500` is about.
    fn value_of(&self, threshold: &str) -> Option<&Value> {
        let name = threshold.split(['<', '>', '=', '!']).next()?.trim();
        // A rate is exported as `value`.
        self.values.get(name).or_else(|| self.values.get("value").filter(|_| name == "rate"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_crossed_is_told_with_its_value() {
        let summary = Summary::parse(
            br#"{"metrics": {
                "http_req_duration": {"avg": 1, "p(95)": 812.4,
                    "thresholds": {"p(95)<500": true, "avg<500": false}},
                "http_req_failed": {"passes": 3, "fails": 97, "value": 0.03,
                    "thresholds": {"rate<0.01": true}},
                "http_reqs": {"count": 100, "rate": 9.9}
            }, "root_group": {}}"#,
        )
        .unwrap();
        assert_eq!(
            summary.crossed(),
            [
                "http_req_duration: p(95)<500 was asked, it is 812.4",
                "http_req_failed: rate<0.01 was asked, it is 0.03",
            ]
        );
        assert_eq!(summary.line(), "100 requests, p95 812.4ms, failed 3.00%");
        assert!(Summary::parse(b"[").unwrap_err().advice().is_some());
    }

    #[test]
    fn what_is_kept_is_json_also_when_all_is_too_much() {
        let many: Map<_, _> = (0..1000)
            .map(|n| (format!("metric_{n}"), json!({"avg": 1.5, "thresholds": {}})))
            .chain([("one".to_owned(), json!({"avg": 9, "thresholds": {"avg<1": true}}))])
            .collect();
        let bytes = json!({ "metrics": many }).to_string();
        let text = Summary::parse(bytes.as_bytes()).unwrap().text();
        let kept: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(kept["k6"]["one"]["values"]["avg"], 9);
        assert_eq!(kept["k6"].as_object().unwrap().len(), 1);
    }
}
