//! Configuration, files and secrets go with a release, and come back with it, byte for byte.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt,
    sync::{Arc, Mutex},
};

use ultrai_deploy_testkit::server::{Answer, Server};

use crate::app::{App, ULTRAI, free_port, said};

/// The variables of the process that serves, but for what differs from process to process, and the
/// file beside it.
#[derive(Debug, PartialEq)]
struct Inside {
    environment: BTreeMap<Vec<u8>, Vec<u8>>,
    file: Vec<u8>,
}

/// What a release is made of: everything changes at once.
struct Parts {
    plain: &'static str,
    secret: &'static str,
    file: &'static [u8],
}

const OLD: Parts = Parts {
    plain: "'one \"quoted\" $HOME \\n #5'",
    secret: "hunter2-one 'a' \"b\" $c \\ {{d}} ü",
    file: b"one\r\n\0\xff no newline at the end",
};
const NEW: Parts = Parts { plain: "two", secret: "hunter2-two", file: b"two\n" };

fn write(app: &App, parts: &Parts, more: &str) {
    let text = format!("PLAIN={}\n{more}", parts.plain);
    app.write_env(".env.production", &text);
    fs::write(app.path("settings.bin"), parts.file).unwrap();
    write_secret(app, parts.secret);
}

fn write_secret(app: &App, value: &str) {
    fs::create_dir_all(app.path("secrets")).unwrap();
    fs::set_permissions(app.path("secrets"), fs::Permissions::from_mode(0o700)).unwrap();
    app.write_env("secrets/TOKEN", value);
}

/// One service with a plain variable, a secret and a file.
fn configure(app: &App, port: &str, more: &str) {
    let text = format!(
        "project = \"shop\"\nbackend = \"local\"\nsecrets = [\"TOKEN\"]\n\
         [[secret_source]]\nkind = \"directory\"\npath = \"secrets\"\n\
         [services.web]\ncommand = [\"{ULTRAI}\", \"demo-app\"]\nport = {port}\n\
         files = [\"settings.bin\"]\nsecrets = [\"TOKEN\"]\n\
         env = {{ PLAIN = \"${{PLAIN}}\", APP_VERSION = \"${{VERSION}}\", \
         DEMO_NEVER_HEALTHY = \"${{SICK:-}}\" }}\n\
         [services.web.health]\npath = \"/health\"\ndeadline = \"3s\"\n{more}\n"
    );
    fs::write(app.path("deploy.toml"), text).unwrap();
}

fn inside(app: &App) -> Inside {
    let [process] = app.processes()[..] else { panic!("{:?} run", app.processes()) };
    let text = fs::read(format!("/proc/{process}/environ")).unwrap();
    let pairs = text.split(|byte| *byte == 0).filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=').unwrap();
        (pair[..at].to_vec(), pair[at + 1..].to_vec())
    });
    let own = |name: &[u8]| [&b"PORT"[..], b"ULTRAI_INSTANCE"].contains(&name);
    Inside {
        environment: pairs.filter(|(name, _)| !own(name)).collect(),
        file: fs::read(format!("/proc/{process}/cwd/settings.bin")).unwrap(),
    }
}

#[test]
fn all_of_it_comes_back_beside_what_failed() {
    comes_back("\"auto\"");
}

#[test]
fn all_of_it_comes_back_in_the_place_of_what_failed() {
    comes_back(&free_port().to_string());
}

