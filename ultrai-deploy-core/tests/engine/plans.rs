//! What a deploy would change, and applying exactly that.

use std::{path::Path, sync::Arc};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    ErrorKind,
    journal::{Event, Skip},
    lease::Lease,
    memory,
    name::{EnvironmentName, ReleaseId, Target},
    pipeline::{DeployRequest, Pipeline},
    plan::Action,
    preview::{Edit, NewImage, Preview, SavedPlan},
    release_store::ReleaseStore,
    report::Report,
    spec::{PullPolicy, ReleaseSpec},
    stage::Stage,
    verification::When,
};

use crate::{
    journals::{At, Deadly, Kill},
    lab::{Lab, Parts, SECRET, ended, image, service, shop, spec, target, with_check},
};

async fn preview(pipeline: &Pipeline, spec: ReleaseSpec) -> Preview {
    pipeline.plan(&pipeline.look(), &DeployRequest::new(spec)).await.unwrap()
}

async fn save(pipeline: &Pipeline, spec: ReleaseSpec) -> SavedPlan {
    let text = preview(pipeline, spec).await.to_saved().unwrap().to_text();
    assert!(!text.contains(SECRET), "{text}");
    SavedPlan::read(&text).unwrap()
}

async fn apply(pipeline: &Pipeline, spec: ReleaseSpec, plan: &SavedPlan) -> Report {
    let request = DeployRequest::new(spec).with_plan(plan.clone());
    pipeline.deploy(request).join().await.unwrap()
}

/// Everything that a plan could change.
async fn world(lab: &Lab) -> (Vec<(String, memory::Phase, u32, u64)>, Vec<ReleaseId>, usize) {
    (lab.stamps(), lab.releases.list().await.unwrap(), lab.runs().await.len())
}

/// The refusal of a plan that holds no more: nothing was touched, and the reason is named.
async fn assert_refused(
    lab: &Lab,
    pipeline: &Pipeline,
    spec: ReleaseSpec,
    plan: &SavedPlan,
    why: &str,
) {
    let before = (lab.stamps(), lab.serving().await);
    let report = apply(pipeline, spec, plan).await;
    assert_eq!(ended(&report), "refused", "{report}");
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Conflict, "{report}");
    assert!(cause.message.contains(why), "{why}: {cause}");
    assert_eq!((lab.stamps(), lab.serving().await), before, "{why}");
    let records = lab.records(&report.run).await;
    let touched = |event: &Event| matches!(event, Event::Intent { .. } | Event::Effect { .. });
    assert!(!records.iter().any(|record| touched(&record.event)), "{why}");
}

