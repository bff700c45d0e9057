//! A failure at every stage: the ending of the table, and the world as it was before.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Ending, ErrorKind,
    backup::{Backup, BackupRequest, BackupSource, BackupStore, Part, Selection},
    deployer::Step,
    error::{Error, Result},
    image::ImageStore,
    journal::Event,
    lease::{Holder, Lease, Wait},
    memory,
    name::{BackupId, RunId, ServiceName, Target},
    pipeline::{DeployRequest, Pipeline},
    release::Image,
    report::StageStatus,
    spec::{ImageSpec, PullPolicy, ReleaseSpec},
    stage::Stage,
    task::TaskOutput,
    verification::When,
};

use crate::{
    faults::{Call, Faulty, How, OnlyAfterwards, Rule},
    lab::{Lab, Parts, ended, fails, service, shop, spec, target, with_check, with_test},
};

/// A backup store that fails in one way.
#[derive(Debug)]
struct BadBackups {
    inner: memory::BackupStore,
    fails: Fails,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fails {
    Create,
    Verify,
    /// It never answers.
    List,
}

#[async_trait]
impl BackupStore for BadBackups {
    async fn create(
        &self,
        cx: &Context,
        request: &BackupRequest,
        sources: &[Arc<dyn BackupSource>],
    ) -> Result<Backup> {
        if self.fails == Fails::Create {
            return Err(Error::new(ErrorKind::Io, "take a backup", "the disk is full"));
        }
        self.inner.create(cx, request, sources).await
    }
    async fn list(&self, target: &Target) -> Result<Vec<Backup>> {
        if self.fails == Fails::List {
            std::future::pending::<()>().await;
        }
        self.inner.list(target).await
    }
    async fn verify(&self, target: &Target, id: &BackupId) -> Result<()> {
        if self.fails == Fails::Verify {
            return Err(Error::new(ErrorKind::Corrupt, "verify a backup", "volume differs"));
        }
        self.inner.verify(target, id).await
    }
    fn own_sources(&self, what: &Selection) -> Vec<Arc<dyn BackupSource>> {
        self.inner.own_sources(what)
    }

