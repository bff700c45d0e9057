//! Railway's volumes with a memory: workflows that take their time, swaps that are staged.

use std::{
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use serde_json::{Value, json};
use tokio::sync::Notify;
use ultrai_deploy_core::secret::Secret;
use ultrai_deploy_http::{address::HttpUrl, api::Limits};
use ultrai_deploy_railway::{Client, Config, Token, Volumes, model::ProjectId};
use ultrai_deploy_testkit::server::{Answer, Request, Server};

/// How Railway behaves now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manners {
    #[default]
    Good,
    /// What is begun fails.
    Fails,
    /// It refuses to back up.
    Refuses,
    /// It tells no workflow of what it begins.
    IsSilent,
    /// It forgets workflows at once.
    Forgets,
    /// It stages nothing.
    StagesNothing,
    /// It cannot apply what is staged.
    CannotApply,
    /// While it copies, a person stages something.
    Interrupted,
}

#[derive(Debug, Default)]
pub struct World {
    pub manners: Manners,
    pub backups: Vec<Backup>,
    pub staged: Value,
    pub applied_error: Option<String>,
    /// The volume that the service uses.
    pub mounted: String,
    /// The calls that change something.
    pub calls: Vec<String>,
    pub commits: Vec<Value>,
    pub messages: Vec<String>,
    /// Whoever asks this, of all requests, gets no answer: before or after it is done.
    pub dies_at: Option<(usize, bool)>,
    pub asked: usize,
    pub died: Arc<Notify>,
    /// Whether another volume is called as the first one, and used by nothing.
    pub has_twin: bool,
    workflows: Vec<Workflow>,
}

#[derive(Clone, Debug)]
pub struct Backup {
    pub id: String,
    pub name: String,
    pub expires: Option<String>,
    pub is_listed: bool,
}

#[derive(Debug)]
struct Workflow {
    /// How many looks it is away from its end: unknown first, then running.
    left: u32,
    then: Then,
}

#[derive(Clone, Debug)]
enum Then {
    Listed(usize),
    Deleted(String),
    Staged,
    Applied,
}

#[derive(Debug)]
pub struct Railway {
    world: Arc<Mutex<World>>,
    server: Server,
}

impl Railway {
    pub async fn new() -> Self {
        let mounted = "volume-1".to_owned();
        let world = Arc::new(Mutex::new(World { staged: json!({}), mounted, ..World::default() }));
        let answering = Arc::clone(&world);
        let server = Server::start(move |request| answering.lock().unwrap().hear(request));
        Self { world, server: server.await.unwrap() }
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap()
    }

    pub fn volumes(&self) -> Volumes {
        let (pause, lag) = (Duration::from_millis(1), Duration::from_millis(20));
        let limits = Limits { pause, longest_pause: pause, ..Limits::default() };
        let base = HttpUrl::parse(&self.server.url("")).unwrap();
        let token = Token::Account(Secret::new("hunter2-token"));
        let client = Client::new(&base, &token, limits).unwrap();
        let mut config = Config::new(ProjectId::new("project-1"), "production");
        (config.pause, config.lag) = (pause, lag);
        Volumes::new(client, config)
    }
}

impl World {
    fn hear(&mut self, request: &Request) -> Answer {
        self.asked += 1;
        let death = self.dies_at.filter(|(at, _)| *at == self.asked);
        if death.is_none_or(|(_, is_done)| is_done) {
            let answer = self.answer(request);
            if death.is_none() {
                return answer;
            }
        }
        self.died.notify_one();
        Answer::hang()
    }

    fn answer(&mut self, request: &Request) -> Answer {
        let body: Value = serde_json::from_slice(&request.body).unwrap();
        let (name, variables) = (body["operationName"].as_str().unwrap(), &body["variables"]);
        if name != "Workflow" && body["query"].as_str().unwrap().starts_with("mutation") {
            let of = variables["volumeInstanceBackupId"].as_str().unwrap_or_default();
            self.calls.push(format!("{name} {of}").trim_end().to_owned());
        }
        if name == "CreateBackup" && self.manners == Manners::Refuses {
            let error = json!({ "message": "Backup is too large", "extensions": null });
            return Answer::json(200, json!({ "errors": [error] }).to_string());
        }
        let page = |nodes: Value| {
            let edges: Vec<_> =
                nodes.as_array().unwrap().iter().map(|n| json!({ "node": n })).collect();
            json!({ "edges": edges, "pageInfo": { "hasNextPage": false, "endCursor": null } })
        };
        let data = match name {
            "Project" => json!({ "project": { "id": "project-1", "name": "shop" } }),
            "ProjectEnvironments" => json!({ "project": { "environments":
                page(json!([{ "id": "env-1", "name": "production" }])) } }),
            "ProjectServices" => json!({ "project": { "services": page(json!([])) } }),
            "Volumes" => json!({ "environment": { "volumeInstances": page(self.volumes()) } }),
            "Backups" => json!({ "volumeInstanceBackupList": self.listed() }),
            "CreateBackup" => {
                let id = format!("b{}", self.backups.len() + 1);
                let name = variables["name"].as_str().unwrap().to_owned();
                let expires = Some("2026-11-22T00:00:00Z".to_owned());
                self.backups.push(Backup { id, name, expires, is_listed: false });
                let then = Then::Listed(self.backups.len() - 1);
                json!({ "volumeInstanceBackupCreate": self.begin(then) })
            }
            "LockBackup" => {
                self.backup(variables).expires = None;
                json!({ "volumeInstanceBackupLock": true })
            }
            "DeleteBackup" => {
                let id = self.backup(variables).id.clone();
                json!({ "volumeInstanceBackupDelete": self.begin(Then::Deleted(id)) })
            }
            "RestoreBackup" => json!({ "volumeInstanceBackupRestore": self.begin(Then::Staged) }),
            "StagedChanges" => self.staged_changes(),
            "Changes" => {
                let commits = self.commits.iter().zip(&self.messages).map(|(patch, message)| {
                    json!({ "id": "p", "status": "COMMITTED", "message": message, "patch": patch })
                });
                json!({ "environmentPatches": page(commits.collect()) })
            }
            "CommitStaged" => {
                self.commits.push(self.staged.clone());
                self.messages.push(variables["commitMessage"].as_str().unwrap().to_owned());
                let workflow = self.begin(Then::Applied);
                json!({ "environmentPatchCommitStaged": workflow["workflowId"].as_str().unwrap_or("x") })
            }
            "Workflow" => json!({ "workflowStatus": self.look(variables) }),
            other => panic!("{other} is not expected"),
        };
        Answer::json(200, json!({ "data": data }).to_string())
    }

