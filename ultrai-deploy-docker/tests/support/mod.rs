//! The real engine that the tests run on, and an image to run on it.

#![allow(dead_code, reason = "each test program uses a part")]
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]

use std::{
    fs,
    future::Future,
    sync::{Arc, Mutex},
    time::Duration,
};

use futures_util::StreamExt;
use tokio::sync::OnceCell;
use ultrai_deploy_core::{
    Context,
    journal::Record,
    name::{EnvironmentName, ProjectName, RunId, Target},
    observer::Observer,
};
use ultrai_deploy_docker::{
    Config, Engine,
    bollard::{
        Docker, body_full,
        query_parameters::{CreateImageOptionsBuilder, RemoveImageOptionsBuilder},
    },
};

/// Names the engine that tests may use.
const HOST: &str = "ULTRAI_TEST_DOCKER_HOST";
/// An image with nothing but busybox in it.
pub(crate) const BUSYBOX: &str = "ultrai-test/busybox:1";

/// The engine for tests, never the user's own.
pub(crate) fn engine() -> Engine {
    #[expect(clippy::disallowed_methods, reason = "a test has no program around it that reads it")]
    let host = std::env::var(HOST).unwrap_or_else(|_unset| {
        panic!("{HOST} is not set: run `scripts/test-engine start`, then `eval \"$(scripts/test-engine env)\"`")
    });
    Engine::new(&Config::at(host))
}

/// Makes sure that the engine has [`BUSYBOX`].
pub(crate) async fn busybox(engine: &Engine) -> Docker {
    static IMPORTED: OnceCell<()> = OnceCell::const_new();
    let docker = engine.client().await.unwrap().clone();
    IMPORTED.get_or_init(|| import(&docker)).await;
    docker
}

async fn import(docker: &Docker) {
    if docker.inspect_image(BUSYBOX).await.is_ok() {
        return;
    }
    let program =
        fs::read("/bin/busybox").expect("/bin/busybox is missing: apt-get install busybox-static");
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_mode(0o755);
    header.set_size(program.len() as u64);
    archive.append_data(&mut header, "bin/busybox", program.as_slice()).unwrap();
    for applet in
        ["sh", "cat", "echo", "ls", "sleep", "true", "false", "test", "touch", "nc", "wget"]
    {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_size(0);
        archive.append_link(&mut header, format!("bin/{applet}"), "busybox").unwrap();
    }
    let content = archive.into_inner().unwrap();
    let (repository, tag) = BUSYBOX.rsplit_once(':').unwrap();
    let options =
        CreateImageOptionsBuilder::default().from_src("-").repo(repository).tag(tag).build();
    let mut progress = docker.create_image(Some(options), Some(body_full(content.into())), None);
    while let Some(report) = progress.next().await {
        report.unwrap();
    }
}

/// A context of its own project and run.
pub(crate) fn context() -> Context {
    let run = RunId::generate();
    let project = ProjectName::new(format!("ut-{}", run.short())).unwrap();
    Context::detached(Target::new(project, EnvironmentName::new("test").unwrap()), run)
}

/// Keeps all output: `subject: line`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Output(Arc<Mutex<Vec<String>>>);

impl Output {
    pub(crate) fn text(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    pub(crate) fn clear(&self) {
        self.0.lock().unwrap().clear();
    }
}

impl Observer for Output {
    fn on_record(&self, _run: &RunId, _record: &Record) {}

    fn on_output(&self, _run: &RunId, subject: &str, line: &str) {
        self.0.lock().unwrap().push(format!("{subject}: {line}"));
    }
}

impl ultrai_deploy_core::task::TaskOutput for Output {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

/// Removes an image, with its tag.
pub(crate) async fn remove_image(docker: &Docker, image: &str) {
    let options = RemoveImageOptionsBuilder::default().force(true).build();
    docker.remove_image(image, Some(options), None).await.unwrap();
}

/// Asks until `look` has an answer.
///
/// # Panics
/// When it has none within 30 s.
pub(crate) async fn until<T, F: Future<Output = Option<T>>>(what: &str, look: impl Fn() -> F) -> T {
    let waiting = async {
        let mut looks = tokio::time::interval(Duration::from_millis(20));
        loop {
            looks.tick().await;
            if let Some(answer) = look().await {
                return answer;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(30), waiting)
        .await
        .unwrap_or_else(|_late| panic!("waited too long until {what}"))
}
