//! Commands in a service's own build: one-off jobs.

mod line;
mod marked;
mod output;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::json;
use tokio::time::Instant;
use ultrai_deploy_core::{
    Context, Effect, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    redact::Redactor,
    release::Release,
    release_store::ReleaseStore,
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::{TaskSpec, When},
};
use ultrai_deploy_hosted::{Definition, Platform as _, platform::Slot};

use self::{line::Mark, marked::Jobs, output::Output};
use crate::{
    Client, Config, Platform,
    model::{JobId, JobStatus},
};

const RUN: &str = "run a task";
/// How many lags may pass until a job that was asked for is seen, or known not to be there.
const PATIENCE: u32 = 6;
/// How often a job is asked for: a second time after an answer that was lost and a look that found
/// nothing.
const TRIES: u32 = 2;

/// Runs tests as one-off jobs of the services that they belong to.
///
/// A job has the build that a service serves, and its variables: a test for before the deploy
/// cannot be run, and is refused. It has no disk, and what it costs is on the bill of the service's
/// plan. Render tells of its end only whether it succeeded: the exit code is 0 or 1.
///
/// The command is handed over as one line, with its arguments quoted, behind `env` and a variable
/// `ULTRAI_RUN` by which its job is found again: the service needs the program `env`, as nearly
/// every image has it. No shell is needed, and nothing is expanded.
///
/// What a job writes is shown as far as Render has it when the job is over; nothing is decided by
/// it.
#[derive(Clone, Debug)]
pub struct Tasks {
    client: Client,
    config: Config,
    platform: Platform,
    releases: Arc<dyn ReleaseStore>,
}

impl Tasks {
    /// Tests of the releases in `releases`, through `client`.
    pub fn new(client: Client, config: Config, releases: Arc<dyn ReleaseStore>) -> Self {
        let platform = Platform::new(client.clone(), config.clone());
        Self { client, config, platform, releases }
    }

    fn jobs<'a>(&'a self, slot: &'a Slot) -> Jobs<'a> {
        Jobs { client: &self.client, slot }
    }

    async fn slot(&self, cx: &Context, release: &Release, task: &TaskSpec) -> Result<Slot> {
        self.platform.find(cx, &slot_name(release, task)?).await
    }

    /// The job of a task: one that is there already, or a new one.
    async fn begin(
        &self,
        cx: &Context,
        slot: &Slot,
        task: &TaskSpec,
        mark: &Mark,
    ) -> Result<JobId> {
        let jobs = self.jobs(slot);
        let there = jobs.of_run(cx).await?;
        if let Some(own) = there.iter().find(|job| mark.is_on(job)) {
            return Ok(own.id.clone());
        }
        // What a test before this one left would be in the way.
        jobs.stop(cx, &there).await?;
        let line = line::of(mark, &task.command)?;
        let mut tries = 1;
        loop {
            let service = slot.id.as_str().into();
            let asking = async { Ok(self.client.create_job(cx, &service, &line, None).await?.id) };
            let detail = json!({ "task": task.name, "mark": mark.as_str() });
            let error = match cx.effect(RUN, &slot.name, detail, asking).await {
                Err(error) if error.effect() == Effect::Unknown => error,
                answer => return answer,
            };
            if let Some(own) = self.appears(cx, &jobs, mark).await? {
                return Ok(own);
            }
            if tries == TRIES {
                return Err(error);
            }
            tries += 1;
        }
    }

    /// The job that a call began whose answer was lost; nothing when there is none.
    async fn appears(&self, cx: &Context, jobs: &Jobs<'_>, mark: &Mark) -> Result<Option<JobId>> {
        let end = Instant::now() + PATIENCE * self.config.lag;
        loop {
            let there = jobs.of_run(cx).await?;
            if let Some(own) = there.into_iter().find(|job| mark.is_on(job)) {
                return Ok(Some(own.id));
            }
            if Instant::now() >= end {
                return Ok(None);
            }
            self.rest(cx).await?;
        }
    }

    /// Waits until a job is over, and hands on what it writes.
    async fn follow(
        &self,
        cx: &Context,
        slot: &Slot,
        id: &JobId,
        output: &mut Output<'_>,
    ) -> Result<JobStatus> {
        let seen_by = Instant::now() + PATIENCE * self.config.lag;
        loop {
            match self.client.job(cx, &slot.id.as_str().into(), id).await {
                Ok(job) if job.status.is_over() => {
                    output.read(cx).await;
                    // The last lines may come after the end, and the deadline before them.
                    if self.wait(cx, self.config.lag).await.is_ok() {
                        output.read(cx).await;
                    }
                    return Ok(job.status);
                }
                Ok(_) => output.read_now_and_then(cx).await,
                // Not everywhere yet.
                Err(error) if error.kind() == ErrorKind::NotFound && Instant::now() < seen_by => {}
                // The job goes on whether it can be looked at or not.
                Err(error) if is_of_the_way(&error) => cx.check()?,
                Err(error) => return Err(error),
            }
            self.rest(cx).await?;
        }
    }

