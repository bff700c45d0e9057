//! A client, and a server that answers it as told.

use std::time::Duration;

use ultrai_deploy_core::{
    Context,
    name::{EnvironmentName, ProjectName, RunId, Target},
    secret::Secret,
};
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_render::{Client, model::ServiceId};
use ultrai_deploy_testkit::server::{Answer, Request, Server};

pub(crate) const BASE: &str = "/v1";

/// Long enough for any machine; tests that reach it fail.
const LONG: Duration = Duration::from_mins(1);

pub(crate) struct Rig {
    server: Server,
    pub(crate) client: Client,
    pub(crate) cx: Context,
}

impl Rig {
    /// Gives these answers one after the other.
    pub(crate) async fn queue(answers: impl IntoIterator<Item = Answer>) -> Self {
        Self::over(Server::queue(answers).await.unwrap())
    }

    /// Always gives the same answer.
    pub(crate) async fn always(status: u16, body: &str) -> Self {
        let answer = Answer::json(status, body);
        Self::answering(move |_| answer.clone()).await
    }

    pub(crate) async fn answering(
        answers: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> Self {
        Self::over(Server::start(answers).await.unwrap())
    }

    fn over(server: Server) -> Self {
        let base = HttpUrl::parse(&server.url(BASE)).unwrap();
        let pause = Duration::from_millis(1);
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        let client = Client::new(base, &Secret::new("rnd_key"), limits).unwrap();
        let target =
            Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
        let cx = Context::detached(target, RunId::generate()).with_timeout(LONG);
        Self { server, client, cx }
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.server.requests()
    }
}

pub(crate) fn service() -> ServiceId {
    "srv-1".into()
}
