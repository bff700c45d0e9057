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

/// The same version with new secrets is another release, and a rollback by version cannot tell them
/// apart.
#[test]
fn one_of_several_releases_of_a_version_is_returned_to_by_its_id() {
    let app = App::new();
    let env = "APP_VERSION = \"1.0.0\"";
    let web = "port = \"auto\"\nsecrets = [\"PASSWORD\"]";
    app.configure(ULTRAI, web, env, "");
    let mut releases = Vec::new();
    for password in ["first", "second", "third"] {
        app.write_env(".env.api_keys", &format!("PASSWORD={password}\n"));
        releases.push(app.deploy("1.0.0", 0)["release"].as_str().unwrap().to_owned());
    }
    let serves = || app.expect(0, &["status"]).to_string();
    app.expect(0, &["rollback", "--to", &releases[0]]);
    assert!(serves().contains(&releases[0]), "{}", serves());
    app.expect(0, &["rollback", "--to", &releases[2]]);
    assert!(serves().contains(&releases[2]), "{}", serves());

    let refused = app.expect(2, &["rollback", "--to", "0123456789abcdef"]).to_string();
    assert!(refused.contains("release 0123456789abcdef was never proven"), "{refused}");
}
