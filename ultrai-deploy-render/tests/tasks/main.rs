//! Tests of a release as one-off jobs, on a Render with a memory.
#![allow(unreachable_pub, clippy::unwrap_used, reason = "a test panics where it fails")]

mod fake;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use fake::{Job, Post, Render};
use serde_json::json;
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    context::Cancel,
    name::{EnvironmentName, ProjectName, RunId, SecretName, ServiceName, Target},
    release::{Release, Seal},
    release_store::ReleaseStore,
    secret::Secret,
    spec::{ReleaseSpec, ServiceSpec},
    task::{TaskEnd, TaskOutput, TaskRunner},
    verification::{TaskSpec, Verification, When},
    version::Version,
};
use ultrai_deploy_testkit::server::Answer;

/// Longer than any of these takes.
const LONG: Duration = Duration::from_mins(1);

struct Lab {
    render: Render,
    release: Release,
    cx: Context,
    lines: Lines,
}

#[derive(Default)]
struct Lines(Mutex<Vec<String>>);

impl TaskOutput for Lines {
    fn line(&self, line: &str) {
        self.0.lock().unwrap().push(line.to_owned());
    }
}

impl Lab {
    async fn new() -> Self {
        let project = ProjectName::new("shop").unwrap();
        let service = ServiceSpec {
            image: None,
            config: json!({ "slot": "web", "commit": "0a1b" }),
            ..ServiceSpec::default()
        };
        let gone = ServiceSpec { config: json!({ "slot": "gone" }), ..service.clone() };
        let verification = Verification {
            checks: Vec::new(),
            tasks: vec![task(), TaskSpec { service: ServiceName::new("old").unwrap(), ..task() }],
        };
        let spec = ReleaseSpec::new(project.clone(), Version::parse("1.0.0").unwrap())
            .with_service(task().service, service)
            .with_service(ServiceName::new("old").unwrap(), gone)
            .with_verification(verification);
        let release = Release::seal(&spec, &Seal::default()).unwrap();
        let secrets = BTreeMap::from([(SecretName::new("TOKEN").unwrap(), Secret::new("hunter2"))]);
        let render = Render::new().await;
        render.releases.put(&release, &secrets).await.unwrap();
        let target = Target::new(project, EnvironmentName::new("production").unwrap());
        let cx = Context::detached(target, RunId::generate()).for_step("post-deploy tests", 1);
        Self { render, release, cx: cx.with_timeout(LONG), lines: Lines::default() }
    }

    async fn run(&self) -> Result<TaskEnd> {
        self.run_task(&self.cx, &task()).await
    }

    async fn run_task(&self, cx: &Context, task: &TaskSpec) -> Result<TaskEnd> {
        let tasks: Arc<dyn TaskRunner> = Arc::new(self.render.tasks());
        tasks.run(cx, &self.release, task, &self.lines).await
    }

    fn statuses(&self) -> Vec<&'static str> {
        self.render.world().jobs.iter().map(|job| job.status.unwrap_or("none")).collect()
    }
}

fn task() -> TaskSpec {
    TaskSpec {
        name: "smoke".to_owned(),
        service: ServiceName::new("frontend").unwrap(),
        command: ["npm", "run", "a test"].map(str::to_owned).into(),
        when: When::Post,
        dependencies: ultrai_deploy_core::verification::Dependencies::Create,
        timeout: LONG,
    }
}

fn said(error: &Error) -> String {
    error.evidence().iter().map(|piece| piece.text.as_str()).collect()
}

#[tokio::test]
async fn a_job_tells_how_it_ended_and_what_it_wrote() {
    for (status, exit_code) in [("succeeded", 0), ("failed", 1)] {
        let lab = Lab::new().await;
        lab.render.world().ends = Some(status);
        let end = lab.run().await.unwrap();
        assert_eq!(end.exit_code, exit_code);
        let world = lab.render.world();
        assert_eq!(world.posts, 1);
        let mark = format!("env ULTRAI_RUN={}/", lab.cx.run());
        let command = &world.jobs[0].command;
        assert!(command.starts_with(&mark) && command.ends_with(" npm run 'a test'"), "{command}");
        let mut lines = lab.lines.0.lock().unwrap().clone();
        assert_eq!(end.tail, lines.join("\n"));
        assert!(lines.contains(&"the token is ***".to_owned()), "{lines:?}");
        lines.retain(|line| line.starts_with("line "));
        lines.sort_by_key(|line| line[5..].parse::<usize>().unwrap());
        let all: Vec<_> = (1..=10).map(|n| format!("line {n}")).collect();
        assert_eq!(lines, all, "each once, also the one that came late");
    }
}

