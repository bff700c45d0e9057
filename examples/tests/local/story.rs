//! The quickstart, and an application of one's own as local processes.

use std::{
    fs,
    time::{Duration, Instant},
};

use crate::app::{App, ULTRAI, json, said};

#[test]
fn the_quickstart_tells_its_story_within_twenty_seconds() {
    let app = App::new();
    let began = Instant::now();
    let output = app.ultrai(&["quickstart"]);
    let took = began.elapsed();
    assert!(output.status.success(), "{}", said(&output));
    let story = json(&output);
    let endings: Vec<_> =
        story["runs"].as_array().unwrap().iter().map(|run| run["ending"]["kind"].clone()).collect();
    assert_eq!(endings, ["succeeded", "succeeded", "rolled_back"]);
    let report = fs::read_to_string(story["report"].as_str().unwrap()).unwrap();
    assert_eq!(serde_json::from_str::<serde_json::Value>(&report).unwrap(), story["runs"]);
    println!("the quickstart took {took:.1?}");
    assert!(took < Duration::from_secs(20), "{took:?}");
}

/// An upgrade starts beside the old process.
const AUTO: &str = "port = \"auto\"";

#[test]
fn an_application_of_local_processes() {
    let app = App::new();
    app.configure(ULTRAI, AUTO, "APP_VERSION = \"1.0.0\"", "");
    app.deploy("1.0.0", 0);
    let again = app.deploy("1.0.0", 0);
    assert_eq!(again["ending"]["changed"], false);

    // One rollback after the other leads further back, never forward again.
    app.deploy("1.0.1", 0);
    assert_eq!(app.expect(0, &["rollback"])["version"], "1.0.0");
    let further = app.expect(2, &["rollback"]).to_string();
    assert!(further.contains("nothing was proven in shop/production before"), "{further}");
    let before = app.processes();
    assert_eq!(before.len(), 1, "one process serves");

    app.configure(ULTRAI, AUTO, "APP_VERSION = \"1.1.0\", DEMO_NEVER_HEALTHY = \"1\"", "");
    app.deploy("1.1.0", 3);
    app.expect(0, &["verify"]);
    assert_eq!(app.processes(), before, "the same process serves");
}

#[test]
fn a_rollback_to_a_version() {
    let app = App::new();
    app.configure(ULTRAI, AUTO, "APP_VERSION = \"1\"", "");
    for version in ["1.0.0", "1.0.1", "1.0.2"] {
        app.deploy(version, 0);
    }
    let unknown = app.expect(2, &["rollback", "--to", "3.0.0"]).to_string();
    assert!(unknown.contains("the proven ones are 1.0.2, 1.0.1, 1.0.0"), "{unknown}");
    app.expect(2, &["rollback", "--to", "latest"]);
    let back = app.expect(0, &["rollback", "--to", "v1.0.0"]);
    assert_eq!(back["version"], "1.0.0", "{back}");

    let release = app.expect(0, &["history"])[2]["release"].as_str().unwrap().to_owned();
    fs::remove_dir_all(app.path("state/shop/production/releases").join(release)).unwrap();
    let before = app.processes();
    let gone = app.expect(1, &["rollback", "--to", "1.0.1"]).to_string();
    assert!(gone.contains("is not stored any more"), "{gone}");
    assert_eq!(app.processes(), before, "nothing was touched");
}

/// Before the switch and after it: the release's own environment and port, and a failure.
const TESTS: &str = r#"
[[test]]
name = "before"
service = "web"
command = ["sh", "-c", "echo testing $APP_VERSION; test $PORT -gt 0"]
when = "pre"
[[test]]
name = "after"
service = "web"
command = ["sh", "-c", "echo asked port {port}; test {port} = $PORT; echo not good >&2; exit $CODE"]
when = "post"
"#;

