//! Calls of a platform's API under one policy: bounded in time and size, repeated only where that is
//! safe, at the pace that the platform allows, with a token that goes to one host and is shown
//! nowhere.
//!
//! ```text
//! Call ──► wait for the window ──► attempt ──► Reply
//!               ▲                     │
//!               └──── pause ◄── what may be tried again
//! ```
//!
//! What may be tried again ([`Repeat`]) is said by whoever makes the call. A call that changes
//! something and may have arrived is never sent twice: it ends in an error whose effect is unknown,
//! and the engine looks before it decides.

mod call;
mod config;
mod connection;
mod failure;
mod pace;
mod reply;
mod retry;
mod upgrade;

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use reqwest::redirect;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    clock::{Clock, SystemClock},
    pipeline::{Randomness, SystemRandomness},
    redact::Redactor,
};

pub use self::{
    call::{Call, Method, Repeat},
    config::{Credential, Limits},
    connection::Connection,
    failure::Refused,
    reply::Reply,
    upgrade::Upgraded,
};

use self::{
    pace::Pace,
    retry::{Again, Outcome},
};
use crate::{address::HttpUrl, client::USER_AGENT};

/// A shorter wait for the platform's window is not worth a note.
const NOTED_WAIT: Duration = Duration::from_secs(5);

/// The API of a platform, as one account sees it. Clones share connections and what is known of the
/// platform's limits.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

struct Inner {
    base: HttpUrl,
    connection: Connection,
    credential: Credential,
    limits: Limits,
    http: reqwest::Client,
    pace: Mutex<Pace>,
    /// Cuts out the token, and what calls carried.
    redactor: Mutex<Redactor>,
    clock: Arc<dyn Clock>,
    randomness: Arc<dyn Randomness>,
}

impl Api {
    /// The API below `base`, called with `credential`.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when the token would leave this machine without TLS;
    /// [`ErrorKind::Unsupported`] when there is no TLS to be had.
    pub fn new(base: HttpUrl, credential: Credential, limits: Limits) -> Result<Self> {
        Self::over(Connection::default(), base, credential, limits)
    }

    /// The API below `base`, reached in this way.
    ///
    /// # Errors
    /// As [`Api::new`]; [`ErrorKind::Unsupported`] also for authorities that cannot be trusted.
    pub fn over(
        connection: Connection,
        base: HttpUrl,
        credential: Credential,
        limits: Limits,
    ) -> Result<Self> {
        connection.check(&base)?;
        let http = client(&connection, &base, &limits, |builder| builder)?;
        let redactor = Mutex::new(credential.redactor().clone());
        Ok(Self(Arc::new(Inner {
            base,
            connection,
            redactor,
            credential,
            limits,
            http,
            pace: Mutex::default(),
            clock: Arc::new(SystemClock),
            randomness: Arc::new(SystemRandomness),
        })))
    }

    /// Where it is.
    pub fn base(&self) -> &HttpUrl {
        &self.0.base
    }

    /// What it is called with.
    pub fn credential(&self) -> &Credential {
        &self.0.credential
    }

    /// Cuts the token out of texts, and all secrets that it was told of.
    pub fn redactor(&self) -> Redactor {
        self.hidden().clone()
    }

    /// Cuts these out of all later errors, too: a platform may repeat what it was sent before, or what
    /// was read from it.
    pub fn hide(&self, secrets: Redactor) {
        self.hidden().extend(secrets);
    }

    /// Makes a call, with as many attempts as it may have.
    ///
    /// A cancellation of the context ends waits and calls that change nothing; one that changes
    /// something is waited for.
    ///
    /// # Errors
    /// - [`ErrorKind::Denied`], [`ErrorKind::NotFound`], [`ErrorKind::Conflict`] and
    ///   [`ErrorKind::Invalid`] for an answer that says so, without effect; the [`Refused`] is its
    ///   source.
    /// - [`ErrorKind::Unavailable`] and [`ErrorKind::Timeout`] when no usable answer came. The
    ///   effect is known to be none where the call changes nothing or never arrived.
    /// - [`ErrorKind::Unexpected`] for an answer that makes no sense: a redirect, a longer body
    ///   than is read.
    pub async fn send(&self, cx: &Context, call: &Call) -> Result<Reply> {
        self.hide(call.redactor().clone());
        let limits = &self.0.limits;
        let end = Instant::now() + limits.deadline;
        let end = cx.deadline().map_or(end, |deadline| deadline.min(end));
        let (mut failed, mut told) = (0, 0);
        loop {
            self.wait_for_window(cx, call, end).await?;
            let (error, outcome) = match self.attempt(cx, call, end).await? {
                Ok(reply) => return Ok(reply),
                Err(failed) => failed,
            };
            let backoff = limits.backoff();
            let pause = match retry::again(call.repeat(), &outcome) {
                Again::Never => return Err(error),
                Again::AfterAWhile => {
                    failed += 1;
                    if !backoff.goes_on(failed) {
                        return Err(error.exhausted());
                    }
                    backoff.pause(failed, self.0.randomness.as_ref())
                }
                Again::NotBefore(asked) => {
                    told += 1;
                    asked + backoff.pause(told, self.0.randomness.as_ref())
                }
            };
            if Instant::now() + pause >= end {
                return Err(error.exhausted());
            }
            let why = "an answer asks for it";
            self.rest(cx, pause, why).await?;
        }
    }

