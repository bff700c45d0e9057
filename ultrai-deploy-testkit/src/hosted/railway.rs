//! Railway with a memory: services, deployments that take their time, and its surprises.
//!
//! It understands documents by the fields that they ask for, whatever they are called.

mod calls;
mod document;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use serde_json::{Value, json};
use ultrai_deploy_core::clock::{Clock as _, SystemClock};

use self::document::Field;
use super::{
    Course, Deploy, End, History, Inside, Lagged, Left, Limit, Traffic, What, history::Words,
};
use crate::server::{Answer, Request};

const WORDS: Words = Words { replaced: "REMOVED", stopped: "REMOVED" };
const SECOND: Duration = Duration::from_secs(1);

/// How Railway behaves now.
#[expect(clippy::struct_excessive_bools, reason = "each is a surprise of its own")]
#[derive(Clone, Debug)]
pub struct Manners {
    /// It keeps no former image, and says so.
    pub forgets: bool,
    /// It refuses to roll back, with HTTP 200.
    pub refuses: bool,
    /// What it deploys to go back fails, and what it deploys by itself.
    pub fails_back: bool,
    /// It deploys what it had before, and reports success.
    pub is_stubborn: bool,
    /// What it calls a deployment before it is over, instead of `DEPLOYING`.
    pub last_word: String,
    /// How long a deployment takes; 3 s.
    pub takes: Duration,
    /// How long it takes until a new deployment, and a setting that was changed, is seen.
    pub lag: Duration,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            forgets: false,
            refuses: false,
            fails_back: false,
            is_stubborn: false,
            last_word: "DEPLOYING".to_owned(),
            takes: 3 * SECOND,
            lag: Duration::ZERO,
        }
    }
}

/// Whose limits count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// 100 calls an hour.
    Free,
    /// 1,000 calls an hour.
    Hobby,
    /// 10,000 calls an hour.
    Pro,
}

impl Plan {
    /// Its limit.
    pub fn limit(self) -> Limit {
        let calls = match self {
            Self::Free => 100,
            Self::Hobby => 1000,
            Self::Pro => 10_000,
        };
        Limit { calls, window: Duration::from_hours(1) }
    }
}

/// What there is of a Railway: the environment `production` of one project. A deployment
/// of an image with `sick` in its tag fails.
#[derive(Debug)]
pub struct World {
    /// The token that lets in, as an account's or as a project's.
    pub token: String,
    /// The project's id; `project-1`.
    pub project: String,
    /// How it behaves.
    pub manners: Manners,
    /// The services by their names, which are their ids.
    pub services: BTreeMap<String, Service>,
    /// What the services write.
    pub log: Vec<String>,
    /// The calls that came.
    pub traffic: Traffic,
    /// Calls that this Railway does not know.
    pub unknown: Vec<String>,
}

/// A service.
#[derive(Debug)]
pub struct Service {
    /// The image that is deployed next.
    pub source: Lagged<String>,
    /// Its deployments.
    pub history: History,
    /// The variables that are set.
    pub variables: Lagged<BTreeMap<String, String>>,
    /// Those of them that nobody can read any more, by name.
    pub sealed: BTreeSet<String>,
    /// Whether pushes deploy it.
    pub auto_deploy: bool,
    /// Its other settings.
    pub settings: serde_json::Map<String, Value>,
    /// How the next deployments go that are asked for, instead of as usual.
    pub next: VecDeque<Course>,
    /// Source archives that were uploaded, in bytes.
    pub uploads: Vec<usize>,
    /// Where it is reached.
    pub url: Option<String>,
}

impl World {
    /// A Railway with these services, let in with `token`. Its limit has a window of a second, which
    /// is over with each call.
    pub fn new(token: impl Into<String>, services: &[&str]) -> Self {
        let limit = Limit { window: SECOND, ..Plan::Hobby.limit() };
        let service = |name: &&str| ((*name).to_owned(), Service::default());
        Self {
            token: token.into(),
            project: "project-1".to_owned(),
            manners: Manners::default(),
            services: services.iter().map(service).collect(),
            log: vec!["a line of log".to_owned()],
            traffic: Traffic::limited([("all", limit)]),
            unknown: Vec::new(),
        }
    }

