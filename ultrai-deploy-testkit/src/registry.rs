//! An image registry of a test's own: Debian's `docker-registry` as a process, on a free port of
//! 127.0.0.1, which engines talk to without TLS.

use std::{
    fmt::{self, Write},
    fs, io,
    net::{SocketAddr, TcpListener},
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    net::TcpStream,
    process::{Child, Command},
};

/// Who may log in where a login is wanted.
pub const USER: &str = "shop";
/// The password. The base64 of a login with it differs between the alphabets that there are.
pub const PASSWORD: &str = "pa?>~ss-word";
/// `htpasswd -Bbn -C 4 shop 'pa?>~ss-word'`.
const HTPASSWD: &str = "shop:$2y$04$ZRksYW/b5p83.aNtEmNZ6uQcRc5H7yUwXk330bILgukGpyl.bdE5m\n";
/// Long enough for any machine.
const LONG: Duration = Duration::from_secs(30);

/// A registry that runs; it ends, with all that is in it, with this value.
pub struct Registry {
    address: SocketAddr,
    directory: TempDir,
    // Killed when it is dropped.
    child: Child,
}

/// Who may pull and push.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Everybody.
    Open,
    /// [`USER`] with [`PASSWORD`].
    Login,
}

impl Registry {
    /// Starts one, and waits until it answers.
    ///
    /// # Panics
    /// When the program is missing, with advice, and when it does not get there.
    pub async fn start(access: Access) -> Self {
        let mut directory = TempDir::new().unwrap_or_else(|error| panic!("a directory: {error}"));
        loop {
            let address = free().unwrap_or_else(|error| panic!("a free port: {error}"));
            let child = spawn(directory.path(), address, access)
                .unwrap_or_else(|error| panic!("the registry's files: {error}"));
            let mut registry = Self { address, directory, child };
            if registry.is_up().await {
                return registry;
            }
            // Somebody else was faster to take the port.
            directory = registry.directory;
        }
    }

    /// Where it is, as image references begin: `127.0.0.1:40123`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// Forgets a repository with all its tags, as one who cleans up would have it.
    ///
    /// # Panics
    /// When there is no such repository.
    pub fn forget(&self, repository: &str) {
        let path = self.directory.path().join("data/docker/registry/v2/repositories");
        fs::remove_dir_all(path.join(repository))
            .unwrap_or_else(|error| panic!("{repository}: {error}"));
    }

    /// What it wrote.
    pub fn log(&self) -> String {
        fs::read_to_string(log(self.directory.path())).unwrap_or_default()
    }

    /// Whether it answers; false when it has ended.
    async fn is_up(&mut self) -> bool {
        let up = async {
            let mut looks = tokio::time::interval(Duration::from_millis(20));
            loop {
                looks.tick().await;
                if matches!(self.child.try_wait(), Ok(Some(_))) {
                    return false;
                }
                if TcpStream::connect(self.address).await.is_ok() {
                    return true;
                }
            }
        };
        let is_up = tokio::time::timeout(LONG, up).await;
        is_up.unwrap_or_else(|_late| panic!("docker-registry does not answer: {}", self.log()))
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("address", &self.address).finish_non_exhaustive()
    }
}

fn free() -> io::Result<SocketAddr> {
    TcpListener::bind("127.0.0.1:0")?.local_addr()
}

fn log(directory: &Path) -> PathBuf {
    directory.join("log")
}

fn spawn(directory: &Path, address: SocketAddr, access: Access) -> io::Result<Child> {
    let passwords = directory.join("htpasswd");
    fs::write(&passwords, HTPASSWD)?;
    let mut config = format!(
        "version: 0.1\nlog: {{ level: warn, accesslog: {{ disabled: true }} }}\n\
         storage: {{ filesystem: {{ rootdirectory: '{}' }} }}\nhttp: {{ addr: '{address}' }}\n",
        directory.join("data").display(),
    );
    if access == Access::Login {
        let path = passwords.display();
        let _infallible =
            writeln!(config, "auth: {{ htpasswd: {{ realm: test, path: '{path}' }} }}");
    }
    let file = directory.join("config.yml");
    fs::write(&file, config)?;
    let errors = fs::File::create(log(directory))?;
    let mut command = Command::new("docker-registry");
    command.arg("serve").arg(&file).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors);
    Ok(command.kill_on_drop(true).spawn().unwrap_or_else(|error| {
        panic!("docker-registry: {error}: install it, as the Debian package docker-registry")
    }))
}
