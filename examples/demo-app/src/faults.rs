//! The ways in which the service can be told to misbehave.

use std::{
    num::NonZeroU64,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{
    extract::{Request, State},
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse, Response},
};

use crate::server::log;

/// Misbehaviour, off by default; each field names its variable.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    /// `DEMO_SLOW_START`: seconds before it listens.
    pub slow_start: Option<Duration>,
    /// `DEMO_NEVER_HEALTHY`: `/health` and `/health/ready` answer 503 for ever.
    pub never_healthy: bool,
    /// `DEMO_CRASH_AFTER`: seconds after its start when it exits with an error.
    pub crash_after: Option<Duration>,
    /// `DEMO_FAIL_EVERY`: every Nth request is answered with a 500.
    pub fail_every: Option<NonZeroU64>,
    /// `DEMO_FAIL_PATH`: this path is answered with a 500.
    pub fail_path: Option<String>,
    /// `DEMO_SLOW_ANSWERS`: milliseconds before each answer.
    pub slow_answers: Option<Duration>,
    /// `DEMO_IGNORE_SIGTERM`: only SIGKILL ends it.
    pub ignore_sigterm: bool,
    /// `DEMO_WRONG_VERSION`: `/api/v1/version` answers another version than it is.
    pub wrong_version: bool,
}

/// The faults that are met on the way of a request.
#[derive(Debug, Clone)]
pub(crate) struct OnRequest {
    faults: Faults,
    requests: Arc<AtomicU64>,
}

impl OnRequest {
    pub(crate) fn new(faults: Faults) -> Self {
        Self { faults, requests: Arc::default() }
    }

    fn fails(&self, path: &str) -> bool {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        self.faults.fail_every.is_some_and(|every| number.is_multiple_of(every.get()))
            || self.faults.fail_path.as_deref() == Some(path)
    }
}

pub(crate) async fn inject(
    State(on_request): State<OnRequest>,
    request: Request,
    next: Next,
) -> Response {
    if let Some(delay) = on_request.faults.slow_answers {
        tokio::time::sleep(delay).await;
    }
    if on_request.fails(request.uri().path()) {
        log(format_args!("{} {}: failing on demand", request.method(), request.uri().path()));
        return (StatusCode::INTERNAL_SERVER_ERROR, "failing on demand\n").into_response();
    }
    next.run(request).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_third_request_fails() {
        let faults = Faults { fail_every: NonZeroU64::new(3), ..Faults::default() };
        let on_request = OnRequest::new(faults);
        let failed: Vec<_> = (0..6).map(|_| on_request.fails("/")).collect();
        assert_eq!(failed, [false, false, true, false, false, true]);
    }

    #[test]
    fn one_path_fails() {
        let faults = Faults { fail_path: Some("/api/models".to_owned()), ..Faults::default() };
        let on_request = OnRequest::new(faults);
        assert!(on_request.fails("/api/models"));
        assert!(!on_request.fails("/health"));
    }
}
