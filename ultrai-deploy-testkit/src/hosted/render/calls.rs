//! What Render's API answers.

use serde_json::{Value, json};

use super::{Service, World};
use crate::{
    hosted::{Deploy, Standing, What},
    server::{Answer, Request},
};

impl World {
    /// The answer to a call, if there is such a call.
    pub(super) fn call(&mut self, request: &Request) -> Option<Answer> {
        let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
        let segments: Vec<_> = path.strip_prefix("/v1/")?.split('/').collect();
        let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
        match (request.method.as_str(), &segments[..]) {
            ("GET", ["services"]) => {
                let named: Vec<_> = values(query, "name").collect();
                let services = self.services.iter();
                let found = services.filter(|(_, one)| named.contains(&one.name.as_str()));
                let lag = self.manners.lag;
                let now = self.traffic.clock.now();
                let shown = found.map(|(id, one)| (id.clone(), one.shown(id, now, lag)));
                Some(page("service", shown, query))
            }
            ("GET", ["logs"]) => {
                let lines = self.log.iter().enumerate().map(|(at, line)| {
                    json!({ "id": at.to_string(), "message": line, "timestamp": "2026-11-21T12:00:00Z", "labels": [] })
                });
                let lines: Vec<_> = lines.collect();
                Some(json(
                    200,
                    &json!({
                        "hasMore": false, "logs": lines, "nextStartTime": "2026-11-21T12:00:00Z",
                        "nextEndTime": "2026-11-21T12:00:00Z",
                    }),
                ))
            }
            (method, ["services", id, rest @ ..]) => {
                if !self.services.contains_key(*id) {
                    return Some(not_found(id));
                }
                self.of_service(method, id, rest, query, &body)
            }
            _ => None,
        }
    }

    fn of_service(
        &mut self,
        method: &str,
        id: &str,
        rest: &[&str],
        query: &str,
        body: &Value,
    ) -> Option<Answer> {
        let (now, lag) = (self.traffic.clock.now(), self.manners.lag);
        let takes = self.manners.takes;
        let service = self.services.get_mut(id)?;
        Some(match (method, rest) {
            ("GET", []) => json(200, &service.shown(id, now, lag)),
            ("PATCH", []) => {
                if let Some(image) = body["image"]["imagePath"].as_str() {
                    service.image.set(now, image.to_owned());
                }
                if let Some(auto) = body["autoDeploy"].as_str() {
                    let trigger = if auto == "yes" { "commit" } else { "off" };
                    trigger.clone_into(&mut service.auto_deploy);
                }
                if let Some(trigger) = body["autoDeployTrigger"].as_str() {
                    trigger.clone_into(&mut service.auto_deploy);
                }
                service.change_details(&body["serviceDetails"]);
                json(200, &service.shown(id, now, lag))
            }
            ("GET", ["events"]) => json(200, &json!([])),
            ("POST", ["suspend"]) => {
                service.is_suspended = true;
                Answer::text(202, "")
            }
            ("POST", ["resume"]) => {
                service.is_suspended = false;
                Answer::text(202, "")
            }
            ("GET", ["deploys"]) => {
                let wanted: Vec<_> = values(query, "status").collect();
                let seen = service.history.seen(now, lag);
                let seen = seen
                    .filter(|one| wanted.is_empty() || wanted.contains(&one.status.as_str()))
                    .map(|one| (one.id.clone(), shown(one)));
                page("deploy", seen, query)
            }
            ("GET", ["deploys", deploy]) => {
                let found = service.history.seen(now, lag).find(|one| one.id == *deploy);
                found.map_or_else(|| not_found(deploy), |one| json(200, &shown(one)))
            }
            ("POST", ["deploys"]) => return Some(self.start(id, body)),
            ("POST", ["deploys", deploy, "cancel"]) => service.cancel(deploy),
            ("POST", ["rollback"]) => return Some(self.roll_back(id, body)),
            (method, ["jobs", rest @ ..]) => {
                return service.of_jobs(method, id, rest, query, body, (now, takes));
            }
            _ => return service.settings(method, rest, query, body, now, lag),
        })
    }

    fn start(&mut self, id: &str, body: &Value) -> Answer {
        let configured = self.services.get(id).map(|one| one.image.get()).unwrap_or_default();
        let what = match (body["imageUrl"].as_str(), body["commitId"].as_str()) {
            (Some(image), None) => What::image(image),
            (None, Some(commit)) => What { commit: Some(commit.to_owned()), image: None },
            (None, None) => What::image(configured),
            _ => return json(400, &json!({ "message": "either an image or a commit" })),
        };
        let begun = self.begin(id, what, "api");
        if self.manners.queues { Answer::text(202, "") } else { json(201, &shown(&begun)) }
    }

    fn roll_back(&mut self, id: &str, body: &Value) -> Answer {
        let wanted = body["deployId"].as_str().unwrap_or_default();
        let history = self.services.get(id).map(|one| &one.history);
        let found = history.and_then(|history| history.get(wanted));
        let kept = found.filter(|one| one.standing == Standing::Replaced && !self.manners.forgets);
        match kept.map(|old| old.what.clone()) {
            Some(what) => json(201, &shown(&self.begin(id, what, "rollback"))),
            None => json(400, &json!({ "message": "cannot roll back to this deploy" })),
        }
    }
}

