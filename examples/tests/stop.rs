//! Asked to stop, and asked to start twice: exit codes 130 and 5, and a known end.
#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a test says what it saw, panics where it fails, and measures real time"
)]

mod shop;

use std::{
    fs,
    process::{Child, Output},
    time::{Duration, Instant},
};

use shop::Shop;

/// The text of all journals that the environment has.
fn journals(shop: &Shop) -> String {
    let entries = fs::read_dir(shop.state().join("runs")).into_iter().flatten();
    entries.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap_or_default()).collect()
}

/// Starts a deploy and waits until its journal says `words`.
fn begin(shop: &Shop, version: &str, words: &str) -> Child {
    let before = journals(shop).matches(words).count();
    let arguments =
        ["--format", "json", "deploy", "-e", "production", "--tag", version, "--skip-build"];
    let mut child = shop.command(&arguments).spawn().unwrap();
    let deadline = Instant::now() + shop::PATIENCE;
    while journals(shop).matches(words).count() == before {
        assert!(child.try_wait().unwrap().is_none(), "the run was over before `{words}`");
        assert!(Instant::now() < deadline, "`{words}` was not reached");
        std::thread::park_timeout(Duration::from_millis(1));
    }
    child
}

fn ending(output: &Output) -> String {
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    report["ending"]["kind"].as_str().unwrap().to_owned()
}

#[test]
fn a_deploy_that_is_asked_to_stop_takes_back_what_it_changed() {
    let shop = Shop::sources().with_checks();
    shop.deploy("v1.0.0", 0);
    let before: Vec<_> =
        shop.containers(true).into_iter().map(|(name, (id, _))| (name, id)).collect();

    let deploy = begin(&shop, "v1.1.0", "\"action\":\"set aside\"");
    let pid = rustix::process::Pid::from_raw(i32::try_from(deploy.id()).unwrap()).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let output = deploy.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(ending(&output), "rolled_back");

    let deploy = begin(&shop, "v1.1.0", "\"action\":\"set aside\"");
    shop.ultrai(&["cancel", "-e", "production"]).expect(0);
    let output = deploy.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));

    let after: Vec<_> =
        shop.containers(true).into_iter().map(|(name, (id, _))| (name, id)).collect();
    assert_eq!(before, after);
    shop.ultrai(&["verify", "-e", "production"]).expect(0);
}

#[test]
fn a_second_deploy_is_told_who_is_at_work() {
    let shop = Shop::sources().with_checks();
    let first = begin(&shop, "v1.0.0", "\"type\":\"locked\"");
    let second = shop.ultrai(&["deploy", "-e", "production", "--tag", "v1.1.0", "--skip-build"]);
    assert_eq!(second.code, 5, "{}{}", second.out, second.err);
    assert!(second.out.contains(&format!("process {}", first.id())), "{}", second.out);
    let output = first.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(ending(&output), "succeeded");
}

#[test]
fn an_abandoned_run_lets_the_next_one_begin() {
    let shop = Shop::sources().with_checks();
    shop.deploy("v1.0.0", 0);
    let mut deploy = begin(&shop, "v1.1.0", "\"action\":\"set aside\"");
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    let refused = shop.ultrai(&[
        "deploy",
        "-e",
        "production",
        "--tag",
        "v1.1.0",
        "--skip-build",
        "--no-resume",
    ]);
    assert_eq!(refused.code, 5, "{}{}", refused.out, refused.err);
    let reason = ["abandon", "-e", "production", "--reason", "a drill"];
    shop.ultrai(&reason).expect(0);
    let history = shop.ultrai(&["history", "-e", "production"]).expect(0).out;
    assert!(history.contains("abandoned"), "{history}");
    let status = shop.ultrai(&["status", "-e", "production"]).expect(0).out;
    assert!(!status.contains("resume"), "{status}");
}

/// Whoever goes back from a deploy that was killed wants what served before it.
#[test]
fn a_rollback_after_a_kill_undoes_the_deploy() {
    let shop = Shop::sources().with_checks();
    shop.deploy("v1.0.0", 0);
    shop.deploy("v1.1.0", 0);
    let before: Vec<_> =
        shop.containers(true).into_iter().map(|(name, (id, _))| (name, id)).collect();
    let mut deploy = begin(&shop, "v1.2.0", "\"action\":\"set aside\"");
    deploy.kill().unwrap();
    deploy.wait().unwrap();
    let said = shop.ultrai(&["rollback", "-e", "production"]).expect(0);
    assert!(said.err.contains("was left unfinished; going back from it"), "{}", said.err);
    let after: Vec<_> =
        shop.containers(true).into_iter().map(|(name, (id, _))| (name, id)).collect();
    assert_eq!(before, after, "not one further back");
    shop.ultrai(&["verify", "-e", "production"]).expect(0);
}
