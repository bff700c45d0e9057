//! The directory of a project that has a secret from everywhere, and commands in it after each of
//! which everything that was written is searched.

use std::{
    fs,
    io::{Read, Write},
    net::TcpListener,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::{Duration, Instant},
};

use crate::{
    search,
    values::{
        API_KEY, COMMANDED, DECLARED, HEADER, PASSWORD, PEM, PROCESS, REGISTRY_PASSWORD, SOURCED,
        SPECIAL, TASK,
    },
};

/// What a person wrote, beside deploy.toml; all else was written by the program.
const INPUTS: [&str; 4] = [".env", ".env.api_keys", "production.env", "keys"];
/// Searched apart from the rest.
const APART: [&str; 2] = ["state", "said"];
/// Longest time of one command.
const PATIENCE: Duration = Duration::from_mins(2);

/// The lines that deploy.toml begins with, tables behind them.
pub const SECRETS: &str = r#"secrets = ["DECLARED", "SOURCED", "COMMANDED", "PROCESS", "PASSWORD", "SPECIAL", "HEADER", "TASK", "REGISTRY_PASSWORD", "ELSEWHERE"]
"#;
/// Where secrets come from besides dotenv files.
pub const SOURCES: &str = r#"
[[secret_source]]
kind = "environment"
[[secret_source]]
kind = "directory"
path = "keys/directory"
[[secret_source]]
kind = "command"
command = ["cat", "keys/commanded"]
only = ["COMMANDED"]
"#;

/// Writes all files that hold values, for their owner only.
pub fn write_secrets(root: &Path) {
    for directory in ["keys/directory", "tmp", "home"] {
        fs::create_dir_all(root.join(directory)).unwrap();
    }
    let dotenv = format!(
        "DECLARED={}\nTASK={}\nPASSWORD={}\nDERIVED=redis://:${{PASSWORD}}@redis\n",
        DECLARED.value, TASK.value, PASSWORD.value
    );
    private(root, ".env", &dotenv);
    private(root, ".env.template", "TEMPLATED=redis://:{{PASSWORD}}@redis/1\n");
    private(root, ".env.api_keys", &format!("API_KEY={}\nPEM='{}'\n", API_KEY.value, PEM.value));
    for canary in [SOURCED, SPECIAL, HEADER, REGISTRY_PASSWORD] {
        private(root, &format!("keys/directory/{}", canary.name), &format!("{}\n", canary.value));
    }
    private(root, "keys/commanded", COMMANDED.value);
}

/// Writes a file for its owner only.
pub fn private(root: &Path, name: &str, text: &str) {
    fs::write(root.join(name), text).unwrap();
    fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o600)).unwrap();
}

/// Answers with what it was asked, headers and all: 200 to `/good`, else 500.
pub fn echo() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    // It ends with the test's process.
    let _runs = thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut asked = Vec::new();
            let mut buffer = [0; 4096];
            while !asked.windows(4).any(|part| part == b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => asked.extend(&buffer[..count]),
                }
            }
            let status = if asked.starts_with(b"GET /good") { 200 } else { 500 };
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                asked.len()
            );
            let _gone = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(&asked));
        }
    });
    url
}

/// A check that sends a secret, which `echo` sends back.
pub fn check(echo: &str, path: &str) -> String {
    format!(
        "[[check]]\nname = \"echo\"\nurl = \"{echo}/{path}\"\n\
         secret_headers = {{ Authorization = \"HEADER\" }}\ndeadline = \"300ms\"\n"
    )
}

/// Where commands run, and what was searched so far.
pub struct Ground {
    root: PathBuf,
    may: fn(&Path) -> bool,
    runs: AtomicUsize,
    /// What was searched, and has not changed since.
    seen: search::Seen,
    pub bytes: AtomicUsize,
    pub files: AtomicUsize,
}

/// A command that is at work.
pub struct Started {
    child: Child,
    words: String,
    out: PathBuf,
    err: PathBuf,
}