    /// The pause between two looks at something that takes its time: `wanted`, or longer where the
    /// platform allows so few calls that looking that often would use them up. `class` is that of
    /// the calls.
    pub fn spread(&self, class: &'static str, wanted: Duration) -> Duration {
        let pause = self.pace().spread(class, self.0.limits.reserve, wanted, Instant::now());
        if pause > wanted {
            tracing::info!(
                host = self.0.base.url().host_str().unwrap_or_default(),
                seconds = pause.as_secs(),
                "few calls are left until the platform's window ends: it is looked at less often"
            );
        }
        pause
    }

    /// Waits until the platform allows another call of this class.
    async fn wait_for_window(&self, cx: &Context, call: &Call, end: Instant) -> Result<()> {
        loop {
            let now = Instant::now();
            let wait = self.pace().wait(call.class(), self.0.limits.reserve, now);
            if wait.is_zero() {
                return Ok(());
            }
            if now + wait >= end {
                return Err(failure::too_many(call, wait));
            }
            self.rest(cx, wait, "no more calls are allowed until then").await?;
        }
    }

    async fn rest(&self, cx: &Context, pause: Duration, why: &str) -> Result<()> {
        if pause >= NOTED_WAIT {
            let seconds = pause.as_secs();
            let host = self.0.base.url().host_str().unwrap_or_default();
            cx.note(&format!("waiting {seconds} s for {host}: {why}")).await?;
        }
        let rest = async {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        cx.bounded(rest).await.map_err(Error::without_effect)
    }

    /// One attempt. The outer error is the end of the context.
    async fn attempt(
        &self,
        cx: &Context,
        call: &Call,
        end: Instant,
    ) -> Result<Result<Reply, (Error, Outcome)>> {
        let timeout = call.timeout().unwrap_or(self.0.limits.timeout);
        let began = Instant::now();
        let timeout = timeout.min(end.saturating_duration_since(began));
        if timeout.is_zero() {
            return Err(failure::no_time(call));
        }
        let exchange = async { Ok(self.exchange(call, timeout).await) };
        let answered = match call.repeat() {
            Repeat::Safe => cx.bounded(exchange).await.map_err(Error::without_effect)?,
            // It has its own end, and what began is not dropped.
            Repeat::Keyed | Repeat::Once => exchange.await?,
        };
        let status = match &answered {
            Ok(reply) => Some(reply.status()),
            Err((_, Outcome::Answered { status, .. })) => Some(*status),
            Err(_) => None,
        };
        tracing::debug!(
            method = %call.method(),
            path = call.shown_path(),
            status,
            millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "called an API"
        );
        Ok(answered)
    }

    async fn exchange(&self, call: &Call, timeout: Duration) -> Result<Reply, (Error, Outcome)> {
        let inner = &*self.0;
        let request =
            call.request(&inner.http, &inner.base).map_err(|error| (error, Outcome::Impossible))?;
        let sent = inner.credential.on(request).timeout(timeout).send().await;
        let mut response = sent.map_err(|error| failure::unanswered(call, error, timeout))?;
        let wall = inner.clock.now();
        self.pace().learn(call.class(), response.headers(), Instant::now(), wall);
        let retry_after = response.headers().get(reqwest::header::RETRY_AFTER);
        let retry_after = retry_after
            .and_then(|value| value.to_str().ok())
            .and_then(|text| pace::until(text, wall));
        let status = response.status().as_u16();
        let headers = std::mem::take(response.headers_mut());
        let body = reply::read(&mut response, inner.limits.body_limit).await;
        let redactor = self.redactor();
        let answered = Outcome::Answered { status, retry_after };
        match body {
            Err(broken) => Err(failure::half_an_answer(call, status, broken, timeout)),
            Ok(body) if call.accepts(status) => {
                Ok(Reply::new(call.operation(), status, headers, body, redactor))
            }
            Ok(body) => {
                let answer = failure::Answer { status, headers: &headers, body: &body };
                let kind = inner.credential.kind();
                Err((failure::refused(call, answer, kind, &redactor), answered))
            }
        }
    }

    fn hidden(&self) -> MutexGuard<'_, Redactor> {
        self.0.redactor.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.0.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What the requests to `base` are sent with.
fn client(
    connection: &Connection,
    base: &HttpUrl,
    limits: &Limits,
    more: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
) -> Result<reqwest::Client> {
    let builder = reqwest::Client::builder()
        .user_agent(USER_AGENT)
        .connect_timeout(limits.connect_timeout)
        .redirect(redirect::Policy::none())
        .referer(false)
        .no_proxy();
    let builder = connection.apply(base, builder);
    more(builder).build().map_err(|source| {
        Error::new(ErrorKind::Unsupported, "make an HTTP client", "no TLS can be had")
            .with_advice("install the system's CA certificates (package ca-certificates)")
            .without_effect()
            .with_source(source)
    })
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inner")
            .field("base", &self.base)
            .field("connection", &self.connection)
            .field("credential", &self.credential)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}
