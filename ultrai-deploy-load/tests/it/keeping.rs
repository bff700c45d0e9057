//! A server that keeps connections, and does what it is told with each request.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{Instant, sleep_until},
};

/// What is done with the request of a number.
pub(crate) enum Act {
    Status(u16),
    /// Answered then, and not before.
    At(Instant),
    /// The connection is closed after the answer, without a word in it.
    Last,
    /// These bytes, again and again.
    Endless(&'static [u8], &'static [u8]),
}

type Acts = dyn Fn(u64) -> Act + Send + Sync;

/// Ends with all its connections when it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    connections: Arc<AtomicU64>,
    _accepting: JoinSet<()>,
}

impl Server {
    pub(crate) async fn start(acts: impl Fn(u64) -> Act + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, connections) = (listener.local_addr().unwrap(), Arc::default());
        let mut accepting = JoinSet::new();
        accepting.spawn(accept(listener, Arc::new(acts), Arc::clone(&connections)));
        Self { address, connections, _accepting: accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many connections were made so far.
    pub(crate) fn connections(&self) -> u64 {
        self.connections.load(Ordering::Relaxed)
    }
}

async fn accept(listener: TcpListener, acts: Arc<Acts>, connections: Arc<AtomicU64>) {
    let (mut open, requests) = (JoinSet::new(), Arc::new(AtomicU64::new(0)));
    while let Ok((stream, _)) = listener.accept().await {
        while open.try_join_next().is_some() {}
        connections.fetch_add(1, Ordering::Relaxed);
        let (acts, requests) = (Arc::clone(&acts), Arc::clone(&requests));
        open.spawn(async move {
            // A client that goes away is part of many tests.
            let _gone = serve(stream, &*acts, &requests).await;
        });
    }
}

async fn serve(mut stream: TcpStream, acts: &Acts, requests: &AtomicU64) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (mut seen, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        while !seen.ends_with(b"\r\n\r\n") {
            match stream.read(&mut piece).await? {
                0 => return Ok(()),
                length => seen.extend_from_slice(&piece[..length]),
            }
        }
        seen.clear();
        let mut status = 200;
        let act = acts(requests.fetch_add(1, Ordering::Relaxed));
        match act {
            Act::Status(own) => status = own,
            Act::At(instant) => sleep_until(instant).await,
            Act::Last => {}
            Act::Endless(head, rest) => {
                stream.write_all(head).await?;
                loop {
                    stream.write_all(rest).await?;
                }
            }
        }
        let answer = format!("HTTP/1.1 {status} -\r\nContent-Length: 2\r\n\r\nok");
        stream.write_all(answer.as_bytes()).await?;
        if matches!(act, Act::Last) {
            return stream.shutdown().await;
        }
    }
}
