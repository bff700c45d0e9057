//! A shop on a platform, deployed by the real `ultrai`, which tells all that it logs.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::{Mutex, MutexGuard},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use ultrai_deploy_testkit::{
    hosted::{SERVICES, Server},
    server::{self, Answer},
};

use crate::platform::{Platform, TOKEN};

/// The value of the secret that each service gets.
pub const SECRET: &str = "postgres://hunter2-secret";

pub struct Shop<P: Platform> {
    pub platform: Server<P>,
    pub front: server::Server,
    directory: TempDir,
    /// All that was said so far.
    said: Mutex<String>,
}

impl<P: Platform> Shop<P> {
    pub async fn new() -> Self {
        let platform = Server::start(P::new()).await.unwrap();
        let front = server::Server::start(|_| Answer::json(200, r#"{"status":"healthy"}"#));
        let directory = tempfile::Builder::new().prefix("ultrai-shop-").tempdir().unwrap();
        let said = Mutex::default();
        let shop = Self { platform, front: front.await.unwrap(), directory, said };
        for service in SERVICES {
            shop.world().set_variable(service, "BY_HAND", "kept");
        }
        fs::write(shop.path("deploy.toml"), shop.configuration("")).unwrap();
        shop.write_env(&format!("DATABASE_URL={SECRET}\nREGION=eu\n"));
        shop
    }

    /// Writes `production.env`, for its owner only: it holds a secret.
    pub fn write_env(&self, text: &str) {
        let path = self.path("production.env");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// deploy.toml; `more` stands at its end.
    pub fn configuration(&self, more: &str) -> String {
        let (word, table) = (P::BACKEND, P::table());
        let (api, front) = (self.platform.url(P::base()), self.front.url(""));
        format!(
            r#"
            backend = "{word}"
            project = "shop"
            base_url = "{front}"
            [{word}]
            {table}
            url = "{api}"
            pause = "1ms"
            lag = "20ms"
            [environments.production]
            env_files = ["production.env"]
            pre_releases = true
            variables = {{ REGISTRY = "shop" }}
            [environments.production.slots]
            backend = "api"
            [services.backend]
            image = "${{REGISTRY}}/api:${{VERSION}}"
            variables = {{ VERSION = "${{VERSION}}", WHERE = "${{REGION}}-1" }}
            secrets = ["DATABASE_URL"]
            depends_on = ["web"]
            [services.web]
            image = "${{REGISTRY}}/web:${{VERSION}}"
            variables = {{ VERSION = "${{VERSION}}" }}
            [[check]]
            name = "front"
            path = "/health"
            json = {{ "/status" = "healthy" }}
            {more}
            "#
        )
    }

    pub fn world(&self) -> MutexGuard<'_, P> {
        self.platform.world()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// `ultrai` in production, its results in JSON.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ultrai"));
        command
            .arg("--state")
            .arg(self.path("state"))
            .args(["--format", "json"])
            .args(words)
            .args(["-e", "production"])
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .env("ULTRAI_LOG", "trace")
            .env(P::VARIABLE, TOKEN);
        command
    }

    pub fn run(&self, mut command: Command) -> Output {
        let output = command.output().unwrap();
        let mut said = self.said.lock().unwrap();
        for bytes in [&output.stdout, &output.stderr] {
            said.push_str(&String::from_utf8_lossy(bytes));
        }
        output
    }

    /// Runs it, and gives its result where it ends with `code`.
    #[track_caller]
    pub fn expect(&self, code: i32, words: &[&str]) -> Value {
        let output = self.run(self.command(words));
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(code), "{words:?}: {text}\n{}", told(&output));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
    }

    pub fn deploy(&self, version: &str, code: i32) -> Value {
        self.expect(code, &["deploy", "--tag", version])
    }

    /// Starts it, and leaves it at work.
    pub fn spawn(&self, words: &[&str]) -> Child {
        let log = fs::File::create(self.path("spawned.log")).unwrap();
        let (out, err) = (log.try_clone().unwrap(), log);
        self.command(words).stdin(Stdio::null()).stdout(out).stderr(err).spawn().unwrap()
    }

    /// Asserts that a version serves, with what belongs to it, and that nothing is under way.
    #[track_caller]
    pub fn assert_serves(&self, version: &str) {
        for service in SERVICES {
            let inside = self.world().inside(service);
            let image = format!("shop/{service}:{version}");
            assert_eq!(inside.image.as_ref(), Some(&image), "{inside:?}");
            let mut variables = vec![("BY_HAND", "kept"), ("VERSION", version)];
            if service == "api" {
                variables.extend([("DATABASE_URL", SECRET), ("WHERE", "eu-1")]);
            }
            let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
            assert_eq!(inside.started_with, variables.collect(), "{inside:?}");
            assert!(!inside.is_busy, "{inside:?}");
        }
    }

    /// Asserts that the token stands in nothing that was said or is kept, and the secret in nothing
    /// that was said.
    pub fn assert_silent(&self) {
        let mut said = self.said.lock().unwrap().clone();
        said += &fs::read_to_string(self.path("spawned.log")).unwrap_or_default();
        assert!(said.contains("TRACE") && said.contains("127.0.0.1"), "it logs what it does");
        for secret in [TOKEN, SECRET] {
            assert!(!said.contains(secret), "{secret} was said");
        }
        let mut files = Vec::new();
        collect(&self.path("state"), &mut files);
        assert!(files.len() > 5, "{files:?}");
        for file in &files {
            let kept = String::from_utf8_lossy(&fs::read(file).unwrap()).into_owned();
            assert!(!kept.contains(TOKEN), "{} has the token", file.display());
            // A release and its backup can only be brought back with it.
            let may = file.ends_with("secrets.json") || file.iter().any(|part| part == "parts");
            assert!(may || !kept.contains(SECRET), "{} has it", file.display());
        }
        println!("{}: nothing in {} files and {} bytes", P::BACKEND, files.len(), said.len());
    }
}

/// What was said on standard error, without what the log has of details.
pub fn told(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr);
    let lines = text.lines().filter(|line| !line.contains("TRACE") && !line.contains("DEBUG"));
    lines.collect::<Vec<_>>().join("\n")
}

/// Waits until it is so.
#[track_caller]
pub fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_mins(1);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn collect(directory: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}