    /// The service of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn service(&mut self, name: &str) -> &mut Service {
        let found = self.services.get_mut(name);
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
        self.begin(service, What::image(image), "manual")
    }

    /// What there is of a service.
    pub fn inside(&mut self, service: &str) -> Inside {
        let service = self.service(service);
        let live = service.history.live();
        Inside {
            image: live.and_then(|live| live.what.image.clone()),
            started_with: live.map(|live| live.variables.clone()).unwrap_or_default(),
            variables: service.variables.get(),
            configured: Some(service.source.get()),
            is_busy: service.history.is_busy(),
        }
    }

    /// A deployment that goes as its service's next one does, or as its image says.
    fn begin(&mut self, name: &str, what: What, trigger: &'static str) -> Deploy {
        let (now, manners) = (self.traffic.clock.now(), self.manners.clone());
        let service = self.service(name);
        let old = service.history.deploys.first().map(|old| old.what.clone());
        let what = old.filter(|_| manners.is_stubborn).unwrap_or(what);
        let is_sick = what.image.as_deref().is_some_and(|image| image.contains("sick"))
            || matches!(trigger, "rollback" | "variables") && manners.fails_back;
        let usual = || manners.course(if is_sick { "FAILED" } else { "SUCCESS" });
        let next =
            if matches!(trigger, "api" | "upload") { service.next.pop_front() } else { None };
        let course = next.unwrap_or_else(usual);
        let id = format!("{name}-{}", service.history.deploys.len());
        let variables = service.variables.get();
        service.history.begin(now, id, what, trigger, variables, course)
    }

    fn pass(&mut self) {
        let now = self.traffic.clock.now();
        let names: Vec<_> = self.services.keys().cloned().collect();
        for name in names {
            if let Some(image) = self.service(&name).history.pass(now) {
                self.begin(&name, What::image(image), "manual");
            }
        }
    }
}

impl Manners {
    /// How a deployment goes that ends with this word of Railway's.
    pub fn course(&self, end: &str) -> Course {
        let end = match end {
            "SUCCESS" | "SLEEPING" => End::Live(end.to_owned()),
            "NEEDS_APPROVAL" | "WAITING" => End::Never(end.to_owned()),
            other => End::Over(other.to_owned()),
        };
        let words = ["INITIALIZING", "BUILDING", &self.last_word].map(str::to_owned).into();
        Course { words, takes: self.takes, end, overtaken_by: None }
    }
}

impl Default for Service {
    fn default() -> Self {
        Self {
            source: Lagged::default(),
            history: History::new(WORDS),
            variables: Lagged::default(),
            sealed: BTreeSet::new(),
            auto_deploy: false,
            settings: serde_json::Map::new(),
            next: VecDeque::new(),
            uploads: Vec::new(),
            url: None,
        }
    }
}

impl super::World for World {
    fn traffic(&mut self) -> &mut Traffic {
        &mut self.traffic
    }

    fn class(&self, _: &Request) -> &'static str {
        "all"
    }

    /// The fields that are asked for: `serviceInstanceDeployV2`.
    fn purpose(&self, request: &Request) -> String {
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let Some(text) = body["query"].as_str() else {
            let path = request.path.split('?').next().unwrap_or_default();
            return format!("{} {path}", request.method);
        };
        let fields = document::fields(text, &body["variables"]).into_iter();
        fields.map(|field| field.name).collect::<Vec<_>>().join(" ")
    }

    fn act(&mut self, request: &Request) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        let is_let_in = request.header("authorization") == Some(&bearer)
            || request.header("project-access-token") == Some(&self.token);
        if !is_let_in {
            return refusal("Not Authorized", "INTERNAL_SERVER_ERROR", &Value::Null);
        }
        self.pass();
        let path = request.path.split('?').next().unwrap_or_default();
        if path.ends_with("/up") {
            return self.upload(request);
        }
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let text = body["query"].as_str().unwrap_or_default();
        let mut data = serde_json::Map::new();
        for field in document::fields(text, &body["variables"]) {
            match self.field(&field) {
                Ok(value) => data.insert(field.key.clone(), value),
                Err(why) => {
                    let code =
                        if why.is_known { "BAD_USER_INPUT" } else { "GRAPHQL_VALIDATION_FAILED" };
                    return refusal(&why.message, code, &json!([field.key]));
                }
            };
        }
        Answer::json(200, json!({ "data": data }).to_string())
    }

    fn tell(&self, answer: Answer, left: Left) -> Answer {
        let seconds = i64::try_from(left.resets_in.as_millis().div_ceil(1000)).unwrap_or(i64::MAX);
        let reset = SystemClock.now().as_second().saturating_add(seconds);
        let answer = answer
            .with_header("X-RateLimit-Limit", &left.limit.to_string())
            .with_header("X-RateLimit-Remaining", &left.remaining.unwrap_or(0).to_string())
            .with_header("X-RateLimit-Reset", &reset.to_string());
        match left.remaining {
            Some(_) => answer,
            None => answer.with_header("Retry-After", &seconds.to_string()),
        }
    }
}

/// Why a field was refused.
#[derive(Debug)]
struct Refused {
    message: String,
    is_known: bool,
}

impl From<&str> for Refused {
    fn from(message: &str) -> Self {
        Self { message: message.to_owned(), is_known: true }
    }
}

impl World {
    fn unknown(&mut self, field: &Field) -> Refused {
        self.unknown.push(field.name.clone());
        Refused { message: format!("Cannot query field \"{}\"", field.name), is_known: false }
    }
}

/// An error, which comes with HTTP 200.
fn refusal(message: &str, code: &str, path: &Value) -> Answer {
    let error = json!({
        "message": message, "path": path, "traceId": "trace-1", "extensions": { "code": code },
    });
    Answer::json(200, json!({ "data": null, "errors": [error] }).to_string())
}
