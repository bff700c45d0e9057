//! Render with a memory: services, deploys that take their time, and the ways in which it is odd.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_render::{Client, Config, Platform};
use ultrai_deploy_testkit::{
    hosted::{Fake, Inside, SERVICES},
    server::{Answer, Request, Server},
};

/// How Render behaves now.
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// It answers a new deploy with 202 and nothing.
    pub queues: bool,
    /// It has none of the former builds any more.
    pub forgets: bool,
    /// It calls the next deploy's status by a word of its own before it is over.
    pub speaks_anew: bool,
    /// Every so many calls it fails: too many calls, a gateway's error, a connection cut, in turn.
    pub fails_every: Option<usize>,
}

#[derive(Debug, Default)]
pub struct World {
    pub manners: Manners,
    pub services: BTreeMap<String, Service>,
    pub calls: usize,
}

#[derive(Debug, Default)]
pub struct Service {
    pub name: String,
    /// Newest first.
    pub deploys: Vec<Deploy>,
    pub variables: BTreeMap<String, String>,
    /// The image of its settings.
    pub image: String,
    pub is_suspended: bool,
}

#[derive(Clone, Debug)]
pub struct Deploy {
    pub id: String,
    pub image: String,
    pub status: &'static str,
    pub trigger: &'static str,
    /// The variables that it was started with.
    pub variables: BTreeMap<String, String>,
    left: u32,
}

/// The service and those who speak to it.
#[derive(Debug)]
pub struct Render {
    world: Arc<Mutex<World>>,
    server: Server,
}

impl Render {
    pub async fn new() -> Self {
        let service = |(at, name): (usize, &str)| {
            let (name, image) = (name.to_owned(), format!("shop/{name}:0"));
            (format!("srv-{at}"), Service { name, image, ..Service::default() })
        };
        let services = SERVICES.into_iter().enumerate().map(service).collect();
        let world = Arc::new(Mutex::new(World { services, ..World::default() }));
        let answering = Arc::clone(&world);
        let server = Server::start(move |request| answering.lock().unwrap().answer(request));
        Self { world, server: server.await.unwrap() }
    }