    async fn restore(
        &self,
        cx: &Context,
        what: &Selection,
        source: &dyn BackupSource,
    ) -> Result<Vec<Part>> {
        self.inner.restore(cx, what, source).await
    }
    async fn delete(&self, target: &Target, id: &BackupId) -> Result<()> {
        self.inner.delete(target, id).await
    }
}

pub(crate) fn faulty(lab: &Lab, rule: Rule) -> Parts {
    Parts { deployer: Arc::new(Faulty::new(lab.deployer(), rule)), ..lab.parts() }
}

fn image(reference: &str, build: Option<Value>) -> ReleaseSpec {
    let mut spec = shop("1.1.0", json!({}));
    let web = spec.services.get_mut(&service("frontend")).unwrap();
    web.image = Some(ImageSpec {
        reference: reference.into(),
        build,
        pull: PullPolicy::Missing,
        ..ImageSpec::default()
    });
    spec
}

pub(crate) struct Case {
    pub(crate) name: &'static str,
    stage: Stage,
    kind: ErrorKind,
    /// On an upgrade; a first deploy ends the same.
    ending: &'static str,
    pub(crate) spec: ReleaseSpec,
    pub(crate) parts: fn(&Lab) -> Parts,
}

pub(crate) fn cases() -> Vec<Case> {
    let good = || shop("1.1.0", json!({}));
    let case = |name, stage, kind, ending, spec| Case {
        name,
        stage,
        kind,
        ending,
        spec,
        parts: Lab::parts,
    };
    let faulty = |name, stage, ending, parts| Case {
        name,
        stage,
        kind: ErrorKind::Unavailable,
        ending,
        spec: good(),
        parts,
    };
    let (refused, back) = ("refused", "rolled back");
    let unhealthy = ErrorKind::Unhealthy;
    let post_check =
        with_check(good(), When::Post, json!({ "healthy": false, "says": "it is down" }));
    let verify_check = with_check(good(), When::Verify, json!({ "healthy": false }));
    vec![
        case(
            "not supported",
            Stage::Preflight,
            ErrorKind::Unsupported,
            refused,
            shop("1.1.0", json!({ "supported": false })),
        ),
        case("an unknown secret", Stage::Preflight, ErrorKind::Invalid, refused, {
            let mut spec = good();
            let names = &mut spec.services.get_mut(&service("db")).unwrap().secrets;
            names.push(ultrai_deploy_core::name::SecretName::new("UNKNOWN").unwrap());
            spec
        }),
        Case {
            kind: ErrorKind::Unsupported,
            spec: with_test(good(), When::Pre),
            ..faulty("a test that the runner never runs", Stage::Preflight, refused, |lab| Parts {
                tasks: Arc::new(OnlyAfterwards),
                ..lab.parts()
            })
        },
        faulty("preflight fails", Stage::Preflight, refused, |lab| {
            self::faulty(lab, |_, call| (call == Call::Preflight).then_some(How::Before))
        }),
        faulty("the world cannot be read", Stage::Lock, refused, |lab| {
            self::faulty(lab, |_, call| (call == Call::Current).then_some(How::Before))
        }),
        case("a file that is not there", Stage::Configure, ErrorKind::Invalid, refused, {
            let mut spec = good();
            let files = &mut spec.services.get_mut(&service("db")).unwrap().files;
            files.insert("conf".into(), "/nowhere/at/all".into());
            spec
        }),
        case(
            "a build that fails",
            Stage::Build,
            ErrorKind::Invalid,
            refused,
            image("app:2", Some(json!({ "fails": true }))),
        ),
        case(
            "an image that is not to be had",
            Stage::Push,
            ErrorKind::NotFound,
            refused,
            image("nowhere:1", None),
        ),
        case(
            "a test before that fails",
            Stage::PreDeployTests,
            unhealthy,
            refused,
            with_test(shop("1.1.0", fails(When::Pre)), When::Pre),
        ),
        faulty("staging cannot be prepared", Stage::Deploy, refused, |lab| {
            self::faulty(lab, |_, call| (call == Call::Prepare(Step::Stage)).then_some(How::Before))
        }),
        faulty("staging fails cleanly", Stage::Deploy, refused, |lab| {
            self::faulty(lab, |_, call| (call == Call::Act(Step::Stage)).then_some(How::Clean))
        }),
        Case {
            kind: ErrorKind::Timeout,
            ..faulty("staging hangs", Stage::Deploy, back, |lab| {
                self::faulty(lab, |_, call| {
                    (call == Call::Act(Step::Stage)).then_some(How::HangsAfter)
                })
            })
        },
        case(
            "the staged one is not well",
            Stage::Deploy,
            unhealthy,
            back,
            spec(
                "1.1.0",
                &[
                    ("db", json!({ "port": "fixed" }), &[]),
                    ("frontend", json!({ "dead": true }), &[]),
                ],
            ),
        ),
        faulty("the switch cannot be prepared", Stage::Deploy, back, |lab| {
            self::faulty(lab, |_, call| {
                (call == Call::Prepare(Step::Switch)).then_some(How::Before)
            })
        }),
        case(
            "the switch fails half-way",
            Stage::Deploy,
            ErrorKind::Unexpected,
            back,
            shop("1.1.0", json!({ "starts": false })),
        ),
        Case {
            kind: ErrorKind::Timeout,
            ..faulty("the switch hangs", Stage::Deploy, back, |lab| {
                self::faulty(lab, |_, call| {
                    (call == Call::Act(Step::Switch)).then_some(How::HangsAfter)
                })
            })
        },
        case(
            "not healthy once it is live",
            Stage::Verify,
            unhealthy,
            back,
            shop("1.1.0", json!({ "healthy": "staged" })),
        ),
        case("a check that fails", Stage::Verify, unhealthy, back, verify_check),
        case("a check after that fails", Stage::PostDeployTests, unhealthy, back, post_check),
        case(
            "a test after that fails",
            Stage::PostDeployTests,
            unhealthy,
            back,
            with_test(shop("1.1.0", fails(When::Post)), When::Post),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn every_stage_of_an_upgrade() {
    for case in cases() {
        let lab = Lab::new();
        let old = lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.picture().await;
        let report = check(&lab, &case).await;
        assert_eq!(lab.picture().await, before, "{}: the same instances serve", case.name);
        if let Some(Ending::RolledBack { to, .. }) = &report.ending {
            assert_eq!(*to, old.release, "{}", case.name);
            let proof: Vec<_> =
                report.checks.iter().filter(|check| check.release == old.release).collect();
            assert!(proof.len() > 1, "{}: it was proven", case.name);
        } else {
            assert!(report.to_string().contains("was not touched"), "{report}");
        }
        let next = lab.deploy(shop("1.2.0", json!({}))).await;
        assert_eq!(ended(&next), "succeeded", "{}: the next one is not hindered", case.name);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn every_stage_of_a_first_deploy() {
    for case in cases() {
        let lab = Lab::new();
        let report = check(&lab, &case).await;
        assert_eq!(lab.world.instances(), [], "{}: nothing is left", case.name);
        assert_eq!(lab.serving().await, None, "{}", case.name);
        if let Some(Ending::RolledBack { to, .. }) = &report.ending {
            assert_eq!(*to, None, "{}", case.name);
        }
    }
}

async fn check(lab: &Lab, case: &Case) -> ultrai_deploy_core::report::Report {
    let pipeline = (case.parts)(lab).start();
    let run = pipeline.deploy(DeployRequest::new(case.spec.clone()));
    let report = run.join().await.unwrap();
    assert_eq!(ended(&report), case.ending, "{}: {report}", case.name);
    let failed: Vec<_> = report
        .stages
        .iter()
        .filter(|stage| stage.status == StageStatus::Failed)
        .map(|stage| stage.stage)
        .collect();
    assert_eq!(failed, [case.stage], "{}", case.name);
    assert_eq!(report.cause().unwrap().kind, case.kind, "{}: {report}", case.name);
    lab.assert_settled().await;
    report
}

#[tokio::test(start_paused = true)]
async fn a_backup_that_fails_or_differs_refuses() {
    for (fails, kind) in [(Fails::Create, ErrorKind::Io), (Fails::Verify, ErrorKind::Corrupt)] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let before = lab.stamps();
        let backups = Arc::new(BadBackups { inner: lab.backups.clone(), fails });
        let parts = Parts { backups, ..lab.parts() };
        let request = DeployRequest::new(shop("1.1.0", json!({})));
        let report = parts.start().deploy(request).join().await.unwrap();
        assert_eq!(ended(&report), "refused");
        assert_eq!(report.cause().unwrap().kind, kind);
        assert_eq!(lab.stamps(), before);
        lab.assert_settled().await;
    }
}

#[tokio::test(start_paused = true)]
async fn an_environment_that_another_holds_refuses_by_name() {
    let lab = Lab::new();
    let other = lab.lease.clone();
    let holder = Holder {
        run: RunId::new("other").unwrap(),
        host: "elsewhere".into(),
        process: 7,
        user: "Ada".into(),
        since: jiff::Timestamp::UNIX_EPOCH,
    };
    let fence = other.acquire(&target(), &holder, Wait::No).await.unwrap();
    let report = lab.deploy(shop("1.0.0", json!({}))).await;
    assert_eq!(ended(&report), "refused");
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Fenced);
    assert!(cause.message.contains("Ada"), "{cause}");

    let mut request = DeployRequest::new(shop("1.0.0", json!({})));
    request.wait = Wait::AtMost(Duration::from_secs(10));
    let run = lab.process().deploy(request);
    let (report, ()) = tokio::join!(run.join(), async {
        tokio::time::sleep(Duration::from_secs(3)).await;
        other.release(&target(), fence).await.unwrap();
    });
    assert_eq!(ended(&report.unwrap()), "succeeded", "it waited");
}

/// What cannot be removed is named, and nothing else changes.
#[tokio::test(start_paused = true)]
async fn what_cannot_be_retired_is_named() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let parts = faulty(&lab, |_, call| (call == Call::Act(Step::Retire)).then_some(How::Before));
    let request = DeployRequest::new(shop("1.1.0", json!({})));
    let report = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded");
    assert_eq!(report.notes.len(), 1, "{:?}", report.notes);
    assert!(report.notes[0].contains("the old release was not removed"), "{:?}", report.notes);
    let attempts = intents(&lab, &report.run, Step::Retire).await;
    assert_eq!(attempts, 3, "as often as the policy says");
}

#[tokio::test(start_paused = true)]
async fn a_retire_that_fails_once_is_tried_again() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let deployer = Arc::new(Faulty::once(lab.deployer(), Call::Act(Step::Retire), How::Clean));
    let parts = Parts { deployer, ..lab.parts() };
    let request = DeployRequest::new(shop("1.1.0", json!({})));
    let report = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded");
    assert_eq!(report.notes, Vec::<String>::new());
    lab.assert_settled().await;
}

/// Housekeeping never changes the outcome.
#[tokio::test(start_paused = true)]
async fn pruning_that_fails_is_a_note() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let parts = Parts {
        backups: Arc::new(BadBackups { inner: lab.backups.clone(), fails: Fails::List }),
        ..lab.parts()
    };
    let request = DeployRequest::new(shop("1.1.0", json!({})));
    let report = parts.start().deploy(request).join().await.unwrap();
    assert_eq!(ended(&report), "succeeded");
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    lab.assert_settled().await;
}

#[tokio::test(start_paused = true)]
async fn nothing_to_change_but_not_well_is_refused() {
    let lab = Lab::new();
    let release = spec("1.0.0", &[("web", json!({ "port": "fixed", "healthy": "once" }), &[])]);
    lab.deploy(release.clone()).await;
    lab.deploy(spec("1.1.0", &[("web", json!({ "port": "fixed", "dead": true }), &[])])).await;
    // It came back, but it does not survive that.
    let stuck = lab.process().unfinished().await.unwrap().unwrap();
    assert!(stuck.is_stuck());
    lab.process().abandon("we live with it").await.unwrap();
    let before = lab.stamps();
    let report = lab.deploy(release).await;
    assert_eq!(ended(&report), "refused", "{report}");
    assert_eq!(report.cause().unwrap().kind, ErrorKind::Unhealthy);
    assert_eq!(lab.stamps(), before);
}

/// An image that was built stays, and the report of a run that was refused names it.
#[tokio::test(start_paused = true)]
async fn a_refused_run_names_what_it_built() {
    let lab = Lab::new();
    lab.deploy(shop("1.0.0", json!({}))).await;
    let mut spec = with_test(image("app:2", Some(json!({ "context": "." }))), When::Pre);
    let config = &mut spec.services.get_mut(&service("backend")).unwrap().config;
    config["tasks"] = fails(When::Pre)["tasks"].clone();
    let report = lab.deploy(spec).await;
    assert_eq!(ended(&report), "refused");
    assert_eq!(report.built.len(), 1);
    assert!(report.to_string().contains("built app:2"), "{report}");
    assert!(report.to_string().contains(report.backup.unwrap().as_str()));
}

/// Images that ask nobody and never answer.
#[derive(Debug)]
struct Hanging;

#[async_trait]
impl ImageStore for Hanging {
    async fn build(
        &self,
        _: &Context,
        _: &ServiceName,
        _: &ImageSpec,
        _: &dyn TaskOutput,
    ) -> Result<Image> {
        std::future::pending().await
    }
    async fn resolve(&self, _: &Context, _: &ImageSpec, _: &dyn TaskOutput) -> Result<Image> {
        std::future::pending().await
    }
    async fn push(
        &self,
        _: &Context,
        _: &ServiceName,
        _: &ImageSpec,
        _: &Image,
        _: &dyn TaskOutput,
    ) -> Result<Image> {
        std::future::pending().await
    }
    async fn is_obtainable(&self, _: &Context, _: &Image) -> Result<bool> {
        std::future::pending().await
    }
}

/// An answer that does not come is no failure yet: what the call did is found out, and what it
/// has done is not done again.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for() {
    for (step, how, ending) in [
        (Step::Stage, How::Before, "refused"),
        (Step::Stage, How::After, "succeeded"),
        (Step::Switch, How::Before, "rolled back"),
        (Step::Switch, How::After, "succeeded"),
        (Step::Switch, How::HangsAfter, "rolled back"),
        (Step::Retire, How::After, "succeeded"),
        (Step::Rollback, How::After, "rolled back"),
    ] {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let deployer = Arc::new(Faulty::once(lab.deployer(), Call::Act(step), how));
        let sick = if step == Step::Rollback { json!({ "healthy": "staged" }) } else { json!({}) };
        let request = DeployRequest::new(shop("1.1.0", sick));
        let report =
            Parts { deployer, ..lab.parts() }.start().deploy(request).join().await.unwrap();
        let what = format!("{step} {how:?}: {report}");
        assert_eq!(ended(&report), ending, "{what}");
        let records = lab.records(&report.run).await;
        let intents = records.iter().filter(
            |record| matches!(record.event, Event::Intent { step: begun, .. } if begun == step),
        );
        assert_eq!(intents.count(), 1, "{what}");
        let told = report.notes.iter().any(|note| note.contains("no answer came"));
        assert_eq!(told, how != How::Before, "{what}");
        lab.assert_settled().await;
    }
}

