//! The real `docker compose`, asked what it makes of dotenv files and of values with variables.
//! Its `config` needs no engine. A call takes longer than reading a thousand files does, so that
//! many cases are asked at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses some of it")]

use std::{
    collections::BTreeMap,
    fs::File,
    path::PathBuf,
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

/// Names the binary of Docker Compose v5.6.1, whose reading is ours.
const PROGRAM: &str = "ULTRAI_COMPOSE_ORACLE";
/// Names the binary of Docker Compose v2.40.3, the last before v5.
const OLDER: &str = "ULTRAI_COMPOSE_ORACLE_OLDER";
/// Skips what needs the binaries when it is 1.
const SKIP: &str = "ULTRAI_SKIP_ORACLE";
/// Longest time of one call.
const LIMIT: Duration = Duration::from_mins(1);

/// Variables by name.
pub(crate) type Variables = BTreeMap<String, String>;

/// A binary of Docker Compose.
#[derive(Clone, Debug)]
pub(crate) struct Oracle {
    pub(crate) version: &'static str,
    program: PathBuf,
}

/// The binaries that the environment names, or none when it asks for skipping.
#[expect(clippy::disallowed_methods, reason = "a test has no program around it that reads it")]
#[expect(clippy::print_stderr, reason = "skipping must be seen")]
pub(crate) fn all() -> Vec<Oracle> {
    if std::env::var(SKIP).is_ok_and(|value| value == "1") {
        eprintln!("SKIPPED because of {SKIP}=1: nothing was compared with Docker Compose");
        return Vec::new();
    }
    let named = |variable: &str, words: &str| {
        std::env::var(variable).unwrap_or_else(|_unset| {
            panic!("{variable} is not set: set it to what {words} prints, or set {SKIP}=1")
        })
    };
    vec![
        Oracle { version: "v5.6.1", program: named(PROGRAM, "scripts/compose-oracle").into() },
        Oracle {
            version: "v2.40.3",
            program: named(OLDER, "scripts/compose-oracle --older").into(),
        },
    ]
}

impl Oracle {
    /// What becomes of the env files of services, all at once.
    ///
    /// # Panics
    /// Compose refuses one of them.
    pub(crate) fn env_files(
        &self,
        services: &[&[&str]],
        format: Format,
        env: &Variables,
    ) -> Vec<Variables> {
        self.try_env_files(services, format, env).unwrap_or_else(|error| {
            let named = |at: &usize| error.contains(&format!("/{at}.0.env"));
            let culprit = (0..services.len()).find(named).map(|at| services[at]);
            panic!("{} refuses {culprit:?}, which we read: {error}", self.version)
        })
    }

    /// What becomes of the env files of services, or why one of them is refused.
    pub(crate) fn try_env_files(
        &self,
        services: &[&[&str]],
        format: Format,
        env: &Variables,
    ) -> Result<Vec<Variables>, String> {
        let mut files = Vec::new();
        let mut described = serde_json::Map::new();
        for (at, texts) in services.iter().enumerate() {
            let mut env_file = Vec::new();
            for (number, text) in texts.iter().enumerate() {
                let name = format!("{at}.{number}.env");
                env_file.push(match format {
                    Format::Compose => json!({"path": name}),
                    Format::Raw => json!({"path": name, "format": "raw"}),
                });
                files.push((name, *text));
            }
            described.insert(service(at), json!({"image": "x", "env_file": env_file}));
        }
        let answer = self.config(&described, &files, env)?;
        Ok((0..services.len()).map(|at| environment(&answer, at)).collect())
    }

    /// What becomes of values with variables, all at once.
    ///
    /// # Panics
    /// Compose refuses one of them.
    pub(crate) fn values(&self, texts: &[&str], env: &Variables) -> Vec<String> {
        let services = texts
            .iter()
            .enumerate()
            .map(|(at, text)| (service(at), json!({"image": "x", "environment": {"V": text}})));
        let answer = self
            .config(&services.collect::<serde_json::Map<_, _>>(), &[], env)
            .unwrap_or_else(|error| panic!("{} refuses what we read: {error}", self.version));
        (0..texts.len()).map(|at| environment(&answer, at)["V"].clone()).collect()
    }

    /// What becomes of a value with variables, or why it is refused.
    pub(crate) fn value(&self, text: &str, env: &Variables) -> Result<String, String> {
        let services = [(service(0), json!({"image": "x", "environment": {"V": text}}))];
        let answer = self.config(&services.into_iter().collect(), &[], env)?;
        Ok(environment(&answer, 0)["V"].clone())
    }

    /// The lines of `config --environment`, those that every call has left out.
    pub(crate) fn project(
        &self,
        env_files: &[&str],
        env: &Variables,
    ) -> Result<Vec<String>, String> {
        let files: Vec<_> =
            env_files.iter().enumerate().map(|(at, text)| (format!("{at}.env"), *text)).collect();
        let mut arguments = Vec::new();
        for (name, _) in &files {
            arguments.extend(["--env-file", name]);
        }
        arguments.extend(["config", "--environment"]);
        let services = [(service(0), json!({"image": "x"}))].into_iter().collect();
        let printed = self.call(&services, &files, &arguments, env)?;
        let always = ["HOME=", "PWD=", "DOCKER_HOST=", "COMPOSE_PROJECT_NAME="];
        let lines =
            printed.lines().filter(|line| !always.iter().any(|name| line.starts_with(name)));
        Ok(lines.map(str::to_owned).collect())
    }

    fn config(
        &self,
        services: &serde_json::Map<String, Value>,
        files: &[(String, &str)],
        env: &Variables,
    ) -> Result<Value, String> {
        let printed = self.call(services, files, &["config", "--format", "json"], env)?;
        Ok(serde_json::from_str(&printed).unwrap())
    }

    fn call(
        &self,
        services: &serde_json::Map<String, Value>,
        files: &[(String, &str)],
        arguments: &[&str],
        env: &Variables,
    ) -> Result<String, String> {
        let directory: TempDir = tempfile::tempdir().unwrap();
        let project = json!({"name": "oracle", "services": services}).to_string();
        std::fs::write(directory.path().join("compose.json"), project).unwrap();
        for (name, text) in files {
            std::fs::write(directory.path().join(name), text).unwrap();
        }
        let (stdout, stderr) = (directory.path().join("stdout"), directory.path().join("stderr"));
        let mut child = Command::new(&self.program)
            .env_clear()
            .envs(env)
            .env("HOME", directory.path())
            .env("DOCKER_HOST", "unix:///nonexistent")
            .current_dir(directory.path())
            .args(["-f", "compose.json"])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(File::create(&stdout).unwrap())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        // The end of the child closes its standard error.
        let mut errors = child.stderr.take().unwrap();
        let (done, finished) = mpsc::channel();
        let copier = thread::spawn(move || {
            let copied = std::io::copy(&mut errors, &mut File::create(stderr).unwrap());
            done.send(()).unwrap();
            copied.unwrap()
        });
        if finished.recv_timeout(LIMIT).is_err() {
            child.kill().unwrap();
            panic!("{} did not answer in {LIMIT:?}", self.version);
        }
        let accepted = child.wait().unwrap().success();
        copier.join().unwrap();
        let read = |name: &str| {
            let bytes = std::fs::read(directory.path().join(name)).unwrap();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        if accepted { Ok(read("stdout")) } else { Err(read("stderr")) }
    }
}

/// The format of an env file.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Format {
    Compose,
    Raw,
}

fn service(at: usize) -> String {
    format!("s{at}")
}

/// The environment of a service; `config` doubles every dollar.
fn environment(answer: &Value, at: usize) -> Variables {
    let Some(found) = answer["services"][service(at)]["environment"].as_object() else {
        return Variables::new();
    };
    let value = |value: &Value| value.as_str().unwrap_or_default().replace("$$", "$");
    found.iter().map(|(name, found)| (name.clone(), value(found))).collect()
}
