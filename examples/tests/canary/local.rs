//! Local processes, all of whose commands print their whole environment.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{
    project::{Ended, Ground, SECRETS, SOURCES, check, echo, private, write_secrets},
    search,
    values::OF_SERVICES,
};

const ULTRAI: &str = env!("CARGO_BIN_EXE_ultrai");

/// A release's secrets, and what its processes print; what backups have of both is encrypted.
fn may(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().map(|part| part.to_str().unwrap()).collect();
    matches!(
        parts[..],
        [_, _, "releases", _, "secrets.json"] | [_, _, "instances", _, "output.log"]
    )
}

struct App {
    directory: TempDir,
    ground: Ground,
    echo: String,
}

/// What is told to do badly.
#[derive(Clone, Copy, Default)]
struct How<'a> {
    /// The variables that the commands look at.
    env: &'a str,
    /// What a check asks for.
    path: &'a str,
    policy: &'a str,
    more: &'a str,
    /// The length that a secret has to have.
    least: u8,
}

const GOOD: How<'_> = How { env: "", path: "good", policy: "", more: "", least: 6 };
const HOLD: &str = "on_failure = { post_deploy_tests = \"hold\" }";

impl App {
    fn new() -> Self {
        let directory = tempfile::Builder::new().prefix("ultrai-canary-").tempdir().unwrap();
        write_secrets(directory.path());
        let ground = Ground::new(directory.path(), may);
        let app = Self { directory, ground, echo: echo() };
        app.configure("1.0.0", GOOD);
        app
    }

    fn configure(&self, version: &str, how: How<'_>) {
        let secrets = OF_SERVICES.map(|name| format!("\"{name}\"")).join(", ");
        let check = check(&self.echo, how.path);
        let text = format!(
            r#"project = "canary"
backend = "local"
undeclared = "allow"
{SECRETS}
[policy]
{policy}
[services.web]
command = ["sh", "-c", "env; env >&2; test -z \"$DIE\" || exit 9; exec {ULTRAI} demo-app"]
port = "auto"
secrets = [{secrets}]
env = {{ APP_VERSION = "{version}" {env} }}
[services.web.health]
path = "/health"
deadline = "1s"
{check}
[[test]]
name = "before"
service = "web"
when = "pre"
command = ["sh", "-c", "env; exit ${{PRE:-0}}"]
[[test]]
name = "after"
service = "web"
when = "post"
command = ["sh", "-c", "env; env >&2; $DO; exit ${{POST:-0}}"]
[[migration]]
name = "001"
service = "web"
reversible = true
command = ["sh", "-c", "env"]
[variables.PASSWORD]
secret = true
min_length = {least}
example = "correct horse"
{more}
{SOURCES}
"#,
            policy = how.policy,
            env = how.env,
            more = how.more,
            least = how.least,
        );
        // Values are not written into deploy.toml, so it is searched as everything else.
        fs::write(self.ground.path("deploy.toml"), text).unwrap();
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(ULTRAI);
        command
            .arg("--state")
            .arg(self.ground.path("state"))
            .args(words)
            .current_dir(self.directory.path())
            .env_clear()
            .env("PATH", "/usr/bin:/bin");
        command
    }

    /// The same in production.
    #[track_caller]
    fn expect(&self, code: i32, words: &[&str]) -> Ended {
        let words = [words, &["-e", "production"]].concat();
        self.ground.run(self.command(&words)).expect(code)
    }

    #[track_caller]
    fn deploy(&self, version: &str, format: &str, code: i32) -> Ended {
        self.expect(code, &["--format", format, "deploy", "--tag", version])
    }

    /// All commands that look.
    #[track_caller]
    fn look(&self, status: i32) {
        for format in ["text", "json"] {
            for (code, words) in [
                (status, &["status"][..]),
                (0, &["history"]),
                (0, &["backup", "list"]),
                (0, &["migrations"]),
                (0, &["config", "show"]),
                (0, &["plan", "--tag", "1.7.0"]),
            ] {
                self.expect(code, &[&["--format", format], words].concat());
            }
            for words in [
                &["config", "check"][..],
                &["config", "diff", "staging", "production"],
                &["config", "docs"],
            ] {
                let words = [&["--format", format], words].concat();
                self.ground.run(self.command(&words)).expect(0);
            }
        }
    }

    fn processes(&self) -> Vec<i32> {
        let below = fs::canonicalize(self.directory.path()).unwrap();
        let entries = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
        let ours = entries.filter(|path| {
            fs::read_link(path.join("cwd")).is_ok_and(|directory| directory.starts_with(&below))
        });
        ours.filter_map(|path| path.file_name()?.to_str()?.parse().ok()).collect()
    }
}

