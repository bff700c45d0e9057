//! The example of a backend of one's own, through the suite of all deployers.

#![allow(
    unreachable_pub,
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a test says how many cases ran and panics where it fails"
)]

#[path = "../examples/directories/deployer.rs"]
mod deployer;

use std::{fs, sync::Arc};

use async_trait::async_trait;
use deployer::Directories;
use serde_json::json;
use tempfile::TempDir;
use ultrai_deploy_core::{
    Deployer, memory,
    name::{EnvironmentName, ProjectName, ServiceName, Target},
    release::{Release, ReleaseService},
    release_store::ReleaseStore,
    secret::Secrets,
    version::Version,
};
use ultrai_deploy_testkit::conformance::{self, DB, Environment, Platform, SIDE, Variant, WEB};

#[derive(Debug)]
struct Directory;

#[derive(Debug)]
struct One {
    root: TempDir,
    releases: memory::ReleaseStore,
}

#[async_trait]
impl Platform for Directory {
    async fn environment(&self, _case: &str) -> Box<dyn Environment> {
        let releases = memory::ReleaseStore::default();
        Box::new(One { root: tempfile::tempdir().unwrap(), releases })
    }
}

#[async_trait]
impl Environment for One {
    fn deployer(&self) -> Arc<dyn Deployer> {
        Arc::new(Directories::new(self.root.path(), self.releases()))
    }

    fn releases(&self) -> Arc<dyn ReleaseStore> {
        Arc::new(self.releases.clone())
    }

    fn target(&self) -> Target {
        Target::new(ProjectName::new("pages").unwrap(), EnvironmentName::new("test").unwrap())
    }

    async fn release(&self, variant: Variant) -> Release {
        let release = release(variant);
        self.releases.put(&release, &Secrets::new()).await.unwrap();
        release
    }

    /// Seen without the deployer, which might overlook it.
    async fn leftovers(&self) -> Vec<String> {
        let serving = fs::canonicalize(self.root.path().join("current")).ok();
        let links = serving.iter().flat_map(|set| fs::read_dir(set).unwrap());
        let mut used: Vec<_> =
            links.filter_map(|link| fs::canonicalize(link.unwrap().path()).ok()).collect();
        used.extend(serving.clone());
        ["sets", "pages"]
            .iter()
            .filter_map(|kind| fs::read_dir(self.root.path().join(kind)).ok())
            .flatten()
            .map(|entry| fs::canonicalize(entry.unwrap().path()).unwrap())
            .filter(|path| !used.contains(path))
            .map(|path| path.display().to_string())
            .collect()
    }

    async fn close(self: Box<Self>) {}
}

fn release(variant: Variant) -> Release {
    let (db, web, side, version) = match variant {
        Variant::First => ("1", json!({"page": "1"}), Some("1"), "1.0.0"),
        Variant::Web => ("1", json!({"page": "2"}), Some("1"), "1.1.0"),
        Variant::All => ("2", json!({"page": "2"}), Some("2"), "2.0.0"),
        Variant::Fewer => ("1", json!({"page": "3"}), None, "1.2.0"),
        Variant::Unhealthy => ("1", json!({"page": ""}), Some("1"), "1.3.0"),
        Variant::Unstartable => ("1", json!({}), Some("1"), "1.4.0"),
        other => panic!("no release for {other:?}"),
    };
    let name = |text: &str| ServiceName::new(text).unwrap();
    let page = |text: &str| ReleaseService::new(None, json!({ "page": text }));
    let mut services = vec![
        (name(DB), page(db)),
        (name(WEB), ReleaseService::new(None, web).with_depends_on(vec![name(DB)])),
    ];
    services.extend(side.map(|text| (name(SIDE), page(text))));
    let (project, version) = (ProjectName::new("pages").unwrap(), Version::parse(version).unwrap());
    Release::new(project, version, services.into_iter().collect()).unwrap()
}

#[tokio::test(start_paused = true)]
async fn it_conforms() {
    let cases = conformance::deployer(&Directory).await;
    println!("deployer conformance, directories: {cases} cases");
    assert!(cases > 100, "only {cases} cases ran");
}
