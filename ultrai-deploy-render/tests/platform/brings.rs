//! What else than an image goes with a release: files with secrets, settings, a commit, and whether
//! Render deploys what is pushed.

use std::time::Duration;

use serde_json::{Value, json};
use ultrai_deploy_core::{Ending, report::Report, spec::ReleaseSpec};
use ultrai_deploy_hosted::SOURCE;
use ultrai_deploy_testkit::hosted::{self, Lab};

use crate::fake::Render;

fn ended(report: &Report) -> &'static str {
    report.ending.as_ref().map_or("unfinished", Ending::as_str)
}

/// With these in the definition of `api`, and `web` of this tag.
fn with(version: &str, web: &str, fields: Value) -> ReleaseSpec {
    let mut spec = hosted::spec(version, [version, web]);
    let api = spec.services.get_mut(&hosted::service("api")).unwrap();
    let Value::Object(fields) = fields else { panic!("{fields}") };
    for (name, value) in fields {
        api.config[name] = value;
    }
    api.secrets.push("TOKEN".parse().unwrap());
    spec
}

#[tokio::test]
async fn files_and_settings_go_with_a_release_and_back_with_it() {
    let lab = Lab::new(Render::new().await);
    let files = |lab: &Lab<Render>| lab.fake.world().service("api").secret_files.clone();
    let setting = |lab: &Lab<Render>, name: &str| {
        lab.fake.world().service("api").details.get(name).cloned().unwrap_or_default()
    };
    let of_person = ("by-hand.txt".to_owned(), "kept".to_owned());
    lab.fake.world().service("api").secret_files.extend([of_person.clone()]);
    let fields = json!({
        "secret_files": { "key.json": "TOKEN" },
        "settings": { "health_path": "/one", "start_command": "serve" },
    });
    let first = lab.deploy_spec(with("1.0.0", "1.0.0", fields)).await;
    assert_eq!(ended(&first), "succeeded", "{first}");
    let key = |name: &str| (name.to_owned(), "hunter2-of-the-app".to_owned());
    assert_eq!(files(&lab), [of_person.clone(), key("key.json")].into());
    assert_eq!(setting(&lab, "healthCheckPath"), json!("/one"));
    assert_eq!(setting(&lab, "envSpecificDetails")["dockerCommand"], json!("serve"));

    let fields = json!({
        "secret_files": { "other.json": "TOKEN" },
        "settings": { "health_path": "/two", "pre_deploy_command": "migrate" },
    });
    let failed = lab.deploy_spec(with("1.1.0", "sick", fields)).await;
    assert_eq!(ended(&failed), "rolled back", "{failed}");
    assert_eq!(files(&lab), [of_person, key("key.json")].into());
    assert_eq!(setting(&lab, "healthCheckPath"), json!("/one"));
    let of_runtime = setting(&lab, "envSpecificDetails");
    assert_eq!(of_runtime["dockerCommand"], json!("serve"), "nobody changed it");
    assert_eq!(of_runtime["preDeployCommand"], json!(""), "it was not set before");
    assert!(!lab.records(&failed).await.contains("hunter2-of-the-app"));
}

#[tokio::test]
async fn pushes_are_not_deployed_after_a_rollback() {
    let lab = Lab::new(Render::new().await);
    let pushes = |lab: &Lab<Render>| lab.fake.world().service("web").auto_deploy.clone();
    lab.fake.world().service("web").auto_deploy = "checksPass".to_owned();
    let first = lab.deploy("1.0.0").await;
    assert_eq!(ended(&first), "succeeded", "{first}");
    assert_eq!(pushes(&lab), "checksPass");
    let failed = lab.deploy_tags("1.1.0", ["1.1.0", "sick"]).await;
    assert_eq!(ended(&failed), "rolled back", "{failed}");
    assert_eq!(pushes(&lab), "off", "a push would bring it back");
    let good = lab.deploy("1.2.0").await;
    assert_eq!(ended(&good), "succeeded", "{good}");
    assert_eq!(pushes(&lab), "checksPass", "as it was");
    assert_eq!(lab.fake.world().service("api").auto_deploy, "off", "nobody switched it on");
}

