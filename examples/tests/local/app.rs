//! An application of local processes in a directory of its own, deployed by the real `ultrai`.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// The program, which is also the application.
pub const ULTRAI: &str = env!("CARGO_BIN_EXE_ultrai");

pub struct App {
    directory: TempDir,
}

impl App {
    pub fn new() -> Self {
        Self { directory: tempfile::Builder::new().prefix("ultrai-app-").tempdir().unwrap() }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Writes a dotenv file for its owner only.
    pub fn write_env(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o600)).unwrap();
    }

    /// Writes deploy.toml: one service `web`, the demonstration application. `web` are further
    /// lines of the service, `env` its variables, and `more` is what stands below it.
    pub fn configure(&self, program: &str, web: &str, env: &str, more: &str) {
        let text = format!(
            "project = \"shop\"\nbackend = \"local\"\n\
             [services.web]\ncommand = [\"{program}\", \"demo-app\"]\n{web}\nenv = {{ {env} }}\n\
             [services.web.health]\npath = \"/health\"\ndeadline = \"3s\"\n{more}\n"
        );
        fs::write(self.path("deploy.toml"), text).unwrap();
    }

    /// The same with a test after the switch that ends with `code`. `policy` are the lines of
    /// `[policy]`.
    pub fn configure_tested(&self, version: &str, code: u8, policy: &str) {
        let env = format!("APP_VERSION = \"{version}\", CODE = \"{code}\"");
        let more = format!(
            "[policy]\n{policy}\n[[test]]\nname = \"after\"\nservice = \"web\"\n\
             command = [\"sh\", \"-c\", \"exit $CODE\"]\nwhen = \"post\"\n"
        );
        self.configure(ULTRAI, "port = \"auto\"", &env, &more);
    }

    /// Adds lines to deploy.toml.
    pub fn add(&self, lines: &str) {
        let text = fs::read_to_string(self.path("deploy.toml")).unwrap();
        fs::write(self.path("deploy.toml"), format!("{text}{lines}\n")).unwrap();
    }

    /// The version that whoever has the traffic answers.
    pub fn version(&self) -> String {
        let ports = fs::read(self.path("state/shop/production/current-ports.json")).unwrap();
        let ports: Value = serde_json::from_slice(&ports).unwrap();
        let port = ports["web"]["port"].as_u64().unwrap();
        let mut stream = TcpStream::connect(("127.0.0.1", u16::try_from(port).unwrap())).unwrap();
        write!(stream, "GET /api/v1/version HTTP/1.0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        let body: Value = serde_json::from_str(body).unwrap();
        body["version"].as_str().unwrap().to_owned()
    }

    /// `ultrai` with these words, its results in JSON.
    pub fn ultrai(&self, words: &[&str]) -> Output {
        Command::new(ULTRAI)
            .arg("--state")
            .arg(self.path("state"))
            .args(["--format", "json"])
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin")
            .output()
            .unwrap()
    }

    /// The same in production, with the exit code that is expected.
    pub fn expect(&self, code: i32, words: &[&str]) -> Value {
        let output = self.ultrai(&[words, &["-e", "production"]].concat());
        assert_eq!(output.status.code(), Some(code), "{words:?}: {}", said(&output));
        json(&output)
    }

    /// A command that was told, as a person would run it.
    pub fn shell(&self, command: &str) -> Output {
        Command::new("sh")
            .args(["-c", command])
            .current_dir(self.directory.path())
            .env("PATH", format!("{}:/usr/bin:/bin", Path::new(ULTRAI).parent().unwrap().display()))
            .output()
            .unwrap()
    }

    pub fn deploy(&self, version: &str, code: i32) -> Value {
        self.expect(code, &["deploy", "--tag", version])
    }

    /// The processes of the application that run, by the directories that they run in.
    pub fn processes(&self) -> Vec<i32> {
        let below = fs::canonicalize(self.directory.path()).unwrap();
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap() {
            let path = entry.unwrap().path();
            let Ok(cwd) = fs::read_link(path.join("cwd")) else { continue };
            let pid = path.file_name().and_then(|name| name.to_str()?.parse::<i32>().ok());
            found.extend(pid.filter(|_| cwd.starts_with(&below)));
        }
        found
    }
}

impl Drop for App {
    /// The processes outlive the program that started them; the test ends them.
    fn drop(&mut self) {
        for pid in self.processes().into_iter().filter_map(Pid::from_raw) {
            // One that has ended meanwhile is fine.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
}

pub fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", said(output)))
}

pub fn said(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    format!("{}\n{}", text(&output.stdout), text(&output.stderr))
}

/// A port that nothing listens on.
pub fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}
