//! What the engine tells of a container at the moment at which it happens.

use std::{collections::HashMap, fmt, time::Duration};

use bollard::{
    errors::Error as Bollard, models::EventMessage, query_parameters::EventsOptionsBuilder,
};
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use tokio::sync::OwnedSemaphorePermit;
use ultrai_deploy_core::{
    clock::{Clock, SystemClock},
    health::{Changes, Endpoint},
};

use super::Engine;

/// What is worth a look. The engine tells `health_status` with the new one behind it. Commands in a
/// container, of which each look at a health check is one, are not among them.
const EVENTS: [&str; 9] =
    ["create", "start", "die", "oom", "health_status", "restart", "pause", "unpause", "destroy"];
/// Pause before the first attempt to listen again.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// Longest pause between two attempts.
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Tells of a container by the engine's events.
///
/// Each that listens has a connection of its own, at most [`Events::MOST`] at once for an engine. The
/// others wait until one is free and hear then what was told since they wanted to listen.
#[derive(Clone)]
pub(crate) struct Events(Engine);

impl Events {
    /// How many connections listen at once.
    pub(super) const MOST: usize = 64;

    pub(crate) fn of(engine: &Engine) -> Self {
        Self(engine.clone())
    }
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Events").field(&self.0.address()).finish()
    }
}

impl Changes for Events {
    fn follow(&self, endpoint: &Endpoint) -> BoxStream<'static, ()> {
        let now = SystemClock.now();
        let feed = Feed {
            engine: self.0.clone(),
            container: endpoint.instance.clone(),
            since: format!("{}.{:09}", now.as_second(), now.subsec_nanosecond()),
            pause: FIRST_PAUSE,
            open: None,
        };
        stream::unfold(feed, |mut feed| async move { feed.hear().await.then_some(((), feed)) })
            .boxed()
    }
}

struct Feed {
    engine: Engine,
    container: String,
    /// By the engine's clock. Where that differs from ours, one more look is made, or one less.
    since: String,
    pause: Duration,
    open: Option<Open>,
}

struct Open {
    events: BoxStream<'static, Result<EventMessage, Bollard>>,
    _turn: Option<OwnedSemaphorePermit>,
}

impl Feed {
    /// Waits for an event; false when the engine never tells any.
    async fn hear(&mut self) -> bool {
        loop {
            let Some(open) = &mut self.open else {
                match self.listen().await {
                    Some(open) => self.open = Some(open),
                    None => self.rest().await,
                }
                continue;
            };
            match open.events.next().await {
                Some(Ok(event)) => {
                    self.pause = FIRST_PAUSE;
                    self.went_on(&event);
                    return true;
                }
                // A proxy before the engine that lets only some requests through.
                Some(Err(Bollard::DockerResponseServerError { status_code: 400..500, .. })) => {
                    self.open = None;
                    return false;
                }
                Some(Err(_)) | None => {
                    self.open = None;
                    self.rest().await;
                }
            }
        }
    }

    /// Sends nothing yet: the request is sent when the first event is waited for.
    async fn listen(&mut self) -> Option<Open> {
        let turn = self.engine.listener().await;
        let filters = HashMap::from([
            ("type", vec!["container"]),
            ("container", vec![self.container.as_str()]),
            ("event", EVENTS.to_vec()),
        ]);
        let options = EventsOptionsBuilder::default().since(&self.since).filters(&filters).build();
        let client = self.engine.client().await.ok()?.clone();
        Some(Open { events: client.events(Some(options)).boxed(), _turn: turn })
    }

    async fn rest(&mut self) {
        tokio::time::sleep(self.pause).await;
        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
    }

    /// After a loss nothing is heard twice.
    fn went_on(&mut self, event: &EventMessage) {
        if let Some(nanos) = event.time_nano {
            let next = nanos.saturating_add(1);
            self.since = format!("{}.{:09}", next / 1_000_000_000, next % 1_000_000_000);
        }
    }
}
