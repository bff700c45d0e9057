//! Railway with a memory: services, deployments that take their time, and its surprises.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway::{Client, Config, Platform, Token, documents, model::ProjectId};
use ultrai_deploy_testkit::{
    hosted::{Fake, Inside, SERVICES},
    server::{Answer, Request, Server},
};

/// How Railway behaves now.
#[expect(clippy::struct_excessive_bools, reason = "each is a surprise of its own")]
#[derive(Clone, Copy, Debug, Default)]
pub struct Manners {
    /// It keeps no former image.
    pub forgets: bool,
    /// It refuses to roll back, with HTTP 200.
    pub refuses: bool,
    /// It calls the status before the last by a word of its own.
    pub speaks_anew: bool,
    /// It deploys what it had before, and reports success.
    pub is_stubborn: bool,
    /// Every so many calls it fails: too many calls, an answer that is lost, a gateway's error, in
    /// turn.
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
    /// What is deployed next.
    pub source: String,
    /// Newest first.
    pub deployments: Vec<Deployment>,
    pub variables: BTreeMap<String, String>,
}

#[derive(Clone, Debug)]
pub struct Deployment {
    pub id: String,
    pub image: String,
    pub status: &'static str,
    pub variables: BTreeMap<String, String>,
    left: u32,
}

/// The platform and those who speak to it.
#[derive(Debug)]
pub struct Railway {
    world: Arc<Mutex<World>>,
    server: Server,
}

impl Railway {
    pub async fn new() -> Self {
        let services = SERVICES.map(|name| (name.to_owned(), Service::default())).into();
        let world = Arc::new(Mutex::new(World { services, ..World::default() }));
        let answering = Arc::clone(&world);
        let server = Server::start(move |request| answering.lock().unwrap().answer(request));
        Self { world, server: server.await.unwrap() }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }
}

impl Fake for Railway {
    fn platform(&self) -> Arc<dyn hosted::Platform> {
        let (pause, lag) = (Duration::from_millis(1), Duration::from_millis(5));
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        let base = HttpUrl::parse(&self.server.url("")).unwrap();
        let token = Token::Account(Secret::new("hunter2-token"));
        let client = Client::new(&base, &token, limits).unwrap();
        let mut config = Config::new(ProjectId::new("project-1"), "production");
        (config.pause, config.lag) = (pause, lag);
        Arc::new(Platform::new(client, config))
    }

    fn set_variable(&self, service: &str, name: &str, value: &str) {
        let mut world = self.world();
        let service = world.services.get_mut(service).unwrap();
        service.variables.insert(name.to_owned(), value.to_owned());
    }

    fn inside(&self, service: &str) -> Inside {
        let world = self.world();
        let service = &world.services[service];
        let live = service.live();
        Inside {
            image: live.map(|live| live.image.clone()),
            started_with: live.map(|live| live.variables.clone()).unwrap_or_default(),
            variables: service.variables.clone(),
            configured: Some(service.source.clone()),
            is_busy: service.deployments.iter().any(Deployment::is_open),
        }
    }

    fn fail_every(&self, calls: Option<usize>) {
        self.world().manners.fails_every = calls;
    }
}