impl Service {
    /// Render shows the command before a deploy elsewhere than where it takes it.
    fn change_details(&mut self, change: &Value) {
        for (name, value) in change.as_object().into_iter().flatten() {
            let of_runtime = match name.as_str() {
                "preDeployCommand" => json!({ "preDeployCommand": value }),
                "envSpecificDetails" => value.clone(),
                _ => {
                    self.details.insert(name.clone(), value.clone());
                    continue;
                }
            };
            let shown = self.details.entry("envSpecificDetails").or_insert_with(|| json!({}));
            for (name, value) in of_runtime.as_object().into_iter().flatten() {
                shown[name] = value.clone();
            }
        }
    }

    fn cancel(&mut self, deploy: &str) -> Answer {
        if !self.history.get(deploy).is_some_and(Deploy::is_open) {
            return json(409, &json!({ "message": "the deploy is over" }));
        }
        self.history.stop(deploy);
        self.history.get(deploy).map_or_else(|| not_found(deploy), |one| json(200, &shown(one)))
    }

    /// Variables and secret files.
    fn settings(
        &mut self,
        method: &str,
        rest: &[&str],
        query: &str,
        body: &Value,
        now: std::time::Duration,
        lag: std::time::Duration,
    ) -> Option<Answer> {
        let mut variables = self.variables.get();
        Some(match (method, rest) {
            ("GET", ["env-vars"]) => {
                let seen = self.variables.seen(now, lag).into_iter();
                let seen =
                    seen.map(|(key, value)| (key.clone(), json!({ "key": key, "value": value })));
                page("envVar", seen, query)
            }
            ("PUT", ["env-vars", key]) => {
                let value = body["value"].as_str()?.to_owned();
                variables.insert((*key).to_owned(), value.clone());
                self.variables.set(now, variables);
                json(200, &json!({ "key": key, "value": value }))
            }
            ("DELETE", ["env-vars", key]) => match variables.remove(*key) {
                Some(_) => {
                    self.variables.set(now, variables);
                    Answer::text(204, "")
                }
                None => not_found(key),
            },
            ("GET", ["secret-files"]) => {
                let files = self.secret_files.iter();
                let files = files.map(|(name, content)| {
                    (name.clone(), json!({ "name": name, "content": content }))
                });
                page("secretFile", files, query)
            }
            ("PUT", ["secret-files", name]) => {
                let content = body["content"].as_str()?.to_owned();
                let file = json!({ "name": name, "content": content });
                self.secret_files.insert((*name).to_owned(), content);
                json(201, &file)
            }
            ("DELETE", ["secret-files", name]) => match self.secret_files.remove(*name) {
                Some(_) => Answer::text(204, ""),
                None => not_found(name),
            },
            _ => return None,
        })
    }

    fn shown(&self, id: &str, now: std::time::Duration, lag: std::time::Duration) -> Value {
        let suspended = if self.is_suspended { "suspended" } else { "not_suspended" };
        let auto_deploy = if self.auto_deploy == "off" { "no" } else { "yes" };
        json!({
            "id": id, "name": self.name, "ownerId": "tea-1", "type": "web_service",
            "imagePath": self.image.seen(now, lag), "suspended": suspended,
            "autoDeploy": auto_deploy, "autoDeployTrigger": self.auto_deploy, "serviceDetails": self.details, "slug": self.name,
            "dashboardUrl": format!("https://dashboard.render.com/web/{id}"), "rootDir": "",
            "createdAt": "2026-11-21T11:00:00Z", "updatedAt": "2026-11-21T12:00:00Z",
            "suspenders": [], "notifyOnFail": "default",
        })
    }
}

/// With the nulls that Render sends, and the image in its long form.
fn shown(deploy: &Deploy) -> Value {
    let image = deploy.what.image.as_ref().map(|image| {
        let reference = format!("docker.io/{}", image.trim_start_matches("docker.io/"));
        let sha = match reference.split_once('@') {
            Some((_, digest)) => digest.to_owned(),
            None => format!("sha256:{}", reference.replace(['/', ':', '.'], "")),
        };
        json!({ "ref": reference, "sha": sha })
    });
    let commit = deploy.what.commit.as_ref().map(|commit| json!({ "id": commit, "message": "" }));
    json!({
        "id": deploy.id, "status": deploy.status, "trigger": deploy.trigger, "commit": commit,
        "image": image, "finishedAt": null, "createdAt": "2026-11-21T12:00:00Z",
    })
}

/// A page of a list: bare envelopes, each with the position after it.
pub(super) fn page(key: &str, all: impl Iterator<Item = (String, Value)>, query: &str) -> Answer {
    let number = |name| values(query, name).next().and_then(|text| text.parse().ok());
    let limit: usize = number("limit").unwrap_or(20);
    let mut all: Vec<_> = all.collect();
    if let Some(cursor) = values(query, "cursor").next()
        && let Some(at) = all.iter().position(|(id, _)| id == cursor)
    {
        all.drain(..=at);
    }
    let rows = all.into_iter().take(limit);
    let rows: Vec<_> = rows.map(|(id, value)| json!({ "cursor": id, key: value })).collect();
    json(200, &json!(rows))
}

fn values<'a>(query: &'a str, name: &str) -> impl Iterator<Item = &'a str> {
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    pairs.filter(move |(own, _)| *own == name).map(|(_, value)| value)
}

pub(super) fn not_found(what: &str) -> Answer {
    json(404, &json!({ "message": format!("not found: {what}") }))
}

pub(super) fn json(status: u16, body: &Value) -> Answer {
    Answer::json(status, body.to_string())
}