#[tokio::test]
async fn logs_decide_nothing() {
    let answers = [
        Answer::json(500, "{}"),
        Answer::text(200, "<html>"),
        Answer::json(403, r#"{"message":"no"}"#),
        Answer::json(200, r#"{"hasMore":true,"logs":null}"#),
        Answer::close(),
    ];
    for answer in answers {
        let lab = Lab::new().await;
        lab.render.world().no_logs = Some(answer);
        let end = lab.run().await.unwrap();
        assert_eq!((end.exit_code, end.tail.as_str()), (0, ""));
    }
}

#[tokio::test]
async fn a_call_whose_answer_is_lost_makes_one_job() {
    for (post, hidden, posts) in
        [(Post::AnswerLost, 0, 1), (Post::AnswerLost, 3, 1), (Post::NeverArrived, 0, 2)]
    {
        let lab = Lab::new().await;
        lab.render.world().post = post;
        lab.render.world().hidden = hidden;
        assert_eq!(lab.run().await.unwrap().exit_code, 0, "{post:?}");
        assert_eq!(lab.render.world().posts, posts, "{post:?}");
        assert_eq!(lab.statuses(), ["succeeded"], "{post:?}");
    }
}

#[tokio::test]
async fn a_job_that_is_over_time_is_ended() {
    let lab = Lab::new().await;
    lab.render.world().ends = None;
    let hurried = TaskSpec { timeout: Duration::from_millis(300), ..task() };
    let error = lab.run_task(&lab.cx, &hurried).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Timeout);
    assert!(
        error.to_string().contains("`smoke` did not end within 0.3 s and was canceled"),
        "{error}"
    );
    assert!(said(&error).contains("line 1"), "{error:?}");
    assert_eq!(lab.statuses(), ["canceled"]);
}

#[tokio::test]
async fn a_run_that_is_cancelled_ends_its_job() {
    let lab = Lab::new().await;
    let cancel = Cancel::new();
    lab.render.world().ends = None;
    lab.render.world().cancel = Some(cancel.clone());
    let cx = lab.cx.clone().with_cancel(cancel);
    let error = lab.run_task(&cx, &task()).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Cancelled);
    assert_eq!(lab.statuses(), ["canceled"]);
}

#[tokio::test]
async fn a_job_that_somebody_ends_is_no_verdict() {
    let lab = Lab::new().await;
    lab.render.world().ends = Some("canceled");
    let error = lab.run().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Conflict, "{error}");
}

#[tokio::test]
async fn a_job_goes_on_while_render_cannot_be_asked() {
    let lab = Lab::new().await;
    lab.render.world().outage = 30;
    assert_eq!(lab.run().await.unwrap().exit_code, 0);
    assert_eq!(lab.render.world().outage, 0);
}

/// Runs until the job has run for a while, and is gone then.
async fn die(lab: &Lab) {
    lab.render.world().ends = None;
    tokio::select! {
        end = lab.run() => panic!("it ended: {end:?}"),
        () = lab.render.runs.notified() => {}
    }
    assert_eq!(lab.render.world().posts, 1);
}

#[tokio::test]
async fn after_a_crash_the_job_is_taken_up() {
    let lab = Lab::new().await;
    die(&lab).await;
    lab.render.world().ends = Some("failed");
    assert_eq!(lab.run().await.unwrap().exit_code, 1);
    assert_eq!(lab.statuses(), ["failed"]);
    assert_eq!(lab.render.world().posts, 1);
    // The same step once more asks for nothing: it has been done.
    assert_eq!(lab.run().await.unwrap().exit_code, 1);
    assert_eq!(lab.render.world().posts, 1);
    // Another attempt does.
    let again = lab.cx.for_step("post-deploy tests", 2);
    assert_eq!(lab.run_task(&again, &task()).await.unwrap().exit_code, 1);
    assert_eq!(lab.render.world().posts, 2);
}

#[tokio::test]
async fn after_a_crash_what_is_left_is_ended() {
    let lab = Lab::new().await;
    die(&lab).await;
    let others = [
        Job::new("job-of-another-run", "env ULTRAI_RUN=0/1 npm test"),
        Job::new("job-of-somebody", "npm test"),
    ];
    lab.render.world().jobs.extend(others);
    let tasks: Arc<dyn TaskRunner> = Arc::new(lab.render.tasks());
    for _twice in 0..2 {
        tasks.clean(&lab.cx).await.unwrap();
        assert_eq!(lab.statuses(), ["canceled", "running", "running"]);
    }
    let world = lab.render.world();
    assert_eq!(world.calls.iter().filter(|call| call.ends_with("/cancel")).count(), 1);
}

/// One that a test before left runs beside no other.
#[tokio::test]
async fn what_an_earlier_test_left_is_ended_first() {
    let lab = Lab::new().await;
    let left = format!("env ULTRAI_RUN={}/before npm test", lab.cx.run());
    lab.render.world().jobs.push(Job::new("job-before", &left));
    assert_eq!(lab.run().await.unwrap().exit_code, 0);
    assert_eq!(lab.statuses(), ["canceled", "succeeded"]);
}

#[tokio::test]
async fn a_test_for_before_the_deploy_is_refused_without_a_call() {
    let lab = Lab::new().await;
    let before = TaskSpec { when: When::Pre, ..task() };
    let nothing = TaskSpec { command: Vec::new(), ..task() };
    for (task, kind) in [(before, ErrorKind::Unsupported), (nothing, ErrorKind::Invalid)] {
        let tasks: Arc<dyn TaskRunner> = Arc::new(lab.render.tasks());
        assert_eq!(tasks.check(&task).unwrap_err().kind(), kind);
        let error = lab.run_task(&lab.cx, &task).await.unwrap_err();
        assert_eq!((error.kind(), error.effect()), (kind, ultrai_deploy_core::Effect::None));
        if kind == ErrorKind::Unsupported {
            assert!(error.to_string().contains("pre-deploy command"), "{error}");
        }
    }
    assert_eq!(lab.render.world().calls, [""; 0]);
}
