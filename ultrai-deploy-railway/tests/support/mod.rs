//! What the tests of the client share.

use std::time::Duration;

use ultrai_deploy_core::{
    Context,
    name::{EnvironmentName, ProjectName, RunId, Target},
    secret::Secret,
};
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway::{
    Client, Token,
    model::{EnvironmentId, ProjectId, ServiceAt, ServiceId},
};
use ultrai_deploy_testkit::server::Server;

pub(crate) const TOKEN: &str = "hunter2-token-hunter2";

pub(crate) fn context() -> Context {
    let target = Target::new(ProjectName::new("p").unwrap(), EnvironmentName::new("e").unwrap());
    Context::detached(target, RunId::generate()).with_timeout(Duration::from_mins(1))
}

pub(crate) fn client(server: &Server) -> Client {
    client_with(server, &Token::Account(Secret::new(TOKEN)))
}

pub(crate) fn client_with(server: &Server, token: &Token) -> Client {
    let (pause, longest_pause) = (Duration::from_millis(1), Duration::from_millis(5));
    let limits = Limits { pause, longest_pause, ..Limits::default() };
    Client::new(&HttpUrl::parse(&server.url("")).unwrap(), token, limits).unwrap()
}

pub(crate) fn at() -> ServiceAt {
    ServiceAt {
        project: ProjectId::new("project-1"),
        environment: EnvironmentId::new("environment-1"),
        service: ServiceId::new("service-1"),
    }
}
