//! A driver that is killed: nothing that it started may get lost, nothing may be started twice.

use std::{collections::BTreeMap, fs, path::Path, process::Command, time::Duration};

use serde_json::{Value, json};
use ultrai_deploy_core::{
    deployer::{Observation, Step},
    name::{ReleaseId, RunId},
};
use ultrai_deploy_local::Port;
use ultrai_deploy_testkit::conformance::{Environment, Variant};

use crate::{
    app::Mode,
    drive::{Drive, current, deploy},
    platform::{Place, name, service},
};

/// Tells the program to drive a deploy, and where: state, port, release and run.
const DRIVE: &str = "DRIVE";

/// As if the driver had been killed before it could record what it started.
fn forget_the_start(place: &Place, id: &str) {
    let path = place.root().join("instances").join(format!("{id}.json"));
    let mut instance: Value = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
    assert!(instance["state"]["started"].is_object(), "{instance}");
    instance["state"] = json!("starting");
    fs::write(path, instance.to_string()).unwrap();
}

async fn one_staged(place: &Place) -> (ReleaseId, String) {
    let services = BTreeMap::from([(name("web"), service(Mode::Well, Port::Auto, 1, &[]))]);
    let release = place.seal("1.0.0", services).await;
    (release.id, format!("web-{}", RunId::new("a".repeat(32)).unwrap().short()))
}

#[tokio::test]
async fn a_start_that_was_not_recorded_is_adopted() {
    let place = Place::new();
    let (release, id) = one_staged(&place).await;
    let release = place.releases().get(&release).await.unwrap();
    let run = RunId::new("a".repeat(32)).unwrap();
    let mut drive = Drive::begin_as(&place, &release, run).await;
    drive.steps(&[Step::Stage]).await;
    let started = place.processes();
    assert_eq!(started.len(), 1);
    forget_the_start(&place, &id);

    assert_eq!(drive.observe(Step::Stage).await, Observation::Done);
    drive.steps(&[Step::Stage, Step::Switch]).await;
    assert_eq!(place.processes(), started, "started twice");
    assert!(current(&place).await.services[&name("web")].up);
}

#[tokio::test]
async fn a_start_that_was_not_recorded_is_undone() {
    let place = Place::new();
    let (release, id) = one_staged(&place).await;
    let release = place.releases().get(&release).await.unwrap();
    let run = RunId::new("a".repeat(32)).unwrap();
    let mut drive = Drive::begin_as(&place, &release, run).await;
    drive.steps(&[Step::Stage]).await;
    forget_the_start(&place, &id);
    drive.steps(&[Step::Rollback]).await;
    assert_eq!(place.processes(), []);
    assert_eq!(place.leftovers().await, Vec::<String>::new());
}

#[tokio::test]
async fn an_intent_without_a_process_is_started_once() {
    let place = Place::new();
    let (release, id) = one_staged(&place).await;
    let release = place.releases().get(&release).await.unwrap();
    let run = RunId::new("a".repeat(32)).unwrap();
    let mut drive = Drive::begin_as(&place, &release, run).await;
    drive.steps(&[Step::Stage]).await;
    forget_the_start(&place, &id);
    let (pid, _) = place.processes()[0];
    crate::processes::kill(&place, pid).await;

    assert_eq!(drive.observe(Step::Stage).await, Observation::Partial);
    drive.steps(&[Step::Stage]).await;
    let now = place.processes();
    assert_eq!(now.len(), 1, "{}", place.log(&id));
    assert_ne!(now[0].0, pid, "{}", place.log(&id));
}

/// Not a test but the driver that is killed, where the environment says so.
#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the environment is how the driver is told")]
async fn drive() {
    let Ok(told) = std::env::var(DRIVE) else { return };
    let words: Vec<_> = told.split(' ').collect();
    let [directory, port, release, run] = words[..] else { panic!("{told}") };
    let place = Place::at(Path::new(directory), port.parse().unwrap());
    let release = place.releases().get(&release.parse().unwrap()).await.unwrap();
    let mut drive = Drive::begin_as(&place, &release, run.parse().unwrap()).await;
    drive.steps(&[Step::Stage, Step::Switch]).await;
}

/// A real SIGKILL at any instant, then the way back.
#[tokio::test(flavor = "multi_thread")]
#[expect(clippy::print_stdout, reason = "where it was killed tells what was tried")]
async fn a_killed_driver_leaves_nothing_unknown() {
    let place = Place::new();
    let first = place.release(Variant::First).await;
    deploy(&place, &first).await;
    let before = current(&place).await;
    let release = place.release(Variant::All).await;
    let mut seen = BTreeMap::new();
    for round in 0..24 {
        let run = RunId::generate();
        let mut drive = Drive::begin_as(&place, &release, run.clone()).await;
        drive.prepare(Step::Stage).await;
        let told = format!("{} {} {} {run}", place.base().display(), place.port, release.id);
        let mut driver = Command::new(std::env::current_exe().unwrap())
            .args(["lost::drive", "--exact"])
            .env(DRIVE, told)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let instant = Duration::from_millis(2 + 3 * round);
        // How long the driver lives is what is tried here; nothing is waited for.
        tokio::time::sleep(instant).await;
        driver.kill().unwrap();
        driver.wait().unwrap();

        drive.prepare(Step::Switch).await;
        let observed = drive.observe(Step::Switch).await;
        *seen.entry(format!("{observed:?}")).or_insert(0) += 1;
        drive.records.truncate(1);
        drive.steps(&[Step::Rollback]).await;
        let after = current(&place).await;
        assert_eq!(after.serving, before.serving, "after {instant:?}");
        for (name, running) in &before.services {
            let why = running.instances.iter().map(|id| place.log(id)).collect::<String>();
            assert!(after.services[name].up, "{name} after {instant:?}: {why}");
            assert_eq!(after.services[name].instances, running.instances, "after {instant:?}");
        }
        assert_eq!(after.services.len(), before.services.len());
        assert_eq!(place.leftovers().await, Vec::<String>::new(), "after {instant:?}");
        assert_eq!(place.processes().len(), 3, "after {instant:?}");
    }
    println!("killed 24 times; the switch was found {seen:?}");
}
