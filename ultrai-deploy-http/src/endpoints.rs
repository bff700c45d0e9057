//! Health endpoints for a program to mount: a tower service, as axum takes it.
//!
//! | path | answers |
//! |---|---|
//! | `/health` | 200 `{"status":"healthy","timestamp":"…"}` as long as the program answers at all |
//! | `/health/live` | 200 `{"status":"alive"}`, likewise |
//! | `/health/ready` | 200 `{"status":"ready",…}`, or 503 `{"status":"not ready",…}` when a dependency that is needed is not well; each with its `latency_ms` |
//! | `/health/NAME` | 200 `{"status":"connected",…}`, or 503 `{"status":"disconnected",…}`, of one dependency |
//!
//! ```
//! # use std::sync::Arc;
//! # use ultrai_deploy_core::{name::*, health::*, verification::{CheckSpec, ProbeSource}};
//! # use ultrai_deploy_http::{Client, Config, Probes, endpoints::HealthEndpoints};
//! # fn main() -> ultrai_deploy_core::Result<()> {
//! let target = Target::new(ProjectName::new("shop")?, EnvironmentName::new("staging")?);
//! let spec = CheckSpec::new("redis", serde_json::json!({"tcp": {"at": {"address": "redis:6379"}}}));
//! let probe = Probes::new(Client::new(Config::default())?).probe(&spec)?;
//! let redis = Check::new("redis", None, probe, Timing::default());
//! let health = HealthEndpoints::builder(target).dependency(redis).build()?;
//!
//! let app: axum::Router = axum::Router::new().nest_service("/health", health);
//! # Ok(())
//! # }
//! ```
//!
//! Dependencies are asked side by side, each for at most two seconds, and each answer serves all
//! requests of a second, so that a storm of requests is none for them. No answer shows more of a
//! failure than one line.

mod look;

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context as TaskContext, Poll},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Map, Value, json};
use tower_service::Service;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    clock::{Clock, SystemClock},
    consequence::Severity,
    health::{Check, Endpoint, Role},
    name::{RunId, Target},
    redact::SharedRedactor,
};

use look::{Look, Seen};

/// How long an answer of a dependency is used again unless something else is said: 1 s.
pub const FRESH: Duration = Duration::from_secs(1);
/// How long a dependency may take unless something else is said, or its check is given less: 2 s.
pub const LIMIT: Duration = Duration::from_secs(2);

/// Names that are paths already.
const TAKEN: [&str; 3] = ["health", "live", "ready"];

/// The service. Clones are one.
#[derive(Clone, Debug)]
pub struct HealthEndpoints(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dependencies: Vec<Dependency>,
    clock: Arc<dyn Clock>,
    redactor: SharedRedactor,
}

#[derive(Debug)]
struct Dependency {
    name: String,
    /// Whether nothing can be done without it.
    is_needed: bool,
    look: Look,
}

/// Puts [`HealthEndpoints`] together.
#[derive(Debug)]
pub struct Builder {
    target: Target,
    checks: Vec<(Check, Endpoint)>,
    fresh: Duration,
    limit: Duration,
    clock: Arc<dyn Clock>,
    redactor: SharedRedactor,
}

impl HealthEndpoints {
    /// Endpoints of a program that is part of `target`, without dependencies so far.
    pub fn builder(target: Target) -> Builder {
        Builder {
            target,
            checks: Vec::new(),
            fresh: FRESH,
            limit: LIMIT,
            clock: Arc::new(SystemClock),
            redactor: SharedRedactor::default(),
        }
    }

    /// What a request for `path` gets; with or without the `/health` in front, as it is mounted.
    async fn answer(self, path: String) -> (StatusCode, Value) {
        let path = path.trim_end_matches('/');
        let below =
            path.strip_prefix("/health").filter(|rest| rest.is_empty() || rest.starts_with('/'));
        match below.unwrap_or(path) {
            "" => {
                let timestamp = self.0.clock.now();
                (StatusCode::OK, json!({ "status": "healthy", "timestamp": timestamp }))
            }
            "/live" => (StatusCode::OK, json!({ "status": "alive" })),
            "/ready" => self.ready().await,
            other => self.dependency(other.trim_start_matches('/')).await,
        }
    }

