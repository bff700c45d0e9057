//! What Railway's API answers.

use serde_json::{Value, json};

use super::{Field, Refused, Service, World};
use crate::{
    hosted::{Deploy, Standing, What},
    server::{Answer, Request},
};

impl World {
    pub(super) fn field(&mut self, field: &Field) -> Result<Value, Refused> {
        let named = |name: &str| json!({ "id": name, "name": name, "deletedAt": null });
        match field.name.as_str() {
            "projectToken" => Ok(json!({
                "projectId": self.project, "environmentId": "production",
                "project": named(&self.project), "environment": named("production"),
            })),
            "project" => {
                if field.text("id") != Some(&self.project) {
                    return Err("Project not found".into());
                }
                let mut project = named(&self.project);
                project["environments"] = page([named("production")]);
                project["services"] = page(self.services.keys().map(|name| named(name)));
                Ok(project)
            }
            "environment" => {
                let mut environment = named("production");
                environment["volumeInstances"] = page([]);
                Ok(environment)
            }
            "deploymentEvents" => {
                let payload = json!({ "error": "exit code 1", "detail": "it says no" });
                Ok(page([json!({ "id": "event-1", "step": "HEALTHCHECK", "payload": payload })]))
            }
            "deploymentLogs" | "buildLogs" => {
                let lines = self.log.iter();
                let lines = lines.map(|line| json!({ "message": line, "severity": "info" }));
                Ok(lines.collect())
            }
            "environmentPatchCommit" => self.patch(field),
            _ if field.text("serviceId").is_some() => self.of_service(field),
            _ if field.text("id").is_some() => self.of_deployment(field),
            _ => Err(self.unknown(field)),
        }
    }

    fn of_service(&mut self, field: &Field) -> Result<Value, Refused> {
        let (now, lag) = (self.traffic.clock.now(), self.manners.lag);
        let forgets = self.manners.forgets;
        let name = field.text("serviceId").unwrap_or_default().to_owned();
        let service = self.services.get_mut(&name).ok_or("Service not found")?;
        match field.name.as_str() {
            "serviceInstance" => {
                let seen = service.history.seen(now, lag).next();
                let live = service.history.live().into_iter();
                let mut instance = json!({
                    "id": name, "serviceId": name, "serviceName": name,
                    "environmentId": "production",
                    "source": { "image": service.source.seen(now, lag), "repo": null },
                    "latestDeployment": seen.map(|one| shown(one, forgets)),
                    "activeDeployments": live.map(|one| shown(one, forgets)).collect::<Value>(),
                });
                for (name, value) in &service.settings {
                    instance[name] = value.clone();
                }
                Ok(instance)
            }
            "deployments" => {
                let seen = service.history.seen(now, lag);
                Ok(page(seen.map(|one| {
                    let mut shown = shown(one, forgets);
                    shown["staticUrl"] = json!(service.url);
                    shown
                })))
            }
            "variables" => {
                let mut shown = json!(service.variables.seen(now, lag));
                for name in &service.sealed {
                    if let Some(value) = shown.get_mut(name) {
                        *value = Value::Null;
                    }
                }
                Ok(shown)
            }
            "serviceInstanceUpdate" => {
                if let Some(image) = field.input("source")["image"].as_str() {
                    service.source.set(now, image.to_owned());
                }
                let rest = field.input_fields().filter(|(name, _)| *name != "source");
                service.settings.extend(rest.map(|(name, value)| (name.clone(), value.clone())));
                Ok(json!(true))
            }
            "serviceInstanceAutoDeployStatus" => {
                Ok(json!({ "canEnable": true, "enabled": service.auto_deploy, "reason": null }))
            }
            "serviceInstanceAutoDeployUpdate" => {
                service.auto_deploy = field.input("enabled") == &json!(true);
                Ok(json!({ "enabled": service.auto_deploy }))
            }
            "variableCollectionUpsert" => {
                self.upsert(&name, field);
                Ok(json!(true))
            }
            "variableDelete" => {
                let mut variables = service.variables.get();
                variables.remove(field.text("name").unwrap_or_default());
                service.variables.set(now, variables);
                // It deploys, whether anybody wants that or not.
                self.deploy_source(&name, None, "variables");
                Ok(json!(true))
            }
            "serviceInstanceDeployV2" => {
                let commit = field.text("commitSha").map(str::to_owned);
                Ok(json!(self.deploy_source(&name, commit, "api").id))
            }
            _ => Err(self.unknown(field)),
        }
    }

