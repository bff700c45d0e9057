//! Render with a memory: services, deploys that take their time, and the ways in which it is odd.
//!
//! ```
//! use ultrai_deploy_testkit::hosted::{Server, render};
//!
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let render = Server::start(render::World::new("rnd_key", &["api", "web"])).await?;
//! println!("the API is at {}", render.url("/v1"));
//! render.world().manners.queues = true;
//! assert!(render.world().service("api").history.live().is_none());
//! # Ok::<(), std::io::Error>(())
//! # })?;
//! # Ok::<(), std::io::Error>(())
//! ```

mod calls;
mod jobs;

use std::{
    collections::{BTreeMap, VecDeque},
    time::Duration,
};

use serde_json::{Map, Value, json};

pub use self::jobs::Job;
use super::{
    Course, Deploy, End, History, Inside, Lagged, Left, Limit, Traffic, What, history::Words,
};
use crate::server::{Answer, Request};

const WORDS: Words = Words { replaced: "deactivated", stopped: "canceled" };
const SECOND: Duration = Duration::from_secs(1);

/// How Render behaves now.
#[expect(clippy::struct_excessive_bools, reason = "each is a surprise of its own")]
#[derive(Clone, Debug)]
pub struct Manners {
    /// It answers a new deploy with 202 and nothing.
    pub queues: bool,
    /// It has none of the former builds any more, and refuses to roll back.
    pub forgets: bool,
    /// What it deploys to go back fails.
    pub fails_back: bool,
    /// It deploys what it had before, and reports success.
    pub is_stubborn: bool,
    /// What it calls a deploy before it is over, instead of `update_in_progress`.
    pub last_word: String,
    /// How long a deploy takes; 3 s.
    pub takes: Duration,
    /// How long it takes until a new deploy, and a setting that was changed, is seen.
    pub lag: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            queues: false,
            forgets: false,
            fails_back: false,
            is_stubborn: false,
            last_word: "update_in_progress".to_owned(),
            takes: 3 * SECOND,
            lag: Duration::ZERO,
        }
    }
}

/// What there is of Render. An image with `sick-build` in its tag is not built, one with `sick` does
/// not get healthy.
#[derive(Debug)]
pub struct World {
    /// The key that lets in.
    pub token: String,
    /// How it behaves.
    pub manners: Manners,
    /// The services by their ids.
    pub services: BTreeMap<String, Service>,
    /// What the services write.
    pub log: Vec<String>,
    /// The calls that came.
    pub traffic: Traffic,
    /// Calls that this Render does not know.
    pub unknown: Vec<String>,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Its deploys.
    pub history: History,
    /// The variables that are set.
    pub variables: Lagged<BTreeMap<String, String>>,
    /// The secret files that are set.
    pub secret_files: BTreeMap<String, String>,
    /// The image of its settings.
    pub image: Lagged<String>,
    /// When pushes deploy it: `commit`, `checksPass`, `off`.
    pub auto_deploy: String,
    /// What its kind has of settings.
    pub details: Map<String, Value>,
    /// The commands that were run, newest first.
    pub jobs: Vec<Job>,
    /// Whether it is suspended.
    pub is_suspended: bool,
    /// How the next deploys go that are asked for, instead of as usual.
    pub next: VecDeque<Course>,
}

/// The limits of Render, as its answers tell them.
pub fn limits() -> BTreeMap<&'static str, Limit> {
    let minute = Duration::from_mins(1);
    let of = |calls| Limit { calls, window: minute };
    [("read", of(400)), ("write", of(100)), ("deploy", of(10)), ("log", of(30))].into()
}

impl World {
    /// A Render with these services, whose ids are `srv-0` and so on, let in with `token`. Its limits
    /// have windows of a second, which are over with each call.
    pub fn new(token: impl Into<String>, services: &[&str]) -> Self {
        let of_second = |limit: Limit| Limit { window: SECOND, ..limit };
        let limits = limits().into_iter().map(|(class, limit)| (class, of_second(limit)));
        let service = |(at, name): (usize, &&str)| (format!("srv-{at}"), Service::new(name));
        Self {
            token: token.into(),
            manners: Manners::default(),
            services: services.iter().enumerate().map(service).collect(),
            log: vec!["a line of log".to_owned()],
            traffic: Traffic::limited(limits),
            unknown: Vec::new(),
        }
    }

