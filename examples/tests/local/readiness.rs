//! Whether a deploy could be taken back.

use std::fs;

use crate::app::{App, ULTRAI, said};

fn configure(app: &App, version: &str, readiness: &str) {
    let more = format!(
        "[policy]\nreadiness = \"{readiness}\"\n\
         [environments.production]\nenv_files = [\"flags.env\"]\n\
         [flags.NEW_CART]\ndescription = \"the new cart\"\n\
         [[migration]]\nname = \"drop carts\"\nservice = \"web\"\nreversible = false\n\
         command = [\"sh\", \"-c\", \"exit 0\"]\n"
    );
    let env = format!("APP_VERSION = \"{version}\"");
    app.configure(ULTRAI, "port = \"auto\"", &env, &more);
}

#[test]
fn a_deploy_that_cannot_be_taken_back_is_told_or_refused() {
    let app = App::new();
    app.configure(ULTRAI, "port = \"auto\"", "APP_VERSION = \"1.0.0\"", "");
    app.deploy("1.0.0", 0);

    configure(&app, "1.1.0", "block");
    fs::write(app.path("flags.env"), "").unwrap();
    let plan = app.expect(0, &["plan", "--tag", "1.1.0"]);
    assert_eq!(plan["blocked"], true, "{plan}");
    let refused = app.deploy("1.1.0", 1);
    assert_eq!(refused["ending"]["kind"], "refused", "{refused}");
    let told = refused["ending"]["cause"].to_string();
    assert!(told.contains("migrations: not reversible: `drop carts`"), "{told}");
    assert!(told.contains("feature flags: NEW_CART is not configured"), "{told}");
    assert_eq!(app.version(), "1.0.0");

    configure(&app, "1.1.0", "warn");
    fs::write(app.path("flags.env"), "NEW_CART=off\n").unwrap();
    let words = ["deploy", "--tag", "1.1.0", "-e", "production", "--format", "text"];
    let warned = app.ultrai(&words);
    assert_eq!(warned.status.code(), Some(0), "{}", said(&warned));
    let warned = said(&warned);
    assert!(warned.contains("going back: NOT READY: migrations: not reversible"), "{warned}");
    assert!(!warned.contains("NEW_CART"), "{warned}");

    configure(&app, "1.2.0", "block");
    let ready = app.deploy("1.2.0", 0);
    let backup = ready["backup"].as_str().unwrap();
    let findings = ready["readiness"]["findings"].to_string();
    assert!(findings.contains(&format!("{backup} is whole")), "{findings}");
}
