//! GraphQL Yoga over Railway's published schema, with as much of a memory as a deploy needs.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use serde::Deserialize;
use serde_json::Value;
use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway::{Client, Config, Platform, Token, model::ProjectId};
use ultrai_deploy_testkit::{
    hosted::{Fake, Inside},
    peer::{self, Peer},
};

pub const TOKEN: &str = "hunter2-hunter2-token";

/// The server, running.
#[derive(Debug)]
pub struct Yoga(Peer);

/// What came to it.
#[derive(Debug, Deserialize)]
pub struct Seen {
    /// Over HTTP.
    pub requests: usize,
    /// Why some were refused.
    pub refused: Vec<String>,
    /// What was subscribed to.
    pub subscriptions: usize,
}

impl Yoga {
    pub async fn new() -> Self {
        let own = Path::new(env!("CARGO_MANIFEST_DIR"));
        let directory = peer::directory(&own.join(".."));
        let arguments = [directory, schema(own), TOKEN.into()];
        Self(Peer::start(&own.join("tests/peer/server.mjs"), arguments).await)
    }

    pub fn client(&self, token: &Token) -> Client {
        let pause = Duration::from_millis(1);
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        Client::new(&HttpUrl::parse(self.0.address()).unwrap(), token, limits).unwrap()
    }

    pub fn seen(&self) -> Seen {
        serde_json::from_value(self.beside("/seen")).unwrap()
    }

    /// What a person sees or sets beside the API.
    fn beside(&self, path: &str) -> Value {
        let address = self.0.address().strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{path}: {error}: {answer}"))
    }
}

impl Fake for Yoga {
    fn platform(&self) -> Arc<dyn hosted::Platform> {
        let client = self.client(&Token::Account(Secret::new(TOKEN)));
        let mut config = Config::new(ProjectId::new("project-1"), "production");
        (config.pause, config.lag) = (Duration::from_millis(1), Duration::from_millis(20));
        Arc::new(Platform::new(client, config))
    }

    fn set_variable(&self, service: &str, name: &str, value: &str) {
        self.beside(&format!("/set?service={service}&name={name}&value={value}"));
    }

    fn inside(&self, service: &str) -> Inside {
        let inside = self.beside(&format!("/inside?service={service}"));
        let map = |value: &Value| serde_json::from_value(value.clone()).unwrap_or_default();
        Inside {
            image: inside["live"]["image"].as_str().map(str::to_owned),
            started_with: map(&inside["live"]["variables"]),
            variables: map(&inside["variables"]),
            configured: inside["source"].as_str().map(str::to_owned),
            is_busy: inside["isBusy"] == true,
        }
    }

    fn fail_every(&self, _: Option<usize>) {
        unreachable!("the tests' own Railway does that")
    }
}

fn schema(own: &Path) -> PathBuf {
    let beside = || own.join("../../shared/contracts");
    let contracts = std::env::var_os("ULTRAI_CONTRACTS").map_or_else(beside, PathBuf::from);
    let file = contracts.join("railway/schema.graphql");
    assert!(
        file.is_file(),
        "{} is missing: set ULTRAI_CONTRACTS to the directory of contracts, or put it at \
         ../shared/contracts beside the repository",
        file.display()
    );
    file
}