    /// Changes services, and deploys each of them once.
    fn patch(&mut self, field: &Field) -> Result<Value, Refused> {
        let now = self.traffic.clock.now();
        let services = field.arguments["patch"]["services"].as_object().cloned();
        for (name, patch) in services.unwrap_or_default() {
            let service = self.services.get_mut(&name).ok_or("Service not found")?;
            if let Some(image) = patch["source"]["image"].as_str() {
                service.source.set(now, image.to_owned());
            }
            let mut variables = service.variables.get();
            for (variable, value) in patch["variables"].as_object().into_iter().flatten() {
                match value["value"].as_str() {
                    Some(value) => variables.insert(variable.clone(), value.to_owned()),
                    None => variables.remove(variable),
                };
            }
            service.variables.set(now, variables);
            let is_asked_for = patch["source"]["image"].is_string();
            self.deploy_source(&name, None, if is_asked_for { "api" } else { "variables" });
        }
        Ok(json!("workflow-1"))
    }

    fn upsert(&mut self, name: &str, field: &Field) {
        let now = self.traffic.clock.now();
        let service = self.service(name);
        let mut variables = service.variables.get();
        if field.input("replace") == &json!(true) {
            variables.clear();
        }
        let given = field.input("variables").as_object().into_iter().flatten();
        let texts =
            given.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
        variables.extend(texts);
        service.variables.set(now, variables);
        if field.input("skipDeploys") != &json!(true) {
            self.deploy_source(name, None, "variables");
        }
    }

    fn deploy_source(
        &mut self,
        name: &str,
        commit: Option<String>,
        trigger: &'static str,
    ) -> Deploy {
        let image = self.service(name).source.get();
        let what = match commit {
            Some(_) => What { image: None, commit },
            None => What::image(image),
        };
        self.begin(name, what, trigger)
    }

    fn of_deployment(&mut self, field: &Field) -> Result<Value, Refused> {
        let (now, manners) = (self.traffic.clock.now(), self.manners.clone());
        let id = field.text("id").unwrap_or_default().to_owned();
        let mut services = self.services.iter();
        let of = |service: &Service| service.history.seen(now, manners.lag).any(|one| one.id == id);
        let found = services.find(|(_, service)| of(service)).map(|(name, _)| name.clone());
        let name = found.ok_or("Deployment not found")?;
        let service = self.service(&name);
        let Some(deployment) = service.history.get(&id).cloned() else {
            return Err("Deployment not found".into());
        };
        match field.name.as_str() {
            "deployment" => Ok(shown(&deployment, manners.forgets)),
            "deploymentCancel" if !deployment.is_open() => Err("Deployment is over".into()),
            "deploymentCancel" | "deploymentRemove" => {
                service.history.stop(&id);
                Ok(json!(true))
            }
            "deploymentRollback" if manners.refuses || manners.forgets => {
                Err("Cannot rollback to this deployment".into())
            }
            "deploymentRollback" => {
                // Its image and its variables.
                service.variables.set(now, deployment.variables);
                self.begin(&name, deployment.what, "rollback");
                Ok(json!(true))
            }
            "deploymentRedeploy" => {
                let again = self.begin(&name, deployment.what, "redeploy");
                Ok(shown(&again, manners.forgets))
            }
            _ => Err(self.unknown(field)),
        }
    }

    /// A source archive, for a service that the query names.
    pub(super) fn upload(&mut self, request: &Request) -> Answer {
        let query = request.path.split_once('?').map(|(_, query)| query).unwrap_or_default();
        let name = query.split('&').find_map(|pair| pair.strip_prefix("serviceId="));
        let Some(name) = name.filter(|name| self.services.contains_key(*name)) else {
            return Answer::json(400, r#"{"message":"Service not found"}"#);
        };
        self.service(name).uploads.push(request.body.len());
        let begun = self.begin(name, What::default(), "upload");
        let answer = json!({
            "deploymentId": begun.id, "url": "https://railway.example.com/project-1",
            "logsUrl": "https://railway.example.com/logs", "deploymentDomain": "shop.example.com",
        });
        Answer::json(200, answer.to_string())
    }
}

impl Field {
    fn input_fields(&self) -> impl Iterator<Item = (&String, &Value)> {
        self.arguments.get("input").and_then(Value::as_object).into_iter().flatten()
    }
}

fn shown(deployment: &Deploy, forgets: bool) -> Value {
    let can_rollback = !forgets && deployment.standing == Standing::Replaced;
    let mut meta = json!({});
    if let Some(image) = &deployment.what.image {
        meta["image"] = json!(image);
    }
    if let Some(commit) = &deployment.what.commit {
        meta["commitHash"] = json!(commit);
    }
    json!({
        "id": deployment.id, "status": deployment.status,
        "createdAt": "2026-11-21T12:00:00.000Z", "canRollback": can_rollback,
        "canRedeploy": true, "deploymentStopped": false, "meta": meta,
    })
}

fn page(nodes: impl IntoIterator<Item = Value>) -> Value {
    let edges = nodes.into_iter().map(|node| json!({ "node": node })).collect::<Vec<_>>();
    json!({ "edges": edges, "pageInfo": { "hasNextPage": false, "endCursor": null } })
}