/// Whatever hangs, the run ends: every wait has a deadline.
#[tokio::test(start_paused = true)]
async fn every_wait_has_a_deadline() {
    let hangs: [(&str, Rule); 6] = [
        ("preflight", |_, call| (call == Call::Preflight).then_some(How::Hangs)),
        ("current", |_, call| (call == Call::Current).then_some(How::Hangs)),
        ("endpoints", |_, call| (call == Call::Endpoints).then_some(How::Hangs)),
        ("prepare", |_, call| (call == Call::Prepare(Step::Switch)).then_some(How::Hangs)),
        ("stage", |_, call| (call == Call::Act(Step::Stage)).then_some(How::Hangs)),
        ("retire", |_, call| (call == Call::Act(Step::Retire)).then_some(How::Hangs)),
    ];
    for (name, rule) in hangs {
        let lab = Lab::new();
        lab.deploy(shop("1.0.0", json!({}))).await;
        let request = DeployRequest::new(shop("1.1.0", json!({})));
        let report = faulty(&lab, rule).start().deploy(request).join().await.unwrap();
        // Who cannot look at the world cannot prove a rollback either.
        let ending = match name {
            "retire" => "succeeded",
            "endpoints" => "stuck",
            "prepare" => "rolled back",
            _ => "refused",
        };
        assert_eq!(ended(&report), ending, "{name}: {report}");
    }
    let lab = Lab::new();
    let parts = Parts { images: Arc::new(Hanging), ..lab.parts() };
    let run = parts.start().deploy(DeployRequest::new(image("app:1", None)));
    assert_eq!(ended(&run.join().await.unwrap()), "refused");
}

