//! What a command in a service writes.

use std::sync::Arc;

use async_trait::async_trait;
use bollard::{container::LogOutput, models::ExecConfig};
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use ultrai_deploy_core::{
    backup::{BackupSource, Content, PartStream},
    context::Context,
    error::{Error, ErrorKind, Result},
    name::SecretName,
    redact::Redactor,
    release_store::ReleaseStore,
    secret::Secret,
};

use super::{Dump, Variable, place, stream as pieces};
use crate::{
    backend::Backend,
    config::Config,
    engine::{Engine, Exec},
    lines::{Lines, Tail},
    snapshot::Container,
};

/// The one part.
const PART: &str = "dump";
/// Memory for what is put back.
const PIECE: usize = 64 << 10;
/// Most of what a command said that is in its error.
const SAID: usize = 1000;

/// What a command in a running service writes; one part, `dump`.
///
/// A part is good only when the command ended with 0. One that is given up goes on in its container
/// until it notices that nobody reads; none is killed.
#[derive(Clone, Debug)]
pub struct Command {
    backend: Backend,
    dump: Dump,
}

impl Command {
    /// Commands in a service on `engine` of a project whose releases are in `releases`.
    pub fn new(engine: Engine, releases: Arc<dyn ReleaseStore>, dump: Dump) -> Self {
        Self { backend: Backend { engine, releases, config: Config::default() }, dump }
    }

    fn check(&self, part: &str) -> Result<()> {
        if part == PART {
            return self.dump.check();
        }
        let message = format!("there is no part {} of {}", part.escape_default(), self.dump.name);
        Err(Error::new(ErrorKind::NotFound, "find a part", message).without_effect())
    }

    /// Starts one of the commands.
    async fn begin(&self, cx: &Context, command: &[String], reads: bool) -> Result<Running> {
        let service = &self.dump.service;
        let container = place::container(cx, &self.backend, service).await?;
        let container = container.filter(|one| one.state.is_up()).ok_or_else(|| {
            let message =
                format!("{service} does not run, and its data are read by its own command");
            Error::new(ErrorKind::Unavailable, "run a command in a service", message)
                .with_advice(format!(
                    "start {service}, or keep its volume with `while = \"stopped\"` instead"
                ))
                .without_effect()
        })?;
        let (env, redactor) = self.environment(cx, &container).await?;
        let config = ExecConfig {
            cmd: Some(command.to_vec()),
            env: Some(env),
            attach_stdin: Some(reads),
            ..ExecConfig::default()
        };
        let exec = cx.bounded(self.backend.engine.begin_exec(&container.id, config)).await?;
        Ok(Running {
            cx: cx.clone(),
            engine: self.backend.engine.clone(),
            what: format!("`{}` in {service}", self.dump.name),
            container: container.id,
            exec,
            said: Said { redactor, lines: Lines::default(), tail: Tail::default() },
        })
    }

    /// The variables of the commands, and what cuts their secrets out of what they say.
    async fn environment(
        &self,
        cx: &Context,
        container: &Container,
    ) -> Result<(Vec<String>, Redactor)> {
        let own = self.backend.engine.container(&container.id).await?.config.unwrap_or_default();
        let own = own.env.unwrap_or_default();
        let find = |wanted: &String| {
            let of = |one: &String| {
                Some(one.strip_prefix(wanted.as_str())?.strip_prefix('=')?.to_owned())
            };
            own.iter().find_map(of).filter(|value| !value.is_empty())
        };
        let mut secrets = self.backend.secrets(container.marks.release.as_ref()).await?;
        let mut all = Vec::new();
        for (name, variable) in &self.dump.environment {
            let value = match variable {
                Variable::Text(text) => Some(text.clone()),
                Variable::Secret(secret) => {
                    let value = secrets.get(secret).or_else(|| cx.secret(secret));
                    Some(value.ok_or_else(|| no_secret(name, secret))?.expose().to_owned())
                }
                Variable::Container(names) => names.iter().find_map(find),
            };
            let Some(value) = value else { continue };
            if !matches!(variable, Variable::Text(_)) && sounds_secret(name) {
                secrets.insert(SecretName::new(name.as_str())?, Secret::new(value.clone()));
            }
            all.push(format!("{name}={value}"));
        }
        Ok((all, Redactor::new(&secrets)))
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

    /// One, as soon as there is such a service.
    async fn parts(&self, cx: &Context) -> Result<Vec<String>> {
        let found = place::container(cx, &self.backend, &self.dump.service).await?;
        Ok(found.map(|_container| PART.to_owned()).into_iter().collect())
    }

    async fn read(&self, cx: &Context, part: &str) -> Result<PartStream> {
        self.check(part)?;
        let running = self.begin(cx, &self.dump.dump, false).await?;
        Ok(pieces::reader(stream::try_unfold(running, Running::next)))
    }

    async fn restore(&self, cx: &Context, part: &str, content: PartStream) -> Result<()> {
        self.check(part)?;
        let object = format!("{}/{part}", self.dump.name);
        let work = async {
            let running = self.begin(cx, &self.dump.restore, true).await?;
            running.feed(content).await
        };
        let detail = json!({ "service": self.dump.service });
        cx.effect("restore data", &object, detail, Box::pin(work)).await
    }
}

/// A command that runs.
struct Running {
    cx: Context,
    engine: Engine,
    what: String,
    container: String,
    exec: Exec,
    said: Said,
}

impl Running {
    /// The next piece of its output; the end, when it ended well.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>> {
        loop {
            let Self { cx, exec, .. } = &mut self;
            match cx.bounded(async { Ok(exec.output.next().await) }).await?.transpose()? {
                Some(LogOutput::StdOut { message } | LogOutput::Console { message }) => {
                    if !message.is_empty() {
                        return Ok(Some((message, self)));
                    }
                }
                Some(LogOutput::StdErr { message }) => self.said.push(&message),
                Some(LogOutput::StdIn { .. }) => {}
                None => return self.end().await.map(|()| None),
            }
        }
    }

