//! Commands run with a release's files and environment.

use std::{collections::VecDeque, path::PathBuf, process::Stdio, sync::Mutex};

use async_trait::async_trait;
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::{Child, Command},
    time::Instant,
};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result, digest,
    name::ServiceName,
    release::Release,
    secret::Secrets,
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::{Dependencies, TaskSpec},
};

use crate::{
    config::Port,
    deployer::Deployer,
    disk::{self, blocking, failure},
    host::{Definition, Host, environment, find_program, sealed},
    instance::Instance,
    placeholder, ports, probe,
    process::{self, MARK},
};

const RUN: &str = "run a task";
/// How long a task that is over time may take to stop.
const GRACE: std::time::Duration = std::time::Duration::from_secs(5);
/// How many lines of output are kept.
const TAIL: usize = 100;

/// Runs tasks as processes of this machine, in a directory of their own with the service's files
/// and environment.
///
/// `{port}` and `PORT` are the port that the service serves on, or one that is free while it does
/// not. Dependencies that do not run are started under the run's id until [`Tasks::clean`].
///
/// [`Tasks::clean`]: TaskRunner::clean
#[derive(Clone, Debug)]
pub struct Tasks {
    deployer: Deployer,
}

impl Tasks {
    /// Tasks in the environment of a deployer.
    pub fn new(deployer: Deployer) -> Self {
        Self { deployer }
    }

    fn host(&self) -> &Host {
        &self.deployer.host
    }

    /// What the processes of a run's tasks carry in their environment.
    fn mark(cx: &Context) -> String {
        format!("{}/task", cx.run())
    }

    fn directory(&self, cx: &Context) -> Option<PathBuf> {
        Some(self.host().releases.root()?.join("tasks").join(cx.run().as_str()))
    }

    async fn start_dependencies(
        &self,
        cx: &Context,
        release: &Release,
        service: &ServiceName,
    ) -> Result<()> {
        for name in needed(release, service) {
            let there = self.host().instances.all()?;
            let running = there.into_iter().find(|one| one.service == *name && one.is_up());
            let running = match running {
                Some(running) => running,
                None => self.start_dependency(cx, release, name).await?,
            };
            let probes = self.deployer.probes.as_ref();
            if release.services[name].spec_hash == running.spec_hash {
                probe::wait_for(cx, self.host(), probes, release, &running).await?;
            }
        }
        Ok(())
    }

    async fn start_dependency(
        &self,
        cx: &Context,
        release: &Release,
        name: &ServiceName,
    ) -> Result<Instance> {
        let definition = self.host().definition(release, name).await?;
        let mut made = None;
        cx.effect("start for task", name.as_str(), json!({ "release": release.id }), async {
            made = Some(self.host().create(cx, None, definition).await?);
            Ok(())
        })
        .await?;
        made.ok_or_else(|| Error::new(ErrorKind::Unexpected, RUN, "no instance was made"))
    }

    fn port(&self, definition: &Definition) -> Result<Option<u16>> {
        let live = self.host().traffic.read()?;
        let published = live.0.get(&definition.name).and_then(|one| one.port);
        match (definition.service.port, published) {
            (Port::None, _) => Ok(None),
            (Port::Fixed(port), _) | (Port::Auto, Some(port)) => Ok(Some(port)),
            (Port::Auto, None) => ports::free(None, &[]).map(Some),
        }
    }

    async fn command(&self, cx: &Context, release: &Release, task: &TaskSpec) -> Result<Command> {
        let definition = self.host().definition(release, &task.service).await?;
        let root = self.directory(cx).ok_or_else(|| {
            Error::new(ErrorKind::Unsupported, RUN, "the release store has no directory")
        })?;
        let directory = root.join(&digest::sha256(task.name.as_bytes())[..16]);
        let (host, sealed, below) =
            (self.host().clone(), definition.sealed.clone(), directory.clone());
        blocking(move || host.put_files(&below, &sealed)).await?;

        let port = self.port(&definition)?;
        let env = environment(&definition, port)?;
        let mut words = task.command.iter();
        let program = words.next().map_or("", String::as_str);
        let path = find_program(program, &directory, &env).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, RUN, format!("there is no program `{program}`"))
                .with_advice("name it among the service's files, or set PATH in its env")
                .without_effect()
        })?;
        let arguments: Vec<_> = words
            .map(|text| placeholder::fill(text, port, &Secrets::new()))
            .collect::<Result<_>>()?;
        let mut command = Command::new(path);
        command
            .args(arguments)
            .env_clear()
            .envs(env)
            .env(MARK, Self::mark(cx))
            .current_dir(directory)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        Ok(command)
    }

    async fn stop(&self, cx: &Context) -> Result<()> {
        if process::stop(None, &Self::mark(cx), GRACE).await {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Timeout, "stop a task", "it still runs after SIGKILL"))
    }
}

