//! PostgreSQL: a login, a query, how many connections are left, how far its replicas are behind.

mod session;

use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;
use tokio_postgres::{Client, Error as ClientError, error::SqlState};
use ultrai_deploy_core::{
    Result, health::Endpoint, name::SecretName, secret::Secrets, verification::CheckSpec,
};
use ultrai_deploy_http::address::HostPort;

use crate::{
    connection::Connection,
    finding::{Finding, one_line},
    look::{Look, Looking, value},
    place::Place,
    source::{Resources, wrong},
};

/// What is asked where no query is named: whether the server answers at all.
const QUERY: &str = "SELECT 1";
/// How much of a query is shown, in bytes.
const MAX_QUERY: usize = 120;

/// A PostgreSQL server that accepts a login and answers a query.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PostgresSpec {
    /// Where it listens; the check's service by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<HostPort>,
    /// The port of the check's service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Who logs in.
    pub user: String,
    /// To which database.
    pub database: String,
    /// The secret that holds the password; none is sent by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub password: Option<SecretName>,
    /// What is asked; `SELECT 1` by default. It is run at every look: it should be quick, and change
    /// nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// What the first column of the first row must be, as text; anything by default, also no row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// The largest share of `max_connections` that may be used, above 0 and up to 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_connections_used: Option<f64>,
    /// How far a replica may be behind. Of a replica, it is its own; of a primary, that of the slowest
    /// of its replicas, of which there has to be one, and which is told to members of `pg_monitor`
    /// only.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "jiff::fmt::serde::unsigned_duration::friendly::compact::optional"
    )]
    pub max_replica_lag: Option<Duration>,
    /// Whether it speaks TLS, with a certificate that this machine trusts; it does not by default.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub tls: bool,
    /// The name in its certificate; the host that is connected to by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls_name: Option<String>,
}

#[derive(Debug)]
pub(crate) struct Postgres {
    spec: PostgresSpec,
    place: Place,
    resources: Resources,
}

impl Postgres {
    pub(crate) fn new(check: &CheckSpec, spec: PostgresSpec, resources: Resources) -> Result<Self> {
        if spec.tls_name.is_some() && !spec.tls {
            return Err(wrong(check, "has a tls_name and no tls").with_advice("set tls = true"));
        }
        if spec.max_connections_used.is_some_and(|share| !(share > 0.0 && share <= 1.0)) {
            return Err(wrong(check, "has a max_connections_used that is no share")
                .with_advice("write 0.9 for nine of ten"));
        }
        if spec.expect.is_some() && spec.query.is_none() {
            return Err(wrong(check, "expects something of no query").with_advice("set query"));
        }
        // The protocol ends texts with a zero.
        let texts = [Some(&spec.user), Some(&spec.database), spec.query.as_ref()];
        if texts.into_iter().flatten().any(|text| text.trim().is_empty() || text.contains('\0')) {
            return Err(wrong(check, "has an empty user, database or query, or a zero in one")
                .with_advice("set user and database; leave query out for SELECT 1"));
        }
        let place = Place::of(check, spec.address.as_ref(), spec.port)?;
        Ok(Self { spec, place, resources })
    }