#[tokio::test(start_paused = true)]
async fn a_plan_tells_what_a_deploy_does_and_changes_nothing() {
    let lab = Lab::new();
    let pipeline = lab.process();
    let first = preview(&pipeline, shop("1.0.0", json!({}))).await;
    assert!(first.services.values().all(|one| one.change.action == Action::Create));
    assert_eq!((first.rollback_point, first.downtime), (None, vec![]));
    assert_eq!(world(&lab).await, (vec![], vec![], 0));

    let old = lab.deploy(shop("1.0.0", json!({ "env": { "A": "1" } }))).await;
    let before = world(&lab).await;
    let mut new = shop("1.1.0", json!({ "env": { "A": "2", "TOKEN": "{TOKEN}" } }));
    new.services.remove(&service("frontend"));
    let new = with_check(new, When::Verify, json!({ "healthy": true }));
    let preview = preview(&pipeline, new.clone()).await;
    assert_eq!(world(&lab).await, before);
    assert_eq!(lab.lease.holder(&target()).await.unwrap(), None);

    let action = |name: &str| preview.services[&service(name)].change.action;
    assert_eq!(action("db"), Action::Keep);
    assert_eq!(action("backend"), Action::StopFirst);
    assert_eq!(action("frontend"), Action::Remove);
    assert_eq!(preview.downtime, [service("backend")]);
    let backend = &preview.services[&service("backend")];
    let keys: Vec<_> =
        backend.configuration.iter().map(|one| (one.key.as_str(), one.edit)).collect();
    assert_eq!(
        keys,
        [("env.A", Edit::Changed), ("env.TOKEN", Edit::Added), ("version", Edit::Changed)]
    );
    assert_eq!(backend.configuration[0].new, Some(json!("2")));
    assert_eq!(backend.configuration[1].new, None, "put together with a secret");
    assert_eq!(preview.verification[0].key, "check Verify check");
    let point = preview.rollback_point.as_ref().unwrap();
    assert_eq!((Some(&point.release), point.proven), (old.release.as_ref(), true));
    assert_eq!(point.version.as_str(), "1.0.0");

    let text = preview.to_string();
    for line in [
        "plan for 1.1.0 to shop/staging (release ",
        "replace backend (old one stops first): changed",
        "env.A: \"1\" -> \"2\"",
        "env.TOKEN added\n",
        "remove  frontend",
        "downtime: backend (",
        "a failed deploy goes back to 1.0.0 (release ",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let value = serde_json::to_value(&preview).unwrap();
    assert_eq!(value["services"]["backend"]["action"], "stop_first", "{value}");
    assert_eq!(value.get("saved"), None);

    // The deploy does just that.
    let report = lab.deploy(new).await;
    assert_eq!(report.release, preview.release);
    let done = report.plan.unwrap();
    assert_eq!(done.with_action(Action::StopFirst).collect::<Vec<_>>(), [&service("backend")]);
}

#[tokio::test(start_paused = true)]
async fn what_runs_already_is_no_change() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let preview = preview(&lab.process(), shop("1.0.0", json!({}))).await;
    assert!(preview.unchanged);
    assert!(preview.to_string().contains("nothing changes"), "{preview}");
    let plan = save(&lab.process(), shop("1.0.0", json!({}))).await;
    let report = apply(&lab.process(), shop("1.0.0", json!({})), &plan).await;
    assert_eq!(ended(&report), "succeeded, nothing changed");
}