#[test]
fn tests_of_local_processes() {
    let app = App::new();
    app.configure(ULTRAI, AUTO, "APP_VERSION = \"1.0.0\", CODE = \"0\"", TESTS);
    let good = app.deploy("1.0.0", 0);
    let told: Vec<_> = good["tests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|test| (test["test"].as_str().unwrap(), test["exit_code"].as_i64().unwrap()))
        .collect();
    assert_eq!(told, [("before", 0), ("after", 0)], "{good}");
    assert_eq!(good["tests"][0]["tail"], "testing 1.0.0");
    let before = app.processes();

    app.configure(ULTRAI, AUTO, "APP_VERSION = \"1.1.0\", CODE = \"7\"", TESTS);
    let bad = app.deploy("1.1.0", 3);
    assert_eq!(bad["ending"]["kind"], "rolled_back", "{bad}");
    let cause = bad["ending"]["cause"].to_string();
    assert!(cause.contains("`after` ended with exit code 7"), "{cause}");
    assert!(cause.contains("asked port ") && cause.contains("not good"), "the output: {cause}");
    app.expect(0, &["verify"]);
    assert_eq!(app.processes(), before, "the same process serves, and no test is left");
}

#[test]
fn the_later_one_of_two_env_files_wins() {
    let app = App::new();
    app.write_env("one.env", "TOKEN=one\n");
    app.write_env("two.env", "TOKEN=two\n");
    let more = "[environments.production]\nenv_files = [\"one.env\", \"two.env\"]\n\
                [[test]]\nname = \"token\"\nservice = \"web\"\nwhen = \"post\"\n\
                command = [\"sh\", \"-c\", \"test $TOKEN = two\"]\n";
    let web = format!("{AUTO}\nsecrets = [\"TOKEN\"]");
    app.configure(ULTRAI, &web, "APP_VERSION = \"1.0.0\"", more);
    app.deploy("1.0.0", 0);
}

#[test]
fn a_file_of_the_release_is_filled_in_and_goes_back_with_it() {
    let app = App::new();
    fs::write(app.path("page.conf"), "greeting={{GREETING}}\nkept=${x} $y\n").unwrap();
    app.configure(ULTRAI, "port = \"auto\"\nfiles = [\"page.conf\"]", "", "");
    let text = fs::read_to_string(app.path("deploy.toml")).unwrap();
    fs::write(app.path("deploy.toml"), format!("rendered_files = [\"page.conf\"]\n{text}"))
        .unwrap();
    app.write_env(".env", "GREETING=first {{x}}\n");
    app.expect(0, &["deploy", "--tag", "1.0.0"]);
    let page = || {
        let current = app.path("state/shop/production/current");
        let release: serde_json::Value =
            serde_json::from_slice(&fs::read(current.join("release.json")).unwrap()).unwrap();
        let files = &release["release"]["services"]["web"]["files"];
        let digest = files["page.conf"].as_str().unwrap_or_else(|| panic!("{release}")).to_owned();
        fs::read_to_string(app.path("state/shop/production/files").join(digest)).unwrap()
    };
    assert_eq!(page(), "greeting=first {{x}}\nkept=${x} $y\n");
    app.write_env(".env", "GREETING=second\n");
    app.expect(0, &["deploy", "--tag", "1.1.0"]);
    assert_eq!(page(), "greeting=second\nkept=${x} $y\n");
    app.expect(0, &["rollback"]);
    assert_eq!(page(), "greeting=first {{x}}\nkept=${x} $y\n");

    fs::write(app.path("page.conf"), "a={{TOKEN}}\nb={{NOT_SET}}\n").unwrap();
    app.write_env(".env.api_keys", "TOKEN=hunter2-hunter2\n");
    let refused = app.expect(2, &["deploy", "--tag", "1.2.0"]).to_string();
    for problem in [
        "page.conf:1:5: TOKEN: it is a secret, and the file would be kept with the release",
        "page.conf:2:5: NOT_SET: it has no value; set it in .env.",
    ] {
        assert!(refused.contains(problem), "{problem}: {refused}");
    }
    assert!(!refused.contains("hunter2"), "{refused}");
}

/// What a deploy is refused for is no reason to leave a bad release where it is.
#[test]
fn a_name_that_no_secret_can_have_stops_deploys_and_nothing_else() {
    let app = App::new();
    for version in ["1.0.0", "1.1.0"] {
        app.configure(ULTRAI, AUTO, &format!("APP_VERSION = \"{version}\""), "");
        app.deploy(version, 0);
    }
    app.write_env(".env.api_keys", "\u{c9}=canary\n");
    let refused = app.deploy("1.1.0", 2).to_string();
    assert!(refused.contains("a secret cannot have this name"), "{refused}");
    app.expect(0, &["status"]);
    app.expect(0, &["rollback"]);
    assert_eq!(app.version(), "1.0.0");
}