    async fn rest(&self, cx: &Context) -> Result<()> {
        self.wait(cx, self.client.api().spread("read", self.config.pause)).await
    }

    async fn wait(&self, cx: &Context, pause: Duration) -> Result<()> {
        let resting = async {
            tokio::time::sleep(pause).await;
            Ok(())
        };
        cx.bounded(resting).await
    }
}

#[async_trait]
impl TaskRunner for Tasks {
    fn check(&self, task: &TaskSpec) -> Result<()> {
        if task.when == When::Pre {
            let message = format!(
                "`{}` is to run before the deploy, and a job of Render runs what serves already",
                task.name
            );
            return Err(Error::new(ErrorKind::Unsupported, RUN, message)
                .with_advice(
                    "run it after the deploy (when = \"post\"), or make it the pre-deploy command of \
                     the service, which Render runs in the new image",
                )
                .without_effect());
        }
        line::check(&task.command)
    }

    async fn run(
        &self,
        cx: &Context,
        release: &Release,
        task: &TaskSpec,
        output: &dyn TaskOutput,
    ) -> Result<TaskEnd> {
        self.check(task)?;
        let cx = &cx.clone().with_timeout(task.timeout);
        let mark = Mark::new(cx.key(), task);
        let redactor = Redactor::new(&self.releases.secrets(&release.id).await?);
        let slot = self.slot(cx, release, task).await?;
        let mut lines = None;
        let ended = async {
            let owner = self.client.service(cx, &slot.id.as_str().into()).await?.owner_id;
            let id = self.begin(cx, &slot, task, &mark).await?;
            let lines = lines.insert(Output::new(self, owner, &id, redactor, output));
            self.follow(cx, &slot, &id, lines).await
        }
        .await;
        let tail = lines.map(Output::into_tail).unwrap_or_default();
        let error = match ended {
            Ok(JobStatus::Succeeded) => return Ok(TaskEnd { exit_code: 0, tail }),
            Ok(JobStatus::Failed) => return Ok(TaskEnd { exit_code: 1, tail }),
            Ok(_) => {
                let message = format!("the job of `{}` was canceled by somebody else", task.name);
                Error::new(ErrorKind::Conflict, RUN, message)
            }
            Err(error) => {
                // What cannot be ended now is ended by `clean`.
                let stopped = self.jobs(&slot).stop_marked(cx, &mark).await;
                unfinished(error, task, stopped.is_ok())
            }
        };
        let said = (!tail.is_empty()).then(|| Evidence::new(EvidenceKind::Log, &task.name, tail));
        Err(error.with_evidence(said))
    }

    async fn clean(&self, cx: &Context) -> Result<()> {
        let mut names = BTreeSet::new();
        for id in self.releases.list().await? {
            let release = match self.releases.get(&id).await {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                release => release?,
            };
            for task in &release.verification.tasks {
                if task.when != When::Pre {
                    names.insert(slot_name(&release, task)?);
                }
            }
        }
        for name in names {
            let slot = match self.platform.find(cx, &name).await {
                // Nothing was run in a service that is not there.
                Err(error) if matches!(error.kind(), ErrorKind::Invalid | ErrorKind::NotFound) => {
                    continue;
                }
                slot => slot?,
            };
            let jobs = self.jobs(&slot);
            jobs.stop(cx, &jobs.of_run(cx).await?).await?;
        }
        Ok(())
    }
}

/// The error of a task that was not seen to its end.
fn unfinished(error: Error, task: &TaskSpec, is_stopped: bool) -> Error {
    if error.kind() != ErrorKind::Timeout {
        return error;
    }
    let seconds = task.timeout.as_secs_f64();
    let what = if is_stopped { "was canceled" } else { "could not be canceled" };
    let message = format!("`{}` did not end within {seconds} s and {what}", task.name);
    Error::new(ErrorKind::Timeout, RUN, message)
        .with_advice("give it more time, or see in its output where it waits")
        .with_source(error)
}

/// Whether a look failed, and nothing is known to be wrong with what was looked at.
fn is_of_the_way(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Timeout)
}

fn slot_name(release: &Release, task: &TaskSpec) -> Result<String> {
    let service = release.services.get(&task.service).ok_or_else(|| {
        let message = format!("release {} has no service {}", release.id, task.service);
        Error::new(ErrorKind::Invalid, RUN, message).without_effect()
    })?;
    let definition = Definition::read(&task.service, &service.config)?;
    Ok(definition.slot(&task.service).to_owned())
}
