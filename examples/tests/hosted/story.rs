//! A first deploy, an upgrade, failures and the way back.

use std::fs;

use ultrai_deploy_testkit::hosted::{Standing, railway, render};

use crate::{
    platform::Platform,
    shop::{SECRET, Shop, told},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_on_railway() {
    story(&Shop::<railway::World>::new().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shop_on_render() {
    story(&Shop::<render::World>::new().await);
}

fn story<P: Platform>(shop: &Shop<P>) {
    let planned = shop.expect(0, &["plan", "--tag", "1.0.0"]);
    assert!(planned.to_string().contains("shop/api:1.0.0"), "{planned}");
    assert!(shop.world().inside("api").image.is_none(), "a plan changes nothing");

    let first = shop.deploy("1.0.0", 0);
    assert_eq!(first["ending"]["changed"], true, "{first}");
    shop.assert_serves("1.0.0");
    assert_eq!(shop.deploy("1.0.0", 0)["ending"]["changed"], false);

    let plan = shop.path("saved.plan");
    shop.expect(0, &["plan", "--tag", "1.1.0", "--save", plan.to_str().unwrap()]);
    shop.expect(0, &["deploy", "--plan", plan.to_str().unwrap()]);
    shop.assert_serves("1.1.0");
    let status = shop.expect(0, &["status"]);
    assert!(status["serving"].as_str().unwrap().starts_with("1.1.0 (release "), "{status}");
    assert_eq!(status["services"]["backend"]["up"], true, "{status}");
    assert_eq!(shop.expect(0, &["verify"])["passed"], true);

    // The platform says no, and what it says is told.
    let failed = shop.deploy("1.2.0-sick", 3);
    assert_eq!(failed["ending"]["kind"], "rolled_back", "{failed}");
    let cause = failed["ending"]["cause"].to_string();
    // What the other depends on comes first.
    assert!(cause.contains(&format!("of web failed: {}", P::FAILED)), "{cause}");
    assert!(cause.contains("a line of log"), "{cause}");
    shop.assert_serves("1.1.0");

    let unknown = shop.expect(2, &["rollback", "--to", "3.0.0"]).to_string();
    assert!(unknown.contains("the proven ones are 1.1.0, 1.0.0"), "{unknown}");
    assert_eq!(shop.expect(0, &["rollback", "--to", "1.0.0"])["version"], "1.0.0");
    shop.assert_serves("1.0.0");

    let history = shop.expect(0, &["history"]);
    let runs: Vec<_> = history.as_array().unwrap().iter().map(|run| &run["version"]).collect();
    assert_eq!(runs, ["1.0.0", "1.2.0-sick", "1.1.0", "1.0.0", "1.0.0"], "{history}");
    let backups = shop.expect(0, &["backup", "list"]);
    assert!(!backups.as_array().unwrap().is_empty(), "{backups}");

    // A secret that changes is brought, too.
    let changed = format!("DATABASE_URL={SECRET}-2\nREGION=eu\n");
    shop.write_env(&changed);
    assert_eq!(shop.deploy("1.0.0", 0)["ending"]["changed"], true);
    let started_with = shop.world().inside("api").started_with;
    assert_eq!(started_with["DATABASE_URL"], format!("{SECRET}-2"));
    let mut command = shop.command(&["deploy", "--tag", "1.0.0"]);
    command.env("DATABASE_URL", format!("{SECRET}-3"));
    assert_eq!(shop.run(command).status.code(), Some(0));
    let started_with = shop.world().inside("api").started_with;
    assert_eq!(started_with["DATABASE_URL"], format!("{SECRET}-3"), "the process's own wins");
    shop.assert_silent();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_on_railway() {
    commit(&Shop::<railway::World>::new().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_on_render() {
    commit(&Shop::<render::World>::new().await);
}

fn commit<P: Platform>(shop: &Shop<P>) {
    let text = shop.configuration("");
    let images = "image = \"${REGISTRY}/web:${VERSION}\"";
    assert!(text.contains(images));
    fs::write(shop.path("deploy.toml"), text.replace(images, "commit = \"${SHA}\"")).unwrap();
    for (version, digit) in [("1.0.0", "1"), ("1.1.0", "2")] {
        let sha = digit.repeat(40);
        let mut command = shop.command(&["deploy", "--tag", version]);
        command.env("SHA", &sha);
        let output = shop.run(command);
        assert_eq!(output.status.code(), Some(0), "{}", told(&output));
        let live = shop.world().newest("web").unwrap();
        assert_eq!((live.what.commit, live.standing), (Some(sha), Standing::Live));
    }
    // Going back needs nothing but what is stored.
    shop.expect(0, &["rollback"]);
    let live = shop.world().newest("web").unwrap();
    assert_eq!((live.what.commit, live.standing), (Some("1".repeat(40)), Standing::Live));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_looked_at_where_railway_routes_to_it() {
    routed(&Shop::<railway::World>::new().await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_looked_at_where_render_routes_to_it() {
    routed(&Shop::<render::World>::new().await);
}

fn routed<P: Platform>(shop: &Shop<P>) {
    let check = "[[check]]\nname = \"the back\"\nservice = \"backend\"\npath = \"/up\"\n";
    fs::write(shop.path("deploy.toml"), shop.configuration(check)).unwrap();
    shop.world().route("api", &shop.front.url("/back"));
    shop.deploy("1.0.0", 0);
    let looked = shop.front.requests();
    assert!(looked.iter().any(|request| request.path == "/back/up"), "{looked:?}");
}