impl World {
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
        assert_eq!(request.header("authorization"), Some("Bearer hunter2-token"));
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let name = body["operationName"].as_str().unwrap();
        let document = documents::ALL.iter().find(|one| one.name() == name).unwrap();
        match self.value(name, &body["variables"]) {
            Ok(value) => {
                Answer::json(200, json!({ "data": at(document.answer, value) }).to_string())
            }
            Err(why) => {
                let error = json!({ "message": why, "extensions": { "code": "BAD_USER_INPUT" } });
                Answer::json(200, json!({ "data": null, "errors": [error] }).to_string())
            }
        }
    }

    fn value(&mut self, name: &str, variables: &Value) -> Result<Value, String> {
        let manners = self.manners;
        let page = |nodes: Vec<Value>| {
            let edges: Vec<_> = nodes.into_iter().map(|node| json!({ "node": node })).collect();
            Ok(json!({ "edges": edges, "pageInfo": { "hasNextPage": false, "endCursor": null } }))
        };
        let named = |name: &str| json!({ "id": name, "name": name, "deletedAt": null });
        match name {
            "Project" => return Ok(named("project-1")),
            "ProjectEnvironments" => return page(vec![named("production")]),
            "ProjectServices" => return page(self.services.keys().map(|one| named(one)).collect()),
            "Volumes" | "DeploymentEvents" if name == "Volumes" => return page(Vec::new()),
            "DeploymentEvents" => {
                let payload = json!({ "error": "exit code 1", "detail": "it says no" });
                return page(vec![json!({ "id": "e", "step": "HEALTHCHECK", "payload": payload })]);
            }
            "DeployLogs" | "BuildLogs" => {
                return Ok(json!([{ "message": "a line of log", "severity": "info" }]));
            }
            _ => {}
        }
        let input = variables.get("input").unwrap_or(variables);
        if let Some(id) = variables["id"].as_str() {
            let of = |service: &&mut Service| service.deployments.iter().any(|one| one.id == id);
            let service = self.services.values_mut().find(of).ok_or("Deployment not found")?;
            service.pass(manners);
            return service.about(name, id, manners);
        }
        let service = input.get("serviceId").or(variables.get("serviceId"));
        let service = service.and_then(Value::as_str).ok_or("no service is named")?;
        let service = self.services.get_mut(service).ok_or("Service not found")?;
        service.pass(manners);
        match name {
            "ServiceInstance" => {
                let source = json!({ "image": service.source, "repo": null });
                Ok(json!({ "id": "i", "serviceId": "s", "environmentId": "e", "source": source }))
            }
            "Deployments" => {
                page(service.deployments.iter().map(|one| one.shown(manners)).collect())
            }
            "Variables" => Ok(json!(service.variables)),
            "UpsertVariables" => {
                assert_eq!(
                    (&input["skipDeploys"], &input["replace"]),
                    (&json!(true), &json!(false))
                );
                for (name, value) in input["variables"].as_object().unwrap() {
                    service.variables.insert(name.clone(), value.as_str().unwrap().to_owned());
                }
                Ok(json!(true))
            }
            "DeleteVariable" => {
                service.variables.remove(input["name"].as_str().unwrap());
                // It deploys, whether anybody wants that or not.
                let source = service.source.clone();
                service.begin(&source);
                Ok(json!(true))
            }
            "SetSource" => {
                let image = variables["input"]["source"]["image"].as_str().unwrap();
                image.clone_into(&mut service.source);
                Ok(json!(true))
            }
            "Deploy" => {
                let old = service.deployments.first().map(|one| one.image.clone());
                let image = old.filter(|_| manners.is_stubborn).unwrap_or(service.source.clone());
                Ok(json!(service.begin(&image)))
            }
            other => panic!("nobody should ask {other}: {variables}"),
        }
    }
}

impl Service {
    pub fn live(&self) -> Option<&Deployment> {
        self.deployments.iter().find(|one| one.status == "SUCCESS")
    }

    fn about(&mut self, name: &str, id: &str, manners: Manners) -> Result<Value, String> {
        let at = self.deployments.iter().position(|one| one.id == id).unwrap();
        let found = &mut self.deployments[at];
        match name {
            "Deployment" => Ok(found.shown(manners)),
            "Cancel" if !found.is_open() => Err("Deployment is over".to_owned()),
            "Cancel" | "Remove" => {
                found.status = "REMOVED";
                Ok(json!(true))
            }
            "Rollback" if manners.refuses => Err("Cannot rollback to this deployment".to_owned()),
            "Rollback" => {
                // Its image and its variables.
                let old = found.clone();
                self.variables = old.variables;
                self.begin(&old.image);
                Ok(json!(true))
            }
            other => panic!("nobody should ask {other} of {id}"),
        }
    }

    fn begin(&mut self, image: &str) -> String {
        let id = format!("{}-{}", image.replace(['/', ':'], "-"), self.deployments.len());
        let (image, variables) = (image.to_owned(), self.variables.clone());
        let begun =
            Deployment { id: id.clone(), image, status: "INITIALIZING", variables, left: 3 };
        self.deployments.insert(0, begun);
        id
    }

    /// Time goes by.
    fn pass(&mut self, manners: Manners) {
        let Some(newest) = self.deployments.first_mut().filter(|one| one.is_open()) else { return };
        newest.left = newest.left.saturating_sub(1);
        newest.status = match newest.left {
            0 if newest.image.contains("sick") => "FAILED",
            0 => "SUCCESS",
            1 if manners.speaks_anew => "CANARY",
            1 => "DEPLOYING",
            _ => "BUILDING",
        };
        let is_live = newest.status == "SUCCESS";
        for older in self.deployments.iter_mut().skip(1) {
            if older.is_open() || is_live && older.status == "SUCCESS" {
                older.status = "REMOVED";
            }
        }
    }
}

impl Deployment {
    pub fn is_open(&self) -> bool {
        matches!(self.status, "INITIALIZING" | "BUILDING" | "DEPLOYING" | "CANARY")
    }

    fn shown(&self, manners: Manners) -> Value {
        let can_rollback = !manners.forgets && self.status == "REMOVED";
        json!({ "id": self.id, "status": self.status, "createdAt": "2026-11-21T12:00:00.000Z", "canRollback": can_rollback, "canRedeploy": true, "deploymentStopped": false, "meta": { "image": self.image } })
    }
}

/// A value at its place.
fn at(pointer: &str, value: Value) -> Value {
    let names = pointer.split('/').skip(1).collect::<Vec<_>>().into_iter().rev();
    names.fold(value, |value, name| json!({ name: value }))
}
