//! Whether a load went well: limits, chance, and when it is certain before the end.

use crate::{
    limit::{Limit, shown},
    metric::CHANCE,
    tally::Tally,
};

/// So many requests without a single connection are no chance.
const REFUSED: u64 = 10;

/// What is to be said of a load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Judgement {
    Good,
    /// These do not hold.
    Bad(Vec<String>),
    /// Of these too little was seen.
    Open(Vec<String>),
}

/// Judges what was counted in `seconds`.
///
/// Below the fewest requests that a limit needs nothing is said of it, with one exception: what does
/// not hold, and would hardly be seen by chance if the service just kept to the limit, does not hold.
pub(crate) fn judge(
    limits: &[Limit],
    min_requests: Option<u64>,
    tally: &Tally,
    seconds: f64,
) -> Judgement {
    if tally.fine() == 0 && tally.ended > 0 {
        return Judgement::Bad(vec!["not one request went well".to_owned()]);
    }
    let (mut bad, mut open) = (Vec::new(), Vec::new());
    for limit in limits {
        let (samples, needed) = (limit.metric.samples(tally), limit.needs(min_requests));
        let value = limit.metric.of(tally, seconds);
        let holds = value.is_some_and(|value| limit.holds(value));
        let is_enough = samples >= needed
            || value.is_some() && !holds && limit.metric.chance(tally, limit.threshold()) < CHANCE;
        match value {
            Some(_) if holds && is_enough => {}
            Some(value) if is_enough => bad.push(failed(limit, value)),
            _ => open.push(format!("{} needs {needed} requests, {samples} were seen", limit.text)),
        }
    }
    match (bad.is_empty(), open.is_empty()) {
        (false, _) => Judgement::Bad(bad),
        (true, false) => Judgement::Open(open),
        (true, true) => Judgement::Good,
    }
}

/// Why going on is of no use: nothing accepts connections, or a limit cannot be kept any more, however
/// well the `left` requests go.
pub(crate) fn hopeless(
    limits: &[Limit],
    tally: &Tally,
    warm_up: &Tally,
    left: u64,
    seconds: f64,
) -> Option<String> {
    let refused = |tally: &Tally| tally.ended == 0 || tally.is_refused();
    if refused(tally) && refused(warm_up) && tally.ended + warm_up.ended >= REFUSED {
        let told = [tally, warm_up].into_iter().find_map(Tally::worst);
        let why = told.map_or("", |(_, failed)| &failed.text);
        return Some(format!("no connection was accepted: {why}"));
    }
    limits.iter().find_map(|limit| {
        let range = limit.metric.range(tally, left, seconds);
        (!limit.can_hold(range)).then(|| {
            let value = limit.metric.of(tally, seconds).unwrap_or(range.0);
            format!("{}, whatever came after", failed(limit, value))
        })
    })
}

fn failed(limit: &Limit, value: f64) -> String {
    format!("{} is {}, expected {}", limit.metric, shown(limit.metric, value), limit.text)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ultrai_deploy_http::condition::Condition;

    use super::*;
    use crate::{failure::Failure, tally::End};

    fn limits(texts: &[&str]) -> Vec<Limit> {
        texts
            .iter()
            .map(|text| Limit::required(&Condition::parse(text).unwrap()).unwrap())
            .collect()
    }

    fn tally(fast: u64, slow: u64, failed: u64) -> Tally {
        let mut tally = Tally::new();
        let fine = End::Answered { status: 200, is_fine: true, bytes: 0 };
        for (count, end, millis) in [
            (fast, fine.clone(), 10),
            (slow, fine, 1000),
            (failed, End::Answered { status: 500, is_fine: false, bytes: 0 }, 10),
        ] {
            for _ in 0..count {
                tally.add(end.clone(), Duration::from_millis(millis), Duration::ZERO);
            }
        }
        tally
    }

    #[test]
    fn verdicts() {
        for (limit, counts, expected) in [
            ("error_rate < 1%", (300, 0, 0), "good"),
            ("error_rate < 1%", (299, 0, 0), "open"),
            ("error_rate < 1%", (297, 0, 3), "bad"),
            // One of ten may be chance at 5 %, five of ten are none.
            ("error_rate < 5%", (9, 0, 1), "open"),
            ("error_rate < 5%", (5, 0, 5), "bad"),
            ("error_rate < 1%", (0, 0, 3), "bad"),
            ("p95_latency < 500ms", (57, 3, 0), "good"),
            ("p95_latency < 500ms", (56, 4, 0), "bad"),
            ("p95_latency < 500ms", (59, 0, 0), "open"),
            ("p95_latency < 500ms", (19, 1, 0), "open"),
            ("p95_latency < 500ms", (10, 9, 0), "bad"),
            ("max_latency < 500ms", (10, 1, 0), "bad"),
            ("max_latency < 500ms", (10, 0, 0), "open"),
            ("throughput >= 30", (60, 0, 0), "good"),
            ("throughput >= 31", (60, 0, 0), "bad"),
            ("p95_latency < 500ms", (0, 0, 0), "open"),
        ] {
            let (fast, slow, failed) = counts;
            let judged = judge(&limits(&[limit]), None, &tally(fast, slow, failed), 2.0);
            let named = match judged {
                Judgement::Good => "good",
                Judgement::Bad(_) => "bad",
                Judgement::Open(_) => "open",
            };
            assert_eq!(named, expected, "{limit} of {counts:?}");
        }
    }

    #[test]
    fn what_is_asked_for_as_the_least_counts_in_place_of_the_rules() {
        let limits = limits(&["p99_latency < 1s"]);
        assert_eq!(judge(&limits, Some(10), &tally(10, 0, 0), 1.0), Judgement::Good);
        assert!(matches!(judge(&limits, Some(11), &tally(10, 0, 0), 1.0), Judgement::Open(_)));
    }

    #[test]
    fn it_says_what_came_and_what_was_expected() {
        let judged = judge(&limits(&["error_rate < 1%"]), None, &tally(90, 0, 10), 1.0);
        let expected = "error_rate is 10%, expected error_rate < 1%".to_owned();
        assert_eq!(judged, Judgement::Bad(vec![expected]));
    }

    #[test]
    fn it_stops_exactly_when_nothing_can_save_it() {
        let (limits, warm) = (limits(&["error_rate < 1%", "p95_latency < 500ms"]), Tally::new());
        let stops = |tally: &Tally, left| hopeless(&limits, tally, &warm, left, 10.0).is_some();
        assert!(!stops(&tally(0, 0, 9), 991));
        assert!(stops(&tally(0, 0, 10), 990));
        assert!(!stops(&tally(0, 50, 0), 950));
        assert!(stops(&tally(0, 51, 0), 949));
    }

    #[test]
    fn it_stops_when_everything_is_refused_also_while_it_warms_up() {
        let mut refused = Tally::new();
        for _ in 0..10 {
            let end = End::Failed(Failure::Connect, "Connection refused".into());
            refused.add(end, Duration::ZERO, Duration::ZERO);
        }
        let why = hopeless(&[], &Tally::new(), &refused, 1000, 1.0).unwrap();
        assert!(why.contains("Connection refused"), "{why}");
        assert_eq!(hopeless(&[], &tally(1, 0, 0), &refused, 1000, 1.0), None);
    }
}
