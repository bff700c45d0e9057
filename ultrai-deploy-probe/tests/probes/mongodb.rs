//! MongoDB's wire protocol, by a fake that keeps to it.

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::lab::{Listening, healthy, pending, probes, unhealthy};

/// `"name": true`, and so on, as elements of BSON.
fn truth(name: &str, value: bool) -> Vec<u8> {
    [b"\x08", name.as_bytes(), b"\0", &[u8::from(value)]].concat()
}

fn double(name: &str, value: f64) -> Vec<u8> {
    [b"\x01", name.as_bytes(), b"\0", &value.to_le_bytes()].concat()
}

fn text(name: &str, value: &str) -> Vec<u8> {
    let length = i32::try_from(value.len() + 1).unwrap();
    [b"\x02", name.as_bytes(), b"\0", &length.to_le_bytes(), value.as_bytes(), b"\0"].concat()
}

/// Answers each message with a document of these elements, once the request is what it should be.
async fn serve(mut stream: TcpStream, elements: Vec<u8>) {
    let mut head = [0; 16];
    if stream.read_exact(&mut head).await.is_err() {
        return;
    }
    let number = |at: usize| i32::from_le_bytes(head[at..at + 4].try_into().unwrap());
    let mut rest = vec![0; usize::try_from(number(0)).unwrap() - 16];
    stream.read_exact(&mut rest).await.unwrap();
    assert_eq!((number(8), number(12), &rest[..5]), (0, 2013, &[0; 5][..]));
    assert!(rest[5..].starts_with(b"\x1f\0\0\0\x10hello\0"), "{rest:?}");
    let length = |bytes: usize| i32::try_from(bytes).unwrap().to_le_bytes();
    let document = [&length(elements.len() + 5)[..], &elements, b"\0"].concat();
    let mut answer = length(21 + document.len()).to_vec();
    for number in [99, number(4), 2013, 0] {
        answer.extend(number.to_le_bytes());
    }
    answer.push(0);
    answer.extend(document);
    // In two pieces, as networks do.
    stream.write_all(&answer[..10]).await.unwrap();
    stream.flush().await.unwrap();
    stream.write_all(&answer[10..]).await.unwrap();
}

async fn fake(elements: &[Vec<u8>]) -> Listening {
    let elements = elements.concat();
    Listening::serve(move |stream| serve(stream, elements.clone())).await
}

#[tokio::test]
async fn members_of_a_set() {
    let ok = double("ok", 1.0);
    let primary =
        fake(&[truth("isWritablePrimary", true), text("setName", "rs0"), ok.clone()]).await;
    let second = fake(&[
        truth("isWritablePrimary", false),
        truth("secondary", true),
        text("setName", "rs0"),
        ok.clone(),
    ])
    .await;
    let starting = fake(&[truth("isWritablePrimary", false), truth("secondary", false), ok]).await;
    let at = |server: &Listening, primary: bool| json!({"mongodb": {"address": server.address.to_string(), "writable_primary": primary}});
    let seen = healthy(&probes(), at(&primary, true)).await;
    assert!(seen.contains("takes writes of the set `rs0`"), "{seen}");
    let seen = healthy(&probes(), at(&second, false)).await;
    assert!(seen.contains("is a secondary"), "{seen}");
    let why = unhealthy(&probes(), at(&second, true)).await;
    assert!(why.contains("is a secondary of the set `rs0` and takes no writes"), "{why}");
    let why = pending(&probes(), at(&starting, false)).await;
    assert!(why.contains("neither primary nor secondary"), "{why}");
}

#[tokio::test]
async fn a_refusal_is_told() {
    let refusal = [
        double("ok", 0.0),
        text("errmsg", "no such command: 'hello'"),
        text("codeName", "CommandNotFound"),
    ];
    let server = fake(&refusal).await;
    let probe = json!({"mongodb": {"address": server.address.to_string()}});
    let why = unhealthy(&probes(), probe).await;
    assert!(why.contains("CommandNotFound: `no such command: 'hello'`"), "{why}");
    let damaged = fake(&[b"\x02ok\0\xff\xff\xff\x7f".to_vec()]).await;
    let probe = json!({"mongodb": {"address": damaged.address.to_string()}});
    assert!(unhealthy(&probes(), probe).await.contains("is damaged"));
}
