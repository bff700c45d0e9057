//! One run of k6: bounded in time and output, and never left behind.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    os::unix::{fs::PermissionsExt, process::ExitStatusExt},
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, Command},
    time::timeout,
};
use ultrai_deploy_core::{
    Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    redact::Redactor,
};

/// k6 ends with it when a threshold was not kept (`errext/exitcodes` of k6).
const THRESHOLDS_FAILED: i32 = 99;
/// How much of each output is kept, in bytes: its end.
const KEPT: usize = 4 * 1024;
/// How many of the last lines are shown.
const LINES: usize = 8;
/// How long output may take to arrive that was written before the program ended.
const DRAIN: Duration = Duration::from_millis(500);

/// The program k6.
#[derive(Clone, Debug)]
pub struct K6(Where);

#[derive(Clone, Debug)]
enum Where {
    At(PathBuf),
    Path(OsString),
}

/// What came of a run.
#[derive(Debug)]
pub(super) struct Ran {
    pub(super) has_passed: bool,
    /// What `--summary-export` wrote.
    pub(super) summary: Vec<u8>,
    /// The end of what it printed.
    pub(super) tail: String,
}

impl K6 {
    /// This program.
    pub fn at(program: impl Into<PathBuf>) -> Self {
        Self(Where::At(program.into()))
    }

    /// The first `k6` in the directories of `path`, which has the form of the variable `PATH`; looked
    /// for at each run.
    pub fn on_path(path: impl Into<OsString>) -> Self {
        Self(Where::Path(path.into()))
    }

    /// Runs a script. Its variables are all that its environment has.
    pub(super) async fn run(
        &self,
        script: &str,
        variables: BTreeMap<String, String>,
        limit: Duration,
        redactor: &Redactor,
    ) -> Result<Ran> {
        let program = self.find()?;
        let (directory, text) = (directory().await?, script.to_owned());
        let (file, export) = (directory.path().join("script.js"), directory.path().join("summary"));
        tokio::fs::write(&file, text).await.map_err(unwritten)?;
        let mut command = Command::new(&program);
        command
            .args(["run", "--quiet", "--no-color", "--no-usage-report", "--summary-export"])
            .arg(&export)
            .arg(&file)
            .env_clear()
            .envs(variables)
            .env("HOME", directory.path())
            .current_dir(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| {
            let message = format!("{} does not start", program.display());
            failed(ErrorKind::Unavailable, message).with_source(source)
        })?;
        let group = Group::of(&child);
        let (mut out, mut err) = (Tail::default(), Tail::default());
        let ended = timeout(limit, follow(&mut child, &group, &mut out, &mut err)).await;
        drop(group);
        let tail = redactor.text(&format!("{}{}", out.text(), err.text()));
        let told = |error: Error| {
            let evidence =
                (!tail.is_empty()).then(|| Evidence::new(EvidenceKind::Log, "k6", &tail));
            let last = redactor.text(&err.last());
            let error = if last.is_empty() { error } else { error.with_source(last) };
            error.with_evidence(evidence)
        };
        let status = match ended {
            Err(_) => {
                let message = format!("it did not end within {limit:?} and was killed");
                return Err(told(failed(ErrorKind::Timeout, message))
                    .with_advice("raise duration_limit, or shorten the script"));
            }
            Ok(Err(source)) => {
                return Err(failed(ErrorKind::Io, "its output cannot be read").with_source(source));
            }
            Ok(Ok(status)) => status,
        };
        if !(status.success() || status.code() == Some(THRESHOLDS_FAILED)) {
            return Err(told(failed(ErrorKind::Unexpected, how(status)))
                .with_advice("run the script with k6 by hand"));
        }
        let summary = tokio::fs::read(&export).await.map_err(|source| {
            told(failed(ErrorKind::Io, "it wrote no summary").with_source(source))
        })?;
        Ok(Ran { has_passed: status.success(), summary, tail })
    }

    fn find(&self) -> Result<PathBuf> {
        let found = match &self.0 {
            Where::At(program) => is_program(program).then(|| program.clone()),
            Where::Path(path) => std::env::split_paths(path)
                .map(|directory| directory.join("k6"))
                .find(|program| is_program(program)),
        };
        found.ok_or_else(|| {
            failed(ErrorKind::NotFound, "there is no k6").with_advice(
                "install it (https://grafana.com/docs/k6/latest/set-up/install-k6) and see that \
                 PATH leads to it",
            )
        })
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

/// A directory that goes away when it is dropped.
async fn directory() -> Result<tempfile::TempDir> {
    let made = tokio::task::spawn_blocking(|| tempfile::Builder::new().prefix("k6-").tempdir());
    made.await.map_err(io::Error::other).flatten().map_err(unwritten)
}

fn unwritten(source: io::Error) -> Error {
    failed(ErrorKind::Io, "its script cannot be written").with_source(source)
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("it failed with exit code {code}"),
        (None, Some(signal)) => format!("it was ended by signal {signal}"),
        (None, None) => "it ended in an unknown way".to_owned(),
    }
}

fn failed(kind: ErrorKind, message: impl Into<String>) -> Error {
    Error::new(kind, "run k6", message).without_effect()
}

/// A process group that is killed when it is dropped.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may be gone already.
            let _gone = rustix::process::kill_process_group(group, Signal::KILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads until the program and its output have ended.
async fn follow(
    child: &mut Child,
    group: &Group,
    out: &mut Tail,
    err: &mut Tail,
) -> io::Result<ExitStatus> {
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let reading = async {
        let (out, err) = tokio::join!(out.read(stdout), err.read(stderr));
        out.and(err)
    };
    tokio::pin!(reading);
    tokio::select! {
        biased;
        read = &mut reading => {
            read?;
            child.wait().await
        }
        status = child.wait() => {
            // What it left in the background would hold the pipes open.
            group.kill();
            if let Ok(read) = timeout(DRAIN, reading).await {
                read?;
            }
            status
        }
    }
}

/// The end of what is printed, however much that is.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn read(&mut self, pipe: Option<impl AsyncRead + Unpin>) -> io::Result<()> {
        let Some(mut pipe) = pipe else { return Ok(()) };
        let mut piece = [0_u8; 4096];
        loop {
            let length = pipe.read(&mut piece).await?;
            if length == 0 {
                return Ok(());
            }
            self.0.extend_from_slice(&piece[..length]);
            let old = self.0.len().saturating_sub(KEPT);
            self.0.drain(..old);
        }
    }

    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        let plain = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
        last.iter().flat_map(|line| [*line, "\n"]).collect::<String>().chars().map(plain).collect()
    }

    fn last(&self) -> String {
        self.text().lines().next_back().unwrap_or_default().to_owned()
    }
}
