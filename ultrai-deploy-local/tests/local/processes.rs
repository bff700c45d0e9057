//! What is special about processes.

use std::{collections::BTreeMap, fs, net::TcpListener, path::PathBuf, time::Duration};

use rustix::process::{Pid, Signal, kill_process};
use ultrai_deploy_core::{
    Context, Deployer, ErrorKind,
    deployer::Step,
    name::{RunId, SecretName},
    plan::Action,
    release::{Release, Seal},
    secret::{FingerprintKey, Secret, Secrets},
    spec::{ReleaseSpec, ServiceSpec},
    version::Version,
};
use ultrai_deploy_local::{Port, Service};
use ultrai_deploy_testkit::conformance::{DB, Environment, Variant, WEB};

use crate::{
    app::{self, Mode},
    drive::{Drive, current, deploy, until, until_file},
    platform::{Place, free_port, name, sealed, service},
};

/// Kills a process and waits until it is gone.
pub(crate) async fn kill(place: &Place, pid: i32) {
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
    let ended = |stat: String| {
        let (_, rest) = stat.rsplit_once(") ").unwrap();
        let fields: Vec<_> = rest.split(' ').collect();
        // A zombie with one thread: the others, which hold its port, are gone too.
        fields[0] == "Z" && fields[17] == "1"
    };
    until("the process is gone", async || {
        current(place).await;
        fs::read_to_string(format!("/proc/{pid}/stat")).map_or(true, ended)
    })
    .await;
}

#[tokio::test]
async fn an_own_port_runs_beside_the_old_one_until_retire() {
    let place = Place::new();
    deploy(&place, &place.release(Variant::First).await).await;
    let old = place.local().current_ports().unwrap();
    let release = place.release(Variant::All).await;
    let mut drive = Drive::begin(&place, &release).await;
    assert_eq!(drive.plan.services[&name(DB)].action, Action::StopFirst);
    drive.steps(&[Step::Stage, Step::Switch]).await;
    let new = place.local().current_ports().unwrap();
    assert_eq!(old.0[&name(DB)].port, new.0[&name(DB)].port);
    assert_ne!(old.0[&name(WEB)].port, new.0[&name(WEB)].port);
    let running = |place: &Place, id: &str| place.processes().iter().any(|(_, one)| one == id);
    assert!(!running(&place, &old.0[&name(DB)].instance), "two on one port");
    let published = fs::read_to_string(place.root().join("current-ports.json")).unwrap();
    assert!(published.contains(&new.0[&name(WEB)].instance), "{published}");
    let port = new.0[&name(WEB)].port.unwrap();
    until_file(&place.root().join("current/run/web/output.log"), &port.to_string()).await;
    drive.steps(&[Step::Retire]).await;
    assert_eq!(place.processes().len(), 3);
}

#[tokio::test]
async fn one_without_port_never_runs_twice() {
    let place = Place::new();
    let worker = |number: u32| {
        let service = app::service(Mode::Well).with_env("NUMBER", number.to_string());
        BTreeMap::from([(name("worker"), sealed(&service, &[]))])
    };
    deploy(&place, &place.seal("1.0.0", worker(1)).await).await;
    let second = place.seal("1.1.0", worker(2)).await;
    let mut drive = Drive::begin(&place, &second).await;
    assert_eq!(drive.plan.services[&name("worker")].action, Action::StopFirst);
    for step in [Step::Stage, Step::Switch, Step::Rollback] {
        drive.steps(&[step]).await;
        assert_eq!(place.processes().len(), 1, "{step}");
    }
}

#[tokio::test]
async fn what_ignores_the_signal_is_killed_after_its_grace() {
    let place = Place::new();
    let grace = Duration::from_millis(100);
    let service = app::service(Mode::Stubborn).with_stop_grace(grace);
    let services = BTreeMap::from([(name("web"), sealed(&service, &[]))]);
    let release = place.seal("1.0.0", services).await;
    let mut drive = Drive::begin(&place, &release).await;
    drive.steps(&[Step::Stage, Step::Switch]).await;
    let output = place.root().join("current/run/web/output.log");
    until_file(&output, "Stubborn on").await;
    drive.steps(&[Step::Rollback]).await;
    assert_eq!(place.processes(), []);
}

#[tokio::test]
async fn children_are_stopped_too() {
    let place = Place::new();
    // One in the process group, and one in a session of its own.
    let script = "sleep 600 & setsid sleep 600 & echo begun; wait";
    let service = Service::new(["sh", "-c", script]);
    let services = BTreeMap::from([(name("web"), sealed(&service, &[]))]);
    let release = place.seal("1.0.0", services).await;
    let mut drive = Drive::begin(&place, &release).await;
    drive.steps(&[Step::Stage, Step::Switch]).await;
    until_file(&place.root().join("current/run/web/output.log"), "begun").await;
    until("all run", async || place.processes().len() == 3).await;
    drive.steps(&[Step::Rollback]).await;
    assert_eq!(place.processes(), []);
}

#[tokio::test]
async fn a_crash_is_seen_and_the_same_release_mends_it() {
    let place = Place::new();
    let services = BTreeMap::from([(name("web"), service(Mode::Well, Port::Auto, 1, &[]))]);
    let release = place.seal("1.0.0", services).await;
    deploy(&place, &release).await;
    kill(&place, place.processes()[0].0).await;
    let seen = current(&place).await;
    assert!(!seen.services[&name("web")].up);
    assert_eq!(seen.services[&name("web")].status, "exited (signal 9)");
    let drive = Drive::begin(&place, &release).await;
    assert!(!drive.plan.unchanged, "{:?}", drive.plan);
    deploy(&place, &release).await;
    assert!(current(&place).await.services[&name("web")].up);
    assert_eq!(place.processes().len(), 1);
}