#[async_trait]
impl TaskRunner for Tasks {
    fn check(&self, _task: &TaskSpec) -> Result<()> {
        Ok(())
    }

    async fn run(
        &self,
        cx: &Context,
        release: &Release,
        task: &TaskSpec,
        output: &dyn TaskOutput,
    ) -> Result<TaskEnd> {
        sealed(release, &task.service)?;
        if task.dependencies != Dependencies::None {
            self.start_dependencies(cx, release, &task.service).await?;
        }
        cx.check()?;
        cx.guard().await?;
        let mut child = self.command(cx, release, task).await?.spawn().map_err(|source| {
            Error::new(ErrorKind::Unexpected, RUN, format!("`{}` does not start", task.name))
                .with_source(source)
        })?;
        let deadline = cx.deadline().unwrap_or_else(|| Instant::now() + task.timeout);
        let lines = Lines { output, tail: Mutex::default() };
        let followed = tokio::select! {
            ended = follow(&mut child, &lines) => Some(ended),
            () = tokio::time::sleep_until(deadline) => None,
            () = cx.cancel().cancelled() => None,
        };
        let Some(ended) = followed else {
            self.stop(cx).await?;
            cx.check()?;
            return Err(Error::new(
                ErrorKind::Timeout,
                RUN,
                format!("`{}` ran too long", task.name),
            )
            .with_advice("give it more time, or see in its output where it waits"));
        };
        let exit_code = ended.map_err(|source| {
            Error::new(ErrorKind::Io, RUN, format!("the output of `{}` was lost", task.name))
                .with_source(source)
        })?;
        // What it left running in the background is not part of the release.
        self.stop(cx).await?;
        Ok(TaskEnd { exit_code, tail: lines.tail() })
    }

    async fn clean(&self, cx: &Context) -> Result<()> {
        self.stop(cx).await?;
        for instance in self.host().instances.all()? {
            if instance.step.is_none() && instance.run == *cx.run() {
                let work = self.host().remove(&instance.id);
                cx.effect("remove", &instance.id, json!({}), work).await?;
            }
        }
        let Some(directory) = self.directory(cx) else { return Ok(()) };
        blocking(move || {
            disk::remove_directory(&directory)
                .map_err(|error| failure("remove a task's files", &directory, error))
        })
        .await
    }
}

/// All that a service depends on, in the order of starting.
fn needed<'a>(release: &'a Release, service: &ServiceName) -> Vec<&'a ServiceName> {
    let mut order = release.in_dependency_order();
    let mut wanted = vec![service];
    let mut seen = 0;
    while let Some(name) = wanted.get(seen).copied() {
        seen += 1;
        let needs = release.services.get(name).map(|one| &one.depends_on);
        for needed in needs.into_iter().flatten() {
            if !wanted.contains(&needed) {
                wanted.push(needed);
            }
        }
    }
    order.retain(|name| *name != service && wanted.contains(name));
    order
}

/// Passes lines on and keeps the last ones.
struct Lines<'a> {
    output: &'a dyn TaskOutput,
    tail: Mutex<VecDeque<String>>,
}

impl Lines<'_> {
    fn line(&self, line: String) {
        self.output.line(&line);
        let mut tail = self.tail.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if tail.len() == TAIL {
            tail.pop_front();
        }
        tail.push_back(line);
    }

    fn tail(self) -> String {
        let tail = self.tail.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        tail.into_iter().collect::<Vec<_>>().join("\n")
    }
}

/// Streams the output until the process and its pipes end; its exit code, or 128 and the signal.
async fn follow(child: &mut Child, lines: &Lines<'_>) -> std::io::Result<i64> {
    use std::os::unix::process::ExitStatusExt;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let reading = async { tokio::try_join!(read(out, lines), read(err, lines)) };
    let status = {
        tokio::pin!(reading);
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await?
            }
            // A process in the background may hold the pipes open for ever.
            status = child.wait() => {
                let status = status?;
                if let Ok(read) = tokio::time::timeout(DRAIN, &mut reading).await {
                    read?;
                }
                status
            }
        }
    };
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    Ok(i64::from(code.unwrap_or(-1)))
}

/// How long output that was written before the end may take to be read.
const DRAIN: std::time::Duration = std::time::Duration::from_millis(500);

async fn read(pipe: Option<impl AsyncRead + Unpin>, lines: &Lines<'_>) -> std::io::Result<()> {
    let Some(pipe) = pipe else { return Ok(()) };
    let mut reader = BufReader::new(pipe);
    let mut bytes = Vec::new();
    loop {
        bytes.clear();
        if reader.read_until(b'\n', &mut bytes).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&bytes);
        lines.line(text.trim_end_matches(['\n', '\r']).to_owned());
    }
}
