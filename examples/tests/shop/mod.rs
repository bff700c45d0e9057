//! The sample application in a directory and a compose project of its own, deployed by the real
//! `ultrai` to the engine that `ULTRAI_TEST_DOCKER_HOST` names.

#![allow(dead_code, reason = "every test file uses a part of it")]

pub mod load;

use std::{
    collections::BTreeMap,
    fs,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;

/// Longest time of one command.
pub const PATIENCE: Duration = Duration::from_mins(2);

pub struct Shop {
    pub directory: TempDir,
    pub project: String,
    pub env: BTreeMap<String, String>,
    host: String,
}

/// What a command printed.
pub struct Answer {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out)
            .unwrap_or_else(|error| panic!("{error} in {}\n{}", self.out, self.err))
    }

    pub fn expect(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.out, self.err);
        self
    }
}

impl Shop {
    /// The compose file of the pipeline plan as it stands there, on free ports.
    pub fn sources() -> Self {
        let app = Path::new(env!("CARGO_MANIFEST_DIR")).join("app/docker-compose.yml");
        let shop = Self::new(&fs::read_to_string(app).unwrap());
        for context in ["frontend", "backend"] {
            fs::create_dir_all(shop.path(context)).unwrap();
        }
        shop
    }

    /// A compose file of one's own. `PORT_A` to `PORT_D` and the sources' port variables are free
    /// ports.
    pub fn new(compose: &str) -> Self {
        Self::on(engine(), compose)
    }

    /// The same on an engine of one's own.
    pub fn on(host: String, compose: &str) -> Self {
        let directory = tempfile::Builder::new().prefix("ultrai-shop-").tempdir().unwrap();
        let suffix = directory.path().file_name().unwrap().to_string_lossy().to_lowercase();
        let suffix: String = suffix.chars().filter(char::is_ascii_alphanumeric).collect();
        let shop = Self { project: format!("t{suffix}"), directory, env: BTreeMap::new(), host };
        let ports = free_ports::<8>();
        let names = [
            "FRONTEND_PORT",
            "BACKEND_PORT",
            "MONGODB_PORT",
            "REDIS_PORT",
            "PORT_A",
            "PORT_B",
            "PORT_C",
            "PORT_D",
        ];
        let mut shop = shop;
        for (name, port) in names.into_iter().zip(ports) {
            shop.env.insert(name.to_owned(), port.to_string());
        }
        for key in ["OPENAI_API_KEY", "CLAUDE_API_KEY", "COHERE_API_KEY"] {
            shop.env.insert(key.to_owned(), format!("sk-test-{}", key.to_lowercase()));
        }
        shop.write("docker-compose.yml", compose);
        shop.configure("");
        shop
    }

    /// Writes deploy.toml: the project's name, `more`, and checks of the backend.
    pub fn configure(&self, more: &str) {
        let text =
            format!("project = \"{}\"\nsecrets = [\"OPENAI_API_KEY\"]\n{more}\n", self.project);
        self.write("deploy.toml", &text);
    }

    /// The checks of the sources for the backend.
    pub fn with_checks(self) -> Self {
        self.configure(&format!(
            r#"{}
[[check]]
name = "models"
path = "/api/models"
status = [200, 401]
when = "post"
deadline = "2s"
"#,
            self.checks()
        ));
        self
    }

    /// The checks at the switch, and the tests that are in the backend's image.
    pub fn with_tests(self) -> Self {
        self.configure(&format!(
            r#"{}
[[test]]
name = "pre-deploy"
service = "backend"
command = ["/app/tests/pre-deploy.sh"]
when = "pre"
timeout = "1m"
[[test]]
name = "post-deploy"
service = "backend"
command = ["/app/tests/post-deploy.sh"]
when = "post"
timeout = "1m"
"#,
            self.checks()
        ));
        self
    }

