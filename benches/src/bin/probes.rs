//! What ten thousand checks cost side by side: all of one release, looked at over real sockets as
//! `ultrai verify` does, against a server in a process of its own that counts what arrives.
#![expect(clippy::print_stdout, reason = "a bench prints numbers")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a bench that cannot go on ends")]

use std::{
    convert::Infallible,
    fs,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    process::{Child, ChildStdin, Command},
    task::JoinSet,
    time::{Instant, sleep},
};
use ultrai_benches::{images, shop, target};
use ultrai_deploy_core::{
    ending::Ending,
    memory::{self, World},
    pipeline::{BackupPolicy, DeployRequest, Pipeline, Policy},
    verification::CheckSpec,
};
use ultrai_deploy_http::{Client, Config, Probes};

const USAGE: &str = "[CHECKS [AT_ONCE [ANSWER_AFTER_MILLISECONDS]]] | serve MILLISECONDS";
/// How long a time is in which arrivals are counted together.
const BUCKET: Duration = Duration::from_millis(100);

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    if words.first().is_some_and(|word| word == "serve") {
        return serve(words.get(1).expect(USAGE).parse().unwrap()).await;
    }
    let number =
        |at: usize, usual: usize| words.get(at).map_or(usual, |word| word.parse().expect(USAGE));
    look(number(0, 10_000), number(1, Policy::default().looks_at_once), number(2, 20)).await;
}

async fn look(checks: usize, at_once: usize, answer_after: usize) {
    let mut server = Server::start(answer_after).await;
    let mut spec = shop("1.0.0");
    spec.verification.tasks.clear();
    spec.verification.checks = (0..checks)
        .map(|number| {
            let probe = json!({"http": {"at": {"url": server.url}, "expect": {"status": [200]}}});
            CheckSpec::new(format!("check {number}"), probe)
        })
        .collect();
    let releases = Arc::new(memory::ReleaseStore::default());
    let deployer = memory::Deployer::new(World::default(), Arc::clone(&releases) as _);
    let probes = Probes::new(Client::new(Config::default()).unwrap());
    let policy = Policy { backup: BackupPolicy::Off, looks_at_once: at_once, ..Policy::default() };
    let lease = Arc::new(memory::Lease::default());
    let (deployer, journal) = (Arc::new(deployer), Arc::new(memory::Journal::default()));
    let pipeline =
        Pipeline::builder(target("bench"), deployer, journal, lease, releases, Arc::new(probes))
            .images(images())
            .policy(policy)
            .build()
            .unwrap();

    let before = peak();
    let began = Instant::now();
    let report = pipeline.deploy(DeployRequest::new(spec)).join().await.unwrap();
    let first = began.elapsed();
    assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{:?}", report.ending);
    let in_deploy = server.counted().await;

    let began = Instant::now();
    let (_, proof) = pipeline.verify(&pipeline.look()).await.unwrap();
    let verified = began.elapsed();
    assert!(proof.passed(), "a check did not pass");
    let in_verify = server.counted().await;

    println!("{checks} checks, {at_once} at once, each answered after {answer_after} ms");
    println!("                              deploy     verify");
    let line = |name: &str, deploy: f64, verify: f64| {
        println!("{name:<24} {deploy:>11.1} {verify:>10.1}");
    };
    let (deploy, verify) = (first.as_secs_f64(), verified.as_secs_f64());
    let count = |counted: &Counted, of: fn(&Counted) -> usize| small(of(counted));
    line("seconds in all", deploy, verify);
    line("looks a second", small(in_deploy.looks) / deploy, small(in_verify.looks) / verify);
    for (name, of) in [
        ("looks", (|counted| counted.looks) as fn(&Counted) -> usize),
        ("most connections at once", |counted| counted.most_open),
        ("most in 100 ms", Counted::largest),
    ] {
        line(name, count(&in_deploy, of), count(&in_verify, of));
    }
    line("mean of 100 ms", in_deploy.mean(), in_verify.mean());
    println!("peak resident set        {:>8} KiB  (before: {before} KiB)", peak());
    server.end().await;
}

