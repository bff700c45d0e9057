//! What a failure leads to: the same release is refused next time; one that is ignored is a warning.

use crate::app::{App, said};

#[test]
fn a_release_that_failed_is_refused_until_it_is_allowed_or_mended() {
    let app = App::new();
    app.configure_tested("1.0.0", 0, "");
    app.deploy("1.0.0", 0);
    app.configure_tested("1.1.0", 7, "");
    let failed = app.deploy("1.1.0", 3);
    let before = app.processes();

    let refused = app.deploy("1.1.0", 1);
    assert_eq!(refused["ending"]["kind"], "refused", "{refused}");
    let cause = refused["ending"]["cause"].to_string();
    for part in [failed["run"].as_str().unwrap(), "exit code 7", "--allow-failed 1.1.0"] {
        assert!(cause.contains(part), "{part}: {cause}");
    }
    assert_eq!(refused["tests"].as_array().unwrap().len(), 0, "{refused}");
    assert_eq!(app.processes(), before, "nothing was touched");

    // A plan tells it, and is applied only where it is allowed.
    let words = ["plan", "--tag", "1.1.0", "--save", "plan.json"];
    let plan = app.expect(0, &words);
    assert_eq!(plan["refusal"]["run"], failed["run"], "{plan}");
    assert_eq!(plan["release"], failed["release"], "{plan}");
    let text = ["plan", "--tag", "1.1.0", "-e", "production", "--format", "text"];
    let text = said(&app.ultrai(&text));
    assert!(text.contains("a deploy is refused without --allow-failed 1.1.0"), "{text}");
    let apply = app.expect(1, &["deploy", "--plan", "plan.json"]).to_string();
    assert!(apply.contains("--allow-failed 1.1.0"), "{apply}");

    // To allow another one is a mistake, and no run.
    let runs = app.expect(0, &["history"]);
    for words in [
        &["deploy", "--tag", "1.1.0", "--allow-failed", "1.2.0"][..],
        &["deploy", "--tag", "1.1.0", "--allow-failed", "latest"],
        &["rollback", "--to", "1.0.0", "--allow-failed", "1.1.0"],
    ] {
        let told = app.expect(2, words).to_string();
        assert!(told.contains("write "), "{words:?}: {told}");
    }
    assert_eq!(app.expect(0, &["history"]), runs);

    let words = ["deploy", "--plan", "plan.json", "--allow-failed", "v1.1.0"];
    let allowed = app.expect(3, &words);
    assert_eq!(allowed["tests"][0]["exit_code"], 7, "it was tried: {allowed}");
    assert_eq!(app.processes(), before);

    // Mended it is another release, of the same version.
    app.configure_tested("1.1.0", 0, "");
    assert!(app.expect(0, &["plan", "--tag", "1.1.0"])["refusal"].is_null());
    let mended = app.deploy("1.1.0", 0);
    assert_ne!(mended["release"], failed["release"]);
    assert_eq!(app.version(), "1.1.0");
}

#[test]
fn an_ignored_failure_is_a_warning() {
    let app = App::new();
    let ignore = "on_failure = { post_deploy_tests = \"ignore\" }";
    app.configure_tested("1.0.0", 7, ignore);
    let report = app.deploy("1.0.0", 0);
    assert_eq!(report["ending"]["kind"], "succeeded", "{report}");
    let warning = "warning: post-deploy tests FAILED, which was ignored: ";
    let note = report["notes"][0].as_str().unwrap();
    assert!(note.starts_with(warning) && note.ends_with("exit code 7"), "{note}");
    let mut stages = report["stages"].as_array().unwrap().iter();
    let tests = stages.find(|stage| stage["stage"] == "post_deploy_tests").unwrap();
    assert_eq!(tests["status"], "ignored", "{report}");

    app.configure_tested("1.0.1", 7, ignore);
    let words = ["deploy", "-e", "production", "--tag", "1.0.1", "--format", "text"];
    let text = said(&app.ultrai(&words));
    assert!(text.contains("FAILED, ignored") && text.contains(warning), "{text}");
    assert_eq!(app.version(), "1.0.1");

    // It serves and was not taken back, so nothing speaks against it.
    app.deploy("1.0.1", 0);
}
