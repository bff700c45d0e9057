//! What else than an image goes with a release: a source, settings, a registry's login, and whether
//! Railway deploys what is pushed.

use std::{fs, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use ultrai_deploy_core::{Ending, report::Report, spec::ReleaseSpec};
use ultrai_deploy_hosted::SOURCE;
use ultrai_deploy_railway::source;
use ultrai_deploy_testkit::{
    hosted::{self, Fault, Lab, railway::Manners},
    server::Answer,
};

use crate::fake::Railway;

fn ended(report: &Report) -> &'static str {
    report.ending.as_ref().map_or("unfinished", Ending::as_str)
}

/// A release whose `api` is built from its source.
fn of_source(version: &str, scratch: &TempDir, text: &str) -> ReleaseSpec {
    let directory = scratch.path().join(text);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("main.py"), text).unwrap();
    let archive = scratch.path().join(format!("{text}.tar.gz"));
    source::pack(&directory, &archive).unwrap();
    let mut spec = hosted::spec(version, [version; 2]);
    let api = spec.services.get_mut(&hosted::service("api")).unwrap();
    api.image = None;
    api.files.insert(SOURCE.to_owned(), archive);
    spec
}

/// With this in the definition of `api`.
fn with(version: &str, field: &str, value: Value) -> ReleaseSpec {
    let mut spec = hosted::spec(version, [version; 2]);
    let api = spec.services.get_mut(&hosted::service("api")).unwrap();
    api.config[field] = value;
    spec
}

#[tokio::test]
async fn a_source_is_uploaded_once_and_gone_back_to() {
    let scratch = tempfile::tempdir().unwrap();
    for forgets in [false, true] {
        let lab = Lab::new(Railway::with(Manners { forgets, ..Manners::default() }).await);
        let first = lab.deploy_spec(of_source("1.0.0", &scratch, "one")).await;
        assert_eq!(ended(&first), "succeeded", "{first}");
        let again = lab.deploy_spec(of_source("1.0.0", &scratch, "one")).await;
        assert_eq!(ended(&again), "succeeded, nothing changed", "{again}");
        assert_eq!(lab.fake.world().service("api").uploads.len(), 1);
        let second = lab.deploy_spec(of_source("1.1.0", &scratch, "two")).await;
        assert_eq!(ended(&second), "succeeded", "{second}");
        let back = lab.roll_back(first.release.as_ref().unwrap()).await;
        assert_eq!(ended(&back), "succeeded", "{back}");
        let sizes = lab.fake.world().service("api").uploads.clone();
        assert_eq!(sizes.len(), 3, "on request it is a deploy: {sizes:?}");
        assert_eq!(sizes[0], sizes[2]);

        lab.fake.world().service("api").uploads.clear();
        lab.fake.world().service("api").next.push_back(Manners::default().course("FAILED"));
        let failed = lab.deploy_spec(of_source("1.2.0", &scratch, "three")).await;
        assert_eq!(ended(&failed), "rolled back", "{failed}");
        // A variable has to go again, and Railway deploys for that: what it deploys is the old source.
        let after = lab.fake.world().service("api").uploads.clone();
        assert_eq!(after.len(), 2, "{after:?}");
        assert_eq!(after[1], sizes[2]);
    }
}

#[tokio::test]
async fn settings_go_with_a_release_and_back_with_it() {
    let lab = Lab::new(Railway::new().await);
    let setting = |lab: &Lab<Railway>, name: &str| {
        lab.fake.world().service("api").settings.get(name).cloned().unwrap_or_default()
    };
    let settings = json!({ "health_path": "/one", "start_command": "serve" });
    let first = lab.deploy_spec(with("1.0.0", "settings", settings)).await;
    assert_eq!(ended(&first), "succeeded", "{first}");
    assert_eq!(setting(&lab, "healthcheckPath"), json!("/one"));
    assert_eq!(setting(&lab, "startCommand"), json!("serve"));

    let settings = json!({ "health_path": "/two", "pre_deploy_command": "migrate" });
    let mut spec = with("1.1.0", "settings", settings);
    let web = spec.services.get_mut(&hosted::service("web")).unwrap();
    web.image.as_mut().unwrap().reference = "shop/web:sick".to_owned();
    let failed = lab.deploy_spec(spec).await;
    assert_eq!(ended(&failed), "rolled back", "{failed}");
    assert_eq!(setting(&lab, "healthcheckPath"), json!("/one"));
    assert_eq!(setting(&lab, "preDeployCommand"), Value::Null, "it was not set before");
    assert_eq!(setting(&lab, "startCommand"), json!("serve"), "nobody changed it");
}

#[tokio::test]
async fn pushes_are_not_deployed_after_a_rollback() {
    let lab = Lab::new(Railway::new().await);
    let deploys_pushes = |lab: &Lab<Railway>| lab.fake.world().service("web").auto_deploy;
    lab.fake.world().service("web").auto_deploy = true;
    let first = lab.deploy("1.0.0").await;
    assert_eq!(ended(&first), "succeeded", "{first}");
    assert!(deploys_pushes(&lab));
    let failed = lab.deploy_tags("1.1.0", ["1.1.0", "sick"]).await;
    assert_eq!(ended(&failed), "rolled back", "{failed}");
    assert!(!deploys_pushes(&lab), "a push would bring it back");
    let good = lab.deploy("1.2.0").await;
    assert_eq!(ended(&good), "succeeded", "{good}");
    assert!(deploys_pushes(&lab));
    let back = lab.roll_back(first.release.as_ref().unwrap()).await;
    assert_eq!(ended(&back), "succeeded", "{back}");
    assert!(!deploys_pushes(&lab), "who goes back does not want what came after");
}

