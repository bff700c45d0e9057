//! The suite of all deployers.

use std::{collections::BTreeMap, sync::Arc};

use async_trait::async_trait;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Deployer, memory,
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    release::{Image, Release, ReleaseService},
    release_store::ReleaseStore,
    secret::Secrets,
    version::Version,
};
use ultrai_deploy_hosted as hosted;
use ultrai_deploy_testkit::conformance::{self, DB, Environment, Platform, SIDE, Variant, WEB};

use crate::town::{LAG, Manners, Town};

#[derive(Debug)]
struct Towns(Manners);

#[derive(Debug)]
struct One {
    town: Town,
    releases: memory::ReleaseStore,
}

#[async_trait]
impl Platform for Towns {
    async fn environment(&self, _case: &str) -> Box<dyn Environment> {
        let town = Town::new(self.0, &[DB, WEB, SIDE]);
        Box::new(One { town, releases: memory::ReleaseStore::default() })
    }
}

#[async_trait]
impl Environment for One {
    fn deployer(&self) -> Arc<dyn Deployer> {
        let slots = [DB, WEB, SIDE].map(|one| (name(one), one.to_owned()));
        let town = Arc::new(self.town.clone());
        Arc::new(hosted::Deployer::new(town, slots.into(), self.releases()))
    }

    fn releases(&self) -> Arc<dyn ReleaseStore> {
        Arc::new(self.releases.clone())
    }

    fn target(&self) -> Target {
        Target::new(ProjectName::new("shop").unwrap(), EnvironmentName::new("test").unwrap())
    }

    async fn release(&self, variant: Variant) -> Release {
        let release = sealed(variant);
        self.releases.put(&release, &Secrets::new()).await.unwrap();
        release
    }

    async fn leftovers(&self) -> Vec<String> {
        self.town.open()
    }

    async fn close(self: Box<Self>) {}
}

fn name(text: &str) -> ServiceName {
    ServiceName::new(text).unwrap()
}

fn sealed(variant: Variant) -> Release {
    let (db, web, side, version) = match variant {
        Variant::First => ("1", "1", Some("1"), "1.0.0"),
        Variant::Web => ("1", "2", Some("1"), "1.1.0"),
        Variant::All => ("2", "2", Some("2"), "2.0.0"),
        Variant::Fewer => ("1", "3", None, "1.2.0"),
        Variant::Unhealthy => ("1", "sick", Some("1"), "1.3.0"),
        Variant::Unstartable => ("1", "very-sick", Some("1"), "1.4.0"),
        other => panic!("no release for {other:?}"),
    };
    let mut services = BTreeMap::new();
    let variables = |version: &str| json!({ "variables": { "VERSION": version } });
    services.insert(name(DB), service("db", db, variables(db), &[]));
    // The same image with other variables is another service.
    services.insert(
        name(WEB),
        service("web", if web == "2" { "1" } else { web }, variables(web), &[DB]),
    );
    if let Some(side) = side {
        services.insert(name(SIDE), service("side", side, json!({}), &[]));
    }
    let version = Version::parse(version).unwrap();
    Release::new(ProjectName::new("shop").unwrap(), version, services).unwrap()
}

fn service(image: &str, tag: &str, config: Value, needs: &[&str]) -> ReleaseService {
    let reference = format!("shop/{image}:{tag}");
    let image = Image { id: reference.clone(), reference, digest: None };
    let needs = needs.iter().map(|needed| name(needed)).collect();
    ReleaseService::new(Some(image), config).with_depends_on(needs)
}

#[tokio::test(start_paused = true)]
async fn it_conforms_on_every_kind_of_platform() {
    for manners in [
        Manners::default(),
        Manners { is_silent: true, ..Manners::default() },
        Manners { lag: LAG, ..Manners::default() },
        Manners { is_silent: true, forgets: true, ..Manners::default() },
        Manners { is_bound: true, ..Manners::default() },
    ] {
        let cases = conformance::deployer(&Towns(manners)).await;
        println!("deployer conformance, hosted, {manners:?}: {cases} cases");
        assert!(cases > 50, "only {cases} cases ran");
    }
}
