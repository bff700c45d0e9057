//! What is refused before the platform is spoken to.

use std::fs;

use ultrai_deploy_testkit::hosted::{railway, render};

use crate::{platform::Platform, shop::Shop};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_token_of_railway() {
    let shop = Shop::<railway::World>::new().await;
    let told = without_a_token(&shop);
    for part in ["RAILWAY_TOKEN to a project token", "RAILWAY_API_TOKEN to an account"] {
        assert!(told.contains(part), "{told}");
    }
    // An account's does as well, and the one that is set to nothing does not stand in its way.
    let mut command = shop.command(&["deploy", "--tag", "1.0.0"]);
    command.env("RAILWAY_TOKEN", " ").env("RAILWAY_API_TOKEN", crate::platform::TOKEN);
    assert_eq!(shop.run(command).status.code(), Some(0));
    let requests = shop.platform.requests();
    let header = format!("Bearer {}", crate::platform::TOKEN);
    assert!(requests.iter().all(|one| one.header("authorization") == Some(header.as_str())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_key_of_render() {
    let told = without_a_token(&Shop::<render::World>::new().await);
    assert!(told.contains("set RENDER_API_KEY to an API key"), "{told}");
}

fn without_a_token<P: Platform>(shop: &Shop<P>) -> String {
    let mut told = String::new();
    for words in [&["deploy", "--tag", "1.0.0"][..], &["status"]] {
        let mut command = shop.command(words);
        command.env_remove(P::VARIABLE);
        let output = shop.run(command);
        assert_eq!(output.status.code(), Some(2), "{words:?}");
        told = String::from_utf8_lossy(&output.stdout).into_owned();
    }
    assert!(shop.platform.requests().is_empty() && !shop.path("state").exists());
    told
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_that_is_wrong() {
    let shop = Shop::<railway::World>::new().await;
    let mut command = shop.command(&["deploy", "--tag", "1.0.0"]);
    command.env("RAILWAY_TOKEN", "wrong-hunter2");
    let output = shop.run(command);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("Railway project token") && !told.contains("hunter2"), "{told}");
    assert!(told.contains("it was sent as `Project-Access-Token`"), "{told}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn variables_that_are_not_set_or_secret() {
    let shop = Shop::<render::World>::new().await;
    let more = "[services.job]\nimage = \"shop/job:${TGA}\"\n\
                variables = { A = \"${DATABASE_URL}\", B = \"${RENDER_API_KEY:-}\", C = \"$MISSING\" }\n";
    fs::write(shop.path("deploy.toml"), shop.configuration(more)).unwrap();
    let told = shop.deploy("1.0.0", 2).to_string();
    for part in [
        "services.job.image: variable TGA is not set; set TGA in the environment",
        "services.job.variables.A: variable DATABASE_URL is a secret",
        "services.job.variables.B: variable RENDER_API_KEY is a secret",
        "services.job.variables.C: variable MISSING is not set",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(told.contains("4 problems:") && !told.contains("hunter2"), "{told}");
    assert!(shop.platform.requests().is_empty() && !shop.path("state").exists());
    // What deploys nothing needs none of them, but the service has to be there.
    let unknown = shop.expect(2, &["status"]).to_string();
    assert!(unknown.contains("no service that the key sees is called job"), "{unknown}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tests_run_as_jobs_and_count() {
    let shop = Shop::<render::World>::new().await;
    let with = |command: &str| {
        let more = format!(
            "[[test]]\nname = \"smoke\"\nservice = \"web\"\ncommand = [\"{command}\", \"all of it\"]\n\
             when = \"post\"\n"
        );
        fs::write(shop.path("deploy.toml"), shop.configuration(&more)).unwrap();
    };
    with("./smoke");
    shop.deploy("1.0.0", 0);
    with("./sick-smoke");
    let failed = shop.deploy("1.1.0", 3).to_string();
    assert!(failed.contains("smoke"), "{failed}");
    shop.assert_serves("1.0.0");
    let jobs: Vec<_> =
        shop.world().service("web").jobs.iter().map(|job| job.command.clone()).collect();
    let ends = ["./sick-smoke 'all of it'", "./smoke 'all of it'"];
    assert_eq!(jobs.len(), ends.len(), "{jobs:?}");
    assert!(jobs.iter().zip(ends).all(|(job, end)| job.ends_with(end)), "{jobs:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_secret_without_a_value() {
    let shop = Shop::<railway::World>::new().await;
    shop.write_env("REGION=eu\n");
    let told = shop.deploy("1.0.0", 2).to_string();
    assert!(told.contains("no source has DATABASE_URL"), "{told}");
    assert!(shop.world().inside("api").image.is_none());
    assert_eq!(shop.world().traffic.count("Upsert"), 0);
}

/// Nothing rests on the platforms' own files, and what is odd in them is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_the_platforms_are_told_about() {
    let shop = Shop::<railway::World>::new().await;
    fs::write(shop.path("railway.toml"), "[deploy]\nhealthcheckPath = \"/up\"\n").unwrap();
    let output = shop.run(shop.command(&["deploy", "--tag", "1.0.0"]));
    let told = crate::shop::told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("railway.toml") && told.contains("2026-12-01"), "{told}");

    let shop = Shop::<render::World>::new().await;
    let blueprint = "services:\n- type: web\n  name: api\n  env: docker\n";
    fs::write(shop.path("render.yaml"), blueprint).unwrap();
    let output = shop.run(shop.command(&["deploy", "--tag", "1.0.0"]));
    let told = crate::shop::told(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    assert!(told.contains("render.yaml") && told.contains("runtime"), "{told}");
}
