//! One session with a PostgreSQL server, and what it is asked.

use std::error::Error as _;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_postgres::{
    Client, Config, Error, NoTls, SimpleQueryMessage,
    config::{SslMode, SslNegotiation},
};

use crate::{connection::Connection, finding::said};

/// Asks for TLS: the length of the request, and its number.
/// <https://www.postgresql.org/docs/current/protocol-message-formats.html>, SSLRequest.
const TLS_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// How much each session is asked for: connections in use, and how many there may be. The views of
/// single sessions hide those of others from ordinary users, this one does not.
const CONNECTIONS: &str = "SELECT sum(numbackends), current_setting('max_connections') \
     FROM pg_catalog.pg_stat_database";

/// Of a replica, how far it is behind; of a primary, how many replicas there are, of how many it
/// tells, and how far the slowest is behind. A replica that has replayed all that it received is
/// behind by nothing while it is connected: without writes the last replay is long ago.
const REPLICA_LAG: &str = "SELECT pg_is_in_recovery(), \
     (SELECT count(*) FROM pg_catalog.pg_stat_replication), \
     (SELECT count(state) FROM pg_catalog.pg_stat_replication), \
     CASE WHEN NOT pg_is_in_recovery() THEN \
         (SELECT coalesce(max(extract(epoch FROM replay_lag)), 0) \
          FROM pg_catalog.pg_stat_replication) \
     WHEN pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() \
         AND EXISTS (SELECT FROM pg_catalog.pg_stat_wal_receiver) THEN 0 \
     ELSE extract(epoch FROM clock_timestamp() - pg_last_xact_replay_timestamp()) END";

type Row = Vec<Option<String>>;

/// Asks the server to go on with TLS. Why it does not is a text for people.
pub(super) async fn ask_for_tls(connection: &mut Connection) -> Result<(), String> {
    let broken = |error| format!("the connection broke ({error})");
    connection.write_all(&TLS_REQUEST).await.map_err(broken)?;
    // Not a byte more: what follows in the clear was not sent by the server.
    match connection.read_u8().await.map_err(broken)? {
        b'S' => Ok(()),
        b'N' => Err("it speaks no TLS".to_owned()),
        other => Err(format!("it sent {}, which is no PostgreSQL", said(&[other]))),
    }
}

/// How to log in.
pub(super) fn login(user: &str, database: &str, password: Option<&str>) -> Config {
    let mut config = Config::new();
    config.user(user).dbname(database).application_name("ultrai-deploy");
    // The connection is secured already where that is wanted.
    config.ssl_mode(SslMode::Disable).ssl_negotiation(SslNegotiation::Postgres);
    if let Some(password) = password {
        config.password(password);
    }
    config
}

/// Logs in, and asks while the connection is driven.
pub(super) async fn hold<T>(
    login: &Config,
    connection: Connection,
    ask: impl AsyncFnOnce(&Client) -> Result<T, Error>,
) -> Result<T, Error> {
    let (client, connection) = login.connect_raw(connection, NoTls).await?;
    let broken = async {
        match connection.await {
            Err(error) => error,
            // It ended as it should: what is asked then learns by itself that there is no answer.
            Ok(()) => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        answer = ask(&client) => answer,
        error = broken => Err(error),
    }
}

/// The first row that a query gives.
pub(super) async fn first_row(client: &Client, query: &str) -> Result<Option<Row>, Error> {
    let messages = client.simple_query(query).await?;
    Ok(messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => {
            Some((0..row.len()).map(|column| row.get(column).map(str::to_owned)).collect())
        }
        _ => None,
    }))
}

/// How many connections are used, and how many there may be; nothing when it does not say.
pub(super) async fn connections(client: &Client) -> Result<Option<(f64, f64)>, Error> {
    let row = first_row(client, CONNECTIONS).await?.unwrap_or_default();
    Ok(number(&row, 0).zip(number(&row, 1)))
}

/// How many seconds the slowest replica is behind, or why that is not known.
pub(super) async fn replica_lag(client: &Client) -> Result<Result<f64, &'static str>, Error> {
    let row = first_row(client, REPLICA_LAG).await?.unwrap_or_default();
    let is_replica = row.first().and_then(Option::as_deref) == Some("t");
    Ok(match (number(&row, 1), number(&row, 2), number(&row, 3)) {
        (_, _, Some(lag)) if is_replica => Ok(lag),
        _ if is_replica => Err("it is a replica that has replayed nothing yet"),
        (Some(all), ..) if all < 1.0 => Err("no replica is connected to it"),
        (Some(all), Some(told), Some(lag)) if all <= told => Ok(lag),
        _ => Err("it does not tell this user how far its replicas are behind \
             (GRANT pg_monitor TO the user)"),
    })
}

/// The deepest cause of a failure: the one that says what happened.
pub(super) fn cause(error: &Error) -> String {
    let mut cause = error.source();
    while let Some(below) = cause.and_then(std::error::Error::source) {
        cause = Some(below);
    }
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
}

fn number(row: &Row, column: usize) -> Option<f64> {
    row.get(column)?.as_ref()?.parse().ok()
}
