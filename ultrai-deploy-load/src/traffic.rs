//! A rule for watching: a few requests at each look, judged over a sliding window.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    secret::SecretSource,
};

use crate::{
    limit::{Limit, shown},
    measured::summary,
    metric::CHANCE,
    sending::{Done, Sent, send},
    spec::TrafficSpec,
    tally::Tally,
};

/// Sends some requests at each look, and fails when a condition holds of those of the last minute.
///
/// While too few were sent to tell, it is well: a rule that is not there yet fails nobody.
#[derive(Debug)]
pub struct TrafficProbe {
    name: String,
    spec: TrafficSpec,
    limit: Limit,
    secrets: Option<Arc<dyn SecretSource>>,
    seen: Mutex<Window>,
}

impl TrafficProbe {
    /// A probe for the check `name`; `secrets` has the values that the context of a look has not.
    ///
    /// # Errors
    /// As for [`TrafficSpec::of`].
    pub fn new(
        name: impl Into<String>,
        spec: TrafficSpec,
        secrets: Option<Arc<dyn SecretSource>>,
    ) -> Result<Self> {
        let (limit, seen) = (spec.forbidden()?, Mutex::default());
        Ok(Self { name: name.into(), spec, limit, secrets, seen })
    }
}

#[async_trait]
impl HealthProbe for TrafficProbe {
    async fn check(&self, cx: &Context, endpoint: &Endpoint) -> Result<Health> {
        let (requesting, rule) = (&self.spec.requesting, &self.spec.rule);
        let sent = send(
            &self.name,
            cx,
            endpoint,
            self.secrets.as_ref(),
            requesting,
            Duration::ZERO,
            rule.slice,
            |_, _| None,
        );
        let Done { mut outcome, url, redactor } = match sent.await? {
            Sent::Done(done) => *done,
            Sent::Not(health) => return Ok(health),
        };
        outcome.tally.until = outcome.tally.until.max(rule.slice);
        let whole = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.add(Instant::now(), &endpoint.instance, outcome.tally, rule.window)
        };
        let found = verdict(&self.limit, rule.min_requests, &whole);
        let line = format!("{url}: {}", summary(&whole, whole.until.as_secs_f64()));
        let text = redactor.text(&match &found {
            Found::Failing(why) => format!("{why}; {line}"),
            Found::Filling(why) => format!("{line}\n{why}"),
            Found::Well => line,
        });
        let evidence = vec![Evidence::new(EvidenceKind::Probe, &self.name, &text)];
        Ok(match found {
            Found::Failing(_) => Health::Unhealthy { why: text, evidence },
            Found::Filling(_) | Found::Well => Health::Healthy(evidence),
        })
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Found {
    Well,
    /// Too few requests to tell.
    Filling(String),
    Failing(String),
}

fn verdict(limit: &Limit, min_requests: Option<u64>, tally: &Tally) -> Found {
    let seconds = tally.until.as_secs_f64();
    if tally.is_refused() {
        let why = tally.worst().map_or("", |(_, failed)| &failed.text);
        return Found::Failing(format!("no connection was accepted: {why}"));
    }
    let (samples, needed) = (limit.metric.samples(tally), limit.needs(min_requests));
    match limit.metric.of(tally, seconds) {
        Some(value) if limit.holds(value) => {
            let is_chance = limit.metric.chance(tally, limit.threshold()) >= CHANCE;
            let shown = shown(limit.metric, value);
            if samples < needed && is_chance {
                return Found::Filling(format!(
                    "{} is {shown} of {samples} requests, and is judged of {needed}",
                    limit.metric
                ));
            }
            Found::Failing(format!("{} is {shown}, a failure is {}", limit.metric, limit.text))
        }
        _ if samples < needed => {
            Found::Filling(format!("{samples} requests, judged when there are {needed}"))
        }
        _ => Found::Well,
    }
}

/// What was counted lately, of one instance.
#[derive(Debug, Default)]
struct Window {
    instance: String,
    slices: VecDeque<(Instant, Tally)>,
}

impl Window {
    /// Adds a slice that ended `now`, forgets what is older than `length`, and gives the whole. What
    /// was counted of another instance is none of this one's.
    fn add(&mut self, now: Instant, instance: &str, slice: Tally, length: Duration) -> Tally {
        if self.instance != instance {
            instance.clone_into(&mut self.instance);
            self.slices.clear();
        }
        self.slices.push_back((now, slice));
        while self.slices.front().is_some_and(|(ended, _)| now.duration_since(*ended) > length) {
            self.slices.pop_front();
        }
        let mut whole = Tally::new();
        self.slices.iter().for_each(|(_, slice)| whole.merge(slice));
        whole
    }
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_http::condition::Condition;

    use super::*;
    use crate::{failure::Failure, tally::End};

    fn tally(good: u64, bad: u64) -> Tally {
        let mut tally = Tally::new();
        for number in 0..good + bad {
            let end = End::Answered { status: 200, is_fine: number < good, bytes: 0 };
            tally.add(end, Duration::from_millis(5), Duration::from_secs(1));
        }
        tally
    }

    #[test]
    fn a_window_that_fills_fails_nobody_by_chance() {
        let limit = Limit::forbidden(&Condition::parse("error_rate > 5%").unwrap()).unwrap();
        let mut refused = Tally::new();
        let end = End::Failed(Failure::Connect, "refused".into());
        refused.add(end, Duration::ZERO, Duration::ZERO);
        for (tally, expected) in [
            (tally(10, 0), "filling"),
            (tally(9, 1), "filling"),
            (tally(5, 5), "failing"),
            (tally(60, 0), "well"),
            (tally(57, 3), "well"),
            (tally(56, 4), "failing"),
            (refused, "failing"),
        ] {
            let named = match verdict(&limit, None, &tally) {
                Found::Well => "well",
                Found::Filling(_) => "filling",
                Found::Failing(_) => "failing",
            };
            assert_eq!(named, expected, "{} failed of {}", tally.failed, tally.ended);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_window_forgets_what_is_old_and_what_is_of_another_instance() {
        let (mut window, minute) = (Window::default(), Duration::from_mins(1));
        let begin = Instant::now();
        let mut add = |seconds, instance| {
            let now = begin + Duration::from_secs(seconds);
            window.add(now, instance, tally(1, 0), minute).ended
        };
        assert_eq!((add(0, "a"), add(60, "a"), add(61, "a"), add(200, "a")), (1, 2, 2, 1));
        assert_eq!(add(201, "b"), 1);
    }
}
