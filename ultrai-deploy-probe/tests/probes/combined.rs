//! Several probes as one, over parts whose answers are canned.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Context, Error, ErrorKind, Result,
    evidence::{Evidence, EvidenceKind},
    health::{Endpoint, Health, HealthProbe},
    name::SecretName,
    verification::{CheckSpec, ProbeSource},
};
use ultrai_deploy_http as http;
use ultrai_deploy_probe::Probes;

use crate::lab::{check, context, nowhere};

/// Makes probes that answer as they are told: `{"canned": "good"}`.
#[derive(Debug, Default)]
struct Canned {
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

#[derive(Debug)]
struct Answer {
    name: String,
    told: String,
    now: Arc<AtomicUsize>,
    most: Arc<AtomicUsize>,
}

impl ProbeSource for Canned {
    fn probe(&self, check: &CheckSpec) -> Result<Arc<dyn HealthProbe>> {
        let (name, now) = (check.name.clone(), Arc::clone(&self.now));
        let most = Arc::clone(&self.most);
        let told = check.probe["canned"].as_str().unwrap().to_owned();
        Ok(Arc::new(Answer { name, told, now, most }))
    }

    fn secrets(&self, _: &CheckSpec) -> Result<Vec<SecretName>> {
        Ok(Vec::new())
    }
}

#[async_trait]
impl HealthProbe for Answer {
    async fn check(&self, _: &Context, _: &Endpoint) -> Result<Health> {
        let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
        self.most.fetch_max(now, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
        let why = format!("it is {}", self.told);
        let evidence = vec![Evidence::new(EvidenceKind::Measurement, &self.name, &why)];
        let health = match self.told.as_str() {
            "good" => Health::Healthy(evidence),
            "pending" => Health::Pending { why, evidence },
            "bad" => Health::Unhealthy { why, evidence },
            "dead" => Health::Dead { why, evidence },
            "hangs" => std::future::pending().await,
            _ => return Err(Error::new(ErrorKind::Denied, "ask", "no way")),
        };
        self.now.fetch_sub(1, Ordering::Relaxed);
        Ok(health)
    }
}

fn of(parts: &[&str]) -> Value {
    let part =
        |(n, told): (usize, &&str)| json!({"name": format!("p{n}"), "probe": {"canned": told}});
    parts.iter().enumerate().map(part).collect()
}

async fn look(canned: Canned, spec: Value, timeout: u64) -> Result<Health> {
    let client = http::Client::new(http::Config::default()).unwrap();
    let probes = Probes::new(client, Arc::new(canned));
    let check = check(json!({"combined": spec}), Duration::from_secs(timeout));
    probes.probe(&check)?.check(&context(), &nowhere()).await
}

#[tokio::test(start_paused = true)]
async fn all_any_and_enough() {
    for (parts, need, wanted) in [
        (&["good", "good"][..], json!("all"), "Healthy"),
        (&["good", "bad"], json!("all"), "Unhealthy"),
        (&["good", "bad"], json!("any"), "Healthy"),
        (&["good", "pending"], json!("all"), "Pending"),
        (&["good", "dead"], json!("all"), "Dead"),
        (&["bad", "dead"], json!("any"), "Unhealthy"),
        (&["dead", "dead"], json!("any"), "Dead"),
        (&["good", "bad", "good"], json!({"at_least": 2}), "Healthy"),
        (&["good", "bad", "pending"], json!({"at_least": 2}), "Pending"),
        (&["good", "fails"], json!({"at_least": 1}), "Healthy"),
    ] {
        let found =
            look(Canned::default(), json!({"of": of(parts), "need": need}), 30).await.unwrap();
        assert!(format!("{found:?}").starts_with(wanted), "{parts:?} {need}: {found:?}");
    }
    // what could not be asked decides: nothing is known
    let error =
        look(Canned::default(), json!({"of": of(&["good", "fails"])}), 30).await.unwrap_err();
    assert!(error.message().contains("p1: cannot ask: no way"), "{error}");
    assert_eq!(error.evidence().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn weights_names_and_evidence() {
    let mut parts = of(&["good", "bad", "good"]);
    parts[1]["weight"] = json!(5);
    let found = look(Canned::default(), json!({"of": parts, "need": {"at_least": 3}}), 30).await;
    let Ok(Health::Unhealthy { why, evidence }) = found else { panic!("{found:?}") };
    assert_eq!(why, "2 of 7 are well, 3 wanted: p1: it is bad");
    let kept: Vec<_> = evidence.iter().map(|one| (one.kind, one.subject.as_str())).collect();
    // what a part measured is not what the check measured
    let probe = EvidenceKind::Probe;
    assert_eq!(kept, [(probe, "c / p0"), (probe, "c / p1"), (probe, "c / p2")]);
}

#[tokio::test(start_paused = true)]
async fn a_hanging_part_ends_in_its_time_and_the_whole_in_that_of_the_check() {
    let began = tokio::time::Instant::now();
    let mut parts = of(&["good", "hangs"]);
    parts[1]["timeout"] = json!("5s");
    let found = look(Canned::default(), json!({"of": parts}), 30).await;
    let Ok(Health::Unhealthy { why, .. }) = found else { panic!("{found:?}") };
    assert!(why.ends_with("p1: no answer within 5s"), "{why}");
    assert_eq!(began.elapsed(), Duration::from_secs(5));

    let began = tokio::time::Instant::now();
    let spec = json!({"of": of(&["hangs", "good"]), "at_once": 1});
    let found = look(Canned::default(), spec, 10).await;
    let Ok(Health::Unhealthy { why, .. }) = found else { panic!("{found:?}") };
    assert!(why.contains("p1: not looked at: the others took all the time"), "{why}");
    assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn so_many_look_at_once() {
    for (at_once, most, took) in [(None, 16, 3), (Some(5), 5, 8)] {
        let canned = Canned::default();
        let seen = Arc::clone(&canned.most);
        let began = tokio::time::Instant::now();
        let spec = json!({"of": of(&["good"; 40]), "at_once": at_once});
        let found = look(canned, spec, 60).await.unwrap();
        assert!(matches!(found, Health::Healthy(_)), "{found:?}");
        assert_eq!(seen.load(Ordering::Relaxed), most);
        assert_eq!(began.elapsed(), Duration::from_secs(took));
    }
}

#[tokio::test(start_paused = true)]
async fn parts_in_parts() {
    let inner = json!({"combined": {"of": of(&["bad", "good"]), "need": "any"}});
    let parts = json!([
        {"name": "databases", "probe": inner},
        {"name": "app", "probe": {"canned": "dead"}},
    ]);
    let found = look(Canned::default(), json!({"of": parts}), 30).await;
    let Ok(Health::Dead { why, evidence }) = found else { panic!("{found:?}") };
    assert_eq!(why, "1 of 2 are well, 2 wanted: app: it is dead");
    assert_eq!(evidence[0].subject, "c / databases / p0");
}