fn comes_back(port: &str) {
    let app = App::new();
    configure(&app, port, "");
    write(&app, &OLD, "");
    app.deploy("1.0.0", 0);
    let old = inside(&app);
    let variable = |name: &str| &old.environment[name.as_bytes()];
    assert_eq!(variable("PLAIN"), b"one \"quoted\" $HOME \\n #5");
    assert_eq!(variable("TOKEN"), OLD.secret.as_bytes());
    assert_eq!(old.file, OLD.file);

    // It goes back by itself, while the checkout goes on to hold the new ones.
    write(&app, &NEW, "SICK=1\n");
    let failed = app.deploy("1.1.0", 3);
    assert_eq!(failed["ending"]["kind"], "rolled_back", "{failed}");
    assert_eq!(inside(&app), old);
    assert!(!failed.to_string().contains("hunter2"), "{failed}");

    // And on request, from a release that was well.
    write(&app, &NEW, "");
    app.deploy("1.1.0", 0);
    let new = inside(&app);
    assert_eq!(new.environment[&b"PLAIN"[..]], b"two");
    assert_eq!(new.environment[&b"TOKEN"[..]], b"hunter2-two");
    assert_eq!(new.file, NEW.file);
    app.expect(0, &["rollback"]);
    assert_eq!(inside(&app), old);
    app.expect(0, &["verify"]);
}

/// A front that lets in whoever has the key, as a check's header.
struct Front {
    server: Server,
    key: Arc<Mutex<String>>,
}

impl Front {
    async fn new(key: &str) -> Self {
        let key = Arc::new(Mutex::new(key.to_owned()));
        let accepted = Arc::clone(&key);
        let server = Server::start(move |request| {
            let is_let_in = request.header("x-key") == Some(accepted.lock().unwrap().as_str());
            Answer::json(if is_let_in { 200 } else { 401 }, "{}")
        });
        Self { server: server.await.unwrap(), key }
    }

    fn accept(&self, key: &str) {
        key.clone_into(&mut self.key.lock().unwrap());
    }

    fn last_key(&self) -> Option<String> {
        self.server.requests().last()?.header("x-key").map(str::to_owned)
    }
}

/// The old release is looked at with the old key, whichever the source has by now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_check_has_the_secret_of_the_release_that_it_looks_at() {
    let front = Front::new("hunter2-one").await;
    let app = App::new();
    let check = format!(
        "[[check]]\nname = \"let in\"\nurl = \"{}\"\ndeadline = \"2s\"\n\
         secret_headers = {{ X-Key = \"TOKEN\" }}\n",
        front.server.url("/")
    );
    configure(&app, "\"auto\"", &check);
    app.write_env(".env.production", "PLAIN=one\n");
    fs::write(app.path("settings.bin"), "").unwrap();
    write_secret(&app, "hunter2-one");
    let first = app.deploy("1.0.0", 0);
    let before = app.processes();

    // A key that nobody takes: what comes back is proven with the one that it has.
    write_secret(&app, "hunter2-two");
    let planned = app.expect(0, &["plan", "--tag", "1.0.0"]).to_string();
    assert!(planned.contains("secret TOKEN"), "{planned}");
    let failed = app.deploy("1.0.0", 3);
    assert_eq!(failed["ending"]["kind"], "rolled_back", "{failed}");
    assert_ne!(failed["release"], first["release"], "it is a release of its own");
    assert_eq!(front.last_key().as_deref(), Some("hunter2-one"));
    assert_eq!(app.processes(), before);
    app.expect(0, &["verify"]);

    // The two releases of a version are told apart, in the history, too.
    let history = app.expect(0, &["history"]);
    assert_eq!(history[0]["secrets_changed"], serde_json::json!(["TOKEN"]), "{history}");
    let words = ["history", "-e", "production", "--format", "text"];
    let text = said(&app.ultrai(&words));
    assert_eq!(text.matches("new value of TOKEN").count(), 1, "{text}");

    // Taken, it is a release like any other; and so is the way back on request.
    front.accept("hunter2-two");
    app.expect(0, &["deploy", "--tag", "1.0.0", "--allow-failed", "1.0.0"]);
    assert_eq!(front.last_key().as_deref(), Some("hunter2-two"));
    front.accept("hunter2-one");
    let back = app.expect(0, &["rollback"]);
    assert_eq!(back["release"], first["release"], "{back}");
    assert_eq!(front.last_key().as_deref(), Some("hunter2-one"));
    for told in [planned, failed.to_string(), back.to_string()] {
        assert!(!told.contains("hunter2"), "{told}");
    }
}
