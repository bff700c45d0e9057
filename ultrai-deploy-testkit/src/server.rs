//! A small real HTTP/1.1 server for tests: answers as told, also wrongly.
//!
//! It talks over real sockets, so a test that uses it must not pause the clock: a paused clock
//! runs through every timeout while the socket is still busy.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// Longest head or body of a request that is read, in bytes.
const MAX_REQUEST: u64 = 1024 * 1024;

type Answers = dyn Fn(&Request) -> Answer + Send + Sync;

/// A server on a free port of 127.0.0.1; it ends, with all its connections, when it is dropped.
pub struct Server {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    _accepting: JoinSet<()>,
}

impl Server {
    /// Starts a server that answers every request with what `answers` gives; one request per
    /// connection.
    ///
    /// # Errors
    /// When no port of 127.0.0.1 can be had.
    pub async fn start(
        answers: impl Fn(&Request) -> Answer + Send + Sync + 'static,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let requests = Arc::default();
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::new(answers), Arc::clone(&requests)));
        Ok(Self { address, requests, _accepting: accepting })
    }

    /// Starts a server that gives `answers` one after the other, then 500.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub async fn queue(answers: impl IntoIterator<Item = Answer>) -> io::Result<Self> {
        let mut answers = answers.into_iter().collect::<Vec<_>>();
        answers.reverse();
        let answers = Mutex::new(answers);
        Self::start(move |_| {
            lock(&answers).pop().unwrap_or_else(|| Answer::text(500, "no more answers are queued"))
        })
        .await
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The URL of `path`, which begins with `/`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The requests that were read so far, oldest first.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.requests).clone()
    }
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Request {
    /// The method.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The headers in their order, with names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, as long as its `Content-Length`.
    pub body: Vec<u8>,
}

impl Request {
    /// The first value of a header; `name` in lower case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
}

/// What is answered, and how.
#[derive(Clone, Debug)]
pub struct Answer {
    delay: Duration,
    content: Content,
}

#[derive(Clone, Debug)]
enum Content {
    Http { status: u16, headers: Vec<(String, String)>, body: Vec<u8>, body_end: BodyEnd },
    Raw(Vec<u8>),
    Close,
    Reset,
    Hang,
}

#[derive(Clone, Copy, Debug)]
enum BodyEnd {
    Whole,
    Claims(usize),
    CutAfter(usize),
    StallsAfter(usize),
}

impl Answer {
    /// A status with a JSON body.
    pub fn json(status: u16, body: impl Into<String>) -> Self {
        Self::text(status, body).with_header("Content-Type", "application/json")
    }

    /// A status with a body.
    pub fn text(status: u16, body: impl Into<String>) -> Self {
        let (headers, body) = (Vec::new(), body.into().into_bytes());
        Self::of(Content::Http { status, headers, body, body_end: BodyEnd::Whole })
    }

    /// These bytes instead of HTTP, then the end of the connection.
    pub fn raw(bytes: impl Into<Vec<u8>>) -> Self {
        Self::of(Content::Raw(bytes.into()))
    }

    /// The end of the connection, without a byte.
    pub fn close() -> Self {
        Self::of(Content::Close)
    }

    /// A reset of the connection.
    pub fn reset() -> Self {
        Self::of(Content::Reset)
    }

    /// Nothing, ever, on an open connection.
    pub fn hang() -> Self {
        Self::of(Content::Hang)
    }

    /// Adds a header.
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        if let Content::Http { headers, .. } = &mut self.content {
            headers.push((name.to_owned(), value.to_owned()));
        }
        self
    }

    /// Answers only after `delay`.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    /// Claims a `Content-Length` that is not that of the body.
    pub fn claiming(self, length: usize) -> Self {
        self.ending(BodyEnd::Claims(length))
    }

    /// Ends the connection after `bytes` of the body.
    pub fn cut_after(self, bytes: usize) -> Self {
        self.ending(BodyEnd::CutAfter(bytes))
    }

    /// Ends the connection after half of the body.
    pub fn cut_in_half(self) -> Self {
        let half = match &self.content {
            Content::Http { body, .. } => body.len() / 2,
            _ => 0,
        };
        self.cut_after(half)
    }

    /// Sends nothing more after `bytes` of the body, on an open connection.
    pub fn stalling_after(self, bytes: usize) -> Self {
        self.ending(BodyEnd::StallsAfter(bytes))
    }

    fn of(content: Content) -> Self {
        Self { delay: Duration::ZERO, content }
    }

    fn ending(mut self, end: BodyEnd) -> Self {
        if let Content::Http { body_end, .. } = &mut self.content {
            *body_end = end;
        }
        self
    }
}

async fn accept(listener: TcpListener, answers: Arc<Answers>, seen: Arc<Mutex<Vec<Request>>>) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        while connections.try_join_next().is_some() {}
        let (answers, seen) = (Arc::clone(&answers), Arc::clone(&seen));
        connections.spawn(async move {
            // A client that goes away is part of many tests; the test looks at the client.
            let _gone = serve(stream, &*answers, &seen).await;
        });
    }
}

async fn serve(stream: TcpStream, answers: &Answers, seen: &Mutex<Vec<Request>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let request = read_request(&mut stream).await?;
    lock(seen).push(request.clone());
    let answer = answers(&request);
    if !answer.delay.is_zero() {
        tokio::time::sleep(answer.delay).await;
    }
    let mut stream = stream.into_inner();
    let stall = match answer.content {
        Content::Http { status, headers, body, body_end } => {
            let (claimed, sent) = match body_end {
                BodyEnd::Whole => (body.len(), body.len()),
                BodyEnd::Claims(length) => (length, body.len()),
                BodyEnd::CutAfter(bytes) | BodyEnd::StallsAfter(bytes) => {
                    (body.len(), bytes.min(body.len()))
                }
            };
            let mut head = format!("HTTP/1.1 {status} -\r\nContent-Length: {claimed}\r\n");
            for (name, value) in headers {
                head.push_str(&[&name, ": ", &value, "\r\n"].concat());
            }
            head.push_str("Connection: close\r\n\r\n");
            stream.write_all(head.as_bytes()).await?;
            stream.write_all(&body[..sent]).await?;
            matches!(body_end, BodyEnd::StallsAfter(_))
        }
        Content::Raw(bytes) => {
            stream.write_all(&bytes).await?;
            false
        }
        Content::Close => false,
        Content::Reset => {
            stream.set_zero_linger()?;
            return Ok(());
        }
        Content::Hang => true,
    };
    if stall {
        std::future::pending::<()>().await;
    }
    stream.shutdown().await
}

async fn read_request(stream: &mut BufReader<TcpStream>) -> io::Result<Request> {
    let mut head = stream.take(MAX_REQUEST).lines();
    let mut next = async || {
        head.next_line().await?.ok_or_else(|| io::Error::from(io::ErrorKind::UnexpectedEof))
    };
    let first = next().await?;
    let mut words = first.split(' ').map(str::to_owned);
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = Vec::new();
    loop {
        let line = next().await?;
        if line.is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':') {
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
    }
    let mut request = Request { method, path, headers, body: Vec::new() };
    let length = request.header("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    request.body.resize(usize::min(length, 1024 * 1024), 0);
    stream.read_exact(&mut request.body).await?;
    Ok(request)
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
