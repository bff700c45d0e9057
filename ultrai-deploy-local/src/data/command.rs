//! What a command writes that runs with a service's environment.

use std::{collections::BTreeMap, path::PathBuf, process::Stdio};

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWriteExt},
    process::{Child, ChildStderr, ChildStdout},
};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    backup::{BackupSource, Content, PartStream},
    name::{SecretName, ServiceName},
    redact::Redactor,
    secret::Secrets,
};

use super::pieces::{Pieces, reader, unreadable};
use crate::{
    deployer::Deployer,
    disk::blocking,
    host::{environment, find_program},
    instance::Instance,
    placeholder,
};

/// The one part.
const PART: &str = "dump";
const RUN: &str = "run a command of a service";
/// Memory for what goes through.
const PIECE: usize = 64 << 10;
/// Most of what a command said that is in its error, in bytes.
const SAID: usize = 1000;

/// A command that writes a service's data, and one that reads them again.
///
/// Both run as processes of this machine with the service's files and environment, in a directory of
/// their own, while the service runs. `{port}` stands for its port in both commands and in
/// [`environment`](Self::environment), and `{secret:NAME}` for a secret of its release in the latter only.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Dump {
    /// The source's name, unique among those of an environment.
    pub name: String,
    /// The service whose data they are.
    pub service: ServiceName,
    /// Writes the data to its standard output.
    pub dump: Vec<String>,
    /// Reads what `dump` wrote from its standard input, and puts it in the place of what is there.
    pub restore: Vec<String>,
    /// Variables for both, besides those of the service.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub environment: BTreeMap<String, String>,
}

impl Dump {
    /// Two commands, without variables.
    pub fn new<T: Into<String>>(
        name: impl Into<String>,
        service: ServiceName,
        dump: impl IntoIterator<Item = T>,
        restore: impl IntoIterator<Item = T>,
    ) -> Self {
        Self {
            name: name.into(),
            service,
            dump: dump.into_iter().map(Into::into).collect(),
            restore: restore.into_iter().map(Into::into).collect(),
            environment: BTreeMap::new(),
        }
    }

    /// Sets a variable.
    pub fn with_variable(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.environment.insert(name.into(), value.into());
        self
    }

    /// Sets a variable to the value of a secret of the release.
    pub fn with_secret(self, name: impl Into<String>, secret: &SecretName) -> Self {
        self.with_variable(name, placeholder::of_secret(secret))
    }

    /// The services that must run while it is read or put back.
    pub fn services(&self) -> [&ServiceName; 1] {
        [&self.service]
    }

    /// Checks that it can be run.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] for an empty name or command, a secret in one, placeholders that are not
    /// known, and a name of a variable that is none.
    pub fn check(&self) -> Result<()> {
        let name = self.name.escape_default();
        if self.name.is_empty() || self.name.contains('/') {
            return Err(invalid(format!("`{name}` is no name: it is empty or has a `/`")));
        }
        for (what, command) in [("dump", &self.dump), ("restore", &self.restore)] {
            if command.first().is_none_or(String::is_empty) {
                return Err(invalid(format!("the command `{what}` of {name} is empty")));
            }
            for text in command {
                if !placeholder::secrets(text).map_err(invalid)?.is_empty() {
                    return Err(invalid(format!("the command `{what}` of {name} holds a secret"))
                        .with_advice("give it in environment: arguments can be seen by others"));
                }
            }
        }
        for (variable, value) in &self.environment {
            placeholder::secrets(value).map_err(invalid)?;
            if variable.is_empty() || variable.contains(['=', '\0']) || value.contains('\0') {
                let variable = variable.escape_default();
                return Err(invalid(format!("`{variable}` of {name} is no variable")));
            }
        }
        Ok(())
    }
}

/// What a command writes; one part, `dump`.
///
/// A part is good only when the command ended with 0. One that is given up is killed.
#[derive(Clone, Debug)]
pub struct Command {
    deployer: Deployer,
    dump: Dump,
}

impl Command {
    /// Commands in the environment of a deployer.
    pub fn new(deployer: Deployer, dump: Dump) -> Self {
        Self { deployer, dump }
    }

    async fn live(&self) -> Result<Option<Instance>> {
        let (host, service) = (self.deployer.host.clone(), self.dump.service.clone());
        blocking(move || Ok(host.live()?.remove(&service))).await
    }

    fn check(&self, part: &str) -> Result<()> {
        if part == PART {
            return self.dump.check();
        }
        let message = format!("there is no part {} of {}", part.escape_default(), self.dump.name);
        Err(Error::new(ErrorKind::NotFound, RUN, message).without_effect())
    }

