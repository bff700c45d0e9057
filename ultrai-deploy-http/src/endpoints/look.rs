//! One look at a dependency for all who ask at the same time.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    FutureExt,
    future::{BoxFuture, Shared},
};
use tokio::time::{Instant, timeout};
use ultrai_deploy_core::{
    Chain, Context,
    health::{Endpoint, Health, HealthProbe},
};

/// What one look saw.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// Why it is not well; nothing when it is.
    pub(super) why: Option<String>,
    latency: Duration,
    at: Instant,
}

impl Seen {
    /// In milliseconds, to a tenth.
    pub(super) fn latency_ms(&self) -> f64 {
        (self.latency.as_secs_f64() * 10_000.0).round() / 10.0
    }
}

/// Looks at a dependency: at most one look at a time, and at most one each `fresh`.
pub(super) struct Look {
    asked: Asked,
    fresh: Duration,
    flight: Mutex<Option<Flight>>,
}

#[derive(Clone)]
struct Asked {
    cx: Context,
    probe: Arc<dyn HealthProbe>,
    endpoint: Endpoint,
    limit: Duration,
}

struct Flight {
    seen: Shared<BoxFuture<'static, Seen>>,
    began: Instant,
}

impl Look {
    pub(super) fn new(
        cx: Context,
        probe: Arc<dyn HealthProbe>,
        endpoint: Endpoint,
        limit: Duration,
        fresh: Duration,
    ) -> Self {
        let asked = Asked { cx, probe, endpoint, limit };
        Self { asked, fresh, flight: Mutex::default() }
    }

    /// What the last look saw when that is fresh, else what a new one sees.
    pub(super) async fn seen(&self) -> Seen {
        let seen = {
            let mut flight = self.flight.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(flight) = flight.as_ref().filter(|flight| self.is_usable(flight)) {
                flight.seen.clone()
            } else {
                let began = Instant::now();
                let seen = self.asked.clone().look().boxed().shared();
                *flight = Some(Flight { seen: seen.clone(), began });
                seen
            }
        };
        seen.await
    }

    /// A look that is under way goes on only while somebody waits for it: one that should be over by
    /// now was left by all, and what it would see is its own lateness.
    fn is_usable(&self, flight: &Flight) -> bool {
        match flight.seen.peek() {
            Some(seen) => seen.at.elapsed() < self.fresh,
            None => flight.began.elapsed() < self.asked.limit,
        }
    }
}

impl fmt::Debug for Look {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Look").field("probe", &self.asked.probe).finish_non_exhaustive()
    }
}

impl Asked {
    async fn look(self) -> Seen {
        let began = Instant::now();
        let why = match timeout(self.limit, self.probe.check(&self.cx, &self.endpoint)).await {
            Ok(Ok(Health::Healthy(_))) => None,
            Ok(Ok(
                Health::Pending { why, .. }
                | Health::Unhealthy { why, .. }
                | Health::Inconclusive { why, .. }
                | Health::Dead { why, .. },
            )) => Some(why),
            Ok(Ok(_)) => Some("it is in a state that is not known here".to_owned()),
            Ok(Err(error)) => {
                // Whoever asks from outside is not told how this program is set up.
                tracing::warn!(error = %Chain(&error), "a dependency could not be asked");
                Some("it could not be asked".to_owned())
            }
            Err(_elapsed) => Some(format!("no answer within {:?}", self.limit)),
        };
        Seen { why, latency: began.elapsed(), at: Instant::now() }
    }
}
