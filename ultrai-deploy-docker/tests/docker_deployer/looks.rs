//! Looks at containers: what is told of them, commands in them, and how often they were restarted.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::Instant;
use ultrai_deploy_core::{
    Deployer as _,
    health::{Endpoint, Health, HealthProbe, Role},
    verification::{CheckSpec, NoProbes, ProbeSource},
    waiting::wait_until_healthy,
};
use ultrai_deploy_docker::{Probes, bollard::query_parameters::KillContainerOptionsBuilder};

use crate::{
    bench::{Bench, SERVE, healthy, name},
    support::until,
};

/// Long enough for any machine, and far longer than what a change may take to be seen.
const LONG: Duration = Duration::from_secs(30);

fn web(script: &str) -> Value {
    json!({"web": {"command": ["sh", "-c", script], "init": true}})
}

fn check(probe: Value) -> CheckSpec {
    CheckSpec::new("looks inside", probe).of(name("web"))
}

fn probe(bench: &Bench, check: &CheckSpec) -> Arc<dyn HealthProbe> {
    Probes::new(&bench.deployer, Arc::new(NoProbes)).probe(check).unwrap()
}

async fn look(bench: &Bench, probe: &dyn HealthProbe) -> (&'static str, String, String) {
    let endpoint = Endpoint::new(Role::Live, name("web"), bench.id("web").await);
    let (verdict, why, evidence) = match probe.check(&bench.cx(), &endpoint).await.unwrap() {
        Health::Healthy(evidence) => ("healthy", String::new(), evidence),
        Health::Pending { why, evidence } => ("pending", why, evidence),
        Health::Unhealthy { why, evidence } => ("unhealthy", why, evidence),
        Health::Dead { why, evidence } => ("dead", why, evidence),
        other => panic!("{other:?}"),
    };
    (verdict, why, format!("{evidence:?}"))
}

#[tokio::test]
async fn a_change_is_told_also_when_it_comes_before_anybody_listens() {
    let bench = Bench::new().await;
    let release = bench.deploy(web(SERVE)).await;
    let check = bench.deployer.declared_checks(&release).unwrap().remove(0);
    let changes = check.changes.unwrap();
    let mut early = changes.follow(&bench.endpoint("web"));
    let docker = bench.engine().client().await.unwrap();
    docker.pause_container(&bench.live("web")).await.unwrap();
    assert_eq!(tokio::time::timeout(LONG, early.next()).await.unwrap(), Some(()));
    // What was told before is not told to those who come later.
    let mut late = changes.follow(&bench.endpoint("web"));
    docker.unpause_container(&bench.live("web")).await.unwrap();
    assert_eq!(tokio::time::timeout(LONG, late.next()).await.unwrap(), Some(()));
    assert_eq!(tokio::time::timeout(LONG, early.next()).await.unwrap(), Some(()));
    bench.close().await;
}

#[tokio::test]
async fn commands_in_a_container_are_no_change() {
    let bench = Bench::new().await;
    let release = bench.deploy(web(SERVE)).await;
    let check = bench.deployer.declared_checks(&release).unwrap().remove(0);
    let mut told = check.changes.unwrap().follow(&bench.endpoint("web"));
    bench.output("web", "true").await;
    let docker = bench.engine().client().await.unwrap();
    docker.pause_container(&bench.live("web")).await.unwrap();
    docker.unpause_container(&bench.live("web")).await.unwrap();
    for _of_pause_and_unpause in 0..2 {
        assert_eq!(tokio::time::timeout(LONG, told.next()).await.unwrap(), Some(()));
    }
    // Nothing of the command was before them, and nothing is behind them.
    assert!(futures_util::FutureExt::now_or_never(told.next()).is_none());
    bench.close().await;
}

#[tokio::test]
async fn a_death_is_seen_without_waiting_for_the_next_look() {
    let bench = Bench::new().await;
    let mut services = web(SERVE);
    services["web"]["healthcheck"] = healthy();
    let release = bench.deploy(services).await;
    let mut check = bench.deployer.declared_checks(&release).unwrap().remove(0);
    check.timing.stability = Duration::from_hours(1);
    check.timing.deadline = Some(Duration::from_hours(2));
    let endpoint = bench.endpoint("web");
    let cx = bench.cx();
    let kill = async {
        let docker = bench.engine().client().await.unwrap();
        let options = KillContainerOptionsBuilder::default().signal("KILL").build();
        docker.kill_container(&bench.live("web"), Some(options)).await.unwrap();
    };
    let wait = wait_until_healthy(&cx, &check, &endpoint);
    let (result, ()) = tokio::join!(tokio::time::timeout(LONG, wait), kill);
    let why = result.unwrap().unwrap().why.unwrap();
    assert!(why.contains("exit code 137"), "{why}");
    bench.close().await;
}

