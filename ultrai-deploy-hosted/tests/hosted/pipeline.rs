//! The whole pipeline on a platform in memory, killed at every record.

use std::sync::Arc;

use ultrai_deploy_core::{
    Ending, ErrorKind, current::Serving, journal, lease::Wait, pipeline::DeployRequest,
};
use ultrai_deploy_testkit::crash::{self, Death, When};

use crate::{
    lab::{WAIT, ending, finish, name, served, spec, upgrade},
    town::{LAG, Manners},
};

#[tokio::test(start_paused = true)]
async fn an_upgrade_and_a_failing_one() {
    for manners in [
        Manners::default(),
        Manners { is_silent: true, lag: LAG, forgets: true, ..Manners::default() },
        Manners { is_bound: true, ..Manners::default() },
        Manners { is_bound: true, is_silent: true, lag: LAG, ..Manners::default() },
    ] {
        for (api, version) in [("1.1.0", "1.1.0"), ("sick", "1.0.0")] {
            let lab = served(manners).await;
            let report = upgrade(&lab, api, &Death::never()).await.unwrap();
            let is_good = version == "1.1.0";
            assert_eq!(
                matches!(report.ending, Some(Ending::Succeeded { .. })),
                is_good,
                "{report}"
            );
            if !is_good {
                let cause = report.cause().unwrap();
                assert_eq!(cause.kind, ErrorKind::Unhealthy, "{report}");
                assert!(cause.message.contains("of api failed: update_failed"), "{report}");
                assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
            }
            lab.assert_settled(Some(version)).await;
            // A push does not bring back what failed, until a release is good.
            assert_eq!(lab.town.deploys_itself("web"), Some(is_good));
            let report = upgrade(&lab, "1.1.0-b", &Death::never()).await.unwrap();
            assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{report}");
            assert_eq!(lab.town.deploys_itself("web"), Some(true));
            assert_eq!(lab.town.deploys_itself("api"), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_can_be_killed_at_every_record() {
    let mut cases = 0;
    for when in [When::Before, When::Torn, When::After] {
        for manners in [
            Manners::default(),
            Manners { is_silent: true, lag: LAG, ..Manners::default() },
            Manners { is_bound: true, is_silent: true, ..Manners::default() },
        ] {
            for api in ["1.1.0", "sick"] {
                cases += crash::every_point(when, |death| async move {
                    let lab = served(manners).await;
                    if upgrade(&lab, api, &death).await.is_none() {
                        finish(&lab).await;
                    }
                    let runs = journal::Journal::runs(&lab.journal).await.unwrap();
                    let ending = match &runs[..] {
                        [_, run] => ending(&lab, run).await,
                        _ => None,
                    };
                    let version = match ending {
                        Some(Ending::Succeeded { .. }) if api == "1.1.0" => "1.1.0",
                        _ => "1.0.0",
                    };
                    lab.assert_settled(Some(version)).await;
                    let is_back = matches!(ending, Some(Ending::RolledBack { .. }));
                    assert_eq!(lab.town.deploys_itself("web"), Some(!is_back), "{ending:?}");
                })
                .await;
            }
        }
    }
    println!("hosted, killed and resumed: {cases} cases");
    assert!(cases > 300, "only {cases} cases");
}

/// What a person deployed in between is what a rollback returns to.
#[tokio::test(start_paused = true)]
async fn what_others_deployed_is_gone_back_to() {
    let lab = served(Manners::default()).await;
    lab.town.deploy_by_hand("api", "shop/api:by-hand");
    let current = lab.current().await;
    let Serving::Unmanaged(found) = &current.serving else { panic!("{current:?}") };
    assert_eq!(found.services[&name("api")].image.as_ref().unwrap().reference, "shop/api:by-hand");

    let report = upgrade(&lab, "sick", &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
    let current = lab.current().await;
    let Serving::Unmanaged(back) = &current.serving else { panic!("{current:?}") };
    assert_eq!(back.services, found.services);
    assert_eq!(lab.town.open(), Vec::<String>::new());
}

/// Who cancels while a deploy is under way wants it stopped, also where the platform is slow to show
/// it, and where the process that started it is gone.
#[tokio::test(start_paused = true)]
async fn what_is_under_way_is_stopped() {
    for (lag, is_killed) in [(0, false), (0, true), (1, false), (1, true)] {
        let mut lab = served(Manners::default()).await;
        lab.town.manners = Manners { lag: LAG * lag, slowness: 20, ..Manners::default() };
        let run = lab.process_with(Arc::new(lab.journal.clone()), "two");
        let mut run = run.deploy(DeployRequest::new(spec("1.1.0", "1.1.0")));
        if is_killed {
            tokio::select! {
                biased;
                _ = run.join() => panic!("it ended"),
                () = lab.deploys() => {}
            }
            run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap().unwrap();
            run.cancel().cancel();
        }
        let cancel = run.cancel();
        let mut ended = Box::pin(run.join());
        let report = tokio::select! {
            biased;
            report = &mut ended => report.unwrap(),
            () = lab.deploys() => {
                cancel.cancel();
                ended.await.unwrap()
            }
        };
        let how = format!("{lag} {is_killed}");
        assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{how}: {report}");
        assert_eq!(lab.town.open(), Vec::<String>::new(), "{how}: {report}");
        lab.assert_settled(Some("1.0.0")).await;
    }
}

/// What is accepted and not shown yet is not taken for nothing: it is stopped, or gone on with, and
/// never started twice.
#[tokio::test(start_paused = true)]
async fn what_is_not_seen_yet_is_waited_for() {
    for goes_back in [true, false] {
        let mut lab = served(Manners::default()).await;
        lab.town.manners = Manners { lag: LAG, slowness: 20, ..Manners::default() };
        // Only the image changes: the deploy is all that could be seen.
        let run = lab.process().deploy(DeployRequest::new(spec("1.0.0", "1.0.0-b")));
        tokio::select! {
            biased;
            _ = run.join() => panic!("it ended"),
            () = lab.deploys() => {}
        }
        let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap().unwrap();
        if goes_back {
            run.cancel().cancel();
        }
        let report = run.join().await.unwrap();
        let is_back = matches!(report.ending, Some(Ending::RolledBack { .. }));
        assert_eq!(is_back, goes_back, "{report}");
        lab.assert_settled(Some("1.0.0")).await;
        assert_eq!(lab.town.begun("api"), 2, "1.0.0 and what came after");
    }
}

/// A success of the platform is no success when something else runs.
#[tokio::test(start_paused = true)]
async fn what_was_not_asked_for_is_taken_back() {
    let mut lab = served(Manners::default()).await;
    lab.town.manners.is_stubborn = true;
    let report = upgrade(&lab, "1.1.0", &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
    let told = report.cause().unwrap().message.clone();
    assert!(told.contains("serves image shop/api:1.0.0 instead of image shop/api:1.1.0"), "{told}");
    lab.assert_settled(Some("1.0.0")).await;
}

/// A deploy that began before a variable was changed does not have the change.
#[tokio::test(start_paused = true)]
async fn what_began_without_a_variable_is_deployed_again() {
    let lab = served(Manners::default()).await;
    let pipeline = lab.process_with(Arc::new(lab.journal.clone()), "two");
    let run = pipeline.deploy(DeployRequest::new(spec("1.1.0", "1.1.0")));
    tokio::select! {
        biased;
        _ = run.join() => panic!("it ended"),
        () = lab.deploys() => {}
    }
    lab.town.set_by_hand("api", "VERSION", "another");
    lab.town.deploy_by_hand("api", "shop/api:1.1.0");
    let run = lab.process().resume(false, Wait::AtMost(WAIT)).await.unwrap().unwrap();
    let report = run.join().await.unwrap();
    assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{report}");
    lab.assert_settled(Some("1.1.0")).await;
}
