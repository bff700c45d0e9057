//! One S3-compatible server that nobody here wrote, for all tests of this program, and buckets in it.

use std::{
    env,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        Arc, LazyLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use object_store::{
    ClientOptions, ObjectStore,
    aws::AmazonS3Builder,
    client::{
        HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse,
        HttpService, ReqwestConnector,
    },
};
use tokio::runtime::Runtime;
use ultrai_deploy_store::{Location, location::Options};

/// Real sockets and a real clock, whatever the clock of a test does.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
});

static SERVER: LazyLock<Server> = LazyLock::new(Server::start);

struct Server {
    /// `127.0.0.1:4010`
    address: String,
    /// The server ends when this is closed: with this process at the latest.
    _input: ChildStdin,
    /// Nobody waits for it: it ends after this process.
    _child: Child,
}

impl Server {
    fn start() -> Self {
        let root = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
        let script = root.join("scripts/s3-server");
        let found = Command::new(&script).stdin(Stdio::null()).output().unwrap();
        let advice = String::from_utf8_lossy(&found.stderr).into_owned();
        assert!(
            found.status.success(),
            "{advice}or set ULTRAI_SKIP_PEERS=1 to leave such tests out"
        );
        let packages = String::from_utf8(found.stdout).unwrap();
        let mut child = Command::new("python3")
            .arg(root.join("peers/s3/server.py"))
            .env("PYTHONPATH", packages.trim_end())
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let input = child.stdin.take().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let (_, address) = line.trim_end().split_once("http://").expect("says where it listens");
        Self { address: address.to_owned(), _input: input, _child: child }
    }
}

/// Whether somebody asked for tests with servers of others to be left out; the test says so.
#[expect(clippy::print_stdout, reason = "what was left out must be seen")]
pub(crate) fn left_out() -> bool {
    let is_set = env::var_os("ULTRAI_SKIP_PEERS").is_some();
    if is_set {
        println!("LEFT OUT: ULTRAI_SKIP_PEERS is set, and this talks to an S3 server");
    }
    is_set
}

/// A bucket of its own.
#[derive(Debug)]
pub(crate) struct Bucket {
    name: String,
}

impl Bucket {
    pub(crate) fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("bucket-{}", NEXT.fetch_add(1, Ordering::Relaxed));
        let mut server = TcpStream::connect(&SERVER.address).unwrap();
        let head = "HTTP/1.1\r\nHost: s3\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
        write!(server, "PUT /{name} {head}").unwrap();
        let mut answer = String::new();
        server.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        Self { name }
    }

    /// Where the server is: `127.0.0.1:4010`.
    pub(crate) fn address() -> &'static str {
        &SERVER.address
    }

    /// A bucket that nobody has made.
    pub(crate) fn missing() -> Self {
        Self { name: "missing".to_owned() }
    }

    /// The bucket as a program opens it. `address` is that of the server, or of what is between.
    /// Not for a paused clock.
    pub(crate) fn open(&self, address: &str) -> Arc<dyn ObjectStore> {
        self.open_with(address, Duration::from_secs(20), 5)
    }

    /// The same with another limit for a request, and with other retries.
    pub(crate) fn open_with(
        &self,
        address: &str,
        limit: Duration,
        retries: usize,
    ) -> Arc<dyn ObjectStore> {
        let mut options = Options::new([
            ("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()),
            ("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()),
            ("AWS_ENDPOINT_URL".to_owned(), format!("http://{address}")),
        ]);
        options.request_timeout = limit;
        options.retries = retries;
        Location::open(&format!("s3://{}/", self.name), &options).unwrap().store
    }

    /// The bucket for a test whose clock is paused: requests are made on another runtime, and the
    /// clock stands still meanwhile.
    pub(crate) fn open_paused(&self) -> Arc<dyn ObjectStore> {
        let store = AmazonS3Builder::new()
            .with_endpoint(format!("http://{}", SERVER.address))
            .with_allow_http(true)
            .with_access_key_id("test")
            .with_secret_access_key("test")
            .with_bucket_name(&self.name)
            .with_http_connector(Elsewhere)
            .build();
        Arc::new(store.unwrap())
    }
}

#[derive(Debug)]
struct Elsewhere;

impl HttpConnector for Elsewhere {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        ReqwestConnector::default().connect(options).map(Calls).map(HttpClient::new)
    }
}

#[derive(Debug)]
struct Calls(HttpClient);

#[async_trait]
impl HttpService for Calls {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let client = self.0.clone();
        // A paused clock does not go on by itself while there is blocking work.
        let called = tokio::task::spawn_blocking(move || {
            RUNTIME.block_on(async {
                let (head, body) = client.execute(request).await?.into_parts();
                Ok(HttpResponse::from_parts(head, body.bytes().await?.into()))
            })
        });
        called.await.unwrap_or_else(|error| Err(HttpError::new(HttpErrorKind::Unknown, error)))
    }
}
