use serde_json::{Value, json};
use ultrai_deploy_core::{
    name::ProjectName,
    release::{Release, ReleaseService},
    version::Version,
};

use super::*;

const RUN: &str = "0123456789ab";

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn release(services: &[(&str, Value)]) -> Release {
    let sealed =
        services.iter().map(|(own, config)| (name(own), ReleaseService::new(None, config.clone())));
    let project = ProjectName::new("shop").unwrap();
    Release::new(project, Version::parse("1.0.0").unwrap(), sealed.collect()).unwrap()
}

fn container(called: &str, service: &str, needs: &str, up: bool) -> Container {
    let state = json!({"Status": "running", "Running": up, "ExitCode": 0, "StartedAt": "t"});
    let found = json!({
        "Id": called, "Name": format!("/{called}"), "Image": "sha256:aa", "State": state,
        "Config": {"Labels": {
            "com.docker.compose.service": service, "com.docker.compose.depends_on": needs
        }}
    });
    Container::new(serde_json::from_value(found).unwrap()).unwrap()
}

/// A container that served before, and is kept now.
fn old(service: &str, needs: &str) -> Wanted {
    let id = format!("old-{service}");
    Wanted {
        container: Container {
            id,
            ..container(&format!("shop-{service}-1"), service, needs, true)
        },
        running: true,
    }
}

fn kept(wanted: &Wanted) -> Container {
    let called = format!("{}-kept-{RUN}", wanted.container.name);
    let mut now = container(&called, wanted.container.service.as_str(), "", false);
    now.id.clone_from(&wanted.container.id);
    now
}

/// Which of `wanted` come back beside new containers of the services `new`, when those of the
/// services `serving` were never put aside.
fn chosen(to: &Release, wanted: &[Wanted], serving: &[&str], new: &[(&str, bool)]) -> Vec<String> {
    let definition = Definition::read(to).unwrap();
    let now = |one: &Wanted| {
        let serves = serving.contains(&one.container.service.as_str());
        if serves { one.container.clone() } else { kept(one) }
    };
    let containers = wanted.iter().map(|one| (one.container.id.clone(), now(one))).collect();
    let new: Vec<_> = new
        .iter()
        .map(|(service, up)| container(&format!("new-{service}"), service, "", *up))
        .collect();
    let mut brought: BTreeMap<&ServiceName, Vec<&Container>> = BTreeMap::new();
    for one in &new {
        brought.entry(&one.service).or_default().push(one);
    }
    let candidates = Candidates {
        to: &definition,
        from: None,
        snapshot: &Snapshot { containers },
        brought: &brought,
    };
    candidates.choose(wanted).into_keys().map(|name| name.to_string()).collect()
}

#[test]
fn what_can_run_twice_comes_back_beside_the_new_one() {
    let to = release(&[("web", json!({})), ("side", json!({}))]);
    let wanted = [old("web", ""), old("side", "")];
    assert_eq!(chosen(&to, &wanted, &[], &[("web", true), ("side", true)]), ["side", "web"]);
    assert_eq!(chosen(&to, &wanted, &["side"], &[("web", true)]), ["web"], "side never went");
    let none: [&str; 0] = [];
    assert_eq!(chosen(&to, &wanted, &[], &[("web", false)]), none, "no new one serves");
}

#[test]
fn what_can_run_once_only_does_not() {
    let port = json!({"ports": [{"target": 80, "published": "8080", "protocol": "tcp"}]});
    let volume = json!({"volumes": [{"kind": "volume", "source": "data", "target": "/data"}]});
    let to = release(&[("port", port), ("db", volume), ("data", json!({}))]);
    let mut heir = old("data", "");
    heir.container.anonymous.insert("/data".to_owned(), "a".repeat(64));
    let wanted = [old("port", ""), old("db", ""), heir];
    let none: [&str; 0] = [];
    assert_eq!(chosen(&to, &wanted, &[], &[("port", true), ("db", true), ("data", true)]), none);
}

#[test]
fn what_depends_on_one_that_must_wait_waits_too() {
    let volume = json!({"volumes": [{"kind": "volume", "source": "data", "target": "/data"}]});
    let to = release(&[("db", volume), ("api", json!({})), ("web", json!({}))]);
    let wanted = [
        old("db", ""),
        old("api", "db:service_healthy:false"),
        old("web", "api:service_started:false"),
    ];
    let none: [&str; 0] = [];
    assert_eq!(chosen(&to, &wanted, &[], &[("db", true), ("api", true), ("web", true)]), none);
    let serving = chosen(&to, &wanted, &["db"], &[("api", true), ("web", true)]);
    assert_eq!(serving, ["api", "web"], "db was never stopped");
}
