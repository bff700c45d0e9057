//! Reference backends in memory: for tests of the engine, and the measure for all other backends.

mod backup;
mod behaviour;
mod deployer;
mod images;
mod journal;
mod lease;
mod plan;
mod probe;
mod release_store;
mod secret;
mod snapshot;
mod tasks;
mod world;

pub use self::{
    backup::BackupStore,
    deployer::Deployer,
    images::Images,
    journal::Journal,
    lease::Lease,
    release_store::ReleaseStore,
    secret::Secrets,
    tasks::Tasks,
    world::{Instance, Maker, Phase, World},
};