#[tokio::test]
async fn variables_that_go_cost_no_deployment_of_their_own() {
    let lab = Lab::new(Railway::new().await);
    lab.deploy("1.0.0").await;
    let begun = lab.fake.world().service("api").history.deploys.len();
    let report = lab.deploy("1.1.0").await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    lab.assert_serves("1.1.0");
    assert_eq!(lab.fake.world().service("api").history.deploys.len(), begun + 1);
}

#[tokio::test]
async fn a_registry_login_goes_with_the_image_and_is_not_kept() {
    let lab = Lab::new(Railway::new().await);
    let login = json!({ "username": "robot", "password": "TOKEN" });
    let mut spec = with("1.0.0", "registry", login);
    let api = spec.services.get_mut(&hosted::service("api")).unwrap();
    api.secrets.push("TOKEN".parse().unwrap());
    let report = lab.deploy_spec(spec).await;
    assert_eq!(ended(&report), "succeeded", "{report}");
    let sent = lab.fake.world().service("api").settings["registryCredentials"].clone();
    assert_eq!(sent, json!({ "username": "robot", "password": "hunter2-of-the-app" }));
    assert!(!lab.records(&report).await.contains("hunter2-of-the-app"));
}

#[tokio::test]
async fn files_with_secrets_are_refused_before_anything() {
    let lab = Lab::new(Railway::new().await);
    let mut spec = with("1.0.0", "secret_files", json!({ "key.json": "TOKEN" }));
    let api = spec.services.get_mut(&hosted::service("api")).unwrap();
    api.secrets.push("TOKEN".parse().unwrap());
    let report = lab.deploy_spec(spec).await;
    assert_eq!(ended(&report), "refused", "{report}");
    let cause = report.cause().unwrap();
    assert!(cause.message.contains("Railway has no files with secrets"), "{}", cause.message);
}

#[tokio::test]
async fn an_image_that_is_kept_no_longer_is_deployed_again_and_told() {
    let lab = Lab::new(Railway::with(Manners { forgets: true, ..Manners::default() }).await);
    lab.deploy("1.0.0").await;
    let failed = lab.deploy_tags("1.1.0", ["1.1.0", "sick"]).await;
    assert_eq!(ended(&failed), "rolled back", "{failed}");
    lab.assert_serves("1.0.0");
    let records = lab.records(&failed).await;
    let told =
        "Railway does not go back to deployment api-0; image shop/api:1.0.0 is deployed again";
    assert!(records.contains(told), "{records}");
}

/// What serves is older than many that came to nothing: skipped pushes, failed builds.
#[tokio::test]
async fn what_serves_is_found_behind_those_that_failed() {
    let lab = Lab::new(Railway::new().await);
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

/// However Railway says no to going back, what served before serves again.
#[tokio::test]
async fn a_rollback_that_is_refused_is_a_deploy_of_the_same() {
    for code in [json!("INTERNAL_SERVER_ERROR"), json!("BAD_USER_INPUT"), Value::Null] {
        let lab = Lab::new(Railway::new().await);
        lab.deploy("1.0.0").await;
        let message = "Deployment cannot be rolled back";
        let no = json!({ "data": null, "errors": [{ "message": message, "extensions": { "code": code } }] });
        let answer = Answer::json(200, no.to_string());
        lab.fake.world().traffic.fail_next("deploymentRollback", Fault::Instead(answer));
        let failed = lab.deploy_tags("1.1.0", ["1.1.0", "sick"]).await;
        assert_eq!(ended(&failed), "rolled back", "{code}: {failed}");
        lab.assert_serves("1.0.0");
        assert!(lab.records(&failed).await.contains("is deployed again"), "{code}");
    }
}

/// Nobody can read a sealed variable: the plan says so, and so does the report of a run that went
/// back. Railway brings it back itself as long as it has the former image.
#[tokio::test]
async fn a_sealed_variable_that_is_overwritten_is_planned_and_told() {
    for forgets in [false, true] {
        let lab = Lab::new(Railway::with(Manners { forgets, ..Manners::default() }).await);
        {
            let mut world = lab.fake.world();
            world.set_variable("api", "KEY", "hunter2-by-a-person");
            world.service("api").sealed.insert("KEY".to_owned());
        }
        lab.deploy("1.0.0").await;
        let variables = json!({ "VERSION": "1.1.0", "KEY": "of the release" });
        let mut spec = with("1.1.0", "variables", variables);
        let web = spec.services.get_mut(&hosted::service("web")).unwrap();
        web.image.as_mut().unwrap().reference = "shop/web:sick".to_owned();
        let failed = lab.deploy_spec(spec).await;
        assert_eq!(ended(&failed), "rolled back", "{failed}");

        let planned = &failed.plan.as_ref().unwrap().not_undoable;
        let lost = "the value of KEY of api, which is sealed".to_owned();
        assert!(planned.contains(&lost), "{planned:?}");
        let told = "api had sealed values before, which nobody can read: KEY; look whether";
        let told: Vec<_> = failed.notes.iter().filter(|note| note.starts_with(told)).collect();
        assert_eq!(told.len(), 1, "{failed}");
        assert!(!lab.records(&failed).await.contains("hunter2-by-a-person"));
        let value = if forgets { "of the release" } else { "hunter2-by-a-person" };
        assert_eq!(lab.fake.world().inside("api").started_with["KEY"], value);
    }
}
