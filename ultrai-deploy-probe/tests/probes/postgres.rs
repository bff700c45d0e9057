//! A real PostgreSQL, with a replica of it.

use std::time::Duration;

use serde_json::{Value, json};
use ultrai_deploy_core::health::Health;

use crate::{
    certificates::Authority,
    databases::{Server, copied_data, new_data},
    lab::{CANARY, LONG, healthy, look, probes, unhealthy},
};

fn at(server: &Server, more: &Value) -> Value {
    let mut postgres = json!({
        "address": server.address.to_string(),
        "user": "app",
        "database": "shop",
        "password": "SECRET",
    });
    postgres.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"postgres": postgres})
}

/// Waits until a look finds what is wanted: replicas and starts take their time.
async fn until(what: &str, probe: Value, is_wanted: impl Fn(&Health) -> bool) {
    let mut looks = tokio::time::interval(Duration::from_millis(50));
    let (probes, mut last) = (probes(), None);
    let wait = async {
        loop {
            looks.tick().await;
            let found = look(&probes, probe.clone(), LONG).await.unwrap();
            if is_wanted(&found) {
                return;
            }
            last = Some(found);
        }
    };
    let waited = tokio::time::timeout(LONG, wait).await;
    waited.unwrap_or_else(|_late| panic!("{what}: {last:?}"));
}

fn is_healthy(health: &Health) -> bool {
    matches!(health, Health::Healthy(_))
}

fn is_pending(health: &Health) -> bool {
    matches!(health, Health::Pending { why, .. } if why.contains("57P03"))
}

async fn primary(tls: Option<&crate::certificates::Signed>) -> Server {
    let server = Server::postgres(new_data(CANARY), &["max_connections=20"], tls).await;
    let administrator = json!({"user": "postgres", "database": "postgres"});
    until("to start", at(&server, &administrator), is_healthy).await;
    server.sql(CANARY, "CREATE DATABASE shop");
    server.sql(CANARY, &format!("CREATE ROLE app LOGIN PASSWORD '{CANARY}'"));
    server
}

#[tokio::test]
async fn a_server() {
    let authority = Authority::new("ours");
    let server = primary(Some(&authority.sign("db.internal", 2090))).await;
    let trusting = probes().with_trusted([authority.der()]).unwrap();

    for (more, told) in [
        (json!({}), "`SELECT 1` gave `1` after"),
        (
            json!({"query": "SELECT 'a', 'b' UNION SELECT 'c', 'd' ORDER BY 1", "expect": "a"}),
            "gave `a`",
        ),
        (json!({"query": "SELECT NULL"}), "gave nothing"),
        (json!({"query": "SELECT 1 WHERE false"}), "gave nothing"),
        (json!({"max_connections_used": 0.9}), "of 20 connections are used"),
        (json!({"tls": true, "tls_name": "db.internal"}), "gave `1`"),
    ] {
        let seen = healthy(&trusting, at(&server, &more)).await;
        assert!(seen.contains(told), "{seen}");
    }
    for (more, told) in [
        (json!({"password": "WRONG"}), "it refused the password of `app`"),
        (json!({"user": "nobody"}), "it refused the password of `nobody`"),
        (
            json!({"database": "attic"}),
            "there is no database `attic`: `database \"attic\" does not exist` (3D000)",
        ),
        (json!({"query": "SELECT 2", "expect": "3"}), "`SELECT 2` gave `2`, not `3`"),
        (json!({"query": "SELECT 1 WHERE false", "expect": "1"}), "gave nothing, not `1`"),
        (json!({"query": "SELECT * FROM none"}), "(42P01)"),
        (json!({"query": "SELECT * FROM pg_authid"}), "user `app` may not ask this"),
        (json!({"query": "SELECT repeat('x', 3000000)"}), "it sent more than 1048576 bytes"),
        (json!({"max_connections_used": 0.01}), "of 20 connections are used, more than 0.01"),
        (json!({"max_replica_lag": "5s"}), "no replica is connected to it"),
        (json!({"tls": true}), "no TLS: "),
    ] {
        let why = unhealthy(&trusting, at(&server, &more)).await;
        assert!(why.contains(told), "{told}: {why}");
    }
    let mut no_password = at(&server, &json!({}));
    no_password["postgres"].as_object_mut().unwrap().remove("password");
    let why = unhealthy(&probes(), no_password).await;
    assert!(why.contains("password missing"), "{why}");

    let slow = at(&server, &json!({"query": "SELECT pg_sleep(600)"}));
    let found = look(&probes(), slow, Duration::from_millis(800)).await.unwrap();
    let Health::Unhealthy { why, .. } = found else { panic!("{found:?}") };
    assert!(why.contains("no answer to `SELECT pg_sleep(600)` within 750ms"), "{why}");
}

#[tokio::test]
async fn replicas() {
    let primary = primary(None).await;
    let why = unhealthy(&probes(), at(&primary, &json!({"tls": true}))).await;
    assert!(why.contains("it speaks no TLS"), "{why}");

    let replica = Server::postgres(copied_data(&primary, CANARY), &[], None).await;
    let lag = json!({"max_replica_lag": "30s"});
    until("the replica to be near", at(&replica, &lag), is_healthy).await;
    let why = unhealthy(&probes(), at(&primary, &lag)).await;
    assert!(why.contains("GRANT pg_monitor"), "{why}");
    primary.sql(CANARY, "GRANT pg_monitor TO app");
    until("the primary to tell", at(&primary, &lag), is_healthy).await;

    // A replica that replays nothing falls behind, however far it has received.
    primary.sql(CANARY, "CREATE TABLE t (n int)");
    replica.sql(CANARY, "SELECT pg_wal_replay_pause()");
    primary.sql(CANARY, "INSERT INTO t VALUES (1)");
    let strict = at(&replica, &json!({"max_replica_lag": "1ms"}));
    until("the replica to be behind", strict, |health| {
        matches!(health, Health::Unhealthy { why, .. } if why.contains("behind, more than 1ms"))
    })
    .await;
    drop(replica);

    // Without hot_standby a replica says for ever that it is starting up.
    let cold = Server::postgres(copied_data(&primary, CANARY), &["hot_standby=off"], None).await;
    until("the replica to start", at(&cold, &json!({})), is_pending).await;
}