    async fn begin(&self, command: &[String], stdin: Stdio) -> Result<Running> {
        let service = &self.dump.service;
        let live = self.live().await?.filter(Instance::is_up).ok_or_else(|| {
            let message = format!("{service} does not run, and its data are read by a command");
            Error::new(ErrorKind::Unavailable, RUN, message)
                .with_advice(format!("start {service}, or keep its directory instead"))
                .without_effect()
        })?;
        let host = &self.deployer.host;
        let release = host.releases.get(&live.release).await?;
        let definition = host.definition(&release, service).await?;
        let secrets = host.secrets_of(&release).await?;
        let directory: PathBuf = host.instances.directory(&live.id);
        let mut env = environment(&definition, live.port)?;
        for (name, value) in &self.dump.environment {
            env.insert(name.clone(), placeholder::fill(value, live.port, &secrets)?);
        }
        let mut words = command.iter();
        let program = words.next().map_or("", String::as_str);
        let path = find_program(program, &directory, &env).ok_or_else(|| {
            Error::new(ErrorKind::NotFound, RUN, format!("there is no program `{program}`"))
                .with_advice("install it, or set PATH in the environment of the service")
                .without_effect()
        })?;
        let arguments = words
            .map(|text| placeholder::fill(text, live.port, &Secrets::new()))
            .collect::<Result<Vec<_>>>()?;
        let mut command = tokio::process::Command::new(path);
        command
            .args(arguments)
            .env_clear()
            .envs(env)
            .current_dir(directory)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let what = format!("`{}` of {service}", self.dump.name);
        let mut child = command.spawn().map_err(|source| {
            Error::new(ErrorKind::Unexpected, RUN, format!("{what} does not start"))
                .with_source(source)
        })?;
        let (output, errors) = (child.stdout.take(), child.stderr.take());
        let redactor = Redactor::new(&secrets);
        Ok(Running { what, child, output, errors, said: Vec::new(), redactor })
    }
}

#[async_trait]
impl BackupSource for Command {
    fn name(&self) -> &str {
        &self.dump.name
    }

    fn content(&self) -> Content {
        Content::Data
    }

    /// Whatever users and services have written there.
    fn holds_secrets(&self) -> bool {
        true
    }

    /// One, as soon as the service serves.
    async fn parts(&self, _cx: &Context) -> Result<Vec<String>> {
        Ok(self.live().await?.map(|_live| PART.to_owned()).into_iter().collect())
    }

    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream> {
        self.check(part)?;
        let running = self.begin(&self.dump.dump, Stdio::null()).await?;
        Ok(reader(cx, running))
    }

    async fn restore(&self, cx: &Context, part: &str, content: PartStream) -> Result<()> {
        self.check(part)?;
        let object = format!("{}/{part}", self.dump.name);
        let detail = json!({ "service": self.dump.service });
        let work = async {
            let running = self.begin(&self.dump.restore, Stdio::piped()).await?;
            cx.bounded(running.feed(content)).await
        };
        cx.effect("restore data", &object, detail, Box::pin(work)).await
    }
}

/// A command that runs.
struct Running {
    what: String,
    child: Child,
    output: Option<ChildStdout>,
    errors: Option<ChildStderr>,
    /// The end of what it said.
    said: Vec<u8>,
    redactor: Redactor,
}

impl Running {
    /// The next piece of its output; nothing when it has ended well.
    async fn piece(&mut self) -> Result<Vec<u8>> {
        let (mut piece, mut other) = (vec![0; PIECE], vec![0; PIECE]);
        loop {
            let (output, errors) = (&mut self.output, &mut self.errors);
            let (is_output, count) = tokio::select! {
                count = read(output, &mut piece), if output.is_some() => (true, count),
                count = read(errors, &mut other), if errors.is_some() => (false, count),
                else => return self.end().await.map(|()| Vec::new()),
            };
            match (is_output, count.map_err(lost)?) {
                (true, 0) => self.output = None,
                (false, 0) => self.errors = None,
                (true, count) => {
                    piece.truncate(count);
                    return Ok(piece);
                }
                (false, count) => {
                    self.said.extend_from_slice(&other[..count]);
                    let surplus = self.said.len().saturating_sub(SAID);
                    self.said.drain(..surplus);
                }
            }
        }
    }

    /// Gives it `content` to read, and waits for its end.
    async fn feed(mut self, mut content: PartStream) -> Result<()> {
        let mut input = self.child.stdin.take();
        let feeding = async {
            let mut buffer = vec![0; PIECE];
            while let Some(to) = &mut input {
                let count = content.read(&mut buffer).await.map_err(unreadable)?;
                // One that ends early says why by its exit code.
                if count == 0 || to.write_all(&buffer[..count]).await.is_err() {
                    input = None;
                }
            }
            Ok::<_, Error>(())
        };
        let listening = async {
            while !self.piece().await?.is_empty() {}
            Ok(())
        };
        let (mut feeding, mut listening) = (Box::pin(feeding), Box::pin(listening));
        tokio::select! {
            fed = &mut feeding => {
                fed?;
                listening.await
            }
            heard = &mut listening => heard,
        }
    }

    async fn end(&mut self) -> Result<()> {
        let status = self.child.wait().await.map_err(lost)?;
        if status.success() {
            return Ok(());
        }
        let said = self.redactor.text(String::from_utf8_lossy(&self.said).trim());
        let message = format!("{} ended with {status}: {said}", self.what);
        Err(Error::new(ErrorKind::Unexpected, RUN, message))
    }
}

#[async_trait]
impl Pieces for Running {
    async fn next(&mut self, cx: &Context) -> Result<Vec<u8>> {
        cx.bounded(self.piece()).await
    }
}

async fn read(pipe: &mut Option<impl AsyncRead + Unpin>, to: &mut [u8]) -> std::io::Result<usize> {
    match pipe {
        Some(pipe) => pipe.read(to).await,
        None => std::future::pending().await,
    }
}

fn lost(source: std::io::Error) -> Error {
    Error::new(ErrorKind::Io, RUN, "its output was lost").with_source(source)
}

fn invalid(message: String) -> Error {
    Error::new(ErrorKind::Invalid, "read what to keep", message).without_effect()
}