    fn volumes(&self) -> Value {
        let one = |id: &str, volume: &str, service: Option<&str>| {
            json!({ "id": id, "serviceId": service, "mountPath": "/data", "state": "READY",
                "sizeMB": 1000, "currentSizeMB": 600.0, "isPendingDeletion": false,
                "volume": { "id": volume, "name": format!("{volume}-name") } })
        };
        let of = |volume: &str| (self.mounted == volume).then_some("service-1");
        let mut all = vec![
            one("instance-1", "volume-1", of("volume-1")),
            one("instance-2", "volume-2", None),
        ];
        if self.has_twin {
            all.push(one("instance-3", "volume-1", None));
        }
        if self.mounted == "volume-9" {
            all.push(one("instance-9", "volume-9", of("volume-9")));
        }
        all.into()
    }

    fn listed(&self) -> Value {
        let listed = self.backups.iter().filter(|backup| backup.is_listed);
        let listed = listed.map(|backup| {
            json!({ "id": backup.id, "name": backup.name, "createdAt": "2026-11-21T12:00:00Z",
                "expiresAt": backup.expires, "referencedMB": 3 })
        });
        listed.collect()
    }

    fn backup(&mut self, variables: &Value) -> &mut Backup {
        let id = variables["volumeInstanceBackupId"].as_str().unwrap();
        self.backups.iter_mut().find(|backup| backup.id == id).unwrap()
    }

    fn staged_changes(&self) -> Value {
        let is_empty = self.staged == json!({});
        let id = if is_empty { "<empty>" } else { "patch-1" };
        json!({ "environmentStagedChanges": { "id": id, "status": "STAGED", "patch": self.staged,
            "lastAppliedError": self.applied_error } })
    }

    fn begin(&mut self, then: Then) -> Value {
        self.workflows.push(Workflow { left: 3, then });
        let last = self.workflows.len() - 1;
        if matches!(self.manners, Manners::IsSilent | Manners::Forgets) {
            self.end(last);
        }
        match self.manners {
            Manners::IsSilent => json!({ "workflowId": null }),
            _ => json!({ "workflowId": format!("w{last}") }),
        }
    }

    fn look(&mut self, variables: &Value) -> Value {
        let number = variables["workflowId"].as_str().and_then(|id| id.strip_prefix('w'));
        let number = number.and_then(|number| number.parse::<usize>().ok());
        let Some(number) = number.filter(|_| self.manners != Manners::Forgets) else {
            return json!({ "status": "NotFound", "error": null });
        };
        let workflow = &mut self.workflows[number];
        workflow.left = workflow.left.saturating_sub(1);
        let (left, then) = (workflow.left, workflow.then.clone());
        let fails = self.manners == Manners::Fails
            || (self.manners == Manners::CannotApply && matches!(then, Then::Applied));
        match left {
            2 => json!({ "status": "NotFound", "error": null }),
            1 => json!({ "status": "Running", "error": null }),
            _ if fails => json!({ "status": "Error", "error": "the disk is gone" }),
            _ => {
                self.end(number);
                json!({ "status": "Complete", "error": null })
            }
        }
    }

    fn end(&mut self, number: usize) {
        match self.workflows[number].then.clone() {
            Then::Listed(index) => self.backups[index].is_listed = true,
            Then::Deleted(id) => self.backups.retain(|backup| backup.id != id),
            Then::Staged if self.manners == Manners::StagesNothing => {}
            Then::Staged => {
                self.staged = swap();
                if self.manners == Manners::Interrupted {
                    self.staged["services"]["service-2"] =
                        json!({ "variables": { "KEY": { "value": "hunter2" } } });
                }
            }
            Then::Applied => {
                self.staged = json!({});
                "volume-9".clone_into(&mut self.mounted);
            }
        }
    }
}

/// What Railway stages when a backup of the first volume is restored.
pub fn swap() -> Value {
    let mounts = json!({ "volume-9": { "mountPath": "/data" }, "volume-1": null });
    json!({ "services": { "service-1": { "volumeMounts": mounts } } })
}