impl Drop for App {
    fn drop(&mut self) {
        for pid in self.processes().into_iter().filter_map(Pid::from_raw) {
            // One that has ended meanwhile is fine.
            let _gone = kill_process(pid, Signal::KILL);
        }
    }
}

#[test]
fn deploys_that_succeed_and_fail() {
    let app = App::new();
    app.look(0);
    app.expect(0, &["plan", "--tag", "1.0.0", "--save", "saved.json"]);
    let mode = fs::metadata(app.ground.path("saved.json")).unwrap().permissions().mode();
    println!("a saved plan has mode {:o}", mode & 0o777);
    app.expect(0, &["deploy", "--plan", "saved.json"]);
    app.configure("1.0.1", GOOD);
    let report = app.deploy("1.0.1", "json", 0);
    assert!(report.err.contains("TRACE"), "it logs all that it does");

    // What is looked at is really there.
    let holders = app.ground.search();
    for end in ["secrets.json", "output.log", search::KEY] {
        let count = holders.iter().filter(|path| path.ends_with(end)).count();
        assert!(count > 0, "{end}: {holders:?}");
    }
    // Backups have releases with their secrets, in files that were searched as all others were.
    for kept in ["packs", "backups"] {
        let kept = app.ground.path("state/canary/production").join(kept);
        assert!(fs::read_dir(&kept).unwrap().count() > 0, "{}", kept.display());
    }
    app.expect(0, &["backup", "verify"]);

    let migration = "[[migration]]\nname = \"002\"\nservice = \"web\"\nreversible = true\n\
                     command = [\"sh\", \"-c\", \"env; env >&2; exit 9\"]";
    for (number, (what, code, how)) in [
        ("before", 1, How { env: ", PRE = \"7\"", ..GOOD }),
        ("002", 3, How { more: migration, ..GOOD }),
        ("health", 3, How { env: ", DEMO_NEVER_HEALTHY = \"1\"", ..GOOD }),
        ("web", 3, How { env: ", DIE = \"1\"", ..GOOD }),
        ("echo", 3, How { path: "bad", ..GOOD }),
        ("after", 3, How { env: ", POST = \"7\"", ..GOOD }),
    ]
    .into_iter()
    .enumerate()
    {
        for (format, minor) in [("json", 2), ("text", 3)] {
            let version = format!("1.{minor}.{number}");
            app.configure(&version, how);
            let ended = app.deploy(&version, format, code);
            let told = format!("{}{}", ended.out, ended.err);
            assert!(told.contains(what), "{what}: {told}");
        }
        app.configure("1.0.1", GOOD);
    }
    app.expect(0, &["verify"]);
    app.expect(0, &["rollback"]);
    app.expect(0, &["rollback", "--to", "1.0.1"]);
    app.look(0);
    app.ground.assert_tidy();
    app.ground.tell("local");
}

#[test]
fn runs_that_are_held_killed_cancelled_promoted() {
    let app = App::new();
    app.deploy("1.0.0", "text", 0);
    let hold = How { env: ", POST = \"7\"", policy: HOLD, ..GOOD };
    for (version, words, code) in [
        ("1.1.0", &["cancel"][..], 130),
        ("1.1.1", &["rollback"], 0),
        ("1.1.2", &["resume", "--proceed"], 0),
        ("1.1.3", &["abandon", "--reason", "known"], 0),
    ] {
        app.configure(version, hold);
        app.deploy(version, "json", 6);
        for words in [["--format", "text", "status"], ["--format", "json", "status"]] {
            app.expect(6, &words);
        }
        app.expect(code, words);
    }

    // Its own test ends it with SIGKILL.
    let [script, once] = ["kill.sh", "killed"].map(|name| app.ground.path(name));
    let (script, once) = (script.display(), once.display());
    let text = format!("test -e {once} || {{ touch {once}; kill -9 $PPID; }}\n");
    fs::write(app.ground.path("kill.sh"), text).unwrap();
    app.configure("1.2.0", How { env: &format!(", DO = \". {script}\""), ..GOOD });
    let words = ["deploy", "--tag", "1.2.0", "-e", "production"];
    let killed = app.ground.run(app.command(&words));
    assert_eq!(killed.code, None, "{}", killed.err);
    app.configure("1.2.0", GOOD);
    app.expect(0, &["--format", "json", "status"]);
    app.expect(0, &["resume"]);

    // Another process cancels it.
    app.configure("1.2.1", How { env: ", DO = \"sleep 60\"", ..GOOD });
    let deploy = app.ground.start(app.command(&["deploy", "--tag", "1.2.1", "-e", "production"]));
    let deadline = Instant::now() + Duration::from_secs(30);
    while !app.ground.said_last().contains(" after | ") {
        assert!(Instant::now() < deadline, "it does not get to its tests");
        thread::park_timeout(Duration::from_millis(10));
    }
    app.expect(0, &["cancel"]);
    app.ground.end(deploy).expect(130);

    for (environment, format) in [("staging", "text"), ("production", "json")] {
        app.configure("1.3.0", GOOD);
        let words: &[&str] = match environment {
            "staging" => &["deploy", "--tag", "1.3.0", "-e", "staging"],
            _ => &["promote", "--from", "staging", "--to", "production"],
        };
        let words = [&["--format", format], words].concat();
        app.ground.run(app.command(&words)).expect(0);
    }
    app.look(0);
    app.ground.tell("local, with persons");
}