/// A pipeline that cannot do what its policy asks for is not put together.
#[test]
fn a_policy_that_asks_for_backups_needs_a_store() {
    let lab = Lab::new();
    let parts = lab.parts();
    let builder = Pipeline::builder(
        target(),
        parts.deployer,
        parts.journal,
        parts.lease,
        parts.releases,
        Arc::new(crate::lab::Probes),
    );
    assert_eq!(builder.build().unwrap_err().kind(), ErrorKind::Unsupported);
}

pub(crate) async fn intents(lab: &Lab, run: &RunId, of: Step) -> usize {
    let records = lab.records(run).await;
    let is_it = |event: &Event| matches!(event, Event::Intent { step, .. } if *step == of);
    records.iter().filter(|record| is_it(&record.event)).count()
}

/// Two sources that file their parts under one name would overwrite each other.
#[test]
fn two_sources_of_one_name_are_refused() {
    let lab = Lab::new();
    let parts = lab.parts();
    let builder = Pipeline::builder(
        target(),
        parts.deployer,
        parts.journal,
        parts.lease,
        parts.releases,
        Arc::new(crate::lab::Probes),
    )
    .backups(parts.backups)
    .source(Arc::new(crate::disk::Disk::default()))
    .source(Arc::new(crate::disk::Disk::default()));
    assert!(builder.build().is_err());
}
