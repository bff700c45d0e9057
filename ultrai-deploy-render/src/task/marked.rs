//! The jobs of a run: found by their marks, and ended.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use ultrai_deploy_core::{Context, Result, name::RunId};
use ultrai_deploy_hosted::platform::Slot;

use super::line::{self, Mark};
use crate::{
    Client,
    model::{Job, JobFilter},
};

/// How far the clocks of two machines may be apart.
const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// Longest end of a job after the deadline of its test, or after a cancellation.
const ENDING: Duration = Duration::from_secs(30);

/// The jobs of a service.
#[derive(Debug)]
pub(super) struct Jobs<'a> {
    pub(super) client: &'a Client,
    pub(super) slot: &'a Slot,
}

impl Jobs<'_> {
    /// Those of a run, whatever became of them.
    ///
    /// Not by their status: a new job has none at first.
    pub(super) async fn of_run(&self, cx: &Context) -> Result<Vec<Job>> {
        let created_after = begin(cx.run()).and_then(|begin| begin.checked_sub(SKEW).ok());
        let filter = JobFilter { created_after, ..JobFilter::default() };
        let mut jobs = self.client.jobs(cx, &self.slot.id.as_str().into(), &filter).await?;
        let mark = line::of_run(cx.run());
        jobs.retain(|job| job.start_command.contains(&mark));
        Ok(jobs)
    }

    /// Ends those of `jobs` that are not over.
    pub(super) async fn stop(&self, cx: &Context, jobs: &[Job]) -> Result<()> {
        let mut failure = None;
        for job in jobs.iter().filter(|job| !job.status.is_over()) {
            let work = self.cancel(cx, job);
            let detail = json!({ "job": job.id });
            // One that goes on must not keep the others.
            if let Err(error) = cx.effect("cancel a job", &self.slot.name, detail, work).await {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Ends the job with this mark, also after the deadline or a cancellation: nothing is left
    /// running because of it.
    pub(super) async fn stop_marked(&self, cx: &Context, mark: &Mark) -> Result<()> {
        let late;
        let cx = if cx.check().is_ok() {
            cx
        } else {
            cx.guard().await?;
            late = Context::detached(cx.target().clone(), cx.run().clone()).with_timeout(ENDING);
            &late
        };
        let mut jobs = self.of_run(cx).await?;
        jobs.retain(|job| mark.is_on(job));
        self.stop(cx, &jobs).await
    }

    async fn cancel(&self, cx: &Context, job: &Job) -> Result<()> {
        let service = self.slot.id.as_str().into();
        match self.client.cancel_job(cx, &service, &job.id).await {
            Ok(_) => Ok(()),
            // It came to its end by itself.
            Err(error) => match self.client.job(cx, &service, &job.id).await {
                Ok(job) if job.status.is_over() => Ok(()),
                _ => Err(error),
            },
        }
    }
}

/// When a run began: its id is a UUID of version 7, which begins with the milliseconds. Nothing for
/// an id of another kind.
fn begin(run: &RunId) -> Option<Timestamp> {
    let id = run.as_str();
    if id.len() != 32 || id.get(12..13) != Some("7") {
        return None;
    }
    let milliseconds = i64::from_str_radix(id.get(..12)?, 16).ok()?;
    Timestamp::from_millisecond(milliseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_tells_when_it_began() {
        let run = RunId::new("019a5f3c7c0074d4a1b2c3d4e5f60718").unwrap();
        let begin = begin(&run).unwrap();
        assert_eq!(begin.as_millisecond(), 0x019a_5f3c_7c00);
        for other in
            ["run-1", "019a5f3c7c0044d4a1b2c3d4e5f60718", "z19a5f3c7c0074d4a1b2c3d4e5f60718"]
        {
            assert_eq!(self::begin(&RunId::new(other).unwrap()), None, "{other}");
        }
    }
}
