//! The programs that embed the library, as a reader of them runs them.

use std::{path::Path, process::Command, time::Duration};

use ultrai_deploy_testkit::hosted::{Server, railway, render};

use crate::platform::{Platform, TOKEN};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_deploys_to_railway() {
    deployed::<railway::World>("RAILWAY_URL").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_deploys_to_render() {
    deployed::<render::World>("RENDER_URL").await;
}

async fn deployed<P: Platform>(address: &str) {
    let platform = Server::start(P::new()).await.unwrap();
    // Such a program does not look more often than every few seconds.
    platform.world().set_takes(Duration::ZERO);
    let directory = tempfile::tempdir().unwrap();
    // Cargo puts examples beside the programs, and makes them unless it is told to make less.
    let beside = Path::new(env!("CARGO_BIN_EXE_ultrai")).parent().unwrap();
    let program = beside.join("examples").join(P::BACKEND);
    assert!(program.exists(), "make them first: cargo build -p ultrai-deploy-examples --examples");
    let output = Command::new(program)
        .args(["api", "shop/api", "1.4.0"])
        .current_dir(directory.path())
        .env(address, platform.url(P::base()))
        .env(P::VARIABLE, TOKEN)
        .env("RAILWAY_PROJECT", crate::platform::PROJECT)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{told}{}", String::from_utf8_lossy(&output.stderr));
    assert!(told.contains("api/production") && told.contains("succeeded"), "{told}");
    let inside = platform.world().inside("api");
    assert_eq!(inside.image.as_deref(), Some("shop/api:1.4.0"));
    assert_eq!(inside.started_with["APP_VERSION"], "1.4.0");
}