/// Counts are far below 2^32.
fn small(count: usize) -> f64 {
    u32::try_from(count).unwrap().into()
}

/// The largest resident set so far, in KiB.
fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

/// The server, in a process of its own.
struct Server {
    child: Child,
    asked: ChildStdin,
    told: tokio::io::Lines<BufReader<tokio::process::ChildStdout>>,
    url: String,
}

impl Server {
    async fn start(answer_after: usize) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["serve", &answer_after.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let asked = child.stdin.take().unwrap();
        let mut told = BufReader::new(child.stdout.take().unwrap()).lines();
        let url = told.next_line().await.unwrap().unwrap();
        Self { child, asked, told, url }
    }

    /// What arrived since it was last asked.
    async fn counted(&mut self) -> Counted {
        self.asked.write_all(b"\n").await.unwrap();
        let line = self.told.next_line().await.unwrap().unwrap();
        let mut numbers = line.split(' ').map(|word| word.parse().unwrap());
        let most_open = numbers.next().unwrap();
        let buckets: Vec<usize> = numbers.collect();
        Counted { looks: buckets.iter().sum(), most_open, buckets }
    }

    async fn end(self) {
        let Self { mut child, asked, .. } = self;
        drop(asked);
        child.wait().await.unwrap();
    }
}

struct Counted {
    looks: usize,
    most_open: usize,
    /// Arrivals in each 100 ms from the first one to the last one.
    buckets: Vec<usize>,
}

impl Counted {
    fn largest(&self) -> usize {
        self.buckets.iter().copied().max().unwrap_or(0)
    }

    fn mean(&self) -> f64 {
        small(self.looks) / small(self.buckets.len().max(1))
    }
}

/// What the server saw since it was last asked.
#[derive(Default)]
struct Seen {
    first: Option<Instant>,
    open: usize,
    most_open: usize,
    buckets: Vec<usize>,
}

impl Seen {
    fn arrived(&mut self) {
        let since = self.first.get_or_insert_with(Instant::now).elapsed();
        let bucket = usize::try_from(since.as_millis() / BUCKET.as_millis()).unwrap();
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
    }

    fn opened(&mut self) {
        self.open += 1;
        self.most_open = self.most_open.max(self.open);
    }

    /// Tells what was seen, and begins again.
    fn told(&mut self) -> String {
        let (most_open, buckets) = (self.most_open, std::mem::take(&mut self.buckets));
        (self.first, self.most_open) = (None, self.open);
        let numbers = std::iter::once(most_open).chain(buckets).map(|number| number.to_string());
        numbers.collect::<Vec<_>>().join(" ")
    }
}

/// Answers every request with two bytes after `delay` milliseconds; tells what it saw for each line
/// that comes, and ends with them.
async fn serve(delay: u64) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    println!("http://{}", listener.local_addr().unwrap());
    let seen = Arc::new(Mutex::new(Seen::default()));
    let asked = tokio::fs::File::open("/dev/stdin").await.unwrap();
    let mut asked = BufReader::new(asked).lines();
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (stream, _) = accepted.unwrap();
                open.spawn(answer(stream, Duration::from_millis(delay), Arc::clone(&seen)));
                while open.try_join_next().is_some() {}
            }
            line = asked.next_line() => match line.unwrap() {
                Some(_) => println!("{}", seen.lock().unwrap().told()),
                None => return,
            },
        }
    }
}

async fn answer(stream: TcpStream, delay: Duration, seen: Arc<Mutex<Seen>>) {
    seen.lock().unwrap().opened();
    let service = service_fn(|_request| async {
        seen.lock().unwrap().arrived();
        sleep(delay).await;
        Ok::<_, Infallible>(Response::new(Full::new(Bytes::from_static(b"ok"))))
    });
    // A client closes as it likes.
    let _closed = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
    seen.lock().unwrap().open -= 1;
}
