//! One-off jobs on Render.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    Service,
    calls::{json, not_found, page},
};
use crate::server::Answer;

/// A command that runs once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// Its id.
    pub id: String,
    /// The command.
    pub command: String,
    /// What Render calls it when it is stopped.
    stopped: bool,
    began: Duration,
    takes: Duration,
}

impl Job {
    /// What Render calls it: a command with `sick` in it fails.
    pub fn status(&self, now: Duration) -> &'static str {
        match now.saturating_sub(self.began) {
            _ if self.stopped => "canceled",
            passed if passed < self.takes / 2 => "pending",
            passed if passed < self.takes => "running",
            _ if self.command.contains("sick") => "failed",
            _ => "succeeded",
        }
    }

    fn shown(&self, service: &str, now: Duration) -> Value {
        json!({
            "id": self.id, "serviceId": service, "startCommand": self.command,
            "planId": "plan-srv-006", "status": self.status(now),
            "createdAt": "2026-11-21T12:00:00Z", "startedAt": null, "finishedAt": null,
        })
    }
}

impl Service {
    pub(super) fn of_jobs(
        &mut self,
        method: &str,
        id: &str,
        rest: &[&str],
        query: &str,
        body: &Value,
        (now, takes): (Duration, Duration),
    ) -> Option<Answer> {
        Some(match (method, rest) {
            ("POST", []) => {
                let command = body["startCommand"].as_str()?.to_owned();
                let job = format!("job-{id}-{}", self.jobs.len());
                let job = Job { id: job, command, stopped: false, began: now, takes };
                self.jobs.insert(0, job.clone());
                json(201, &job.shown(id, now))
            }
            ("GET", []) => {
                let shown = self.jobs.iter().map(|job| (job.id.clone(), job.shown(id, now)));
                page("job", shown, query)
            }
            ("GET", [job]) => match self.jobs.iter().find(|one| one.id == *job) {
                Some(found) => json(200, &found.shown(id, now)),
                None => not_found(job),
            },
            ("POST", [job, "cancel"]) => match self.jobs.iter_mut().find(|one| one.id == *job) {
                Some(found) => {
                    found.stopped |= matches!(found.status(now), "pending" | "running");
                    json(200, &found.shown(id, now))
                }
                None => not_found(job),
            },
            _ => return None,
        })
    }
}
