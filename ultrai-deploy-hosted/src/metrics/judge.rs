//! From numbers to a verdict.

use ultrai_deploy_core::{
    evidence::{Evidence, EvidenceKind},
    health::Health,
};

use super::{Measured, MetricsSpec};

/// What `measured` says about what was asked for.
pub(super) fn judge(name: &str, spec: &MetricsSpec, measured: &Measured) -> Health {
    let Measured { requests, errors, p95 } = *measured;
    let seen = |text: String| vec![Evidence::new(EvidenceKind::Probe, name, text)];
    if requests < f64::from(spec.min_requests) {
        let least = spec.min_requests;
        return Health::Healthy(seen(format!("{requests} requests, too few to judge ({least})")));
    }
    let share = if requests > 0.0 { errors / requests } else { 0.0 };
    let mut told = vec![format!("{:.2} % of {requests} requests failed", share * 100.0)];
    let mut wrong = Vec::new();
    if let Some(most) = spec.max_error_share.filter(|most| share > *most) {
        let (share, most) = (share * 100.0, most * 100.0);
        wrong.push(format!("{share:.2} % of the requests failed, and {most:.2} % may"));
    }
    match (p95, spec.max_p95) {
        (Some(p95), Some(most)) if p95 > most => {
            let (p95, most) = (p95.as_millis(), most.as_millis());
            wrong.push(format!(
                "95 % of the requests took up to {p95} ms, and {most} ms are allowed"
            ));
        }
        (None, Some(_)) => told.push("how long they took is not known".to_owned()),
        _ => {}
    }
    told.extend(p95.map(|p95| format!("95 % took up to {} ms", p95.as_millis())));
    let evidence = seen(told.join("; "));
    if wrong.is_empty() {
        Health::Healthy(evidence)
    } else {
        Health::Unhealthy { why: wrong.join("; "), evidence }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn verdict(requests: f64, errors: f64, p95: Option<u64>) -> String {
        let spec = MetricsSpec {
            max_error_share: Some(0.02),
            max_p95: Some(Duration::from_millis(500)),
            ..MetricsSpec::default()
        };
        let p95 = p95.map(Duration::from_millis);
        match judge("errors", &spec, &Measured { requests, errors, p95 }) {
            Health::Healthy(evidence) => format!("healthy: {}", evidence[0].text),
            Health::Unhealthy { why, .. } => format!("unhealthy: {why}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn numbers_become_verdicts() {
        for (requests, errors, p95, expected) in [
            (0.0, 0.0, None, "healthy: 0 requests, too few to judge (60)"),
            (59.0, 59.0, Some(9000), "healthy: 59 requests, too few to judge (60)"),
            (
                100.0,
                2.0,
                Some(500),
                "healthy: 2.00 % of 100 requests failed; 95 % took up to 500 ms",
            ),
            (100.0, 3.0, Some(500), "unhealthy: 3.00 % of the requests failed, and 2.00 % may"),
            (
                100.0,
                0.0,
                Some(501),
                "unhealthy: 95 % of the requests took up to 501 ms, and 500 ms are allowed",
            ),
            (
                100.0,
                0.0,
                None,
                "healthy: 0.00 % of 100 requests failed; how long they took is not known",
            ),
        ] {
            assert_eq!(verdict(requests, errors, p95), expected);
        }
        let both = verdict(60.0, 60.0, Some(501));
        assert!(both.contains("100.00 %") && both.contains("501 ms"), "{both}");
    }
}
