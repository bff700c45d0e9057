//! What a rollback cannot bring back: it is in the plan before, and in the report afterwards.

use serde_json::json;
use ultrai_deploy_core::{Ending, journal, report::Report, spec::ReleaseSpec};
use ultrai_deploy_hosted::platform::Setting;
use ultrai_deploy_testkit::crash::{self, Death, When};

use crate::{
    lab::{Lab, bring, ending, finish, name, served, spec},
    town::Manners,
};

const TOLD: &str = "api had sealed values before, which nobody can read: KEY";

/// A release that sets `KEY` of `api`.
fn with_key(version: &str, api: &str) -> ReleaseSpec {
    let mut spec = spec(version, api);
    spec.services.get_mut(&name("api")).unwrap().config["variables"]["KEY"] = json!(version);
    spec
}

/// 1.0.0 serves, and a person has set and sealed `KEY`.
async fn sealed(manners: Manners) -> Lab {
    let lab = served(manners).await;
    lab.town.set_by_hand("api", "KEY", "by a person");
    lab.town.seal("api", "KEY");
    lab
}

fn not_undoable(report: &Report) -> Vec<&str> {
    report.plan.as_ref().unwrap().not_undoable.iter().map(String::as_str).collect()
}

#[tokio::test(start_paused = true)]
async fn it_is_planned_and_told() {
    let lab = sealed(Manners::default()).await;
    let mut failing = with_key("1.1.0", "sick");
    let settings = &mut failing.services.get_mut(&name("api")).unwrap().config["settings"];
    settings["pre_deploy_command"] = json!("migrate --all");
    let report = bring(&lab, failing, &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
    let image = |service: &str| {
        format!(
            "the very image of {service} that is behind shop/{service}:1.0.0 now: when the platform \
             has it no more, going back pulls what the registry has there then"
        )
    };
    let expected = [
        "what `migrate --all` of api does when it runs",
        &image("api"),
        "the value of KEY of api, which is sealed",
        &image("web"),
    ];
    assert_eq!(not_undoable(&report), expected);
    let told: Vec<_> = report.notes.iter().filter(|note| note.starts_with(TOLD)).collect();
    assert_eq!(told.len(), 1, "{report}");
    let set = lab.town.set_in("api");
    assert_eq!(set.variables["KEY"], "1.1.0", "it is not taken away as well");
    assert_eq!(set.settings.get(&Setting::PreDeployCommand), None);
}

/// What a release has brought is known, sealed or not: it is brought back, and nothing is told.
#[tokio::test(start_paused = true)]
async fn a_sealed_value_of_a_release_is_brought_back() {
    let lab = sealed(Manners::default()).await;
    let report = bring(&lab, with_key("1.1.0", "1.1.0"), &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::Succeeded { .. })), "{report}");
    assert_eq!(report.notes, Vec::<String>::new());

    let report = bring(&lab, with_key("1.2.0", "sick"), &Death::never()).await.unwrap();
    assert!(matches!(report.ending, Some(Ending::RolledBack { .. })), "{report}");
    assert!(!not_undoable(&report).iter().any(|lost| lost.contains("KEY")), "{report}");
    assert!(!report.notes.iter().any(|note| note.contains("sealed")), "{report}");
    assert_eq!(lab.town.live_with("api").variables["KEY"], "1.1.0");
}

/// Whoever finishes the run of a process that died knows it, too.
#[tokio::test(start_paused = true)]
async fn it_is_told_by_whoever_finishes_the_run() {
    let mut told = 0;
    for when in [When::Before, When::After] {
        let counted = std::sync::atomic::AtomicUsize::new(0);
        crash::every_point(when, |death| {
            let counted = &counted;
            async move {
                let lab = sealed(Manners { is_bound: true, ..Manners::default() }).await;
                if bring(&lab, with_key("1.1.0", "sick"), &death).await.is_none() {
                    finish(&lab).await;
                }
                let runs = journal::Journal::runs(&lab.journal).await.unwrap();
                let [_, run] = &runs[..] else { return };
                if lab.town.set_in("api").variables["KEY"] == "by a person" {
                    return;
                }
                let ended = ending(&lab, run).await;
                assert!(matches!(ended, Some(Ending::RolledBack { .. })), "{ended:?}");
                let records = journal::Journal::load(&lab.journal, run).await.unwrap();
                assert!(serde_json::to_string(&records).unwrap().contains(TOLD));
                counted.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            }
        })
        .await;
        told += counted.into_inner();
    }
    println!("hosted, killed after a sealed value was lost, and told: {told} cases");
    assert!(told > 20, "only {told} cases");
}
