//! One load, from its stored form to what came of it.

use std::{sync::Arc, time::Duration};

use ultrai_deploy_core::{
    Context, ErrorKind, Result,
    health::{Endpoint, Health},
    name::SecretName,
    redact::Redactor,
    secret::SecretSource,
};
use ultrai_deploy_http::address::HttpUrl;

use crate::{
    dialer::Dialer,
    generator::{Load, Outcome},
    place::{Place, place, redactor, secrets, silent},
    request::Requests,
    schedule::Schedule,
    spec::Requesting,
    tally::Tally,
};

/// What came of a load.
pub(crate) enum Sent {
    Done(Box<Done>),
    /// Nothing was sent, and this is what is to be said of it.
    Not(Health),
}

/// A load that was sent, and where.
pub(crate) struct Done {
    pub(crate) outcome: Outcome,
    pub(crate) url: HttpUrl,
    /// What cuts the secrets of its headers out of texts.
    pub(crate) redactor: Redactor,
}

/// Sends `requesting` to `endpoint` until `stop` says why that is of no use any more.
#[expect(clippy::too_many_arguments, reason = "a load is what, where, how long and until when")]
pub(crate) async fn send(
    check: &str,
    cx: &Context,
    endpoint: &Endpoint,
    source: Option<&Arc<dyn SecretSource>>,
    requesting: &Requesting,
    warm_up: Duration,
    duration: Duration,
    stop: impl FnMut(&Tally, &Tally) -> Option<String> + Send,
) -> Result<Sent> {
    let url = match place(requesting.url.as_ref(), requesting.port, endpoint)? {
        Place::At(url) => url,
        Place::Nowhere(health) => return Ok(Sent::Not(health)),
    };
    let work = async {
        let kinds = requesting.kinds();
        let secrets = secrets(cx, source, secret_names(requesting)).await?;
        let redactor = redactor(&secrets);
        let requests = Requests::new(&url, &kinds, &secrets)?;
        let dialer = match Dialer::find(&url).await {
            Ok(dialer) => dialer,
            Err(error) if error.kind() == ErrorKind::Unavailable => {
                return Ok(Sent::Not(silent(check, format!("{url}: {}", error.message()))));
            }
            Err(error) => return Err(error),
        };
        let load = Load {
            dialer,
            requests,
            schedule: Schedule::new(requesting.rate, warm_up, duration),
            timeout: requesting.timeout,
            max_open: requesting.max_open,
            fresh_connections: requesting.fresh_connections,
        };
        let outcome = load.run(stop).await?;
        Ok(Sent::Done(Box::new(Done { outcome, url: url.clone(), redactor })))
    };
    cx.bounded(work).await
}

/// The secrets that its headers need.
pub(crate) fn secret_names(requesting: &Requesting) -> Vec<SecretName> {
    let headers = requesting.requests.iter().flat_map(|request| request.secret_headers.values());
    headers.cloned().collect()
}
