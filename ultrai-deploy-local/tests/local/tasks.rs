//! Tasks as processes.

use std::{collections::BTreeMap, sync::Mutex, time::Duration};

use ultrai_deploy_core::{
    Context, ErrorKind,
    name::RunId,
    release::Release,
    task::{NoOutput, TaskOutput, TaskRunner},
    verification::{Dependencies, TaskSpec, When},
};
use ultrai_deploy_local::{Port, Service, Tasks};
use ultrai_deploy_testkit::conformance::{Environment, Variant};

use crate::{
    app::Mode,
    drive::{current, deploy, until},
    platform::{Place, name, sealed, service},
};

fn task(script: &str) -> TaskSpec {
    TaskSpec {
        name: "smoke".into(),
        service: name("web"),
        command: ["sh", "-c", script].map(Into::into).to_vec(),
        when: When::Pre,
        dependencies: Dependencies::Create,
        timeout: Duration::from_secs(20),
    }
}

async fn release(place: &Place) -> Release {
    let db = service(Mode::Well, Port::Fixed(place.port), 1, &[]);
    let web = Service::new(["sh"]).with_env("GREETING", "hello").with_port(Port::Auto);
    let services = BTreeMap::from([(name("db"), db), (name("web"), sealed(&web, &["db"]))]);
    place.seal("1.0.0", services).await
}

fn context(place: &Place) -> Context {
    Context::detached(place.target(), RunId::generate())
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl TaskOutput for Lines {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

#[tokio::test]
async fn it_runs_with_what_it_needs_and_leaves_nothing() {
    let place = Place::new();
    let (release, cx, tasks) = (release(&place).await, context(&place), Tasks::new(place.local()));
    let lines = Lines::default();
    let script = "echo $GREETING; sleep 600 & echo left >&2; [ -n \"$PORT\" ] && exit 3";
    let end = tasks.run(&cx, &release, &task(script), &lines).await.unwrap();
    assert_eq!(end.exit_code, 3);
    let mut seen = lines.0.into_inner().unwrap();
    seen.sort();
    assert_eq!(seen, ["hello", "left"]);
    assert!(end.tail.contains("hello"), "{end:?}");
    let running = place.processes();
    assert_eq!(running.len(), 1, "db and nothing else: {running:?}");
    assert!(current(&place).await.services.is_empty(), "a task's dependency has no traffic");

    tasks.clean(&cx).await.unwrap();
    tasks.clean(&cx).await.unwrap();
    assert_eq!(place.processes(), []);
    assert_eq!(place.leftovers().await, Vec::<String>::new());
    assert!(!place.root().join("tasks").join(cx.run().as_str()).exists());
}

#[tokio::test]
async fn what_runs_already_is_used() {
    let place = Place::new();
    deploy(&place, &place.release(Variant::First).await).await;
    let before = place.processes();
    let (release, cx) = (release(&place).await, context(&place));
    let tasks = Tasks::new(place.local());
    let end = tasks.run(&cx, &release, &task("exit 0"), &NoOutput).await.unwrap();
    assert_eq!(end.exit_code, 0);
    tasks.clean(&cx).await.unwrap();
    assert_eq!(place.processes(), before);
}

#[tokio::test]
async fn one_that_takes_too_long_is_stopped() {
    let place = Place::new();
    let (release, tasks) = (release(&place).await, Tasks::new(place.local()));
    let mut slow = task("sleep 600 & sleep 600");
    slow.dependencies = Dependencies::None;
    let cx = context(&place).with_timeout(Duration::from_millis(300));
    let error = tasks.run(&cx, &release, &slow, &NoOutput).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    until("its processes are gone", async || tasks_of(&place).is_empty()).await;
}

/// The processes that run below `tasks`.
fn tasks_of(place: &Place) -> Vec<i32> {
    let below = place.root().join("tasks");
    let entries = std::fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok());
    let is_below = |pid: &i32| {
        std::fs::read_link(format!("/proc/{pid}/cwd")).is_ok_and(|path| path.starts_with(&below))
    };
    pids.filter(is_below).collect()
}
