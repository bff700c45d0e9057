//! Instances: what the state directory says of each process that was started.

use std::{
    fs::{File, OpenOptions},
    path::PathBuf,
    time::Duration,
};

use serde::{Deserialize, Serialize};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    deployer::Step,
    name::{ReleaseId, RunId, ServiceName},
};

use crate::{
    disk::{self, failure},
    process::{Look, Process},
};

/// Version of the files' form.
const FORMAT: u16 = 1;
const READ: &str = "read the instances";
const WRITE: &str = "write an instance";

/// One process of a service, whether it runs or is kept to be started again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Instance {
    format: u16,
    pub(crate) id: String,
    pub(crate) service: ServiceName,
    pub(crate) release: ReleaseId,
    pub(crate) run: RunId,
    /// The step that made it; nothing for a dependency of a task.
    pub(crate) step: Option<Step>,
    pub(crate) spec_hash: String,
    /// The port that it was given.
    pub(crate) port: Option<u16>,
    /// It has its port for itself, so it can go on running beside the one that replaces it.
    pub(crate) runs_beside: bool,
    pub(crate) stop_grace: Duration,
    pub(crate) state: State,
}

/// What was last done to an instance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    /// A process may have been started: it carries the instance's mark.
    Starting,
    /// It was started.
    Started { process: Process, at: String },
    /// It was stopped.
    Stopped,
}

impl Instance {
    /// The instance of a service that a step of this run makes; the same each time it is asked.
    pub(crate) fn id_of(cx: &Context, step: Option<Step>, service: &ServiceName) -> String {
        let suffix = match step {
            None => "-task",
            Some(Step::Rollback) => "-back",
            Some(_) => "",
        };
        format!("{service}-{}{suffix}", cx.run().short())
    }

    #[expect(clippy::too_many_arguments, reason = "private, called once, each of its own type")]
    pub(crate) fn new(
        cx: &Context,
        step: Option<Step>,
        service: ServiceName,
        release: ReleaseId,
        spec_hash: String,
        port: Option<u16>,
        runs_beside: bool,
        stop_grace: Duration,
    ) -> Self {
        Self {
            format: FORMAT,
            id: Self::id_of(cx, step, &service),
            service,
            release,
            run: cx.run().clone(),
            step,
            spec_hash,
            port,
            runs_beside,
            stop_grace,
            state: State::Starting,
        }
    }

    /// What its processes carry in their environment.
    pub(crate) fn mark(&self) -> String {
        format!("{}/{}", self.run, self.id)
    }

    /// Its process, if it runs.
    pub(crate) fn process(&self) -> Option<Process> {
        match &self.state {
            State::Started { process, .. } => process.runs().then(|| process.clone()),
            State::Starting => Process::find(&self.mark()),
            State::Stopped => None,
        }
    }

    pub(crate) fn is_up(&self) -> bool {
        self.process().is_some()
    }

    pub(crate) fn started_at(&self) -> Option<String> {
        match &self.state {
            State::Started { at, .. } => Some(at.clone()),
            _ => None,
        }
    }

    /// Whether this run made it to bring a release, rather than to return to one.
    pub(crate) fn is_brought_by(&self, run: &RunId) -> bool {
        self.run == *run && matches!(self.step, Some(Step::Stage | Step::Switch))
    }
}

/// The instances of an environment: `<id>.json` for each, beside its directory `<id>`.
#[derive(Clone, Debug)]
pub(crate) struct Instances {
    root: PathBuf,
}

impl Instances {
    pub(crate) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where an instance's process runs: its files and its log are there.
    pub(crate) fn directory(&self, id: &str) -> PathBuf {
        self.root.join(id)
    }

    pub(crate) fn log(&self, id: &str) -> PathBuf {
        self.directory(id).join("output.log")
    }

    fn file(&self, id: &str) -> PathBuf {
        self.root.join(format!("{id}.json"))
    }

    fn ending(&self, id: &str) -> PathBuf {
        self.root.join(format!("{id}.ending"))
    }