#[tokio::test(start_paused = true)]
async fn what_a_deploy_refuses_a_plan_refuses() {
    let lab = Lab::new();
    let pipeline = lab.process();
    let plan = async |spec| {
        let made = pipeline.plan(&pipeline.look(), &DeployRequest::new(spec)).await;
        made.unwrap_err()
    };
    let unsupported = plan(shop("1.0.0", json!({ "supported": false }))).await;
    assert!(!unsupported.to_string().contains(SECRET));
    let mut missing = shop("1.0.0", json!({}));
    let secret = ultrai_deploy_core::name::SecretName::new("NOWHERE").unwrap();
    missing.services.get_mut(&service("db")).unwrap().secrets.push(secret);
    let missing = plan(missing).await;
    assert_eq!(missing.kind(), ErrorKind::Invalid);
    assert!(missing.message().contains("NOWHERE"), "{missing}");
    let mut never = image("1.0.0", "nowhere:1", None);
    never.services.get_mut(&service("web")).unwrap().image.as_mut().unwrap().pull =
        PullPolicy::Never;
    let gone = plan(never).await;
    assert_eq!(gone.kind(), ErrorKind::NotFound, "never pulled");
    assert_eq!(world(&lab).await, (vec![], vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn a_saved_plan_is_applied_when_nothing_has_moved() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let new = shop("1.1.0", json!({}));
    let plan = save(&lab.process(), new.clone()).await;
    let report = apply(&lab.process(), new, &plan).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    let Event::Created { plan: journaled, .. } = &lab.records(&report.run).await[0].event.clone()
    else {
        panic!("no first record")
    };
    assert_eq!(journaled.as_deref(), Some(plan.digest()));
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_refused_when_the_world_has_moved() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let new = shop("1.1.0", json!({}));
    let plan = save(&lab.process(), new.clone()).await;
    lab.deploy(shop("1.0.1", json!({}))).await;
    assert_refused(&lab, &lab.process(), new.clone(), &plan, "serves, not release").await;

    // The same release, but something of it is down.
    let plan = save(&lab.process(), new.clone()).await;
    let db = lab.world.live().into_iter().find(|one| one.service == service("db")).unwrap();
    lab.world.crash(&db.id);
    assert_refused(&lab, &lab.process(), new.clone(), &plan, "db is not up").await;
}

#[tokio::test(start_paused = true)]
async fn a_plan_is_refused_when_the_input_has_moved() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let new = shop("1.1.0", json!({ "env": { "A": "1" } }));
    let plan = save(&lab.process(), new.clone()).await;
    let refused = async |spec, why: &str| {
        assert_refused(&lab, &lab.process(), spec, &plan, why).await;
    };
    refused(shop("1.2.0", json!({ "env": { "A": "1" } })), "the version is 1.2.0, not 1.1.0").await;
    refused(shop("1.1.0", json!({ "env": { "A": "2" } })), "backend: env.A changed").await;
    let mut more = new.clone();
    more.services.insert(service("cache"), more.services[&service("db")].clone());
    refused(more, "service cache is new").await;
    let mut less = new.clone();
    less.services.remove(&service("frontend"));
    refused(less, "service frontend is gone").await;
    let mut shared = new.clone();
    shared.resources = json!({ "networks": { "front": {} } });
    refused(shared, "networks.front added").await;
    let checked = with_check(new.clone(), When::Verify, json!({ "healthy": true }));
    refused(checked, "check Verify check added").await;

    // Another value of the secret, which is never shown.
    let other = lab.parts().build_as(target(), "hunter3-hunter3").unwrap();
    assert_refused(&lab, &other, new.clone(), &plan, "backend: secret TOKEN changed").await;

    assert_eq!(ended(&apply(&lab.process(), new, &plan).await), "succeeded");
}

#[tokio::test(start_paused = true)]
async fn a_plan_of_another_environment_is_a_wrong_input() {
    let lab = Lab::new();
    let new = shop("1.0.0", json!({}));
    let plan = save(&lab.process(), new.clone()).await;
    let production = Target::new(target().project, EnvironmentName::new("production").unwrap());
    let other = lab.parts().build_as(production, SECRET).unwrap();
    let report = apply(&other, new, &plan).await;
    let cause = report.cause().unwrap();
    assert_eq!((ended(&report), cause.kind), ("refused", ErrorKind::Invalid));
    assert!(cause.message.contains("field `target` is shop/staging"), "{cause}");
}

/// Images by themselves: what is built is not known, what moved is named.
#[tokio::test(start_paused = true)]
async fn images_are_compared_by_what_they_are() {
    let lab = Lab::new();
    let images = memory::Images::new().with("app:1");
    let process = || Parts { images: Arc::new(images.clone()), ..lab.parts() }.start();
    let run = process().deploy(DeployRequest::new(image("1.0.0", "app:1", None)));
    run.join().await.unwrap();

    // Found: by its id.
    images.insert(moved("app:2", "sha256:new"));
    let found = image("1.1.0", "app:2", None);
    let seen = preview(&process(), found.clone()).await;
    let change = seen.services[&service("web")].image.clone().unwrap();
    assert_eq!(change.old.as_ref().unwrap().reference, "app:1");
    assert_eq!(change.new, NewImage::Known(moved("app:2", "sha256:new")));
    assert!(seen.release.is_some());
    let plan = save(&process(), found.clone()).await;
    images.insert(moved("app:2", "sha256:newer"));
    let why = "the image of web is sha256:newer, not sha256:new";
    assert_refused(&lab, &process(), found, &plan, why).await;

    // Built: anything that the build gives.
    let built = |n: u8| image("1.2.0", "app:3", Some(json!({ "n": n })));
    let seen = preview(&process(), built(1)).await;
    assert_eq!(seen.release, None);
    let web = &seen.services[&service("web")];
    assert_eq!(web.image.as_ref().unwrap().new, NewImage::Built { reference: "app:3".into() });
    assert_eq!(web.change.reason, "its image is built anew");
    assert!(seen.to_string().contains("app:3, built anew"), "{seen}");
    let plan = save(&process(), built(1)).await;
    let mut other = built(1);
    other.services.get_mut(&service("web")).unwrap().config = json!({ "n": 1 });
    assert_refused(&lab, &process(), other, &plan, "web: n added").await;
    assert_eq!(ended(&apply(&process(), built(1), &plan).await), "succeeded");

    // Not built: what is there is looked up, and the deploy does not build either.
    let mut request = DeployRequest::new(image("1.3.0", "app:3", Some(json!({ "n": 2 }))));
    request.skips.push(Skip { stage: Stage::Build, why: "--skip-build".into() });
    let pipeline = process();
    let seen = pipeline.plan(&pipeline.look(), &request).await.unwrap();
    assert!(seen.release.is_some());
    let report = apply(&pipeline, request.spec, seen.to_saved().unwrap()).await;
    assert_eq!((ended(&report), report.release), ("succeeded", seen.release));
}

/// A build that gives the image that runs does less than was planned, and that is fine.
#[tokio::test(start_paused = true)]
async fn a_build_may_give_what_runs() {
    let lab = Lab::new();
    let spec = image("1.0.0", "app:9", Some(Value::Null));
    lab.deploy(spec.clone()).await;
    let plan = save(&lab.process(), spec.clone()).await;
    let process = Parts { images: Arc::new(memory::Images::new()), ..lab.parts() }.start();
    let report = apply(&process, spec, &plan).await;
    assert_eq!(ended(&report), "succeeded, nothing changed", "{report}");
}

fn moved(reference: &str, id: &str) -> ultrai_deploy_core::release::Image {
    ultrai_deploy_core::release::Image {
        reference: reference.to_owned(),
        id: id.to_owned(),
        digest: None,
    }
}

/// Files are compared by content, and none is stored for a plan.
#[tokio::test(start_paused = true)]
async fn files_are_compared_by_content() {
    let lab = Lab::new();
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("app.conf");
    let with_file = |path: &Path| {
        let mut spec = spec("1.0.0", &[("web", json!({}), &[])]);
        let web = spec.services.get_mut(&service("web")).unwrap();
        web.files.insert("/etc/app.conf".into(), path.to_owned());
        spec
    };
    std::fs::write(&path, "a").unwrap();
    lab.deploy(with_file(&path)).await;
    std::fs::write(&path, "b").unwrap();
    let seen = preview(&lab.process(), with_file(&path)).await;
    assert_eq!(seen.services[&service("web")].configuration[0].key, "file /etc/app.conf");
    let plan = save(&lab.process(), with_file(&path)).await;
    std::fs::write(&path, "c").unwrap();
    let why = "web: file /etc/app.conf changed";
    assert_refused(&lab, &lab.process(), with_file(&path), &plan, why).await;
}

#[tokio::test(start_paused = true)]
async fn what_is_unfinished_is_told_and_not_planned_on() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let new = shop("1.1.0", json!({}));
    let plan = save(&lab.process(), new.clone()).await;
    let at = At::Event(|event| matches!(event, Event::Sealed { .. }));
    let deadly = Deadly::new(&lab, Some((at, Kill::After)));
    let parts = Parts { journal: Arc::clone(&deadly) as _, ..lab.parts() };
    assert!(deadly.drive(parts.start().deploy(DeployRequest::new(new.clone()))).await.is_none());

    let seen = preview(&lab.process(), new.clone()).await;
    assert!(seen.unfinished.is_some());
    assert!(seen.to_string().contains("is not over"), "{seen}");
    assert_eq!(seen.to_saved().unwrap_err().kind(), ErrorKind::Fenced);
    assert_refused(&lab, &lab.process(), new.clone(), &plan, "is unfinished").await;
    lab.resume().await.unwrap();
    lab.assert_settled().await;
}

/// Killed before its plan was compared: no other process can, so nothing goes on.
#[tokio::test(start_paused = true)]
async fn a_run_that_is_bound_to_a_plan_never_goes_on_without_it() {
    for event in [(|event| matches!(event, Event::Sealed { .. })) as fn(&Event) -> bool, |event| {
        matches!(event, Event::Planned { .. })
    }] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let new = shop("1.1.0", json!({}));
        let plan = save(&lab.process(), new.clone()).await;
        let deadly = Deadly::new(&lab, Some((At::Event(event), Kill::After)));
        let parts = Parts { journal: Arc::clone(&deadly) as _, ..lab.parts() };
        let run = parts.start().deploy(DeployRequest::new(new).with_plan(plan));
        assert!(deadly.drive(run).await.is_none());
        let report = lab.resume().await.unwrap();
        assert_eq!(ended(&report), "refused", "{report}");
        assert!(report.cause().unwrap().message.contains("its plan"), "{report}");
        lab.assert_settled().await;
    }
}