    #[allow(dead_code)]
    pub fn address(&self) -> String {
        self.server.url("/v1")
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

impl Fake for Render {
    fn platform(&self) -> Arc<dyn hosted::Platform> {
        let (pause, lag) = (Duration::from_millis(1), Duration::from_millis(5));
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        let base = HttpUrl::parse(&self.server.url("/v1")).unwrap();
        let client = Client::new(base, &Secret::new("rnd_hunter2"), limits).unwrap();
        Arc::new(Platform::new(client, Config { pause, lag, ..Config::default() }))
    }

    fn set_variable(&self, service: &str, name: &str, value: &str) {
        let mut world = self.world();
        world.service(service).variables.insert(name.to_owned(), value.to_owned());
    }

    fn inside(&self, service: &str) -> Inside {
        let mut world = self.world();
        let service = world.service(service);
        let live = service.live().filter(|_| !service.is_suspended);
        Inside {
            image: live.map(|live| live.image.clone()),
            started_with: live.map(|live| live.variables.clone()).unwrap_or_default(),
            variables: service.variables.clone(),
            configured: Some(service.image.clone()),
            is_busy: service.deploys.iter().any(Deploy::is_open),
        }
    }

    fn fail_every(&self, calls: Option<usize>) {
        self.world().manners.fails_every = calls;
    }
}

impl World {
    pub fn service(&mut self, name: &str) -> &mut Service {
        self.services.values_mut().find(|service| service.name == name).unwrap()
    }

    fn answer(&mut self, request: &Request) -> Answer {
        self.calls += 1;
        if let Some(every) = self.manners.fails_every
            && self.calls.is_multiple_of(every)
        {
            return match (self.calls / every) % 3 {
                0 => Answer::json(429, "{}").with_header("Retry-After", "0"),
                // What was asked for is done, and nobody hears of it.
                1 => {
                    self.act(request);
                    Answer::close()
                }
                _ => Answer::text(502, "<html>bad gateway</html>"),
            };
        }
        self.act(request)
    }

    fn act(&mut self, request: &Request) -> Answer {
        assert_eq!(request.header("authorization"), Some("Bearer rnd_hunter2"));
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let segments: Vec<_> = path.trim_start_matches("/v1/").split('/').collect();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        let manners = self.manners;
        if segments == ["services"] {
            let found = self
                .services
                .iter()
                .filter(|(_, one)| query.contains(&format!("name={}", one.name)));
            let found: Vec<_> =
                found.map(|(id, one)| json!({ "cursor": id, "service": one.shown(id) })).collect();
            return ok(200, &json!(found));
        }
        if segments[0] == "logs" {
            return ok(
                200,
                &json!({ "hasMore": false, "logs": [{ "id": "1", "message": "a line of log", "timestamp": "2026-11-21T12:00:00Z", "labels": [] }] }),
            );
        }
        let Some(service) = self.services.get_mut(segments[1]) else {
            return ok(404, &json!({ "message": format!("not found: {}", segments[1]) }));
        };
        service.pass(manners);
        match (request.method.as_str(), &segments[2..]) {
            ("GET", []) => ok(200, &service.shown(segments[1])),
            ("PATCH", []) => {
                body["image"]["imagePath"].as_str().unwrap().clone_into(&mut service.image);
                ok(200, &service.shown(segments[1]))
            }
            ("GET", ["events"]) => ok(200, &json!([])),
            ("GET", ["env-vars"]) => {
                let all = service.variables.iter();
                ok(200, &all.map(|(key, value)| json!({ "cursor": key, "envVar": { "key": key, "value": value } })).collect())
            }
            ("PUT", ["env-vars", key]) => {
                let value = body["value"].as_str().unwrap().to_owned();
                service.variables.insert((*key).to_owned(), value.clone());
                ok(200, &json!({ "key": key, "value": value }))
            }
            ("DELETE", ["env-vars", key]) => match service.variables.remove(*key) {
                Some(_) => Answer::text(204, ""),
                None => ok(404, &json!({ "message": "not found" })),
            },
            ("GET", ["deploys"]) => {
                let all = service.deploys.iter();
                ok(
                    200,
                    &all.map(|one| json!({ "cursor": one.id, "deploy": one.shown() })).collect(),
                )
            }
            ("GET", ["deploys", id]) => match service.deploys.iter().find(|one| one.id == *id) {
                Some(deploy) => ok(200, &deploy.shown()),
                None => ok(404, &json!({ "message": "not found" })),
            },
            ("POST", ["deploys"]) => {
                let image = body["imageUrl"].as_str().unwrap().to_owned();
                let deploy = service.begin(segments[1], &image, "api");
                if manners.queues { Answer::text(202, "") } else { ok(201, &deploy) }
            }
            ("POST", ["deploys", id, "cancel"]) => {
                let found = service.deploys.iter_mut().find(|one| one.id == *id && one.is_open());
                match found {
                    Some(deploy) => {
                        deploy.status = "canceled";
                        ok(200, &deploy.shown())
                    }
                    None => ok(409, &json!({ "message": "the deploy is over" })),
                }
            }
            ("POST", ["rollback"]) => {
                let wanted = body["deployId"].as_str().unwrap();
                let found = service.deploys.iter().find(|one| one.id == wanted);
                match found.filter(|one| !manners.forgets && one.status == "deactivated") {
                    Some(old) => {
                        let image = old.image.clone();
                        ok(201, &service.begin(segments[1], &image, "rollback"))
                    }
                    None => ok(400, &json!({ "message": "cannot roll back to this deploy" })),
                }
            }
            ("POST", ["suspend"]) => {
                service.is_suspended = true;
                Answer::text(202, "")
            }
            ("POST", ["resume"]) => {
                service.is_suspended = false;
                Answer::text(202, "")
            }
            other => panic!("nobody should ask {other:?}"),
        }
    }
}

impl Service {
    pub fn live(&self) -> Option<&Deploy> {
        self.deploys.iter().find(|deploy| deploy.status == "live")
    }

    fn shown(&self, id: &str) -> Value {
        let suspended = if self.is_suspended { "suspended" } else { "not_suspended" };
        json!({ "id": id, "name": self.name, "ownerId": "tea-1", "type": "web_service", "imagePath": self.image, "suspended": suspended, "autoDeploy": "no", "serviceDetails": { "url": "https://shop.example.com" } })
    }

    fn begin(&mut self, service: &str, image: &str, trigger: &'static str) -> Value {
        let id = format!("dep-{service}-{}", self.deploys.len());
        let (variables, status) = (self.variables.clone(), "created");
        let deploy = Deploy { id, image: image.to_owned(), status, trigger, variables, left: 3 };
        let shown = deploy.shown();
        self.deploys.insert(0, deploy);
        shown
    }

    /// Time goes by.
    fn pass(&mut self, manners: Manners) {
        let Some(newest) = self.deploys.first_mut().filter(|deploy| deploy.is_open()) else {
            return;
        };
        newest.left = newest.left.saturating_sub(1);
        let is_live = newest.left == 0 && !newest.image.contains("sick");
        newest.status = match newest.left {
            0 if newest.image.contains("sick-build") => "build_failed",
            0 if newest.image.contains("sick") => "update_failed",
            0 => "live",
            1 if manners.speaks_anew => "canary_in_progress",
            1 => "update_in_progress",
            _ => "build_in_progress",
        };
        for older in self.deploys.iter_mut().skip(1) {
            if older.is_open() {
                older.status = "canceled";
            } else if is_live && older.status == "live" {
                older.status = "deactivated";
            }
        }
    }
}

impl Deploy {
    pub fn is_open(&self) -> bool {
        self.status == "created" || self.status.ends_with("_in_progress")
    }

    /// With the nulls that Render sends, and the image in its long form.
    fn shown(&self) -> Value {
        let reference = format!("docker.io/{}", self.image.trim_start_matches("docker.io/"));
        let sha = match reference.split_once('@') {
            Some((_, digest)) => digest.to_owned(),
            None => format!("sha256:{}", reference.replace(['/', ':', '.'], "")),
        };
        json!({ "id": self.id, "status": self.status, "trigger": self.trigger, "commit": null, "finishedAt": null, "createdAt": "2026-11-21T12:00:00Z", "image": { "ref": reference, "sha": sha } })
    }
}

fn ok(status: u16, body: &Value) -> Answer {
    Answer::json(status, body.to_string())
        .with_header("Ratelimit-Limit", "400")
        .with_header("Ratelimit-Remaining", "390")
        .with_header("Ratelimit-Reset", "1")
}
