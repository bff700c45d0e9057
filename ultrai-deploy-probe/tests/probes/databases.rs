//! Debian's Redis and PostgreSQL as processes of a test's own, on free ports of 127.0.0.1. They end,
//! with all that is in them, with the value that started them.

use std::{
    ffi::OsStr,
    fmt::Write,
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::net::TcpStream;

use crate::{certificates::Signed, lab::LONG};

/// A server that runs.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    child: Child,
    // Removed after the process has ended.
    pub(crate) directory: TempDir,
}

impl Server {
    /// Redis with these lines in its configuration, and TLS with a certificate on the port after
    /// that, where there is one.
    pub(crate) async fn redis(lines: &[&str], tls: Option<&Signed>) -> Self {
        Self::start(|directory, address| {
            let port = address.port();
            let mut config = format!("bind 127.0.0.1\nsave \"\"\ndir {}\n", directory.display());
            if let Some(signed) = tls {
                let (certificate, key) = write(directory, signed);
                let (certificate, key) = (certificate.display(), key.display());
                writeln!(config, "port 0\ntls-port {port}\ntls-auth-clients no").unwrap();
                writeln!(config, "tls-cert-file {certificate}\ntls-key-file {key}").unwrap();
            } else {
                writeln!(config, "port {port}").unwrap();
            }
            let file = directory.join("redis.conf");
            fs::write(&file, config + &lines.join("\n")).unwrap();
            let mut command = Command::new("redis-server");
            command.arg(file);
            (command, "redis-server")
        })
        .await
    }

    /// PostgreSQL with the data that `fill` makes, and these settings.
    pub(crate) async fn postgres(
        fill: impl Fn(&Path),
        settings: &[&str],
        tls: Option<&Signed>,
    ) -> Self {
        Self::start(|directory, address| {
            let data = directory.join("data");
            if !data.exists() {
                fill(&data);
            }
            let mut command = as_postgres(program("postgres"));
            command.arg("-D").arg(&data).arg("-p").arg(address.port().to_string());
            let fixed = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "fsync=off"];
            for setting in fixed.iter().chain(settings) {
                command.args(["-c", setting]);
            }
            if let Some(signed) = tls {
                let (certificate, key) = write(directory, signed);
                for (name, path) in [("ssl_cert_file", certificate), ("ssl_key_file", key)] {
                    give_to_postgres(&path);
                    command.arg("-c").arg(format!("{name}={}", path.display()));
                }
                command.args(["-c", "ssl=on"]);
            }
            (command, "postgresql")
        })
        .await
    }

    async fn start(make: impl Fn(&Path, SocketAddr) -> (Command, &'static str)) -> Self {
        let mut directory = TempDir::new().unwrap();
        give_to_postgres(directory.path());
        loop {
            let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
            let (mut command, package) = make(directory.path(), address);
            let log = fs::File::create(directory.path().join("log")).unwrap();
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log);
            let child =
                command.spawn().unwrap_or_else(|error| panic!("{}", missing(package, &error)));
            let mut server = Self { address, child, directory };
            if server.is_up().await {
                return server;
            }
            // Somebody else was faster to take the port.
            let log = fs::read_to_string(server.directory.path().join("log")).unwrap();
            assert!(log.contains("Address already in use"), "it does not start: {log}");
            directory = std::mem::replace(&mut server.directory, TempDir::new().unwrap());
        }
    }

    /// Whether it accepts connections; false when it has ended.
    async fn is_up(&mut self) -> bool {
        let up = async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            loop {
                looks.tick().await;
                if self.child.try_wait().unwrap().is_some() {
                    return false;
                }
                if TcpStream::connect(self.address).await.is_ok() {
                    return true;
                }
            }
        };
        let up = tokio::time::timeout(LONG, up).await;
        up.unwrap_or_else(|_late| panic!("it does not listen at {}", self.address))
    }

    /// Runs SQL as the administrator.
    pub(crate) fn sql(&self, password: &str, text: &str) {
        let mut psql = Command::new(program("psql"));
        psql.env("PGPASSWORD", password).args(["-h", "127.0.0.1", "-U", "postgres", "-v"]);
        psql.args(["ON_ERROR_STOP=1", "-q", "-p", &self.address.port().to_string(), "-c", text]);
        run(psql);
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Both end at once on it, and PostgreSQL gives its shared memory back, as it would not if it
        // were killed.
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw) {
            let _ended_already = kill_process(pid, Signal::INT);
        }
        let _status = self.child.wait();
    }
}

/// Data of a new server, whose administrator has this password.
pub(crate) fn new_data(password: &str) -> impl Fn(&Path) {
    move |data| {
        let file = data.with_file_name("password");
        fs::write(&file, password).unwrap();
        give_to_postgres(&file);
        let mut initdb = as_postgres(program("initdb"));
        initdb.args(["-U", "postgres", "-A", "scram-sha-256", "-E", "UTF8", "--locale=C", "-N"]);
        initdb.arg(format!("--pwfile={}", file.display())).arg("-D").arg(data);
        run(initdb);
    }
}

/// Data of a replica of another server.
pub(crate) fn copied_data(primary: &Server, password: &str) -> impl Fn(&Path) {
    let (port, password) = (primary.address.port().to_string(), password.to_owned());
    move |data| {
        let mut copy = as_postgres(program("pg_basebackup"));
        copy.env("PGPASSWORD", &password).args(["-h", "127.0.0.1", "-U", "postgres", "-p", &port]);
        copy.args(["-R", "-c", "fast", "-X", "stream", "--no-sync", "-D"]).arg(data);
        run(copy);
    }
}

fn run(mut command: Command) {
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{}", missing("postgresql", &error)));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{}: {said}", command.get_program().display());
}

fn missing(package: &str, error: &io::Error) -> String {
    format!("{error}: install the Debian package {package}")
}

/// A program of the newest PostgreSQL; Debian keeps each version's in a directory of its own.
fn program(name: &str) -> PathBuf {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let number = |path: &Path| path.file_name()?.to_str()?.parse::<u32>().ok();
    let newest = versions.map(|version| version.path()).max_by_key(|path| number(path));
    let program = newest.map(|version| version.join("bin").join(name));
    program
        .filter(|program| program.exists())
        .unwrap_or_else(|| panic!("{name} is missing: install the Debian package postgresql"))
}

/// PostgreSQL refuses to run as root.
fn as_postgres(program: impl AsRef<OsStr>) -> Command {
    if !rustix::process::geteuid().is_root() {
        return Command::new(program);
    }
    let mut command = Command::new("setpriv");
    command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "--"]).arg(program);
    // It need not be able to read the directory in which the test runs.
    command.current_dir("/");
    command
}

fn give_to_postgres(path: &Path) {
    if rustix::process::geteuid().is_root() {
        let mut chown = Command::new("chown");
        chown.arg("postgres:postgres").arg(path);
        run(chown);
    }
}

/// Writes a certificate and its key, which nobody else may read: PostgreSQL insists on it.
fn write(directory: &Path, signed: &Signed) -> (PathBuf, PathBuf) {
    use std::os::unix::fs::PermissionsExt;
    let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
    fs::write(&certificate, &signed.pem).unwrap();
    fs::write(&key, &signed.key_pem).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    (certificate, key)
}
