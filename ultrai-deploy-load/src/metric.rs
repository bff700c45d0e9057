//! What can be asked of a load: its values by name, and of how many requests they mean something.

use std::fmt;

use crate::tally::Tally;

/// A value of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Metric {
    ErrorRate,
    P50,
    P90,
    P95,
    P99,
    Max,
    Throughput,
}

const ALL: [(Metric, &str); 7] = [
    (Metric::ErrorRate, "error_rate"),
    (Metric::P50, "p50_latency"),
    (Metric::P90, "p90_latency"),
    (Metric::P95, "p95_latency"),
    (Metric::P99, "p99_latency"),
    (Metric::Max, "max_latency"),
    (Metric::Throughput, "throughput"),
];

/// What is taken for chance: one in twenty, the usual 95 % of confidence.
pub(crate) const CHANCE: f64 = 0.05;
/// Fewest requests for a rate of errors whose limit is 0 or so close to it that no test is long
/// enough, and for the longest latency: with 95 % of confidence what was not seen in 60 happens to
/// less than 5 % (the rule of three, 3 / 60).
const FEW: u64 = 60;

impl Metric {
    pub(crate) fn parse(name: &str) -> Option<Self> {
        ALL.iter().find(|(_, own)| *own == name).map(|(metric, _)| *metric)
    }

    /// All names, for advice.
    pub(crate) fn names() -> String {
        ALL.map(|(_, name)| name).join(", ")
    }

    /// Whether it is a time, in seconds.
    pub(crate) fn is_latency(self) -> bool {
        !matches!(self, Self::ErrorRate | Self::Throughput)
    }

    /// The share of requests that are at most as slow as this one; nothing for what is no percentile.
    fn quantile(self) -> Option<f64> {
        match self {
            Self::P50 => Some(0.5),
            Self::P90 => Some(0.9),
            Self::P95 => Some(0.95),
            Self::P99 => Some(0.99),
            Self::ErrorRate | Self::Max | Self::Throughput => None,
        }
    }

