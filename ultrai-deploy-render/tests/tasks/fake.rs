//! Render's jobs and logs, with a memory.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::Notify;
use ultrai_deploy_core::{context::Cancel, memory, release_store::ReleaseStore, secret::Secret};
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_render::{Client, Config, Tasks};
use ultrai_deploy_testkit::server::{Answer, Request, Server};

/// After how many looks at a running job the test is told.
const LOOKS: usize = 5;

/// What becomes of the next call that makes a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Post {
    #[default]
    Answered,
    /// The job is made, and nobody hears of it.
    AnswerLost,
    /// It never arrives, and nobody hears of that.
    NeverArrived,
}

#[derive(Debug)]
pub struct World {
    pub jobs: Vec<Job>,
    /// How a job ends; it goes on for ever without.
    pub ends: Option<&'static str>,
    pub post: Post,
    pub posts: usize,
    /// How many lists do not show the jobs that are there.
    pub hidden: usize,
    /// How many looks at a job fail.
    pub outage: usize,
    /// What is answered instead of logs.
    pub no_logs: Option<Answer>,
    /// Cancelled when a job has run for a while.
    pub cancel: Option<Cancel>,
    looks: usize,
    pub calls: Vec<String>,
}

#[derive(Clone, Debug)]
pub struct Job {
    pub id: String,
    pub command: String,
    /// Nothing at first.
    pub status: Option<&'static str>,
    age: usize,
}

impl Job {
    pub fn new(id: &str, command: &str) -> Self {
        Self { id: id.to_owned(), command: command.to_owned(), status: Some("running"), age: 0 }
    }

    fn is_over(&self) -> bool {
        matches!(self.status, Some("succeeded" | "failed" | "canceled"))
    }

    fn shown(&self) -> Value {
        json!({ "id": self.id, "serviceId": "srv-1", "startCommand": self.command, "planId": "plan-srv-004", "status": self.status, "createdAt": "2026-11-21T12:00:00Z", "startedAt": null, "finishedAt": null })
    }

    /// What it has written by now: a line with each look at it, one of them found late, and the
    /// last one after its end.
    fn lines(&self) -> Vec<(usize, String)> {
        let mut lines: Vec<_> = (1..=self.age).map(|n| (n, format!("line {n}"))).collect();
        if self.age < LOOKS {
            lines.retain(|(n, _)| *n != 2);
        }
        if self.age > 1 {
            lines.push((1, "the token is hunter2".to_owned()));
        }
        lines.sort();
        lines
    }
}

pub struct Render {
    world: Arc<Mutex<World>>,
    server: Server,
    pub runs: Arc<Notify>,
    pub releases: memory::ReleaseStore,
}

