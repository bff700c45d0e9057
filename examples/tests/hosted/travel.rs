//! Configuration and secrets go with a release, and come back before its code does.

use std::{collections::BTreeMap, fs};

use ultrai_deploy_testkit::hosted::{SERVICES, railway, render};

use crate::{
    platform::Platform,
    shop::{SECRET, Shop},
};

/// What a platform is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Asked {
    Variables,
    Code,
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_come_back_before_the_code_on_railway() {
    let shop = Shop::<railway::World>::new().await;
    comes_back(&shop, "", |call| match call {
        "variableCollectionUpsert" => Some(Asked::Variables),
        "deploymentRollback" | "environmentPatchCommit" | "serviceInstanceDeployV2" => {
            Some(Asked::Code)
        }
        _ => None,
    });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_and_files_come_back_before_the_code_on_render() {
    let shop = Shop::<render::World>::new().await;
    let file = "secret_files = { \"token.txt\" = \"DATABASE_URL\" }";
    comes_back(&shop, file, |call| {
        let is_set = call.contains("/env-vars/") || call.contains("/secret-files/");
        let is_code = call.ends_with("/rollback") || call.ends_with("/deploys");
        match call.split(' ').next() {
            Some("PUT" | "DELETE") if is_set => Some(Asked::Variables),
            Some("POST") if is_code => Some(Asked::Code),
            _ => None,
        }
    });
    assert_eq!(shop.world().service("web").secret_files["token.txt"], SECRET);
}

/// `web`, which is there before `backend` fails, has a variable of its own, one of the environment's
/// configuration and a secret.
fn configure<P: Platform>(shop: &Shop<P>, more: &str) {
    let text = shop.configuration("");
    let web = "image = \"${REGISTRY}/web:${VERSION}\"";
    let variables = "variables = { VERSION = \"${VERSION}\" }";
    let (before, after) = text.split_once(web).unwrap();
    let after = after.replace(
        variables,
        &format!(
            "variables = {{ VERSION = \"${{VERSION}}\", PLAIN = \"${{PLAIN}}\" }}\n\
             secrets = [\"DATABASE_URL\"]\n{more}"
        ),
    );
    let before = before.replace("/api:${VERSION}", "/api:${API}");
    fs::write(shop.path("deploy.toml"), format!("{before}{web}{after}")).unwrap();
}

fn write<P: Platform>(shop: &Shop<P>, plain: &str, secret: &str, api: &str) {
    fs::write(shop.path(".env.production"), format!("PLAIN={plain}\nAPI={api}\n")).unwrap();
    shop.write_env(&format!("DATABASE_URL={secret}\nREGION=eu\n"));
}

fn comes_back<P: Platform>(shop: &Shop<P>, more: &str, asked: impl Fn(&str) -> Option<Asked>) {
    configure(shop, more);
    write(shop, "'one $x #\"'", SECRET, "1.0.0");
    shop.deploy("1.0.0", 0);
    let old = insides(shop);
    assert_eq!(old["web"].1["PLAIN"], "one $x #\"");
    assert_eq!(old["web"].1["DATABASE_URL"], SECRET);

    // It goes back by itself, while the checkout goes on to hold the new ones.
    write(shop, "two", "hunter2-two", "sick");
    let began = count(shop);
    let failed = shop.deploy("1.1.0", 3);
    assert_eq!(failed["ending"]["kind"], "rolled_back", "{failed}");
    assert_eq!(insides(shop), old);
    // Both there; web back; and the variables of api, whose new code never came to serve.
    let mut expected = [Asked::Variables, Asked::Code].repeat(3);
    expected.push(Asked::Variables);
    assert_eq!(calls_since(shop, began, &asked), expected);

    // And on request, from a release that was well.
    write(shop, "two", "hunter2-two", "1.1.0");
    shop.deploy("1.1.0", 0);
    assert_eq!(insides(shop)["web"].1["DATABASE_URL"], "hunter2-two");
    let began = count(shop);
    shop.expect(0, &["rollback"]);
    assert_eq!(insides(shop), old);
    let expected = [Asked::Variables, Asked::Code].repeat(SERVICES.len());
    assert_eq!(calls_since(shop, began, &asked), expected);
    shop.expect(0, &["verify"]);
}

/// What each service runs, and with which variables it was started.
fn insides<P: Platform>(
    shop: &Shop<P>,
) -> BTreeMap<&'static str, (Option<String>, BTreeMap<String, String>)> {
    let mut world = shop.world();
    let inside = |service| {
        let inside = world.inside(service);
        assert!(!inside.is_busy, "{inside:?}");
        assert_eq!(inside.variables, inside.started_with, "{service}");
        (service, (inside.image, inside.started_with))
    };
    SERVICES.into_iter().map(inside).collect()
}

/// How many calls there were.
fn count<P: Platform>(shop: &Shop<P>) -> usize {
    shop.world().traffic().calls.len()
}

/// What was asked for since then, one of a kind for all that follow each other.
fn calls_since<P: Platform>(
    shop: &Shop<P>,
    began: usize,
    asked: impl Fn(&str) -> Option<Asked>,
) -> Vec<Asked> {
    let mut world = shop.world();
    let calls = world.traffic().calls[began..].iter();
    let mut calls: Vec<_> = calls.filter_map(|call| asked(&call.what)).collect();
    calls.dedup();
    calls
}
