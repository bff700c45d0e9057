//! Versions that a deploy may bring.

use crate::app::{App, ULTRAI};

fn configure(app: &App, version: &str) {
    let env = format!("APP_VERSION = \"{version}\"");
    app.configure(ULTRAI, "port = \"auto\"", &env, "");
}

#[test]
fn a_lower_version_is_refused_by_accident_and_deployed_on_request() {
    let app = App::new();
    for version in ["1.0.0", "1.1.0"] {
        configure(&app, version);
        app.deploy(version, 0);
    }
    let before = app.processes();
    configure(&app, "1.0.0");
    let refused = app.deploy("1.0.0", 1);
    assert_eq!(refused["ending"]["kind"], "refused", "{refused}");
    let told = refused["ending"]["cause"].to_string();
    assert!(told.contains("1.0.0 is lower than 1.1.0, which serves"), "{told}");
    assert!(told.contains("`ultrai rollback --to 1.0.0`"), "{told}");
    assert!(told.contains("--allow-downgrade"), "{told}");
    let planned = app.expect(1, &["plan", "--tag", "1.0.0"]).to_string();
    assert!(planned.contains("1.0.0 is lower than 1.1.0"), "{planned}");
    assert_eq!((app.processes(), app.version().as_str()), (before, "1.1.0"));

    let plan = ["plan", "--tag", "1.0.0", "--allow-downgrade", "--save", "plan.json"];
    app.expect(0, &plan);
    app.expect(1, &["deploy", "--plan", "plan.json"]);
    app.expect(0, &["deploy", "--plan", "plan.json", "--allow-downgrade"]);
    assert_eq!(app.version(), "1.0.0");
}

#[test]
fn a_pre_release_is_for_other_environments_than_production() {
    let app = App::new();
    configure(&app, "1.0.0-rc.1");
    let refused = app.deploy("1.0.0-rc.1", 1);
    assert_eq!(refused["ending"]["kind"], "refused", "{refused}");
    assert!(refused.to_string().contains("--allow-pre-release"), "{refused}");
    app.expect(1, &["plan", "--tag", "1.0.0-rc.1"]);
    let staging = app.ultrai(&["deploy", "--tag", "1.0.0-rc.1", "-e", "staging"]);
    assert!(staging.status.success());
    app.expect(0, &["plan", "--tag", "1.0.0-rc.1", "--allow-pre-release"]);
    app.expect(0, &["deploy", "--tag", "1.0.0-rc.1", "--allow-pre-release"]);
    assert_eq!(app.version(), "1.0.0-rc.1");
    configure(&app, "1.0.0");
    app.deploy("1.0.0", 0);
}