    /// The value; times in seconds, throughput in fine answers a second. Nothing without requests.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn of(self, tally: &Tally, seconds: f64) -> Option<f64> {
        match self {
            Self::ErrorRate => (tally.ended > 0).then(|| tally.failed as f64 / tally.ended as f64),
            Self::Throughput => (seconds > 0.0).then(|| tally.fine() as f64 / seconds),
            _ if tally.latencies.is_empty() => None,
            Self::Max => Some(in_seconds(tally.latencies.max())),
            Self::P50 | Self::P90 | Self::P95 | Self::P99 => {
                let quantile = self.quantile().unwrap_or(1.0);
                Some(in_seconds(tally.latencies.value_at_quantile(quantile)))
            }
        }
    }

    /// The least and the most that it can become when `left` more requests come to an end, in
    /// `seconds` in all.
    #[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub(crate) fn range(self, tally: &Tally, left: u64, seconds: f64) -> (f64, f64) {
        let whole = (tally.ended + left).max(1) as f64;
        match self {
            Self::ErrorRate => (tally.failed as f64 / whole, (tally.failed + left) as f64 / whole),
            Self::Throughput => (0.0, (tally.fine() + left) as f64 / seconds),
            Self::Max => (in_seconds(tally.latencies.max()), f64::INFINITY),
            Self::P50 | Self::P90 | Self::P95 | Self::P99 => {
                // All that are left may be faster than any that was seen.
                let (seen, quantile) = (tally.latencies.len(), self.quantile().unwrap_or(1.0));
                let rank = (quantile * (seen + left) as f64).ceil() - left as f64;
                let least = if rank < 1.0 {
                    0.0
                } else {
                    in_seconds(tally.latencies.value_at_quantile(rank / seen as f64))
                };
                (least, f64::INFINITY)
            }
        }
    }

    /// How many requests it is told of.
    pub(crate) fn samples(self, tally: &Tally) -> u64 {
        if self.is_latency() { tally.latencies.len() } else { tally.ended }
    }

    /// Fewest requests for it to mean something.
    ///
    /// A percentile needs as many as make it 95 % likely that one of them is beyond it: 60 for p95,
    /// 300 for p99. A rate of errors needs 3 / limit: when nothing was seen in so many, it is below
    /// the limit with 95 % of confidence (the rule of three), but never more than for p99.
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "1 to 300")]
    pub(crate) fn needs(self, limit: f64) -> u64 {
        match self {
            Self::P50 => 5,
            Self::P90 => 30,
            Self::P95 => 60,
            Self::P99 => 300,
            Self::Max => FEW,
            Self::ErrorRate if limit <= 0.0 => FEW,
            Self::ErrorRate => (3.0 / limit).ceil().clamp(1.0, 300.0) as u64,
            Self::Throughput => 1,
        }
    }

    /// How likely it is to see what was seen when the truth is just at the `limit`: of a percentile
    /// that so many are slower, of a rate that there are so many errors.
    pub(crate) fn chance(self, tally: &Tally, limit: f64) -> f64 {
        match self.quantile() {
            Some(quantile) => {
                let slower =
                    tally.latencies.len() - tally.latencies.count_between(0, in_micros(limit));
                at_least(slower, tally.latencies.len(), 1.0 - quantile)
            }
            None if self == Self::ErrorRate => at_least(tally.failed, tally.ended, limit),
            // One that is too slow is a fact.
            None => 0.0,
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = ALL.iter().find(|(metric, _)| metric == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

/// The chance of `count` or more of `all`, each of which happens with `share`: the tail of the
/// binomial distribution.
#[expect(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn at_least(count: u64, all: u64, share: f64) -> f64 {
    if count == 0 {
        return 1.0;
    }
    if share <= 0.0 {
        return 0.0;
    }
    if share >= 1.0 {
        return 1.0;
    }
    // In logarithms: the single terms are too small for a float.
    let (mut term, mut below) = (all as f64 * (1.0 - share).ln(), 0.0);
    for number in 0..count {
        below += term.exp();
        term += ((all - number) as f64).ln() - ((number + 1) as f64).ln() + share.ln()
            - (1.0 - share).ln();
    }
    (1.0 - below).max(0.0)
}

#[expect(clippy::cast_precision_loss, reason = "at most an hour")]
pub(crate) fn in_seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates")]
fn in_micros(seconds: f64) -> u64 {
    (seconds * 1e6) as u64
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::tally::End;

    /// `fast` answers after 10 ms, `slow` after 1 s, and `failed` that were closed.
    pub(crate) fn tally(fast: u64, slow: u64, failed: u64) -> Tally {
        let mut tally = Tally::new();
        let fine = End::Answered { status: 200, is_fine: true, bytes: 0 };
        for (count, latency) in [(fast, 10), (slow, 1000)] {
            for _ in 0..count {
                tally.add(fine.clone(), Duration::from_millis(latency), Duration::ZERO);
            }
        }
        for _ in 0..failed {
            let closed = End::Failed(crate::failure::Failure::Closed, String::new());
            tally.add(closed, Duration::ZERO, Duration::ZERO);
        }
        tally
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 0.002 * b.abs()
    }

    #[test]
    fn values() {
        let tally = tally(94, 6, 25);
        for (name, expected) in [
            ("error_rate", 0.2),
            ("p50_latency", 0.01),
            ("p90_latency", 0.01),
            ("p95_latency", 1.0),
            ("max_latency", 1.0),
            ("throughput", 10.0),
        ] {
            let metric = Metric::parse(name).unwrap();
            assert_eq!(metric.to_string(), name);
            let value = metric.of(&tally, 10.0).unwrap();
            assert!(near(value, expected), "{name} is {value}");
        }
        assert_eq!(Metric::P95.of(&Tally::new(), 1.0), None, "no request is no latency of zero");
        assert_eq!(Metric::ErrorRate.of(&Tally::new(), 1.0), None);
    }

    #[test]
    fn what_can_still_become_of_it() {
        // Of 1000 in all, p95 is the 950th: 51 slow ones are too many, 50 are not.
        let (least, _) = Metric::P95.range(&tally(0, 50, 0), 950, 1.0);
        assert!(least < 0.001, "{least}");
        let (least, _) = Metric::P95.range(&tally(0, 51, 0), 949, 1.0);
        assert!(near(least, 1.0), "{least}");
        assert_eq!(Metric::ErrorRate.range(&tally(5, 0, 5), 90, 1.0), (0.05, 0.95));
        assert_eq!(Metric::Throughput.range(&tally(5, 0, 5), 90, 10.0), (0.0, 9.5));
    }

    #[test]
    fn what_is_chance() {
        assert!(near(at_least(1, 1, 0.3), 0.3));
        assert!(near(at_least(1, 59, 0.05), 1.0 - 0.95_f64.powi(59)));
        assert!(near(at_least(2, 3, 0.5), 0.5));
        assert!(at_least(20, 20, 0.01) < 1e-9);
        assert!(near(at_least(0, 9, 0.5), 1.0));
        assert!(near(at_least(1, 9, 1.0), 1.0) && at_least(1, 9, 0.0) == 0.0);
        assert!(
            Metric::P95.chance(&tally(19, 1, 0), 0.5) > CHANCE,
            "one of twenty is to be expected"
        );
        assert!(Metric::P95.chance(&tally(10, 10, 0), 0.5) < CHANCE);
    }

    #[test]
    fn how_many_are_needed() {
        let needed = [Metric::P50, Metric::P90, Metric::P95, Metric::P99].map(|one| one.needs(1.0));
        assert_eq!(needed, [5, 30, 60, 300]);
        for (limit, needed) in [(0.05, 60), (0.01, 300), (0.5, 6), (0.001, 300), (0.0, 60)] {
            assert_eq!(Metric::ErrorRate.needs(limit), needed, "{limit}");
        }
        // Where the numbers of the percentiles come from.
        for (metric, quantile) in [(Metric::P50, 0.5), (Metric::P95, 0.95), (Metric::P99, 0.99_f64)]
        {
            let least = (CHANCE.ln() / quantile.ln()).ceil();
            let needed = u32::try_from(metric.needs(1.0)).unwrap();
            assert!(f64::from(needed) >= least, "{metric} {least}");
        }
    }
}