#[tokio::test]
async fn a_command_decides_by_its_exit_code_and_its_output() {
    let bench = Bench::new().await.with_secret("TOKEN", "sesame-sesame");
    bench.deploy(web(SERVE)).await;
    for (spec, verdict, says) in [
        (json!({"command": ["echo", "PONG"], "output_matches": "^PONG$"}), "healthy", ""),
        (json!({"command": ["sh", "-c", "exit 3"], "expect_code": 3}), "healthy", ""),
        (
            json!({"command": ["sh", "-c", "echo no route >&2; exit 7"]}),
            "unhealthy",
            "ended with exit code 7 instead of 0: no route",
        ),
        (
            json!({"command": ["echo", "PANG"], "output_matches": "^PONG$"}),
            "unhealthy",
            "does not match `^PONG$`: PANG",
        ),
        (json!({"command": ["/nonexistent"]}), "unhealthy", "/nonexistent"),
        (
            json!({"command": ["sh", "-c", "echo sesame-sesame; exit 1"]}),
            "unhealthy",
            "exit code 1",
        ),
    ] {
        let (found, why, evidence) =
            look(&bench, &*probe(&bench, &check(json!({ "exec": spec })))).await;
        assert_eq!(found, verdict, "{why}");
        assert!(why.contains(says), "{why}");
        assert!(!why.contains("sesame") && !evidence.contains("sesame"), "{why} {evidence}");
    }
    let docker = bench.engine().client().await.unwrap();
    docker.stop_container(&bench.live("web"), None).await.unwrap();
    let ended = probe(&bench, &check(json!({"exec": {"command": ["true"]}})));
    assert_eq!(look(&bench, &*ended).await.0, "dead");
    bench.close().await;
}

#[tokio::test]
async fn a_command_that_hangs_is_cut_and_not_run_twice() {
    let bench = Bench::new().await;
    bench.deploy(web(SERVE)).await;
    let mut spec = check(json!({"exec": {"command": ["sleep", "7777"]}}));
    spec.timing.timeout = Duration::from_millis(500);
    let hangs = probe(&bench, &spec);
    let began = Instant::now();
    let (verdict, why, _) = look(&bench, &*hangs).await;
    assert_eq!(verdict, "unhealthy");
    assert!(why.contains("did not end within 450ms"), "{why}");
    assert!(began.elapsed() < LONG);
    for _again in 0..3 {
        let (_, why, _) = look(&bench, &*hangs).await;
        assert!(why.contains("an earlier look still runs"), "{why}");
    }
    let running = bench.output("web", "cat /proc/[0-9]*/cmdline").await;
    assert_eq!(running.matches("7777").count(), 1, "{running}");
    bench.close().await;
}

#[tokio::test]
async fn restarts_and_exits_are_told_with_their_cause() {
    let bench = Bench::new().await;
    let mut services = web("sleep 1; echo the cause; exit 3");
    services["web"]["restart"] = json!("always");
    let mut run = bench.begin(bench.release(services).await).await;
    for step in
        [ultrai_deploy_core::deployer::Step::Stage, ultrai_deploy_core::deployer::Step::Switch]
    {
        // It may be found dead at once; that it was started is enough.
        let _ended = run.step(step).await;
    }
    let docker = bench.engine().client().await.unwrap();
    let id = until("it was restarted", || async {
        let found = bench.containers().await.into_values().next()?;
        (found.restart_count? > 0).then_some(found.id?)
    })
    .await;
    let endpoint = Endpoint::new(Role::Live, name("web"), id.clone());
    let restarts = probe(&bench, &check(json!({"container": {}})));
    let health = restarts.check(&bench.cx(), &endpoint).await.unwrap();
    let Health::Dead { why, evidence } = health else { panic!("{health:?}") };
    assert!(why.contains("restarted it") && why.contains("0 are allowed"), "{why}");
    assert!(format!("{evidence:?}").contains("the cause"), "{evidence:?}");
    let lately = probe(&bench, &check(json!({"container": {"within": "1h"}})));
    let health = lately.check(&bench.cx(), &endpoint).await.unwrap();
    assert!(
        matches!(&health, Health::Unhealthy { why, .. } if why.contains("less than")),
        "{health:?}"
    );
    docker.stop_container(&id, None).await.unwrap();
    let health = lately.check(&bench.cx(), &endpoint).await.unwrap();
    assert!(matches!(&health, Health::Dead { .. }), "{health:?}");
    bench.close().await;
}