impl Render {
    pub async fn new() -> Self {
        let world = Arc::new(Mutex::new(World {
            jobs: Vec::new(),
            ends: Some("succeeded"),
            post: Post::Answered,
            posts: 0,
            hidden: 0,
            outage: 0,
            no_logs: None,
            cancel: None,
            looks: 0,
            calls: Vec::new(),
        }));
        let runs = Arc::new(Notify::new());
        let (answering, told) = (Arc::clone(&world), Arc::clone(&runs));
        let server = Server::start(move |request| answering.lock().unwrap().answer(request, &told));
        Self {
            world,
            server: server.await.unwrap(),
            runs,
            releases: memory::ReleaseStore::default(),
        }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    /// The runner of a new process.
    pub fn tasks(&self) -> Tasks {
        let pause = Duration::from_millis(1);
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        let base = HttpUrl::parse(&self.server.url("/v1")).unwrap();
        let client = Client::new(base, &Secret::new("rnd_key"), limits).unwrap();
        let config = Config { pause, lag: Duration::from_millis(100), ..Config::default() };
        let releases: Arc<dyn ReleaseStore> = Arc::new(self.releases.clone());
        Tasks::new(client, config, releases)
    }
}

impl World {
    fn answer(&mut self, request: &Request, runs: &Notify) -> Answer {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        self.calls.push(format!("{} {path}", request.method));
        let segments: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        let service = json!({ "id": "srv-1", "name": "web", "ownerId": "tea-1" });
        match (request.method.as_str(), segments.as_slice()) {
            ("GET", ["services"]) if query.contains("name=web") => {
                ok(200, &json!([{ "cursor": "c", "service": service }]))
            }
            ("GET", ["services"]) => ok(200, &json!([])),
            ("GET", ["services", "srv-1"]) => ok(200, &service),
            ("GET", ["logs"]) => self.no_logs.clone().unwrap_or_else(|| self.logs(query)),
            ("GET", ["services", "srv-1", "jobs"]) => {
                assert!(query.contains("createdAfter="), "{query}");
                if self.hidden > 0 {
                    self.hidden -= 1;
                    return ok(200, &json!([]));
                }
                let row = |job: &Job| json!({ "cursor": job.id, "job": job.shown() });
                ok(200, &self.jobs.iter().map(row).collect())
            }
            ("POST", ["services", "srv-1", "jobs"]) => self.make(request),
            ("GET", ["services", "srv-1", "jobs", id]) => {
                if self.outage > 0 {
                    self.outage -= 1;
                    return Answer::text(503, "<html>");
                }
                self.looks += 1;
                if self.looks == LOOKS {
                    runs.notify_one();
                    if let Some(cancel) = &self.cancel {
                        cancel.cancel();
                    }
                }
                let ends = self.ends;
                let job = self.jobs.iter_mut().find(|job| job.id == *id).unwrap();
                job.pass(ends);
                ok(200, &job.shown())
            }
            ("POST", ["services", "srv-1", "jobs", id, "cancel"]) => {
                let job = self.jobs.iter_mut().find(|job| job.id == *id).unwrap();
                if job.is_over() {
                    return ok(409, &json!({ "message": "the job is over" }));
                }
                job.status = Some("canceled");
                ok(200, &job.shown())
            }
            other => panic!("nobody should ask {other:?}"),
        }
    }

    fn make(&mut self, request: &Request) -> Answer {
        self.posts += 1;
        let post = std::mem::take(&mut self.post);
        if post == Post::NeverArrived {
            return Answer::close();
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let id = format!("job-{}", self.jobs.len());
        let mut job = Job::new(&id, body["startCommand"].as_str().unwrap());
        job.status = None;
        let shown = job.shown();
        self.jobs.push(job);
        if post == Post::AnswerLost { Answer::close() } else { ok(201, &shown) }
    }

    /// Two lines a page.
    fn logs(&self, query: &str) -> Answer {
        assert!(query.contains("ownerId=tea-1") && query.contains("direction=forward"), "{query}");
        let value = |name: &str| {
            let pairs = url::form_urlencoded::parse(query.as_bytes());
            pairs.into_iter().find(|(own, _)| own == name).map(|(_, value)| value.into_owned())
        };
        let (id, start) = (value("resource").unwrap(), value("startTime").unwrap_or_default());
        let job = self.jobs.iter().find(|job| job.id == id).unwrap();
        let at = |second: usize| format!("2026-11-21T12:00:{second:02}Z");
        let lines = job.lines().into_iter().filter(|(second, _)| at(*second) >= start);
        let lines: Vec<_> = lines.collect();
        let given = &lines[..lines.len().min(3)];
        let shown = given.iter().map(|(second, text)| {
            json!({ "id": format!("{second}{text}"), "message": text, "timestamp": at(*second), "labels": [] })
        });
        let next = given.last().map(|(second, _)| at(*second));
        ok(
            200,
            &json!({ "hasMore": lines.len() > given.len(), "logs": shown.collect::<Value>(), "nextStartTime": next, "nextEndTime": null }),
        )
    }
}

impl Job {
    fn pass(&mut self, ends: Option<&'static str>) {
        self.age += 1;
        self.status = match (self.age, ends) {
            _ if self.is_over() => self.status,
            (1, _) => None,
            (2, _) => Some("pending"),
            // A word that nobody knows.
            (3, _) => Some("warming_up"),
            (10.., Some(end)) => Some(end),
            _ => Some("running"),
        };
    }
}

fn ok(status: u16, body: &Value) -> Answer {
    Answer::json(status, body.to_string())
}
