//! A server that agrees to WebSockets, and then does what a test tells it to.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Message,
        handshake::derive_accept_key,
        protocol::{CloseFrame, Role},
    },
};
use ultrai_deploy_core::{pipeline::Backoff, secret::Secret};
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway::{Client, Token, subscribe::Patience};

pub const TOKEN: &str = "hunter2-token-hunter2";

/// What is done with a connection.
#[derive(Clone, Debug)]
pub enum Act {
    /// Answers in HTTP with this head, in which `{accept}` and `{token}` are filled in.
    Http(&'static str),
    /// Agrees, and sends these bytes, which are no frames.
    Bytes(Vec<u8>),
    /// Agrees, and never says a word.
    Silence,
    /// Agrees, and closes with this code instead of letting one in.
    Close(u16),
    /// Lets one in, and then sends these.
    Say(Vec<Message>),
}

/// What came in.
#[derive(Debug, Default)]
pub struct Seen {
    pub heads: Vec<String>,
    pub texts: Vec<String>,
    pub pongs: usize,
}

#[derive(Debug)]
pub struct Hostile {
    address: SocketAddr,
    pub seen: Arc<watch::Sender<Seen>>,
    _accepting: JoinSet<()>,
}

impl Hostile {
    /// Does one of these after the other, the last one again and again.
    pub async fn start(acts: Vec<Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(watch::Sender::new(Seen::default()));
        let mut accepting = JoinSet::new();
        let seeing = Arc::clone(&seen);
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            let mut acts = acts.into_iter().peekable();
            while let Ok((stream, _)) = listener.accept().await {
                let act = acts.peek().unwrap().clone();
                if acts.len() > 1 {
                    acts.next();
                }
                connections.spawn(serve(stream, act, Arc::clone(&seeing)));
            }
        });
        Self { address, seen, _accepting: accepting }
    }

    pub fn client(&self) -> Client {
        let pause = Duration::from_millis(1);
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        let base = HttpUrl::parse(&format!("http://{}", self.address)).unwrap();
        Client::new(&base, &Token::Project(Secret::new(TOKEN)), limits).unwrap()
    }

    pub fn connections(&self) -> usize {
        self.seen.borrow().heads.len()
    }
}

/// Three connections in a row, at once.
pub fn patience() -> Patience {
    let pause = Duration::from_millis(1);
    Patience {
        again: Backoff { attempts: 3, first: pause, longest: pause },
        connect: Duration::from_secs(20),
        quiet: Duration::from_secs(20),
    }
}

pub fn text(text: &str) -> Message {
    Message::Text(text.into())
}

pub fn close(code: u16) -> Message {
    let reason = format!("because of {TOKEN}").into();
    Message::Close(Some(CloseFrame { code: code.into(), reason }))
}

async fn serve(mut stream: TcpStream, act: Act, seen: Arc<watch::Sender<Seen>>) {
    let mut lines = BufReader::new(&mut stream).lines();
    let mut head = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap().filter(|line| !line.is_empty()) {
        head.push(line);
    }
    let key = head.iter().find_map(|line| line.strip_prefix("sec-websocket-key: ")).unwrap();
    let accept = derive_accept_key(key.as_bytes());
    seen.send_modify(|seen| seen.heads.push(head.join("\n")));
    let agreed = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n";
    let answer = if let Act::Http(answer) = &act { answer } else { agreed };
    let answer = answer.replace("{accept}", &accept).replace("{token}", TOKEN);
    stream.write_all(answer.as_bytes()).await.unwrap();
    match act {
        Act::Http(_) => {}
        Act::Bytes(bytes) => stream.write_all(&bytes).await.unwrap(),
        Act::Silence => std::future::pending().await,
        Act::Close(_) | Act::Say(_) => speak(stream, act, &seen).await,
    }
}

async fn speak(stream: TcpStream, act: Act, seen: &watch::Sender<Seen>) {
    let mut stream = WebSocketStream::from_raw_socket(stream, Role::Server, None).await;
    let says = match act {
        Act::Say(says) => says,
        Act::Close(code) => vec![close(code)],
        _ => Vec::new(),
    };
    let mut says = Some(says).filter(|says| !says.is_empty());
    while let Some(Ok(message)) = stream.next().await {
        let text = match message {
            Message::Text(text) => text.to_string(),
            Message::Pong(_) => {
                seen.send_modify(|seen| seen.pongs += 1);
                continue;
            }
            _ => continue,
        };
        let is_init = text.contains("connection_init");
        let is_ready = text.contains("subscribe");
        seen.send_modify(|seen| seen.texts.push(text));
        let is_closed = says.as_ref().is_some_and(|says| matches!(says[..], [Message::Close(_)]));
        if is_init && !is_closed {
            let ack = Message::Text(r#"{"type":"connection_ack"}"#.into());
            let _gone = stream.send(ack).await;
        }
        if is_ready || is_init && is_closed {
            for message in says.take().unwrap_or_default() {
                // Who is told too much goes away.
                let _gone = stream.send(message).await;
            }
        }
    }
}
