//! A real Redis, and what only a fake says on demand.

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::{
    certificates::Authority,
    databases::Server,
    lab::{CANARY, Listening, healthy, pending, probes, unhealthy},
};

fn at(server: &Server, more: &Value) -> Value {
    let mut redis = json!({"address": server.address.to_string()});
    redis.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    json!({"redis": redis})
}

#[tokio::test]
async fn logins() {
    let password = format!("requirepass {CANARY}");
    let users =
        [format!("user probe on >{CANARY} +ping"), format!("user reader on >{CANARY} ~* +get")];
    let closed = Server::redis(&[&password, &users[0], &users[1]], None).await;
    let open = Server::redis(&[], None).await;
    for (server, more) in [
        (&open, json!({})),
        (&closed, json!({"password": "SECRET"})),
        (&closed, json!({"username": "probe", "password": "SECRET"})),
    ] {
        let seen = healthy(&probes(), at(server, &more)).await;
        assert!(
            seen.contains("PONG after") && seen.contains(&server.address.to_string()),
            "{seen}"
        );
    }
    for (server, more, told) in [
        (&closed, json!({}), "it wants a password, and the check has none"),
        (&closed, json!({"password": "WRONG"}), "it refused the password: `WRONGPASS"),
        (&closed, json!({"username": "nobody", "password": "SECRET"}), "it refused the password"),
        (
            &closed,
            json!({"username": "reader", "password": "SECRET"}),
            "the user may not send PING",
        ),
        (&open, json!({"password": "SECRET"}), "it refused AUTH: `ERR AUTH <password> called"),
    ] {
        let why = unhealthy(&probes(), at(server, &more)).await;
        assert!(why.contains(told), "{why}");
    }
}

#[tokio::test]
async fn through_tls() {
    let authority = Authority::new("ours");
    let server = Server::redis(&[], Some(&authority.sign("redis.internal", 2090))).await;
    let trusting = probes().with_trusted([authority.der()]).unwrap();
    let named = json!({"tls": true, "tls_name": "redis.internal"});
    healthy(&trusting, at(&server, &named)).await;
    let why = unhealthy(&trusting, at(&server, &json!({"tls": true}))).await;
    assert!(why.contains("no TLS: ") && why.contains("not valid for name"), "{why}");
    let other = probes().with_trusted([Authority::new("others").der()]).unwrap();
    let why = unhealthy(&other, at(&server, &named)).await;
    assert!(why.contains("no TLS: ") && why.contains("UnknownIssuer"), "{why}");
}

#[tokio::test]
async fn states_of_a_server() {
    for (reply, told) in [
        ("-LOADING Redis is loading the dataset in memory", "still loading its data"),
        ("-MASTERDOWN Link with MASTER is down", "a replica that has lost its master"),
        ("-DENIED Redis is running in protected mode", "accepts no clients from here"),
        ("-ERR max number of clients reached", "it refused PING: `ERR max number"),
        (":1", "answered PING with `:1`"),
        ("+OK", "answered PING with `OK`"),
    ] {
        let fake = Listening::serve(move |mut stream| async move {
            let mut request = [0; 14];
            stream.read_exact(&mut request).await.unwrap();
            assert_eq!(&request, b"*1\r\n$4\r\nPING\r\n");
            stream.write_all(format!("{reply}\r\n").as_bytes()).await.unwrap();
        })
        .await;
        let probe = json!({"redis": {"address": fake.address.to_string()}});
        let why = if reply.starts_with("-LOADING") {
            pending(&probes(), probe).await
        } else {
            unhealthy(&probes(), probe).await
        };
        assert!(why.contains(told), "{why}");
    }
}