    /// The service of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn service(&mut self, name: &str) -> &mut Service {
        let found = self.services.values_mut().find(|service| service.name == name);
        found.unwrap_or_else(|| panic!("there is no service {name}"))
    }

    /// Sets a variable, as a person does it.
    pub fn set_variable(&mut self, service: &str, name: &str, value: &str) {
        let now = self.traffic.clock.now();
        let service = self.service(service);
        let mut variables = service.variables.get();
        variables.insert(name.to_owned(), value.to_owned());
        service.variables.set(now, variables);
    }

    /// Deploys an image, as a person does it.
    pub fn deploy_by_hand(&mut self, service: &str, image: &str) -> Deploy {
        let found = self.services.iter().find(|(_, one)| one.name == service);
        let id = found.map(|(id, _)| id.clone()).unwrap_or_default();
        self.begin(&id, What::image(image), "manual")
    }

    /// What there is of a service.
    pub fn inside(&mut self, service: &str) -> Inside {
        let service = self.service(service);
        let live = service.history.live().filter(|_| !service.is_suspended);
        Inside {
            image: live.and_then(|live| live.what.image.clone()),
            started_with: live.map(|live| live.variables.clone()).unwrap_or_default(),
            variables: service.variables.get(),
            configured: Some(service.image.get()),
            is_busy: service.history.is_busy(),
        }
    }

    /// A deploy that goes as its service's next one does, or as its image says.
    fn begin(&mut self, id: &str, what: What, trigger: &'static str) -> Deploy {
        let (now, manners) = (self.traffic.clock.now(), self.manners.clone());
        let Some(service) = self.services.get_mut(id) else { panic!("there is no service {id}") };
        let old = service.history.deploys.first().map(|old| old.what.clone());
        let what = old.filter(|_| manners.is_stubborn).unwrap_or(what);
        let usual = || {
            let image = what.image.as_deref().unwrap_or_default();
            let end = match image {
                _ if trigger == "rollback" && manners.fails_back => "update_failed",
                _ if image.contains("sick-build") => "build_failed",
                _ if image.contains("sick") => "update_failed",
                _ => "live",
            };
            manners.course(end)
        };
        let next = if trigger == "api" { service.next.pop_front() } else { None };
        let course = next.unwrap_or_else(usual);
        let deploy = format!("dep-{id}-{}", service.history.deploys.len());
        let variables = service.variables.get();
        service.history.begin(now, deploy, what, trigger, variables, course)
    }

    fn pass(&mut self) {
        let now = self.traffic.clock.now();
        let ids: Vec<_> = self.services.keys().cloned().collect();
        for id in ids {
            let by_hand = self.services.get_mut(&id).and_then(|one| one.history.pass(now));
            if let Some(image) = by_hand {
                self.begin(&id, What::image(image), "manual");
            }
        }
    }
}

impl Manners {
    /// How a deploy goes that ends with this word of Render's.
    pub fn course(&self, end: &str) -> Course {
        let end = match end {
            "live" => End::Live("live".to_owned()),
            other => End::Over(other.to_owned()),
        };
        let words = ["created", "build_in_progress", &self.last_word].map(str::to_owned).into();
        Course { words, takes: self.takes, end, overtaken_by: None }
    }
}

impl Service {
    fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            history: History::new(WORDS),
            variables: Lagged::default(),
            secret_files: BTreeMap::new(),
            image: Lagged::new(format!("shop/{name}:0")),
            auto_deploy: "off".to_owned(),
            details: details(),
            jobs: Vec::new(),
            is_suspended: false,
            next: VecDeque::new(),
        }
    }
}

/// What is set of a web service that nobody has set anything of.
fn details() -> Map<String, Value> {
    let details = json!({
        "url": "https://shop.example.com", "runtime": "image", "env": "image", "plan": "starter",
        "region": "oregon", "numInstances": 1, "buildPlan": "starter", "healthCheckPath": "",
        "openPorts": [], "envSpecificDetails": { "dockerCommand": "", "dockerContext": "", "dockerfilePath": "" },
    });
    details.as_object().cloned().unwrap_or_default()
}

impl super::World for World {
    fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    fn class(&self, request: &Request) -> &'static str {
        let path = request.path.split('?').next().unwrap_or_default();
        let last = path.rsplit('/').next().unwrap_or_default();
        let is_service = path.trim_start_matches("/v1/services/").split('/').count() == 1;
        match request.method.as_str() {
            "GET" if path.starts_with("/v1/logs") => "log",
            "GET" => "read",
            "POST" if matches!(last, "deploys" | "scale") => "deploy",
            "PATCH" if is_service => "deploy",
            _ => "write",
        }
    }

    fn purpose(&self, request: &Request) -> String {
        let path = request.path.split('?').next().unwrap_or_default();
        format!("{} {path}", request.method)
    }

    fn act(&mut self, request: &Request) -> Answer {
        let wanted = format!("Bearer {}", self.token);
        if request.header("authorization") != Some(&wanted) {
            return Answer::json(401, r#"{"message":"unauthorized"}"#);
        }
        self.pass();
        self.call(request).unwrap_or_else(|| {
            let what = self.purpose(request);
            let answer = json!({ "message": format!("not found: {what}") });
            self.unknown.push(what);
            Answer::json(404, answer.to_string())
        })
    }

    fn tell(&self, answer: Answer, left: Left) -> Answer {
        // Seconds until then, and no time.
        let reset = left.resets_in.as_millis().div_ceil(1000);
        answer
            .with_header("Ratelimit-Limit", &left.limit.to_string())
            .with_header("Ratelimit-Remaining", &left.remaining.unwrap_or(0).to_string())
            .with_header("Ratelimit-Reset", &reset.to_string())
    }
}
