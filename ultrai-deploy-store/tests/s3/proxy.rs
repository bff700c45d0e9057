//! What is between a client and a server: it passes requests on, and breaks those that it was told to.

use std::{
    io,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// What becomes of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refused with 503 and `SlowDown`; the server never sees it.
    SlowDown,
    /// The connection ends in the middle of the request; the server never sees it.
    CutRequest,
    /// The server answers, and the connection ends in the middle of the answer.
    CutAnswer,
    /// The server answers, and the connection ends before the first byte of the answer.
    LoseAnswer,
    /// Nobody answers, ever; the server never sees it.
    Hang,
}

#[derive(Debug)]
struct Planned {
    method: &'static str,
    path: String,
    fault: Fault,
    left: usize,
}

/// A proxy on a free port of 127.0.0.1; it ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub(crate) struct Proxy {
    address: String,
    planned: Arc<Mutex<Vec<Planned>>>,
    _accepting: JoinSet<()>,
}

impl Proxy {
    pub(crate) async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let planned = Arc::<Mutex<Vec<Planned>>>::default();
        let (plan, server) = (Arc::clone(&planned), server.to_owned());
        let mut accepting = JoinSet::new();
        accepting.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let (plan, server) = (Arc::clone(&plan), server.clone());
                connections.spawn(async move {
                    // A client that goes away is the client's business.
                    let _ended = pass(client, &server, &plan).await;
                });
            }
        });
        Self { address, planned, _accepting: accepting }
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Breaks the next `times` requests of this method to a path that has `path` in it.
    pub(crate) fn plan(&self, method: &'static str, path: &str, fault: Fault, times: usize) {
        let planned = Planned { method, path: path.to_owned(), fault, left: times };
        self.planned.lock().unwrap_or_else(PoisonError::into_inner).push(planned);
    }

    /// How many of the planned faults did not come to pass.
    pub(crate) fn left(&self) -> usize {
        let planned = self.planned.lock().unwrap_or_else(PoisonError::into_inner);
        planned.iter().map(|planned| planned.left).sum()
    }
}

/// One request a connection.
async fn pass(mut client: TcpStream, server: &str, plan: &Mutex<Vec<Planned>>) -> io::Result<()> {
    let mut request = Vec::new();
    let head = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let fault = next(plan, &text);
    if fault == Some(Fault::CutRequest) {
        return Ok(());
    }
    let body = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(name, _)| name.eq_ignore_ascii_case("content-length"))
        .and_then(|(_, length)| length.trim().parse().ok())
        .unwrap_or(0);
    while request.len() < head + body {
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    match fault {
        Some(Fault::SlowDown) => {
            let body = "<Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>";
            let answer = format!(
                "HTTP/1.1 503 Slow Down\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(answer.as_bytes()).await;
        }
        // Until the client has enough of it.
        Some(Fault::Hang) => return client.read_buf(&mut request).await.map(drop),
        _ => {}
    }
    let mut upstream = TcpStream::connect(server).await?;
    let (line, rest) = text.split_once("\r\n").unwrap_or((&text, ""));
    upstream.write_all(format!("{line}\r\nConnection: close\r\n{rest}").as_bytes()).await?;
    upstream.write_all(&request[head..]).await?;
    let mut answer = Vec::new();
    upstream.read_to_end(&mut answer).await?;
    match fault {
        Some(Fault::LoseAnswer) => Ok(()),
        Some(Fault::CutAnswer) => client.write_all(&answer[..answer.len() / 2]).await,
        _ => client.write_all(&answer).await,
    }
}

fn next(plan: &Mutex<Vec<Planned>>, head: &str) -> Option<Fault> {
    let (method, rest) = head.split_once(' ')?;
    let path = rest.split(' ').next()?;
    let mut plan = plan.lock().unwrap_or_else(PoisonError::into_inner);
    let is_meant = |planned: &&mut Planned| {
        planned.left > 0 && planned.method == method && path.contains(&planned.path)
    };
    let planned = plan.iter_mut().find(is_meant)?;
    planned.left -= 1;
    Some(planned.fault)
}
