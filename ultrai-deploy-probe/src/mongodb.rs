//! MongoDB: `hello` over OP_MSG, which needs no login.

mod bson;
mod message;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::{io::AsyncWriteExt, time::Instant};
use ultrai_deploy_core::{
    Result, health::Endpoint, name::SecretName, secret::Secrets, verification::CheckSpec,
};
use ultrai_deploy_http::address::HostPort;

use self::bson::{Document, Value};
use crate::{
    connection::Connection,
    finding::{Finding, said},
    look::{Look, Looking},
    place::Place,
};

/// A MongoDB server (4.4.2 or newer) that answers `hello` and is ready to serve.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MongodbSpec {
    /// Where it listens; the check's service by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<HostPort>,
    /// The port of the check's service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Whether it has to be one that takes writes: a primary, or one without replicas. By default a
    /// secondary is fine, too.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub writable_primary: bool,
}

#[derive(Debug)]
pub(crate) struct Mongodb {
    spec: MongodbSpec,
    place: Place,
}

impl Mongodb {
    pub(crate) fn new(check: &CheckSpec, spec: MongodbSpec) -> Result<Self> {
        let place = Place::of(check, spec.address.as_ref(), spec.port)?;
        Ok(Self { spec, place })
    }
}

#[async_trait]
impl Look for Mongodb {
    fn secrets(&self) -> Vec<SecretName> {
        Vec::new()
    }

    async fn look(&self, endpoint: &Endpoint, _: &Secrets, looking: &Looking) -> Result<Finding> {
        let spot = match self.place.spot(endpoint)? {
            Ok(spot) => spot,
            Err(why) => return Ok(Finding::not_yet(why)),
        };
        let who = format!("MongoDB at {spot}");
        let began = Instant::now();
        looking.waits(format!("{who}: no connection"));
        let mut connection = match Connection::open(&spot).await {
            Ok(connection) => connection,
            Err(why) => return Ok(Finding::bad(format!("{who}: {why}"))),
        };
        looking.waits(format!("{who}: no answer to hello"));
        if let Err(error) = connection.write_all(&message::hello()).await {
            return Ok(Finding::bad(format!("{who}: the connection broke ({error})")));
        }
        let body = match message::read(&mut connection).await {
            Ok(body) => body,
            Err(why) => return Ok(Finding::bad(format!("{who}: {why}"))),
        };
        Ok(match Document::read(&body) {
            Some(hello) => {
                let asked = began.elapsed();
                judge(&who, &format!("{asked:.1?}"), self.spec.writable_primary, &hello)
            }
            None => Finding::bad(format!("{who}: its answer to hello is damaged: {}", said(&body))),
        })
    }
}

/// What a member of a replica set, or a server by itself, says that it is.
fn judge(who: &str, took: &str, wants_primary: bool, hello: &Document) -> Finding {
    let is = |name| hello.get(name).is_some_and(Value::is_true);
    if !is("ok") {
        let text = hello.text("errmsg").unwrap_or("it does not say why");
        let code = hello.text("codeName").unwrap_or("no code");
        return Finding::bad(format!("{who}: it refused hello: {code}: {}", said(text.as_bytes())));
    }
    let set = hello.text("setName").map(|name| format!(" of the set {}", said(name.as_bytes())));
    let set = set.unwrap_or_default();
    let state = if is("isWritablePrimary") {
        "takes writes"
    } else if is("secondary") {
        "is a secondary"
    } else if is("arbiterOnly") {
        "is an arbiter"
    } else {
        return Finding::not_yet(format!("{who}: it is neither primary nor secondary{set} yet"));
    };
    let version = hello.get("maxWireVersion").and_then(Value::number);
    let version = version.map_or_else(String::new, |version| format!(", wire version {version}"));
    let seen = format!("{who}: it {state}{set}{version}; hello after {took}");
    if wants_primary && !is("isWritablePrimary") {
        return Finding::bad(format!("{who}: it {state}{set} and takes no writes"))
            .with_evidence(seen);
    }
    Finding::good(seen)
}
