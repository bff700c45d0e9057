//! The suite of all deployers, over a platform that is spoken to.

use std::{collections::BTreeMap, fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use ultrai_deploy_core::{
    Deployer, memory,
    name::Target,
    release::{Image, Release, ReleaseService},
    release_store::ReleaseStore,
    secret::Secrets,
};
use ultrai_deploy_hosted as hosted;

use super::{Fake, ok, service, target};
use crate::conformance::{self, DB, Environment, Platform, SIDE, Variant, WEB};

/// The services of the fakes that [`conforms`] is run over.
pub const CONFORMANCE_SERVICES: [&str; 3] = [DB, WEB, SIDE];

/// Runs the [suite of all deployers](conformance::deployer) over fakes with the services
/// [`CONFORMANCE_SERVICES`], one for each case. Returns how many cases ran.
///
/// # Panics
/// At the first case that fails.
pub async fn conforms<F: Fake + 'static>(
    make: impl Fn() -> BoxFuture<'static, F> + Send + Sync,
) -> usize {
    conformance::deployer(&Fakes(make)).await
}

struct Fakes<M>(M);

impl<M> fmt::Debug for Fakes<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fakes").finish_non_exhaustive()
    }
}

#[async_trait]
impl<F, M> Platform for Fakes<M>
where
    F: Fake + 'static,
    M: Fn() -> BoxFuture<'static, F> + Send + Sync,
{
    async fn environment(&self, _case: &str) -> Box<dyn Environment> {
        Box::new(One { fake: (self.0)().await, releases: memory::ReleaseStore::default() })
    }
}

#[derive(Debug)]
struct One<F> {
    fake: F,
    releases: memory::ReleaseStore,
}

#[async_trait]
impl<F: Fake> Environment for One<F> {
    fn deployer(&self) -> Arc<dyn Deployer> {
        let slots = CONFORMANCE_SERVICES.map(|one| (service(one), one.to_owned()));
        Arc::new(hosted::Deployer::new(self.fake.platform(), slots.into(), self.releases()))
    }

    fn releases(&self) -> Arc<dyn ReleaseStore> {
        Arc::new(self.releases.clone())
    }

    fn target(&self) -> Target {
        target()
    }

    async fn release(&self, variant: Variant) -> Release {
        let release = sealed(variant);
        ok(self.releases.put(&release, &Secrets::new()).await);
        release
    }

    async fn leftovers(&self) -> Vec<String> {
        let busy = CONFORMANCE_SERVICES.into_iter().filter(|one| self.fake.inside(one).is_busy);
        busy.map(str::to_owned).collect()
    }

    async fn close(self: Box<Self>) {}
}

fn sealed(variant: Variant) -> Release {
    let (db, web, side, version) = match variant {
        Variant::First => ("1", "1", Some("1"), "1.0.0"),
        Variant::Web => ("1", "2", Some("1"), "1.1.0"),
        Variant::All => ("2", "2", Some("2"), "2.0.0"),
        Variant::Fewer => ("1", "3", None, "1.2.0"),
        Variant::Unhealthy => ("1", "sick", Some("1"), "1.3.0"),
        Variant::Unstartable => ("1", "sick-build", Some("1"), "1.4.0"),
    };
    let variables = |version: &str| json!({ "variables": { "VERSION": version } });
    // The same image with other variables is another service.
    let tag = if web == "2" { "1" } else { web };
    let mut services = BTreeMap::from([
        (service(DB), sealed_service(DB, db, variables(db), &[])),
        (service(WEB), sealed_service(WEB, tag, variables(web), &[DB])),
    ]);
    if let Some(side) = side {
        services.insert(service(SIDE), sealed_service(SIDE, side, json!({}), &[]));
    }
    let target = target();
    ok(Release::new(target.project, ok(version.parse()), services))
}

fn sealed_service(name: &str, tag: &str, config: Value, needs: &[&str]) -> ReleaseService {
    let reference = format!("shop/{name}:{tag}");
    let image = Image { id: reference.clone(), reference, digest: None };
    let needs = needs.iter().map(|needed| service(needed)).collect();
    ReleaseService::new(Some(image), config).with_depends_on(needs)
}