impl Started {
    /// SIGKILL.
    pub fn kill(&mut self) {
        self.child.kill().unwrap();
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ground {
    /// `may` tells what below `state` may hold secrets.
    pub fn new(root: &Path, may: fn(&Path) -> bool) -> Self {
        let root = root.to_owned();
        Self {
            root,
            may,
            runs: 0.into(),
            seen: search::Seen::default(),
            bytes: 0.into(),
            files: 0.into(),
        }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    /// Starts a command that logs everything.
    pub fn start(&self, mut command: Command) -> Started {
        let run = self.runs.fetch_add(1, Ordering::Relaxed);
        fs::create_dir_all(self.path("said")).unwrap();
        let [out, err] = ["out", "err"].map(|end| self.path(&format!("said/{run}.{end}")));
        let file = |path: &Path| fs::File::create(path).unwrap();
        command
            .env("ULTRAI_LOG", "trace")
            .env("TMPDIR", self.path("tmp"))
            .env("HOME", self.path("home"))
            .env(PROCESS.name, PROCESS.value)
            .stdin(Stdio::null())
            .stdout(file(&out))
            .stderr(file(&err));
        let words: Vec<_> = command.get_args().map(|word| word.to_string_lossy()).collect();
        let words = words.join(" ");
        Started { child: command.spawn().unwrap(), words, out, err }
    }

    /// Waits for its end, looks at all processes meanwhile, and searches everything.
    #[track_caller]
    pub fn end(&self, mut started: Started) -> Ended {
        let began = Instant::now();
        let deadline = began + PATIENCE;
        let code = loop {
            search::processes();
            if let Some(status) = started.child.try_wait().unwrap() {
                break status.code();
            }
            if Instant::now() > deadline {
                let _over = started.child.kill();
                panic!("{} does not end", started.words);
            }
            thread::park_timeout(Duration::from_millis(10));
        };
        search::processes();
        let over = Instant::now();
        let [out, err] = [&started.out, &started.err].map(|path| fs::read(path).unwrap());
        search::assert_clean(&format!("what `{}` printed", started.words), &out);
        search::assert_clean(&format!("what `{}` logged", started.words), &err);
        self.bytes.fetch_add(out.len() + err.len(), Ordering::Relaxed);
        self.search();
        println!("{:.1?} of {:.1?} to search: {}", over.elapsed(), began.elapsed(), started.words);
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Ended { code, out: text(out), err: text(err) }
    }

    #[track_caller]
    pub fn run(&self, command: Command) -> Ended {
        self.end(self.start(command))
    }

    /// What the command that was started last has logged by now.
    pub fn said_last(&self) -> String {
        let last = self.runs.load(Ordering::Relaxed) - 1;
        fs::read_to_string(self.path(&format!("said/{last}.err"))).unwrap()
    }

    /// Searches all files; gives those that may hold secrets and do.
    #[track_caller]
    pub fn search(&self) -> Vec<PathBuf> {
        let searched = search::below(&self.path("state"), &self.seen, self.may);
        self.files.fetch_add(searched.files, Ordering::Relaxed);
        for entry in fs::read_dir(&self.root).unwrap().flatten() {
            let name = entry.file_name();
            if INPUTS.iter().chain(&APART).any(|other| name == *other) {
                continue;
            }
            let path = entry.path();
            if path.is_dir() {
                self.files.fetch_add(
                    search::below(&path, &self.seen, |_| false).files,
                    Ordering::Relaxed,
                );
            } else {
                search::assert_clean(&path.display().to_string(), &fs::read(&path).unwrap());
            }
        }
        searched.holders
    }

    /// Asserts that what a command should have left in the temporary directory is gone.
    #[track_caller]
    pub fn assert_tidy(&self) {
        let left: Vec<_> = fs::read_dir(self.path("tmp")).unwrap().flatten().collect();
        assert!(left.is_empty(), "{left:?}");
    }

    pub fn tell(&self, what: &str) {
        println!(
            "{what}: {} commands, {} bytes of output, {} looks into files",
            self.runs.load(Ordering::Relaxed),
            self.bytes.load(Ordering::Relaxed),
            self.files.load(Ordering::Relaxed)
        );
    }
}

impl Ended {
    #[track_caller]
    pub fn expect(self, code: i32) -> Self {
        let quiet = |line: &&str| !["TRACE", "DEBUG"].iter().any(|word| line.contains(word));
        let err: Vec<_> = self.err.lines().filter(quiet).collect();
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, err.join("\n"));
        self
    }
}