    async fn ready(&self) -> (StatusCode, Value) {
        let all = &self.0.dependencies;
        let seen = join_all(all.iter().map(|one| one.look.seen())).await;
        let is_ready =
            all.iter().zip(&seen).all(|(one, seen)| seen.why.is_none() || !one.is_needed);
        let dependencies: Map<String, Value> =
            all.iter().zip(&seen).map(|(one, seen)| (one.name.clone(), self.shown(seen))).collect();
        let (code, status) = if is_ready {
            (StatusCode::OK, "ready")
        } else {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready")
        };
        let timestamp = self.0.clock.now();
        (code, json!({ "status": status, "timestamp": timestamp, "dependencies": dependencies }))
    }

    async fn dependency(&self, name: &str) -> (StatusCode, Value) {
        let Some(one) = self.0.dependencies.iter().find(|one| one.name == name) else {
            return (StatusCode::NOT_FOUND, json!({ "status": "unknown" }));
        };
        let seen = one.look.seen().await;
        let code =
            if seen.why.is_none() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        (code, self.shown(&seen))
    }

    fn shown(&self, seen: &Seen) -> Value {
        let latency_ms = seen.latency_ms();
        match &seen.why {
            None => json!({ "status": "connected", "latency_ms": latency_ms }),
            Some(why) => {
                let why = self.0.redactor.text(why);
                json!({ "status": "disconnected", "latency_ms": latency_ms, "why": why })
            }
        }
    }
}

impl Builder {
    /// Adds a dependency that names its own address. Its check's name is its path; one that is minor
    /// is shown, and does not make the program unready.
    pub fn dependency(self, check: Check) -> Self {
        self.dependency_at(check, Endpoint::none(Role::Live))
    }

    /// The same for one that is found at `endpoint`.
    pub fn dependency_at(mut self, check: Check, endpoint: Endpoint) -> Self {
        self.checks.push((check, endpoint));
        self
    }

    /// Sets how long an answer of a dependency is used again.
    pub fn fresh(mut self, fresh: Duration) -> Self {
        self.fresh = fresh;
        self
    }

    /// Sets how long a dependency may take; a check with a shorter timeout keeps it.
    pub fn limit(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Sets what cuts secrets out of what is said of dependencies.
    pub fn redactor(mut self, redactor: SharedRedactor) -> Self {
        self.redactor = redactor;
        self
    }

    /// Sets the clock of the answers.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// The endpoints.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when a name is there twice or cannot be a path.
    pub fn build(self) -> Result<HealthEndpoints> {
        let mut dependencies: Vec<Dependency> = Vec::new();
        for (check, endpoint) in self.checks {
            let name = check.name;
            let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty() || !name.chars().all(good) || TAKEN.contains(&name.as_str()) {
                let message = format!("`{}` is no path of its own", name.escape_default());
                return Err(invalid(message));
            }
            if dependencies.iter().any(|one| one.name == name) {
                return Err(invalid(format!("`{name}` is there twice")));
            }
            let cx = Context::detached(self.target.clone(), RunId::generate());
            let limit = self.limit.min(check.timing.timeout);
            let is_needed = check.consequences.severity > Severity::Minor;
            let look = Look::new(cx, check.probe, endpoint, limit, self.fresh);
            dependencies.push(Dependency { name, is_needed, look });
        }
        let (clock, redactor) = (self.clock, self.redactor);
        Ok(HealthEndpoints(Arc::new(Inner { dependencies, clock, redactor })))
    }
}

impl<B> Service<Request<B>> for HealthEndpoints {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut TaskContext<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (own, path) = (self.clone(), request.uri().path().to_owned());
        let method = request.method().clone();
        Box::pin(async move {
            let (code, body) = match method {
                Method::GET | Method::HEAD => own.answer(path).await,
                _ => (StatusCode::METHOD_NOT_ALLOWED, json!({ "status": "not allowed" })),
            };
            Ok(response(code, &body, method == Method::HEAD))
        })
    }
}

fn response(code: StatusCode, body: &Value, head_only: bool) -> Response<Full<Bytes>> {
    let text = Bytes::from(body.to_string());
    let length = text.len();
    let mut response = Response::new(if head_only { Full::default() } else { Full::new(text) });
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, header::HeaderValue::from_static("no-store"));
    headers.insert(header::CONTENT_LENGTH, length.into());
    if code == StatusCode::METHOD_NOT_ALLOWED {
        headers.insert(header::ALLOW, header::HeaderValue::from_static("GET, HEAD"));
    }
    response
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "mount health endpoints", message)
        .with_advice("name each dependency once, with letters, digits, `-`, `_` and `.`")
        .without_effect()
}