#[tokio::test]
async fn a_port_passes_from_a_removed_service_to_a_new_one() {
    let place = Place::new();
    let only = |own: &str| {
        let port = Port::Fixed(place.port);
        BTreeMap::from([(name(own), service(Mode::Well, port, 1, &[]))])
    };
    deploy(&place, &place.seal("1.0.0", only("web")).await).await;
    let renamed = place.seal("1.1.0", only("frontend")).await;
    let mut drive = Drive::begin(&place, &renamed).await;
    assert_eq!(drive.plan.services[&name("frontend")].action, Action::StopFirst);
    drive.steps(&[Step::Stage, Step::Switch]).await;
    assert!(current(&place).await.services[&name("frontend")].up);
    drive.steps(&[Step::Rollback]).await;
    let back = current(&place).await.services;
    assert_eq!(back.len(), 1);
    assert!(back[&name("web")].up);
}

#[tokio::test]
async fn files_and_secrets_get_to_the_process_and_nowhere_else() {
    let place = Place::new();
    let source = tempfile::tempdir().unwrap();
    let script = source.path().join("server");
    fs::write(&script, "#!/bin/sh\ncat conf/note\necho \"secret of ${#TOKEN}\"\nexec sleep 600\n")
        .unwrap();
    fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let note = source.path().join("note");
    fs::write(&note, "a mounted note\n").unwrap();

    let (store, token) = (place.releases(), SecretName::new("TOKEN").unwrap());
    let value = "correct-horse-battery";
    let service = Service::new(["./bin/server"]).with_secret(&token);
    let mut wanted = service.to_spec(&name("web")).unwrap();
    wanted.files =
        BTreeMap::from([("bin/server".to_owned(), script), ("conf/note".to_owned(), note)]);
    let spec = ReleaseSpec::new(place.target().project, Version::parse("1.0.0").unwrap())
        .with_service(name("web"), wanted.clone());
    let cx = Context::detached(place.target(), RunId::generate());
    place.local().preflight(&cx, &spec).await.unwrap();
    let secrets = Secrets::from([(token.clone(), Secret::new(value))]);
    let print = FingerprintKey::new([1; 32]).fingerprint(&token, &secrets[&token]);
    let seal = Seal {
        files: BTreeMap::from([(name("web"), store.put_files(&wanted.files).await.unwrap())]),
        secrets: BTreeMap::from([(token, print)]),
        ..Seal::default()
    };
    let release = Release::seal(&spec, &seal).unwrap();
    store.put(&release, &secrets).await.unwrap();
    deploy(&place, &release).await;

    let output = place.root().join("current/run/web/output.log");
    until_file(&output, &format!("secret of {}", value.len())).await;
    assert!(fs::read_to_string(output).unwrap().contains("a mounted note"));
    let mut files: Vec<PathBuf> = Vec::new();
    for directory in ["instances", ""] {
        let entries = fs::read_dir(place.root().join(directory)).unwrap();
        files.extend(entries.map(|entry| entry.unwrap().path()).filter(|path| path.is_file()));
    }
    assert!(files.len() >= 2, "{files:?}");
    for file in files {
        let content = fs::read(&file).unwrap();
        assert!(!String::from_utf8_lossy(&content).contains(value), "{}", file.display());
    }
}

#[tokio::test]
async fn what_cannot_work_is_refused_before() {
    let place = Place::new();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = listener.local_addr().unwrap().port();
    let cx = Context::detached(place.target(), RunId::generate());
    let spec = |services: &[(&str, Service)]| {
        let spec = ReleaseSpec::new(place.target().project, Version::parse("1.0.0").unwrap());
        services.iter().fold(spec, |spec, (own, service)| {
            spec.with_service(name(own), service.to_spec(&name(own)).unwrap())
        })
    };
    let free = free_port();
    let fixed = |port| app::service(Mode::Well).with_port(Port::Fixed(port));
    for (services, kind, why) in [
        (vec![("a", Service::new(["no-such-program"]))], ErrorKind::NotFound, "no-such-program"),
        (vec![("a", Service::new(["./missing"]))], ErrorKind::NotFound, "./missing"),
        (vec![("a", fixed(taken))], ErrorKind::Conflict, "port"),
        (vec![("a", fixed(free)), ("b", fixed(free))], ErrorKind::Invalid, "both have port"),
    ] {
        let error = place.local().preflight(&cx, &spec(&services)).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(why), "{error}");
        assert_eq!(error.effect(), ultrai_deploy_core::Effect::None);
    }
    let image = ultrai_deploy_core::spec::ImageSpec {
        reference: "web:1".into(),
        build: None,
        pull: ultrai_deploy_core::spec::PullPolicy::Missing,
        ..ultrai_deploy_core::spec::ImageSpec::default()
    };
    let with_image = spec(&[])
        .with_service(name("a"), ServiceSpec { image: Some(image), ..ServiceSpec::default() });
    let error = place.local().preflight(&cx, &with_image).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unsupported);

    // A port that the environment's own process has may be used again.
    deploy(&place, &place.release(Variant::First).await).await;
    place.local().preflight(&cx, &spec(&[("db", fixed(place.port))])).await.unwrap();
}
