//! One table of servers that are not what they should be, against every probe that connects.

use std::{future::Future, pin::Pin};

use futures_util::future::join_all;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};
use ultrai_deploy_core::health::Health;

use crate::lab::{LONG, Listening, SHORT, look, probes};

type Serving = Pin<Box<dyn Future<Output = ()> + Send>>;
type Server = fn(TcpStream) -> Serving;

/// The kinds of probe that connect to `address`.
fn kinds(address: &str) -> Vec<Value> {
    let provider = |name: &str| {
        json!({"llm": {"any": [
            {"provider": name, "key": "SECRET", "model": "m", "base_url": format!("http://{address}")},
        ]}})
    };
    let redis = json!({"redis": {"address": address}});
    let mut kinds = vec![
        redis.clone(),
        json!({"redis": {"address": address, "username": "u", "password": "SECRET"}}),
        json!({"redis": {"address": address, "password": "SECRET", "tls": true}}),
        json!({"mongodb": {"address": address}}),
        json!({"mongodb": {"address": address, "writable_primary": true}}),
        json!({"tls": {"address": address, "min_days": 1}}),
        provider("openai"),
        provider("anthropic"),
        provider("cohere"),
        json!({"pinecone": {"key": "SECRET", "base_url": format!("http://{address}")}}),
        json!({"combined": {"of": [{"name": "a", "probe": redis}], "need": "any"}}),
    ];
    if cfg!(feature = "postgres") {
        let postgres = |tls: bool| {
            json!({"postgres": {
                "address": address, "user": "u", "database": "d", "password": "SECRET", "tls": tls,
                "max_connections_used": 0.9,
            }})
        };
        kinds.extend([postgres(false), postgres(true)]);
    }
    kinds
}

/// Sends what it can, and whatever is left of the client is none of a server's business.
async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    let _gone = stream.write_all(bytes).await;
}

async fn hear(stream: &mut TcpStream) -> Vec<u8> {
    let mut heard = vec![0; 4096];
    let count = stream.read(&mut heard).await.unwrap_or(0);
    heard.truncate(count);
    heard
}

async fn silence(stream: TcpStream) {
    std::future::pending::<()>().await;
    drop(stream);
}

/// After the first bytes of a client, these, and then silence.
fn answering(mut stream: TcpStream, bytes: &'static [u8]) -> Serving {
    Box::pin(async move {
        hear(&mut stream).await;
        send(&mut stream, bytes).await;
        silence(stream).await;
    })
}