#[tokio::test]
async fn a_commit_is_deployed_and_gone_back_to() {
    let lab = Lab::new(Render::new().await);
    let of_commit = |version: &str, commit: &str| {
        let mut spec = with(version, version, json!({ "commit": commit }));
        spec.services.get_mut(&hosted::service("api")).unwrap().image = None;
        spec
    };
    let live = |lab: &Lab<Render>| {
        let mut world = lab.fake.world();
        world.service("api").history.live().and_then(|live| live.what.commit.clone())
    };
    let first = lab.deploy_spec(of_commit("1.0.0", "c0ffee")).await;
    assert_eq!(ended(&first), "succeeded", "{first}");
    let again = lab.deploy_spec(of_commit("1.0.0", "c0ffee")).await;
    assert_eq!(ended(&again), "succeeded, nothing changed", "{again}");
    let second = lab.deploy_spec(of_commit("1.1.0", "decaf")).await;
    assert_eq!(ended(&second), "succeeded", "{second}");
    assert_eq!(live(&lab).as_deref(), Some("decaf"));
    let back = lab.roll_back(first.release.as_ref().unwrap()).await;
    assert_eq!(ended(&back), "succeeded", "{back}");
    assert_eq!(live(&lab).as_deref(), Some("c0ffee"));
}

#[tokio::test]
async fn what_render_cannot_be_asked_for_is_refused_before_anything() {
    let lab = Lab::new(Render::new().await);
    let login = json!({ "registry": { "username": "robot", "password": "TOKEN" } });
    let mut source = with("1.0.0", "1.0.0", json!({}));
    let api = source.services.get_mut(&hosted::service("api")).unwrap();
    api.image = None;
    api.files.insert(SOURCE.to_owned(), "source.tar.gz".into());
    for (spec, told) in [
        (with("1.0.0", "1.0.0", login), "choose the registry credential"),
        (source, "name the commit of the repository"),
    ] {
        let calls = lab.fake.world().traffic.calls.len();
        let report = lab.deploy_spec(spec).await;
        assert_eq!(ended(&report), "refused", "{report}");
        let cause = report.cause().unwrap();
        assert!(cause.message.contains(told), "{}", cause.message);
        assert_eq!(lab.fake.world().traffic.calls.len(), calls, "nobody was asked");
    }
}

/// What serves is older than many that came to nothing: skipped pushes, failed builds.
#[tokio::test]
async fn what_serves_is_found_behind_those_that_failed() {
    let lab = Lab::new(Render::new().await);
    let first = lab.deploy_spec(hosted::spec("1.0.0", ["1.0.0"; 2])).await;
    assert_eq!(ended(&first), "succeeded", "{first}");
    for _ in 0..30 {
        let mut world = lab.fake.world();
        world.manners.takes = Duration::ZERO;
        world.deploy_by_hand("api", "shop/api:sick");
    }
    let again = lab.deploy_spec(hosted::spec("1.0.0", ["1.0.0"; 2])).await;
    assert_eq!(ended(&again), "succeeded, nothing changed", "{again}");
}

/// A page is shown from before anything of the service changes until it serves, or the old one does.
#[tokio::test]
async fn a_page_is_shown_while_a_service_migrates() {
    let lab = Lab::new(Render::new().await);
    let page = json!({ "enabled": false, "uri": "https://shop.example.com/back-soon" });
    lab.fake.world().service("api").details.insert("maintenanceMode".to_owned(), page.clone());
    let shown =
        |lab: &Lab<Render>| lab.fake.world().service("api").details["maintenanceMode"].clone();
    let maintenance = || json!({ "maintenance": true });
    for (version, web, ending) in
        [("1.0.0", "1.0.0", "succeeded"), ("1.1.0", "sick", "rolled back")]
    {
        let report = lab.deploy_spec(with(version, web, maintenance())).await;
        assert_eq!(ended(&report), ending, "{report}");
        assert_eq!(shown(&lab), page, "the page that was chosen stays");
        let records = lab.records(&report).await;
        let at = |what: &str| records.find(what).unwrap_or_else(|| panic!("no {what}: {records}"));
        assert!(at("begin maintenance") < at("change variables"));
        assert!(at("\"deploy\"") < at("end maintenance"));
    }
    // The service's own deploy fails while the page is shown.
    let failed = lab.deploy_spec({
        let mut spec = with("1.2.0", "1.2.0", maintenance());
        let api = spec.services.get_mut(&hosted::service("api")).unwrap();
        api.image.as_mut().unwrap().reference = "shop/api:sick".to_owned();
        spec
    });
    let failed = failed.await;
    assert_eq!(ended(&failed), "rolled back", "{failed}");
    assert_eq!(shown(&lab), page);
}
