//! What every deployer must do.

mod cases;
mod crashes;
mod drive;
mod inherit;

use std::{any::Any, fmt, future::Future, panic::AssertUnwindSafe, sync::Arc};

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use ultrai_deploy_core::{
    Deployer,
    name::{ServiceName, Target},
    release::Release,
    release_store::ReleaseStore,
};

/// Gives environments of a deployer's platform to the suite, one for each case.
#[async_trait]
pub trait Platform: fmt::Debug + Send + Sync {
    /// An environment in which nothing runs.
    async fn environment(&self, case: &str) -> Box<dyn Environment>;

    /// How many environments are used at the same time. By default one.
    fn parallelism(&self) -> usize {
        1
    }
}

/// An environment of a platform. Dropping it, or closing it, removes all that is in it.
#[async_trait]
pub trait Environment: fmt::Debug + Send + Sync {
    /// The environment's deployer as a new process makes it.
    fn deployer(&self) -> Arc<dyn Deployer>;

    /// The environment's releases as a new process opens them.
    fn releases(&self) -> Arc<dyn ReleaseStore>;

    /// The environment's name.
    fn target(&self) -> Target;

    /// A sealed release that is kept in [`releases`](Environment::releases).
    async fn release(&self, variant: Variant) -> Release;

    /// Names of all that is there but does not serve: kept, staged, half made. Volumes, images
    /// and stored releases do not count.
    async fn leftovers(&self) -> Vec<String>;

    /// Removes all that is in it.
    async fn close(self: Box<Self>);
}

/// The releases that the suite deploys. `web` depends on `db`; where the platform knows the
/// difference, `db` must stop first, and `web` and `side` can run beside their old ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Variant {
    /// `db`, `web` and `side`.
    First,
    /// Another `web`.
    Web,
    /// Another `db`, `web` and `side`.
    All,
    /// `db` and another `web`, no `side`.
    Fewer,
    /// A `web` that never gets healthy.
    Unhealthy,
    /// A `web` that cannot be started, or exits at once.
    Unstartable,
}

/// The name of the service that others depend on.
pub const DB: &str = "db";
/// The name of the service that depends on another.
pub const WEB: &str = "web";
/// The name of the service that nothing has to do with.
pub const SIDE: &str = "side";

/// Runs the suite and returns how many cases ran: print it, and expect some number, so that a suite
/// that has become empty is seen. Cases for what the deployer's
/// [`capabilities`](Deployer::capabilities) do not promise are left out and do not count. How many
/// there are depends on the deployer: a process dies before each of its effects.
///
/// Each step is driven through a deployer of its own, as if the process had been started anew.
///
/// # Panics
/// At the first case that fails.
pub async fn deployer(platform: &dyn Platform) -> usize {
    let parts = cases::parts(platform).into_iter().chain(crashes::parts(platform));
    stream::iter(parts)
        .buffer_unordered(platform.parallelism())
        .fold(0, async |all, ran| all + ran)
        .await
}

/// A part of the suite, which returns how many cases ran.
type Part<'a> = BoxFuture<'a, usize>;

/// Runs a case; a failure names it, since hundreds of crash points share their code.
async fn named(name: &str, case: impl Future<Output = ()>) {
    let Err(panic) = AssertUnwindSafe(case).catch_unwind().await else { return };
    panic!("case `{name}`: {}", message(panic.as_ref()));
}

fn message(cause: &(dyn Any + Send)) -> &str {
    match (cause.downcast_ref::<String>(), cause.downcast_ref::<&str>()) {
        (Some(text), _) => text,
        (None, Some(text)) => text,
        (None, None) => "it panicked",
    }
}

fn service(name: &str) -> ServiceName {
    super::ok(ServiceName::new(name))
}
