//! Credential helpers that do not help.

use std::{fs, time::Duration};

use serde_json::json;
use ultrai_deploy_core::{Chain, Error, ErrorKind};
use ultrai_deploy_docker::registry::Registries;
use ultrai_deploy_testkit::registry::Access;

use crate::{
    shelf::{Shelf, store_with},
    support,
};

const CANARY: &str = "canary-canary";

impl Shelf {
    fn helped(&self, script: &str) -> Registries {
        self.helper("odd", script);
        self.config(&json!({ "credsStore": "odd" }))
    }

    async fn refusal(&self, registries: Registries) -> Error {
        self.pull(&store_with(registries), &self.remote()).await.unwrap_err()
    }
}

#[tokio::test]
async fn a_helper_that_fails_is_named_and_tells_nothing() {
    let shelf = Shelf::new(Access::Login).await;
    for (script, kind, says) in [
        // Not to know a registry is no fault: the registry says what it wants.
        (
            "echo credentials not found in native keychain; exit 1",
            ErrorKind::Denied,
            "none is known",
        ),
        (
            "echo '{\"ServerURL\":\"\",\"Username\":\"\",\"Secret\":\"\"}'",
            ErrorKind::Denied,
            "none is known",
        ),
        (
            "echo canary-canary; echo canary-canary >&2; exit 1",
            ErrorKind::Unavailable,
            "docker-credential-odd failed",
        ),
        (
            "echo '{\"Username\":\"canary-canary\",\"Secret\":1}'",
            ErrorKind::Invalid,
            "expected form",
        ),
        ("yes canary-canary", ErrorKind::Unavailable, "too long"),
    ] {
        let error = shelf.refusal(shelf.helped(script)).await;
        assert_eq!(error.kind(), kind, "{script}: {}", Chain(&error));
        assert!(error.message().contains(says), "{script}: {error}");
        let text = format!("{} {error:?}", Chain(&error));
        assert!(!text.contains(CANARY), "{text}");
        if kind != ErrorKind::Denied {
            assert!(error.message().contains("config.json"), "{error}");
            assert!(error.advice().unwrap().contains("docker-credential-odd get"), "{error}");
        }
    }
    let error = shelf.refusal(shelf.config(&json!({ "credsStore": "absent" }))).await;
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.message().contains("docker-credential-absent"), "{error}");
    let error = shelf.refusal(shelf.config(&json!({ "credsStore": "../odd" }))).await;
    assert!(error.message().contains("no name of a credential helper"), "{error}");
}

#[tokio::test]
async fn a_helper_that_hangs_is_ended() {
    let shelf = Shelf::new(Access::Login).await;
    let pid = shelf.directory.path().join("pid");
    let script =
        "echo $$ >\"${0%/*}/pid.new\"; mv \"${0%/*}/pid.new\" \"${0%/*}/pid\"; exec sleep 600";
    let ended = || async {
        let pid = fs::read_to_string(&pid).ok()?;
        let is_there = fs::exists(format!("/proc/{}", pid.trim())).unwrap();
        (!is_there).then_some(())
    };
    let impatient = shelf.helped(script).with_patience(Duration::from_millis(300));
    let error = shelf.refusal(impatient).await;
    assert_eq!(error.kind(), ErrorKind::Timeout, "{}", Chain(&error));
    // A machine under load may end it before it has told its number.
    if pid.exists() {
        support::until("the helper has ended", ended).await;
        fs::remove_file(&pid).unwrap();
    }

    // Whoever waits for it gives up.
    let store = store_with(shelf.helped(script));
    let remote = shelf.remote();
    {
        let pulling = shelf.pull(&store, &remote);
        let begun = support::until("the helper runs", || async { pid.exists().then_some(()) });
        tokio::select! {
            _ = pulling => panic!("it hangs"),
            () = begun => {}
        }
    }
    support::until("the helper has ended", ended).await;
}
