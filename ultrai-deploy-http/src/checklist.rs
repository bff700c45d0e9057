//! The item of the pre-release checklist that needs HTTP: whether this machine's clock is right.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use jiff::{Timestamp, fmt::rfc2822};
use reqwest::header::DATE;
use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Result,
    clock::{Clock as WallClock, SystemClock},
    health::Verdict,
    preflight::{Found, PreflightCheck},
};

use crate::{
    address::HttpUrl,
    client::{Client, Request},
};

/// Longest time of the request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The `Date` of an answer has whole seconds.
const RESOLUTION: Duration = Duration::from_secs(1);

/// How far this machine's clock may be from that of a server: signatures, certificates and what a
/// platform's log says are compared with it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Clock {
    /// Whose clock it is compared with: any HTTP server that sends `Date`, whatever it answers.
    pub url: HttpUrl,
    /// The most that they may differ: 30 s.
    #[serde(
        default = "usual",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::required"
    )]
    pub most: Duration,
}

fn usual() -> Duration {
    Duration::from_secs(30)
}

impl Clock {
    /// The check.
    pub fn with_client(self, client: Client) -> Arc<dyn PreflightCheck> {
        Arc::new(ClockCheck { spec: self, client, clock: Arc::new(SystemClock) })
    }
}

#[derive(Debug)]
struct ClockCheck {
    spec: Clock,
    client: Client,
    clock: Arc<dyn WallClock>,
}

#[async_trait]
impl PreflightCheck for ClockCheck {
    fn name(&self) -> &'static str {
        "clock"
    }

    async fn check(&self, cx: &Context) -> Result<Found> {
        let url = &self.spec.url;
        let answer = cx.bounded(self.client.send(Request::get(url.clone()), TIMEOUT)).await?;
        let here = self.clock.now();
        let date = answer.headers.get(DATE).and_then(|value| value.to_str().ok());
        let Some(there) = date.and_then(|text| rfc2822::parse(text).ok()) else {
            let mut found = Found::bad(
                format!("{url} does not say what time it is"),
                "name a server that sends a Date header",
            );
            found.verdict = Verdict::Inconclusive;
            return Ok(found);
        };
        Ok(compared(&self.spec, here, there.timestamp(), answer.latency))
    }
}

/// The server read its clock at some time during the request, and cut off the fraction of a second:
/// no difference within that is held against anybody.
fn compared(spec: &Clock, here: Timestamp, there: Timestamp, latency: Duration) -> Found {
    let difference = here.duration_since(there);
    let known = difference.unsigned_abs().saturating_sub(latency + RESOLUTION);
    let shown = Duration::from_secs(difference.unsigned_abs().as_secs());
    let (url, most) = (&spec.url, spec.most);
    let side = if difference.is_negative() { "behind" } else { "ahead of" };
    let what =
        format!("this machine's clock is {shown:?} {side} that of {url}, {most:?} are allowed");
    if known <= most {
        return Found::good(what);
    }
    Found::bad(what, "synchronise the clock, for example with `timedatectl set-ntp true`")
}

#[cfg(test)]
mod tests {
    use ultrai_deploy_core::name::{EnvironmentName, ProjectName, RunId, Target};
    use ultrai_deploy_testkit::server::{Answer, Server};

    use super::*;

    #[derive(Debug)]
    struct At(i64);

    impl WallClock for At {
        fn now(&self) -> Timestamp {
            Timestamp::from_second(784_111_777 + self.0).unwrap()
        }
    }

    async fn look(answer: Answer, ahead: i64) -> Found {
        let server = Server::start(move |_| answer.clone()).await.unwrap();
        let json = format!(r#"{{"url":"{}"}}"#, server.url("/"));
        let spec: Clock = serde_json::from_str(&json).unwrap();
        let client = Client::new(crate::Config::default()).unwrap();
        let check = ClockCheck { spec, client, clock: Arc::new(At(ahead)) };
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        check.check(&Context::detached(target, RunId::generate())).await.unwrap()
    }

    #[tokio::test]
    async fn a_clock_that_is_off_is_found_in_both_directions() {
        let answer = || Answer::text(404, "").with_header("Date", "Sun, 06 Nov 1994 08:49:37 GMT");
        for (ahead, verdict, says) in [
            (0, Verdict::Pass, "0ns ahead of"),
            (30, Verdict::Pass, "30s ahead of"),
            (-30, Verdict::Pass, "30s behind"),
            (60, Verdict::Fail, "60s ahead of"),
            (-3600, Verdict::Fail, "3600s behind"),
        ] {
            let found = look(answer(), ahead).await;
            assert_eq!(found.verdict, verdict, "{found:?}");
            assert!(found.what.contains(says), "{found:?}");
            assert_eq!(found.remedy.is_some(), verdict != Verdict::Pass);
        }
    }

    #[tokio::test]
    async fn a_server_without_a_clock_tells_nothing() {
        for answer in [Answer::text(200, ""), Answer::text(200, "").with_header("Date", "noon")] {
            assert_eq!(look(answer, 0).await.verdict, Verdict::Inconclusive);
        }
    }

    #[test]
    fn the_form_is_a_promise() {
        let json = r#"{"url":"https://example.com/","most":"5s"}"#;
        let spec: Clock = serde_json::from_str(json).unwrap();
        assert_eq!(serde_json::to_string(&spec).unwrap(), json);
        assert!(serde_json::from_str::<Clock>(r#"{"url":"https://x/","peers":1}"#).is_err());
    }
}
