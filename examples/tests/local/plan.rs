//! What a deploy would change, and applying exactly that.

use std::fs;

use serde_json::{Value, json};

use crate::app::{App, ULTRAI, said};

const AUTO: &str = "port = \"auto\"";
const PLAN: [&str; 3] = ["plan", "--tag", "1.1.0"];
const APPLY: [&str; 3] = ["deploy", "--plan", "plan.json"];

fn serving(app: &App) -> (Vec<i32>, Value) {
    (app.processes(), app.expect(0, &["status"])["release"].clone())
}

#[test]
fn a_plan_is_shown_saved_and_applied() {
    let app = App::new();
    app.configure(ULTRAI, AUTO, "GREETING = \"a\"", "");
    let first = app.expect(0, &PLAN);
    assert_eq!(first["services"]["web"]["action"], "create", "{first}");
    assert_eq!(first["rollback_point"], Value::Null);
    app.deploy("1.0.0", 0);

    app.configure(ULTRAI, AUTO, "GREETING = \"b\"", "");
    let before = serving(&app);
    let plan = app.expect(0, &[&PLAN[..], &["--save", "plan.json"]].concat());
    assert_eq!(serving(&app), before);
    let web = &plan["services"]["web"];
    assert_eq!(web["action"], "start_first", "{plan}");
    assert_eq!(
        web["configuration"],
        json!([{ "key": "env.GREETING", "edit": "changed", "old": "a", "new": "b" }])
    );
    assert_eq!(plan["rollback_point"]["version"], "1.0.0");
    assert_eq!(plan["rollback_point"]["proven"], true);
    let text = app.ultrai(&[&PLAN[..], &["-e", "production", "--format", "text"]].concat());
    assert!(said(&text).contains("env.GREETING: \"a\" -> \"b\""), "{}", said(&text));

    // The input has moved, and comes back.
    app.configure(ULTRAI, AUTO, "GREETING = \"c\"", "");
    let refused = app.expect(1, &APPLY);
    assert_eq!(refused["ending"]["kind"], "refused", "{refused}");
    assert!(refused.to_string().contains("web: env.GREETING changed"), "{refused}");
    let other = app.expect(1, &[&APPLY[..], &["--tag", "1.2.0"]].concat());
    assert!(other.to_string().contains("the version is 1.2.0, not 1.1.0"), "{other}");
    assert_eq!(serving(&app), before);
    app.configure(ULTRAI, AUTO, "GREETING = \"b\"", "");
    let applied = app.expect(0, &APPLY);
    assert_eq!(applied["release"], plan["release"], "{applied}");

    // The world has moved: it is applied already.
    let after = serving(&app);
    let again = app.expect(1, &APPLY);
    assert!(again.to_string().contains("serves, not release"), "{again}");
    assert_eq!(serving(&app), after);
}

/// What is told beside a saved plan is the whole command that applies it.
#[test]
fn a_plan_is_refused_once_another_deploy_came_between() {
    let app = App::new();
    app.configure(ULTRAI, AUTO, "GREETING = \"a\"", "");
    app.deploy("1.0.0", 0);
    let words = ["plan", "--tag", "1.1.0", "-e", "production", "--save", "my plan.json"];
    let told = said(&app.ultrai(&words));
    let (_, command) = told.split_once("apply it with `").unwrap();
    let command = command.split_once('`').unwrap().0.replace("ultrai ", "ultrai --format json ");
    app.deploy("1.0.1", 0);
    let before = serving(&app);
    let stale = app.shell(&command);
    assert_eq!(stale.status.code(), Some(1), "{command}: {}", said(&stale));
    assert!(said(&stale).contains("has changed since the plan was made"), "{}", said(&stale));
    assert_eq!(serving(&app), before);
    assert_eq!(app.expect(0, &["rollback"])["version"], "1.0.0");
    assert_eq!(app.shell(&command).status.code(), Some(0), "what it stands on is back");

    for (wrong, why) in [
        (&["plan", "--tag", "1.2.0", "--save", "nowhere/plan.json"][..], "a directory that exists"),
        (&["deploy", "--plan", "nowhere.json"], "that `ultrai plan --save` wrote"),
    ] {
        let told = app.expect(2, wrong).to_string();
        assert!(told.contains(why), "{told}");
    }
    let both = app.ultrai(&["deploy", "-e", "production", "--plan", "x", "--skip-build"]);
    assert_eq!(both.status.code(), Some(2), "{}", said(&both));
}

#[test]
fn a_plan_that_cannot_be_applied_is_a_wrong_input() {
    let app = App::new();
    app.configure(ULTRAI, AUTO, "GREETING = \"a\"", "");
    app.expect(0, &[&PLAN[..], &["--save", "plan.json"]].concat());
    let whole = fs::read_to_string(app.path("plan.json")).unwrap();
    for (text, field) in [
        ("{}".to_owned(), "field `kind`"),
        (whole[..whole.len() / 2].to_owned(), "cut off"),
        (whole.replace("\"format\": 1", "\"format\": 2"), "field `format` is 2"),
        (whole.replace("1.1.0", "1.1.1"), "field `digest`"),
        (whole.replace("\"made\"", "\"mad\""), "field `made`"),
    ] {
        assert_ne!(text, whole);
        fs::write(app.path("plan.json"), text).unwrap();
        let refused = app.expect(2, &APPLY).to_string();
        assert!(refused.contains(field), "{field}: {refused}");
    }
    fs::write(app.path("plan.json"), whole).unwrap();
    let elsewhere = app.ultrai(&[&APPLY[..], &["-e", "staging"]].concat());
    assert_eq!(elsewhere.status.code(), Some(2), "{}", said(&elsewhere));
    assert!(said(&elsewhere).contains("field `target` is shop/production"), "{}", said(&elsewhere));
    assert_eq!(app.processes(), Vec::<i32>::new());
}

/// The value of a secret is nowhere, before and after it changes.
#[test]
fn no_plan_shows_a_secret() {
    let app = App::new();
    let web = "port = \"auto\"\nsecrets = [\"TOKEN\"]";
    app.configure(ULTRAI, web, "GREETING = \"a\"", "");
    let toml = app.path("deploy.toml");
    let text = fs::read_to_string(&toml).unwrap();
    fs::write(
        &toml,
        format!("secrets = [\"TOKEN\"]\n{text}[environments.production]\nenv_files = [\".env\"]\n"),
    )
    .unwrap();
    app.write_env(".env", "TOKEN=first-value-of-it\n");
    app.deploy("1.0.0", 0);
    app.write_env(".env", "TOKEN=second-value-of-it\n");
    let plan = app.expect(0, &["plan", "--tag", "1.0.0", "--save", "plan.json"]);
    assert_eq!(
        plan["services"]["web"]["configuration"],
        json!([{ "key": "secret TOKEN", "edit": "changed" }])
    );
    let saved = fs::read_to_string(app.path("plan.json")).unwrap();
    assert!(!format!("{plan}{saved}").contains("value-of-it"));
    app.write_env(".env", "TOKEN=third-value-of-it\n");
    let refused = app.expect(1, &["deploy", "--plan", "plan.json"]).to_string();
    assert!(refused.contains("web: secret TOKEN changed"), "{refused}");
    assert!(!refused.contains("value-of-it"), "{refused}");
}