    fn checks(&self) -> String {
        format!(
            r#"
[environments.production]
base_url = "http://127.0.0.1:{}"
[[check]]
name = "backend health over http"
path = "/health"
json = {{ "/status" = "healthy" }}
deadline = "6s"
[[check]]
name = "redis"
path = "/health/redis"
json = {{ "/status" = "connected" }}
deadline = "6s"
[[check]]
name = "version"
path = "/api/v1/version"
version_at = "/version"
deadline = "6s"
"#,
            self.env["BACKEND_PORT"]
        )
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    pub fn state(&self) -> PathBuf {
        self.path("state").join(&self.project).join("production")
    }

    /// `ultrai` with these words, ready to start.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_ultrai"));
        command
            .arg("--state")
            .arg(self.path("state"))
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.directory.path())
            .env("DOCKER_HOST", &self.host)
            .envs(&self.env)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }

    pub fn ultrai(&self, words: &[&str]) -> Answer {
        answer(&self.command(words).output().unwrap())
    }

    /// Deploys a version without building; gives the JSON report.
    pub fn deploy(&self, version: &str, code: i32) -> Value {
        self.deploy_with(version, &[], code)
    }

    pub fn deploy_with(&self, version: &str, more: &[&str], code: i32) -> Value {
        let mut words = vec![
            "--format",
            "json",
            "deploy",
            "-e",
            "production",
            "--tag",
            version,
            "--skip-build",
        ];
        words.extend(more);
        self.ultrai(&words).expect(code).json()
    }

    pub fn docker(&self, words: &[&str]) -> String {
        let output = Command::new("docker")
            .arg("-H")
            .arg(&self.host)
            .args(words)
            .output()
            .expect("the docker client is needed: run scripts/test --install");
        let answer = answer(&output);
        assert_eq!(answer.code, 0, "docker {words:?}: {}", answer.err);
        answer.out
    }

    /// The real Compose in this project.
    pub fn compose(&self, oracle: &str, words: &[&str]) -> Answer {
        let output = Command::new("timeout")
            .args(["90", oracle, "-p", &self.project, "-f", "docker-compose.yml"])
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .env("HOME", self.directory.path())
            .env("DOCKER_HOST", &self.host)
            .envs(&self.env)
            .stdin(Stdio::null())
            .output()
            .unwrap();
        answer(&output)
    }

    /// All containers of the project: name → id and start time; running ones only, or all.
    pub fn containers(&self, all: bool) -> BTreeMap<String, (String, String)> {
        let label = format!("label=com.docker.compose.project={}", self.project);
        let mut words = vec!["ps", "--no-trunc", "--filter", &label, "--format", "{{.ID}}"];
        if all {
            words.push("-a");
        }
        let ids = self.docker(&words);
        let format = "{{.Name}} {{.Id}} {{.State.StartedAt}}";
        let mut words = vec!["inspect", "-f", format];
        words.extend(ids.split_whitespace());
        if words.len() == 3 {
            return BTreeMap::new();
        }
        self.docker(&words)
            .lines()
            .map(|line| {
                let mut parts = line.split(' ').map(str::to_owned);
                let name = parts.next().unwrap();
                let service =
                    name.trim_start_matches('/').replace(&format!("{}-", self.project), "");
                (service, (parts.next().unwrap(), parts.next().unwrap()))
            })
            .collect()
    }

    /// Everything that carries the project's name: containers, networks, volumes.
    pub fn everything(&self) -> Vec<String> {
        let name = format!("name={}", self.project);
        let mut found = Vec::new();
        for (kind, words) in [
            ("container", vec!["ps", "-a", "--filter", &name, "--format", "{{.Names}}"]),
            ("network", vec!["network", "ls", "--filter", &name, "--format", "{{.Name}}"]),
            ("volume", vec!["volume", "ls", "--filter", &name, "--format", "{{.Name}}"]),
        ] {
            let names = self.docker(&words);
            found.extend(names.lines().map(|name| format!("{kind} {name}")));
        }
        found.sort();
        found
    }

    pub fn http(&self, port: &str, path: &str) -> Option<(u16, String)> {
        http(&self.env[port], path)
    }
}

/// Status and body of what is asked for at a port of this host.
pub fn http(port: &str, path: &str) -> Option<(u16, String)> {
    use std::io::{Read, Write};
    let address = format!("127.0.0.1:{port}").parse().unwrap();
    let mut stream = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(2)).ok()?;
    stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut text = String::new();
    stream.read_to_string(&mut text).ok()?;
    let code = text.split(' ').nth(1)?.parse().ok()?;
    Some((code, text.split_once("\r\n\r\n")?.1.to_owned()))
}

impl Drop for Shop {
    fn drop(&mut self) {
        // Best effort: the engine belongs to the tests and goes away with them.
        let clean = |list: &[&str], remove: &[&str]| {
            let docker = |words: &[&str]| {
                Command::new("docker").arg("-H").arg(&self.host).args(words).output()
            };
            if let Ok(found) = docker(list) {
                let names = String::from_utf8_lossy(&found.stdout).into_owned();
                let mut words = remove.to_vec();
                words.extend(names.split_whitespace());
                if words.len() > remove.len() {
                    let _best_effort = docker(&words);
                }
            }
        };
        let name = format!("name={}", self.project);
        clean(&["ps", "-aq", "--filter", &name], &["rm", "-fv"]);
        clean(&["network", "ls", "-q", "--filter", &name], &["network", "rm"]);
        clean(&["volume", "ls", "-q", "--filter", &name], &["volume", "rm", "-f"]);
        let label = format!("label=com.docker.compose.project={}", self.project);
        clean(&["image", "ls", "-q", "--filter", &label], &["image", "rm", "-f"]);
    }
}

/// The engine of the tests.
pub fn engine() -> String {
    std::env::var("ULTRAI_TEST_DOCKER_HOST").expect(
        "ULTRAI_TEST_DOCKER_HOST must name a Docker Engine for tests: run scripts/test, or \
         eval \"$(scripts/test-engine env)\" after scripts/test-engine start and \
         scripts/test-images",
    )
}

/// The real Compose, or nothing when leaving it out was asked for.
pub fn oracle() -> Option<String> {
    if std::env::var("ULTRAI_SKIP_ORACLE").is_ok_and(|skip| skip == "1") {
        println!("SKIPPED on request: ULTRAI_SKIP_ORACLE=1");
        return None;
    }
    Some(std::env::var("ULTRAI_COMPOSE_ORACLE").expect(
        "ULTRAI_COMPOSE_ORACLE must name a docker-compose binary: run scripts/test, or set \
         ULTRAI_SKIP_ORACLE=1",
    ))
}

fn free_ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

fn answer(output: &Output) -> Answer {
    Answer {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}
