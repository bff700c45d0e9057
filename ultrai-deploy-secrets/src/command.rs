//! Programs that print secrets.

mod run;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
    time::Duration,
};

use async_trait::async_trait;
use tokio::sync::{Mutex, OnceCell};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    name::SecretName,
    secret::{Secret, SecretSource},
};
use zeroize::Zeroizing;

use crate::{
    document::{Document, Format, Json, invalid, text_at},
    file::without_line_end,
};

/// Stands in arguments for the name of the secret.
const NAME: &str = "{name}";

/// Secrets that a program prints, such as `sops -d`, `op read` or `vault kv get`. No shell is asked.
///
/// With `{name}` in an argument, it runs once for each secret, and what it prints is the value: as it
/// is, under that name in a dotenv file, or at a place of a JSON document. Without, it runs once for
/// all, and prints a dotenv file or an object of texts; a value alone belongs to the one secret that
/// [`only`](Command::only) names. It prints nothing for a secret that it does not have at its peril: a
/// failure is an error, and so is a value of no length.
///
/// The program gets the environment that it is made with, and nothing on its standard input. It is
/// killed, with all of its process group, when its time is over, when it prints too much, and when
/// nobody waits for it any more; what it leaves running in the group when it ends is killed, too.
/// Errors tell how it ended and the last lines that it wrote to its standard error, without anything
/// of what it printed.
pub struct Command {
    program: String,
    arguments: Vec<String>,
    directory: Option<PathBuf>,
    environment: BTreeMap<String, String>,
    format: Format,
    only: Option<BTreeSet<SecretName>>,
    timeout: Duration,
    limit: usize,
    document: OnceCell<Document>,
    values: Mutex<BTreeMap<SecretName, Secret>>,
}

impl Command {
    /// A program and its arguments, run with these variables and no others; `PATH` among them says
    /// where a program without `/` in its name is found.
    ///
    /// # Errors
    /// [`ErrorKind::Invalid`] when `words` is empty.
    pub fn new(
        words: impl IntoIterator<Item = impl Into<String>>,
        environment: BTreeMap<String, String>,
        format: Format,
    ) -> Result<Self> {
        let mut words = words.into_iter().map(Into::into);
        let program = words.next().filter(|program| !program.is_empty());
        let program = program.ok_or_else(|| invalid("there is no program to run".to_owned()))?;
        Ok(Self {
            program,
            arguments: words.collect(),
            directory: None,
            environment,
            format,
            only: None,
            timeout: Duration::from_secs(30),
            limit: 1024 * 1024,
            document: OnceCell::new(),
            values: Mutex::default(),
        })
    }

    /// Sets where it runs; also where a program with a relative path lies.
    pub fn in_directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Asks it for these secrets alone; it has no others.
    pub fn only(mut self, names: impl IntoIterator<Item = SecretName>) -> Self {
        self.only = Some(names.into_iter().collect());
        self
    }

    /// Sets the longest time that one run may take; 30 s.
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets how much it may print, in bytes; 1 MiB.
    pub fn with_limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    fn is_asked_for_each(&self) -> bool {
        let pointer = match &self.format {
            Format::Json(pointer) => Some(pointer),
            _ => None,
        };
        self.arguments.iter().chain(pointer).any(|text| text.contains(NAME))
    }

    /// The value of one secret, by a run of its own.
    async fn one(&self, name: &SecretName) -> Result<Secret> {
        let printed = self.run(Some(name)).await?;
        let what = self.output();
        let value = match &self.format {
            Format::Value => Secret::new(without_line_end(&printed)),
            Format::Dotenv => {
                let document = Document::dotenv(&printed, &what, &self.environment)?;
                let value = document.get(name.as_str(), &what)?;
                value.ok_or_else(|| not_in(&what, name))?
            }
            Format::Json(pointer) => {
                let json = Json::parse(printed.as_bytes(), &what)?;
                text_at(&json, &pointer.replace(NAME, name.as_str()), &what)?
            }
        };
        if value.expose().is_empty() {
            return Err(invalid(format!("{what} has no value for {name}")));
        }
        Ok(value)
    }

    /// All that it prints.
    async fn all(&self) -> Result<Document> {
        let what = self.output();
        let sole = match (&self.format, self.only.iter().flatten().collect::<Vec<_>>().as_slice()) {
            (Format::Value, [sole]) => Some((*sole).clone()),
            (Format::Value, _) => {
                return Err(invalid(format!(
                    "{what} is a value, and nothing says of which secret"
                ))
                .with_advice("put {name} into its arguments, or name one secret"));
            }
            _ => None,
        };
        let printed = self.run(None).await?;
        match (&self.format, sole) {
            (Format::Json(pointer), _) => {
                let json = Json::parse(printed.as_bytes(), &what)?;
                Document::json(&json, pointer, &what)
            }
            (_, Some(_)) if without_line_end(&printed).is_empty() => {
                Err(invalid(format!("{what} is empty")))
            }
            (_, Some(sole)) => {
                Ok(Document::one(sole.as_str(), Secret::new(without_line_end(&printed))))
            }
            (_, None) => Document::dotenv(&printed, &what, &self.environment),
        }
    }

    async fn run(&self, name: Option<&SecretName>) -> Result<Zeroizing<String>> {
        let program = match &self.directory {
            // Where a relative program is looked for is otherwise left to the system.
            Some(directory) if self.program.contains('/') => directory.join(&self.program),
            _ => PathBuf::from(&self.program),
        };
        let mut command = tokio::process::Command::new(program);
        for argument in &self.arguments {
            command
                .arg(name.map_or(argument.clone(), |name| argument.replace(NAME, name.as_str())));
        }
        command.env_clear().envs(&self.environment);
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        run::run(command, &self.program, self.timeout, self.limit).await
    }

    /// What it prints, in errors.
    fn output(&self) -> String {
        format!("what `{}` prints", self.program)
    }
}

#[async_trait]
impl SecretSource for Command {
    async fn get(&self, name: &SecretName) -> Result<Option<Secret>> {
        if self.only.as_ref().is_some_and(|only| !only.contains(name)) {
            return Ok(None);
        }
        if !self.is_asked_for_each() {
            let document = self.document.get_or_try_init(|| self.all()).await?;
            return document.get(name.as_str(), &self.output());
        }
        // One after the other: some of these programs ask a person.
        let mut values = self.values.lock().await;
        if let Some(value) = values.get(name) {
            return Ok(Some(value.clone()));
        }
        let value = self.one(name).await?;
        values.insert(name.clone(), value.clone());
        Ok(Some(value))
    }
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let program = Path::new(&self.program);
        f.debug_struct("Command").field("program", &program).finish_non_exhaustive()
    }
}

fn not_in(what: &str, name: &SecretName) -> Error {
    let message = format!("{what} has no {name}");
    Error::new(ErrorKind::NotFound, "read a secret of a command", message).without_effect()
}
