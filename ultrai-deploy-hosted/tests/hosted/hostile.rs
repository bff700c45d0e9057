//! What people hate: a way back that makes it worse, a green report over a broken app, a stuck state.

use std::{path::Path, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{
    Ending, ErrorKind, current::Serving, journal::Journal as _, lease::Wait, name::SecretName,
    pipeline::DeployRequest, release_store::ReleaseStore as _, report::Report, spec::ReleaseSpec,
};
use ultrai_deploy_hosted::{
    SOURCE,
    platform::{Artifact, Setting},
};
use ultrai_deploy_testkit::crash::{self, Death, When};

use crate::{
    lab::{Lab, WAIT, bring, ending, finish, name, served, spec, upgrade},
    town::{LAG, Manners, Set},
};

fn is_back(report: &Report) -> bool {
    matches!(report.ending, Some(Ending::RolledBack { .. }))
}

fn is_good(report: &Report) -> bool {
    matches!(report.ending, Some(Ending::Succeeded { .. }))
}

/// An upgrade whose last service does not come up.
fn sick_web() -> ReleaseSpec {
    let mut spec = spec("1.1.0", "1.1.0");
    let web = spec.services.get_mut(&name("web")).unwrap();
    "shop/web:sick".clone_into(&mut web.image.as_mut().unwrap().reference);
    spec
}

/// The same with the source of `api` uploaded.
fn uploaded(mut spec: ReleaseSpec, file: &str) -> ReleaseSpec {
    let api = spec.services.get_mut(&name("api")).unwrap();
    api.image = None;
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    api.files.insert(SOURCE.to_owned(), path);
    spec
}

/// Slots that a person has set up and deployed to, with some of the names that a release uses.
fn set_up_by_hand(manners: Manners) -> (Lab, Set) {
    let lab = Lab::new(manners);
    for slot in ["api", "web"] {
        for (variable, value) in [("VERSION", "by hand"), ("TOKEN", "mine"), ("ONLY_NEW", "x")] {
            lab.town.set_by_hand(slot, variable, value);
        }
        lab.town.set_file_by_hand(slot, "token.txt", "mine");
        lab.town.set_up_by_hand(slot, Setting::HealthPath, "/by-hand");
        lab.town.set_up_by_hand(slot, Setting::StartCommand, "serve");
        lab.town.deploy_by_hand(slot, &format!("shop/{slot}:by-hand"));
    }
    let set = lab.town.set_in("api");
    (lab, set)
}

const KINDS: [Manners; 3] = [
    Manners::DEFAULT,
    Manners { is_bound: true, ..Manners::DEFAULT },
    Manners { is_silent: true, lag: LAG, forgets: true, ..Manners::DEFAULT },
];

/// What a person had set before the first deploy is theirs, and is there again after it failed.
#[tokio::test(start_paused = true)]
async fn what_was_set_by_hand_is_set_again() {
    for manners in KINDS {
        for spec in [sick_web(), spec("1.1.0", "sick")] {
            let (lab, set) = set_up_by_hand(manners);
            let report = bring(&lab, spec, &Death::never()).await.unwrap();
            assert!(is_back(&report), "{report}");
            for slot in ["api", "web"] {
                assert_eq!(lab.town.set_in(slot), set, "{slot}, {manners:?}");
                assert_eq!(lab.town.live_with(slot), set, "{slot}, {manners:?}");
                let by_hand = Artifact::image(format!("shop/{slot}:by-hand"));
                assert_eq!(lab.town.live_in(slot), Some(by_hand));
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_set_by_hand_outlives_every_crash() {
    for manners in KINDS {
        let cases = crash::every_point(When::After, |death| async move {
            let (lab, set) = set_up_by_hand(manners);
            if bring(&lab, sick_web(), &death).await.is_none() {
                finish(&lab).await;
            }
            for slot in ["api", "web"] {
                assert_eq!(lab.town.set_in(slot), set, "{slot}, {manners:?}");
                assert_eq!(lab.town.live_with(slot), set, "{slot}, {manners:?}");
            }
        })
        .await;
        assert!(cases > 20, "only {cases} cases");
    }
}

/// A variable that only a person had set, and that the new release uses, too.
#[tokio::test(start_paused = true)]
async fn a_name_that_was_not_of_the_former_release_is_left_to_its_owner() {
    let lab = served(Manners::default()).await;
    lab.town.set_by_hand("api", "ONLY_NEW", "mine");
    let report = bring(&lab, sick_web(), &Death::never()).await.unwrap();
    assert!(is_back(&report), "{report}");
    let set = lab.town.set_in("api").variables;
    assert_eq!(set.get("ONLY_NEW").map(String::as_str), Some("mine"), "{report}");
}

/// The platform does not say what an upload is.
#[tokio::test(start_paused = true)]
async fn uploads_are_brought_and_taken_back() {
    for manners in KINDS {
        let lab = Lab::new(manners);
        let first = uploaded(spec("1.0.0", "1.0.0"), "Cargo.toml");
        let report = lab.deploy(first).await;
        assert!(is_good(&report), "{report}");
        let old = lab.town.live_in("api");
        let next = uploaded(sick_web(), "src/lib.rs");
        let report = bring(&lab, next, &Death::never()).await.unwrap();
        assert!(is_back(&report), "{manners:?}: {report}");
        assert_eq!(lab.town.live_in("api"), old, "{report}");
        let next = uploaded(spec("1.1.0", "1.1.0"), "src/lib.rs");
        let report = bring(&lab, next, &Death::never()).await.unwrap();
        assert!(is_good(&report), "{manners:?}: {report}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_upload_outlives_every_crash() {
    for next in [spec("1.1.0", "1.1.0"), sick_web()] {
        let next = &uploaded(next, "src/lib.rs");
        crash::every_point(When::After, |death| async move {
            let lab = Lab::new(Manners::default());
            lab.deploy(uploaded(spec("1.0.0", "1.0.0"), "Cargo.toml")).await;
            if bring(&lab, next.clone(), &death).await.is_none() {
                finish(&lab).await;
            }
            let runs = lab.journal.runs().await.unwrap();
            if let [_, run] = &runs[..] {
                let ended = ending(&lab, run).await;
                assert!(!matches!(ended, Some(Ending::Stuck { .. })), "{ended:?}");
            }
            assert_eq!(lab.town.open(), Vec::<String>::new());
            let serving = lab.current().await.serving;
            assert!(matches!(serving, Serving::Release(_)), "{serving:?}");
        })
        .await;
    }
}

/// Of what serves nobody knows what it is; that it serves again is waited for all the same.
#[tokio::test(start_paused = true)]
async fn what_nobody_knows_is_waited_for() {
    for manners in [
        Manners { slowness: 5, ..Manners::default() },
        Manners { slowness: 5, is_silent: true, lag: LAG, ..Manners::default() },
    ] {
        let lab = Lab::new(manners);
        lab.town.upload_by_hand("api");
        lab.town.upload_by_hand("web");
        let report = bring(&lab, sick_web(), &Death::never()).await.unwrap();
        assert!(is_back(&report), "{report}");
        assert_eq!(lab.town.open(), Vec::<String>::new(), "{report}");
        let by_hand = Artifact::Source("by hand".to_owned());
        assert_eq!(lab.town.live_in("api"), Some(by_hand), "{report}");
        assert_eq!(lab.town.begun("api"), 3, "{report}");
    }
}

/// Suspending and resuming take their time, too.
#[tokio::test(start_paused = true)]
async fn a_slow_suspension_is_waited_for() {
    let manners = Manners { lag: LAG, ..Manners::default() };
    let lab = Lab::new(manners);
    let report = bring(&lab, sick_web(), &Death::never()).await.unwrap();
    assert!(is_back(&report), "{report}");
    assert_eq!(lab.current().await.serving, Serving::Nothing);

    let lab = served(manners).await;
    let mut without = spec("1.1.0", "1.1.0");
    without.services.remove(&name("web"));
    let report = bring(&lab, without, &Death::never()).await.unwrap();
    assert!(is_good(&report), "{report}");
    assert_eq!(lab.town.live_in("web"), None);
    let report = bring(&lab, spec("1.2.0", "1.2.0"), &Death::never()).await.unwrap();
    assert!(is_good(&report), "{report}");
}

/// Going back matters more than what the platform would deploy by itself later.
#[tokio::test(start_paused = true)]
async fn a_switch_that_does_not_work_does_not_keep_from_going_back() {
    for (calls, is_held) in [(1, true), (100, false)] {
        let lab = served(Manners::default()).await;
        lab.town.let_deploy_itself("api");
        lab.town.hold_on("api", calls);
        let report = bring(&lab, sick_web(), &Death::never()).await.unwrap();
        assert_eq!(is_back(&report), is_held, "{report}");
        assert_eq!(lab.town.deploys_itself("api"), Some(!is_held), "{report}");
        assert_eq!(lab.town.deploys_itself("web"), Some(false), "{report}");
        for slot in ["api", "web"] {
            let old = Some(Artifact::image(format!("shop/{slot}:1.0.0")));
            assert_eq!(lab.town.live_in(slot), old, "{report}");
        }
    }
}

/// One service that does not come back does not keep the others from it.
#[tokio::test(start_paused = true)]
async fn each_service_goes_back_that_can() {
    let lab = served(Manners { slowness: 20, ..Manners::default() }).await;
    let pipeline = lab.process();
    let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", "1.1.0")));
    let cancel = run.cancel();
    let mut ended = Box::pin(run.join());
    let new = Some(Artifact::image("shop/api:1.1.0"));
    let report = tokio::select! {
        biased;
        report = &mut ended => report.unwrap(),
        () = async {
            while lab.town.live_in("api") != new || lab.town.open().is_empty() {
                tokio::time::advance(Duration::from_secs(1)).await;
            }
        } => {
            lab.town.lock("api");
            cancel.cancel();
            ended.await.unwrap()
        }
    };
    assert!(matches!(report.ending, Some(Ending::Stuck { .. })), "{report}");
    assert_eq!(lab.town.open(), Vec::<String>::new(), "{report}");
    let web = lab.town.set_in("web").variables;
    assert_eq!(web.get("VERSION").map(String::as_str), Some("1.0.0"), "{report}");
}

/// Two services cannot have one slot: each would take the other's place.
#[tokio::test(start_paused = true)]
async fn a_slot_is_for_one_service() {
    let lab = Lab::new(Manners::default());
    let mut twice = spec("1.0.0", "1.0.0");
    let web = twice.services.get_mut(&name("web")).unwrap();
    web.config["slot"] = json!("api");
    web.image.as_mut().unwrap().reference = "shop/api:1.0.0".to_owned();
    let report = lab.deploy(twice).await;
    let cause = report.cause().unwrap();
    assert_eq!(cause.kind, ErrorKind::Invalid, "{report}");
    assert!(cause.message.contains("api and web"), "{report}");
    assert_eq!(lab.town.begun("api"), 0);
}

/// Who deletes a service on the platform, and leaves it out, can go on deploying.
#[tokio::test(start_paused = true)]
async fn a_slot_that_was_deleted_is_in_nobodys_way() {
    for is_held in [false, true] {
        let mut lab = served(Manners::default()).await;
        if is_held {
            lab.town.let_deploy_itself("api");
            assert!(is_back(&upgrade(&lab, "sick", &Death::never()).await.unwrap()));
            assert_eq!(lab.town.deploys_itself("web"), Some(false));
        }
        lab.town.delete("api");
        lab.services = vec!["web"];
        let mut without = spec("1.2.0", "1.2.0");
        without.services.remove(&name("api"));
        without.services.get_mut(&name("web")).unwrap().depends_on.clear();
        let report = bring(&lab, without, &Death::never()).await.unwrap();
        assert!(is_good(&report), "{report}");
        assert_eq!(lab.town.deploys_itself("web"), Some(true), "{report}");
        // Who wants it has to name another place.
        let report = bring(&lab, spec("1.3.0", "1.3.0"), &Death::never()).await.unwrap();
        assert_eq!(report.cause().unwrap().kind, ErrorKind::Invalid, "{report}");
    }
}

/// Why the platform did not go on with a deploy is told.
#[tokio::test(start_paused = true)]
async fn a_deploy_that_is_dropped_says_so() {
    let lab = served(Manners { slowness: 20, ..Manners::default() }).await;
    let pipeline = lab.process();
    let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", "1.1.0")));
    let mut ended = Box::pin(run.join());
    let report = tokio::select! {
        biased;
        report = &mut ended => report.unwrap(),
        () = lab.deploys() => {
            lab.town.stop_by_hand("api");
            ended.await.unwrap()
        }
    };
    assert!(is_back(&report), "{report}");
    assert!(report.cause().unwrap().message.contains("skipped"), "{report}");
}

/// A service that gets another slot would leave the old one running, and no way back to it.
#[tokio::test(start_paused = true)]
async fn a_release_is_not_brought_to_another_slot() {
    let lab = served(Manners::default()).await;
    let mut moved = spec("1.1.0", "1.1.0");
    moved.services.get_mut(&name("web")).unwrap().config["slot"] = json!("api");
    moved.services.remove(&name("api"));
    moved.services.get_mut(&name("web")).unwrap().depends_on.clear();
    let before = lab.town.begun("api");
    let report = bring(&lab, moved, &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::Refused { .. })), "{report}");
    assert_eq!(lab.town.begun("api"), before);
}

/// What came to serve is not looked for before a list shows it.
#[tokio::test(start_paused = true)]
async fn a_late_list_is_waited_for() {
    let manners = Manners { list_lag: LAG, ..Manners::default() };
    let lab = served(manners).await;
    let report = bring(&lab, sick_web(), &Death::never()).await.unwrap();
    assert!(is_back(&report), "{report}");
    lab.assert_settled(Some("1.0.0")).await;
    let report = upgrade(&lab, "1.1.0", &Death::never()).await.unwrap();
    assert!(is_good(&report), "{report}");
    lab.assert_settled(Some("1.1.0")).await;
}

/// A platform that brings variables back with a build brings back those of a person, too.
#[tokio::test(start_paused = true)]
async fn what_a_person_changed_meanwhile_outlives_every_crash() {
    let manners = Manners { is_bound: true, ..Manners::default() };
    crash::every_point(When::After, |death| async move {
        let lab = served(manners).await;
        lab.town.set_by_hand("api", "BY_HAND", "newer");
        if bring(&lab, sick_web(), &death).await.is_none() {
            finish(&lab).await;
        }
        let set = lab.town.set_in("api").variables;
        assert_eq!(set.get("BY_HAND").map(String::as_str), Some("newer"));
    })
    .await;
}

/// What is kept is kept where secrets are, and no longer than it is of use.
#[tokio::test(start_paused = true)]
async fn what_is_kept_is_dropped_and_never_told() {
    for spec in [sick_web(), spec("1.1.0", "1.1.0")] {
        let lab = Lab::new(Manners::default());
        for slot in ["api", "web"] {
            lab.town.set_by_hand(slot, "VERSION", "hunter2-by-hand");
            lab.town.set_up_by_hand(slot, Setting::StartCommand, "serve hunter2-by-hand");
            lab.town.set_up_by_hand(slot, Setting::HealthPath, "/hunter2-by-hand");
            lab.town.deploy_by_hand(slot, &format!("shop/{slot}:by-hand"));
        }
        let report = bring(&lab, spec, &Death::never()).await.unwrap();
        for run in lab.journal.runs().await.unwrap() {
            let records = lab.journal.load(&run).await.unwrap();
            let told = serde_json::to_string(&records).unwrap();
            assert!(!told.contains("hunter2-by-hand"), "{told}");
        }
        for release in lab.releases.list().await.unwrap() {
            let secrets = lab.releases.secrets(&release).await.unwrap();
            let names: Vec<_> = secrets.keys().map(SecretName::as_str).collect();
            assert!(names.iter().all(|name| *name == "TOKEN"), "{names:?}: {report}");
        }
    }
}

/// Where nothing served nothing comes to serve later, either: not what was accepted and is shown
/// late, and not what the platform begins because a variable goes.
#[tokio::test(start_paused = true)]
async fn nothing_comes_after_the_way_back_to_nothing() {
    let manners =
        Manners { is_bound: true, is_silent: true, lag: LAG, slowness: 20, ..Manners::default() };
    for when in [When::Before, When::After] {
        crash::every_point(when, |death| async move {
            let lab = Lab::new(manners);
            if bring(&lab, spec("1.0.0", "1.0.0"), &death).await.is_none() {
                let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap();
                if let Some(run) = run {
                    run.cancel().cancel();
                    run.join().await.unwrap();
                }
            }
            for _ in 0..40 {
                tokio::time::advance(LAG).await;
                lab.current().await;
            }
            let serving = lab.current().await.serving;
            let runs = lab.journal.runs().await.unwrap();
            let ended = match runs.first() {
                Some(run) => ending(&lab, run).await,
                None => None,
            };
            match ended {
                Some(Ending::Succeeded { .. }) => {
                    assert!(matches!(serving, Serving::Release(_)), "{serving:?}");
                }
                ended => assert_eq!(serving, Serving::Nothing, "{ended:?}"),
            }
        })
        .await;
    }
}

/// A list that is late shows what is over as under way, and what was replaced as serving.
#[tokio::test(start_paused = true)]
async fn a_late_list_tells_no_way_back_that_was_none() {
    let manners = Manners { list_lag: LAG, ..Manners::default() };
    for slowness in [0, 2] {
        crash::every_point(When::After, |death| async move {
            let mut lab = served(manners).await;
            lab.town.manners.slowness = slowness;
            if upgrade(&lab, "1.1.0", &death).await.is_none() {
                let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap();
                if let Some(run) = run {
                    run.cancel().cancel();
                    run.join().await.unwrap();
                }
            }
            tokio::time::advance(LAG).await;
            let runs = lab.journal.runs().await.unwrap();
            let [_, run] = &runs[..] else { return };
            let version = match ending(&lab, run).await {
                Some(Ending::Succeeded { .. }) => "1.1.0",
                _ => "1.0.0",
            };
            lab.current().await;
            lab.assert_settled(Some(version)).await;
        })
        .await;
    }
}