/// What is wrong is told without the value that is wrong.
#[test]
fn configurations_that_are_refused() {
    let app = App::new();
    let write = |name: &str, text: &str| private(app.directory.path(), name, text);
    let read = |name: &str| fs::read_to_string(app.ground.path(name)).unwrap();
    let (env, keys) = (read(".env"), read(".env.api_keys"));
    for (name, from, to) in [
        // The line is no assignment; the value is not closed; behind the quote there is more.
        (".env", "DECLARED=", "DECLARED "),
        (".env", "DECLARED=", "DECLARED='"),
        (".env", "DECLARED=", "DECLARED=\"a\""),
        (".env", "PASSWORD=", "PASSWORD=${OTHER:?}"),
        (".env", "DERIVED=", "DERIVED=${PASSWORD:?"),
        (".env", "DERIVED=", "DERIVED=${DECLARED:+${"),
        (".env.api_keys", "API_KEY=", "API KEY="),
        (".env.api_keys", "PEM='", "PEM="),
        (".env.template", "PASSWORD}}", "PASSWORD}"),
        (".env.template", "PASSWORD", "PASWORD"),
    ] {
        let text = read(name);
        write(name, &text.replace(from, to));
        for words in [
            &["deploy", "--tag", "1.0.0"][..],
            &["--format", "json", "deploy", "--tag", "1.0.0"],
            &["config", "show"],
            &["config", "check"],
            &["status"],
        ] {
            let words = [words, &["-e", "production"]].concat();
            let ended = app.ground.run(app.command(&words));
            if words.contains(&"deploy") {
                let code = ended.code;
                assert!([Some(1), Some(2)].contains(&code), "{name} {to}: {code:?} {}", ended.err);
            }
        }
        write(name, &text);
    }
    assert_eq!((read(".env"), read(".env.api_keys")), (env, keys));

    for declaration in [
        "[variables.DECLARED]\nsecret = true\ntype = \"integer\"",
        "[variables.SPECIAL]\nsecret = true\ntype = \"json\"",
        "[variables.TASK]\nsecret = true\nvalues = [\"a\", \"b\"]",
        "[variables.PEM]\nsecret = true\ntype = \"url\"",
        "[[secret_source]]\nkind = \"command\"\nname = \"x\"\nonly = [\"ELSEWHERE\"]\n\
         command = [\"sh\", \"-c\", \"tee /dev/stderr < keys/commanded; env >&2; exit 3\"]",
        "[[secret_source]]\nkind = \"command\"\nname = \"x\"\nonly = [\"ELSEWHERE\"]\n\
         format = \"json\"\ncommand = [\"cat\", \"keys/directory/SPECIAL\"]",
        "[[secret_source]]\nkind = \"dotenv\"\nname = \"x\"\npath = \"keys/directory/SPECIAL\"",
        "[services.two]\ncommand = [\"echo\", \"${PASSWORD}\"]\nenv = { A = \"${DERIVED}\" }",
        "[services.two]\ncommand = [\"echo\"]\nenv = { A = \"${PROCESS}\", B = \"${NONE:?$TASK}\" }",
    ] {
        app.configure("1.0.0", How { more: declaration, ..GOOD });
        for format in ["text", "json"] {
            let words = ["--format", format, "deploy", "--tag", "1.0.0", "-e", "production"];
            let refused = app.ground.run(app.command(&words));
            assert!([Some(1), Some(2)].contains(&refused.code), "{declaration}: {}", refused.out);
        }
        let words = ["--format", "json", "config", "show", "-e", "production"];
        app.ground.run(app.command(&words));
        app.ground.run(app.command(&["config", "check", "-e", "production"]));
    }
    app.configure("1.0.0", How { least: 100, ..GOOD });
    app.deploy("1.0.0", "json", 2);
    app.configure("1.0.0", GOOD);
    fs::set_permissions(app.ground.path(".env.api_keys"), fs::Permissions::from_mode(0o644))
        .unwrap();
    app.expect(2, &["deploy", "--tag", "1.0.0"]);
    app.ground.tell("refused");
}