const SERVERS: [(&str, Server); 18] = [
    ("silence", |stream| Box::pin(silence(stream))),
    ("closes at once", |stream| Box::pin(async move { drop(stream) })),
    ("closes after the request", |mut stream| {
        Box::pin(async move {
            hear(&mut stream).await;
        })
    }),
    ("resets", |stream| {
        Box::pin(async move { stream.set_zero_linger().unwrap_or_else(|error| panic!("{error}")) })
    }),
    ("an SSH banner", |mut stream| {
        Box::pin(async move {
            send(&mut stream, b"SSH-2.0-OpenSSH_9.6\r\n").await;
            silence(stream).await;
        })
    }),
    ("an HTTP answer", |stream| {
        answering(stream, b"HTTP/1.1 400 Bad Request\r\nContent-Length: 3\r\n\r\nbad")
    }),
    ("half of an HTTP answer", |stream| {
        answering(stream, b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{\"data\": [")
    }),
    ("half of a redis reply", |stream| answering(stream, b"+PON")),
    ("a redis reply without end", |stream| answering(stream, b"*2147483647\r\n$2147483647\r\n")),
    ("half of a postgres refusal", |stream| answering(stream, b"E\0\0\0\x64SFATAL\0")),
    ("a postgres message of 2 GiB", |stream| answering(stream, b"R\x7f\xff\xff\xff\0\0\0\0")),
    ("a postgres message of -1 bytes", |stream| answering(stream, b"R\xff\xff\xff\xff\0\0\0\0")),
    ("half of a mongodb answer", |stream| {
        answering(stream, b"\x64\0\0\0\x07\0\0\0\x01\0\0\0\xdd\x07\0\0\0\0\0\0\0\x4f")
    }),
    ("half of a TLS hello", |stream| answering(stream, b"\x16\x03\x03\x00\x50\x02\0\0")),
    ("no TLS", |stream| answering(stream, b"N")),
    ("10 MiB of junk", |mut stream| {
        Box::pin(async move {
            let junk = vec![0xff; 64 * 1024];
            for _ in 0..160 {
                send(&mut stream, &junk).await;
            }
            silence(stream).await;
        })
    }),
    ("endless text", |mut stream| {
        Box::pin(async move {
            let text = vec![b'x'; 64 * 1024];
            while stream.write_all(&text).await.is_ok() {}
        })
    }),
    ("an echo", |mut stream| {
        Box::pin(async move {
            // Also as an error of redis and as a body, so that it is told as what the server says.
            loop {
                let heard = hear(&mut stream).await;
                if heard.is_empty() {
                    return;
                }
                let heard = String::from_utf8_lossy(&heard).replace(['\r', '\n'], " ");
                let padding = "y".repeat(100);
                let text = if heard.starts_with("GET ") {
                    format!("HTTP/1.1 401 -\r\nContent-Length: 900\r\n\r\n{padding}{heard:900}")
                } else {
                    format!("-ERR {padding}{heard}\r\n")
                };
                send(&mut stream, text.as_bytes()).await;
            }
        })
    }),
];

/// Whatever listens, a look says in its time what it found: never well, never cut off by the engine,
/// and never a secret (which `look` searches for).
#[tokio::test]
async fn every_probe_ends_in_time_and_says_why() {
    let probes = probes();
    let mut looks = Vec::new();
    let mut servers = Vec::new();
    for (name, serve) in SERVERS {
        let server = Listening::serve(serve).await;
        for probe in kinds(&server.address.to_string()) {
            looks.push((name, probe));
        }
        servers.push(server);
    }
    let count = looks.len();
    let found = looks.into_iter().map(async |(name, probe)| {
        let bounded = tokio::time::timeout(LONG, look(&probes, probe.clone(), SHORT));
        let found = bounded.await.unwrap_or_else(|_late| panic!("{name}: {probe} does not end"));
        match found {
            Ok(Health::Unhealthy { why, evidence }) => {
                assert!(!why.is_empty() && why.lines().count() == 1, "{name}: {probe}: {why:?}");
                assert!(why.len() < 3000, "{name}: {probe}: {} bytes", why.len());
                assert!(!evidence.is_empty(), "{name}: {probe}: {why}");
            }
            other => panic!("{name}: {probe}: {other:?}"),
        }
    });
    join_all(found).await;
    assert_eq!((servers.len(), count), (18, 18 * kinds("x:1").len()));
}

/// A port on which nothing listens: the listener is gone again.
#[tokio::test]
async fn nothing_listens() {
    let address = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    for probe in kinds(&address.to_string()) {
        let found = look(&probes(), probe.clone(), LONG).await.unwrap();
        let Health::Unhealthy { why, .. } = found else { panic!("{probe}: {found:?}") };
        assert!(why.contains("refused") && why.contains("connect"), "{probe}: {why}");
    }
}

/// What it waited for when its time was over.
#[tokio::test]
async fn a_late_look_says_what_it_waited_for() {
    let server = Listening::serve(silence).await;
    let address = server.address.to_string();
    for (probe, told) in [
        (json!({"redis": {"address": address}}), "no answer to PING within 250ms"),
        (json!({"redis": {"address": address, "password": "SECRET"}}), "no answer to AUTH within"),
        (json!({"mongodb": {"address": address}}), "no answer to hello within"),
        (json!({"tls": {"address": address}}), "no end of the handshake within"),
    ] {
        let found = look(&probes(), probe, SHORT).await.unwrap();
        let Health::Unhealthy { why, .. } = found else { panic!("{found:?}") };
        assert!(why.contains(told) && why.contains(&address), "{why}");
    }
}

#[tokio::test]
async fn a_service_without_an_address_is_still_coming_up() {
    for probe in [json!({"redis": {}}), json!({"mongodb": {"port": 1}}), json!({"tls": {}})] {
        let found = look(&probes(), probe, LONG).await.unwrap();
        assert!(matches!(found, Health::Pending { .. }), "{found:?}");
    }
}