    /// All instances, by id.
    pub(crate) fn all(&self) -> Result<Vec<Instance>> {
        let failed = |error| failure(READ, &self.root, error).without_effect();
        let entries = match self.root.read_dir() {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut all = Vec::new();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let id = name.to_str().and_then(|name| name.strip_suffix(".json"));
            if let Some(id) = id.filter(|id| !id.starts_with('.')) {
                // One that another process removes meanwhile is no longer there.
                all.extend(self.get(id)?);
            }
        }
        all.sort_by(|a: &Instance, b: &Instance| a.id.cmp(&b.id));
        Ok(all)
    }

    pub(crate) fn get(&self, id: &str) -> Result<Option<Instance>> {
        let path = self.file(id);
        let found: Option<Instance> = disk::read_json(&path)?;
        match found {
            Some(instance) if instance.format > FORMAT => Err(Error::new(
                ErrorKind::Unsupported,
                READ,
                format!("{} has format {}", path.display(), instance.format),
            )
            .with_advice("use the newer version of this program that wrote it")
            .without_effect()),
            Some(instance) if instance.state == State::Starting => {
                drop(self.lock_start()?);
                disk::read_json(&path)
            }
            other => Ok(other),
        }
    }

    /// Held while a process is being started. A child that does not run its program yet, and so
    /// does not carry its mark yet, holds it too: even when its parent was killed, whoever gets
    /// the lock next finds every process that was started.
    pub(crate) fn lock_start(&self) -> Result<File> {
        let path = self.root.with_file_name("start.lock");
        disk::create_directory(&self.root)
            .and_then(|()| disk::private_file(&path, OpenOptions::new().write(true)))
            .and_then(|file| file.lock().map(|()| file))
            .map_err(|error| failure("start a process", &path, error))
    }

    /// Writes what is known of an instance; durable on return.
    pub(crate) fn put(&self, instance: &Instance) -> Result<()> {
        let path = self.file(&instance.id);
        disk::create_directory(&self.root)
            .and_then(|()| disk::write_json(&path, instance))
            .map_err(|error| failure(WRITE, &path, error))
    }

    /// Removes an instance that does not run any more, its file last.
    pub(crate) fn remove(&self, id: &str) -> Result<()> {
        let path = self.file(id);
        disk::remove_directory(&self.directory(id))
            .and_then(|()| disk::remove_file(&self.ending(id)))
            .and_then(|()| disk::remove_file(&path))
            .and_then(|()| disk::sync_directory(&self.root))
            .map_err(|error| failure("remove an instance", &path, error))
    }

    /// Removes what a driver left that was killed while it wrote.
    pub(crate) fn sweep(&self) -> Result<()> {
        let failed = |error| failure(WRITE, &self.root, error);
        let Ok(entries) = self.root.read_dir() else { return Ok(()) };
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.file_name().and_then(|name| name.to_str()).is_some_and(disk::is_scratch) {
                disk::remove_file(&path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Looks at an instance's process; for people, how it ended or that it runs.
    pub(crate) fn status(&self, instance: &Instance) -> String {
        let look = match &instance.state {
            State::Started { process, .. } => process.look(),
            State::Starting if instance.is_up() => Look::Runs,
            State::Starting => return "did not start".to_owned(),
            State::Stopped => return "stopped".to_owned(),
        };
        let path = self.ending(&instance.id);
        match look {
            Look::Runs => "running".to_owned(),
            Look::Ended(Some(how)) => {
                // Evidence for people; without it the status says less.
                let _best_effort = std::fs::write(&path, &how);
                format!("exited ({how})")
            }
            Look::Ended(None) => match std::fs::read_to_string(&path) {
                Ok(how) => format!("exited ({how})"),
                Err(_) => "exited".to_owned(),
            },
        }
    }

    /// Forgets how an earlier process of an instance ended.
    pub(crate) fn forget_ending(&self, id: &str) -> Result<()> {
        let path = self.ending(id);
        disk::remove_file(&path).map_err(|error| failure(WRITE, &path, error))
    }
}