    /// Gives it `content` to read, and waits for its end.
    async fn feed(mut self, mut content: PartStream) -> Result<()> {
        let (exec, said) = (&mut self.exec, &mut self.said);
        let (input, output) = (&mut exec.input, &mut exec.output);
        let feeding = async {
            let mut buffer = vec![0; PIECE];
            loop {
                let count = content.read(&mut buffer).await.map_err(pieces::read_error)?;
                if count == 0 || input.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
            // One that ends early says why by its exit code.
            let _closed = input.shutdown().await;
            Ok::<_, Error>(())
        };
        let listening = async {
            while let Some(piece) = output.next().await {
                said.push(&piece?.into_bytes());
            }
            Ok(())
        };
        let work = async {
            let (mut feeding, mut listening) = (Box::pin(feeding), Box::pin(listening));
            tokio::select! {
                fed = &mut feeding => {
                    fed?;
                    listening.await
                }
                heard = &mut listening => heard,
            }
        };
        self.cx.bounded(work).await?;
        self.end().await
    }

    /// How it ended, once its output has.
    async fn end(self) -> Result<()> {
        let code = self.cx.bounded(self.engine.exec_exit(&self.exec.id, &self.container)).await;
        let said = self.said.into_text();
        let why = match code {
            Ok(0) => return Ok(()),
            Ok(code) => format!("{} ended with {code}: {said}", self.what),
            Err(error) => {
                let message = format!("nobody knows how {} ended: {said}", self.what);
                let gone = "its container was stopped or removed meanwhile: look at its log";
                return Err(Error::new(error.kind(), "run a command in a service", message)
                    .with_advice(gone)
                    .with_source(error));
            }
        };
        let error = Error::new(ErrorKind::Unexpected, "run a command in a service", why);
        Err(match code {
            Ok(126 | 127) => error.with_advice("look whether the service's image has the program"),
            Ok(137) => error.with_advice("it was killed: by its container's end, or out of memory"),
            _ => error,
        })
    }
}

/// The end of what a command said.
struct Said {
    redactor: Redactor,
    lines: Lines,
    tail: Tail,
}

impl Said {
    fn push(&mut self, piece: &[u8]) {
        let Self { redactor, lines, tail } = self;
        lines.push(piece, |line| tail.push(&redactor.text(line)));
    }

    fn into_text(mut self) -> String {
        let Self { redactor, lines, tail } = &mut self;
        lines.finish(|line| tail.push(&redactor.text(line)));
        let text = self.tail.into_text();
        let skipped = text.chars().count().saturating_sub(SAID);
        text.chars().skip(skipped).collect()
    }
}

/// Whether the value of a variable of this name is to be kept from people. Others would be cut out of
/// every message: a user called `postgres`, for one.
fn sounds_secret(name: &str) -> bool {
    let name = name.to_ascii_uppercase();
    ["PASS", "SECRET", "TOKEN", "AUTH", "KEY", "PWD"].iter().any(|part| name.contains(part))
}

fn no_secret(variable: &str, secret: &SecretName) -> Error {
    let message = format!("{variable} is the secret {secret}, which the release does not have");
    Error::new(ErrorKind::Invalid, "run a command in a service", message).without_effect()
}
