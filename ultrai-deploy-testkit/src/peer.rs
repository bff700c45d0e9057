//! Servers that nobody here wrote, as processes of a test: what `scripts/peers` installs.
//!
//! A process ends with the value that stands for it, also when the test panics, and with the test
//! itself, however that ends: its standard input is a pipe that the test holds, and whatever the
//! script does, it stops when that is closed.

use std::{
    env,
    ffi::OsStr,
    fmt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, BufReader},
    process::Child,
    sync::watch,
    task::JoinSet,
};

/// Where the servers are, instead of where `scripts/peers` says.
const VARIABLE: &str = "ULTRAI_PEERS";
/// Leaves out the tests that talk to them.
const SKIP: &str = "ULTRAI_SKIP_PEERS";
/// Long enough for any machine.
const LONG: Duration = Duration::from_mins(1);
/// The last word before the address that a server is reached at, in the line that says it is ready.
const READY: &str = "listening on ";
/// Ends the process when whoever started it is no more.
const ENDS_WITH_INPUT: &str =
    "data:text/javascript,process.stdin.on('end',()=>process.exit(0)).resume()";

/// Why a test that talks to these servers is left out, where somebody asked for that; the test says so.
pub fn left_out() -> Option<String> {
    let is_set = |name: &&str| env::var_os(name).is_some();
    let name = [SKIP, "ULTRAI_SKIP_CONTRACTS"].into_iter().find(is_set)?;
    Some(format!("LEFT OUT: {name} is set, and this talks to a server made from the contracts"))
}

/// The directory with the `node_modules` of the servers. `root` is that of the repository.
///
/// # Panics
/// When there is none, with advice.
pub fn directory(root: &Path) -> PathBuf {
    if let Some(directory) = env::var_os(VARIABLE) {
        return directory.into();
    }
    let script = root.join("scripts/peers");
    match Command::new(&script).stdin(Stdio::null()).output() {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim_end().into()
        }
        Ok(output) => panic!(
            "{}or set {SKIP}=1 to leave such tests out",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => panic!("{}: {error}: set {VARIABLE}", script.display()),
    }
}

/// A server that runs.
pub struct Peer {
    address: String,
    lines: Arc<Mutex<Vec<String>>>,
    seen: watch::Receiver<usize>,
    // Killed and waited for when it is dropped.
    _child: Child,
    _reading: JoinSet<()>,
}

impl Peer {
    /// Runs a Node script with arguments, and waits until it says `… listening on http://…`, which
    /// it has to say of a port that it found free.
    ///
    /// # Panics
    /// When it does not get there, with what it said.
    pub async fn start<A: AsRef<OsStr>>(
        script: &Path,
        arguments: impl IntoIterator<Item = A>,
    ) -> Self {
        let mut command = Command::new("node");
        command.args(["--import", ENDS_WITH_INPUT]).arg(script).args(arguments);
        // Colours would be part of what it says.
        command.env("NO_COLOR", "1").env("FORCE_COLOR", "0").env_remove("NODE_OPTIONS");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        let mut child = match command.kill_on_drop(true).spawn() {
            Ok(child) => child,
            Err(error) => panic!("node: {error}: install it, as the Debian package nodejs"),
        };
        let lines = Arc::new(Mutex::new(Vec::new()));
        let (count, seen) = watch::channel(0);
        let count = Arc::new(count);
        let mut reading = JoinSet::new();
        if let Some(out) = child.stdout.take() {
            reading.spawn(read(out, Arc::clone(&lines), Arc::clone(&count)));
        }
        if let Some(errors) = child.stderr.take() {
            reading.spawn(read(errors, Arc::clone(&lines), count));
        }
        let mut peer =
            Self { address: String::new(), lines, seen, _child: child, _reading: reading };
        let find = |lines: &[String]| lines.iter().find_map(|line| address(line));
        peer.address = peer.wait_for("to say that it listens", find).await;
        peer
    }

    /// The address that it said: `http://127.0.0.1:4010`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What it said so far, line by line.
    pub fn said(&self) -> Vec<String> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until `find` finds something in what it said. `what` says in a failure what it is waited
    /// for: `to say that it listens`.
    ///
    /// # Panics
    /// When the server ends, or a minute is over.
    pub async fn wait_for<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let mut seen = self.seen.clone();
        let found = async {
            loop {
                seen.mark_unchanged();
                if let Some(found) = find(&self.said()) {
                    return Some(found);
                }
                seen.changed().await.ok()?;
            }
        };
        let why = match tokio::time::timeout(LONG, found).await {
            Ok(Some(found)) => return found,
            Ok(None) => "ended",
            Err(_elapsed) => "took too long",
        };
        panic!("the server was {what}, and {why}:\n{}", self.said().join("\n"))
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("address", &self.address).finish_non_exhaustive()
    }
}

fn address(line: &str) -> Option<String> {
    let (_, rest) = line.split_once(READY)?;
    let address = rest.split_whitespace().next()?;
    address.starts_with("http://").then(|| address.to_owned())
}

async fn read(
    from: impl AsyncRead + Unpin,
    lines: Arc<Mutex<Vec<String>>>,
    count: Arc<watch::Sender<usize>>,
) {
    let mut from = BufReader::new(from).lines();
    while let Ok(Some(line)) = from.next_line().await {
        lines.lock().unwrap_or_else(PoisonError::into_inner).push(line);
        count.send_modify(|count| *count += 1);
    }
}