    /// Asks everything; the first thing that is not as wanted ends it.
    async fn ask(&self, who: &str, client: &Client, looking: &Looking) -> Asked {
        let query = self.spec.query.as_deref().unwrap_or(QUERY);
        let shown = one_line(query, MAX_QUERY);
        looking.waits(format!("{who}: no answer to `{shown}`"));
        let began = Instant::now();
        let first = session::first_row(client, query).await?;
        let column = first.as_ref().and_then(|row| row.first()).and_then(Option::as_deref);
        let given =
            column.map_or_else(|| "nothing".to_owned(), |text| looking.said(text.as_bytes()));
        let mut seen = vec![format!("`{shown}` gave {given} after {:.1?}", began.elapsed())];
        if let Some(wanted) = &self.spec.expect
            && column != Some(wanted)
        {
            return Ok(Err(format!(
                "`{shown}` gave {given}, not {}",
                looking.said(wanted.as_bytes())
            )));
        }
        if let Some(share) = self.spec.max_connections_used {
            looking.waits(format!("{who}: no answer to how many connections are used"));
            match session::connections(client).await? {
                Some((used, most)) if used > share * most => {
                    return Ok(Err(format!(
                        "{used} of {most} connections are used, more than {share} of them"
                    )));
                }
                Some((used, most)) => seen.push(format!("{used} of {most} connections are used")),
                None => return Ok(Err("it does not say how many connections are used".to_owned())),
            }
        }
        if let Some(most) = self.spec.max_replica_lag {
            looking.waits(format!("{who}: no answer to how far replicas are behind"));
            match session::replica_lag(client).await? {
                Ok(lag) if lag > most.as_secs_f64() => {
                    return Ok(Err(format!("a replica is {lag:.1} s behind, more than {most:?}")));
                }
                Ok(lag) => seen.push(format!("replicas are at most {lag:.1} s behind")),
                Err(why) => return Ok(Err(why.to_owned())),
            }
        }
        Ok(Ok(seen.join("; ")))
    }
}

/// What was seen, or why it is not as wanted; or that the client could not ask.
type Asked = Result<Result<String, String>, ClientError>;

#[async_trait]
impl Look for Postgres {
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
        let who = format!("PostgreSQL at {spot}");
        let bad = |why: String| Ok(Finding::bad(format!("{who}: {why}")));
        looking.waits(format!("{who}: no connection"));
        let mut connection = match Connection::open(&spot).await {
            Ok(connection) => connection,
            Err(why) => return bad(why),
        };
        if self.spec.tls {
            looking.waits(format!("{who}: no end of the TLS handshake"));
            if let Err(why) = session::ask_for_tls(&mut connection).await {
                return bad(why);
            }
            let name = self.spec.tls_name.as_deref().unwrap_or(&spot.host);
            connection = match connection.secured(name, &self.resources.trust).await? {
                Ok(secured) => secured,
                Err(why) => return bad(why),
            };
        }
        let password =
            self.spec.password.as_ref().map(|password| value(secrets, password)).transpose()?;
        looking.waits(format!("{who}: no answer to the login"));
        let login = session::login(&self.spec.user, &self.spec.database, password);
        let asked = session::hold(&login, connection, async |client: &Client| {
            self.ask(&who, client, looking).await
        });
        match asked.await {
            Ok(Ok(seen)) => Ok(Finding::good(format!("{who}: {seen}"))),
            Ok(Err(why)) => bad(why),
            Err(error) => Ok(failed(&who, &self.spec, &error, looking)),
        }
    }
}

/// What the failure of a login or a query means, by its SQLSTATE.
fn failed(who: &str, spec: &PostgresSpec, error: &ClientError, looking: &Looking) -> Finding {
    let Some(refusal) = error.as_db_error() else {
        return Finding::bad(format!("{who}: {}", looking.said(session::cause(error).as_bytes())));
    };
    let PostgresSpec { user, database, .. } = spec;
    let state = refusal.code();
    let text = format!("{} ({})", looking.said(refusal.message().as_bytes()), state.code());
    if *state == SqlState::CANNOT_CONNECT_NOW {
        return Finding::not_yet(format!("{who}: it is starting up or shutting down: {text}"));
    }
    let what = if *state == SqlState::INVALID_PASSWORD {
        format!("it refused the password of `{user}`")
    } else if *state == SqlState::INVALID_AUTHORIZATION_SPECIFICATION {
        format!("it refused user `{user}`")
    } else if *state == SqlState::INVALID_CATALOG_NAME {
        format!("there is no database `{database}`")
    } else if *state == SqlState::TOO_MANY_CONNECTIONS {
        "all its connections are used".to_owned()
    } else if *state == SqlState::INSUFFICIENT_PRIVILEGE {
        format!("user `{user}` may not ask this")
    } else {
        "it answered with an error".to_owned()
    };
    Finding::bad(format!("{who}: {what}: {text}"))
}
