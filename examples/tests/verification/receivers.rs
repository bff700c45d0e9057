//! Who is told of deploys, and what is asked before them.

use std::{fs, os::unix::fs::PermissionsExt};

use ultrai_deploy_testkit::server::{Answer, Request, Server};

use crate::app::{App, SWITCH};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receivers_are_told_what_became_of_a_deploy() {
    let server = Server::start(|_| Answer::text(200, "ok")).await.unwrap();
    let mut app = App::new(SWITCH);
    app.shop.env.insert("HOOK_URL".to_owned(), server.url("/hook"));
    app.shop.env.insert("HOOK_KEY".to_owned(), "a-key-of-the-hook".to_owned());
    let (script, said) = (app.shop.path("tell"), app.shop.path("told"));
    fs::write(
        &script,
        format!("#!/bin/sh\necho \"$ULTRAI_EVENT $ULTRAI_SUMMARY\" >> {}\n", said.display()),
    )
    .unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let notify = format!(
        "[[notify]]\nkind = \"webhook\"\nurl = \"HOOK_URL\"\nsigning_secret = \"HOOK_KEY\"\n\
         [[notify]]\nkind = \"command\"\ncommand = [\"{}\"]\non = [\"rolled_back\"]\n{SWITCH}",
        script.display()
    );
    app.configure("", &notify);
    app.deploy("1.0.0", &[]).expect(0);
    app.goes_back(&["NEVER_HEALTHY=1"], "verify", &["`health`", "503"]);

    let told: Vec<serde_json::Value> = server
        .requests()
        .iter()
        .map(|request| serde_json::from_slice(&request.body).unwrap())
        .collect();
    let events: Vec<_> = told.iter().map(|told| told["event"].as_str().unwrap()).collect();
    assert_eq!(events, ["succeeded", "failed", "rolled_back"], "{told:#?}");
    for told in &told[1..] {
        assert!(told["summary"].as_str().unwrap().contains("answered 503"), "{told:#}");
    }
    let signed =
        |request: &Request| request.headers.iter().any(|(name, _)| name.contains("signature"));
    assert!(server.requests().iter().all(signed), "{:?}", server.requests());
    let said = fs::read_to_string(said).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("rolled_back ") && said.contains("1.1.0"), "{said}");
}

#[test]
fn a_deploy_without_room_is_refused() {
    let app = App::new(SWITCH);
    let checklist = |free: &str| {
        format!("[[preflight]]\nkind = \"disk\"\npath = \"/\"\nfree = \"{free}\"\n{SWITCH}")
    };
    app.configure("", &checklist("1000TiB"));
    let looked = app.run(&["preflight", "--tag", "1.0.0"]).expect(1);
    assert!(looked.out.contains("NOT ready"), "{}", looked.out);
    let refused = app.deploy("1.0.0", &[]).expect(1);
    for text in [&looked.out, &refused.out] {
        assert!(text.contains("disk /") && text.contains("1000 TiB are needed"), "{text}");
        assert!(text.contains("free some space there"), "no remedy: {text}");
    }
    assert_eq!(app.shop.everything(), Vec::<String>::new(), "nothing was touched");

    app.configure("", &checklist("1MiB"));
    let looked = app.run(&["preflight", "--tag", "1.0.0"]).expect(0);
    assert!(looked.out.contains(": ready for a deploy"), "{}", looked.out);
    app.deploy("1.0.0", &[]).expect(0);
}
