//! Redis: AUTH and PING, in its own protocol.

mod reply;

use std::fmt::Write;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncWriteExt, BufReader},
    time::Instant,
};
use ultrai_deploy_core::{
    Result, health::Endpoint, name::SecretName, secret::Secrets, verification::CheckSpec,
};
use ultrai_deploy_http::address::HostPort;

use self::reply::{Reply, read};
use crate::{
    connection::Connection,
    finding::Finding,
    look::{Look, Looking, value},
    place::Place,
    source::{Resources, wrong},
};

/// A Redis server that accepts a login and answers PING.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisSpec {
    /// Where it listens; the check's service by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address: Option<HostPort>,
    /// The port of the check's service.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who logs in, where the server knows users (Redis 6); its default user by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// The secret that holds the password; without it nobody logs in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretName>,
    /// Whether it speaks TLS, with a certificate that this machine trusts; it does not by default.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// The name in its certificate; the host that is connected to by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Redis {
    spec: RedisSpec,
    place: Place,
    resources: Resources,
}

impl Redis {
    pub(crate) fn new(check: &CheckSpec, spec: RedisSpec, resources: Resources) -> Result<Self> {
        if spec.username.is_some() && spec.password.is_none() {
            return Err(wrong(check, "has a username and no password")
                .with_advice("name the secret that holds it: password = \"REDIS_PASSWORD\""));
        }
        if spec.tls_name.is_some() && !spec.tls {
            return Err(wrong(check, "has a tls_name and no tls").with_advice("set tls = true"));
        }
        let place = Place::of(check, spec.address.as_ref(), spec.port)?;
        Ok(Self { spec, place, resources })
    }
}

#[async_trait]
impl Look for Redis {
    fn secrets(&self) -> Vec<SecretName> {
        self.spec.password.iter().cloned().collect()
    }

    async fn look(
        &self,
        endpoint: &Endpoint,
        secrets: &Secrets,
        looking: &Looking,
    ) -> Result<Finding> {
        let spot = match self.place.spot(endpoint)? {
            Ok(spot) => spot,
            Err(why) => return Ok(Finding::not_yet(why)),
        };
        let who = format!("Redis at {spot}");
        let began = Instant::now();
        looking.waits(format!("{who}: no connection"));
        let mut connection = match Connection::open(&spot).await {
            Ok(connection) => connection,
            Err(why) => return Ok(Finding::bad(format!("{who}: {why}"))),
        };
        if self.spec.tls {
            looking.waits(format!("{who}: no end of the TLS handshake"));
            let name = self.spec.tls_name.as_deref().unwrap_or(&spot.host);
            connection = match connection.secured(name, &self.resources.trust).await? {
                Ok(secured) => secured,
                Err(why) => return Ok(Finding::bad(format!("{who}: {why}"))),
            };
        }
        let mut connection = BufReader::new(connection);
        if let Some(password) = &self.spec.password {
            let password = value(secrets, password)?;
            let command: Vec<&str> = ["AUTH"]
                .into_iter()
                .chain(self.spec.username.as_deref())
                .chain([password])
                .collect();
            looking.waits(format!("{who}: no answer to AUTH"));
            match ask(&mut connection, &command, looking).await {
                Ok(Reply::Simple(text)) if text == b"OK" => {}
                Ok(reply) => return Ok(refused(&who, "AUTH", &reply, looking)),
                Err(why) => {
                    return Ok(Finding::bad(format!("{who}: {why} in place of an answer to AUTH")));
                }
            }
        }
        looking.waits(format!("{who}: no answer to PING"));
        Ok(match ask(&mut connection, &["PING"], looking).await {
            Ok(Reply::Simple(text)) if text == b"PONG" => {
                Finding::good(format!("{who}: PONG after {:.1?}", began.elapsed()))
            }
            Ok(reply) => refused(&who, "PING", &reply, looking),
            Err(why) => Finding::bad(format!("{who}: {why} in place of an answer to PING")),
        })
    }
}

async fn ask(
    connection: &mut BufReader<Connection>,
    words: &[&str],
    looking: &Looking,
) -> Result<Reply, String> {
    let mut request = format!("*{}\r\n", words.len());
    for word in words {
        let _infallible = write!(request, "${}\r\n{word}\r\n", word.len());
    }
    let sent = connection.write_all(request.as_bytes()).await;
    match sent {
        Ok(()) => read(connection, looking).await,
        Err(error) => Err(format!("the connection broke ({error})")),
    }
}

/// What an answer that was not wanted means. The first word of an error is its code.
fn refused(who: &str, command: &str, reply: &Reply, looking: &Looking) -> Finding {
    let Reply::Error(text) = reply else {
        return Finding::bad(format!(
            "{who}: answered {command} with {}",
            looking.said(reply.text())
        ));
    };
    let code = text.split(|byte| *byte == b' ').next().unwrap_or_default();
    let text = looking.said(text);
    match code {
        b"LOADING" => Finding::not_yet(format!("{who}: it is still loading its data: {text}")),
        b"NOAUTH" => Finding::bad(format!(
            "{who}: it wants a password, and the check has none (set password to the name of the secret): {text}"
        )),
        b"WRONGPASS" => Finding::bad(format!("{who}: it refused the password: {text}")),
        b"NOPERM" => Finding::bad(format!("{who}: the user may not send {command}: {text}")),
        b"DENIED" => Finding::bad(format!("{who}: it accepts no clients from here: {text}")),
        b"MASTERDOWN" => {
            Finding::bad(format!("{who}: it is a replica that has lost its master: {text}"))
        }
        _ => Finding::bad(format!("{who}: it refused {command}: {text}")),
    }
}
