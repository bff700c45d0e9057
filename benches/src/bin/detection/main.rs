//! How late it is noticed that a container has become healthy, or has died: by our checks and by the
//! real `docker compose up --wait`, on the same compose file, taking turns.
//!
//! `scripts/bench-detection` runs it. The moment is known, since it is made here: a file appears, for
//! which the container waits before it listens (or which its health check looks for); or it is killed.
#![expect(clippy::print_stdout, reason = "a bench prints numbers")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on ends")]

mod room;

use std::time::Duration;

use tokio::time::Instant;
use ultrai_benches::Random;
use ultrai_deploy_core::waiting::wait_until_healthy;

use crate::room::{Kind, Room};

const USAGE: &str = "DOCKER_HOST COMPOSE ROUNDS: see scripts/bench-detection";

#[tokio::main]
async fn main() {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [host, compose, rounds] = words.as_slice() else { panic!("{USAGE}") };
    let rounds: usize = rounds.parse().unwrap();
    let mut random = Random::new(7);
    println!("{:42} {:>8} {:>8} {:>8}", format!("{rounds} rounds, ms"), "p50", "p95", "max");
    for (kind, what) in [
        (Kind::Listens, "healthy, and listens from then on"),
        (Kind::Says, "healthy, and listens to nothing"),
    ] {
        let room = Room::new(host, compose, kind);
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _round in 0..rounds {
            ours.push(healthy(&room, &mut random).await);
            theirs.push(healthy_by_compose(&room, &mut random).await);
        }
        show(&format!("{what}: ours"), ours);
        show(&format!("{what}: compose"), theirs);
    }
    let room = Room::new(host, compose, Kind::Says);
    let (mut sent, mut ended, mut told, mut theirs) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for _round in 0..rounds {
        let [since_kill, since_end, since_told] = death(&room, &mut random).await;
        sent.push(since_kill);
        ended.push(since_end);
        told.push(since_told);
        theirs.push(death_by_compose(&room, &mut random).await);
    }
    show("killed: ours, from the request to kill", sent);
    show("killed: ours, from the end of the process", ended);
    show("killed: ours, from the engine's own event", told);
    show("killed while waited for: compose", theirs);
}

/// From the moment to the verdict.
async fn healthy(room: &Room, random: &mut Random) -> f64 {
    room.create().await;
    room.start().await;
    let (check, endpoint, cx) = room.check();
    let pause = pause(random);
    let wait = wait_until_healthy(&cx, &check, &endpoint);
    let moment = async {
        tokio::time::sleep(pause).await;
        room.appear();
        Instant::now()
    };
    let (result, moment) = tokio::join!(async { (wait.await.unwrap(), Instant::now()) }, moment);
    let (result, at) = result;
    assert!(result.passed(), "{result:?}");
    room.clear().await;
    millis(at - moment)
}

async fn healthy_by_compose(room: &Room, random: &mut Random) -> f64 {
    room.create().await;
    let mut up = room.up_and_wait();
    room.running().await;
    tokio::time::sleep(pause(random)).await;
    room.appear();
    let moment = Instant::now();
    assert!(up.wait().await.unwrap().success());
    let lag = millis(moment.elapsed());
    room.clear().await;
    lag
}

/// From the request, from the end as the engine writes it down, and from its event, to the verdict.
async fn death(room: &Room, random: &mut Random) -> [f64; 3] {
    room.create().await;
    room.appear();
    room.start().await;
    let (mut check, endpoint, cx) = room.check();
    // Watched for an hour: it is healthy at once, and only its death ends the wait.
    check.timing.stability = Duration::from_hours(1);
    check.timing.deadline = Some(Duration::from_hours(2));
    let wait = async {
        let result = wait_until_healthy(&cx, &check, &endpoint).await.unwrap();
        (result, Instant::now(), jiff::Timestamp::now())
    };
    let pause = pause(random) + Duration::from_secs(2);
    let kill = async {
        tokio::time::sleep(pause).await;
        let moment = Instant::now();
        room.kill().await;
        moment
    };
    let told = room.told_of_death();
    let ((result, at, wall), moment, told) = tokio::join!(wait, kill, told);
    assert!(result.why.as_deref().unwrap_or_default().contains("exit code 137"), "{result:?}");
    let ended = room.ended().await;
    room.clear().await;
    [millis(at - moment), wall.duration_since(ended).as_secs_f64() * 1000.0, late(told, at)]
}

async fn death_by_compose(room: &Room, random: &mut Random) -> f64 {
    room.create().await;
    let mut up = room.up_and_wait();
    room.running().await;
    tokio::time::sleep(pause(random)).await;
    let moment = Instant::now();
    room.kill().await;
    assert!(!up.wait().await.unwrap().success());
    let lag = millis(moment.elapsed());
    room.clear().await;
    lag
}

/// Some time, so that nothing is in step with anything.
fn pause(random: &mut Random) -> Duration {
    Duration::from_millis(random.between(500, 1500))
}

/// In milliseconds; less than nothing where it was seen before a listener of the bench heard of it.
fn late(told: Instant, at: Instant) -> f64 {
    if at >= told { millis(at - told) } else { -millis(told - at) }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn show(what: &str, mut lags: Vec<f64>) {
    lags.sort_by(f64::total_cmp);
    let at = |percent: usize| lags[(lags.len() * percent).div_ceil(100).max(1) - 1];
    println!("{what:42} {:8.0} {:8.0} {:8.0}", at(50), at(95), at(100));
}
